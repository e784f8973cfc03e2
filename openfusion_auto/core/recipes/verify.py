"""One model answers, a check follows, and only a rejected answer is mended, once.

Order: the free checks (`core/checks`); when they are silent, a verifier model; when either finds something, one
mend with the findings. An accepted answer is delivered as it was written. A check that fails to run accepts: it
may cost the chance to mend, never the answer.
"""

from __future__ import annotations

from collections.abc import Generator

from openfusion_auto.core import actions, checks
from openfusion_auto.core.prompt import Answer, Message, Part, Prompt
from openfusion_auto.core.recipes import Ask, Gather, Outcome, Reply, Step, prompts
from openfusion_auto.core.types import Decision

# What a verifier came to: the note for the trace, and its findings; none = accepted.
Verified = Generator[Ask | Gather, tuple[Reply, ...], tuple[str, tuple[str, ...]]]


def verify(prompt: Prompt, decision: Decision) -> Step:
    """Answer, check, mend at most once."""
    steps = {s.phase: s for s in decision.plan.steps}
    (first,) = yield Ask("primary", steps["primary"].candidates, prompt)
    if first.answer is None:
        return Outcome("primary", first.candidate, None, first.error)
    found = checks.findings(prompt, first.answer)
    notes: tuple[str, ...] = ("free checks: " + ("; ".join(found) if found else "nothing found"),)
    if not found:
        destroys = destructive(first.answer) if decision.hold else ()
        if first.answer.tool_calls and not destroys:
            # A call in an agent's loop shows its worth when it runs; the terminal answer is what gets read.
            notes = (*notes, "tool call: accepted by form")
            return Outcome("primary", first.candidate, first.answer, None, notes)
        note, found = yield from verified(prompt, first, steps["verify"].candidates)
        notes = (*notes, *destroys, note)
    if not found:
        return Outcome("primary", first.candidate, first.answer, None, notes)
    return (yield from mended(prompt, first, found, steps["mend"].candidates, notes))


def held(prompt: Prompt, decision: Decision) -> Step:
    """Answer; only calls that destroy something are held for a verifier, and answered anew when it rejects them."""
    steps = {s.phase: s for s in decision.plan.steps}
    (first,) = yield Ask("primary", steps["primary"].candidates, prompt)
    destroys = destructive(first.answer) if first.answer is not None else ()
    if first.answer is None or not destroys or "verify" not in steps:
        return Outcome("primary", first.candidate, first.answer, first.error)
    note, found = yield from verified(prompt, first, steps["verify"].candidates)
    notes = (*destroys, note)
    if not found:
        return Outcome("primary", first.candidate, first.answer, None, notes)
    return (yield from mended(prompt, first, found, steps["mend"].candidates, notes))


def destructive(answer: Answer) -> tuple[str, ...]:
    """Return a note for each tool call that destroys something (`actions.py`): never the command itself."""
    found = [d for c in answer.tool_calls for d in actions.of_call(c.name, c.arguments)]
    names = dict.fromkeys(d.name for d in found if d.risk == "high")
    return tuple(f"held for a verifier: {name}" for name in names)


def verified(prompt: Prompt, first: Reply, candidates: tuple[str, ...]) -> Verified:
    """Ask a verifier, another one than who answered where there is one."""
    checkers = tuple(c for c in candidates if c != first.candidate) or candidates
    asked = prompts.verification(prompt, first.answer or Answer())
    (check,) = yield Ask("verify", checkers, asked)
    if check.answer is None:
        return "the verifier failed: accepted unverified", ()
    verdict = prompts.read_verdict(check.answer.text)
    if verdict is None:
        return f"{check.candidate} gave no readable verdict: accepted unverified", ()
    if verdict.accepted:
        return f"{check.candidate} accepted", ()
    return f"{check.candidate} rejected ({len(verdict.findings)} findings)", verdict.findings


def mended(
    prompt: Prompt,
    first: Reply,
    found: tuple[str, ...],
    candidates: tuple[str, ...],
    notes: tuple[str, ...],
) -> Step:
    """Have a rejected answer written again, once; what came first is kept when that fails."""
    asked = mend(prompt, first.answer or Answer(), found)
    (again,) = yield Ask("mend", candidates, asked, final=True)
    if again.answer is None:
        notes = (*notes, "the mend failed: first answer kept")
        return Outcome("primary", first.candidate, first.answer, None, notes)
    notes = (*notes, f"mended by {again.candidate}")
    return Outcome("mend", again.candidate, again.answer, None, notes)


def mend(prompt: Prompt, draft: Answer, found: tuple[str, ...]) -> Prompt:
    """Return the prompt for the one mend: the conversation, the draft, the findings."""
    return prompt.extend(
        Message("assistant", (Part("text", prompts.as_text(draft) or "(no usable answer)"),)),
        Message("user", (Part("text", prompts.mend_request(found)),)),
        stream=prompt.stream,
    )
