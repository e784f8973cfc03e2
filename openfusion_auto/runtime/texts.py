"""The words of a request and of its answers: kept with its trace only where the operator asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from openfusion_auto.core.prompt import Answer, Prompt
from openfusion_auto.core.recipes import Deliberation
from openfusion_auto.store.base import folded

MOST_CHARS = 50_000  # [characters] of one text; the rest is cut off, which is said
MOST_ANSWERS = 32  # of one request


@dataclass(frozen=True, slots=True)
class Said:
    """What one call came to; `cut` says that it was longer than `MOST_CHARS`."""

    phase: str
    candidate: str
    text: str
    cut: bool = False


@dataclass(slots=True)
class Texts:
    """The last words of the client's, and what each call answered, in the order in which the answers were whole.

    `analysis` is the judge's comparison of a panel's answers, where the request asked for one.
    """

    asked: str
    cut: bool = False
    answers: list[Said] = field(default_factory=list)
    analysis: Mapping[str, list[object]] | None = None

    def answered(self, phase: str, candidate: str, answer: Answer) -> None:
        """Enter an answer."""
        if len(self.answers) < MOST_ANSWERS:
            text = answer.text
            said = Said(phase, candidate, text[:MOST_CHARS], len(text) > MOST_CHARS)
            self.answers.append(said)

    def words(self) -> str:
        """Return all that was asked and answered, `folded`: what a trace is searched for."""
        return folded("\n".join((self.asked, *(said.text for said in self.answers))))

    def heard(self, told: Deliberation | None) -> None:
        """Enter what a panel's answers have in common."""
        if told is not None:
            self.analysis = told.analysis


def texts_of(prompt: Prompt) -> Texts:
    """Return what a request says last in a person's (or an agent's) own words; nothing has been answered yet."""
    last = next((m for m in reversed(prompt.messages) if m.role == "user" and m.text), None)
    text = last.text if last is not None else ""
    return Texts(text[:MOST_CHARS], len(text) > MOST_CHARS)
