"""Traces as thousands of requests would leave them, written straight into a store's file."""

import random
from functools import partial
from pathlib import Path

from openfusion_auto.core.decide import decide
from openfusion_auto.core.prompt import Options, Usage
from openfusion_auto.core.types import KINDS, Policy, State
from openfusion_auto.runtime.archive import row_of
from openfusion_auto.runtime.books import line_of
from openfusion_auto.runtime.session import session_hash
from openfusion_auto.runtime.texts import Said, Texts
from openfusion_auto.runtime.trace import Attempt, Trace
from openfusion_auto.store.files import file_in
from openfusion_auto.store.retention import Limits
from openfusion_auto.store.sqlite import SqliteStore
from tests.support.pools import FOUR, task

BEGAN_S = 1_780_000_000.0  # long ago, whenever that is read
MODES = ("auto", "auto", "auto", "verify", "panel")


SOURCES = tuple(sorted(Path(__file__).parents[2].glob("openfusion_auto/core/*.py")))


def texts(chosen):
    """Return words as an agent leaves them: some thousand characters of prose and code, asked and answered."""
    said = chosen.choice(SOURCES).read_text()
    begin, size = chosen.randrange(len(said)), int(chosen.lognormvariate(7.5, 0.8))
    return Texts(said[:300], answers=[Said("primary", "coder-a", said[begin : begin + size])])


def traces(count, *, began_s=BEGAN_S, step_s=7.0, pool=FOUR, kinds=KINDS, modes=MODES, words=False):
    """Yield that many different traces, oldest first; the same each time. `words`: with what was said."""
    chosen, said = random.Random(7), random.Random(8)
    for number in range(count):
        kind, mode = chosen.choice(kinds), chosen.choice(modes)
        asked = task(
            kind=kind,
            options=Options(mode=mode),
            complexity=chosen.choice(("low", "medium", "high")),
        )
        made = Trace(f"tr_{number:06}", "openfusion/auto", "chat", False, began_s + number * step_s)
        made.decision = decide(asked, pool, State(), Policy())
        made.session = session_hash(f"session-{number % 40}")
        for step in made.decision.plan.steps:
            candidate = pool.get(step.candidates[0])
            line = Attempt(
                step.phase, candidate.id, candidate.model, candidate.upstream, 1.0, status="ok"
            )
            line.book(candidate, Usage(chosen.randrange(500, 20_000), chosen.randrange(20, 2_000)))
            made.attempts.append(line)
        made.answered_by, made.ms = made.attempts[0].candidate, chosen.uniform(200.0, 9_000.0)
        if number % 50 == 7:
            made.outcome, made.answered_by, made.attempts = "error", None, []
        else:
            made.outcome = "ok"
        if words:
            made.texts = texts(said)
        yield made


def fill(state_folder, made):
    """Write traces, and the lines of their calls, into the store of a state folder."""
    store = SqliteStore(file_in(state_folder, dry_run=False), Limits(), lambda: BEGAN_S)
    for number, trace in enumerate(made):
        for call in trace.attempts:
            store.enter(line_of(trace, call))
        store.record(trace.id, partial(row_of, trace))
        if number % 500 == 499:
            store.trace(trace.id)  # what was put in is written before anything is read
    store.close()
