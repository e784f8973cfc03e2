"""A whole Chat Completions answer: bytes to the hub, strictly, and back with the trace in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from openfusion_auto.core.prompt import Answer, ToolCall, Usage
from openfusion_auto.wire.chat_parts import media_of
from openfusion_auto.wire.chat_plain import make_plain
from openfusion_auto.wire.chat_tools import stable_id
from openfusion_auto.wire.counts import reconciled
from openfusion_auto.wire.errors import answer_object, told_failure, unusable
from openfusion_auto.wire.jsons import as_count, as_object, dumps
from openfusion_auto.wire.splice import traced
from openfusion_auto.wire.tiers import tier_told

TRACE = "openfusion"
# What other dialects call the ends that OpenAI's API knows.
_FINISHES: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "completed": "stop",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "incomplete": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
# An answer that was cut by a bound or a filter may be empty; nothing is wrong with the call then.
CUT = frozenset({"length", "content_filter"})
MOST_USD = 1e6  # a bill above that is none
# What a cache gave or took, beside OpenAI's own words: DeepSeek's, Kimi's and Anthropic's; LiteLLM's and Anthropic's.
_CACHED = ("prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens")
_WRITTEN = ("cache_write_tokens", "cache_creation_tokens")
# Fields of a message that are content of their own, beside text and calls.
CONTENT = frozenset({"refusal", "audio", "images"})
UNTOLD = "\n[a picture ({}), which this API has no place for]\n"


def read_answer(raw: bytes, *, seed: str = "") -> Answer:
    """Return the answer that a body holds; `raw` is kept without a byte order mark.

    The hub shows the first choice. Usage may be missing, unknown fields stay, `content` may be null beside tool
    calls, or a list of parts.

    Raises:
        UpstreamBroken: not a chat completion: no JSON, an error object, no choices, no message, or an answer
            without content that no bound has cut. The message never quotes the body.
    """
    raw, data = answer_object(raw)
    choice, message = _first(data.get("choices"))
    if make_plain(data["choices"], "message"):
        raw = dumps(data)
    text = text_of(message.get("content"))
    calls, unnamed = _calls(message.get("tool_calls"), seed)
    if _end_with_calls(data["choices"]) or unnamed:
        raw = dumps(data)
    ended = choice.get("finish_reason")
    finish = ended if isinstance(ended, str) and ended else None
    if finish == "error" or choice.get("error"):
        raise told_failure(choice.get("error"), "its choice ended with an error")
    if not (text or calls or finish in CUT or any(message.get(f) for f in CONTENT)):
        raise unusable("empty answer: neither text nor a tool call")
    model = data.get("model")
    return Answer(
        text=with_aside(text, message),
        reasoning=reasoning_of(message),
        tool_calls=calls,
        finish=finish,
        usage=read_usage(data.get("usage")),
        billed_usd=read_bill(data.get("usage")),
        tier=tier_told(data.get("service_tier")),
        sound=has_sound(data.get("usage")),
        model=model if isinstance(model, str) else None,
        raw=raw,
        data=data,
    )


def read_bill(value: object) -> float | None:
    """Return what OpenRouter says in `usage.cost` that a call costs [USD]; None when it is no amount.

    With a key of one's own at the model's provider (`is_byok`) that is OpenRouter's fee, and the provider's bill is
    beside it; where nobody says whose key it was, that bill alone tells (OpenRouter's guide to usage accounting).
    """
    usage = as_object(value) or {}
    own, amounts = usage.get("is_byok"), [usage.get("cost")]
    beside = (as_object(usage.get("cost_details")) or {}).get("upstream_inference_cost")
    if own is True or (own is None and beside is not None):
        amounts.append(beside)
    found = [a for a in amounts if isinstance(a, int | float) and not isinstance(a, bool)]
    if len(found) < len(amounts) or any(not 0 <= a < MOST_USD for a in found):
        return None
    return float(sum(found))


def read_usage(value: object) -> Usage | None:
    """Return reported tokens; None when `value` is no usage object or a count in it cannot be.

    Where OpenAI's details are missing, DeepSeek's, Kimi's, LiteLLM's and Anthropic's words for them are read. What is a
    part of what, `counts.reconciled` says.
    """
    usage = as_object(value)
    if usage is None or not ("prompt_tokens" in usage or "completion_tokens" in usage):
        return None
    sent = as_object(usage.get("prompt_tokens_details")) or {}
    made = as_object(usage.get("completion_tokens_details")) or {}
    lives = as_object(sent.get("cache_creation_token_details")) or {}
    counts = [
        as_count(usage.get("prompt_tokens")),
        as_count(usage.get("completion_tokens")),
        as_count(_told(sent.get("cached_tokens"), *(usage.get(name) for name in _CACHED))),
        as_count(
            _told(*(sent.get(name) for name in _WRITTEN), usage.get("cache_creation_input_tokens"))
        ),
        as_count(made.get("reasoning_tokens")),
        as_count(lives.get("ephemeral_1h_input_tokens")),
    ]
    if None in counts:
        return None
    return reconciled(
        Usage(*(count or 0 for count in counts)), as_count(usage.get("total_tokens")) or None
    )


def has_sound(value: object) -> bool:
    """Return whether reported usage counts tokens of sound."""
    usage = as_object(value) or {}
    details = (usage.get(f"{side}_tokens_details") for side in ("prompt", "completion"))
    return any(as_count((as_object(d) or {}).get("audio_tokens")) for d in details)


def _told(*values: object) -> object:
    """Return the first that is told; None when none is."""
    return next((value for value in values if value is not None), None)


def render_usage(usage: Usage) -> dict[str, object]:
    """Return usage as OpenAI's API shows it; `cache_write_tokens` only where there are some."""
    details: dict[str, object] = {"cached_tokens": usage.cached}
    if usage.cache_write:
        details["cache_write_tokens"] = usage.cache_write
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": details,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def render_answer(
    answer: Answer,
    trace: Mapping[str, object] | None,
    *,
    model: str,
    usage: Usage | None,
    answer_id: str,
    created: int,
) -> bytes:
    """Return the body that the client gets; see `Codec`.

    A chat body is written anew only when it has a field `openfusion` already, or when `usage` is given and differs from
    its own.
    """
    data = answer.data
    if answer.dialect != "chat" or not answer.raw or data is None or "choices" not in data:
        built = completion(answer, model=model, answer_id=answer_id, created=created)
        return dumps(_with(built, trace, usage))
    if (usage is not None and usage != answer.usage) or (trace is not None and TRACE in data):
        return dumps(_with(data, trace, usage))
    return traced(answer.raw, trace)


def completion(
    answer: Answer,
    *,
    model: str,
    answer_id: str,
    created: int,
) -> dict[str, object]:
    """Return a `chat.completion` object made from the hub's fields.

    Signatures and encrypted reasoning (`Answer.opaque`) have no place in it.
    """
    calls = answer.tool_calls
    message: dict[str, object] = {
        "role": "assistant",
        "content": answer.text if answer.text or not calls else None,
        "refusal": None,
    }
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if calls:
        message["tool_calls"] = [
            render_call(call if call.id else replace(call, id=stable_id(at, call.name)))
            for at, call in enumerate(calls)
        ]
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": finish_reason(answer.finish, calls=bool(calls)),
    }
    out: dict[str, object] = {
        "id": answer_id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [choice],
    }
    if answer.usage is not None:
        out["usage"] = render_usage(answer.usage)
    return out


def render_call(call: ToolCall) -> dict[str, object]:
    """Return a tool call as a message holds it."""
    if call.kind == "custom":
        return {
            "id": call.id,
            "type": "custom",
            "custom": {"name": call.name, "input": call.arguments},
        }
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def finish_reason(finish: str | None, *, calls: bool) -> str:
    """Return OpenAI's finish reason. An end with calls is `tool_calls`: agents act on that word alone."""
    reason = _FINISHES.get(finish or "stop", finish or "stop")
    return "tool_calls" if calls and reason == "stop" else reason


def text_of(content: object) -> str:
    """Return the text of a message's content: a string, null, or a list of parts.

    Raises:
        UpstreamBroken: anything else.
    """
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    if not isinstance(content, list):
        raise unusable("its content is neither text nor a list of parts")
    texts = [part.get("text") for part in content if isinstance(part, dict)]
    return "".join(text for text in texts if isinstance(text, str))


def with_aside(text: str, said: Mapping[str, object]) -> str:
    """Return the text of a message or delta with what clients of other dialects have no field for.

    Where there is no text, a refusal or the words of a sound are it. Pictures are told behind it: by their address, or
    that there was one; its data would come back as text of the next request.
    """
    words = said.get("refusal") or (as_object(said.get("audio")) or {}).get("transcript")
    found = [text or (words if isinstance(words, str) else "")]
    pictures = said.get("images")
    for picture in pictures if isinstance(pictures, list) else ():
        url = (as_object((as_object(picture) or {}).get("image_url")) or {}).get("url")
        if isinstance(url, str) and url:
            in_line = url.startswith("data:")
            found.append(UNTOLD.format(media_of(url)) if in_line else f"\n![picture]({url})\n")
    return "".join(found)


def reasoning_of(message: Mapping[str, object]) -> str:
    """Return the reasoning of a message or delta; servers that send two fields send the same in both."""
    for field in ("reasoning_content", "reasoning"):
        value = message.get(field)
        if isinstance(value, str) and value:
            return value
    return ""


def _first(choices: object) -> tuple[Mapping[str, object], Mapping[str, object]]:
    """Return the first choice and its message; every choice must have one."""
    if not isinstance(choices, list) or not choices:
        raise unusable("it has no choices")
    found: list[tuple[Mapping[str, object], Mapping[str, object]]] = []
    for value in choices:
        choice = as_object(value)
        message = None if choice is None else as_object(choice.get("message"))
        if choice is None or message is None:
            raise unusable("a choice has no message")
        found.append((choice, message))
    return next((pair for pair in found if pair[0].get("index") == 0), found[0])


def _end_with_calls(choices: object) -> bool:
    """Let choices with calls end with `tool_calls`, on which agents act, not with `stop`; tell whether one changed."""
    changed = False
    for choice in choices if isinstance(choices, list) else ():
        if choice.get("finish_reason") == "stop" and choice["message"].get("tool_calls"):
            choice["finish_reason"] = "tool_calls"
            changed = True
    return changed


def _calls(value: object, seed: str) -> tuple[tuple[ToolCall, ...], bool]:
    """Return the calls, and whether one had no id: then it has one now, in the body too, for clients need it."""
    if value is None:
        return (), False
    if not isinstance(value, list):
        raise unusable("its tool calls are not a list")
    calls: list[ToolCall] = []
    unnamed = False
    for at, item in enumerate(value):
        call = _call(as_object(item) or {})
        if not call.id:
            unnamed = True
            item["id"] = stable_id(at, call.name, seed)
            call = replace(call, id=item["id"])
        calls.append(call)
    return tuple(calls), unnamed


def _call(item: Mapping[str, object]) -> ToolCall:
    custom = as_object(item.get("custom"))
    held = custom or as_object(item.get("function")) or {}
    call_id, name = item.get("id"), held.get("name")
    said = held.get("input" if custom else "arguments")
    said = "" if said is None else said
    if not isinstance(name, str) or not name or not isinstance(said, str):
        raise unusable("a tool call has no name, or arguments that are not text")
    return ToolCall(
        call_id if isinstance(call_id, str) else "", name, said, "custom" if custom else "function"
    )


def _with(
    data: Mapping[str, object], trace: Mapping[str, object] | None, usage: Usage | None
) -> dict[str, object]:
    out = dict(data)
    if usage is not None and usage != read_usage(data.get("usage")):
        out["usage"] = render_usage(usage)
    if trace is not None:
        out[TRACE] = trace
    return out
