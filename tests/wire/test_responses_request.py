from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Form, Message, Options, Part, Settings
from openfusion_auto.errors import BadRequest, ModelNotFound
from openfusion_auto.wire.jsons import BOM
from openfusion_auto.wire.responses_request import (
    check_foreign,
    parse_request,
    splice_request,
    without_opaque,
)

from .responses_samples import body, function, message, raw, reasoning

TOOL = {"type": "function", "name": "f", "parameters": {}, "strict": False}
SCHEMA = {"type": "object", "properties": {"api_key": {"type": "string"}}}
CODEX = {
    "model": "openfusion/auto",
    "stream": True,
    "input": [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "You are Codex"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "fix it"}]},
    ],
    "tools": [
        TOOL,
        {"type": "custom", "name": "apply_patch", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}},
        {"type": "web_search"},
        {"type": "namespace", "name": "git", "description": "d", "tools": [TOOL]},
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "reasoning": {"summary": "auto", "context": "auto"},
    "store": False,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "thread-1",
    "client_metadata": {"base_url": "only a word here"},
}  # fmt: skip


def parse(**fields: object):
    return parse_request(raw(**fields))


def test_what_codex_sends_is_read_completely():
    prompt = parse_request(
        json.dumps(CODEX).encode(), {"X-Codex-Turn-Metadata": '{"request_kind":"turn"}'}
    )
    assert prompt.dialect == "responses"
    assert [(m.role, m.text) for m in prompt.messages] == [
        ("developer", "You are Codex"),
        ("user", "fix it"),
    ]
    assert [(t.name, t.kind) for t in prompt.tools] == [
        ("f", "function"), ("apply_patch", "custom"), ("web_search", "server"), ("git__f", "function"),
    ]  # fmt: skip
    assert prompt.stream
    assert prompt.include_usage
    assert prompt.settings == Settings(tool_choice="auto", parallel=True)
    assert prompt.session_fields == {"prompt_cache_key": "thread-1", "codex.request_kind": "turn"}
    assert prompt.body == CODEX


def test_all_settings_reach_the_hub():
    prompt = parse(
        instructions="Be brief",
        temperature=0.5,
        top_p=0.9,
        max_output_tokens=64,
        reasoning={"effort": "high"},
        tools=[TOOL],
        tool_choice={"type": "function", "name": "f"},
        parallel_tool_calls=False,
        text={
            "verbosity": "low",
            "format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True},
        },
        user="u1",
        session_id="s1",
        metadata={"session_id": "s2"},
        truncation="auto",
        top_logprobs=3,
        openfusion={"mode": "single"},
    )
    assert prompt.messages[0] == Message("system", (Part("text", "Be brief"),))
    assert prompt.settings == Settings(
        temperature=0.5,
        top_p=0.9,
        effort="high",
        tool_choice="tool:f",
        parallel=False,
        form=Form("n", SCHEMA, strict=True),
    )
    assert (prompt.max_output_tokens, prompt.shape, prompt.n) == (64, "json_schema", 1)
    assert prompt.options == Options(mode="single")
    assert prompt.session_fields == {"user": "u1", "session_id": "s1", "metadata.session_id": "s2"}


def test_nulls_stand_for_what_is_left_open():
    fields = (
        "instructions", "temperature", "top_p", "max_output_tokens", "reasoning", "tools", "tool_choice", "stream",
        "parallel_tool_calls", "text", "user", "metadata", "truncation", "include", "previous_response_id", "store",
        "conversation", "background", "prompt_cache_key", "client_metadata", "openfusion",
    )  # fmt: skip
    prompt = parse(**dict.fromkeys(fields))
    assert prompt.settings == Settings()
    assert (prompt.stream, prompt.tools, prompt.session_fields) == (False, (), {})


@pytest.mark.parametrize(
    ("text", "shape", "form"),
    [
        (None, "text", None), ({}, "text", None), ({"format": None}, "text", None), ({"format": {"type": "text"}}, "text", None),
        ({"format": {"type": "json_object"}}, "json_object", Form()),
        ({"format": {"type": "json_schema", "name": "n", "schema": {}}}, "json_schema", Form("n", {})),
    ],
)  # fmt: skip
def test_the_form_of_output(text, shape, form):
    prompt = parse(text=text)
    assert (prompt.shape, prompt.settings.form) == (shape, form)


def test_tools_switched_off():
    assert parse(tools=[TOOL], tool_choice="none").tool_choice_none
    assert not parse(tools=[TOOL], tool_choice="auto").tool_choice_none


def test_allowed_tools_are_the_only_ones_in_the_hub():
    other = {**TOOL, "name": "g"}
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "g"}]}
    prompt = parse(tools=[TOOL, other], tool_choice=choice)
    assert [t.name for t in prompt.tools] == ["g"]
    assert prompt.body["tools"] == [TOOL, other]


def test_tools_inside_the_input_are_tools():
    carrier = {"type": "additional_tools", "role": "developer", "tools": [TOOL]}
    prompt = parse_request(raw(carrier, {"role": "user", "content": "x"}))
    assert [t.name for t in prompt.tools] == ["f"]
    assert len(prompt.messages) == 1


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ('{"request_kind":"compaction","turn_id":"t"}', "compaction"), ('{"turn_id":"t"}', None), ("[]", None),
        ("not json", None), ('{"request_kind":3}', None), ('{"request_kind":"' + "x" * 65 + '"}', None),
        ('{"request_kind":"a\\u0000"}', None),
    ],
)  # fmt: skip
def test_codex_says_what_a_request_is_for(header, kind):
    prompt = parse_request(raw(), {"x-codex-turn-metadata": header, "other": "x"})
    assert prompt.session_fields.get("codex.request_kind") == kind


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"model": None}, "model", "missing_required_parameter"), ({"input": None}, "input", "missing_required_parameter"),
        ({"input": 7}, "input", "invalid_type"), ({"tools": "x"}, "tools", "invalid_type"),
        ({"max_output_tokens": -1}, "max_output_tokens", "invalid_value"), ({"max_output_tokens": "1"}, "max_output_tokens", "invalid_type"),
        ({"temperature": 5}, "temperature", "invalid_value"), ({"top_p": "x"}, "top_p", "invalid_type"),
        ({"stream": "yes"}, "stream", "invalid_type"), ({"store": 1}, "store", "invalid_type"),
        ({"top_logprobs": 21}, "top_logprobs", "invalid_value"), ({"truncation": "x"}, "truncation", "invalid_value"),
        ({"include": "x"}, "include", "invalid_type"), ({"include": [1]}, "include[0]", "invalid_type"),
        ({"metadata": "x"}, "metadata", "invalid_type"), ({"client_metadata": 1}, "client_metadata", "invalid_type"),
        ({"instructions": 1}, "instructions", "invalid_type"), ({"reasoning": "x"}, "reasoning", "invalid_type"),
        ({"reasoning": {"effort": 1}}, "reasoning.effort", "invalid_type"), ({"text": "x"}, "text", "invalid_type"),
        ({"text": {"format": {}}}, "text.format.type", "missing_required_parameter"),
        ({"text": {"format": {"type": "x"}}}, "text.format.type", "invalid_value"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.name", "missing_required_parameter"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema", "missing_required_parameter"),
        ({"text": {"format": {"type": "json_schema", "name": "n", "schema": {}, "strict": 1}}}, "text.format.strict", "invalid_type"),
        ({"tool_choice": "x"}, "tool_choice", "invalid_value"),
        ({"previous_response_id": "resp_1"}, "previous_response_id", "previous_response_not_found"),
        ({"previous_response_id": 7}, "previous_response_id", "invalid_type"),
        ({"conversation": "conv_1"}, "conversation", "conversation_not_found"),
        ({"background": True}, "background", "unsupported_parameter"),
        ({"base_url": "http://x"}, "base_url", "forbidden_field"), ({"extra": {"api_key": "x"}}, "extra", "forbidden_field"),
        ({"openfusion": {"mode": "x"}}, "openfusion.mode", "invalid_value"),
    ],
)  # fmt: skip
def test_a_field_that_cannot_be_is_refused_as_openai_does(fields, param, code):
    with pytest.raises(BadRequest) as caught:
        parse(**fields)
    assert (caught.value.param, caught.value.code, caught.value.status) == (param, code, 400)


@pytest.mark.parametrize("raw", [b"", b"[]", b"null", b'{"model":', b"\xff", b'{"a":NaN}'])
def test_what_is_no_object_is_refused(raw):
    with pytest.raises(BadRequest) as caught:
        parse_request(raw)
    assert caught.value.code == "invalid_json"


def test_a_model_name_that_none_can_have():
    with pytest.raises(ModelNotFound):
        parse(model="x" * 300)


def test_words_in_the_users_own_schema_are_only_words():
    form = {"type": "json_schema", "name": "n", "schema": SCHEMA}
    assert parse(text={"format": form}).settings.form == Form("n", SCHEMA)


# --- splicing ------------------------------------------------------------------------------------------------


def test_only_the_models_name_changes_on_the_way_up():
    text = '{ "model" : "openfusion/auto",\n "input":"h\\u00e9", "openfusion":{"mode":"single"}, "n e w":[1.50] }'
    prompt = parse_request(BOM + text.encode())
    assert splice_request(prompt, "vendor/m") == (
        b'{ "model" : "vendor/m",\n "input":"h\\u00e9", "n e w":[1.50] }'
    )


def test_reasoning_that_was_made_here_never_reaches_an_upstream_of_this_dialect():
    user = {"role": "user", "content": "openfusion: hi"}
    for blob in ("openfusion:", "openfusion:sig"):
        prompt = parse_request(raw(user, reasoning("hm", blob), reasoning("own", "b"), stream=True))
        assert prompt.messages[1].parts[0].opaque == blob.removeprefix("openfusion:")
        for changed in (prompt, prompt.extend()):
            sent = json.loads(splice_request(changed, "m"))
            assert sent["input"] == [user, reasoning("own", "b")]
    plain = parse_request(raw(user))
    assert splice_request(plain, "openfusion/auto").endswith(b'"content": "openfusion: hi"}]}')  # fmt: skip


def test_a_changed_prompt_is_written_anew():
    prompt = parse(stream=True).extend(Message("user", (Part("text", "more"),)), stream=True)
    sent = json.loads(splice_request(prompt, "m"))
    assert sent["stream"] is True
    assert sent["input"][1]["content"] == [{"type": "input_text", "text": "more"}]


@given(st.dictionaries(st.text(min_size=1), st.integers() | st.text() | st.none(), max_size=5))
def test_all_other_fields_survive_splicing(extra):
    fields = {k: v for k, v in extra.items() if k not in ("model", "input", "openfusion")}
    try:
        prompt = parse(**fields)
    except BadRequest:
        return
    sent = json.loads(splice_request(prompt, "vendor/m"))
    assert sent == {**body(**fields), "model": "vendor/m"}


# --- other upstreams -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "named"),
    [
        ({"type": "brand_new"}, "brand_new"), ({"id": "msg_1"}, "item_reference"),
        ({"type": "compaction_trigger"}, "compaction_trigger"), ({"role": "user", "content": [{"type": "hologram"}]}, "hologram"),
    ],
)  # fmt: skip
def test_what_no_other_dialect_can_carry_is_relayed_here_and_refused_there(item, named):
    prompt = parse_request(raw({"role": "user", "content": "x"}, item))
    assert json.loads(splice_request(prompt, "m"))["input"][1] == item
    with pytest.raises(BadRequest, match=named) as caught:
        check_foreign(prompt)
    assert caught.value.param == "input"


def test_a_stored_prompt_is_refused_elsewhere():
    with pytest.raises(BadRequest, match="prompt"):
        check_foreign(parse(prompt={"id": "pmpt_1"}))


def test_everything_else_may_go_elsewhere():
    prompt = parse_request(
        raw(reasoning(), message(), function(), {"type": "web_search_call", "id": "ws_1"})
    )
    check_foreign(prompt)


def test_a_switch_of_the_upstream_takes_sealed_items_out():
    user = {"role": "user", "content": "x"}
    prompt = parse_request(
        raw(user, {"type": "compaction", "encrypted_content": "b"}, reasoning(), message("a"), user, reasoning())
    )  # fmt: skip
    changed, lost = without_opaque(prompt)
    said = {k: v for k, v in message("a").items() if k != "id"}  # it pointed to the reasoning
    assert changed.body["input"] == [user, said, user]
    assert changed.raw == b""
    assert [(m.role, m.text) for m in changed.messages] == [
        ("user", "x"),
        ("assistant", "a"),
        ("user", "x"),
    ]
    assert lost == ("1 compaction items", "2 reasoning items")
    sent = json.loads(splice_request(changed, "m"))
    assert sent["input"] == [user, said, user]


def test_a_prompt_without_sealed_items_stays_as_it_is():
    prompt = parse()
    assert without_opaque(prompt) == (prompt, ())
    text = parse(input="x")
    assert without_opaque(text) == (text, ())
