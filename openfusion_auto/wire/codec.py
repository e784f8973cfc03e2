"""What every dialect offers, and where to find it: `CODECS["chat"].parse_request(raw)`.

A codec is a module (`wire/chat.py`, `wire/responses.py`, `wire/messages.py`) with the names below. It is
imported when it is first asked for: a router that speaks one dialect never loads the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple, Protocol

from openfusion_auto.core.prompt import Answer, Delta, Dialect, Prompt, Usage
from openfusion_auto.errors import FusionError
from openfusion_auto.wire.chat_answer import read_bill
from openfusion_auto.wire.chat_tools import as_custom
from openfusion_auto.wire.jsons import BOM, JsonError, as_object, loads
from openfusion_auto.wire.rendered import Rendered


class Reader(Protocol):
    """Reads an upstream's stream: bytes in whatever pieces, deltas of the dialect out."""

    def feed(self, data: bytes) -> list[Delta]:
        """Return the deltas of the events that `data` completes."""
        ...

    def close(self) -> list[Delta]:
        """Return what the end of the input means: `done` after a finished answer, else an error."""
        ...

    def answer(self) -> Answer:
        """Return what was said so far."""
        ...


class Writer(Protocol):
    """Writes one attempt's deltas, of any dialect, as the client's stream."""

    @property
    def started(self) -> bool:
        """Whether content has been given out: then there is no other candidate for this answer."""
        ...

    def write(self, delta: Delta) -> bytes:
        """Return what the client gets now. Raises `UpstreamBroken` for an error or a cut tool call."""
        ...

    def finish(self, trace: Mapping[str, object] | None, usage: Usage | None) -> bytes:
        """Return the end of the stream with the trace on it. Raises `UpstreamBroken` without a finish."""
        ...

    def fail(self, error: FusionError) -> bytes:
        """Return the dialect's failure event; nothing follows it."""
        ...

    def keep_alive(self) -> bytes:
        """Return what keeps the client waiting."""
        ...


class MakeReader(Protocol):
    """Makes the reader of one stream; `keep` keeps the deltas for `answer()`, `seed` tells its answer from others."""

    def __call__(self, *, keep: bool = True, seed: str = "") -> Reader:
        """Return a reader."""
        ...


class MakeWriter(Protocol):
    """Makes the writer of one attempt.

    `include_usage`: the client asked for usage. `guarded`: hold tool calls until they are whole. `model`: the name to
    show, None for the upstream's. `custom`: the client's free-text tools (`custom_names`). `answer_id`: the id of what
    is made here, "" for the upstream's. A dialect's own writer may take more.
    """

    def __call__(
        self,
        *,
        include_usage: bool,
        guarded: bool,
        model: str | None = None,
        custom: frozenset[str] = frozenset(),
        answer_id: str = "",
    ) -> Writer:
        """Return a writer."""
        ...


class Codec(Protocol):
    """One dialect, both as a surface and as an upstream's."""

    @property
    def Reader(self) -> MakeReader:  # noqa: N802 - a class in the dialect's module
        """The reader's class."""
        ...

    @property
    def Writer(self) -> MakeWriter:  # noqa: N802 - a class in the dialect's module
        """The writer's class."""
        ...

    def parse_request(self, raw: bytes, headers: Mapping[str, str] = ...) -> Prompt:
        """Return the prompt that a client's body holds. Raises `BadRequest` and its kind alone."""
        ...

    def splice_request(self, prompt: Prompt, model: str, *, most: int | None = None) -> bytes:
        """Return the client's own bytes for an upstream of the same dialect, the model's name put in.

        A bound of the answer over `most` [tokens], the model's own, comes down to it.
        """
        ...

    def render_request(self, prompt: Prompt, model: str) -> Rendered:
        """Return a prompt of any dialect in this one. Raises `BadRequest` for what cannot be dropped."""
        ...

    def read_answer(self, raw: bytes, *, seed: str = "") -> Answer:
        """Return the answer that a body holds; `seed` as a reader's. Raises `UpstreamError` for anything else."""
        ...

    def read_usage(self, value: object) -> Usage | None:
        """Return reported tokens; None when `value` is no usage."""
        ...

    def render_answer(
        self,
        answer: Answer,
        trace: Mapping[str, object] | None,
        *,
        model: str,
        usage: Usage | None,
        answer_id: str,
        created: int,
    ) -> bytes:
        """Return the body that the client gets for an answer of any dialect.

        A body of this dialect is given back as it came, with `openfusion` put in before its last brace, wherever that
        will do.

        Args:
            answer: What a model answered; with `raw` (and `data`) cleared, what a recipe made.
            trace: The field `openfusion`; None leaves it out.
            model: Name for an answer that is built here; a body that came keeps its own.
            usage: Sum of all calls of the request; None leaves the answer's own.
            answer_id: Id for an answer that is built here.
            created: Time for an answer that is built here [s since 1970].
        """
        ...

    def deltas_of(self, answer: Answer) -> tuple[Delta, ...]:
        """Return a whole answer as a stream of this dialect."""
        ...

    def error_body(self, error: FusionError, request_id: str) -> Mapping[str, object]:
        """Return an error in the dialect's shape."""
        ...


def _chat() -> Codec:
    from openfusion_auto.wire import chat

    return chat


def _responses() -> Codec:
    from openfusion_auto.wire import responses

    return responses


def _messages() -> Codec:
    from openfusion_auto.wire import messages

    return messages


_LOADERS: Mapping[Dialect, Callable[[], Codec]] = {
    "chat": _chat,
    "responses": _responses,
    "messages": _messages,
}


class _Codecs(Mapping[Dialect, Codec]):
    """The codecs by dialect, each imported when it is first asked for."""

    def __init__(self) -> None:
        self._loaded: dict[Dialect, Codec] = {}

    def __getitem__(self, dialect: Dialect) -> Codec:
        found = self._loaded.get(dialect)
        if found is None:
            found = self._loaded[dialect] = _LOADERS[dialect]()
        return found

    def __iter__(self) -> Iterator[Dialect]:
        return iter(_LOADERS)

    def __len__(self) -> int:
        return len(_LOADERS)


CODECS: Mapping[Dialect, Codec] = _Codecs()
_ANSWERS = ("choices", "output", "content")  # where an answer stands in a body, by dialect


class Told(NamedTuple):
    """What a body tells of its call: the tokens, the bill [USD], and how many of its bytes a model may have written.

    None = not told. An error page, or an error alone, is nobody's writing.
    """

    usage: Usage | None
    billed_usd: float | None
    size: int


def told_of(codec: Codec, raw: bytes) -> Told:
    """Return what a whole body tells that holds no answer."""
    try:
        data = as_object(loads(raw.removeprefix(BOM))) or {}
    except JsonError:
        cut = raw.removeprefix(BOM).lstrip().startswith(b"{")
        return Told(None, None, len(raw) if cut else 0)
    reported = data.get("usage")
    size = len(raw) if any(data.get(held) for held in _ANSWERS) else 0
    return Told(codec.read_usage(reported), read_bill(reported), size)


def custom_names(prompt: Prompt) -> frozenset[str]:
    """Return the names of a client's free-text tools, for the writer of its answer."""
    return frozenset(tool.name for tool in prompt.tools if tool.kind == "custom")


def with_custom(answer: Answer, custom: frozenset[str]) -> Answer:
    """Return an answer of another dialect with calls of the client's free-text tools as custom calls.

    To be done before `render_answer` and `deltas_of` of the client's dialect; its own answers have them already.
    """
    calls = as_custom(answer.tool_calls, custom)
    return answer if calls == answer.tool_calls else replace(answer, tool_calls=calls)
