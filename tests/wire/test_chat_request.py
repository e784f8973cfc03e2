from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import (
    Form,
    Hosts,
    Message,
    Options,
    Part,
    Prompt,
    Settings,
    ToolCall,
)
from openfusion_auto.errors import BadRequest, FusionError, ModelNotFound
from openfusion_auto.wire.chat_request import parse_request, render_request, splice_request

from .chats import body, outcome, raw

TOOL = {"type": "function", "function": {"name": "f"}}


def refused(data: bytes) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        parse_request(data)
    return caught.value


# --- reading -------------------------------------------------------------------------------------------------


def test_a_request_is_read_and_kept():
    data = raw(
        stream=True, stream_options={"include_usage": True}, max_tokens=5, max_completion_tokens=9, n=2, tools=[TOOL],
        tool_choice="none", response_format={"type": "json_object"}, session_id="s", prompt_cache_key="k", user="u",
        metadata={"session_id": "m"}, openfusion={"mode": "single"}, models=["a"], provider={"only": ["x"]}, new_field=[1],
        store=False, temperature=0.5, stop=["a"], logit_bias={"5": -100}, seed=3, top_logprobs=2, logprobs=True,
    )  # fmt: skip
    prompt = parse_request(data)
    assert prompt.raw == data
    assert prompt.body == json.loads(data)
    assert (prompt.dialect, prompt.model, prompt.stream, prompt.include_usage) == (
        "chat",
        "openfusion/auto",
        True,
        True,
    )
    assert (prompt.max_output_tokens, prompt.n, prompt.tool_choice_none, prompt.shape) == (
        9,
        2,
        True,
        "json_object",
    )
    assert prompt.messages == (Message("user", (Part("text", "hello"),)),)
    assert [t.name for t in prompt.tools] == ["f"]
    assert prompt.options == Options(mode="single", hosts=Hosts(only=("x",)))
    assert prompt.settings == Settings(
        temperature=0.5, stop=("a",), seed=3, tool_choice="none", form=Form()
    )
    assert prompt.session_fields == {
        "session_id": "s", "prompt_cache_key": "k", "user": "u", "metadata.session_id": "m",
    }  # fmt: skip


def test_nulls_for_optionals_are_as_if_left_out():
    fields = (
        "temperature", "top_p", "n", "max_tokens", "max_completion_tokens", "stream", "stream_options", "stop", "tools",
        "tool_choice", "response_format", "logit_bias", "user", "metadata", "openfusion", "seed", "logprobs", "functions",
        "presence_penalty", "parallel_tool_calls", "session_id",
    )  # fmt: skip
    prompt = parse_request(raw(**dict.fromkeys(fields)))
    bare = parse_request(raw())
    assert replace(prompt, body={}, raw=b"") == replace(bare, body={}, raw=b"")


@pytest.mark.parametrize(
    ("fields", "most"),
    [({"max_tokens": 3}, 3), ({"max_completion_tokens": None, "max_tokens": 4}, 4), ({}, None)],
)
def test_the_output_bound_may_stand_in_either_field(fields, most):
    assert parse_request(raw(**fields)).max_output_tokens == most


def test_session_fields_are_strings_only():
    fields = parse_request(
        raw(session_id=5, prompt_cache_key="", user=None, metadata=[1])
    ).session_fields
    assert fields == {}


@pytest.mark.parametrize(
    "data",
    [
        b"", b"nope", b'{"model":', b"[]", b'"x"', b"null", b"5", b"true", b'{"model":"\xff"}', b'{"a":"\xc0\xaf"}',
        b'{"a":"\xed\xa0\x80"}', b'{"a":NaN}', b'{"a":Infinity}', b'{"a":1e400}', b'{"a":' + b"9" * 5000 + b"}",
        b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000, raw() + b"x", raw() + raw(),
        b"{'model':'x'}", b'/* */{"a":1}', b'{"a":"\x00"}', b'{"a":"x\ny"}', b'{"a":1,}', raw().decode().encode("utf-16"),
        b'{"a":' + b"[" * 300 + b"]" * 300 + b"}" + b" " * 400,
    ],
)  # fmt: skip
def test_a_body_that_is_no_json_object_is_a_400(data):
    error = refused(data)
    assert (error.status, error.type, error.code, error.param) == (
        400,
        "invalid_request_error",
        "invalid_json",
        None,
    )


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": None}, "messages"), ({"messages": []}, "messages"), ({"model": None}, "model"), ({"model": 5}, "model"),
        ({"temperature": 5}, "temperature"), ({"temperature": -1}, "temperature"), ({"temperature": "1"}, "temperature"),
        ({"temperature": True}, "temperature"), ({"top_p": 2}, "top_p"), ({"n": 0}, "n"), ({"n": -1}, "n"), ({"n": "2"}, "n"),
        ({"n": 10**9}, "n"), ({"n": 129}, "n"), ({"n": True}, "n"), ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"), ({"max_tokens": "5"}, "max_tokens"), ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"), ({"stream": "yes"}, "stream"), ({"stream": 1}, "stream"),
        ({"stop": {}}, "stop"), ({"stop": [1]}, "stop[0]"), ({"tools": {}}, "tools"), ({"tools": [None]}, "tools[0]"),
        ({"tool_choice": "maybe"}, "tool_choice"), ({"tool_choice": 5}, "tool_choice"),
        ({"tool_choice": {}}, "tool_choice.type"), ({"tool_choice": {"type": "function"}}, "tool_choice.function"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}}, "tool_choice"),
        ({"response_format": "json"}, "response_format"), ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format.json_schema.name"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": []}}},
            "response_format.json_schema.schema",
        ),
        ({"logit_bias": []}, "logit_bias"), ({"logit_bias": {"1": "x"}}, "logit_bias"), ({"logit_bias": {"1": 101}}, "logit_bias"),
        ({"presence_penalty": 99}, "presence_penalty"), ({"frequency_penalty": -99}, "frequency_penalty"),
        ({"stream_options": "x", "stream": True}, "stream_options"), ({"stream_options": {}}, "stream_options"),
        ({"stream_options": {"include_usage": 1}, "stream": True}, "stream_options.include_usage"),
        ({"parallel_tool_calls": 1}, "parallel_tool_calls"), ({"store": "no"}, "store"), ({"top_logprobs": 21}, "top_logprobs"),
        ({"base_url": "http://x"}, "base_url"), ({"openfusion": {"api_key": "x"}}, "openfusion"),
        ({"openfusion": {"mode": "x"}}, "openfusion.mode"),
    ],
)  # fmt: skip
def test_a_field_that_cannot_be_is_a_400_that_names_it(fields, param):
    error = refused(raw(**fields))
    assert (error.status, error.type, error.param) == (400, "invalid_request_error", param)
    assert error.code
    assert error.message


@pytest.mark.parametrize("missing", ["model", "messages"])
def test_required_fields_are_required(missing):
    fields = {k: v for k, v in body().items() if k != missing}
    error = refused(json.dumps(fields).encode())
    assert (error.param, error.code) == (missing, "missing_required_parameter")


def test_a_model_no_one_has_is_a_404():
    for model in ("x" * 10**6, "a\r\nb", "\ud800"):
        with pytest.raises(ModelNotFound):
            parse_request(raw(model=model))


@pytest.mark.parametrize(
    "fields",
    [
        {"tool_choice": "required"}, {"tool_choice": "auto"}, {"stop": "x"}, {"n": 128}, {"temperature": 0},
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}},
        {"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "allowed_tools": {}}},
        {"response_format": {"type": "text"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}, "strict": True}}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
        {"stream": False}, {"stream": True, "stream_options": {"include_usage": None}},
        {"metadata": {"k": "v" * 100_000}}, {"__proto__": {"x": 1}, "constructor": 1},
        {"messages": [{"role": "user", "content": "\ud800 \x00"}], "\ud800": 1},
        {"messages": [{"role": "user", "content": f"m {i}"} for i in range(10_000)]},
    ],
)  # fmt: skip
def test_what_is_odd_but_good_is_accepted(fields):
    assert parse_request(raw(**fields)).model == "openfusion/auto"


def test_a_byte_order_mark_is_tolerated_and_goes_no_further():
    prompt = parse_request(b"\xef\xbb\xbf" + raw())
    assert prompt.raw == raw()
    assert splice_request(prompt, "m") == raw(model="m")


def test_nested_schemas_of_a_sane_depth_pass():
    deep: object = 1
    for _ in range(150):
        deep = [deep]
    assert parse_request(raw(extra=deep)).body["extra"] == deep


@given(st.binary(max_size=40))
def test_any_bytes_are_a_client_error(data):
    with pytest.raises(BadRequest):
        parse_request(data)


FIELDS = st.sampled_from(
    ["temperature", "n", "max_tokens", "stream", "stream_options", "stop", "tools", "tool_choice", "response_format",
     "logit_bias", "openfusion", "messages", "model", "functions", "metadata", "user", "x"]
)  # fmt: skip
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | FIELDS, inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(FIELDS, JSON, max_size=4))
def test_any_object_is_a_prompt_or_a_client_error(fields):
    found = outcome(parse_request, raw(**fields), of=FusionError)
    if isinstance(found, FusionError):
        assert (found.scope, found.status // 100) == ("client", 4)
    else:
        assert found.messages


# --- splicing ------------------------------------------------------------------------------------------------

EXTRA = st.dictionaries(
    st.sampled_from(["mode l", '"model":', "\u006dodel2", "zz", "ü", "provider", "user_x", "a\\"]),
    JSON | st.sampled_from(['{"model": "x"}', "\\", '"', {"model": {"model": 1}}, "日本"]),
    max_size=4,
)


@st.composite
def requests(draw) -> bytes:
    members = dict(draw(EXTRA))
    members["model"] = "openfusion/auto"
    members["messages"] = [{"role": "user", "content": draw(st.text(max_size=20)), "model": "no"}]
    if draw(st.booleans()):
        members["openfusion"] = {"trace": "none"}
    if draw(st.booleans()):
        members["stream"] = draw(st.booleans())
    if members.get("stream") and draw(st.booleans()):
        members["stream_options"] = draw(
            st.sampled_from([None, {"include_usage": False}, {"x": 1}, {"include_usage": True}])
        )
    keys = draw(st.permutations(list(members)))
    text = json.dumps(
        {k: members[k] for k in keys},
        ensure_ascii=draw(st.booleans()),
        indent=draw(st.sampled_from([None, 1])),
        separators=draw(st.sampled_from([(",", ":"), (" , ", " : ")])),
    )
    return text.encode("utf-8", "replace")


def reference(data: bytes, model: str) -> object:
    """What a slow splice gives: parse, change, and no bytes to compare."""
    out = json.loads(data)
    asked = (out.get("stream_options") or {}).get("include_usage")
    out["model"] = model
    out.pop("openfusion", None)
    if out.get("stream") and not asked:
        out["stream_options"] = {**(out.get("stream_options") or {}), "include_usage": True}
    return out


@given(requests(), st.sampled_from(["vendor/m", 'q"\\', "ü"]))
def test_splicing_changes_what_the_slow_reference_changes(data, model):
    assert json.loads(splice_request(parse_request(data), model)) == reference(data, model)


@given(requests())
def test_bytes_outside_the_models_name_stay(data):
    prompt = parse_request(data)
    if "openfusion" in prompt.body:
        return
    spliced = splice_request(prompt, "\x01MARK\x01")
    before, mark, after = spliced.partition(b'"\\u0001MARK\\u0001"')
    assert mark
    assert before + b'"openfusion/auto"' + after == data


@given(requests())
def test_removing_our_options_leaves_the_other_members_bytes(data):
    prompt = parse_request(data)
    spliced = splice_request(prompt, "openfusion/auto")
    again = parse_request(spliced)
    changed = ("openfusion", "stream_options")  # the second where the client streams
    kept, left = ([m for m in p.body.members if m.key not in changed] for p in (prompt, again))
    assert [data[m.start : m.end] for m in kept] == [spliced[m.start : m.end] for m in left]


def test_keys_that_look_like_the_model_do_not_fool_the_splice():
    data = (
        b'{"messages":[{"role":"user","content":"\\"model\\":\\"x\\"","model":"inner"}], "a":"say \\"model", '
        b'"\\u006dodel" :  "openfusion/auto" , "b":{"model":"b"}}'
    )
    assert splice_request(parse_request(data), "m") == data.replace(b'"openfusion/auto"', b'"m"')


def test_a_key_that_stands_twice_is_written_once():
    data = b'{"model":"evil/model","messages":[{"role":"user","content":"x"}],"model":"openfusion/auto"}'
    spliced = splice_request(parse_request(data), "m")
    assert spliced.count(b'"model"') == 1
    assert json.loads(spliced)["model"] == "m"
    data = raw()[:-1] + b', "openfusion": {}, "openfusion": {"trace": "none"}}'
    assert b"openfusion" not in splice_request(parse_request(data), "m")


def test_splicing_reads_the_bytes_again_when_the_body_does_not_know_its_places():
    data = raw(extra=1.10)
    prompt = replace(parse_request(data), body=json.loads(data))
    assert splice_request(prompt, "m") == data.replace(b"openfusion/auto", b"m")


def test_usage_is_asked_for_only_where_the_client_streams_and_did_not():
    def options(**fields: object) -> object:
        return json.loads(splice_request(parse_request(raw(**fields)), "m")).get("stream_options")

    assert options() is None
    assert options(stream=False) is None
    assert options(stream=True) == {"include_usage": True}
    assert options(stream=True, stream_options={"include_usage": False, "x": 1}) == {
        "include_usage": True,
        "x": 1,
    }
    assert options(stream=True, openfusion={}) == {"include_usage": True}


def test_a_prompt_without_bytes_is_rendered():
    prompt = replace(parse_request(raw(stream=True)), raw=b"")
    spliced = json.loads(splice_request(prompt, "m"))
    assert spliced == body(model="m", stream=True, stream_options={"include_usage": True})


# --- rendering -----------------------------------------------------------------------------------------------


def test_an_inner_call_keeps_the_clients_fields_and_adds_messages_behind():
    own = [
        {
            "role": "user",
            "content": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}],
        }
    ]
    data = raw(
        messages=own, stream=True, stream_options={"include_usage": True}, max_completion_tokens=9, tools=[TOOL], top_k=3,
        openfusion={"mode": "verify"},
    )  # fmt: skip
    prompt = parse_request(data).extend(
        Message("user", (Part("text", "check it"),)),
        max_tokens=50,
        max_completion_tokens=None,
        tool_choice="none",
    )
    assert json.loads(render_request(prompt, "vendor/m")) == {
        "model": "vendor/m", "messages": [*own, {"role": "user", "content": "check it"}], "max_tokens": 50, "tools": [TOOL],
        "tool_choice": "none", "top_k": 3,
    }  # fmt: skip


def test_an_inner_call_is_streamed_where_that_is_said_and_then_tells_its_usage():
    asked = parse_request(raw(stream=True, stream_options={"x": 1}))
    rendered = json.loads(render_request(asked.extend(stream=True), "m"))
    told = {"x": 1, "include_usage": True}
    assert (rendered["stream"], rendered["stream_options"]) == (True, told)
    rendered = json.loads(render_request(asked.extend(), "m"))
    assert "stream" not in rendered
    assert "stream_options" not in rendered
    bare = replace(asked.extend(stream=True), body=body())
    rendered = json.loads(render_request(bare, "m"))
    assert rendered["stream_options"] == {"include_usage": True}


def test_a_prompt_of_another_dialect_is_rendered_never_spliced():
    prompt = Prompt(
        dialect="responses",
        model="openfusion/auto",
        max_output_tokens=7,
        body={"input": "x", "model": "openfusion/auto"},
        raw=b'{"input": "x", "model": "openfusion/auto"}',
        messages=(Message("user", (Part("text", "x"),)),),
        stream=True,
    )
    want = {
        "model": "m",
        "messages": [{"role": "user", "content": "x"}],
        "max_tokens": 7,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert json.loads(splice_request(prompt, "m")) == want
    assert json.loads(render_request(prompt, "m")) == want


def test_added_messages_are_written_whole():
    picture = "data:image/png;base64,AA=="
    calls = (ToolCall("c", "f", "{}"), ToolCall("d", "g", "free", "custom"))
    prompt = parse_request(raw(messages=[{"role": "user", "content": "x"}])).extend(
        Message("developer", (Part("text", "rules"),)),
        Message("assistant", (), calls),
        Message("tool", (Part("text", "ok"),), tool_call_id="c"),
        Message("user", (Part("text", "see"), Part("image", url=picture))),
    )
    _, *added = json.loads(render_request(prompt, "m"))["messages"]
    assert added == [
        {"role": "system", "content": "rules"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "d", "type": "custom", "custom": {"name": "g", "input": "free"}},
            ],
        },
        {"role": "tool", "content": "ok", "tool_call_id": "c"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "see"},
                {"type": "image_url", "image_url": {"url": picture}},
            ],
        },
    ]


def test_a_body_without_messages_gives_only_the_added_ones():
    prompt = Prompt(
        dialect="chat",
        model="x",
        messages=(),
        body={"messages": None, "a": 1},
        added=(Message("user"),),
    )
    rendered = json.loads(render_request(prompt, "m"))
    assert rendered == {"model": "m", "messages": [{"role": "user", "content": ""}], "a": 1}


@pytest.mark.bench
@pytest.mark.skipif(sys.gettrace() is not None, reason="measured without a tracer")
def test_splicing_a_long_body_costs_little_beside_parsing_it():
    from timeit import repeat

    data = raw(messages=[{"role": "user", "content": 'x\ny"z' * 500}] * 150, tools=[TOOL] * 30)
    prompt = parse_request(data)
    parse_s = min(repeat(lambda: json.loads(data), number=5, repeat=5))
    splice_s = min(repeat(lambda: splice_request(prompt, "m"), number=5, repeat=5))
    assert splice_s < parse_s
