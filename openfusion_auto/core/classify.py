"""Read a task: what kind it is, how risky, how hard, with the evidence for it.

`read(prompt)` is the whole of it. `facts.py` finds the words that count, `features.py` and `reading.py` weigh them with
a trained linear model, `actions.py` looks at what an agent's tools are about to do. The envelope, tool schemas and
system prompts are never looked at, so they cannot make a task harder.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from openfusion_auto.core import reading
from openfusion_auto.core.actions import dangers
from openfusion_auto.core.aux_calls import SAFETY_CHECK
from openfusion_auto.core.experience import Experience
from openfusion_auto.core.facts import Facts, read_facts
from openfusion_auto.core.features import features_of
from openfusion_auto.core.prompt import Prompt
from openfusion_auto.core.rules import Rule, applied
from openfusion_auto.core.tokens import input_tokens
from openfusion_auto.core.types import KINDS, LEVELS, Evidence, Kind, Level, Needs, Task

# What a wrong answer costs is little whatever these mention: it is read by a person before anything happens.
HARMLESS: frozenset[Kind] = frozenset({"test", "docs", "explain", "aux", "chat"})
# Of the calls that a client makes for itself, those that take thought.
THOUGHTFUL = ("compaction", "memory", SAFETY_CHECK)
# Added to the log-odds of high risk: missing one costs more than a check too many.
HIGH_RISK_BIAS = 0.6
# [characters] of words and pastes beyond which a text is not taken for a client's own call by its words alone: a bug
# report that sounds like one must not be. Longer ones, and those that take thought, are known by `aux_calls.py`.
MOST_GUESSED = 300
REMEMBERED = 512  # standing tasks whose reading is kept in memory


class Verdict(NamedTuple):
    """The three readings and what they rest on."""

    kind: Kind
    risk: Level
    complexity: Level
    evidence: tuple[Evidence, ...]


def classify(facts: Facts) -> Verdict:
    """Judge what was read. Pure; equal facts give equal verdicts, evidence included."""
    if facts.aux is not None:
        hard: Level = "medium" if facts.aux.name in THOUGHTFUL else "low"
        # A summary is read by whoever goes on; after a check nobody looks before something runs.
        risk: Level = "high" if facts.aux.name == SAFETY_CHECK else "low"
        said = Evidence(f"kind.aux.{facts.aux.name}", 5.0, facts.aux.why)
        return Verdict("aux", risk, hard, (said,))
    if facts.closing:
        said = Evidence("kind.chat.closing", 5.0, "closes the task")
        return Verdict("chat", "low", "low", (said,))
    return so_far(weighed(Told.of(facts)), facts)


class Told(NamedTuple):
    """What of the facts the words' reading depends on: the same in every turn of a tool loop."""

    words: str
    code: str
    marks: frozenset[str]
    pasted: int
    proposal: str

    @classmethod
    def of(cls, facts: Facts) -> Told:
        """Take it from the facts."""
        return cls(facts.words, facts.code, facts.marks, facts.pasted, facts.proposal)


@lru_cache(maxsize=REMEMBERED)
def weighed(told: Told) -> Verdict:
    """Judge the words. Remembered, since an agent's loop asks with one standing task again and again."""
    facts = Facts(
        "user", told.words, told.code, marks=told.marks, pasted=told.pasted, proposal=told.proposal
    )
    known = reading.model()
    judged = reading.judge(features_of(facts), known)
    hard = judged.best("complexity")
    # Bought by price alone, so nothing that reads as work may be taken for one.
    no_aux = hard > 0 or len(told.words) + told.pasted > MOST_GUESSED
    chosen = {"kind": judged.best("kind", {KINDS.index("aux"): -math.inf} if no_aux else {})}
    kind = KINDS[chosen["kind"]]
    if kind not in HARMLESS:
        chosen["risk"] = judged.best("risk", {LEVELS.index("high"): HIGH_RISK_BIAS})
    if kind != "chat":
        chosen["complexity"] = hard
    why = {"risk": [Evidence("risk.kind", 0.0, kind)]} if kind in HARMLESS else {}
    why |= reading.evidence(judged, known, tuple(chosen.items()))
    return Verdict(
        kind,
        LEVELS[chosen.get("risk", 0)],
        LEVELS[chosen.get("complexity", 0)],
        tuple(note for axis in reading.AXES for note in why.get(axis, ())),
    )


def so_far(verdict: Verdict, facts: Facts) -> Verdict:
    """Return what the words say of a task with what has come of it: its actions, and a try that failed.

    What the person says beside that it failed may ask for something riskier than the task: then so is the whole.
    """
    verdict = with_actions(verdict, facts.calls)
    if facts.besides:
        more = weighed(Told(facts.besides, "", frozenset(), 0, ""))
        if LEVELS.index(more.risk) > LEVELS.index(verdict.risk):
            why = tuple(e for e in more.evidence if e.signal.startswith("risk."))
            verdict = verdict._replace(risk=more.risk, evidence=(*verdict.evidence, *why))
    if not facts.rejected or verdict.complexity == LEVELS[-1]:
        return verdict
    harder = LEVELS[LEVELS.index(verdict.complexity) + 1]
    note = Evidence(f"complexity.{harder}", 1.0, "the person says that it still fails")
    return verdict._replace(complexity=harder, evidence=(*verdict.evidence, note))


def with_actions(verdict: Verdict, calls: tuple[tuple[str, str], ...]) -> Verdict:
    """Return the verdict with its risk raised by what the tools are about to do."""
    found = dangers(calls)
    if not found:
        return verdict
    notes = [Evidence(f"risk.action.{d.name}", float(LEVELS.index(d.risk)), d.why) for d in found]
    most = max(LEVELS.index(d.risk) for d in found)
    risk = LEVELS[max(most, LEVELS.index(verdict.risk))]
    return verdict._replace(risk=risk, evidence=(*verdict.evidence, *notes))


def read(
    prompt: Prompt,
    *,
    role: str | None = None,
    only: tuple[str, ...] = (),
    experience: Experience | None = None,
) -> Task:
    """Read a request into a `Task`. Pure, bounded, never raises.

    Args:
        prompt: The request, from any surface.
        role: The role that the model name asked for (`openfusion/<role>`), or None.
        only: Candidate ids that the choice is restricted to; empty = all.
        experience: What recorded outcomes taught about tasks with such words, or None.
    """
    return task_of(prompt, read_facts(prompt), role=role, only=only, experience=experience)


def task_of(
    prompt: Prompt,
    facts: Facts,
    *,
    role: str | None = None,
    only: tuple[str, ...] = (),
    experience: Experience | None = None,
    rules: Sequence[Rule] = (),
    said: Verdict | None = None,
) -> Task:
    """Return the task that a prompt's facts make, see `read`.

    Args:
        prompt: The request.
        facts: Its facts (`read_facts`).
        role: As of `read`.
        only: As of `read`.
        experience: As of `read`.
        rules: The operator's own, applied to what was read.
        said: What somebody else judged of the standing task: it stands for the reading of its words.
    """
    verdict = classify(facts) if said is None else so_far(said, facts)
    task = Task(
        kind=verdict.kind,
        risk=verdict.risk,
        complexity=verdict.complexity,
        turn=facts.turn,
        needs=Needs(
            tools=(bool(prompt.tools) and not prompt.tool_choice_none) or facts.tool_calls,
            vision=facts.images > 0,
            json_schema=prompt.shape == "json_schema",
            input_tokens=input_tokens(prompt),
            max_output_tokens=prompt.max_output_tokens,
            n=prompt.n,
        ),
        evidence=verdict.evidence,
        struggling=bool(facts.struggle),
        struggle=facts.struggle,
        role=role,
        only=only,
        options=prompt.options,
    )
    if experience is not None and verdict.kind != "aux":
        lesson = experience.of(facts.text)
        task = replace(task, ease=lesson.ease, lifts=lesson.lifts, effort=lesson.effort)
    return applied(rules, task, facts, prompt)
