from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Form, Message, Part, Prompt, Settings, Tool, ToolCall
from openfusion_auto.errors import BadRequest
from openfusion_auto.wire.responses_render import render_request
from openfusion_auto.wire.responses_request import parse_request

from .responses_samples import function, message, raw

DATA = "data:image/png;base64,AAAA"
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: /x/"}


def user(text: str = "go") -> Message:
    return Message("user", (Part("text", text),))


def written(prompt: Prompt, **how: bool) -> dict[str, object]:
    rendered = render_request(replace(prompt, stream=how.get("stream", False)), "vendor/m")
    return json.loads(rendered.body)


def lost(prompt: Prompt) -> tuple[str, ...]:
    return render_request(prompt, "m").lost


def chat(*messages: Message, **fields: object) -> Prompt:
    return Prompt("chat", "openfusion/auto", messages or (user(),), **fields)


# --- from other dialects -------------------------------------------------------------------------------------


def test_a_plain_prompt_stores_nothing_at_the_upstream():
    assert written(chat()) == {
        "model": "vendor/m",
        "store": False,
        "input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "go"}]}
        ],
    }


def test_a_tool_loop_keeps_ids_arguments_and_kinds():
    calls = (ToolCall("c1", "f", '{"a": 1}'), ToolCall("c2", "apply_patch", "*** x", "custom"))
    prompt = chat(
        Message("system", (Part("text", "rules"),)),
        user(),
        Message("assistant", (Part("text", "ok"), Part("refusal", "but no")), calls),
        Message("tool", (Part("text", "out"),), tool_call_id="c1"),
        Message("tool", (Part("text", "bad"),), tool_call_id="c2", failed=True),
    )
    assert written(prompt)["input"] == [
        {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "rules"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "go"}]},
        {
            "type": "message",
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "ok"},
                {"type": "refusal", "refusal": "but no"},
            ],
        },
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a": 1}'},
        {"type": "custom_tool_call", "call_id": "c2", "name": "apply_patch", "input": "*** x"},
        {"type": "function_call_output", "call_id": "c1", "output": "out"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": "Error: bad"},
    ]
    assert lost(prompt) == ("mark of failure of 1 tool result",)


def test_pictures_and_files_go_along():
    image = Part(
        "image", url=DATA, raw={"type": "image_url", "image_url": {"url": DATA, "detail": "low"}}
    )
    parts = (
        Part("text", "see"),
        image,
        Part("image", url="https://x/y.png"),
        Part("file", url="data:application/pdf;base64,B", raw={"file": {"filename": "a.pdf"}}),
        Part("file", url="data:text/plain;base64,B"),
        Part("file", url="https://x/a.pdf"),
        Part("file", text="inline words"),
    )
    (item,) = written(chat(Message("user", parts)))["input"]
    assert item["content"] == [
        {"type": "input_text", "text": "see"},
        {"type": "input_image", "image_url": DATA, "detail": "low"},
        {"type": "input_image", "image_url": "https://x/y.png"},
        {
            "type": "input_file",
            "filename": "a.pdf",
            "file_data": "data:application/pdf;base64,B",
        },
        {"type": "input_file", "filename": "file", "file_data": "data:text/plain;base64,B"},
        {"type": "input_file", "file_url": "https://x/a.pdf"},
        {"type": "input_text", "text": "inline words"},
    ]


def test_a_result_with_a_picture_is_a_list_of_parts():
    parts = (Part("text", "see"), Part("image", url=DATA), Part("other", raw={"type": "odd"}))
    prompt = chat(
        user(),
        Message("assistant", (), (ToolCall("c", "f", "{}"),)),
        Message("tool", parts, tool_call_id="c", failed=True),
    )
    assert written(prompt)["input"][2]["output"] == [
        {"type": "input_text", "text": "Error:"},
        {"type": "input_text", "text": "see"},
        {"type": "input_image", "image_url": DATA},
    ]
    assert lost(prompt) == ("mark of failure of 1 tool result", "part odd of a tool result")


@pytest.mark.parametrize(
    "part", [Part("audio", url="data:audio/wav;base64,A"), Part("image"), Part("other")]
)
def test_what_a_user_said_is_never_dropped(part):
    with pytest.raises(BadRequest, match=r"messages\[1\]") as caught:
        written(chat(user(), Message("user", (part,))))
    assert caught.value.param == "messages[1]"


def test_a_result_without_an_id_is_refused():
    with pytest.raises(BadRequest, match=r"messages\[1\]"):
        written(chat(user(), Message("tool", (Part("text", "x"),))))


def test_several_answers_cannot_be_asked_for():
    with pytest.raises(BadRequest) as caught:
        written(chat(n=2))
    assert caught.value.param == "n"


def test_reasoning_of_other_models_and_odd_parts_are_listed_as_lost():
    prompt = chat(
        user(),
        Message("assistant", (Part("reasoning", "hm", opaque="sig"), Part("text", "a"))),
        user(),
        Message("assistant", (Part("reasoning", "hm"), Part("other", raw={"type": "server_tool_use"}))),
        tools=(Tool("web_search", "server"), Tool("web_search", "server")),
        settings=Settings(stop=("x",), seed=0, thinking_tokens=8000),
    )  # fmt: skip
    assert lost(prompt) == (
        "reasoning of 2 messages",
        "reasoning signature of 1 message",
        "server tool web_search",
        "bound of reasoning tokens as effort medium",
        "stop sequences",
        "seed",
        "part server_tool_use",
    )
    sent = written(prompt)
    assert "tools" not in sent
    assert [item["role"] for item in sent["input"]] == ["user", "assistant", "user"]


def test_settings_are_said_in_this_dialects_words():
    form = Form("n", {"type": "object"}, strict=True)
    prompt = chat(
        tools=(Tool("f", schema={"type": "object"}), Tool("p", "custom", grammar=GRAMMAR)),
        max_output_tokens=64,
        shape="json_schema",
        settings=Settings(0.5, 0.9, effort="high", tool_choice="tool:p", parallel=False, form=form),
    )
    sent = written(prompt, stream=True)
    assert {k: sent[k] for k in sent if k not in ("input", "tools", "model")} == {
        "store": False,
        "stream": True,
        "temperature": 0.5,
        "top_p": 0.9,
        "max_output_tokens": 64,
        "reasoning": {"effort": "high"},
        "tool_choice": {"type": "custom", "name": "p"},
        "parallel_tool_calls": False,
        "text": {
            "format": {
                "type": "json_schema",
                "name": "n",
                "schema": {"type": "object"},
                "strict": True,
            }
        },
    }
    assert [t["type"] for t in sent["tools"]] == ["function", "custom"]


def test_the_simpler_forms():
    assert written(chat(shape="json_object"))["text"] == {"format": {"type": "json_object"}}
    form = written(chat(settings=Settings(form=Form("n", {}))))["text"]["format"]
    assert form == {"type": "json_schema", "name": "n", "schema": {}}
    sent = written(chat(tools=(Tool("f"),), tool_choice_none=True))
    assert sent["tool_choice"] == "none"


def test_a_chat_clients_further_fields_are_carried_or_listed():
    body = {
        "metadata": {"k": "v"}, "user": "u", "prompt_cache_key": "p", "store": True, "verbosity": "low",
        "logit_bias": {"1": 2}, "presence_penalty": 0.5, "frequency_penalty": 0, "logprobs": False,
    }  # fmt: skip
    prompt = chat(body=body)
    sent = written(prompt)
    assert {k: sent[k] for k in ("metadata", "user", "prompt_cache_key", "store", "text")} == {
        "metadata": {"k": "v"},
        "user": "u",
        "prompt_cache_key": "p",
        "store": True,
        "text": {"verbosity": "low"},
    }
    assert lost(prompt) == ("field logit_bias", "field presence_penalty")


def test_another_dialects_fields_of_the_same_name_are_not_carried():
    prompt = Prompt("messages", "m", (user(),), body={"metadata": {"user_id": "x"}, "top_k": 5})
    assert "metadata" not in written(prompt)
    assert lost(prompt) == ("field top_k",)


# --- from this dialect, changed by a recipe ------------------------------------------------------------------


def test_a_clients_own_items_and_fields_stay_as_they_came():
    items = [{"role": "user", "content": "x", "odd": 1}, message("a"), {"type": "web_search_call"}]
    prompt = parse_request(raw(*items, odd=[1], stream=True, openfusion={}))
    sent = written(prompt.extend(user("judge")))
    assert sent["input"][:3] == items
    assert sent["input"][3]["content"] == [{"type": "input_text", "text": "judge"}]
    assert sent["odd"] == [1]
    assert "stream" not in sent
    assert "openfusion" not in sent


def test_a_text_input_becomes_an_item_where_something_is_added():
    prompt = parse_request(raw().replace(b'[{"role": "user", "content": "hello"}]', b'"hello"'))
    sent = written(prompt.extend(user("more")))
    assert [item["role"] for item in sent["input"]] == ["user", "user"]
    assert sent["input"][0]["content"] == "hello"


def test_added_calls_go_back_under_their_own_names():
    tool = {"type": "function", "name": "log", "parameters": {}}
    prompt = parse_request(raw(tools=[{"type": "namespace", "name": "git", "tools": [tool]}]))
    draft = Message("assistant", (), (ToolCall("c", "git__log", "{}"),))
    assert written(prompt.extend(draft))["input"][1] == {
        "type": "function_call",
        "call_id": "c",
        "name": "log",
        "namespace": "git",
        "arguments": "{}",
    }


def test_changes_are_named_as_chat_names_them():
    tool = {"type": "function", "name": "f", "parameters": {}}
    text = {"verbosity": "low", "format": {"type": "json_object"}}
    prompt = parse_request(
        raw(tools=[tool], text=text, max_output_tokens=9, temperature=1, top_logprobs=2)
    )
    changed = prompt.extend(
        max_completion_tokens=None,
        max_tokens=4096,
        response_format=None,
        stop=None,
        n=None,
        logprobs=None,
        top_logprobs=None,
        tool_choice="none",
        temperature=None,
    )
    sent = written(changed)
    assert sent["max_output_tokens"] == 4096
    assert sent["text"] == {"verbosity": "low"}
    assert sent["tool_choice"] == "none"
    assert {"temperature", "top_logprobs", "stop", "n", "logprobs"}.isdisjoint(sent)


def test_a_bound_can_be_taken_out_and_a_form_put_in():
    prompt = parse_request(raw(max_output_tokens=9))
    shape = {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}
    sent = written(prompt.extend(max_tokens=None, response_format=shape, tool_choice="none"))
    assert "max_output_tokens" not in sent
    assert sent["text"] == {"format": {"type": "json_schema", "name": "n", "schema": {}}}
    assert "tool_choice" not in sent
    assert "text" not in written(prompt.extend(response_format=None))


@pytest.mark.parametrize(
    "chosen", [{"type": "function", "function": {"name": "f"}}, {"type": "function", "name": "f"}]
)
def test_a_named_choice_is_translated(chosen):
    tool = {"type": "function", "name": "f", "parameters": {}}
    prompt = parse_request(raw(tools=[tool])).extend(tool_choice=chosen, stream=True)
    assert written(prompt, stream=True)["tool_choice"] == {"type": "function", "name": "f"}


def test_stream_options_stay_only_with_a_stream():
    prompt = parse_request(raw(stream=True, stream_options={"include_obfuscation": False}))
    assert "stream_options" in written(prompt, stream=True)
    assert "stream_options" not in written(prompt.extend(user()))


# --- round trips ---------------------------------------------------------------------------------------------

_NAMES = st.sampled_from(["read", "write", "git__log"])
_TEXTS = st.text(min_size=1, max_size=20)
_CALLS = st.builds(ToolCall, st.text("abc123", min_size=1, max_size=6), _NAMES, _TEXTS, st.sampled_from(["function", "custom"]))  # fmt: skip


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    """Turns as a coding agent has them: words, pictures, calls with their results."""
    found: list[Message] = []
    for _ in range(draw(st.integers(1, 4))):
        parts = [Part("text", draw(_TEXTS))]
        if draw(st.booleans()):
            parts.append(Part("image", size=len(DATA), url=DATA, media="image/png"))
        found.append(Message(draw(st.sampled_from(["user", "system", "developer"])), tuple(parts)))
        calls = draw(st.lists(_CALLS, max_size=2, unique_by=lambda c: c.id))
        words = (Part("text", draw(_TEXTS)),) if draw(st.booleans()) or not calls else ()
        found.append(Message("assistant", words, tuple(calls)))
        found += (Message("tool", (Part("text", draw(_TEXTS)),), tool_call_id=c.id) for c in calls)
    return tuple(found)


def bare(message: Message) -> Message:
    parts = tuple(Part(p.kind, p.text, p.size, p.url, p.media, p.opaque) for p in message.parts)
    return Message(message.role, parts, message.tool_calls, message.tool_call_id, message.failed)


@given(
    conversations(),
    st.sampled_from([None, "auto", "required", "tool:read", "tool:patch"]),
    st.sampled_from([None, "low", "high"]),
    st.sampled_from([None, Form("n", {"type": "object"}, strict=False)]),
    st.none() | st.integers(1, 10**6),
)
def test_what_is_written_reads_back_with_the_same_meaning(messages, choice, effort, form, bound):
    tools = (
        Tool("read", "function", {"type": "object"}, "Reads.", strict=True),
        Tool("patch", "custom", description="Patches.", grammar=GRAMMAR),
    )
    settings = Settings(0.5, None, effort=effort, tool_choice=choice, form=form)
    prompt = chat(
        *messages,
        tools=tools,
        settings=settings,
        max_output_tokens=bound,
        shape="json_schema" if form else "text",
    )
    rendered = render_request(replace(prompt, stream=True), "vendor/m")
    assert rendered.lost == ()
    back = parse_request(rendered.body)
    assert tuple(bare(m) for m in back.messages) == messages
    assert [(t.name, t.kind, t.schema, t.description, t.strict, t.grammar) for t in back.tools] == [
        (t.name, t.kind, t.schema, t.description, t.strict, t.grammar) for t in tools
    ]
    assert back.settings == settings
    assert (back.max_output_tokens, back.shape, back.stream) == (bound, prompt.shape, True)


def test_a_function_call_of_the_history_keeps_its_arguments_bytes():
    odd = '{"a" :  "\\u00e9\\n", "b": 1.50}'
    prompt = parse_request(raw({"role": "user", "content": "x"}, function("f", odd)))
    foreign = Prompt("chat", "m", prompt.messages)
    assert written(foreign)["input"][1]["arguments"] == odd


def test_what_this_dialect_would_refuse_is_said_otherwise():
    call = Message("assistant", (), (ToolCall("c", "f", ""),))
    prompt = chat(user(), call, Message("tool", (), tool_call_id="c"), Message("user"))
    _, called, _, empty = written(prompt)["input"]
    assert called["arguments"] == "{}"
    assert empty == {"type": "message", "role": "user", "content": ""}
    hard = chat(user(), settings=Settings(effort="max"))
    assert written(hard)["reasoning"] == {"effort": "xhigh"}
    assert lost(hard) == ("reasoning effort max as xhigh",)
    forced = chat(
        user(),
        tools=(Tool("f"), Tool("web_search", "server")),
        settings=Settings(tool_choice="tool:web_search"),
    )
    assert "tool_choice" not in written(forced)
    assert lost(forced) == ("server tool web_search", "choice of tool web_search")


def test_a_file_is_named_as_its_client_named_it_or_by_its_kind():
    url = "data:application/pdf;base64,B"
    media = "application/pdf"
    for raw_, name in (({"title": "a.pdf"}, "a.pdf"), ({}, "document.pdf")):
        part = Part("file", url=url, media=media, raw=raw_)
        (item,) = written(chat(Message("user", (part,))))["input"]
        assert item["content"][0]["filename"] == name


def test_what_a_form_is_for_goes_along():
    form = Form("n", {"type": "object"}, description="for the log")
    assert written(chat(user(), settings=Settings(form=form)))["text"]["format"] == {
        "type": "json_schema",
        "name": "n",
        "schema": {"type": "object"},
        "description": "for the log",
    }


def test_a_call_that_was_not_run_gets_a_result():
    prompt = chat(user(), Message("assistant", (), (ToolCall("c", "f", "{}"),)), user())
    kinds = [item["type"] for item in written(prompt)["input"]]
    assert kinds == ["message", "function_call", "function_call_output", "message"]
