"""Traces as thousands of requests would leave them, written straight into a store's file."""

import random
from functools import partial

from openfusion_auto.core.decide import decide
from openfusion_auto.core.prompt import Options, Usage
from openfusion_auto.core.types import KINDS, Policy, State
from openfusion_auto.runtime.archive import row_of
from openfusion_auto.runtime.books import line_of
from openfusion_auto.runtime.session import session_hash
from openfusion_auto.runtime.trace import Attempt, Trace
from openfusion_auto.store.files import file_in
from openfusion_auto.store.retention import Limits
from openfusion_auto.store.sqlite import SqliteStore
from tests.support.pools import FOUR, task

BEGAN_S = 1_780_000_000.0  # long ago, whenever that is read
MODES = ("auto", "auto", "auto", "verify", "panel")


def traces(count, *, began_s=BEGAN_S, step_s=7.0, pool=FOUR):
    """Yield that many different traces, oldest first; the same each time."""
    chosen = random.Random(7)
    for number in range(count):
        kind, mode = chosen.choice(KINDS), chosen.choice(MODES)
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
        yield made


def fill(state_folder, count, **more):
    """Write that many traces, and the lines of their calls, into the store of a state folder."""
    store = SqliteStore(file_in(state_folder, dry_run=False), Limits(), lambda: BEGAN_S)
    for number, made in enumerate(traces(count, **more)):
        for call in made.attempts:
            store.enter(line_of(made, call))
        store.record(made.id, partial(row_of, made))
        if number % 500 == 499:
            store.trace(made.id)  # what was put in is written before anything is read
    store.close()
