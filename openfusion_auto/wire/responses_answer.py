"""A whole Responses answer: bytes to the hub, strictly, and back with the trace in it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from openfusion_auto.core.prompt import Answer, Delta, Prompt, ToolCall, Usage
from openfusion_auto.errors import FusionError
from openfusion_auto.wire.chat_answer import read_bill
from openfusion_auto.wire.chat_tools import stable_id
from openfusion_auto.wire.counts import reconciled
from openfusion_auto.wire.errors import answer_object, openai_error, unusable
from openfusion_auto.wire.hosted import ran_in_responses
from openfusion_auto.wire.jsons import as_count, as_object, dumps
from openfusion_auto.wire.responses_compose import Composer
from openfusion_auto.wire.responses_items import opaque_of
from openfusion_auto.wire.responses_tools import ClientTools, flat_name, render_tool
from openfusion_auto.wire.splice import traced
from openfusion_auto.wire.tiers import tier_told

TRACE = "openfusion"
ANSWER_ID = "resp_openfusion"
# An answer that was cut by a bound or a filter may be empty; nothing is wrong with the call then.
CUT = frozenset({"length", "content_filter"})
_ID = re.compile(r"[\w.-]{1,80}", re.ASCII)  # other ids are not shown
NO_ECHO: Mapping[str, object] = MappingProxyType({})
NO_TOOLS = ClientTools()
# Calls that the client runs, beside functions and custom tools: an answer with one ends for its sake.
CLIENT_RUN = frozenset(
    {"local_shell_call", "shell_call", "apply_patch_call", "computer_call", "tool_search_call"}
)
CALLS = frozenset({"function_call", "custom_tool_call"})
# What an answer shows of its request, and what stands there when the request did not say it.
_ECHOES: Mapping[str, object] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "store": False,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
# Error codes that the official SDK's type knows; and one that agents compact on.
ERROR_CODES = frozenset(
    {"server_error", "rate_limit_exceeded", "invalid_prompt", "context_length_exceeded"}
)


def read_answer(raw: bytes, *, seed: str = "") -> Answer:
    """Return the answer that a body holds; `raw` is kept without a byte order mark.

    Usage may be missing, unknown fields and items stay. `opaque` is the encrypted content of the last reasoning.

    Raises:
        UpstreamBroken: not a finished response: no JSON, an error, a status that says so, no output, or an answer
            without content that no bound has cut. The message never quotes the body.
    """
    raw, data = answer_object(raw)
    status = data.get("status", "completed")
    if status not in ("completed", "incomplete"):
        raise unusable("its response is not finished")
    output = data.get("output")
    if not isinstance(output, list):
        raise unusable("it has no output")
    found = [as_object(item) for item in output]
    listed = [item for item in found if item is not None]
    if len(listed) != len(found):
        raise unusable("an item of its output is not an object")
    if not all(isinstance(item.get("type"), str | None) for item in listed):
        raise unusable("the type of an item of its output is not text")
    calls = tuple(
        read_call(item, i, seed)
        for i, item in enumerate(item for item in listed if item.get("type") in CALLS)
    )
    finish = finish_of(data, calls=bool(calls) or any(is_call(item) for item in listed))
    if finish not in CUT and not any(has_content(item) for item in listed):
        raise unusable("empty answer: neither text nor a tool call")
    model = data.get("model")
    thoughts = [item for item in listed if item.get("type") == "reasoning"]
    sealed = [blob for item in thoughts if (blob := opaque_of(item))]
    return Answer(
        text="\n\n".join(filter(None, map(text_of, listed))),
        reasoning="\n\n".join(filter(None, map(reasoning_of, thoughts))),
        tool_calls=calls,
        finish=finish,
        usage=read_usage(data.get("usage")),
        model=model if isinstance(model, str) else None,
        raw=raw,
        data=data,
        opaque=sealed[-1] if sealed else "",
        dialect="responses",
        searches=ran_in_responses(str(item.get("type")) for item in listed),
        tier=tier_told(data.get("service_tier")),
        billed_usd=read_bill(data.get("usage")),
    )


def finish_of(response: Mapping[str, object], *, calls: bool) -> str:
    """Return how a response ended, in the hub's words."""
    if response.get("status") != "incomplete":
        return "tool_calls" if calls else "stop"
    reason = (as_object(response.get("incomplete_details")) or {}).get("reason")
    return "content_filter" if reason == "content_filter" else "length"


def is_call(item: Mapping[str, object]) -> bool:
    """Return whether an output item is a call that the client has to run."""
    server = item.get("type") == "tool_search_call" and item.get("execution") == "server"
    return item.get("type") in CALLS | CLIENT_RUN and not server


def has_content(item: Mapping[str, object]) -> bool:
    """Return whether an output item is an answer of its own: text, a call, or a type that is not known here."""
    if item.get("type") == "message":
        return bool(text_of(item))
    return item.get("type") != "reasoning"


def text_of(item: Mapping[str, object]) -> str:
    """Return the text of a message item, refusals included; "" for any other item.

    Raises:
        UpstreamBroken: its content is not a list of parts.
    """
    if item.get("type") != "message":
        return ""
    content = item.get("content")
    if not isinstance(content, list):
        raise unusable("a message's content is not a list of parts")
    return "".join(part_text(as_object(part) or {}) for part in content)


def part_text(part: Mapping[str, object]) -> str:
    """Return the text, or the refusal, of a content part; "" for any other."""
    said = part.get("refusal" if part.get("type") == "refusal" else "text")
    return said if isinstance(said, str) else ""


def reasoning_of(item: Mapping[str, object]) -> str:
    """Return what can be read of a reasoning item: its summary, else its own words."""
    for field in ("summary", "content"):
        listed = item.get(field)
        texts = [part_text(as_object(p) or {}) for p in listed] if isinstance(listed, list) else []
        if any(texts):
            return "\n\n".join(filter(None, texts))
    return ""


def read_call(item: Mapping[str, object], index: int, seed: str = "") -> ToolCall:
    """Return a function or custom call; `index` counts the calls of its answer from 0.

    Raises:
        UpstreamBroken: no name, or arguments that are not text.
    """
    custom = item.get("type") == "custom_tool_call"
    said = item.get("input" if custom else "arguments")
    name, space = item.get("name"), item.get("namespace")
    said = "" if said is None else said
    if not isinstance(name, str) or not name or not isinstance(said, str):
        raise unusable("a tool call has no name, or arguments that are not text")
    name = flat_name(space, name) if isinstance(space, str) and space else name
    call_id = call_id_of(item) or stable_id(index, name, seed)
    return ToolCall(call_id, name, said, "custom" if custom else "function")


def id_like(data: Mapping[str, object] | None) -> str:
    """Return an id for a response made of what another dialect's object says, "" when that has none.

    Ids of items, and of calls that came without one, are made from it: they must differ between answers.
    """
    about = as_object((data or {}).get("message")) or data or {}
    given = about.get("id")
    if not isinstance(given, str) or not _ID.fullmatch(given):
        return ""
    return "resp_" + (re.split("[-_]", given, maxsplit=1)[-1] or given)


def call_id_of(item: Mapping[str, object]) -> str:
    """Return the id that a call's result must name, "" when there is none."""
    found = item.get("call_id") or item.get("id")
    return found if isinstance(found, str) else ""


def read_usage(value: object) -> Usage | None:
    """Return reported tokens; None when `value` is no usage object or a count in it cannot be.

    What is a part of what, `counts.reconciled` says.
    """
    usage = as_object(value)
    if usage is None or not ("input_tokens" in usage or "output_tokens" in usage):
        return None
    sent = as_object(usage.get("input_tokens_details")) or {}
    made = as_object(usage.get("output_tokens_details")) or {}
    counts = [
        as_count(usage.get("input_tokens")),
        as_count(usage.get("output_tokens")),
        as_count(sent.get("cached_tokens")),
        as_count(sent.get("cache_write_tokens")),
        as_count(made.get("reasoning_tokens")),
    ]
    if None in counts:
        return None
    return reconciled(
        Usage(*(count or 0 for count in counts)), as_count(usage.get("total_tokens")) or None
    )


def render_usage(usage: Usage) -> dict[str, object]:
    """Return usage as this dialect shows it, all details in place: clients reconnect when one is missing."""
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {
            "cached_tokens": usage.cached,
            "cache_write_tokens": usage.cache_write,
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    }


def whole_usage(value: object) -> bool:
    """Return whether a usage object has every count that clients read."""
    usage = as_object(value)
    if usage is None or read_usage(usage) is None:
        return False
    sent = as_object(usage.get("input_tokens_details")) or {}
    made = as_object(usage.get("output_tokens_details")) or {}
    return (
        {"input_tokens", "output_tokens", "total_tokens"} <= usage.keys()
        and "cached_tokens" in sent
        and "reasoning_tokens" in made
    )


def echo_of(prompt: Prompt) -> dict[str, object]:
    """Return what answers to a prompt show of it; for prompts of another dialect nothing."""
    if prompt.dialect != "responses":
        return {}
    body = prompt.body
    echo = {k: body[k] for k in _ECHOES if body.get(k) is not None and k != "tools"}
    if "text" in echo:
        echo["text"] = {"format": {"type": "text"}, **(as_object(body.get("text")) or {})}
    metadata = as_object(body.get("metadata")) or {}
    echo["metadata"] = {k: v for k, v in metadata.items() if isinstance(v, str)}
    tools: list[object] = []
    for tool in prompt.tools:
        rendered = None if (tool.raw or {}).get("namespace") is not None else render_tool(tool)
        if rendered is not None:
            tools.append(rendered)
    echo["tools"] = tools
    return echo


def response_object(
    *,
    answer_id: str,
    created: int,
    model: str,
    status: str = "in_progress",
    output: Sequence[object] = (),
    usage: Usage | None = None,
    finish: str | None = None,
    echo: Mapping[str, object] = NO_ECHO,
) -> dict[str, object]:
    """Return a `response` object, complete for the official SDK's type.

    Args:
        answer_id: Its id.
        created: Its time [s since 1970].
        model: Name of the model that answered.
        status: `in_progress`, `completed`, `incomplete`, `failed`.
        output: Its items.
        usage: Tokens; None for a response that is not finished.
        finish: The hub's word for its end; `length` and `content_filter` make it incomplete.
        echo: See `echo_of`.
    """
    cut = finish in CUT
    reason = "content_filter" if finish == "content_filter" else "max_output_tokens"
    return {
        "id": answer_id,
        "object": "response",
        "created_at": created,
        "status": "incomplete" if cut else status,
        "background": False,
        "completed_at": None,
        "error": None,
        "incomplete_details": {"reason": reason} if cut else None,
        "model": model,
        "output": list(output),
        "previous_response_id": None,
        **_ECHOES,
        **echo,
        "usage": None if usage is None else render_usage(usage),
    }


def render_answer(
    answer: Answer,
    trace: Mapping[str, object] | None,
    *,
    model: str,
    usage: Usage | None,
    answer_id: str,
    created: int,
    tools: ClientTools = NO_TOOLS,
    echo: Mapping[str, object] = NO_ECHO,
) -> bytes:
    """Return the body that the client gets; see `Codec`. An `answer_id` of "" makes one of the upstream's.

    A body of this dialect is written anew only when it has a field `openfusion` already, or when its usage is not whole
    or differs from `usage`. An answer that is built here knows the client's tools (`responses_tools.client_tools`) and
    shows `echo` of the request (`echo_of`).
    """
    data = answer.data if answer.dialect == "responses" else None
    if data is None or "output" not in data:
        data = build(
            answer, model=model, answer_id=answer_id, created=created, tools=tools, echo=echo
        )
        return dumps(with_trace(data, trace, usage))
    keeps = usage in (None, answer.usage) and whole_usage(data.get("usage"))
    if not answer.raw or not keeps or (trace is not None and TRACE in data):
        return dumps(with_trace(data, trace, usage))
    return traced(answer.raw, trace)


def build(
    answer: Answer,
    *,
    model: str,
    answer_id: str,
    created: int,
    tools: ClientTools = NO_TOOLS,
    echo: Mapping[str, object] = NO_ECHO,
) -> dict[str, object]:
    """Return a finished `response` object made from the hub's fields."""
    answer_id = answer_id or id_like(answer.data) or ANSWER_ID
    composer = Composer(answer_id=answer_id, tools=tools, guarded=False)
    composer.add(Delta(b"", reasoning=answer.reasoning, opaque=answer.opaque))
    composer.add(Delta(b"", text=answer.text))
    for call in answer.tool_calls:
        composer.call(call)
    composer.end(cut=answer.finish in CUT)
    return response_object(
        answer_id=answer_id,
        created=created,
        model=model,
        status="completed",
        output=composer.output,
        usage=answer.usage or Usage(),
        finish=answer.finish,
        echo=echo,
    )


def with_trace(
    response: Mapping[str, object], trace: Mapping[str, object] | None, usage: Usage | None
) -> dict[str, object]:
    """Return a finished response with the trace in it and its usage whole."""
    out = dict(response)
    own = read_usage(response.get("usage"))
    if not whole_usage(response.get("usage")) or usage not in (None, own):
        out["usage"] = render_usage(usage or own or Usage())
    if trace is not None:
        out[TRACE] = trace
    return out


def render_error(error: FusionError) -> dict[str, object]:
    """Return the `error` of a failed response.

    Codes that the SDK's type does not know stop agents or mean something else to them, so all but a few are
    `server_error`. Codex reads the wait after a rate limit from the message.
    """
    code = error.code if error.code in ERROR_CODES else "server_error"
    if error.scope == "client" and error.code not in ERROR_CODES:
        code = "invalid_prompt"
    message = error.message
    if error.retry_after_s is not None:
        message = f"{message} Please try again in {error.retry_after_s:g}s."
    return {"code": code, "message": message}


def error_body(error: FusionError, request_id: str = "") -> dict[str, object]:
    """Return an error as this dialect's API answers one: OpenAI's shape, whose request id is a header only."""
    del request_id
    return openai_error(error)
