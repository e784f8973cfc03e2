"""Several models answer independently; one answer is picked, or, where the judge names a defect, written anew.

Evidence decides the defaults (`docs/explanation/modes.md`): picking beats synthesising without new evidence, so a
synthesis is asked for only when the judge names a concrete defect in the best answer (aggregator `auto`) or the
request wants it (`judge`). Tool calls are never rewritten: the emitted ones are one member's, byte for byte.
Members do not see each other. A panel degrades: to the members that came, to the best-ranked one without a judge.
"""

from __future__ import annotations

import hashlib
from collections import Counter

from openfusion_auto.core import checks
from openfusion_auto.core.prompt import Answer, Prompt
from openfusion_auto.core.recipes import Ask, Gather, Outcome, Reply, Step, prompts
from openfusion_auto.core.types import Decision
from openfusion_auto.errors import FusionError, UpstreamError

QUORUM = 2  # answers with which a panel can decide; the others get the grace time
GRACE_S = 20.0  # [s] for stragglers once the quorum is there


def panel(prompt: Prompt, decision: Decision) -> Step:
    """Gather, pick, and write anew only when that is worth it."""
    steps = {s.phase: s for s in decision.plan.steps}
    members = [s for s in decision.plan.steps if s.phase == "member"]
    asks = tuple(Ask("member", s.candidates, prompt) for s in members)
    replies = yield Gather(asks, min(QUORUM, len(asks)), GRACE_S)
    good = usable(prompt, replies)
    notes = tuple(f"{r.candidate}: {r.error.code}" for r in replies if r.error is not None)
    if not good:
        return Outcome("member", "", None, all_failed(replies), notes)
    if len(good) == 1:
        only = good[0]
        return Outcome(
            "member", only[0], only[1], notes=(*notes, "one usable answer: taken as it is")
        )
    agreed = agreement(good)
    if agreed is not None or decision.aggregator == "vote":
        winner = agreed or good[0]
        said = "members agree" if agreed else "no majority: the best-ranked member's answer"
        return Outcome("member", winner[0], winner[1], notes=(*notes, said))
    shuffled = blind_order(good)
    answers = tuple(a for _, a in shuffled)
    (judged,) = yield Ask("judge", steps["judge"].candidates, prompts.judgement(prompt, answers))
    pick = None if judged.answer is None else prompts.read_pick(judged.answer.text, len(answers))
    if pick is None:
        said = "the judge failed: the best-ranked member's answer"
        return Outcome("member", good[0][0], good[0][1], notes=(*notes, said))
    best, answer = shuffled[pick.best]
    notes = (*notes, f"{judged.candidate} picked {best}")
    if not wants_synthesis(prompt, decision, answers, pick):
        return Outcome("member", best, answer, notes=notes)
    asked = prompts.synthesis(prompt, answers, pick.best + 1, pick.defect)
    writers = tuple(dict.fromkeys((best, *steps["synthesis"].candidates)))
    (written,) = yield Ask("synthesis", writers, asked, final=True)
    if written.answer is None:
        return Outcome(
            "member", best, answer, notes=(*notes, "the synthesis failed: the pick was kept")
        )
    said = f"written anew by {written.candidate}" + (" for a named defect" if pick.defect else "")
    return Outcome("synthesis", written.candidate, written.answer, notes=(*notes, said))


def usable(prompt: Prompt, replies: tuple[Reply, ...]) -> list[tuple[str, Answer]]:
    """Return the answers without findings by form, in rank order; those with findings only when there is no other."""
    came = [(r.candidate, r.answer) for r in replies if r.answer is not None]
    sound = [(c, a) for c, a in came if not checks.findings(prompt, a)]
    return sound or [(c, a) for c, a in came if not a.tool_calls and a.text.strip()]


def agreement(good: list[tuple[str, Answer]]) -> tuple[str, Answer] | None:
    """Return the best-ranked answer of a majority that proposes the same tool calls, or says the same text."""
    keys = [checks.canonical_calls(a) or " ".join(a.text.split()) for _, a in good]
    key, count = Counter(keys).most_common(1)[0]
    return good[keys.index(key)] if count * 2 > len(keys) else None


def blind_order(good: list[tuple[str, Answer]]) -> list[tuple[str, Answer]]:
    """Return the answers in an order that rank does not decide, the same for the same answers: a judge favours
    places, and the best-ranked member must not always stand first."""
    return sorted(
        good, key=lambda ca: hashlib.sha256(ca[1].text.encode("utf-8", "surrogatepass")).digest()
    )


def wants_synthesis(
    prompt: Prompt, decision: Decision, answers: tuple[Answer, ...], pick: prompts.Pick
) -> bool:
    """Whether a final answer is to be written: never over tool calls or a demanded form, else as asked or for a
    named defect."""
    if any(a.tool_calls for a in answers) or prompt.shape != "text" or prompt.n > 1:
        return False
    if decision.aggregator == "judge":
        return True
    return decision.aggregator == "auto" and pick.defect is not None


def all_failed(replies: tuple[Reply, ...]) -> FusionError:
    """Return the error for a panel without any usable answer: the common one, or a list of reasons."""
    errors = [r.error for r in replies if r.error is not None]
    if errors and len(errors) == len(replies) and len({type(e) for e in errors}) == 1:
        return errors[0]
    reasons = "; ".join(
        f"{r.candidate}: {r.error.code if r.error else 'no usable answer'}" for r in replies
    )
    return UpstreamError(f"no member of the panel gave a usable answer ({reasons})")
