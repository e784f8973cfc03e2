"""A whole Messages answer: bytes to the hub, strictly, and back with the trace in it; errors in the dialect's shape.

Token counts differ in kind: Anthropic's `input_tokens` leaves out what a cache gave or took, the hub's `input` holds
all of it.
"""

from __future__ import annotations

from collections.abc import Mapping

from openfusion_auto.core.prompt import Answer, ToolCall, Usage
from openfusion_auto.errors import FusionError
from openfusion_auto.wire.chat_answer import CUT, TRACE, read_bill
from openfusion_auto.wire.chat_tools import stable_id
from openfusion_auto.wire.errors import answer_object, unusable
from openfusion_auto.wire.hosted import ran_in_message
from openfusion_auto.wire.jsons import as_count, as_object, dumps
from openfusion_auto.wire.messages_blocks import UNSIGNED
from openfusion_auto.wire.messages_turns import input_of
from openfusion_auto.wire.overflow import CODE, anthropic_words
from openfusion_auto.wire.region import us_told
from openfusion_auto.wire.splice import traced
from openfusion_auto.wire.tiers import tier_told

# Anthropic's stop reasons -> the hub's words; one that is not known here is a plain end.
FINISHES: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "length",  # cut between two steps of the upstream's own tools, to be sent back and gone on with
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}
_STOPS: Mapping[str, str] = {
    "stop": "end_turn",
    "tool_calls": "tool_use",
    "length": "max_tokens",
    "content_filter": "refusal",
}
_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_INPUTS = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


def read_answer(raw: bytes, *, seed: str = "") -> Answer:
    """Return the answer that a body holds; `raw` is kept without a byte order mark.

    Usage may be missing, unknown blocks and fields stay. `opaque` is the last signature or redacted block.

    Raises:
        UpstreamBroken: not a message: no JSON, an error object, no content, a call without a name, or an answer
            without content that no bound has cut. The message never quotes the body.
    """
    raw, data = answer_object(raw)
    content = data.get("content")
    if not isinstance(content, list):
        raise unusable("it has no list of content blocks")
    blocks = [_block(value) for value in content]
    calls = _calls(blocks, seed)
    finish = finish_of(data.get("stop_reason"), calls=bool(calls))
    if finish not in CUT and not any(has_content(block) for block in blocks):
        raise unusable("empty answer: neither text nor a tool call")
    if calls and data.get("stop_reason") == "end_turn":
        # Agents act on that word alone.
        data = {**data, "stop_reason": "tool_use"}
        raw = dumps(data)
    opaque = [found for block in blocks if (found := opaque_of(block))]
    model = data.get("model")
    return Answer(
        text="".join(_text(block, "text") for block in blocks),
        reasoning="".join(_text(block, "thinking") for block in blocks),
        tool_calls=calls,
        finish=finish,
        usage=read_usage(data.get("usage")),
        model=model if isinstance(model, str) else None,
        raw=raw,
        data=data,
        opaque=opaque[-1] if opaque else "",
        dialect="messages",
        searches=ran_in_message(
            [str(b.get("name")) for b in blocks if b.get("type") == "server_tool_use"],
            data.get("usage"),
        ),
        tier=tier_told((as_object(data.get("usage")) or {}).get("speed")),
        us_only=us_told(data.get("usage")),
        billed_usd=read_bill(data.get("usage")),
    )


def read_usage(value: object) -> Usage | None:
    """Return reported tokens in the hub's terms; None when `value` is no usage or a count in it cannot be.

    A compaction that the upstream made on the way reads the whole history, and stands in `iterations` alone.
    """
    usage = as_object(value)
    if usage is None or usage.keys().isdisjoint((*_INPUTS, "output_tokens")):
        return None
    details = as_object(usage.get("output_tokens_details")) or {}
    lives = as_object(usage.get("cache_creation")) or {}
    found = [usage.get(field) for field in (*_INPUTS, "output_tokens")]
    parts = (details.get("thinking_tokens"), lives.get("ephemeral_1h_input_tokens"))
    counts = [as_count(value) for value in (*found, *parts)]
    if None in counts:
        return None
    fresh, cached, written, output, thought, hour = (number or 0 for number in counts)
    given, hour = fresh + cached + written, min(hour, written)
    total = Usage(given, output, cached, written, min(thought, output), hour)
    steps = usage.get("iterations")
    for step in steps if isinstance(steps, list) else ():
        if (as_object(step) or {}).get("type") == "compaction":
            total += read_usage({**step, "iterations": None}) or Usage()
    return total


def render_usage(usage: Usage) -> dict[str, object]:
    """Return usage as Anthropic's API shows it: the cached parts taken out of `input_tokens`."""
    out: dict[str, object] = {
        "input_tokens": max(0, usage.input - usage.cached - usage.cache_write),
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.output,
    }
    if usage.hour_write:
        out["cache_creation"] = {
            "ephemeral_5m_input_tokens": usage.cache_write - usage.hour_write,
            "ephemeral_1h_input_tokens": usage.hour_write,
        }
    if usage.reasoning:
        out["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return out


def render_answer(
    answer: Answer,
    trace: Mapping[str, object] | None,
    *,
    model: str,
    usage: Usage | None,
    answer_id: str,
    created: int,
    reasoning: bool = True,
) -> bytes:
    """Return the body that the client gets; see `Codec`. This dialect has no field for `created`.

    A body of this dialect is written anew only when it has a field `openfusion` already, when `usage` is given and
    differs from its own, or for a `"citations": null`, on which the Vercel AI SDK breaks. `reasoning`: the client wants
    another dialect's reasoning as a thinking block (`wants_reasoning`).
    """
    del created
    data = answer.data
    if answer.dialect != "messages" or not answer.raw or data is None:
        data = message(answer, model=model, answer_id=answer_id, reasoning=reasoning)
        return dumps(_with(data, trace, usage))
    content = mended_content(data.get("content"))
    if content is not None:
        return dumps(_with({**data, "content": content}, trace, usage))
    if (usage is not None and usage != answer.usage) or (trace is not None and TRACE in data):
        return dumps(_with(data, trace, usage))
    return traced(answer.raw, trace)


def message(
    answer: Answer, *, model: str, answer_id: str, reasoning: bool = True
) -> dict[str, object]:
    """Return a `message` object made from the hub's fields; without reported usage its counts are 0."""
    content: list[object] = []
    if answer.reasoning and reasoning:
        content.append({"type": "thinking", "thinking": answer.reasoning, "signature": UNSIGNED})
    if answer.text:
        content.append({"type": "text", "text": answer.text})
    content += (render_call(call, i) for i, call in enumerate(answer.tool_calls))
    return {
        "id": answer_id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": stop_reason(answer.finish, calls=bool(answer.tool_calls)),
        "stop_sequence": None,
        "usage": render_usage(answer.usage or Usage()),
    }


def render_call(call: ToolCall, index: int) -> dict[str, object]:
    """Return a call as a `tool_use` block.

    Arguments that are no JSON object stand as text in the member `arguments`: the dialect has objects alone, and an
    agent hands what it cannot use back to the model.
    """
    given = input_of(call)
    return {
        "type": "tool_use",
        "id": call.id or stable_id(index, call.name),
        "name": call.name,
        "input": {"arguments": call.arguments} if given is None else given,
    }


def finish_of(reason: object, *, calls: bool) -> str | None:
    """Return a stop reason in the hub's words; an end with calls is `tool_calls`, none at all is None."""
    if not isinstance(reason, str) or not reason:
        return None
    finish = FINISHES.get(reason, "stop")
    return "tool_calls" if calls and finish == "stop" else finish


def stop_reason(finish: str | None, *, calls: bool) -> str:
    """Return Anthropic's stop reason. An end with calls is `tool_use`: agents act on that word."""
    reason = _STOPS.get(finish or "stop", "end_turn")
    return "tool_use" if calls and reason == "end_turn" else reason


def has_content(block: Mapping[str, object]) -> bool:
    """Return whether a block says something: text, a call, or what a server tool did; thinking alone does not."""
    match block.get("type"):
        case "text":
            return bool(block.get("text"))
        case "thinking" | "redacted_thinking":
            return False
        case _:
            return True


def opaque_of(block: Mapping[str, object]) -> str:
    """Return the signature or encrypted content of a thinking block, "" for any other."""
    kind = block.get("type")
    if kind not in ("thinking", "redacted_thinking"):
        return ""
    value = block.get("signature" if kind == "thinking" else "data")
    return value if isinstance(value, str) else ""


def mended_block(value: object) -> dict[str, object] | None:
    """Return a text block without its `"citations": null`; None when there is nothing to mend."""
    block = as_object(value)
    if block is None or "citations" not in block or block["citations"] is not None:
        return None
    return {key: held for key, held in block.items() if key != "citations"}


def mended_content(content: object) -> list[object] | None:
    """Return content blocks without any `"citations": null`; None when there is nothing to mend."""
    blocks = content if isinstance(content, list) else []
    mended = [mended_block(block) for block in blocks]
    if not any(block is not None for block in mended):
        return None
    return [old if new is None else new for old, new in zip(blocks, mended, strict=True)]


def error_body(error: FusionError, request_id: str = "") -> dict[str, object]:
    """Return the error as Anthropic's API shows one: `{"type": "error", "error": {type, message}, "request_id"}`.

    A prompt that is too long is told in Anthropic's words, on which clients compact.
    """
    out: dict[str, object] = {
        "type": "error",
        "error": {"type": error_type(error), "message": _message(error)},
    }
    if request_id:
        out["request_id"] = request_id
    return out


def error_type(error: FusionError) -> str:
    """Return Anthropic's type for an error, by its status."""
    known = _TYPES.get(error.status)
    if known is not None:
        return known
    return "invalid_request_error" if error.status < 500 else "api_error"


def _message(error: FusionError) -> str:
    return anthropic_words(error.message) if error.code == CODE else error.message


def _block(value: object) -> Mapping[str, object]:
    block = as_object(value)
    if block is None or not isinstance(block.get("type"), str):
        raise unusable("a content block has no type")
    return block


def _text(block: Mapping[str, object], kind: str) -> str:
    if block["type"] != kind:
        return ""
    text = block.get(kind)
    if not isinstance(text, str):
        raise unusable("a text block has no text")
    return text


def _calls(blocks: list[Mapping[str, object]], seed: str) -> tuple[ToolCall, ...]:
    asked = [block for block in blocks if block["type"] == "tool_use"]
    return tuple(_call(block, index, seed) for index, block in enumerate(asked))


def _call(block: Mapping[str, object], index: int, seed: str) -> ToolCall:
    call_id, name, given = block.get("id"), block.get("name"), block.get("input")
    given = {} if given is None else given
    if not isinstance(name, str) or not name or not isinstance(given, dict):
        raise unusable("a tool call has no name, or an input that is not an object")
    if not isinstance(call_id, str) or not call_id:
        call_id = stable_id(index, name, seed)
    return ToolCall(call_id, name, dumps(given).decode())


def _with(
    data: Mapping[str, object], trace: Mapping[str, object] | None, usage: Usage | None
) -> dict[str, object]:
    out = dict(data)
    if usage is not None and usage != read_usage(data.get("usage")):
        out["usage"] = {**(as_object(data.get("usage")) or {}), **render_usage(usage)}
    if trace is not None:
        out[TRACE] = trace
    return out
