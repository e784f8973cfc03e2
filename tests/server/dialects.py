"""A scripted model behind each of the three dialects, and clients that say and hear the same in each.

    async with Scripted("messages") as up:
        up.script = [Says("hello", reasoning="hm", seal="sig")]

A `Says` is what the model does for one call; after the last one the answer is "ok". `request_for` writes one
conversation in a client's dialect, `heard` reads an answer of any dialect, whole or streamed.
"""

import asyncio
import json
from collections import deque
from dataclasses import dataclass, field

from aiohttp import web

from openfusion_auto.wire.codec import CODECS
from tests.wire import claude
from tests.wire import responses_samples as items

DIALECTS = ("chat", "responses", "messages")
PATHS = {"chat": "/chat/completions", "responses": "/responses", "messages": "/messages"}
SPEEDS = {"priority": "fast", "default": "standard"}  # Anthropic's words for OpenAI's tiers
CONTEXT = {
    "chat": {
        "message": "This model's maximum context length is 1000 tokens, you sent 2000.",
        "code": "context_length_exceeded",
    },
    "responses": {
        "message": "Your input exceeds the context window of this model.",
        "code": "context_length_exceeded",
    },
    "messages": {
        "type": "invalid_request_error",
        "message": "prompt is too long: 2000 tokens > 1000 maximum",
    },
}


@dataclass(frozen=True)
class Says:
    """What a model does for one call.

    Attributes:
        calls: (kind, name, arguments, id); a custom call is a function with `input` where there are no such calls.
        fail: "cut" mid-text, "error" event mid-text, "empty" stream or body, "json" where a stream was asked for,
            "told" with status 200 that nothing came of it, with `error`, or a status as a number, with `error` as the
            body's error and `headers`.
    """

    text: str = "ok"
    reasoning: str = ""
    seal: str = ""
    calls: tuple[tuple[str, str, str, str], ...] = ()
    finish: str = "stop"
    cached: int = 4
    fail: str | int = ""
    error: object = "it failed"
    headers: tuple[tuple[str, str], ...] = ()
    extra: tuple[object, ...] = ()  # items or blocks of no known type, behind all others
    cost: float | None = None  # [USD], in its usage
    sleep_s: float = 0.0  # before the answer; of a stream, behind its head
    sound: int = 0  # of a chat upstream: tokens of its input that are sound
    untold: bool = False  # a chat or Responses upstream says nothing of usage
    judged: tuple[object, ...] = ()  # a messages upstream's `safeguard_results`
    where: str = ""  # a messages upstream: where it says that it computed its answer
    tier: str = ""  # the service tier it says it comes from, in OpenAI's words
    pictures: tuple[str, ...] = ()  # of a chat upstream: addresses, as OpenRouter sends them


@dataclass
class Got:
    """One request as the upstream got it."""

    headers: dict[str, str]
    raw: bytes
    body: dict[str, object]


@dataclass
class Heard:
    """An answer as a client understands it."""

    text: str = ""
    reasoning: str = ""
    seal: str = ""
    calls: list[tuple[str, str, str, str]] = field(default_factory=list)
    finish: str | None = None
    usage: tuple[int, int, int] | None = None  # input, cached, output
    trace: dict[str, object] | None = None
    failed: object = None


class Scripted:
    """The upstream: a web server on loopback."""

    def __init__(self, dialect):
        self.dialect = dialect
        self.script = deque()
        self.requests = []
        self.sent = []

    async def __aenter__(self):
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/v1" + PATHS[self.dialect], self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *_):
        await self._runner.cleanup()

    async def _answer(self, request):
        raw = await request.read()
        body = json.loads(raw)
        self.requests.append(Got({k.lower(): v for k, v in request.headers.items()}, raw, body))
        says = self.script.popleft() if self.script else Says()
        if isinstance(says.fail, int):
            error = says.error if isinstance(says.error, dict) else {"message": says.error}
            shape = {"type": "error"} if self.dialect == "messages" else {}
            return web.json_response(
                {**shape, "error": error}, status=says.fail, headers=dict(says.headers)
            )
        if not body.get("stream"):
            await asyncio.sleep(says.sleep_s)
        if not body.get("stream") or says.fail == "json":
            data = b"" if says.fail == "empty" else whole(self.dialect, says, body["model"])
            self.sent.append(data)
            return web.Response(body=data, content_type="application/json")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await asyncio.sleep(says.sleep_s)
        data = stream(self.dialect, says, body["model"])
        self.sent.append(data)
        await response.write(data)
        if says.fail == "cut":
            request.transport.close()
            return response
        await response.write_eof()
        return response


# --- what a model says, in each dialect ----------------------------------------------------------------------


def whole(dialect, says, model):
    """Return a whole answer's body."""
    if says.fail == "told":
        kind = {"messages": {"type": "error"}, "responses": {"status": "failed"}}.get(dialect, {})
        return json.dumps({**kind, "error": says.error}).encode()
    made = {"chat": _chat, "responses": _response, "messages": _message}[dialect](says, model)
    return json.dumps(made, ensure_ascii=False, indent=1).encode()


def stream(dialect, says, model):
    """Return a stream's bytes, as far as `says.fail` lets it come."""
    if says.fail == "empty":
        return b""
    if says.fail == "told":
        return _told(dialect, says, model)
    return {"chat": _chunks, "responses": _events, "messages": _blocks}[dialect](says, model)


def _details(says):
    return [{"type": "reasoning.text", "text": says.reasoning, "signature": says.seal}]


def _calls(says):
    out = []
    for index, (kind, name, said, id_) in enumerate(says.calls):
        held = {"name": name, ("input" if kind == "custom" else "arguments"): said}
        out.append({"index": index, "id": id_, "type": kind, kind: held})
    return out


def _usage(says):
    if says.untold:
        return None
    return _billed(says) | {
        "prompt_tokens": 20,
        "completion_tokens": 7,
        "total_tokens": 27,
        "prompt_tokens_details": {"cached_tokens": says.cached, "audio_tokens": says.sound},
    }


def _billed(says):
    return {} if says.cost is None else {"cost": says.cost}


def _chat(says, model):
    said = {"role": "assistant", "content": says.text or None}
    if says.reasoning:
        said["reasoning_content"] = says.reasoning
    if says.seal:
        said["reasoning_details"] = _details(says)
    if says.pictures:
        said["images"] = _pictures(says)
    if says.calls:
        said["tool_calls"] = [{k: v for k, v in c.items() if k != "index"} for c in _calls(says)]
    choice = {"index": 0, "message": said, "finish_reason": _finish(says)}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 5, "model": model}
    return {**head, "choices": [choice], "usage": _usage(says), **_tier(says)}


def _pictures(says):
    return [{"type": "image_url", "image_url": {"url": url}} for url in says.pictures]


def _tier(says):
    return {"service_tier": says.tier} if says.tier else {}


def _finish(says):
    return "tool_calls" if says.calls else says.finish


def _told(dialect, says, model):
    """A stream in which nothing comes but the failure."""
    if dialect == "chat":
        return b"data: %b\n\n" % json.dumps({"error": says.error}).encode()
    if dialect == "messages":
        return claude.sse({"type": "error", "error": says.error})
    failed = {**_response(says, model), "status": "failed", "output": [], "error": says.error}
    return items.sse(items.created(model=model), {"type": "response.failed", "response": failed})


def _chunks(says, model):
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 5, "model": model}

    def chunk(said, finish=None, **more):
        choice = {"index": 0, "delta": said, "finish_reason": finish}
        return {**head, "choices": [choice], **more}

    found = [chunk({"role": "assistant", "content": ""})]
    if says.reasoning:
        found.append(chunk({"reasoning_content": says.reasoning}))
    if says.seal:
        found.append(chunk({"reasoning_details": _details(says)}))
    found += [chunk({"content": piece}) for piece in _pieces(says.text)]
    if says.pictures:
        found.append(chunk({"images": _pictures(says)}))
    if says.fail == "error":
        found.append({"error": {"message": "it failed", "code": "server_error"}})
    if not says.fail:
        found += [chunk({"tool_calls": [call]}) for call in _calls(says)]
        found.append(chunk({}, _finish(says)))
        found.append({**head, "choices": [], "usage": _usage(says), **_tier(says)})
    out = b"".join(b"data: " + json.dumps(c).encode() + b"\n\n" for c in found)
    return out if says.fail else out + b"data: [DONE]\n\n"


def _pieces(text):
    half = len(text) // 2
    return [piece for piece in (text[:half], text[half:]) if piece]


def _items(says):
    found = []
    if says.reasoning or says.seal:
        found.append(items.reasoning(says.reasoning, says.seal or None))
    if says.text:
        found.append(items.message(says.text))
    for kind, name, said, id_ in says.calls:
        found.append((items.custom if kind == "custom" else items.function)(name, said, id_))
    return [*found, *says.extra]


def _response(says, model):
    more = {**_ended(says), **_tier(says)}
    return items.response(*_items(says), model=model, usage=_response_usage(says), **more)


def _response_usage(says):
    if says.untold:
        return None
    return _billed(says) | {
        "input_tokens": 20,
        "input_tokens_details": {"cached_tokens": says.cached},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 27,
    }


def _ended(says):
    reason = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(says.finish)
    if reason is None:
        return {}
    return {"status": "incomplete", "incomplete_details": {"reason": reason}}


def _events(says, model):
    found = [items.created(model=model)]
    listed = _items(says)
    for index, item in enumerate(listed):
        if item["type"] == "message":
            found.append(items.added(index, {**item, "content": [], "status": "in_progress"}))
            found += [items.text(piece, index) for piece in _pieces(says.text)]
            if says.fail == "cut":
                return items.sse(*found)
            if says.fail == "error":
                error = {"type": "error", "code": "server_error", "message": "it failed"}
                return items.sse(*found, error)
        else:
            found.append(items.added(index, item))
        found.append(items.done(index, item))
    kind = "response.incomplete" if _ended(says) else "response.completed"
    return items.sse(*found, {"type": kind, "response": _response(says, model)})


def _content(says):
    found = []
    if says.reasoning or says.seal:
        found.append({"type": "thinking", "thinking": says.reasoning, "signature": says.seal})
    if says.text:
        found.append({"type": "text", "text": says.text})
    for kind, name, said, id_ in says.calls:
        given = {"input": said} if kind == "custom" else json.loads(said)
        found.append({"type": "tool_use", "id": id_, "name": name, "input": given})
    return [*found, *says.extra]


def _stop(says):
    words = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}
    return "tool_use" if says.calls else words.get(says.finish, says.finish)


def _message_usage(says):
    return _billed(says) | {
        "input_tokens": 20 - says.cached,
        "cache_read_input_tokens": says.cached,
        "output_tokens": 7,
        **({"speed": SPEEDS[says.tier]} if says.tier in SPEEDS else {}),
        **({"inference_geo": says.where} if says.where else {}),
    }


def _message(says, model):
    made = claude.message(*_content(says), stop=_stop(says), model=model)
    judged = {"safeguard_results": list(says.judged)} if says.judged else {}
    return {**made, "usage": _message_usage(says), **judged}


def _blocks(says, model):
    found = [claude.start(model=model, usage=_message_usage(says))]
    index = 0
    if says.reasoning or says.seal:
        found += claude.thinking(0, says.reasoning, signature=says.seal)
        index = 1
    if says.text:
        spoken = claude.text(index, *_pieces(says.text))
        index += 1
        if says.fail == "cut":
            return claude.sse(*found, spoken[:-1])
        if says.fail == "error":
            error = {"type": "overloaded_error", "message": "it failed"}
            return claude.sse(*found, spoken[:-1], {"type": "error", "error": error})
        found += spoken
    for kind, name, said, id_ in says.calls:
        given = json.dumps({"input": said}, ensure_ascii=False) if kind == "custom" else said
        found += claude.call(index, *_pieces(given), call_id=id_, name=name)
        index += 1
    for block in says.extra:
        found += claude.block(index, block)
        index += 1
    ended, stopped = claude.end(_stop(says), usage={"output_tokens": 7})
    if says.judged:
        ended["delta"]["safeguard_results"] = list(says.judged)
    found += [ended, stopped]
    return claude.sse(*found)


# --- a client of each dialect --------------------------------------------------------------------------------

SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}}


def request_for(dialect, text="hi", *, tools=False, custom=False, **more):
    """Return a request with one user message; `tools` offers `edit` (or these), `custom` the free-text `apply_patch`."""
    base = {"model": "openfusion/auto", **more}
    offered, tools = (tools, False) if isinstance(tools, list) else ([], tools)
    if dialect == "chat":
        base["messages"] = [{"role": "user", "content": text}]
        if tools:
            offered.append({"type": "function", "function": {"name": "edit", "parameters": SCHEMA}})
        if custom:
            offered.append({"type": "custom", "custom": {"name": "apply_patch"}})
    elif dialect == "responses":
        base["input"] = [{"role": "user", "content": text}]
        if tools:
            offered.append({"type": "function", "name": "edit", "parameters": SCHEMA})
        if custom:
            offered.append({"type": "custom", "name": "apply_patch"})
    else:
        base = {"max_tokens": 500, "messages": [{"role": "user", "content": text}], **base}
        if tools:
            offered.append({"name": "edit", "input_schema": SCHEMA})
    return {**base, "tools": offered} if offered else base


def prompt_of(dialect="chat", **more):
    """Return such a request as it is read."""
    return CODECS[dialect].parse_request(json.dumps(request_for(dialect, "hi", **more)).encode())


def heard(dialect, raw, *, streamed):
    """Return what a client hears; a stream is held to its dialect's form."""
    if dialect == "chat":
        return _heard_chunks(raw) if streamed else _heard_chat(json.loads(raw))
    if dialect == "responses":
        return _heard_events(items.parsed(raw)) if streamed else _heard_response(json.loads(raw))
    return _heard_blocks(raw) if streamed else _heard_message(json.loads(raw))


def _call_of(call):
    kind = call.get("type", "function")
    held = call[kind]
    said = held["input" if kind == "custom" else "arguments"]
    return (kind, held["name"], said, call["id"])


def _chat_usage(usage):
    if not usage:
        return None
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
    return (usage["prompt_tokens"], cached, usage["completion_tokens"])


def _heard_chat(body):
    said = body["choices"][0]["message"]
    return Heard(
        said.get("content") or "",
        said.get("reasoning_content") or "",
        calls=[_call_of(c) for c in said.get("tool_calls") or ()],
        finish=body["choices"][0]["finish_reason"],
        usage=_chat_usage(body.get("usage")),
        trace=body.get("openfusion"),
    )


def _heard_chunks(raw):
    lines = [e[6:] for e in raw.decode().split("\n\n") if e.startswith("data: ")]
    out, calls = Heard(), {}
    for line in lines:
        if line == "[DONE]":
            continue
        data = json.loads(line)
        out.trace = data.get("openfusion", out.trace)
        out.usage = _chat_usage(data.get("usage")) or out.usage
        if "error" in data:
            out.failed = data["error"]
        for choice in data.get("choices") or ():
            said = choice["delta"]
            out.text += said.get("content") or ""
            out.reasoning += said.get("reasoning_content") or ""
            out.finish = choice.get("finish_reason") or out.finish
            for call in said.get("tool_calls") or ():
                known = calls.setdefault(call["index"], {"type": "function", **call})
                if known is not call and "id" not in call:
                    kind = known["type"]
                    field_ = "input" if kind == "custom" else "arguments"
                    known[kind][field_] += call[kind][field_]
    assert (lines[-1] == "[DONE]") == (out.failed is None)
    out.calls = [_call_of(c) for c in calls.values()]
    return out


def _heard_response(body):
    out = Heard(trace=body.get("openfusion"), failed=body.get("error"))
    for item in body["output"]:
        match item["type"]:
            case "message":
                out.text += "".join(p["text"] for p in item["content"])
            case "reasoning":
                out.reasoning += "".join(p["text"] for p in item["summary"])
                out.seal = item.get("encrypted_content") or ""
            case "function_call":
                out.calls.append(("function", item["name"], item["arguments"], item["call_id"]))
            case "custom_tool_call":
                out.calls.append(("custom", item["name"], item["input"], item["call_id"]))
    reason = (body.get("incomplete_details") or {}).get("reason")
    out.finish = {None: "stop", "max_output_tokens": "length"}.get(reason, reason)
    out.finish = "tool_calls" if out.calls else out.finish
    usage = body.get("usage")
    if usage:
        cached = usage["input_tokens_details"]["cached_tokens"]
        out.usage = (usage["input_tokens"], cached, usage["output_tokens"])
    return out


def _heard_events(events):
    last = events[-1]
    assert last["type"] in ("response.completed", "response.incomplete", "response.failed")
    out = _heard_response(last["response"])
    if last["type"] == "response.failed":
        assert out.failed
        out.text = "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta")
    return out


def _heard_message(body):
    out = Heard(trace=body.get("openfusion"))
    for block in body["content"]:
        match block["type"]:
            case "text":
                out.text += block["text"]
            case "thinking":
                out.reasoning += block["thinking"]
                out.seal = block["signature"]
            case "tool_use":
                said = json.dumps(block["input"], ensure_ascii=False)
                out.calls.append(("function", block["name"], said, block["id"]))
    words = {"end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls"}
    out.finish = words.get(body["stop_reason"], "content_filter")
    usage = body["usage"]
    cached = usage.get("cache_read_input_tokens") or 0
    out.usage = (usage["input_tokens"] + cached, cached, usage["output_tokens"])
    return out


def _heard_blocks(raw):
    events = claude.parsed(raw)
    if events[-1]["type"] == "error":
        text = "".join(e.get("delta", {}).get("text", "") for e in events)
        return Heard(text, failed=events[-1]["error"])
    out = _heard_message(claude.accumulated(raw).model_dump(exclude_none=True))
    out.trace = next(e for e in events if e["type"] == "message_delta").get("openfusion")
    pieces = {}
    for event in events:
        delta = event.get("delta", {})
        if delta.get("type") == "input_json_delta":
            pieces[event["index"]] = pieces.get(event["index"], "") + delta["partial_json"]
    out.calls = [
        (kind, name, said, id_)
        for (kind, name, _, id_), said in zip(out.calls, pieces.values(), strict=False)
    ]
    return out
