"""A Responses request: bytes to the hub, checked, and the client's bytes to an upstream of the same dialect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import cast

from openfusion_auto.core.prompt import Form, Message, Part, Prompt, Settings, Shape
from openfusion_auto.errors import BadRequest
from openfusion_auto.wire.chat_checks import (
    boolean,
    integer,
    items,
    members,
    missing,
    number,
    one_of,
    refuse_forbidden,
    string,
    wrong_value,
)
from openfusion_auto.wire.jsons import BOM, JsonError, as_object, loads_text
from openfusion_auto.wire.naming import read_named
from openfusion_auto.wire.options import FIELD
from openfusion_auto.wire.responses_items import (
    MADE_HERE,
    bound_items,
    item_type,
    read_input,
    without_made,
)
from openfusion_auto.wire.responses_render import render_request
from openfusion_auto.wire.responses_tools import read_choice, read_tools
from openfusion_auto.wire.splice import bounds_over, read_top_level, splice_top_level

TURN_METADATA = "x-codex-turn-metadata"
KIND_LIMIT = 64  # characters of a request kind; known ones are single words
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_SESSION = ("session_id", "prompt_cache_key", "user")
# Members with the user's own words, schemas and values, where the name of an address is only a word.
_OWN_TEXT = ("text", "prompt", "client_metadata")
_BOOLEANS = ("stream", "store", "parallel_tool_calls", "background")
_INTEGERS: Mapping[str, tuple[int, int | None]] = {
    "max_output_tokens": (1, None),
    "max_tool_calls": (1, None),
    "top_logprobs": (0, 20),
}
_TRUNCATIONS = ("auto", "disabled")
_FORMATS = ("text", "json_object", "json_schema")
# Linked by their ids to the reasoning before them; items that nobody but the upstream which made them can read.
_LINKED = frozenset({"function_call", "custom_tool_call"})  # by their ids to reasoning before them
SEALED = frozenset({"reasoning", "compaction", "compaction_summary", "context_compaction"})


def parse_request(raw: bytes, headers: Mapping[str, str] = _NO_HEADERS) -> Prompt:
    """Return the prompt that a request's body holds.

    Unknown fields and item types stay in `Prompt.body` and never make a refusal here (`check_foreign` refuses what
    no other dialect can carry). `Prompt.raw` is `raw` without a byte order mark.

    Args:
        raw: The body.
        headers: The request's headers, names in any case; Codex says in one of them what a request is for
            (`session_fields["codex.request_kind"]`).

    Raises:
        BadRequest: not JSON, a field that cannot be, or state that is not kept here (`previous_response_id`,
            `conversation`, `background`); `param` and `code` say which, as OpenAI's API does.
        ModelNotFound: a model name that none can have.
    """
    raw = raw.removeprefix(BOM)
    body = read_top_level(raw, "'model' and 'input'")
    refuse_forbidden({key: value for key, value in body.items() if key not in _OWN_TEXT})
    named = read_named(body, raw)
    body, raw = named.body, named.raw
    _refuse_state(body)
    _check_fields(body)
    said = read_input(body.get("input"))
    tools = read_tools(body.get("tools"), said.tools)
    chosen = read_choice(body.get("tool_choice"), tools)
    if chosen.allowed is not None:
        tools = tuple(tool for tool in tools if tool.name in chosen.allowed)
    shape, form = _form(body)
    return Prompt(
        dialect="responses",
        model=named.model,
        messages=(*_instructions(body), *said.messages),
        tools=tools,
        stream=body.get("stream") is True,
        include_usage=True,
        tool_choice_none=chosen.choice == "none",
        max_output_tokens=cast("int | None", body.get("max_output_tokens")),
        shape=shape,
        settings=Settings(
            temperature=cast("float | None", body.get("temperature")),
            top_p=cast("float | None", body.get("top_p")),
            effort=_effort(body),
            tool_choice=chosen.choice,
            parallel=cast("bool | None", body.get("parallel_tool_calls")),
            form=form,
        ),
        options=named.options,
        session_fields=_session_fields(body, headers),
        body=body,
        raw=raw,
    )


def splice_request(prompt: Prompt, model: str, *, most: int | None = None) -> bytes:
    """Return the client's bytes with the upstream's model name in them and the top-level `openfusion` out.

    Reasoning items that were made here from another dialect's answer go out too: only here they have a meaning. A
    bound of the answer over `most` [tokens], the model's own, comes down to it. A prompt without the client's bytes is
    written anew.
    """
    if not prompt.raw:
        return render_request(prompt, model).body
    edits = {"model": model, FIELD: None, **bounds_over(prompt.body, most)}
    listed = prompt.body.get("input")
    if isinstance(listed, list) and MADE_HERE.encode() in prompt.raw:
        kept = without_made(listed)
        if len(kept) != len(listed):
            edits["input"] = kept
    return splice_top_level(prompt.body, prompt.raw, edits)


def check_foreign(prompt: Prompt) -> None:
    """Refuse a prompt with what no other dialect can carry and nobody may drop. Call it before another dialect's
    renderer.

    Raises:
        BadRequest: an item or content type that is not known here, a reference to what an upstream stores, or a
            stored prompt; the message names the first.
    """
    for found in bound_items(prompt.body.get("input")):
        raise BadRequest(
            f"Unsupported value at '{found}': no upstream that can serve this request understands it.",
            param="input",
            code="unsupported_value",
        )
    if prompt.body.get("prompt") is not None:
        raise BadRequest(
            "A stored 'prompt' can only be used where it is stored; send 'instructions' and 'input' instead.",
            param="prompt",
            code="unsupported_parameter",
        )


def without_opaque(
    prompt: Prompt, gone: Callable[[Mapping[str, object]], bool] = lambda _: True
) -> tuple[Prompt, tuple[str, ...]]:
    """Return a prompt for another upstream than the one that answered before, and what it lost.

    Encrypted reasoning and compacted history can be read by their maker alone; any other upstream refuses the
    whole request, for good. So these items go, and with reasoning the ids of what was said and called after it: an
    upstream that stores answers refuses such an item "without its required reasoning item". The rest stays.

    Args:
        prompt: A prompt of this dialect.
        gone: Which of the sealed items go; all by default.
    """
    listed = prompt.body.get("input")
    before = listed if isinstance(listed, list) else []
    kept: list[object] = []
    kinds: list[str] = []
    bare = False  # reasoning of this stretch is gone
    for item in before:
        kind = item_type("input", item)
        if kind in SEALED and gone(item):
            kinds.append(kind)
            bare = bare or kind == "reasoning"
            continue
        bare = bare and (kind in _LINKED or item.get("role") == "assistant" or kind in SEALED)
        kept.append(_unlinked(kind, item) if bare else item)
    if not kinds:
        return prompt, ()
    lost = tuple(f"{kinds.count(kind)} {kind} items" for kind in sorted(set(kinds)))
    messages = tuple(
        replace(m, parts=tuple(p for p in m.parts if not (_sealed(p) and gone(p.raw or {}))))
        for m in prompt.messages
    )
    messages = tuple(m for m in messages if m.role != "assistant" or m.parts or m.tool_calls)
    changed = replace(prompt, messages=messages, body={**prompt.body, "input": kept}, raw=b"")
    return changed, lost


def _unlinked(kind: str, item: Mapping[str, object]) -> Mapping[str, object]:
    linked = kind == "message" or kind in _LINKED
    return {key: value for key, value in item.items() if key != "id"} if linked else item


def _sealed(part: Part) -> bool:
    return bool(part.raw) and (part.raw or {}).get("type") in SEALED


def _refuse_state(body: Mapping[str, object]) -> None:
    """Refuse what needs an answer or a conversation that is stored here: nothing is."""
    previous = body.get("previous_response_id")
    if previous is not None:
        raise BadRequest(
            f"Previous response with id '{string('previous_response_id', previous)[:80]}' not found: answers are "
            "not stored here. Send the whole conversation as 'input'.",
            param="previous_response_id",
            code="previous_response_not_found",
        )
    if body.get("conversation") is not None:
        raise BadRequest(
            "Conversation not found: conversations are not stored here. Send the whole conversation as 'input'.",
            param="conversation",
            code="conversation_not_found",
        )
    if body.get("background") is True:
        raise BadRequest(
            "Background answers are not available here; leave 'background' out and stream instead.",
            param="background",
            code="unsupported_parameter",
        )


def _check_fields(body: Mapping[str, object]) -> None:
    """Check the fields that the hub does not look into further."""
    given = {key: value for key, value in body.items() if value is not None}
    for field in _BOOLEANS:
        if field in given:
            boolean(field, given[field])
    for field, (least, most) in _INTEGERS.items():
        if field in given:
            integer(field, given[field], least, most)
    for field, high in (("temperature", 2), ("top_p", 1)):
        if field in given:
            number(field, given[field], 0, high)
    for i, wanted in enumerate(items("include", given.get("include", []))):
        string(f"include[{i}]", wanted)
    if string("truncation", given.get("truncation", "auto")) not in _TRUNCATIONS:
        raise wrong_value("truncation", one_of(_TRUNCATIONS))
    for field in ("metadata", "client_metadata"):
        members(field, given.get(field, {}))


def _instructions(body: Mapping[str, object]) -> tuple[Message, ...]:
    value = body.get("instructions")
    if value is None or value == "":
        return ()
    return (Message("system", (Part("text", string("instructions", value)),)),)


def _effort(body: Mapping[str, object]) -> str | None:
    value = body.get("reasoning")
    effort = None if value is None else members("reasoning", value).get("effort")
    return None if effort is None else string("reasoning.effort", effort)


def _form(body: Mapping[str, object]) -> tuple[Shape, Form | None]:
    value = body.get("text")
    held = None if value is None else members("text", value).get("format")
    if held is None:
        return "text", None
    wanted = members("text.format", held)
    if wanted.get("type") is None:
        raise missing("text.format.type")
    kind = string("text.format.type", wanted["type"])
    if kind not in _FORMATS:
        raise wrong_value("text.format.type", one_of(_FORMATS))
    if kind != "json_schema":
        return cast("Shape", kind), (Form() if kind == "json_object" else None)
    for field in ("name", "schema"):
        if wanted.get(field) is None:
            raise missing(f"text.format.{field}")
    strict, about = wanted.get("strict"), wanted.get("description")
    form = Form(
        string("text.format.name", wanted["name"]),
        members("text.format.schema", wanted["schema"]),
        None if strict is None else boolean("text.format.strict", strict),
        about if isinstance(about, str) else "",
    )
    return "json_schema", form


def _session_fields(body: Mapping[str, object], headers: Mapping[str, str]) -> dict[str, str]:
    found = {field: body.get(field) for field in _SESSION}
    found["metadata.session_id"] = (as_object(body.get("metadata")) or {}).get("session_id")
    told = next((v for name, v in headers.items() if name.lower() == TURN_METADATA), None)
    if told is not None:
        found["codex.request_kind"] = _request_kind(told)
    return {field: value for field, value in found.items() if isinstance(value, str) and value}


def _request_kind(header: str) -> str | None:
    """Return what Codex says a request is for; None when the header does not say it readably."""
    try:
        kind = (as_object(loads_text(header)) or {}).get("request_kind")
    except JsonError:
        return None
    fits = isinstance(kind, str) and kind.isprintable() and len(kind) <= KIND_LIMIT
    return kind if fits and isinstance(kind, str) else None
