"""One model answers, a check follows, and only a rejected answer is mended, once.

Order: the free checks (`core/checks`); when they are silent, a verifier model; when either finds something, one
mend with the findings. An accepted answer is delivered as it was written. A check that fails to run accepts: it
may cost the chance to mend, never the answer.
"""

from __future__ import annotations

from openfusion_auto.core import checks
from openfusion_auto.core.prompt import Answer, Message, Part, Prompt
from openfusion_auto.core.recipes import Ask, Outcome, Step, prompts
from openfusion_auto.core.types import Decision


def verify(prompt: Prompt, decision: Decision) -> Step:
    """Answer, check, mend at most once."""
    steps = {s.phase: s for s in decision.plan.steps}
    (first,) = yield Ask("primary", steps["primary"].candidates, prompt)
    if first.answer is None:
        return Outcome("primary", first.candidate, None, first.error)
    found = checks.findings(prompt, first.answer)
    note = "free checks: " + ("; ".join(found) if found else "nothing found")
    if not found:
        if first.answer.tool_calls:
            # A call in an agent's loop shows its worth when it runs; the terminal answer is what gets read.
            return Outcome(
                "primary",
                first.candidate,
                first.answer,
                notes=(note, "tool call: accepted by form"),
            )
        checkers = tuple(c for c in steps["verify"].candidates if c != first.candidate)
        checkers = checkers or steps["verify"].candidates
        asked = prompts.verification(prompt, first.answer)
        (check,) = yield Ask("verify", checkers, asked)
        if check.answer is None:
            said = "the verifier failed: accepted unverified"
            return Outcome("primary", first.candidate, first.answer, notes=(note, said))
        verdict = prompts.read_verdict(check.answer.text)
        if verdict is None:
            said = f"{check.candidate} gave no readable verdict: accepted unverified"
            return Outcome("primary", first.candidate, first.answer, notes=(note, said))
        if verdict.accepted:
            said = f"{check.candidate} accepted"
            return Outcome("primary", first.candidate, first.answer, notes=(note, said))
        found, note = (
            verdict.findings,
            f"{check.candidate} rejected ({len(verdict.findings)} findings)",
        )
    (mended,) = yield Ask(
        "mend", steps["mend"].candidates, mend(prompt, first.answer, found), final=True
    )
    if mended.answer is None:
        return Outcome(
            "primary",
            first.candidate,
            first.answer,
            notes=(note, "the mend failed: first answer kept"),
        )
    return Outcome(
        "mend", mended.candidate, mended.answer, notes=(note, f"mended by {mended.candidate}")
    )


def mend(prompt: Prompt, draft: Answer, found: tuple[str, ...]) -> Prompt:
    """Return the prompt for the one mend: the conversation, the draft, the findings."""
    said = draft.text or "(no usable answer)"
    return prompt.extend(
        Message("assistant", (Part("text", said),)),
        Message("user", (Part("text", prompts.mend_request(found)),)),
        stream=prompt.stream,
    )
