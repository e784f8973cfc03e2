"""What a client gets when a call fails: every fault in every phase, played in each dialect, streamed and whole.

`CASES` is the contract: `tests/server/test_failures.py` holds the router to it, `docs/reference/failures.md` shows it. An
upstream that speaks the client's dialect (`tests/agents/upstream.py`) fails as the case says. Two requests play a case: one
for which a second candidate is there, and one with none.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

from openfusion_auto.config.load import load
from openfusion_auto.server.build import build
from tests.agents.agents import TASK
from tests.agents.faults import Fault
from tests.agents.say import DIALECTS
from tests.agents.upstream import ScriptedUpstream
from tests.server.conftest import KEY_ENV, candidate, price
from tests.server.dialects import heard
from tests.server.live import written
from tests.support.faulty import closed_url

SECRET = "sk-upstream-3f9a7c51"
SCHEMA = {
    "type": "object",
    "properties": {"path": {"type": "string"}, "content": {"type": "string"}},
    "required": ["path", "content"],
}
TOOLS = {
    "chat": {"type": "function", "function": {"name": "write", "parameters": SCHEMA}},
    "responses": {"type": "function", "name": "write", "parameters": SCHEMA},
    "messages": {"name": "write", "input_schema": SCHEMA},
}
ALWAYS = 99  # times
AT_ONCE = 16  # requests under way
# Silence is waited for with short timeouts; all else has time on a busy machine.
SHORT = {"connect_s": 20.0, "first_token_s": 2.0, "idle_s": 2.0, "total_s": 60.0}
LONG = {"connect_s": 20.0, "first_token_s": 60.0, "idle_s": 60.0, "total_s": 120.0}


@dataclass(frozen=True)
class Case:
    """One way to fail.

    Attributes:
        what: The fault in words.
        fault: As the upstream plays it; None where nobody listens.
        error: (status, code) that the client gets when nobody can answer.
        tries: Attempts at the first candidate before another one is asked.
        told: A part of the answer is with the client: nothing is tried again, the stream ends with an error event.
        booked: The failed call is in the books with tokens, counted by what came.
        reported: The upstream told the tokens all the same: they are booked as told.
        form: `stream` or `whole`, where only one of them can fail so.
        retry_after: What the client is told of when to come again [s].
        but: A dialect in which it cannot be.
    """

    what: str
    fault: Fault | None
    error: tuple[int, str]
    tries: int = 1
    told: bool = False
    booked: bool = False
    reported: bool = False
    form: str = ""
    retry_after: str | None = None
    but: str = ""

    @property
    def name(self) -> str:
        """The case in a test's id."""
        return self.fault.name if self.fault else "refused"

    @property
    def tries_alone(self) -> int:
        """Attempts at a candidate who is the only one: a broken answer is asked for once more."""
        return 2 if self.error == BROKEN and not self.told else self.tries

    @property
    def forms(self) -> tuple[str, ...]:
        """How the client may ask."""
        return (self.form,) if self.form else ("whole", "stream")


BROKEN, SILENT = (502, "upstream_broken"), (504, "upstream_timeout")
LIMITED, REJECTED = (429, "rate_limit_exceeded"), "upstream_rejected"
BREAKS = {
    "cut": "the connection drops",
    "eof": "the body ends",
    "fail": "an error event",
    "hang": "silence",
}


def breaks(place: str, *, told: bool = False) -> tuple[Case, ...]:
    """Return the cases of a stream that breaks at a place."""
    return tuple(
        Case(
            what,
            Fault(kind, place),
            SILENT if kind == "hang" else BROKEN,
            told=told,
            booked=True,
            form="stream",
        )
        for kind, what in BREAKS.items()
    )


BAD_CALL = "arguments that are no JSON"
PHASES: dict[str, tuple[Case, ...]] = {
    "before an answer": (
        Case("nobody listens", None, (502, "upstream_unreachable"), tries=2),
        Case("closed without a byte", Fault("cut", "head"), (502, "upstream_unreachable"), tries=2),
        Case("silence", Fault("hang", "head"), SILENT),
        Case("302", Fault("302"), BROKEN),
        Case("400", Fault("400"), (400, REJECTED)),
        Case("400, the prompt too long", Fault("ctx"), (400, "context_length_exceeded")),
        *(Case(n, Fault(n), (502, "upstream_denied")) for n in ("401", "402", "403")),
        Case("404", Fault("404"), (404, "model_not_found")),
        Case("408", Fault("408"), (502, "upstream_unavailable"), tries=2),
        Case("413", Fault("413"), (413, REJECTED)),
        Case("422", Fault("422"), (422, REJECTED)),
        Case("429", Fault("429"), LIMITED, tries=2, retry_after="1"),
        Case("429, a time in its words", Fault("429in"), LIMITED, retry_after="30"),
        Case("429, `Retry-After: 1`", Fault("429ra"), LIMITED, tries=2, retry_after="1"),
        *(Case(n, Fault(n), (502, "upstream_unavailable"), tries=2) for n in ("500", "502")),
        *(Case(n, Fault(n), (503, "upstream_unavailable"), tries=2) for n in ("503", "529")),
        Case("200 with a page", Fault("html"), BROKEN, booked=True),
        Case("200 with nothing in it", Fault("empty"), BROKEN, booked=True, reported=True),
    ),
    "inside a whole answer": (
        Case("the connection drops", Fault("cut"), BROKEN, booked=True, form="whole"),
        Case("the body ends", Fault("eof"), BROKEN, booked=True, form="whole"),
        Case("an error object", Fault("fail"), BROKEN, booked=True, form="whole"),
        Case("silence", Fault("hang"), SILENT, booked=True, form="whole"),
        # A whole message holds arguments as an object.
        Case(
            BAD_CALL,
            Fault("badjson"),
            BROKEN,
            booked=True,
            reported=True,
            form="whole",
            but="messages",
        ),
    ),
    "the stream has begun, nothing is said": breaks("first"),
    "inside a tool call, no text before it": (
        *breaks("bare"),
        Case(BAD_CALL, Fault("badjson", "bare"), BROKEN, booked=True, reported=True, form="stream"),
    ),
    "text went out": breaks("text", told=True),
    "inside a tool call, after text": (
        *breaks("call", told=True),
        Case(
            BAD_CALL,
            Fault("badjson", "call"),
            BROKEN,
            told=True,
            booked=True,
            reported=True,
            form="stream",
        ),
    ),
}
CASES = tuple(case for cases in PHASES.values() for case in cases)

# How a status is called: the error's `type`.
OPENAI = {
    400: "invalid_request_error",
    404: "invalid_request_error",
    413: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
}
ANTHROPIC = {
    400: "invalid_request_error",
    404: "not_found_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    502: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def said(dialect: str, case: Case) -> tuple[int, str | None, str | None]:
    """Return the (status, type, code) that a client of a dialect gets; in a stream that has begun those of the event."""
    status, code = case.error
    if case.told:
        chat = (200, OPENAI.get(status, "server_error"), code)
        inside = {
            "responses": (200, None, "server_error"),
            "messages": (200, "overloaded_error", None),
        }
        return inside.get(dialect, chat)
    if dialect == "messages":
        return status, ANTHROPIC[status], None
    return status, OPENAI.get(status, "server_error"), code


@dataclass
class Got:
    """What a client got, and what the books say of it."""

    status: int
    retry_after: str | None = None
    error: dict = field(default_factory=dict)
    event: bool = False
    text: str = ""
    calls: int = 0
    raw: bytes = b""
    attempts: list[dict] = field(default_factory=list)
    outcome: str = ""


def body_of(dialect, case, key, *, stream, names):
    """Return the request that plays a case."""
    mark = (case.fault or Fault("503")).mark(key, ALWAYS if case.fault else 0)
    words = [{"role": "user", "content": f"{TASK} {mark}"}]
    field_ = "input" if dialect == "responses" else "messages"
    return {
        "model": "openfusion/auto",
        field_: words,
        "tools": [TOOLS[dialect]],
        "stream": stream,
        "openfusion": {"mode": "single", "candidates": names},
        **({"max_tokens": 1000} if dialect == "messages" else {}),
    }


def pool_of(cases):
    """Return two candidates for each case, the first the better choice; no case sees another one's breaker."""
    found = []
    for number, case in enumerate(cases):
        first = "relay" if case.fault else "closed"
        for form in ("whole", "stream"):
            for id_, up, usd in (
                (f"a-{form}-{number}", first, 0.5),
                (f"b-{form}-{number}", "other", 5.0),
                (f"c-{form}-{number}", first, 0.5),
            ):
                found.append(candidate(id_, upstream=up, price_usd_per_mtok=price(usd, 4 * usd)))
    return found


@contextlib.asynccontextmanager
async def router(folder, dialect, cases, timeouts):
    """Run an upstream that fails, one that does not, and a router before both; yields (address, session)."""
    with ScriptedUpstream(dialect) as up, ScriptedUpstream(dialect, well=True) as other:
        urls = {"relay": up.url, "other": other.url, "closed": closed_url()}
        upstreams = [
            {"name": name, "base_url": url, "api_key_env": KEY_ENV, "dialect": dialect}
            for name, url in urls.items()
        ]
        tables = {"upstreams": upstreams, "timeouts": timeouts}
        config = written(folder, up.url, pool_of(cases), tables)
        env = {KEY_ENV: SECRET, "OPENFUSION_STATE_DIR": str(folder / "state")}
        app = build(load(config, env, {}, folder), dry_run=False)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            root = f"http://127.0.0.1:{runner.addresses[0][1]}"
            async with aiohttp.ClientSession() as session:
                yield root, session
        finally:
            await runner.cleanup()


async def ask(root, session, dialect, body):
    """Send one request; return what came, with its trace once that is closed."""
    path = root + DIALECTS[dialect].path
    async with session.post(path, json=body) as r:
        got = Got(r.status, r.headers.get("Retry-After"), raw=await r.read())
        trace_id = r.headers["x-openfusion-trace-id"]
    if got.status != 200:
        got.error = json.loads(got.raw)["error"]
    else:
        answer = heard(dialect, got.raw, streamed=body["stream"])
        got.text, got.calls = answer.text, len(answer.calls)
        got.event, got.error = answer.failed is not None, answer.failed or {}
    while got.outcome in ("", "running"):
        async with session.get(f"{root}/v1/traces/{trace_id}") as r:
            trace = await r.json()
        got.outcome, got.attempts = trace["outcome"], trace["attempts"]
    return got


async def play_all(folder, dialect, cases):
    """Play cases side by side; returns {(case, form, "two" or "alone"): Got}."""
    found = {}
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(root, session, number, case, form, way):
        names = [f"a-{form}-{number}", f"b-{form}-{number}"]
        names = names if way == "two" else [f"c-{form}-{number}"]
        key = f"{number}-{form}-{way}"
        body = body_of(dialect, case, key, stream=form == "stream", names=names)
        async with gate:
            found[case, form, way] = await ask(root, session, dialect, body)

    for name, silent in (("silent", True), ("other", False)):
        own = [c for c in cases if (c.fault is not None and c.fault.kind == "hang") == silent]
        here = folder / name
        here.mkdir()
        async with router(here, dialect, own, SHORT if silent else LONG) as (root, session):
            await asyncio.gather(
                *(
                    one(root, session, n, case, form, way)
                    for n, case in enumerate(own)
                    for form in case.forms
                    if dialect != case.but
                    for way in ("two", "alone")
                )
            )
    return found
