"""The scripted upstream of the load programs, a process of its own with a meter: it knows what every call used.

    python -m tests.load.upstream JOURNAL [--faults 0.05] [--seed 1]       prints its port

Speaks all three dialects. `[[load ID]]` in the newest words of a request names who asked, `[[load ID tool]]` has the
answer call its first tool, `[[load ID slow]]` makes it take `SLOW_S` and go well. Every call has a number, and reports tokens that are no other call's (`tokens_of`): so a
line of a ledger says which call it is of. When a call has ended, in whatever way, one line of JSON goes to the journal
(`Metered`). `GET /state` tells what is open.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.agents.play import Call, Tool, Turn
from tests.agents.say import DIALECTS, Dialect, Event

FAULTS = ("503", "429", "cut", "clean end", "error event", "empty", "stall")
MARK = re.compile(rb"\[\[load (\w+)( tool| slow)?\]\]")
LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
REVIEWER, JUDGE = b"You are a strict reviewer", b"You are a judge"  # of core/recipes/prompts.py
WORDS = (
    "the",
    "slice",
    "excludes",
    "its",
    "end",
    "so",
    "last",
    "window",
    "was",
    "dropped",
    "and",
    "test",
)
STALL_S = 30.0  # [s] longest silence; the router's own patience ends long before
SLOW_S = 8.0  # [s] time enough for all slots to be taken on a slow machine
CODES = 1000  # numbers a digit of `tokens_of` has
ERRORS: Mapping[str, Mapping] = {
    "chat": {"error": {"message": "overloaded", "type": "server_error", "code": None}},
    "responses": {"type": "error", "code": "server_error", "message": "overloaded", "param": None},
    "messages": {"type": "error", "error": {"type": "overloaded_error", "message": "overloaded"}},
}


def tokens_of(number: int) -> tuple[int, int]:
    """Return what a call says it used, (in, out): two digits of its number, so unlike all others of a million."""
    return 300 + number % CODES, 20 + number // CODES


class Metered(NamedTuple):
    """One call that reached the upstream.

    Attributes:
        number: Counts calls as they came.
        asked: Who asked: the ID of the prompt's mark.
        fault: What was done instead of a right answer, or "".
        told: Its usage went out.
        whole: A right answer went out to its last byte.
        sent: What was said of the answer: its characters, of one that is no stream its bytes.
        began_s, ended_s: On the machine's monotonic clock.
    """

    number: int
    asked: str
    model: str
    dialect: str
    stream: bool
    phase: str
    fault: str
    told: bool
    whole: bool
    sent: int
    began_s: float
    ended_s: float

    @property
    def tokens(self) -> tuple[int, int]:
        """What it used, (in, out)."""
        return tokens_of(self.number)


def read_journal(path: Path) -> list[Metered]:
    """Return every call that has ended."""
    with path.open(encoding="utf-8") as file:
        return [Metered(*json.loads(line)) for line in file]


def said_in(data: Mapping | str) -> str:
    """Return what an event says of the answer: text, and arguments of tool calls."""
    if isinstance(data, str):
        return ""
    if "choices" in data:
        deltas = [c["delta"] for c in data["choices"]]
        calls = [c["function"]["arguments"] for d in deltas for c in d.get("tool_calls", ())]
        return "".join(d.get("content") or "" for d in deltas) + "".join(calls)
    delta = data.get("delta", "") if str(data.get("type", "")).endswith("delta") else ""
    if isinstance(delta, Mapping):
        return delta.get("text") or delta.get("partial_json") or ""
    return delta


def usage_in(data: Mapping | str) -> bool:
    """Whether an event tells all that the call used."""
    if isinstance(data, str) or data.get("type") == "message_start":
        return False
    return bool(data.get("usage") or (data.get("response") or {}).get("usage"))


class Meter:
    """Numbers calls, and writes down those that have ended."""

    def __init__(self, journal: Path, faults: float, seed: int) -> None:
        self._file = journal.open("a", encoding="utf-8", buffering=1)
        self.faults = faults
        self.chance = random.Random(seed)
        self.calls = self.open_calls = self.connections = 0

    def begin(self) -> int:
        self.calls += 1
        self.open_calls += 1
        return self.calls

    def end(self, call: Metered) -> None:
        self.open_calls -= 1
        self._file.write(json.dumps(call) + "\n")

    def fault(self) -> str:
        return self.chance.choice(FAULTS) if self.chance.random() < self.faults else ""


class Exchange:
    """One call being answered."""

    def __init__(
        self, meter: Meter, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.meter, self.reader, self.writer = meter, reader, writer
        self.keep = True  # the connection lives on
        self.told = self.whole = False
        self.sent = 0

    async def answer(self, dialect: str, raw: bytes) -> None:
        """Answer a request and write it down, however that ends."""
        number, began_s = self.meter.begin(), time.monotonic()
        chance = self.meter.chance
        body = json.loads(raw)
        mark = MARK.findall(raw)[-1:]
        asked, how = (part.decode() for part in mark[0]) if mark else ("", "")
        phase = "verify" if REVIEWER in raw else "judge" if JUDGE in raw else "answer"
        fault = "" if how == " slow" else self.meter.fault()
        turn = turn_of(number, phase, chance, tool=how == " tool" and bool(body.get("tools")))
        streamed = body.get("stream") is True
        try:
            await asyncio.sleep(SLOW_S if how == " slow" else chance.uniform(0.0, 0.2))
            await self.play(DIALECTS[dialect], dialect, body, turn, fault)
        except ConnectionError:
            self.keep = False
        finally:
            called = (number, asked, str(body.get("model")), dialect, streamed, phase, fault)
            done = (self.told, self.whole and not fault, self.sent, began_s, time.monotonic())
            self.meter.end(Metered(*called, *done))

    async def play(self, words: Dialect, dialect: str, body: dict, turn: Turn, fault: str) -> None:
        if fault in ("503", "429"):
            more = "Retry-After: 1\r\n" if fault == "429" else ""
            await self.plain({"error": {"message": "busy", "type": "server_error"}}, fault, more)
            return
        if fault == "empty":
            turn = Turn(turn.step, "", tokens=turn.tokens)
        if body.get("stream"):
            await self.stream(words.stream(body, turn), dialect, fault)
            return
        whole = words.whole(body, turn)
        if fault == "error event":
            await self.plain(ERRORS[dialect])
        elif fault in ("cut", "clean end", "stall"):
            await self.half(json.dumps(whole).encode(), fault)
        else:
            self.told = True
            await self.plain(whole)
            self.sent += len(json.dumps(whole).encode())
            self.whole = True

    async def plain(self, value: Mapping, status: str = "200", more: str = "") -> None:
        """Send a body; an error is nobody's writing, so who sends an answer counts it."""
        data = json.dumps(value).encode()
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{more}"
        await self.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)

    async def half(self, data: bytes, fault: str) -> None:
        """Send half of a whole answer, as if it were all (`clean end`), or as half."""
        part = data[: len(data) // 2]
        size = len(part) if fault == "clean end" else len(data)
        head = f"HTTP/1.1 200 X\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n\r\n"
        self.sent = len(part)
        await self.write(head.encode() + part)
        if fault == "stall":
            await self.silence()
        self.keep = fault == "clean end"

    async def stream(self, events: Iterator[Event], dialect: str, fault: str) -> None:
        pause_s = self.meter.chance.choice((0.0, 0.002, 0.01, 0.03))
        every = list(events)
        broken = fault in ("cut", "clean end", "error event", "stall")
        await self.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for event in every[: len(every) // 2] if broken else every:
            await self.event(event)
            if pause_s:
                await asyncio.sleep(pause_s)
        if fault == "error event":
            await self.event((None if dialect == "chat" else "error", dict(ERRORS[dialect])))
        elif fault == "stall":
            await self.silence()
        if fault in ("cut", "stall"):
            self.keep = False
            return
        await self.write(b"0\r\n\r\n")
        self.whole = True

    async def event(self, event: Event) -> None:
        name, data = event
        text = data if isinstance(data, str) else json.dumps(data)
        framed = f"event: {name}\ndata: {text}\n\n" if name else f"data: {text}\n\n"
        self.sent += len(said_in(data))
        self.told = self.told or usage_in(data)
        await self.write(b"%x\r\n%b\r\n" % (len(framed), framed.encode()))

    async def write(self, data: bytes) -> None:
        if self.reader.at_eof() or self.writer.transport.is_closing():
            raise ConnectionResetError
        self.writer.write(data)
        await self.writer.drain()

    async def silence(self) -> None:
        """Say nothing until the other side has had enough."""
        ends_s = time.monotonic() + STALL_S
        while not self.reader.at_eof() and time.monotonic() < ends_s:
            await asyncio.sleep(0.05)


def turn_of(number: int, phase: str, chance: random.Random, *, tool: bool) -> Turn:
    """Return what a call answers: a verdict, a pick, a tool call, or words between two marks of its number."""
    tokens = tokens_of(number)
    if phase == "verify":
        found = [] if chance.random() < 0.8 else ["the end is missing"]
        verdict = {"verdict": "reject" if found else "accept", "findings": found}
        return Turn("verify", json.dumps(verdict), tokens=tokens)
    if phase == "judge":
        defect = None if chance.random() < 0.7 else "the first one forgets the end"
        return Turn(
            "judge", json.dumps({"best": 1, "why": "short", "defect": defect}), (), "", tokens
        )
    if tool:
        arguments = json.dumps({"path": f"src/part_{number}.py", "number": number})
        return Turn("tool", "", (Call(Tool("lookup"), arguments),), "", tokens)
    words = " ".join(chance.choice(WORDS) for _ in range(chance.randrange(10, 60)))
    return Turn("text", f"{number}: {words} /{number}", (), "", tokens)


async def connection(
    meter: Meter, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Serve one connection: a request after the other."""
    meter.connections += 1
    paths = {d.path: name for name, d in DIALECTS.items()}
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            method, path, _ = head.split(b" ", 2)
            length = LENGTH.search(head)
            raw = await reader.readexactly(int(length[1])) if length else b""
            exchange = Exchange(meter, reader, writer)
            if method == b"GET":
                counts = (meter.calls, meter.open_calls, meter.connections - 1)
                await exchange.plain(
                    dict(zip(("calls", "open", "connections"), counts, strict=True))
                )
            else:
                await exchange.answer(paths[path.decode()], raw)
            if not exchange.keep:
                break
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        meter.connections -= 1
        writer.transport.abort()


async def serve(meter: Meter) -> None:
    server = await asyncio.start_server(
        lambda reader, writer: connection(meter, reader, writer), "127.0.0.1", 0, backlog=1024
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("journal", type=Path)
    parser.add_argument("--faults", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    asyncio.run(serve(Meter(asked.journal, asked.faults, asked.seed)))


if __name__ == "__main__":
    main()
