"""Read a task: what kind it is, how risky, how hard, with the evidence for every point.

`read(prompt)` is the whole of it. Words are looked up in `signals.py`; where they stand says how much they count:
in a sentence in full, in a file name or an identifier by half, in quotation marks not at all. The envelope, tool
schemas and system prompts are never looked at here, so they cannot make a task harder.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from openfusion_auto.core.facts import Facts, read_facts
from openfusion_auto.core.kinds import read_kind
from openfusion_auto.core.levels import read_complexity, read_risk
from openfusion_auto.core.prompt import Prompt
from openfusion_auto.core.tokens import input_tokens
from openfusion_auto.core.types import Evidence, Kind, Level, Needs, Task
from openfusion_auto.core.wording import Hits, Words, find_hits, merge, tokenise

MAX_EVIDENCE = 12  # the strongest ones; a trace is read by people
CODE_WEIGHT = 0.8  # a word in code pasted under the question
PROPOSAL_WEIGHT = 0.5  # a word of the assistant's proposal that was agreed to


class Verdict(NamedTuple):
    """The three readings and what they rest on."""

    kind: Kind
    risk: Level
    complexity: Level
    evidence: tuple[Evidence, ...]


def classify(facts: Facts) -> Verdict:
    """Judge what was read. Pure; equal facts give equal verdicts, evidence included."""
    words, hits = _NO_WORDS, _NO_HITS
    kind: Kind
    if facts.aux is not None:
        kind, notes = "aux", [Evidence(f"kind.aux.{facts.aux.name}", 5.0, facts.aux.why)]
    elif facts.closing:
        kind, notes = "chat", [Evidence("kind.chat.closing", 5.0, "closes the task")]
    else:
        words = tokenise(facts.words)
        hits = find_hits(words, facts.words.lower())
        kind, notes = read_kind(facts, words, hits)
        if facts.proposal and kind in ("explain", "chat"):
            kind, notes = _agreed_kind(facts, kind, notes)
        hits = _with_others(facts, kind, hits)
    risk, risk_notes = read_risk(facts, kind, words, hits)
    complexity, complexity_notes = read_complexity(facts, kind, words, hits)
    evidence = sorted(
        (*notes, *risk_notes, *complexity_notes), key=lambda e: (-abs(e.points), e.signal, e.why)
    )
    return Verdict(kind, risk, complexity, tuple(evidence[:MAX_EVIDENCE]))


_NO_WORDS = Words([], [], [], [])
_NO_HITS: Hits = {}


def _agreed_kind(facts: Facts, kind: Kind, notes: list[Evidence]) -> tuple[Kind, list[Evidence]]:
    """A question answered with an offer that is accepted becomes the offer."""
    words = tokenise(_OFFER_HEAD.sub("", facts.proposal))
    offered, why = read_kind(facts, words, find_hits(words, facts.proposal))
    return (kind, notes) if offered in ("explain", "chat") else (offered, why)


_OFFER_HEAD = re.compile(
    r"^(?:shall i|should i|want me to|would you like me to|do you want me to|i can|i could)\s+(?:also )?"
)


def _with_others(facts: Facts, kind: Kind, hits: Hits) -> Hits:
    """Add what speaks from beside the words: code that is to be judged, the proposal agreed to.

    Code that is to be mended is left out: its names (a ledger, rows, a token) say little about what is at stake.
    """
    if facts.code and kind == "review":
        words = tokenise(facts.code)
        plain = words._replace(weights=[1.0] * len(words.texts))
        found = find_hits(plain, "", CODE_WEIGHT).get("risk", {})
        hits = merge(hits, {"risk": {g: h for g, h in found.items() if h.points > 0}})
    if facts.proposal:
        hits = merge(hits, find_hits(tokenise(facts.proposal), facts.proposal, PROPOSAL_WEIGHT))
    return hits


def read(prompt: Prompt, *, role: str | None = None, only: tuple[str, ...] = ()) -> Task:
    """Read a request into a `Task`. Pure, bounded, never raises.

    Args:
        prompt: The request, from any surface.
        role: The role that the model name asked for (`openfusion/<role>`), or None.
        only: Candidate ids that the choice is restricted to; empty = all.
    """
    facts = read_facts(prompt)
    verdict = classify(facts)
    return Task(
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
