"""Whoever answers the tools' questions: a running server over HTTP, or an engine in this process. Both answer the same.

A request is marked with a `traceparent`, so that its trace can be looked at while it runs.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from openfusion_auto.core.explain import decision_json
from openfusion_auto.core.prompt import Prompt
from openfusion_auto.errors import FusionError
from openfusion_auto.runtime.archive import Archive
from openfusion_auto.runtime.engine import Engine
from openfusion_auto.runtime.judging import Incoming
from openfusion_auto.runtime.trace import full
from openfusion_auto.store.base import TraceQuery
from openfusion_auto.upstream.connection import Ended
from openfusion_auto.upstream.connections import Connections, patience
from openfusion_auto.wire.chat_request import parse_request
from openfusion_auto.wire.jsons import as_object

Body = Mapping[str, object]
CONNECT_S = 2.0  # [s] the server is on this machine, or near
ALIVE_S = 1.0  # [s] for a server to say that it is one
LOOK_S = 10.0  # [s] for what calls no model
# [s] the server's own bounds are far below; only a dead line is silent for longer.
ANSWER_S = 3600.0
MAX_ANSWER = 64 * 2**20  # [bytes]
RUNNING = 8  # requests under way that are looked through for ours, the newest
LOOKS = 5  # times; a request that another worker has is never seen
_SENDABLE = re.compile(r"[\x21-\x7e]+")  # what a key may hold to stand in a header
NO_ANSWER = "the router's answer is not one that this version understands"


class Refused(Exception):
    """There is no answer; the message is for the agent.

    Attributes:
        code: As in the server's errors; None where there is none.
        trace_id: Where what was spent all the same is booked.
    """

    def __init__(self, message: str, code: str | None = None, trace_id: str | None = None) -> None:
        super().__init__(message)
        self.message, self.code, self.trace_id = message, code, trace_id


class Router(Protocol):
    """What the tools need. Every method raises `Refused`.

    Attributes:
        name: For people.
        own: The traces of what the tools themselves asked.
    """

    name: str
    own: set[str]

    async def answer(self, body: Body, mark: str) -> dict[str, Any]:
        """Return the answer to a chat request; cancelling it cancels every call."""
        ...

    async def decide(self, body: Body) -> dict[str, Any]:
        """Return the decision for a chat request; nobody is called."""
        ...

    async def trace(self, trace_id: str) -> dict[str, Any]:
        """Return everything recorded of one request."""
        ...

    async def newest(self, limit: int, model: str | None = None) -> list[dict[str, Any]]:
        """Return requests that were answered, newest first; `model` is what they asked for or got."""
        ...

    async def underway(self, mark: str) -> dict[str, Any] | None:
        """Return the trace of a request that runs, None when it is not to be seen."""
        ...

    async def close(self) -> None:
        """Release what it holds."""
        ...


class LocalRouter:
    """An engine in this process.

    Args:
        engine: Answers.
        release: Gives back its connections and writes what was spent.
    """

    def __init__(self, engine: Engine, release: Callable[[], Any]) -> None:
        self._engine, self._release = engine, release
        self._archive = Archive(engine.traces, engine.means.books.store)
        self.own: set[str] = set()
        self.name = "in this process" + (" (dry run)" if engine.dry_run else "")

    async def answer(self, body: Body, mark: str) -> dict[str, Any]:
        """See `Router`."""
        incoming = Incoming(self._read(body), {"traceparent": mark})
        trace = self._engine.open(incoming)
        try:
            return objected(await self._engine.answer(incoming, trace, None))
        except FusionError as error:
            raise Refused(error.message, error.code, trace.id) from None

    async def decide(self, body: Body) -> dict[str, Any]:
        """See `Router`."""
        try:
            judged = self._engine.judge(Incoming(self._read(body), {}))
        except FusionError as error:
            raise Refused(error.message, error.code) from None
        return decision_json(judged.decision)

    def _read(self, body: Body) -> Prompt:
        try:
            return parse_request(json.dumps(body).encode())
        except FusionError as error:
            raise Refused(error.message, error.code) from None

    async def trace(self, trace_id: str) -> dict[str, Any]:
        """See `Router`."""
        found = await self._archive.find(trace_id)
        if found is None:
            raise Refused("No trace with this id; the oldest ones are deleted in time.")
        return found

    async def newest(self, limit: int, model: str | None = None) -> list[dict[str, Any]]:
        """See `Router`."""
        return await self._archive.listed(TraceQuery(limit, None, model, None, "ok", None))

    async def underway(self, mark: str) -> dict[str, Any] | None:
        """See `Router`."""
        found = (t for t in self._engine.traces.latest() if t.parent == mark)
        return next((full(t) for t in found), None)

    async def close(self) -> None:
        """See `Router`."""
        self._archive.close()
        await self._release()


class ServerRouter:
    """A running server. A key goes to its address and nowhere else: no redirect is followed, no proxy asked.

    Args:
        url: Its address, without `/v1`.
        key: What it is shown, if anything.
    """

    def __init__(self, url: str, key: str | None) -> None:
        parts = urlsplit(url)
        self.name = f"the server at {url}"
        self.own: set[str] = set()
        self._path = parts.path.rstrip("/")
        self._host = parts.netloc
        self._key = key
        self._connections = Connections(url, CONNECT_S)
        self._seen: dict[str, str] = {}  # mark -> trace
        self._looks: dict[str, int] = {}  # mark -> how often it was looked for

    async def alive(self) -> bool:
        """Whether a server of ours listens there."""
        try:
            return (await self._ask("/health", within_s=ALIVE_S)).get("name") == "openfusion_auto"
        except Refused:
            return False

    async def answer(self, body: Body, mark: str) -> dict[str, Any]:
        """See `Router`."""
        try:
            return await self._ask("/v1/chat/completions", body, mark, within_s=ANSWER_S)
        finally:
            self._seen.pop(mark, None)
            self._looks.pop(mark, None)

    async def decide(self, body: Body) -> dict[str, Any]:
        """See `Router`."""
        found = (await self._ask("/debug/route", body)).get("decision")
        return found if isinstance(found, dict) else {}

    async def trace(self, trace_id: str) -> dict[str, Any]:
        """See `Router`."""
        return await self._ask(f"/v1/traces/{quote(trace_id, safe='')}")

    async def newest(self, limit: int, model: str | None = None) -> list[dict[str, Any]]:
        """See `Router`."""
        more = f"&model={quote(model, safe='')}" if model else ""
        return rows(await self._ask(f"/v1/traces?outcome=ok&limit={limit}{more}"))

    async def underway(self, mark: str) -> dict[str, Any] | None:
        """See `Router`. With several workers only some requests can be seen."""
        if mark in self._seen:
            return await self.trace(self._seen[mark])
        looks = self._looks[mark] = self._looks.get(mark, 0) + 1
        if looks > LOOKS:
            return None
        listed = rows(await self._ask(f"/v1/traces?outcome=running&limit={RUNNING}"))
        for row in listed:
            found = await self.trace(str(row.get("trace_id")))
            if found.get("parent") == mark:
                self._seen[mark] = str(found.get("trace_id"))
                return found
        return None

    async def close(self) -> None:
        """See `Router`."""
        self._connections.close()

    async def _ask(
        self,
        path: str,
        body: Body | None = None,
        mark: str | None = None,
        *,
        within_s: float = LOOK_S,
    ) -> dict[str, Any]:
        """Return the JSON object that the server answers with."""
        try:
            async with patience(within_s):
                status, headers, raw = await self._exchange(path, body, mark)
        except (OSError, Ended) as error:  # `TimeoutError` is one
            why = getattr(error, "strerror", None) or type(error).__name__
            raise Refused(f"{self.name} does not answer ({why})") from None
        found = objected(raw)
        if status == 200:
            return found
        problem = as_object(found.get("error")) or {}
        said, code = problem.get("message"), problem.get("code")
        message = said if isinstance(said, str) else f"{self.name} answered with {status}"
        if status == 401:
            message += " Set OPENFUSION_API_KEYS to one of its keys where this tool server runs."
        raise Refused(
            message, code if isinstance(code, str) else None, headers.get("x-openfusion-trace-id")
        )

    async def _exchange(
        self, path: str, body: Body | None, mark: str | None
    ) -> tuple[int, dict[str, str], bytes]:
        data = b"" if body is None else json.dumps(body).encode()
        if self._key is not None and not _SENDABLE.fullmatch(self._key):
            raise Refused("the first key of OPENFUSION_API_KEYS cannot stand in a header")
        lines = {
            "Host": self._host,
            "Accept": "application/json",
            "User-Agent": "openfusion-mcp",
            **({"Authorization": f"Bearer {self._key}"} if self._key else {}),
            **({"traceparent": mark} if mark else {}),
            **({"Content-Type": "application/json"} if body is not None else {}),
            "Content-Length": str(len(data)),
        }
        method = "GET" if body is None else "POST"
        head = f"{method} {self._path}{path} HTTP/1.1\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"
        connection = await self._connections.make()
        try:
            await connection.ask(head.encode("latin-1"), data)
            parts, size = [], 0
            while piece := await connection.read():
                parts.append(piece)
                size += len(piece)
                if size > MAX_ANSWER:
                    raise Refused(NO_ANSWER)
            found = {n.decode("latin-1"): v.decode("latin-1") for n, v in connection.fields}
            return connection.status, found, b"".join(parts)
        finally:
            connection.close()  # of an unfinished answer the server sees that nobody waits any more


class Choice:
    """Which router answers now: a running server, else an engine here, made when it is first needed.

    Args:
        server: Where one may run; None = nowhere.
        here: Makes the engine; None = only the server will do.
    """

    def __init__(self, server: ServerRouter | None, here: Callable[[], LocalRouter] | None) -> None:
        self._server, self._here = server, here
        self._local: LocalRouter | None = None
        self._making = asyncio.Lock()  # agents call several tools at once

    async def now(self) -> Router:
        """Return who answers. Raises `Refused` when nobody does."""
        if self._server is not None and (self._here is None or await self._server.alive()):
            return self._server
        if self._here is None:
            raise Refused("there is no router to ask")
        async with self._making:
            if self._local is None:
                try:
                    self._local = await asyncio.to_thread(self._here)
                except FusionError as error:
                    raise Refused(error.message, error.code) from None
            return self._local

    async def close(self) -> None:
        """Release what was used."""
        for router in (self._server, self._local):
            if router is not None:
                await router.close()


def objected(raw: bytes) -> dict[str, Any]:
    """Return a JSON object. Raises `Refused` for anything else."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refused(NO_ANSWER)
    return found


def rows(listing: Mapping[str, object]) -> list[dict[str, Any]]:
    """Return the entries of a listing."""
    data = listing.get("data")
    return [row for row in data if isinstance(row, dict)] if isinstance(data, list) else []
