"""A turn of the play in the words of each dialect, whole and as a stream."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tests.agents.play import Call, Seen, Turn, read_chat, read_messages, read_responses

Event = tuple[str | None, dict | str]  # (name of the event, data); a string goes out as it is
PIECE = 7  # [characters] of a delta: words, names and JSON are cut anywhere
SIGNATURE = "c2NyaXB0ZWQtcmVhc29uaW5n"


@dataclass(frozen=True)
class Dialect:
    """How one dialect is read and said."""

    path: str
    read: Callable[[Mapping], Seen]
    whole: Callable[[Mapping, Turn], dict]
    stream: Callable[[Mapping, Turn], Iterator[Event]]


def new_id(prefix: str) -> str:
    """Return an id that no other answer has."""
    return prefix + uuid.uuid4().hex[:24]


def pieces(text: str) -> list[str]:
    """Cut a text into small pieces; none for no text."""
    return [text[i : i + PIECE] for i in range(0, len(text), PIECE)]


def counts(body: Mapping, turn: Turn) -> tuple[int, int]:
    """Return the turn's own usage [tokens], or a plausible one: what came in by its length, a fixed number out."""
    return turn.tokens or (max(1, len(str(body)) // 4), 12)


# -- Chat Completions -------------------------------------------------------------------------------------------------


def chat_usage(body: Mapping, turn: Turn) -> dict:
    """Return usage as chat says it."""
    came, went = counts(body, turn)
    return {"prompt_tokens": came, "completion_tokens": went, "total_tokens": came + went}


def chat_call(call: Call, index: int | None = None, arguments: str | None = None) -> dict:
    """Return a call as chat says it; with an index as its first delta."""
    place = {} if index is None else {"index": index}
    said = call.arguments if arguments is None else arguments
    function = {"name": call.tool.name, "arguments": said}
    return {**place, "id": new_id("call_"), "type": "function", "function": function}


def chat_finish(turn: Turn) -> str:
    """Return why the answer ends."""
    return "tool_calls" if turn.calls else "stop"


def chat_whole(body: Mapping, turn: Turn) -> dict:
    """Return the answer as one object."""
    message: dict[str, object] = {"role": "assistant", "content": turn.text}
    if turn.thought:
        message["reasoning_content"] = turn.thought
    if turn.calls:
        message["tool_calls"] = [chat_call(c) for c in turn.calls]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": chat_finish(turn)}
    return {
        "id": new_id("chatcmpl-"),
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": body["model"],
        "choices": [choice],
        "usage": chat_usage(body, turn),
    }


def chat_stream(body: Mapping, turn: Turn) -> Iterator[Event]:
    """Yield the answer's chunks."""
    head = {
        "id": new_id("chatcmpl-"),
        "object": "chat.completion.chunk",
        "created": 1_760_000_000,
        "model": body["model"],
    }

    def chunk(delta: dict, finish: str | None = None) -> Event:
        return None, {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    yield chunk({"role": "assistant", "content": ""})
    for name, text in (("reasoning_content", turn.thought), ("content", turn.text)):
        yield from (chunk({name: piece}) for piece in pieces(text))
    for i, call in enumerate(turn.calls):
        yield chunk({"tool_calls": [chat_call(call, i, "")]})
        for piece in pieces(call.arguments):
            yield chunk({"tool_calls": [{"index": i, "function": {"arguments": piece}}]})
    yield chunk({}, chat_finish(turn))
    if (body.get("stream_options") or {}).get("include_usage"):
        yield None, {**head, "choices": [], "usage": chat_usage(body, turn)}
    yield None, "[DONE]"


# -- Responses --------------------------------------------------------------------------------------------------------


def responses_items(turn: Turn) -> Iterator[dict]:
    """Yield the items of an answer, each complete."""
    if turn.thought:
        summary = [{"type": "summary_text", "text": turn.thought}]
        seal = {"encrypted_content": SIGNATURE}
        yield {"type": "reasoning", "id": new_id("rs_"), "summary": summary, **seal}
    if turn.text:
        part = {"type": "output_text", "text": turn.text, "annotations": [], "logprobs": []}
        about = {"status": "completed", "role": "assistant", "content": [part]}
        yield {"type": "message", "id": new_id("msg_"), **about}
    for call in turn.calls:
        kind, prefix, field = ("function_call", "fc_", "arguments")
        if call.tool.free:
            kind, prefix, field = ("custom_tool_call", "ctc_", "input")
        space = {"namespace": call.tool.space} if call.tool.space else {}
        about = {"call_id": new_id("call_"), "name": call.tool.name, field: call.arguments, **space}
        yield {"type": kind, "id": new_id(prefix), "status": "completed", **about}


def responses_head(body: Mapping) -> dict:
    """Return a response that has begun."""
    return {
        "id": new_id("resp_"),
        "object": "response",
        "created_at": 1_760_000_000,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "model": body["model"],
        "output": [],
        "parallel_tool_calls": True,
        "store": False,
        "tool_choice": "auto",
        "tools": [],
        "usage": None,
        "metadata": {},
    }


def responses_end(body: Mapping, turn: Turn, head: dict, items: list[dict]) -> dict:
    """Return the finished response."""
    came, went = counts(body, turn)
    usage = {
        "input_tokens": came,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": went,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": came + went,
    }
    return {**head, "status": "completed", "output": items, "usage": usage}


def responses_whole(body: Mapping, turn: Turn) -> dict:
    """Return the answer as one object."""
    return responses_end(body, turn, responses_head(body), list(responses_items(turn)))


def responses_stream(body: Mapping, turn: Turn) -> Iterator[Event]:
    """Yield the answer's events, numbered from 0."""
    for number, (name, data) in enumerate(unnumbered(body, turn)):
        yield name, {"type": name, "sequence_number": number, **data}


def unnumbered(body: Mapping, turn: Turn) -> Iterator[tuple[str, dict]]:
    """Yield (name, data) of each event."""
    head, items = responses_head(body), list(responses_items(turn))
    yield "response.created", {"response": head}
    yield "response.in_progress", {"response": head}
    for index, item in enumerate(items):
        at = {"item_id": item["id"], "output_index": index}
        blank = {
            "content": [],
            "summary": [],
            "arguments": "",
            "input": "",
            "status": "in_progress",
        }
        begun = {**item, **{k: v for k, v in blank.items() if k in item}}
        yield "response.output_item.added", {"output_index": index, "item": begun}
        yield from item_events(item, at)
        yield "response.output_item.done", {"output_index": index, "item": item}
    yield "response.completed", {"response": responses_end(body, turn, head, items)}


def item_events(item: dict, at: dict) -> Iterator[tuple[str, dict]]:
    """Yield what stands between the begin and the end of an item."""
    if item["type"] in ("function_call", "custom_tool_call"):
        free = item["type"] == "custom_tool_call"
        event = "response.custom_tool_call_input" if free else "response.function_call_arguments"
        field = "input" if free else "arguments"
        yield from (((f"{event}.delta"), {**at, "delta": p}) for p in pieces(item[field]))
        yield f"{event}.done", {**at, field: item[field]}
        return
    if item["type"] == "message":
        part, where = item["content"][0], {**at, "content_index": 0}
        begin, event = "response.content_part", "response.output_text"
    else:
        part, where = item["summary"][0], {**at, "summary_index": 0}
        begin, event = "response.reasoning_summary_part", "response.reasoning_summary_text"
    yield f"{begin}.added", {**where, "part": {**part, "text": ""}}
    yield from ((f"{event}.delta", {**where, "delta": p}) for p in pieces(part["text"]))
    yield f"{event}.done", {**where, "text": part["text"]}
    yield f"{begin}.done", {**where, "part": part}


# -- Messages ---------------------------------------------------------------------------------------------------------


def messages_blocks(turn: Turn) -> Iterator[tuple[dict, dict, list[dict]]]:
    """Yield each block as (whole, as it begins, deltas)."""
    if turn.thought:
        whole = {"type": "thinking", "thinking": turn.thought, "signature": SIGNATURE}
        deltas = [{"type": "thinking_delta", "thinking": p} for p in pieces(turn.thought)]
        sealed = {"type": "signature_delta", "signature": SIGNATURE}
        yield whole, {**whole, "thinking": "", "signature": ""}, [*deltas, sealed]
    if turn.text:
        whole = {"type": "text", "text": turn.text}
        yield (
            whole,
            {**whole, "text": ""},
            [{"type": "text_delta", "text": p} for p in pieces(turn.text)],
        )
    for call in turn.calls:
        begun = {"type": "tool_use", "id": new_id("toolu_"), "name": call.tool.name, "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": p} for p in pieces(call.arguments)]
        yield {**begun, "input": json_of(call)}, begun, deltas


def json_of(call: Call) -> object:
    """Return the arguments of a call as a value; none for those that a fault cut short."""
    try:
        return json.loads(call.arguments)
    except ValueError:
        return {}


def messages_head(body: Mapping, turn: Turn) -> dict:
    """Return a message that has begun."""
    came, _ = counts(body, turn)
    return {
        "id": new_id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": came, "output_tokens": 1},
    }


def messages_end(body: Mapping, turn: Turn) -> tuple[dict, dict]:
    """Return (why it ends, usage)."""
    came, went = counts(body, turn)
    reason = "tool_use" if turn.calls else "end_turn"
    return {"stop_reason": reason, "stop_sequence": None}, {
        "input_tokens": came,
        "output_tokens": went,
    }


def messages_whole(body: Mapping, turn: Turn) -> dict:
    """Return the answer as one object."""
    end, usage = messages_end(body, turn)
    content = [whole for whole, _, _ in messages_blocks(turn)]
    return {**messages_head(body, turn), "content": content, **end, "usage": usage}


def messages_stream(body: Mapping, turn: Turn) -> Iterator[Event]:
    """Yield the answer's events."""
    for name, data in untyped(body, turn):
        yield name, {"type": name, **data}


def untyped(body: Mapping, turn: Turn) -> Iterator[tuple[str, dict]]:
    """Yield (name, data) of each event."""
    yield "message_start", {"message": messages_head(body, turn)}
    yield "ping", {}
    for index, (_, begun, deltas) in enumerate(messages_blocks(turn)):
        yield "content_block_start", {"index": index, "content_block": begun}
        yield from (("content_block_delta", {"index": index, "delta": d}) for d in deltas)
        yield "content_block_stop", {"index": index}
    end, usage = messages_end(body, turn)
    yield "message_delta", {"delta": end, "usage": usage}
    yield "message_stop", {}


DIALECTS: Mapping[str, Dialect] = {
    "chat": Dialect("/v1/chat/completions", read_chat, chat_whole, chat_stream),
    "responses": Dialect("/v1/responses", read_responses, responses_whole, responses_stream),
    "messages": Dialect("/v1/messages", read_messages, messages_whole, messages_stream),
}
