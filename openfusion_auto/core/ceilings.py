"""How long answers may be, by who reads them: filled in, clamped, or refused.

A client that states no bound gets the answer's ceiling, one that states more is refused: an answer must not end earlier
than its client was told. Calls behind the answer are clamped without a word. Members of a panel have a ceiling of their
own; what one of them writes may become the answer, and then says that it was cut.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from openfusion_auto.core.prompt import Prompt
from openfusion_auto.errors import BadRequest

MEMBERS = ("member", "revision")
# Phases whose text is the client's answer; all others but the members' write verdicts and notes.
ANSWERS = ("primary", "mend", "synthesis", "escalation", "final", "hedge")


@dataclass(frozen=True, slots=True)
class Ceilings:
    """Longest answers [tokens], None = no ceiling: of the client's answer, of a member, of a verdict or a note."""

    answer: int | None = None
    member: int | None = None
    check: int | None = None

    def admitted(self, prompt: Prompt) -> Prompt:
        """Return a client's prompt with a bound inside the ceiling.

        Raises:
            BadRequest: it asks for more.
        """
        asked, most = prompt.max_output_tokens, self.answer
        if most is None or (asked is not None and asked <= most):
            return prompt
        if asked is None:
            return bounded(prompt, most)
        raise BadRequest(
            f"{asked} tokens of output are more than this server allows: {most}. Ask for at most {most}, "
            "or leave the bound out. The operator sets it as max_tokens.answer.",
            param="max_output_tokens" if prompt.dialect == "responses" else "max_tokens",
            code="max_tokens_too_large",
        )

    def clamped(self, phase: str, prompt: Prompt) -> Prompt:
        """Return the prompt of an inner call with a bound inside the ceiling of its phase."""
        most = self.of(phase)
        asked = prompt.overrides.get("max_tokens", prompt.max_output_tokens)
        if most is None or (isinstance(asked, int) and asked <= most):
            return prompt
        return bounded(prompt, most)

    def of(self, phase: str) -> int | None:
        """Return the ceiling of a call; the client's answer was bounded when its request came in."""
        if phase in MEMBERS:
            return self.member
        return None if phase in ANSWERS else self.check


def bounded(prompt: Prompt, most: int) -> Prompt:
    """Return a prompt whose answer is at most so long [tokens]."""
    changed = prompt.extend(stream=prompt.stream, max_completion_tokens=None, max_tokens=most)
    return replace(changed, max_output_tokens=most, web=prompt.web)
