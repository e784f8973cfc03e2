from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.errors import BadRequest, ModelNotFound
from openfusion_auto.wire.messages_blocks import UNSIGNED
from openfusion_auto.wire.messages_request import (
    parse_count_request,
    parse_request,
    splice_request,
    wants_reasoning,
    without_reasoning,
)

from .claude import CALL, LOOP, RESULT, TOOL, body, raw

MADE = {"type": "thinking", "thinking": "hm", "signature": UNSIGNED}
SIGNED = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
CLAUDE_CODE = body(
    model="openfusion/auto",
    max_tokens=32000,
    stream=True,
    system=[
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.328.abc;"},
        {"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral"}},
    ],
    messages=[
        {"role": "user", "content": [{"type": "text", "text": "fix the bug"}]},
        {"role": "system", "content": [{"type": "text", "text": "# Environment"}]},
        {"role": "assistant", "content": [SIGNED, CALL]},
        {"role": "user", "content": [RESULT, {"type": "text", "text": "go on"}]},
    ],
    tools=[{**TOOL, "cache_control": {"type": "ephemeral"}, "defer_loading": True}],
    thinking={"type": "adaptive", "display": "omitted"},
    context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    output_config={"effort": "high"},
    metadata={"user_id": json.dumps({"device_id": "d", "account_uuid": "", "session_id": "s-1"})},
)


def refused(data: bytes) -> BadRequest:
    with pytest.raises(BadRequest) as error:
        parse_request(data)
    return error.value


def spliced(prompt, model: str = "claude-x"):
    return json.loads(splice_request(prompt, model))


# --- reading -------------------------------------------------------------------------------------------------


def test_a_request_of_claude_code_is_read_whole():
    data = json.dumps(CLAUDE_CODE).encode()
    prompt = parse_request(data, {"anthropic-beta": "any-2030-01-01"})
    assert [m.role for m in prompt.messages] == [
        "system", "user", "system", "assistant", "tool", "user",
    ]  # fmt: skip
    assert prompt.messages[0].text == "You are Claude Code."
    assert (prompt.dialect, prompt.stream, prompt.max_output_tokens) == ("messages", True, 32000)
    assert prompt.settings.effort == "high"
    assert prompt.session_fields == {"metadata.user_id": "s-1"}
    assert prompt.include_usage
    assert (prompt.body, prompt.raw) == (CLAUDE_CODE, data)


def test_tools_can_be_off_and_a_form_asked_for():
    form = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
    prompt = parse_request(raw(tools=[TOOL], tool_choice={"type": "none"}, output_config=form))
    assert prompt.tool_choice_none
    assert prompt.shape == "json_schema"


def test_the_options_of_a_request_are_read():
    assert parse_request(raw(openfusion={"mode": "single"})).options.mode == "single"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": ...}, "max_tokens"), ({"max_tokens": -5}, "max_tokens"), ({"messages": ...}, "messages"),
        ({"messages": []}, "messages"), ({"messages": [{"role": "system", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"), ({"system": 7}, "system"),
        ({"model": ...}, "model"), ({"openfusion": {"mode": "x"}}, "openfusion.mode"), ({"api_base": "x"}, "api_base"),
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_is_refused_by_name(fields, param):
    assert refused(raw(**fields)).param == param


def test_what_is_no_json_object_is_refused():
    for data in (b"", b"{", b"[]", b"null", b"\xff", b'{"model": NaN}'):
        assert refused(data).code == "invalid_json"


def test_a_model_that_cannot_be_does_not_exist():
    with pytest.raises(ModelNotFound):
        parse_request(raw(model="x" * 300))


def test_counting_needs_no_max_tokens():
    assert parse_count_request(raw(max_tokens=...)).max_output_tokens is None
    with pytest.raises(BadRequest):
        parse_count_request(raw(messages=...))


@given(st.binary(max_size=60) | st.builds(lambda v: json.dumps(v).encode(), st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["messages", "content", "role", "type", "model", "system", "tools"]), inner, max_size=4
    ), max_leaves=12,
)))  # fmt: skip
def test_junk_is_refused_and_never_breaks_the_reader(data):
    try:
        prompt = parse_request(data)
    except BadRequest:
        return
    assert prompt.messages


# --- splicing ------------------------------------------------------------------------------------------------


def test_only_the_model_changes_on_the_way_up():
    data = json.dumps(CLAUDE_CODE, indent=1).encode().replace(b"fix", b"f\\u0069x")
    out = splice_request(parse_request(data), "claude-x")
    assert out == data.replace(b'"openfusion/auto"', b'"claude-x"')


def test_our_own_field_goes_out():
    prompt = parse_request(raw(openfusion={"mode": "single"}, brand_new=[1]))
    assert spliced(prompt) == body(model="claude-x", brand_new=[1])


@given(
    st.dictionaries(
        st.text(max_size=8).filter(lambda k: k not in body() and k != "openfusion"), st.integers()
    )
)
def test_unknown_fields_survive(fields):
    try:
        prompt = parse_request(raw(**fields))
    except BadRequest:
        return
    assert spliced(prompt) == body(**fields, model="claude-x")


def test_thinking_that_this_router_made_does_not_go_up():
    history = [LOOP[0], {"role": "assistant", "content": [MADE, CALL]}, LOOP[2]]
    prompt = parse_request(raw(messages=history, thinking={"type": "adaptive"}))
    out = spliced(prompt)
    assert out["messages"] == LOOP
    assert out["thinking"] == {"type": "adaptive"}


def test_manual_thinking_goes_where_its_block_is_missing_in_a_tool_loop():
    manual = {"type": "enabled", "budget_tokens": 2000}
    edits = {"edits": [{"type": "clear_thinking_20251015"}]}
    history = [LOOP[0], {"role": "assistant", "content": [MADE, CALL]}, LOOP[2]]
    out = spliced(parse_request(raw(messages=history, thinking=manual, context_management=edits)))
    assert out == body(model="claude-x", messages=LOOP)
    ended = [*history[:2], {"role": "user", "content": [RESULT]}, {"role": "assistant", "content": "ok"},
             {"role": "user", "content": "more"}]  # fmt: skip
    out = spliced(parse_request(raw(messages=ended, thinking=manual)))
    assert out["thinking"] == manual


def test_a_message_of_made_thinking_alone_goes_as_a_whole():
    history = [
        LOOP[0],
        {"role": "assistant", "content": [MADE]},
        {"role": "user", "content": "and?"},
    ]
    assert spliced(parse_request(raw(messages=history)))["messages"] == [history[0], history[2]]


def test_a_user_who_writes_the_mark_changes_nothing():
    data = raw(messages=[{"role": "user", "content": UNSIGNED}])
    out = splice_request(parse_request(data), "claude-x")
    assert out == data.replace(b"openfusion/auto", b"claude-x", 1)


# --- reasoning -----------------------------------------------------------------------------------------------


def test_a_history_can_go_on_without_its_signed_thinking():
    history = [
        LOOP[0],
        {
            "role": "assistant",
            "content": [SIGNED, {"type": "redacted_thinking", "data": "x"}, CALL],
        },
        LOOP[2],
    ]
    prompt = without_reasoning(parse_request(raw(messages=history, brand_new=1)))
    assert spliced(prompt) == body(model="claude-x", messages=LOOP, brand_new=1)
    assert not any(p.kind == "reasoning" for m in prompt.messages for p in m.parts)


@pytest.mark.parametrize(
    ("thinking", "wanted"),
    [(None, False), ({"type": "disabled"}, False), ({"type": "adaptive", "display": "omitted"}, True),
     ({"type": "enabled", "budget_tokens": 2000}, True)],
)  # fmt: skip
def test_thinking_is_shown_to_those_who_asked(thinking, wanted):
    assert wants_reasoning(parse_request(raw(thinking=thinking))) is wanted
