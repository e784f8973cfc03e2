"""A provider that misbehaves on demand: raw HTTP/1.1 over loopback, OpenAI's chat dialect, no web framework.

    async with FaultyUpstream() as up:
        ...   # point a router at up.url; prompts choose what happens

Directives in the newest user message: `[[fault:F12]]` (see `FAULTS`), `[[say:TEXT]]`, `[[words:N]]`, `[[sleep:S]]`,
`[[tool:NAME {"json": 1}]]` (several: parallel calls; the arguments keep their bytes). `up.script` is a queue of fault
ids ("ok" for none) that goes before them, one for each request. Without a directive the answer is "The answer is: "
and the first twelve words of the prompt. Usage: a token for 4 bytes of the request, a token for each word written.
"""

import asyncio
import gzip
import json
import re
import socket
import struct
import time
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Literal

Outcome = int | Literal["ok", "valid", "error_event"]
Handler = Callable[["Exchange"], Awaitable[None]]

ECHO_WORDS = 12
MAX_BODY = 64 << 20  # [bytes] of a request that is read
BIG_BYTES = 300 << 20  # [bytes] of F58 and F59
BIG_TEXT = 3 << 20  # [characters] of G11
MANY = 20_000  # events of G12
DONE = b"data: [DONE]\n\n"
SSE = "text/event-stream"
HTML = b"<html><body><h1>Bad gateway</h1> nginx at backend.internal.example</body></html>"
TRICKY = (
    ("quotes", '{"text": "say \\"hi\\" and \'bye\'", "path": "C:\\\\new"}'),
    ("lines", '{ "text" : "one\\ntwo\\r\\n\\tthree" }'),
    ("emoji", '{"text":"🧑‍💻 naïve 你好 \\ud83d\\ude80 \\u2028"}'),
)  # G13: (name, arguments)


@dataclass(frozen=True)
class Fault:
    """One way to fail, and what a client of a router in front of it may see.

    Attributes:
        json, stream: Accepted outcomes: a status with a JSON error; `ok`, the whole text; `valid`, an answer of
            status 200 that is well-formed; `error_event`, a stream that says at its end that it broke. Empty: the
            fault does not exist for that kind of request, which is then answered as if there were none.
        headers: Headers that a client must see with the error.
        code: The error code that a client must see.
    """

    id: str
    about: str
    handler: Handler
    json: frozenset[Outcome]
    stream: frozenset[Outcome]
    headers: Mapping[str, str] = field(default_factory=dict)
    code: str | None = None

    @property
    def stream_only(self) -> bool:
        return not self.json


@dataclass
class Request:
    """One request as it came; `text` and `tools` are what the answer says, `fault` is what was done instead."""

    method: str
    path: str
    headers: dict[str, str]
    raw: bytes
    body: dict[str, object]
    at_s: float
    fault: str = "ok"
    text: str = ""
    tools: tuple[tuple[str, str], ...] = ()
    sleep_s: float = 0.0
    gate: str = ""


@dataclass(frozen=True)
class HungUp:
    """A client that left before the end of its answer; times on the loop's clock [s]."""

    request: Request
    at_s: float


FAULTS: dict[str, Fault] = {}


def fault(id_, about, *, json=(), stream=(), both=(), headers=None, code=None):
    """Register a handler under a fault's id."""

    def register(handler: Handler) -> Handler:
        FAULTS[id_] = Fault(
            id_, about, handler, frozenset({*json, *both}), frozenset({*stream, *both}),
            headers or {}, code,
        )  # fmt: skip
        return handler

    return register


class Exchange:
    """One request being answered: the ways to answer it, rightly and wrongly.

    Attributes:
        nth: How many requests with the same fault and prompt came before.
        served: How many requests this connection has carried before.
        keep: Whether the connection lives on.
    """

    def __init__(self, server, writer, request, *, nth, served):
        self.server = server
        self.writer = writer
        self.request = request
        self.nth = nth
        self.served = served
        self.keep = True
        self.streaming = request.body.get("stream") is True
        self.key = request.headers.get("authorization", "").removeprefix("Bearer ")

    # -- what a right answer is made of

    @property
    def usage(self):
        written = self.request.text + " ".join(a for _, a in self.request.tools)
        made = {
            "prompt_tokens": len(self.request.raw) // 4,
            "completion_tokens": len(written.split()),
        }
        return {**made, "total_tokens": sum(made.values())}

    def envelope(self, kind):
        model = self.request.body.get("model")
        number = len(self.server.requests)
        return {"id": f"chatcmpl-{number}", "object": kind, "created": 1, "model": model}

    def calls(self):
        number = len(self.server.requests)
        return [
            {
                "id": f"call_{number}_{i}",
                "type": "function",
                "function": {"name": n, "arguments": a},
            }
            for i, (n, a) in enumerate(self.request.tools)
        ]

    def whole(self):
        message = {"role": "assistant", "content": self.request.text}
        if self.request.tools:
            message = {"role": "assistant", "content": None, "tool_calls": self.calls()}
        choice = {"index": 0, "message": message, "finish_reason": self.finish}
        return {**self.envelope("chat.completion"), "choices": [choice], "usage": self.usage}

    @property
    def finish(self):
        return "tool_calls" if self.request.tools else "stop"

    def event(self, delta=None, finish=None, **more):
        chunk = self.envelope("chat.completion.chunk")
        choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
        return frame({**chunk, "choices": choices, **more})

    def says(self):
        """The events that carry the answer, the role first."""
        yield self.event({"role": "assistant", "content": ""})
        if not self.request.tools:
            for word in re.findall(r"\S+\s*|\s+", self.request.text):
                yield self.event({"content": word})
        for i, call in enumerate(self.calls()):
            arguments = call["function"]["arguments"]
            first = {**call, "function": {**call["function"], "arguments": ""}, "index": i}
            yield self.event({"tool_calls": [first]})
            for at in range(0, len(arguments), 3):
                part = {"index": i, "function": {"arguments": arguments[at : at + 3]}}
                yield self.event({"tool_calls": [part]})

    def ends(self):
        """The events after them: finish, usage when asked for, the end mark."""
        yield self.event({}, self.finish)
        options = self.request.body.get("stream_options")
        if isinstance(options, dict) and options.get("include_usage"):
            yield self.event(usage=self.usage)
        yield DONE

    def events(self):
        return [*self.says(), *self.ends()]

    def half(self):
        """The role and half of the text: at least a word."""
        said = list(self.says())
        return said[: 1 + max(1, len(said) // 2)]

    # -- ways to send

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def head(self, status, *headers):
        lines = "".join(f"{line}\r\n" for line in headers)
        await self.send(f"HTTP/1.1 {status} Whatever\r\n{lines}\r\n".encode("latin-1"))

    async def plain(self, data, status=200, *headers, kind="application/json"):
        """A whole answer; `data` as bytes or as what is dumped to JSON."""
        raw = data if isinstance(data, bytes) else dumps(data)
        await self.head(status, f"Content-Type: {kind}", f"Content-Length: {len(raw)}", *headers)
        await self.send(raw)

    async def stream_head(self, *headers, kind=SSE):
        await self.head(200, f"Content-Type: {kind}", "Transfer-Encoding: chunked", *headers)

    async def chunk(self, data):
        if data:
            await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def stream(self, pieces: Iterable[bytes], *headers, kind=SSE, pause_s=0.0, end=True):
        """A stream, each piece written by itself; `end=False` leaves it open."""
        await self.stream_head(*headers, kind=kind)
        for piece in pieces:
            await self.chunk(piece)
            if pause_s:
                await asyncio.sleep(pause_s)
        if end:
            await self.send(b"0\r\n\r\n")

    async def right(self):
        if self.streaming:
            await self.stream(self.events())
        else:
            await self.plain(self.whole())

    async def refuse(self, status, message, *headers, kind="server_error", code=None):
        await self.plain(
            {"error": {"message": message, "type": kind, "code": code}}, status, *headers
        )

    async def forever(self):
        await asyncio.Event().wait()

    def drop(self):
        """Close after what was sent."""
        self.keep = False

    async def reset(self):
        """Cut the connection with RST, a moment later, so that the reader has what was sent."""
        await asyncio.sleep(0.05)
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.keep = False
        self.writer.transport.abort()


def dumps(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )


def frame(value):
    return b"data: " + dumps(value) + b"\n\n"


# --- before an answer (rows 1, 2, 27) -------------------------------------------------------------------------

GONE = {502, 503, 504}


@fault("F01", "refused connection; the test gives the router `closed_url()`", both=GONE)
@fault("F03", "reset before a byte", both=GONE)
async def _reset(x):
    await x.reset()


@fault("F02", "closed before a byte", both=GONE)
async def _close(x):
    x.drop()


@fault("F04", "no headers ever", both={504})
async def _no_head(x):
    await x.forever()


@fault("F05", "not HTTP", both=GONE)
async def _not_http(x):
    await x.send(b"SSH-2.0-OpenSSH_9.9 backend.internal.example\r\n")
    x.drop()


@fault("F06", "a header of 200 KB", both=GONE)
async def _big_header(x):
    await x.plain(x.whole(), 200, "X-Big: " + "a" * 200_000)
    x.drop()


@fault("F07", "half a body, then silence", json={504}, stream={504, "error_event"})
async def _half_body(x):
    if x.streaming:
        event = x.event({"content": "half"})
        await x.stream([event[: len(event) // 2]], end=False)
    else:
        raw = dumps(x.whole())
        await x.head(200, "Content-Type: application/json", f"Content-Length: {len(raw)}")
        await x.send(raw[: len(raw) // 2])
    await x.forever()


@fault("G20", "a kept connection is closed when it is used again", both={"ok"})
async def _closed_at_reuse(x):
    if x.served:
        x.drop()
    else:
        await x.right()


@fault("G21", "closed after each answer, without saying so", both={"ok"})
async def _closed_after(x):
    await x.right()
    x.drop()


# --- other statuses (rows 3 to 11) ----------------------------------------------------------------------------


def _status(id_, about, status, *headers, both, message="it failed", kind="server_error", **more):
    @fault(id_, about, both=both, **{k: v for k, v in more.items() if k in ("headers", "code")})
    async def refuse(x):
        lines = [h() if callable(h) else h for h in headers]
        said = message.format(key=x.key, host=x.server.url)
        await x.refuse(status, said, *lines, kind=kind, code=more.get("code"))


def _once(id_, status):
    @fault(id_, f"{status} once", both={"ok"})
    async def refuse_first(x):
        if x.nth:
            await x.right()
        else:
            await x.refuse(status, "once only")


def _in_an_hour():
    return "Retry-After: " + formatdate(time.time() + 3600, usegmt=True)


LIMITED = {"kind": "rate_limit_error", "message": "slow down"}
_status(
    "F10",
    "429 always, Retry-After 7",
    429,
    "Retry-After: 7",
    both={429, 503},
    headers={"retry-after": "7"},
    **LIMITED,
)
_once("F11", 429)
_status("F12", "429, Retry-After 3600", 429, "Retry-After: 3600", both={429}, **LIMITED)
_status("F13", "429, Retry-After a date in an hour", 429, _in_an_hour, both={429}, **LIMITED)
_status(
    "F14", "429, Retry-After junk", 429, "Retry-After: soon, I hope", both={429},
    headers={"retry-after": "1"},  # Codex ends its session on a 429 without a time
    **LIMITED,
)  # fmt: skip
_status("F15", "500 always", 500, both={500, 502, 503, 504})
_once("F16", 500)
_once("F17", 503)
_status("F18", "529 always", 529, both={500, 502, 503, 504, 529}, kind="overloaded_error")
_status(
    "F20",
    "401 that quotes the key",
    401,
    both={401, 500, 502, 503},
    message="Incorrect API key provided: {key} at {host}",
)
_status("F21", "402", 402, both={402, 500, 502, 503}, message="Insufficient credits for {key}")
_status(
    "F22",
    "403 that quotes the key",
    403,
    both={403, 500, 502, 503},
    message="Key {key} may not use this model",
)
_status(
    "F23",
    "404 model",
    404,
    both={400, 404, 500, 502, 503},
    message="The model does not exist",
    kind="invalid_request_error",
)
_status(
    "F24", "400 context_length_exceeded", 400, both={400}, kind="invalid_request_error", code="context_length_exceeded",
    message="This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
)  # fmt: skip


def _answer(
    id_, about, data, status=200, *headers, both=(), json=(), stream=(), kind="application/json"
):
    @fault(id_, about, both=both, json=json, stream=stream)
    async def answer(x):
        await x.plain(data(x) if callable(data) else data, status, *headers, kind=kind)


_answer("F19", "502 with HTML", HTML, 502, both={502}, kind="text/html")
_answer("F25", "400 with nothing", b"", 400, both={400, 502})
_answer(
    "F26",
    "422 with a `detail` list",
    {"detail": [{"loc": ["body"], "msg": "bad"}]},
    422,
    both={400, 422, 502},
)
_answer(
    "F27",
    "418 with bytes",
    bytes(range(256)),
    418,
    both={400, 418, 502},
    kind="application/octet-stream",
)


def _redirect(id_, status):
    @fault(id_, f"{status} to another place that redirects on", both={502})
    async def redirect(x):
        await x.plain(b"", status, f"Location: {x.server.url}/elsewhere")


_redirect("F28", 302)
_redirect("F29", 307)


@fault("F30", "204", both={502})
async def _no_content(x):
    await x.head(204)


# --- 200 with the wrong body (rows 12, 14) ----------------------------------------------------------------------

JUNK = {"json": {502}, "stream": {502, "error_event"}}


def _without(x, key):
    return {k: v for k, v in x.whole().items() if k != key}


_answer("F31", "junk", b"%PDF-1.7 not JSON at all", **JUNK)
_answer("F32", "no choices", lambda x: _without(x, "choices"), **JUNK)
_answer("F33", "empty choices", lambda x: {**x.whole(), "choices": []}, **JUNK)
_answer("F34", "array", [1, 2], **JUNK)
_answer("F35", "null", None, **JUNK)
_answer(
    "F36",
    "null message",
    lambda x: {**x.whole(), "choices": [{"index": 0, "message": None, "finish_reason": "stop"}]},
    **JUNK,
)
_answer(
    "F37",
    "error object with 200",
    lambda x: {"error": {"message": f"no, {x.key}", "type": "server_error", "code": 500}},
    **JUNK,
)
_answer("F38", "HTML", HTML, kind="text/html", **JUNK)
_answer("F39", "nothing", b"", **JUNK)
_answer("F40", "nested 200,000 deep", b"[" * 200_000 + b"]" * 200_000, **JUNK)
_answer(
    "F41", "bad UTF-8", lambda x: dumps(x.whole()).replace(b"answer", b"\xff\xfe\x80", 1), **JUNK
)
_answer("F43", "broken gzip", b"\x1f\x8b this is no gzip", 200, "Content-Encoding: gzip", **JUNK)


@fault("F42", "shorter than its Content-Length", **JUNK)
async def _short(x):
    raw = dumps(x.whole())
    await x.head(200, "Content-Type: application/json", f"Content-Length: {len(raw) + 100}")
    await x.send(raw)
    x.drop()


@fault("F58", "a body of 300 MB", **JUNK)
async def _big_body(x):
    await x.stream_head(kind="application/json")
    await x.chunk(b'{"choices":[{"index":0,"message":{"role":"assistant","content":"')
    for _ in range(x.server.big_bytes >> 20):
        await x.chunk(b"x" * (1 << 20))
    await x.chunk(b'"}}]}')
    await x.send(b"0\r\n\r\n")


@fault("F59", "an event of 300 MB on one line", stream={502, "error_event"})
async def _big_line(x):
    if not x.streaming:
        return await x.right()
    await x.stream_head()
    await x.chunk(b"".join(x.half()) + b'data: {"choices":[{"index":0,"delta":{"content":"')
    for _ in range(x.server.big_bytes >> 20):
        await x.chunk(b"x" * (1 << 20))
    return await x.send(b"0\r\n\r\n")


# --- 200 with an odd body (row 13) ------------------------------------------------------------------------------

ODD = {"json": {"valid", 502}, "stream": {"valid", 502, "error_event"}}


def _odd(id_, about, edit, *headers, kind=None, **accepted):
    """The right answer, its bytes edited: the JSON body, or every event of a stream."""

    @fault(id_, about, **accepted)
    async def odd(x):
        if x.streaming:
            await x.stream([edit(e) for e in x.events()], *headers, kind=kind or SSE)
        else:
            await x.plain(edit(dumps(x.whole())), 200, *headers, kind=kind or "application/json")


def _content(make):
    """Edit each non-empty content; `make` gets its JSON text."""
    return lambda raw: re.sub(rb'(?<="content":)"(?:[^"\\]|\\.)+"', lambda m: make(m.group()), raw)


def _created(value):
    return lambda raw: raw.replace(b'"created":1,', b'"created":' + value + b",")


def _no_usage(raw):
    return re.sub(rb',"usage":\{[^{}]*\}', b"", raw)


_odd("F45", "an integer of 6000 digits", _created(b"1" * 6000), **ODD)
_odd("F46", "a lone surrogate", _content(lambda text: text[:-1] + b'\\ud83d"'), **ODD)
_odd("F47", "NaN", _created(b"NaN"), **ODD)
_odd(
    "F49",
    "content as a list of parts",
    _content(lambda text: b'[{"type":"text","text":' + text + b"}]"),
    **ODD,
)
_odd("F50", "content null", _content(lambda _: b"null"), **ODD)
_odd("F51", "said to be text/plain", bytes, kind="text/plain", **ODD)
_odd("F54", "usage missing", _no_usage, both={"ok"})
_odd(
    "F55",
    "unknown fields everywhere",
    lambda raw: raw.replace(b'"created":1,', b'"created":1,"x_new":{"a":[1,null]},').replace(
        b'"index":0,', b'"index":0,"x_y":true,'
    ),
    both={"ok"},
)


@fault("F48", "a BOM", **ODD)
async def _bom_body(x):
    if x.streaming:
        await x.stream([b"\xef\xbb\xbf", *x.events()])
    else:
        await x.plain(b"\xef\xbb\xbf" + dumps(x.whole()))


@fault("F52", "an odd charset", **ODD)
async def _charset(x):
    if x.streaming:
        await x.stream(x.events(), kind=f"{SSE}; charset=rot13")
    else:
        await x.plain(x.whole(), kind="application/json; charset=rot13")


@fault("F53", "an event stream where JSON was asked for", json={"valid", 502})
async def _stream_for_json(x):
    await x.stream(x.events())


@fault("F56", "gzip", both={"ok"})
async def _gzip(x):
    if x.streaming:
        await x.stream([gzip.compress(b"".join(x.events()))], "Content-Encoding: gzip")
    else:
        await x.plain(gzip.compress(dumps(x.whole())), 200, "Content-Encoding: gzip")


@fault("F57", "103 early hints first", both={"ok"})
async def _hints(x):
    await x.head(103, "Link: </style.css>; rel=preload")
    await x.right()


# --- streams that break (rows 15 to 20) -------------------------------------------------------------------------

EVENT = {"error_event"}
EARLY = {502, "error_event"}


def _broken(id_, about, accepted=EVENT, *, half=True, end=True, json=()):
    """A stream of half the text, then what the function yields; a request for JSON is answered rightly."""

    def register(rest):
        @fault(id_, about, stream=accepted, json=json)
        async def broken(x):
            if not x.streaming:
                return await x.right()
            await x.stream([*(x.half() if half else ()), *rest(x)], end=end)
            return None if end else x.drop()

        return rest

    return register


@_broken("F60", "cut: no end chunk", end=False)
@_broken("F61", "ends cleanly without a finish")
@_broken("F80", "F60, for a client of /responses", end=False)
@_broken("F81", "F60, for a client of /messages", end=False)
@_broken("F68", "an empty stream", EARLY, half=False)
def _nothing(x):
    return ()


@_broken("F62", "cut inside an event")
def _inside(x):
    event = x.event({"content": "never whole"})
    yield event[: len(event) - 20]


@_broken("F64", "an error event that quotes the key")
def _error_event(x):
    yield frame(
        {"error": {"message": f"backend failed for {x.key}", "type": "server_error", "code": 500}}
    )


@_broken("F65", "a named error event, and a good end after it")
def _named_error(x):
    yield b"event: error\n" + frame(
        {"error": {"message": f"failed: {x.key}", "type": "overloaded"}}
    )
    yield DONE


@_broken("F66", "an error event first", EARLY, half=False)
def _error_first(x):
    yield frame({"error": {"message": f"failed: {x.key}", "code": 502}})


@_broken("F67", "an event that is no JSON, and a good end after it")
def _bad_event(x):
    yield b'data: {"choices": [{"index": 0, "delta": oops\n\n'
    yield from x.ends()


@_broken("F69", "[DONE] only", EARLY, half=False)
def _done_only(x):
    yield DONE


@fault("F70", "HTML as a stream", stream=EARLY)
async def _html_stream(x):
    if x.streaming:
        await x.stream([HTML], kind="text/html")
    else:
        await x.right()


@_broken("F71", "bad UTF-8, and a good end after it")
def _bad_utf8(x):
    yield x.event({"content": "good@bad"}).replace(b"@", b"\xff\xc0")
    yield from x.ends()


async def _half_then(x, then):
    if not x.streaming:
        return await x.right()
    await x.stream(x.half(), end=False)
    return await then(x)


@fault("F63", "reset", stream=EVENT)
async def _reset_inside(x):
    await _half_then(x, Exchange.reset)


@fault("F72", "bad chunking", stream=EARLY)
async def _bad_chunking(x):
    async def then(x):
        await asyncio.sleep(0.05)
        await x.send(b"zz\r\nthis is no chunk\r\n")
        x.drop()

    await _half_then(x, then)


@fault("F73", "stalls", stream=EVENT)
async def _stall(x):
    await _half_then(x, Exchange.forever)


@fault("F74", "stalls, with comments to keep the connection", stream=EVENT)
async def _stall_with_comments(x):
    async def then(x):
        while True:
            await x.chunk(b": still here\n\n")
            await asyncio.sleep(0.1)

    await _half_then(x, then)


def _cut_arguments(x):
    x.request.tools = ((_offered(x), '{"path": "src/parser.py", "old": "x'),)
    x.request.text = ""


async def _cut_call(x, *, finished):
    _cut_arguments(x)
    if not x.streaming:
        await x.plain(x.whole())
    else:
        await x.stream([*x.says(), *(x.ends() if finished else ())])


def _offered(x):
    tools = x.request.body.get("tools") or [{"function": {"name": "edit"}}]
    return tools[0]["function"]["name"]


@fault("F75", "tool arguments cut, the stream ends", json={502}, stream=EARLY)
async def _tool_cut(x):
    await _cut_call(x, finished=False)


@fault("F75b", "tool arguments cut, and the call is said to be finished", json={502}, stream=EARLY)
async def _tool_cut_finished(x):
    await _cut_call(x, finished=True)


# --- streams that are odd but right (rows 21 to 26) -------------------------------------------------------------


def _fine(id_, about, accepted=("ok",), *, json=(), pause_s=0.0):
    """A stream made of what the function yields; a request for JSON is answered rightly."""

    def register(make):
        @fault(id_, about, stream=accepted, json=json)
        async def fine(x):
            pieces = list(make(x))  # before a JSON answer too: it may set the text
            if x.streaming:
                await x.stream(pieces, pause_s=pause_s)
            else:
                await x.right()

        return make

    return register


@_fine("F90", "no [DONE]")
def _no_done(x):
    return x.events()[:-1]


@_fine("F91", "[DONE] twice")
def _done_twice(x):
    return [*x.events(), DONE]


@_fine("F92", "events after [DONE]")
def _after_done(x):
    return [*x.events(), x.event({"content": " too late"}), DONE]


@_fine("F93", "comments")
def _comments(x):
    return [piece for e in x.events() for piece in (b": comment\n\n", b":\n" + e)]


@_fine("F94", "CRLF")
def _crlf(x):
    return [e.replace(b"\n", b"\r\n") for e in x.events()]


@_fine("F95", "CR")
def _cr(x):
    return [e.replace(b"\n", b"\r") for e in x.events()]


@_fine("F96", "CRLF split over reads", pause_s=0.002)
def _crlf_split(x):
    return re.findall(rb"[^\r]*\r|[^\r]+", b"".join(x.events()).replace(b"\n", b"\r\n"))


@_fine("F97", "`data:` without the space")
def _no_space(x):
    return [e.replace(b"data: ", b"data:", 1) for e in x.events()]


@_fine("F98", "a BOM before the stream")
def _bom_stream(x):
    return [b"\xef\xbb\xbf", *x.events()]


@_fine("F99", "id, retry and event fields")
def _fields(x):
    return [b"id: %d\nretry: 10\nevent: message\n%b" % (i, e) for i, e in enumerate(x.events())]


@_fine("F100", "data over several lines")
def _multi_line(x):
    return [
        e.replace(b',"choices"', b',\ndata: "choices"').replace(b'"delta":', b'"delta":\ndata:')
        for e in x.events()
    ]


@_fine("F101", "one byte a write")
def _bytewise(x):
    return [bytes([b]) for b in b"".join(x.events())]


@_fine("F102", "split inside characters", pause_s=0.002)
def _split_characters(x):
    x.request.text += " naïve 你好 🚀 é"
    return re.findall(rb"[\x00-\x7f]*[\xc0-\xff]|[\x80-\xbf]|[\x00-\x7f]+", b"".join(x.events()))


@_fine("F103", "all in one write")
def _one_write(x):
    return [b"".join(x.events())]


@_fine("F104", "an unknown event")
def _unknown_event(x):
    first, *rest = x.events()
    return [first, b'event: ping\ndata: {"type":"ping"}\n\n', *rest]


@_fine("F105", "no newline after [DONE]")
def _no_newline(x):
    return [b"".join(x.events()).rstrip(b"\n")]


@_fine("F106", "one usage chunk more")
def _more_usage(x):
    first, *rest = x.events()
    return [first, x.event(usage=x.usage), *rest]


@_fine("F107", "empty deltas")
def _empty_deltas(x):
    first, *rest = x.events()
    empty = [x.event({}), x.event({"content": ""}), x.event({"content": None})]
    return [first, *empty, *(piece for e in rest[:-1] for piece in (x.event({}), e)), rest[-1]]


@_fine("F108", "an unknown field")
def _unknown_field(x):
    return [b"x-new: 1\nlonely\n" + e for e in x.events()]


@_fine("F109", "leading blank lines")
def _blank_lines(x):
    return [b"\n\r\n\n\n", *x.events()]


@fault("G10", "JSON where a stream was asked for", stream={"ok", 502, "error_event"})
async def _json_for_stream(x):
    await x.plain(x.whole())


@_fine("G11", "3 MB in one event", json={"ok"})
def _big_event(x):
    x.request.text = "x" * BIG_TEXT
    return x.events()


@_fine("G12", "20,000 events")
def _many_events(x):
    x.request.text = " ".join(f"w{i}" for i in range(MANY)) if x.streaming else x.request.text
    return x.events()


@_fine("G13", "parallel tool calls with quotes, newlines, emoji", json={"ok"})
def _parallel(x):
    x.request.tools, x.request.text = TRICKY, ""
    return x.events()


# --- the server -------------------------------------------------------------------------------------------------

DIRECTIVE = re.compile(r"\[\[(fault|say|sleep|words|tool):")
NAME = re.compile(r"([\w.-]+)\s*")


def directives(text):
    """Return the plain directives, the tool calls [(name, arguments)] and the text without any of them."""
    found, tools, rest, at = {}, [], [], 0
    for start in DIRECTIVE.finditer(text):
        if start.start() < at:
            continue
        rest.append(text[at : start.start()])
        if start[1] == "tool":
            name = NAME.match(text, start.end())
            bare = text.startswith("]]", name.end())
            end = name.end() if bare else json.JSONDecoder().raw_decode(text, name.end())[1]
            tools.append((name[1], text[name.end() : end] or "{}"))
        else:
            end = text.index("]]", start.end())
            found[start[1]] = text[start.end() : end]
        at = end + 2
    return found, tuple(tools), "".join([*rest, text[at:]])


def expected_text(prompt):
    """What a faultless answer to this prompt says."""
    found, _, rest = directives(prompt)
    if "say" in found:
        return found["say"]
    if "words" in found:
        return " ".join(f"word{i}" for i in range(int(found["words"])))
    return "The answer is: " + " ".join(rest.split()[:ECHO_WORDS])


def text_of(content):
    if isinstance(content, str):
        return content
    return "\n".join(p.get("text", "") for p in content or () if isinstance(p, dict))


def closed_url():
    """An address at which nobody listens (F01)."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return f"http://127.0.0.1:{port}/v1"


class _Reader(asyncio.StreamReader):
    """A reader that says when the client is gone, without reading what it may have sent."""

    def __init__(self):
        super().__init__(limit=1 << 20)
        self.gone = asyncio.Event()

    def feed_eof(self):
        super().feed_eof()
        self.gone.set()

    def set_exception(self, exc):
        super().set_exception(exc)
        self.gone.set()


class FaultyUpstream:
    """The server. See the module's docstring.

    Attributes:
        script: Fault ids that the next requests get, in order; "ok" for none, "say:TEXT" for a text,
            "gate:NAME:..." for what comes when the gate of that name is open. Goes before directives.
        gates: Events by name, for "gate:".
        requests: All that came.
        open_now: Requests in work.
        hung_up: Clients that left before the end.
        big_bytes: Size of F58 and F59 [bytes].
    """

    def __init__(self, *, big_bytes=BIG_BYTES):
        self.script: deque[str] | list[str] = []
        self.gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.requests: list[Request] = []
        self.open_now = 0
        self.hung_up: list[HungUp] = []
        self.big_bytes = big_bytes
        self.url = ""
        self._seen: Counter[tuple[str, str]] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._bugs: list[BaseException] = []

    async def __aenter__(self):
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: asyncio.StreamReaderProtocol(_Reader(), self._connected), "127.0.0.1", 0
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        await asyncio.sleep(0)  # aborted transports say connection_lost in the next turn
        if self._bugs:
            raise self._bugs[0]

    def _connected(self, reader, writer):
        task = asyncio.get_running_loop().create_task(self._connection(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connection(self, reader, writer):
        served = 0
        try:
            while (request := await self._read(reader)) is not None:
                if not await self._serve(reader, writer, request, served):
                    break
                served += 1
            writer.close()
            await writer.wait_closed()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    async def _read(self, reader):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.rstrip("\r\n").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        raw = await self._read_body(reader, headers)
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        at_s = asyncio.get_running_loop().time()
        return Request(method, path, headers, raw, body if isinstance(body, dict) else {}, at_s)

    async def _read_body(self, reader, headers):
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return await reader.readexactly(min(int(headers.get("content-length", 0)), MAX_BODY))
        parts, size = [], None
        while size != 0:
            size = int((await reader.readline()).split(b";")[0], 16)
            parts.append((await reader.readexactly(size + 2))[:-2])
            if sum(map(len, parts)) > MAX_BODY:
                raise ConnectionError("request too large")
        return b"".join(parts)

    def _plan(self, request):
        """Read what to answer: text, tools and the fault, a queued one before the prompt's."""
        messages = [m for m in request.body.get("messages") or () if isinstance(m, dict)]
        users = [text_of(m.get("content")) for m in messages if m.get("role") == "user"]
        prompt = users[-1] if users else ""
        found, tools, _ = directives(prompt)
        request.text = expected_text(prompt)
        if tools and messages[-1].get("role") == "user":
            request.tools, request.text = tools, ""
        request.sleep_s = float(found.get("sleep", 0))
        request.fault = found.get("fault", "ok")
        if self.script:
            request.fault, *rest = self.script
            self.script = rest
            if request.fault.startswith("gate:"):
                _, request.gate, request.fault = request.fault.split(":", 2)
            if request.fault.startswith("say:"):
                request.text, request.fault = request.fault[4:], "ok"
        seen = (request.fault, prompt)
        self._seen[seen] += 1
        return self._seen[seen] - 1

    async def _serve(self, reader, writer, request, served):
        """Answer one request; False when the connection ends with it."""
        self.requests.append(request)
        nth = self._plan(request) if request.path.endswith("/chat/completions") else 0
        x = Exchange(self, writer, request, nth=nth, served=served)
        work = asyncio.ensure_future(self._act(x))
        gone = asyncio.ensure_future(reader.gone.wait())
        self.open_now += 1
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done() or isinstance(work.exception(), ConnectionError):
                now_s = asyncio.get_running_loop().time()
                self.hung_up.append(HungUp(request, now_s))
                return False
            if work.exception() is not None:
                self._bugs.append(work.exception())
                return False
            return x.keep
        finally:
            self.open_now -= 1
            work.cancel()
            gone.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)

    async def _act(self, x):
        request = x.request
        if request.path.endswith("/elsewhere"):
            await x.plain(b"", 307, f"Location: {self.url}/elsewhere")
        elif request.method == "GET" and request.path.endswith("/models"):
            await x.plain({"object": "list", "data": [{"id": "faulty", "object": "model"}]})
        elif not request.path.endswith("/chat/completions"):
            await x.refuse(404, "unknown path")
        else:
            await asyncio.sleep(request.sleep_s)
            if request.gate:
                await self.gates[request.gate].wait()
            await (x.right() if request.fault == "ok" else FAULTS[request.fault].handler(x))
