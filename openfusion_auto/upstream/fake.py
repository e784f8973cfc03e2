"""An upstream without a network: what `--dry-run` answers with, and a test double for anyone.

`FakeUpstream()` answers every chat request by itself and says that no model was called. `FakeUpstream([...])` plays
a script of `Reply`s in order; `FakeUpstream(function)` asks a function for each. The same request gives the same
bytes in any process: ids come from a hash of the body, `created` is 0, and nothing waits unless a `sleep` is given.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import NoReturn

from openfusion_auto.core.prompt import Dialect, ToolCall, Usage
from openfusion_auto.errors import (
    FusionError,
    InternalError,
    UpstreamBroken,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from openfusion_auto.upstream.base import Call
from openfusion_auto.upstream.dry_run import dry_run_reply
from openfusion_auto.upstream.minimal import as_mapping
from openfusion_auto.upstream.reply import Reply, made_id

CHUNK_CHARS = 24  # [characters] a chunk of text; about what providers send at once
MAX_CHOICES = 128  # the API's own bound of `n`
DONE = b"data: [DONE]\n\n"


class FakeUpstream:
    """An `Upstream` that answers from memory. See the module's docstring.

    Attributes:
        calls: Every call, in order, as it was sent.
        open_now: Calls whose answer has neither ended nor been closed.
        cancelled: Calls that were given up before their end: cancelled in `open`, or closed too early.
    """

    def __init__(
        self,
        script: Sequence[Reply] | Callable[[dict[str, object]], Reply] | None = None,
        *,
        name: str = "fake",
        sleep: Callable[[float], Awaitable[None]] | None = None,
        silence_s: float | None = None,
        now_s: float = 0.0,
    ) -> None:
        """Take the script and the means to wait.

        Args:
            script: Replies in order, a function of the request's body, or None for dry-run answers.
            name: The upstream's name.
            sleep: Waits [s]; None: no reply may wait.
            silence_s: A hanging reply ends in `UpstreamTimeout` after that time [s]; None: never.
            now_s: Epoch time at which a `Retry-After` date is read [s].

        Raises:
            ValueError: the script or `silence_s` needs a `sleep` and there is none.
        """
        self.name = name
        self.dialect: Dialect = "chat"
        self.calls: list[Call] = []
        self.open_now = 0
        self.cancelled = 0
        self._ask = script if callable(script) or script is None else None
        self._script = iter(()) if callable(script) or script is None else iter(tuple(script))
        self._scripted = script is not None
        self._sleep = sleep
        self._silence_s = silence_s
        self._now_s = now_s
        self._closed = asyncio.Event()
        replies = [] if callable(script) or script is None else script
        if sleep is None and (silence_s is not None or any(r.waits for r in replies)):
            raise ValueError("a script that waits needs `sleep`")

    async def open(self, call: Call) -> FakeAnswer:
        """Play the next reply up to its head; `UpstreamError` and `InternalError` as the script says."""
        self.calls.append(call)
        self.open_now += 1
        try:
            return await self._head(call)
        except BaseException as error:
            self.open_now -= 1
            self.cancelled += isinstance(error, asyncio.CancelledError)
            raise

    async def close(self) -> None:
        """End every silence with `UpstreamUnreachable`."""
        self._closed.set()

    async def _head(self, call: Call) -> FakeAnswer:
        body = _read(call.body)
        if body is None:
            raise _failure(400, {}, _error("the body is no JSON object"), self._now_s)
        reply = self._next(body, call)
        if reply.delay_s > 0:
            await self.wait(reply.delay_s)
        if reply.hang and reply.cut_after is None:
            await self.silence(self._closed)
        if reply.status != 200:
            said = _error(reply.text or "scripted failure") if reply.raw is None else reply.raw
            raise _failure(reply.status, reply.headers, said, self._now_s)
        return FakeAnswer(self, reply, call.stream, _pieces(reply, call, body))

    def _next(self, body: dict[str, object], call: Call) -> Reply:
        if self._ask is not None:
            return self._ask(body)
        if not self._scripted:
            return dry_run_reply(body, call.body)
        reply = next(self._script, None)
        if reply is None:
            msg = (
                f"the script of upstream {self.name!r} is over; call {len(self.calls)} has no reply"
            )
            raise InternalError(msg)
        return reply

    async def wait(self, seconds: float) -> None:
        """Wait through the given `sleep` [s]; ValueError when there is none."""
        if self._sleep is None:
            raise ValueError("a reply that waits needs `sleep`")
        await self._sleep(seconds)

    async def silence(self, closed: asyncio.Event) -> NoReturn:
        """Say nothing until `silence_s` is over (`UpstreamTimeout`) or `closed` (`UpstreamUnreachable`)."""
        if self._silence_s is None:
            await closed.wait()
            raise UpstreamUnreachable("The connection was closed while the upstream was silent.")
        await self.wait(self._silence_s)
        raise UpstreamTimeout(f"The upstream was silent for {self._silence_s:g} s.")

    def ended(self, *, early: bool) -> None:
        """Count one answer as over; `early` when its reader gave it up."""
        self.open_now -= 1
        self.cancelled += early


class FakeAnswer:
    """An opened answer of the fake: an `Opened`."""

    def __init__(
        self, owner: FakeUpstream, reply: Reply, stream: bool, pieces: Iterator[bytes]
    ) -> None:
        usual = "text/event-stream" if stream else "application/json"
        self.content_type = (
            reply.headers.get("content-type", usual).partition(";")[0].strip().lower()
        )
        self._owner = owner
        self._reply = reply
        self._pieces = pieces
        self._closed = asyncio.Event()
        self._over = False

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body; `UpstreamBroken` where the script cuts it or when it was closed meanwhile."""
        for sent, piece in enumerate(self._pieces):
            if sent == self._reply.cut_after:
                break
            if sent and self._reply.chunk_delay_s > 0:
                await self._owner.wait(self._reply.chunk_delay_s)
            if self._closed.is_set():
                raise UpstreamBroken("The answer was closed while it was read.")
            yield piece
        if self._reply.cut_after is None:
            self._end(early=False)
            return
        if self._reply.hang:
            await self._owner.silence(self._closed)
        self._end(early=False)
        raise UpstreamBroken("The upstream's connection broke inside the answer.")

    async def close(self) -> None:
        """Give the answer up, or nothing when it is over."""
        self._closed.set()
        self._end(early=True)

    def _end(self, *, early: bool) -> None:
        if not self._over:
            self._over = True
            self._owner.ended(early=early)


def _failure(status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> FusionError:
    from openfusion_auto.wire.errors import upstream_failure

    return upstream_failure(status, headers, body, now_s)


def _error(message: str) -> bytes:
    return _dumps({"error": {"message": message, "type": None, "param": None, "code": None}})


def _read(raw: bytes) -> dict[str, object] | None:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _dumps(value: object) -> bytes:
    # ASCII: a scripted text may hold a lone surrogate, which has no UTF-8 form.
    return json.dumps(value, separators=(",", ":")).encode("ascii")


# --- from a reply to bytes ------------------------------------------------------------------------------------


def _pieces(reply: Reply, call: Call, body: Mapping[str, object]) -> Iterator[bytes]:
    if reply.raw is not None:
        size = reply.chunk_size or max(1, len(reply.raw))
        return (reply.raw[at : at + size] for at in range(0, len(reply.raw), size))
    wanted = body.get("n")
    n = min(max(wanted, 1), MAX_CHOICES) if isinstance(wanted, int) else 1
    usage = _usage(reply, call.body, n)
    if call.stream:
        asked = as_mapping(body.get("stream_options")).get("include_usage") is True
        return _events(reply, call, n, usage if asked else None)
    choices = [
        {"index": i, "message": _message(reply), "finish_reason": _finish(reply)} for i in range(n)
    ]
    whole = _dumps({**_envelope(call, "chat.completion"), "choices": choices, "usage": usage})
    return iter((whole[: len(whole) // 2], whole[len(whole) // 2 :]))


def _envelope(call: Call, kind: str) -> dict[str, object]:
    return {
        "id": made_id("chatcmpl-fake-", call.body),
        "object": kind,
        "created": 0,
        "model": call.model,
    }


def _finish(reply: Reply) -> str:
    return reply.finish or ("tool_calls" if reply.tool_calls else "stop")


def _message(reply: Reply) -> dict[str, object]:
    message: dict[str, object] = {"role": "assistant", "content": reply.text or None}
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    if reply.tool_calls:
        message["tool_calls"] = [_call(c, c.arguments) for c in reply.tool_calls]
    elif not reply.text:
        message["content"] = ""
    return message


def _call(call: ToolCall, arguments: str) -> dict[str, object]:
    key = "arguments" if call.kind == "function" else "input"
    return {"id": call.id, "type": call.kind, call.kind: {"name": call.name, key: arguments}}


def _events(
    reply: Reply, call: Call, n: int, usage: Mapping[str, object] | None
) -> Iterator[bytes]:
    head = _envelope(call, "chat.completion.chunk")

    def event(choices: list[object], **more: object) -> bytes:
        return b"data: " + _dumps({**head, "choices": choices, **more}) + b"\n\n"

    for index in range(n):
        for delta in _deltas(reply):
            yield event([{"index": index, "delta": delta, "finish_reason": None}])
        yield event([{"index": index, "delta": {}, "finish_reason": _finish(reply)}])
    if usage is not None:
        yield event([], usage=usage)
    yield DONE


def _deltas(reply: Reply) -> Iterator[dict[str, object]]:
    size = reply.chunk_size or CHUNK_CHARS
    yield {"role": "assistant", "content": ""}
    for part in _split(reply.reasoning, size):
        yield {"reasoning_content": part}
    for part in _split(reply.text, size):
        yield {"content": part}
    for index, call in enumerate(reply.tool_calls):
        yield {"tool_calls": [{"index": index, **_call(call, "")}]}
        key = "arguments" if call.kind == "function" else "input"
        for part in _split(call.arguments, size):
            yield {"tool_calls": [{"index": index, call.kind: {key: part}}]}


def _split(text: str, size: int) -> Iterator[str]:
    return (text[at : at + size] for at in range(0, len(text), size))


def _usage(reply: Reply, raw: bytes, n: int) -> dict[str, object]:
    written = (
        len(reply.text) + len(reply.reasoning) + sum(len(c.arguments) for c in reply.tool_calls)
    )
    usage = reply.usage or Usage(
        input=-(-len(raw) // 4),
        output=n * -(-written // 4),
        reasoning=n * (len(reply.reasoning) // 4),
    )
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached,
            "cache_write_tokens": usage.cache_write,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }
