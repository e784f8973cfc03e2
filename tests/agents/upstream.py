"""A scripted upstream over loopback: speaks one dialect (or all three) and plays `tests/agents/play.py` in it.

with ScriptedUpstream("chat") as up:
    ...   # point a router at up.url; up.journal says what was asked and what was played

A prompt may ask for failures: see `tests/agents/faults.py`.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from tests.agents import faults
from tests.agents.faults import Fault
from tests.agents.play import Turn, plan
from tests.agents.say import DIALECTS, Event

HANG_S = 60.0  # [s] that a fault which hangs waits for the other side


@dataclass(frozen=True)
class Entry:
    """One request: the dialect asked for (the path, where none is spoken), what was played, the body, what failed."""

    dialect: str
    step: str
    body: dict
    fault: str = ""


class Server(ThreadingHTTPServer):
    """The listening socket, what is spoken here, and the journal."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, dialects: tuple[str, ...], *, well: bool) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.well = well
        self.paths = {DIALECTS[d].path: d for d in dialects}
        self.lock = threading.Lock()
        self.journal: list[Entry] = []
        self.left: dict[str, int] = {}

    def fault(self, text: str, turn: Turn) -> Fault | None:
        """Return how a request fails, and count it; None for one that does not. Small jobs are spared."""
        spared = self.well or turn.step.startswith("aux")
        with self.lock:
            for fault, times, key in () if spared else faults.asked(text):
                left = self.left.setdefault(key, times)
                if left and (turn.calls or not fault.needs_calls):
                    self.left[key] = left - 1
                    return fault
        return None

    def note(self, entry: Entry) -> None:
        """Write a request down."""
        with self.lock:
            self.journal.append(entry)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that went away; requests that cannot be played are answered with 500."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Keep the terminal for the table."""

    def do_POST(self) -> None:
        """Play one turn; 404 for a dialect that is not spoken here."""
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        body = json.loads(raw)
        path = self.path.partition("?")[0]
        name = self.server.paths.get(path)
        if name is None:
            self.server.note(Entry(path, "refused", body))
            self.say(404, {"error": {"message": f"{path} is not spoken here", "type": "not_found"}})
            return
        dialect = DIALECTS[name]
        try:
            turn = plan(dialect.read(body))
        except (LookupError, TypeError, AttributeError, ValueError) as e:
            self.server.note(Entry(name, f"broken: {e!r}", body))
            self.say(500, {"error": {"message": repr(e), "type": "server_error"}})
            return
        text = raw.decode()
        fault = self.server.fault(text, turn)
        self.server.note(Entry(name, turn.step, body, fault.name if fault else ""))
        bare = any(f.place == "bare" for f, _, _ in faults.asked(text))
        turn = faults.played(fault or Fault("", "bare" if bare else ""), turn)
        if fault is not None:
            self.fail(name, fault, body, turn)
        elif body.get("stream"):
            self.stream(dialect.stream(body, turn))
        else:
            self.say(200, dialect.whole(body, turn))

    def fail(self, name: str, fault: Fault, body: dict, turn: Turn) -> None:
        """Answer as the fault wants it."""
        dialect, breaks = DIALECTS[name], fault.kind in faults.BREAKS
        if fault.status is not None:
            retry = {"Retry_After": "1"} if fault.kind == "429ra" else {}
            self.say(fault.status, faults.refusal(fault, name), **retry)
        elif fault.kind == "html":
            self.send(200, "text/html", faults.HTML)
        elif fault.place == "head":
            self.drop_or_hang(fault)
        elif body.get("stream"):
            events = list(dialect.stream(body, turn))
            events = faults.broken(fault, events) if breaks else events
            # What ends a call and what tells its tokens in one read: which of them comes first decides how it is booked.
            self.stream(events, end=False, at_once=fault.kind == "badjson")
            self.drop_or_hang(fault)
        elif breaks and fault.kind != "fail":
            data = json.dumps(dialect.whole(body, turn)).encode()
            half = data[: len(data) // 2]
            size = len(half) if fault.kind == "eof" else len(data)
            self.send(200, "application/json", half, size)
            self.drop_or_hang(fault, whole=True)
        elif breaks:
            self.say(200, {"error": {"message": faults.SAID, "type": "server_error"}})
        else:
            self.say(200, dialect.whole(body, turn))

    def drop_or_hang(self, fault: Fault, *, whole: bool = False) -> None:
        """Do what comes after the break: cut, wait until the other side goes away, or end the body."""
        if fault.kind == "hang":
            self.wfile.flush()
            self.connection.settimeout(HANG_S)
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.rfile.read(1)
        elif fault.kind == "cut":
            self.close_connection = True
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
        elif not whole:
            self.wfile.write(b"0\r\n\r\n")

    def say(self, status: int, value: object, **headers: str) -> None:
        """Answer with JSON."""
        self.send(status, "application/json", json.dumps(value).encode(), **headers)

    def send(
        self, status: int, kind: str, data: bytes, size: int | None = None, **headers: str
    ) -> None:
        """Answer with a body, of another size than it has where one is named; `_` in a header stands for `-`."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data) if size is None else size))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def stream(self, events: Iterable[Event], *, end: bool = True, at_once: bool = False) -> None:
        """Answer with events, each in a write of its own, or all in one."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        written = (chunk(name, data) for name, data in events)
        for part in [b"".join(written)] if at_once else written:
            self.wfile.write(part)
        if end:
            self.wfile.write(b"0\r\n\r\n")


def chunk(name: str | None, data: Mapping | str) -> bytes:
    """Return an event as a chunk of a body."""
    head = f"event: {name}\n" if name else ""
    said = data if isinstance(data, str) else json.dumps(data)
    line = f"{head}data: {said}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(line), line)


class ScriptedUpstream:
    """The upstream as a context manager; serves from threads of its own.

    Args:
        dialects: What is spoken here, of `chat`, `responses` and `messages`; all three when none is named.
        well: Nothing fails here, whatever prompts ask for.
    """

    def __init__(self, *dialects: str, well: bool = False) -> None:
        self.dialects = dialects or tuple(DIALECTS)
        self.well = well

    def __enter__(self) -> Self:
        self.server = Server(self.dialects, well=self.well)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.server.shutdown()
        self.thread.join(5)
        self.server.server_close()

    @property
    def url(self) -> str:
        """The base URL, with `/v1`."""
        return f"http://127.0.0.1:{self.server.server_address[1]}/v1"

    @property
    def journal(self) -> list[Entry]:
        """What was asked so far."""
        with self.server.lock:
            return list(self.server.journal)

    def forget(self) -> None:
        """Empty the journal."""
        with self.server.lock:
            self.server.journal.clear()
