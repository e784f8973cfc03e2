"""The client's side of a measurement: one request after the other, many at once, streams. Raw sockets, no library.

Every request carries a number of its own in the prompt, so that nothing remembered helps.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import socket
import time
from dataclasses import dataclass

from tests.bench.mock import fast_loop

NONCE = "@@NONCE12@@@"  # 12 bytes, as many as the number that replaces it
SYSTEM = (
    "You are a coding agent working in a Python repository. Follow the project's conventions, write tests, keep diffs "
    "small, and explain root causes briefly. Never invent APIs; read the file before editing it."
)
CODE = '''def windows(xs, n):
    """Return all contiguous windows of length n."""
    out = []
    for i in range(0, len(xs) - n):
        out.append(xs[i:i + n])
    return out


class Ledger:
    def __init__(self, path, *, strict=True):
        self.path = path
        self.strict = strict
        self.rows = []

    def load(self):
        with open(self.path, encoding="utf-8") as fh:
            for line in fh:
                key, _, value = line.partition("=")
                if not value and self.strict:
                    raise ValueError(f"bad line: {line!r}")
                self.rows.append((key.strip(), value.strip()))
        return self
'''
FAILURE = (
    "E       AssertionError: assert [[1, 2], [2, 3]] == [[1, 2], [2, 3], [3, 4]]\n"
    "E         Right contains one more item: [3, 4]\ntests/test_windows.py:14: AssertionError\n"
)
LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_numbers = itertools.count(int(time.time()) % 10**6 * 10**6)


def body(model: str, size: int = 2000, *, stream: bool = False, n: int = 20, i: int = 0) -> bytes:
    """A coding agent's request of about `size` bytes, with `NONCE` in the prompt.

    Small ones are padded in the system prompt; large ones hold file dumps and answers in turn, as agents' do.
    """
    asked = f"Fix the failing test (run {NONCE}).\n```python\n{CODE}```\n{FAILURE}"
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": asked}]
    dump = (CODE + "\n") * 6
    for k in range((size - len(json.dumps(messages))) // (len(json.dumps(dump)) + 200)):
        messages.append({"role": "assistant", "content": f"Reading src/pkg/mod_{k}.py first."})
        messages.append({"role": "user", "content": f"src/pkg/mod_{k}.py:\n{dump}"})
    messages[-1]["content"] += f"\n[[mock n={n} i={i}]]"
    whole = {"model": model, "messages": messages, "max_tokens": 512, "temperature": 0.2}
    if stream:
        whole |= {"stream": True, "stream_options": {"include_usage": True}}
    missing = size - len(json.dumps(whole))
    if missing > 0:
        filler = " Prefer the standard library."
        messages[0]["content"] += (filler * (missing // len(filler) + 1))[:missing]
    return json.dumps(whole).encode()


@dataclass(frozen=True)
class Target:
    """Where to send requests, and which model to ask for."""

    port: int
    model: str

    def request(
        self, size: int = 2000, *, stream: bool = False, n: int = 20, i: int = 0
    ) -> Request:
        return Request(self.port, body(self.model, size, stream=stream, n=n, i=i))


class Request:
    """A rendered HTTP request; `bytes` puts a fresh number in."""

    def __init__(self, port: int, content: bytes) -> None:
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer sk-bench\r\nUser-Agent: bench/1\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        self.port = port
        self._before, self._after = (head.encode() + content).split(NONCE.encode())

    def bytes(self) -> bytes:
        return b"%b%012d%b" % (self._before, next(_numbers), self._after)


def receive(sock: socket.socket) -> tuple[bytes, float]:
    """Read one answer; returns its bytes and when the first data of its body came [s]."""
    buffer, first_s, need = b"", 0.0, 0
    while True:
        data = sock.recv(1 << 20)
        if not data:
            raise ConnectionError("the answer was cut")
        buffer = buffer + data if buffer else data
        if not first_s and b"data:" in buffer:
            first_s = time.perf_counter()
        if not need:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                continue
            length = LENGTH.search(buffer, 0, end + 2)
            need = end + 4 + int(length[1]) if length else -1
        if (need > 0 and len(buffer) >= need) or (need < 0 and buffer.endswith(b"0\r\n\r\n")):
            return buffer, first_s


def one_by_one(request: Request, count: int, *, warm: int = 10) -> tuple[list[float], list[float]]:
    """Send `count` requests on one connection; returns the whole times and the times to the first data [s]."""
    whole, first = [], []
    with socket.create_connection(("127.0.0.1", request.port), timeout=20) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for k in range(count + warm):
            ready = request.bytes()
            began_s = time.perf_counter()
            sock.sendall(ready)
            answer, first_s = receive(sock)
            ended_s = time.perf_counter()
            check(answer)
            if k >= warm:
                whole.append(ended_s - began_s)
                first.append(first_s - began_s)
    return whole, first


def check(answer: bytes) -> None:
    """Fail unless an answer is a whole one: a speed of errors says nothing."""
    if answer[9:12] != b"200" or b'"choices"' not in answer:
        raise ConnectionError(f"not an answer: {answer[:300]!r}")


class Asker(asyncio.Protocol):
    """One connection that asks again as soon as it has its answer, `shared.left` times over all connections."""

    def __init__(self, request: Request, shared: Shared) -> None:
        self.request, self.shared = request, shared

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        if self.shared.left <= 0:
            self.transport.close()
            return
        self.shared.left -= 1
        self.parts: list[bytes] = []
        self.size, self.need = 0, 0
        self.transport.write(self.request.bytes())

    def data_received(self, data: bytes) -> None:
        self.parts.append(data)
        self.size += len(data)
        if not self.need:
            joined = b"".join(self.parts)
            end = joined.find(b"\r\n\r\n")
            if end < 0:
                return
            length = LENGTH.search(joined, 0, end + 2)
            self.need = end + 4 + int(length[1]) if length else -1
        tail = data if len(data) >= 5 else b"".join(self.parts[-5:])
        ended = self.size >= self.need if self.need > 0 else tail.endswith(b"0\r\n\r\n")
        if ended:
            try:
                check(b"".join(self.parts))
            except ConnectionError as error:
                self.shared.fail(error)
            self.shared.answered += 1
            self.ask()

    def connection_lost(self, exc: Exception | None) -> None:
        self.shared.closed(exc)


class Shared:
    """What the connections of one load have in common."""

    def __init__(self, count: int, connections: int) -> None:
        self.left, self.answered, self._open = count, 0, connections
        self._count = count
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)

    def closed(self, exc: Exception | None) -> None:
        self._open -= 1
        if self._open == 0 and not self.done.done():
            if self.answered == self._count:
                self.done.set_result(None)
            else:
                self.done.set_exception(exc or ConnectionError("answers are missing"))


def all_at_once(request: Request, count: int, connections: int) -> float:
    """Send `count` requests over `connections` at a time; returns how long it took [s]."""

    async def load() -> float:
        shared, loop = Shared(count, connections), asyncio.get_running_loop()
        began_s = time.perf_counter()
        for _ in range(connections):
            await loop.create_connection(lambda: Asker(request, shared), "127.0.0.1", request.port)
        await asyncio.wait_for(shared.done, 60)
        return time.perf_counter() - began_s

    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        return runner.run(load())
