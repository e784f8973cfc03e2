"""The Chat Completions dialect, whole: what a surface and an upstream of it need, in one place."""

from __future__ import annotations

from openfusion_auto.core.prompt import Prompt
from openfusion_auto.errors import FusionError
from openfusion_auto.wire.chat_answer import read_answer, read_usage, render_answer
from openfusion_auto.wire.chat_foreign import render_foreign
from openfusion_auto.wire.chat_reader import ChatReader as Reader
from openfusion_auto.wire.chat_request import parse_request, splice_request
from openfusion_auto.wire.chat_request import render_request as _render_own
from openfusion_auto.wire.chat_stream import deltas_of
from openfusion_auto.wire.chat_writer import ChatWriter as Writer
from openfusion_auto.wire.errors import openai_error
from openfusion_auto.wire.rendered import Rendered

__all__ = [
    "Reader",
    "Writer",
    "deltas_of",
    "error_body",
    "parse_request",
    "read_answer",
    "read_usage",
    "render_answer",
    "render_request",
    "splice_request",
]


def render_request(prompt: Prompt, model: str) -> Rendered:
    """Return a prompt of any dialect as a chat request; one that came as chat loses nothing.

    Raises:
        BadRequest: a part that chat cannot hold.
    """
    if prompt.dialect == "chat":
        return Rendered(_render_own(prompt, model))
    return render_foreign(prompt, model)


def error_body(
    error: FusionError,
    request_id: str,  # noqa: ARG001 - other dialects name it in the body, chat in a header alone
) -> dict[str, object]:
    """Return the error as OpenAI's API shows one."""
    return openai_error(error)
