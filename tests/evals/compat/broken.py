"""Gateways that are broken on purpose: each fault, and the probes that must find it.

Every fault is one that was seen in some gateway or server: an id lost, a usage that is elsewhere, an end mark missing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from aiohttp import web

from openfusion_auto.evals.compat import script
from openfusion_auto.evals.compat.scripted import Scripted, odd

Json = dict
Events = list[bytes]


@dataclass(frozen=True)
class Fault:
    """One way to be broken, in one dialect.

    Attributes:
        finds: The probes of the dialect that fail, and no other may.
        body: Changes a whole answer.
        events: Changes the events of a stream.
        kind: Another content type of it.
        reply: Stands for the whole answering; gets the gateway and the request.
        refusal: Stands for what a wrong request gets.
    """

    name: str
    dialect: str
    finds: frozenset[str]
    body: Callable[[Json], object] = lambda body: body
    events: Callable[[Events], Events] = lambda events: events
    reply: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
    refusal: Callable[[], web.StreamResponse] | None = None
    forgets: bool = False  # fields that it does not know


class Broken(Scripted):
    """A gateway with one fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self.fault = fault

    def made(self, dialect, parts, *, streamed):
        if dialect != self.fault.dialect:
            return super().made(dialect, parts, streamed=streamed)
        if streamed:
            return b"".join(self.fault.events(parts))
        return json.dumps(self.fault.body(json.loads(parts[0])), ensure_ascii=False).encode()

    async def reply(self, request, dialect, raw, body):
        if dialect == self.fault.dialect and self.fault.reply is not None:
            return await self.fault.reply(request)
        if dialect == self.fault.dialect and self.fault.forgets:
            body = {k: v for k, v in body.items() if k != script.FIELD}
        return await super().reply(request, dialect, raw, body)

    def refused(self, dialect, status, kind, message):
        if dialect == self.fault.dialect and self.fault.refusal is not None:
            return self.fault.refusal()
        return super().refused(dialect, status, kind, message)


# -- ways to change what was right -----------------------------------------------------------------------------------


def data_of(event: bytes) -> Json | None:
    data = event.partition(b"data: ")[2]
    return None if data.startswith(b"[") else json.loads(data)


def each(change: Callable[[Json], Json | None]) -> Callable[[Events], Events]:
    """Change the objects of the events; None drops one."""

    def edit(events: Events) -> Events:
        out = []
        for event in events:
            data = data_of(event)
            made = data if data is None else change(data)
            if data is None:
                out.append(event)
            elif made is not None:
                head = event.partition(b"data: ")[0]
                out.append(
                    head + b"data: " + json.dumps(made, ensure_ascii=False).encode() + b"\n\n"
                )
        return out

    return edit


def without(*kinds: str) -> Callable[[Events], Events]:
    return each(lambda e: None if e.get("type") in kinds else e)


def swap(old: str, new: str) -> Callable[[Json], Json]:
    """Replace text in the JSON of a body or an event."""
    return lambda body: json.loads(json.dumps(body).replace(old, new))


def unindexed(data: Json) -> Json:
    for choice in data["choices"]:
        for call in choice["delta"].get("tool_calls", ()):
            call["index"] = 0
    return data


def usage_at_finish(events: Events) -> Events:
    usage = next((data_of(e)["usage"] for e in events if b'"usage"' in e), None)

    def move(data: Json) -> Json | None:
        if not data["choices"]:
            return None
        return {**data, "usage": usage} if data["choices"][0]["finish_reason"] else data

    return each(move)(events)


def new_ids(events: Events) -> Events:
    numbers = iter(range(1000))
    return each(lambda e: {**e, "id": f"chatcmpl-{next(numbers)}"})(events)


def rewritten(events: Events) -> Events:
    """Arguments read and written anew, as JSON libraries do."""
    anew = json.dumps(json.loads(script.ARGUMENTS), ensure_ascii=False)
    seen: set[int] = set()

    def edit(data: Json) -> Json | None:
        for choice in data["choices"]:
            for call in choice["delta"].get("tool_calls", ()):
                if "id" in call:
                    return data
                if call["index"] in seen:
                    return None
                seen.add(call["index"])
                call["function"]["arguments"] = anew
        return data

    return each(edit)(events)


def by_pieces(events: Events) -> Events:
    """Bytes decoded piece by piece: a character that is cut becomes others."""
    return [p.decode("utf-8", "replace").encode() for p in odd(b"".join(events))]


def lost_second(kind: str) -> Callable[[Events], Events]:
    """Lose the second event of a kind (or, of chat, the second that says something)."""

    def edit(events: Events) -> Events:
        found = [i for i, e in enumerate(events) if kind.encode() in e]
        return [e for i, e in enumerate(events) if i not in found[1:2]]

    return edit


# -- ways to answer otherwise ----------------------------------------------------------------------------------------


async def hang(request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()  # until the client leaves
    raise AssertionError


async def cut(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={"Content-Type": "application/json", "Content-Length": "500"}
    )
    await response.prepare(request)
    await response.write(b'{"id": ')
    request.transport.abort()
    return response


async def elsewhere(request: web.Request) -> web.StreamResponse:
    return web.Response(status=307, headers={"Location": str(request.url)})


async def endless(request: web.Request) -> web.StreamResponse:
    return web.Response(body=b" " * (5 * 2**20), content_type="application/json")


async def squeezed(request: web.Request) -> web.StreamResponse:
    return web.Response(
        body=b"{}", content_type="application/json", headers={"Content-Encoding": "br"}
    )


async def html(request: web.Request) -> web.StreamResponse:
    return web.Response(text="<h1>Bad gateway</h1> sk-secret", status=502, content_type="text/html")


def refuse(status: int, body: object) -> Callable[[], web.StreamResponse]:
    return lambda: web.Response(
        status=status, body=json.dumps(body).encode(), content_type="application/json"
    )


# -- the table -------------------------------------------------------------------------------------------------------

PLAIN = ("answer", "tools", "structured output", "unknown fields")
STREAMED = ("stream", "tools stream", "parallel tools", "characters")
ASKING = (*PLAIN, *STREAMED, "usage")


def row(name: str, dialect: str, finds: Iterable[str] | str, **how) -> Fault:
    found = finds.split(", ") if isinstance(finds, str) else finds
    return Fault(name, dialect, frozenset(f"{dialect}: {f}" for f in found), **how)


ALL = (
    # Chat Completions, whole
    row("another object", "chat", (*PLAIN, "usage"), body=swap("chat.completion", "completion")),
    row("no finish", "chat", (*PLAIN, "usage"), body=swap('"finish_reason"', '"reason"')),
    row("wrong finish", "chat", "tools", body=swap('"tool_calls"}', '"stop"}')),
    row("tokens of its own", "chat", "usage", body=swap('"completion_tokens": 20', '"completion_tokens": 21')),
    row("no usage", "chat", "usage", body=lambda b: {k: v for k, v in b.items() if k != "usage"}),
    row("calls without ids", "chat", "tools", body=swap('"id": "call_0_get_weather"', '"x": 1')),
    row("an empty text", "chat", "answer, structured output, unknown fields", body=lambda b: {**b, "choices": [{**c, "message": {**c["message"], "content": None}} if c["finish_reason"] == "stop" and "tools said" not in c["message"]["content"] else c for c in b["choices"]]}),
    row("a field taken out on the way up", "chat", "unknown fields", forgets=True),
    row("a field taken out on the way down", "chat", "unknown fields", body=lambda b: {k: v for k, v in b.items() if k != script.ANSWER_FIELD}),
    row("no structured output", "chat", "structured output", body=swap('{\\"city\\": \\"Paris\\", \\"number\\": 7}', "Paris, 7")),
    row("the wrong type in it", "chat", "structured output", body=swap('\\"number\\": 7', '\\"number\\": \\"7\\"')),
    # Chat Completions, streamed
    row("no end mark", "chat", "stream", events=lambda e: [x for x in e if b"[DONE]" not in x]),
    row("another object in a stream", "chat", (*STREAMED, "usage"), events=each(swap("chat.completion.chunk", "chat.completion"))),
    row("ids that change", "chat", "stream", events=new_ids),
    row("no usage chunk", "chat", "usage", events=each(lambda e: e if e["choices"] else None)),
    row("usage at the finish", "chat", "usage", events=usage_at_finish),
    row("a piece of text lost", "chat", "characters", events=lambda e: [x for i, x in enumerate(e) if i != 2 or b'"content"' not in x]),
    row("a call without an id", "chat", "tools stream, parallel tools", events=each(swap('"id": "call_0_get_weather", ', ""))),
    row("one index for two calls", "chat", "parallel tools", events=each(unindexed)),
    row("one id for two calls", "chat", "parallel tools", events=each(swap("call_1_get_time", "call_0_get_weather"))),
    row("arguments written anew", "chat", "tools stream, parallel tools", events=rewritten),
    row("characters decoded by pieces", "chat", "tools stream, parallel tools, characters", events=by_pieces),
    row("an error inside", "chat", (*STREAMED, "usage"), events=lambda e: [*e[:2], b'data: {"error": {"message": "no"}}\n\n', *e[2:]]),
    row("a finish twice", "chat", (*STREAMED, "usage"), events=lambda e: [*e[:-2], *(x for x in e if b'"finish_reason": "' in x), *e[-2:]]),
    row("an event that is no JSON", "chat", (*STREAMED, "usage"), events=lambda e: [b"data: {\n\n", *e]),
    # Responses
    row("not completed", "responses", (*PLAIN, "usage"), body=swap('"status": "completed", "error"', '"status": "failed", "error"')),
    row("calls without call_id", "responses", "tools", body=swap('"call_id"', '"call"')),
    row("no tokens", "responses", "usage", body=lambda b: {**b, "usage": None}),
    row("events without names", "responses", "stream", events=lambda e: [x[x.index(b"data: "):] for x in e]),
    row("numbers that stand still", "responses", "stream", events=each(lambda e: {**e, "sequence_number": 0})),
    row("no created", "responses", (*STREAMED, "usage"), events=without("response.created")),
    row("no completed", "responses", (*STREAMED, "usage"), events=without("response.completed")),
    row("items never added", "responses", (*STREAMED, "usage"), events=without("response.output_item.added")),
    row("items never done", "responses", (*STREAMED, "usage"), events=without("response.output_item.done")),
    row("a piece of the text lost", "responses", "tools stream, parallel tools, characters", events=lost_second("output_text.delta")),
    row("a piece of arguments lost", "responses", "tools stream, parallel tools", events=lost_second("arguments.delta")),
    row("an empty end", "responses", (*STREAMED, "usage"), events=each(lambda e: {**e, "response": {**e["response"], "output": []}} if e["type"] == "response.completed" else e)),
    row("something behind the end", "responses", (*STREAMED, "usage"), events=lambda e: [*e, e[0]]),
    # Messages
    row("another type", "messages", (*PLAIN, "usage"), body=lambda b: {**b, "type": "completion"}),
    row("no stop reason", "messages", (*PLAIN, "usage"), body=lambda b: {**b, "stop_reason": None}),
    row("input as text", "messages", "tools", body=lambda b: {**b, "content": [{**c, "input": json.dumps(c["input"])} if "input" in c else c for c in b["content"]]}),
    row("OpenAI's end mark", "messages", (*STREAMED, "usage"), events=lambda e: [*e, b"data: [DONE]\n\n"]),
    row("no message_stop", "messages", (*STREAMED, "usage"), events=without("message_stop")),
    row("no message_start", "messages", (*STREAMED, "usage"), events=without("message_start")),
    row("blocks that are not closed", "messages", (*STREAMED, "usage"), events=without("content_block_stop")),
    row("indexes that stand still", "messages", "parallel tools", events=each(lambda e: {**e, "index": 0} if "index" in e else e)),
    row("a piece of input lost", "messages", "tools stream, parallel tools", events=lost_second("input_json_delta")),
    row("a reason that is null", "messages", (*STREAMED, "usage"), events=each(lambda e: {**e, "delta": {"stop_reason": None}} if e["type"] == "message_delta" else e)),
    row("tokens only at the start", "messages", (*STREAMED, "usage"), events=each(lambda e: {k: v for k, v in e.items() if k != "usage"})),
    # How all of it comes
    row("silence", "chat", ASKING, reply=hang),
    row("a cut answer", "responses", ASKING, reply=cut),
    row("a redirect", "messages", ASKING, reply=elsewhere),
    row("no end of an answer", "chat", ASKING, reply=endless),
    row("an encoding nobody asked for", "chat", ASKING, reply=squeezed),
    row("an HTML page", "responses", ASKING, reply=html),
    # Errors
    row("an error with status 200", "chat", "errors", refusal=refuse(200, {"error": {"message": "no", "type": "x"}})),
    row("an error of ours", "responses", "errors", refusal=refuse(500, {"error": {"message": "no", "type": "x"}})),
    row("an error that is a text", "chat", "errors", refusal=refuse(400, {"error": "no such model"})),
    row("an error in another API's form", "messages", "errors", refusal=refuse(400, {"error": {"message": "no", "type": "x"}})),
    row("an error without words", "messages", "errors", refusal=refuse(400, {"type": "error", "error": {"type": "x", "message": ""}})),
)  # fmt: skip
