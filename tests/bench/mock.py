"""An upstream that costs next to nothing: raw asyncio protocol, canned answers, for measuring what stands before it.

    python -m tests.bench.mock        prints its port, serves until it is terminated

A marker anywhere in the request says what comes: `[[mock n=100 i=10]]`, n chunks with i milliseconds between them
(0: one loop turn). `"stream": true` chooses a stream. Each chunk is a write of its own.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import re

TEXT = (
    "The bug was an off-by-one in the slice: `xs[lo:hi]` excludes `hi`, so the last element of every window was "
    "dropped.\n\n```python\ndef windows(xs, n):\n    return [xs[i:i + n] for i in range(len(xs) - n + 1)]\n```\n"
) * 3
USAGE = {
    "prompt_tokens": 612,
    "completion_tokens": 128,
    "total_tokens": 740,
    "prompt_tokens_details": {"cached_tokens": 512},
    "completion_tokens_details": {"reasoning_tokens": 0},
}
SHARED = {"id": "chatcmpl-mock0123456789abcdef", "created": 1_760_000_000, "model": "mock-model"}
MARK = re.compile(rb"\[\[mock n=(\d+) i=(\d+)\]\]")
LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
STREAM = re.compile(rb'"stream"\s*:\s*true')


def _whole() -> bytes:
    message = {"role": "assistant", "content": TEXT, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = json.dumps({**SHARED, "object": "chat.completion", "choices": [choice], "usage": USAGE})
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode()


def _event(payload: str) -> bytes:
    data = f"data: {payload}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(data), data)


def _chunk(delta: dict[str, object], finish: str | None = None, **more: object) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return _event(
        json.dumps({**SHARED, "object": "chat.completion.chunk", "choices": [choice], **more})
    )


WHOLE = _whole()
HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    + _chunk({"role": "assistant", "content": ""})
)
WORD = _chunk({"content": " and another word"})
TAIL = (
    _chunk({}, "stop")
    + _event(
        json.dumps({**SHARED, "object": "chat.completion.chunk", "choices": [], "usage": USAGE})
    )
    + _event("[DONE]")
    + b"0\r\n\r\n"
)


class Mock(asyncio.Protocol):
    """One connection: requests one after the other, each answered when it is whole."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.left = 0
        self.pause_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.loop = asyncio.get_running_loop()

    def connection_lost(self, exc: Exception | None) -> None:
        self.left = 0

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        length = LENGTH.search(self.buffer, 0, end + 2)
        size = end + 4 + (int(length[1]) if length else 0)
        if len(self.buffer) < size:
            return
        request = bytes(self.buffer[:size])
        del self.buffer[:size]
        self.answer(request)

    def answer(self, request: bytes) -> None:
        if not STREAM.search(request):
            self.transport.write(WHOLE)
            return
        mark = MARK.search(request)
        self.left, self.pause_s = (int(mark[1]), int(mark[2]) / 1000) if mark else (20, 0.0)
        self.transport.write(HEAD)
        self.later()

    def later(self) -> None:
        if self.pause_s:
            self.loop.call_later(self.pause_s, self.step)
        else:
            self.loop.call_soon(self.step)

    def step(self) -> None:
        if self.transport.is_closing():
            return
        if self.left > 0:
            self.left -= 1
            self.transport.write(WORD)
            self.later()
        else:
            self.transport.write(TAIL)


def fast_loop():
    """The loop factory to measure with: uvloop's where it is installed."""
    try:
        return importlib.import_module("uvloop").new_event_loop
    except ImportError:
        return None


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Mock, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        runner.run(serve())
