"""How one client's answers are written: its dialect, with what only its own request knows.

Which tools are free text, which live in a namespace, whether thinking was asked for, under which id and numbering a
stream goes on when an attempt takes over from another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from openfusion_auto.core.prompt import Answer, Delta, Prompt, Usage
from openfusion_auto.wire.codec import CODECS, Writer, custom_names, with_custom

NO_OPENING: Callable[[str], bytes] = lambda _model: b""  # noqa: E731 - a value, not a function of its own


@dataclass(frozen=True, slots=True)
class Telling:
    """Writers and bodies for one request.

    Attributes:
        writer: Makes the writer of an attempt: `writer(guarded=..., model=...)`.
        opening: Returns what may be sent before any attempt, so that a client that waits for events stays; `b""`
            where the dialect has nothing of the kind.
    """

    prompt: Prompt
    writer: Callable[..., Writer]
    render: Callable[..., bytes]
    opening: Callable[[str], bytes] = NO_OPENING

    def body(
        self,
        answer: Answer,
        trace: Mapping[str, object] | None,
        *,
        model: str,
        usage: Usage | None,
        answer_id: str,
        created: int,
    ) -> bytes:
        """Return the body that the client gets for an answer of any dialect."""
        if answer.dialect != self.prompt.dialect:
            answer = with_custom(answer, custom_names(self.prompt))
        return self.render(
            answer, trace, model=model, usage=usage, answer_id=answer_id, created=created
        )


def telling(prompt: Prompt, *, answer_id: str, created: int) -> Telling:
    """Return how answers to `prompt` are written."""
    codec = CODECS[prompt.dialect]
    custom = custom_names(prompt)
    match prompt.dialect:
        case "chat":
            if "functions" in prompt.body:
                return _with_functions(prompt, answer_id, custom)
            made = partial(
                codec.Writer, include_usage=prompt.include_usage, custom=custom, answer_id=answer_id
            )
            return Telling(prompt, made, codec.render_answer)
        case "messages":
            from openfusion_auto.wire import messages

            wants = messages.wants_reasoning(prompt)
            return Telling(
                prompt,
                partial(messages.Writer, answer_id=answer_id, reasoning=wants),
                partial(messages.render_answer, reasoning=wants),
            )
        case "responses":
            from openfusion_auto.wire import responses

            tools, echo = responses.client_tools(prompt), responses.echo_of(prompt)
            head = responses.Head(answer_id, created)
            writer = partial(responses.Writer, custom=custom, tools=tools, echo=echo, head=head)
            return Telling(
                prompt,
                writer,
                partial(responses.render_answer, tools=tools, echo=echo),
                lambda model: writer(guarded=True).open(model),
            )


def _with_functions(prompt: Prompt, answer_id: str, custom: frozenset[str]) -> Telling:
    """Return how answers are written for a chat client that may speak chat's first way of calling."""
    from openfusion_auto.wire import chat_legacy as legacy
    from openfusion_auto.wire.chat_answer import render_answer
    from openfusion_auto.wire.chat_writer import ChatWriter

    made = partial(
        ChatWriter, include_usage=prompt.include_usage, custom=custom, answer_id=answer_id
    )
    if not legacy.is_legacy(prompt.body):
        return Telling(prompt, made, render_answer)
    return Telling(
        prompt,
        lambda **more: legacy.LegacyWriter(made(**more)),
        lambda *args, **more: legacy.legacy_body(render_answer(*args, **more)),
    )


def stream_of(answer: Answer) -> tuple[Delta, ...]:
    """Return an answer as the deltas of a stream, its own where it came as one."""
    return answer.deltas or CODECS[answer.dialect].deltas_of(answer)
