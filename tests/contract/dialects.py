"""An upstream that speaks all three dialects, each on its own path, and says what a test tells it to say."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field

from aiohttp import web

from tests.server.conftest import KEY_ENV

DIALECTS = ("chat", "responses", "messages")
PATHS = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
}
STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
PIECE = 4  # [characters] of text or arguments in one event


@dataclass(frozen=True)
class Calls:
    """A tool call that the model makes; `custom` ones carry free text."""

    id: str
    name: str
    arguments: str
    custom: bool = False


@dataclass(frozen=True)
class Say:
    """One answer. `seal` is the reasoning's signature or encrypted content; `tokens` as the hub counts them."""

    text: str = ""
    reasoning: str = ""
    seal: str = ""
    calls: tuple[Calls, ...] = ()
    finish: str = "stop"
    tokens: dict = field(default_factory=lambda: {"input": 100, "output": 9, "cached": 60})
    status: int = 200
    headers: dict = field(default_factory=dict)
    error: dict = field(default_factory=dict)
    cut: bool = False

    @property
    def ends(self):
        return "tool_calls" if self.calls else self.finish


def pieces(text):
    return [text[i : i + PIECE] for i in range(0, len(text), PIECE)] or [""]


def wire_call(call):
    """The call as a dialect without free-text tools has it."""
    return json.dumps({"input": call.arguments}) if call.custom else call.arguments


# -- chat --------------------------------------------------------------------------------------------------------------


def chat_usage(say):
    t = say.tokens
    return {
        "prompt_tokens": t["input"],
        "completion_tokens": t["output"],
        "total_tokens": t["input"] + t["output"],
        "prompt_tokens_details": {"cached_tokens": t["cached"]},
    }


def chat_calls(say):
    return [
        {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": wire_call(c)}}
        for c in say.calls
    ]


def chat_whole(say, model):
    message = {"role": "assistant", "content": say.text or None, "refusal": None}
    if say.reasoning:
        message["reasoning_content"] = say.reasoning
    if say.calls:
        message["tool_calls"] = chat_calls(say)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": say.ends}
    head = {"id": "chatcmpl-up", "object": "chat.completion", "created": 1, "model": model}
    return {**head, "choices": [choice], "usage": chat_usage(say)}


def chat_events(say, model):
    head = {"id": "chatcmpl-up", "object": "chat.completion.chunk", "created": 1, "model": model}

    def chunk(delta, finish=None):
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {**head, "choices": [choice]}

    yield chunk({"role": "assistant", "content": ""})
    if say.reasoning:
        yield from (chunk({"reasoning_content": p}) for p in pieces(say.reasoning))
    if say.text:
        yield from (chunk({"content": p}) for p in pieces(say.text))
    if say.cut:
        return
    for i, call in enumerate(chat_calls(say)):
        whole = call["function"]["arguments"]
        first = {**call, "index": i, "function": {**call["function"], "arguments": ""}}
        yield chunk({"tool_calls": [first]})
        for piece in pieces(whole):
            yield chunk({"tool_calls": [{"index": i, "function": {"arguments": piece}}]})
    yield chunk({}, say.ends)
    yield {**head, "choices": [], "usage": chat_usage(say)}


# -- responses ---------------------------------------------------------------------------------------------------------


def response_items(say):
    if say.reasoning or say.seal:
        summary = [{"type": "summary_text", "text": say.reasoning}] if say.reasoning else []
        yield {
            "id": "rs_up",
            "type": "reasoning",
            "summary": summary,
            "encrypted_content": say.seal or None,
        }
    if say.text:
        text = {"type": "output_text", "text": say.text, "annotations": [], "logprobs": []}
        yield {
            "id": "msg_up",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [text],
        }
    for i, call in enumerate(say.calls):
        base = {"id": f"fc_{i}", "call_id": call.id, "name": call.name, "status": "completed"}
        if call.custom:
            yield {"type": "custom_tool_call", **base, "input": call.arguments}
        else:
            yield {"type": "function_call", **base, "arguments": call.arguments}


def response_whole(say, model, items=None):
    t = say.tokens
    incomplete = say.finish == "length"
    return {
        "id": "resp_up",
        "object": "response",
        "created_at": 1,
        "status": "incomplete" if incomplete else "completed",
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if incomplete else None,
        "instructions": None,
        "metadata": {},
        "model": model,
        "output": list(response_items(say)) if items is None else items,
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": {
            "input_tokens": t["input"],
            "input_tokens_details": {"cached_tokens": t["cached"], "cache_write_tokens": 0},
            "output_tokens": t["output"],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": t["input"] + t["output"],
        },
    }


def response_item_events(item, at):
    """The events of one item between its `added` and its `done`."""
    place = {"item_id": item["id"], "output_index": at}
    if item["type"] == "message":
        (part,) = item["content"]
        inner = {**place, "content_index": 0}
        empty = {**part, "text": ""}
        yield "response.content_part.added", {**inner, "part": empty}
        for piece in pieces(part["text"]):
            yield "response.output_text.delta", {**inner, "delta": piece, "logprobs": []}
        yield "response.output_text.done", {**inner, "text": part["text"], "logprobs": []}
        yield "response.content_part.done", {**inner, "part": part}
    elif item["type"] == "reasoning":
        for part in item["summary"]:
            inner = {**place, "summary_index": 0}
            yield (
                "response.reasoning_summary_part.added",
                {**inner, "part": {"type": "summary_text", "text": ""}},
            )
            for piece in pieces(part["text"]):
                yield "response.reasoning_summary_text.delta", {**inner, "delta": piece}
            yield "response.reasoning_summary_text.done", {**inner, "text": part["text"]}
            yield "response.reasoning_summary_part.done", {**inner, "part": part}
    else:
        field_, kind = (
            ("arguments", "function_call_arguments")
            if item["type"] == "function_call"
            else ("input", "custom_tool_call_input")
        )
        for piece in pieces(item[field_]):
            yield f"response.{kind}.delta", {**place, "delta": piece}
        named = {"name": item["name"]} if field_ == "arguments" else {}
        yield f"response.{kind}.done", {**place, **named, field_: item[field_]}


def response_bare(say, model):
    """All events without their numbers."""
    begun = {**response_whole(say, model, []), "status": "in_progress", "usage": None}
    yield "response.created", {"response": begun}
    yield "response.in_progress", {"response": begun}
    for at, item in enumerate(response_items(say)):
        emptied = {k: [] if k == "content" else v for k, v in item.items()}
        for text in ("arguments", "input"):
            emptied.update({text: ""} if text in item else {})
        if "status" in item:
            emptied["status"] = "in_progress"
        yield "response.output_item.added", {"output_index": at, "item": emptied}
        yield from response_item_events(item, at)
        yield "response.output_item.done", {"output_index": at, "item": item}
    if not say.cut:
        whole = response_whole(say, model)
        yield f"response.{whole['status']}", {"response": whole}


def response_events(say, model):
    for number, (kind, fields) in enumerate(response_bare(say, model)):
        yield {"type": kind, "sequence_number": number, **fields}


# -- messages ----------------------------------------------------------------------------------------------------------


def message_usage(say):
    t = say.tokens
    return {
        "input_tokens": t["input"] - t["cached"],
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": t["cached"],
        "output_tokens": t["output"],
    }


def message_blocks(say):
    if say.reasoning or say.seal:
        yield {"type": "thinking", "thinking": say.reasoning, "signature": say.seal or "sig"}
    if say.text:
        yield {"type": "text", "text": say.text}
    for call in say.calls:
        given = json.loads(wire_call(call))
        yield {"type": "tool_use", "id": call.id, "name": call.name, "input": given}


def message_whole(say, model):
    return {
        "id": "msg_up",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": list(message_blocks(say)),
        "stop_reason": STOPS[say.ends],
        "stop_sequence": None,
        "usage": message_usage(say),
    }


def message_events(say, model):
    begun = {**message_whole(say, model), "content": [], "stop_reason": None}
    yield {
        "type": "message_start",
        "message": {**begun, "usage": {**message_usage(say), "output_tokens": 1}},
    }
    calls = iter(say.calls)
    for at, block in enumerate(message_blocks(say)):
        empty, deltas = message_deltas(block, calls)
        yield {"type": "content_block_start", "index": at, "content_block": empty}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": at, "delta": delta}
        if say.cut:
            return
        yield {"type": "content_block_stop", "index": at}
    delta = {"stop_reason": STOPS[say.ends], "stop_sequence": None}
    yield {"type": "message_delta", "delta": delta, "usage": message_usage(say)}
    yield {"type": "message_stop"}


def message_deltas(block, calls):
    if block["type"] == "text":
        deltas = [{"type": "text_delta", "text": p} for p in pieces(block["text"])]
        return {**block, "text": ""}, deltas
    if block["type"] == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": p} for p in pieces(block["thinking"])]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
        return {**block, "thinking": "", "signature": ""}, deltas
    written = wire_call(next(calls))
    deltas = [{"type": "input_json_delta", "partial_json": p} for p in pieces(written)]
    return {**block, "input": {}}, deltas


# -- the server --------------------------------------------------------------------------------------------------------

WHOLE = {"chat": chat_whole, "responses": response_whole, "messages": message_whole}
EVENTS = {"chat": chat_events, "responses": response_events, "messages": message_events}


class Scripted:
    """The upstream. `script` holds the next answers, the last is repeated; `bodies` is what came."""

    def __init__(self, dialect, script):
        self.dialect = dialect
        self.script = list(script)
        self.bodies = []
        self.headers = []

    def next(self):
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    async def answer(self, request):
        body = await request.json()
        self.bodies.append(body)
        self.headers.append({k.lower(): v for k, v in request.headers.items()})
        say, model = self.next(), body["model"]
        if say.status != 200:
            return web.json_response(
                {"type": "error", "error": say.error}, status=say.status, headers=say.headers
            )
        if not body.get("stream"):
            return web.json_response(WHOLE[self.dialect](say, model))
        named = self.dialect != "chat"
        lines = [
            (f"event: {e['type']}\n" if named else "") + f"data: {json.dumps(e)}\n\n"
            for e in EVENTS[self.dialect](say, model)
        ]
        if self.dialect == "chat" and not say.cut:
            lines.append("data: [DONE]\n\n")
        return web.Response(text="".join(lines), content_type="text/event-stream")


@contextlib.asynccontextmanager
async def scripted(dialect, *script):
    """Serve answers in a dialect; yields the upstream with its `url`."""
    up = Scripted(dialect, script)
    app = web.Application(client_max_size=2**26)
    app.router.add_post(PATHS[dialect], up.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        up.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        yield up
    finally:
        await runner.cleanup()


def speaking(up):
    """The table of a configuration whose one upstream is `up`."""
    return [
        {"name": "relay", "base_url": up.url, "api_key_env": KEY_ENV, "dialect": up.dialect},
    ]
