"""A scripted upstream over loopback: speaks one dialect (or all three) and plays `tests/agents/play.py` in it.

with ScriptedUpstream("chat") as up:
    ...   # point a router at up.url; up.journal says what was asked and what was played
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from tests.agents.play import plan
from tests.agents.say import DIALECTS, Event


@dataclass(frozen=True)
class Entry:
    """One request: the dialect asked for (the path, where none is spoken), what was played, and the body."""

    dialect: str
    step: str
    body: dict


class Server(ThreadingHTTPServer):
    """The listening socket, what is spoken here, and the journal."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, dialects: tuple[str, ...]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.paths = {DIALECTS[d].path: d for d in dialects}
        self.lock = threading.Lock()
        self.journal: list[Entry] = []

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
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
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
        self.server.note(Entry(name, turn.step, body))
        if body.get("stream"):
            self.stream(dialect.stream(body, turn))
        else:
            self.say(200, dialect.whole(body, turn))

    def say(self, status: int, value: object) -> None:
        """Answer with JSON."""
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self, events: Iterable[Event]) -> None:
        """Answer with events, each in a write of its own."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for name, data in events:
            head = f"event: {name}\n" if name else ""
            said = data if isinstance(data, str) else json.dumps(data)
            line = f"{head}data: {said}\n\n".encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(line), line))
        self.wfile.write(b"0\r\n\r\n")


class ScriptedUpstream:
    """The upstream as a context manager; serves from threads of its own.

    Args:
        dialects: What is spoken here, of `chat`, `responses` and `messages`; all three when none is named.
    """

    def __init__(self, *dialects: str) -> None:
        self.dialects = dialects or tuple(DIALECTS)

    def __enter__(self) -> Self:
        self.server = Server(self.dialects)
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
