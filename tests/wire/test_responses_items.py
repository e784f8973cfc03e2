from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Message, Part, ToolCall
from openfusion_auto.errors import BadRequest
from openfusion_auto.wire.responses_items import (
    ITEMS,
    bound_items,
    item_type,
    media_of,
    read_input,
)

from .responses_samples import custom, function, message, reasoning

USER = {"type": "message", "role": "user", "content": "go"}
DATA = "data:image/png;base64,AAAA"


def read(*items: object) -> list[Message]:
    return read_input(list(items)).messages


def output(call_id: str = "call_1", value: object = "ok", **fields: object) -> dict[str, object]:
    return {"type": "function_call_output", "call_id": call_id, "output": value, **fields}


def test_a_string_is_one_user_message():
    assert read_input("hello").messages == [Message("user", (Part("text", "hello"),))]


@pytest.mark.parametrize("role", ["user", "system", "developer", "assistant"])
def test_a_message_needs_no_type_and_may_have_an_id(role):
    (found,) = read({"role": role, "id": "msg_x", "content": "hi"})
    assert found == Message(role, (Part("text", "hi"),))


def test_parts_keep_their_bytes_address_and_media():
    parts = [
        {"type": "input_text", "text": "look"},
        {"type": "input_image", "image_url": DATA, "detail": "low"},
        {"type": "input_image", "image_url": {"url": "https://x/y.png"}},
        {"type": "input_file", "file_data": "data:application/pdf;base64,BB", "filename": "a.pdf"},
        {"type": "input_file", "file_url": "https://x/a.pdf"},
        {"type": "input_audio", "input_audio": {"data": "CC", "format": "wav"}},
        {"type": "refusal", "refusal": "no"},
    ]
    (found,) = read({"role": "user", "content": parts})
    assert [p.kind for p in found.parts] == [
        "text", "image", "image", "file", "file", "audio", "refusal",
    ]  # fmt: skip
    assert [p.url for p in found.parts] == [
        "", DATA, "https://x/y.png", "data:application/pdf;base64,BB", "https://x/a.pdf", "data:audio/wav;base64,CC", "",
    ]  # fmt: skip
    assert [p.media for p in found.parts] == [
        "", "image/png", "", "application/pdf", "", "audio/wav", "",
    ]  # fmt: skip
    assert [p.raw for p in found.parts] == parts
    assert found.parts[1].size == len(DATA)
    assert found.text == "look\nno"


def test_an_id_stands_for_a_picture_or_file_that_is_stored():
    content = [{"type": "input_image", "file_id": "f1"}, {"type": "input_file", "file_id": "f2"}]
    (found,) = read({"role": "user", "content": content})
    assert [(p.kind, p.url) for p in found.parts] == [("image", ""), ("file", "")]


def test_what_the_assistant_did_in_one_stretch_is_one_message():
    found = read(
        USER,
        reasoning("hm", "blob"),
        message("I look"),
        function("f", '{"a":1}', "c1"),
        custom("apply_patch", "*** x", "c2"),
        output("c1"),
        {"type": "custom_tool_call_output", "call_id": "c2", "output": "done"},
    )
    assert [m.role for m in found] == ["user", "assistant", "tool", "tool"]
    said = found[1]
    assert [(p.kind, p.text, p.opaque) for p in said.parts] == [
        ("reasoning", "hm", "blob"),
        ("text", "I look", ""),
    ]
    assert said.tool_calls == (
        ToolCall("c1", "f", '{"a":1}'),
        ToolCall("c2", "apply_patch", "*** x", "custom"),
    )
    assert [m.tool_call_id for m in found[2:]] == ["c1", "c2"]


def test_a_second_message_of_the_assistant_is_a_message_of_its_own():
    assert [m.text for m in read(USER, message("a"), message("b"))] == ["go", "a", "b"]
    assert len(read(USER, message("a"), reasoning(), message("b"))) == 2


def test_an_empty_message_of_the_assistant_stays_one():
    assert read({"role": "assistant", "content": None}) == [Message("assistant")]
    assert read({"role": "user", "content": ""}) == [Message("user")]


def test_reasoning_without_a_summary_is_read_from_its_own_words():
    item = {
        "type": "reasoning",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "t"}],
    }
    (found,) = read({**item, "encrypted_content": None})
    assert (found.parts[0].text, found.parts[0].opaque) == ("t", "")


def test_a_call_in_a_namespace_has_one_name():
    (found,) = read(function("log", call_id="c", namespace="git"))
    assert found.tool_calls[0].name == "git__log"


@pytest.mark.parametrize(
    ("item", "name", "arguments"),
    [
        ({"type": "local_shell_call", "call_id": "c", "action": {"type": "exec"}}, "local_shell", '{"type":"exec"}'),
        ({"type": "local_shell_call", "id": "c", "action": {}}, "local_shell", "{}"),
        ({"type": "tool_search_call", "call_id": "c", "arguments": {"q": 1}}, "tool_search", '{"q":1}'),
        ({"type": "apply_patch_call", "call_id": "c", "operation": {"p": 1}}, "apply_patch", '{"p":1}'),
        ({"type": "shell_call", "call_id": "c"}, "shell", "{}"),
    ],
)  # fmt: skip
def test_a_call_that_the_client_runs_is_a_function_call(item, name, arguments):
    found = read(item, output("c"))
    assert found[0].tool_calls == (ToolCall("c", name, arguments),)
    assert found[1].tool_call_id == "c"


def test_outputs_may_be_text_parts_or_any_json():
    parts = [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": DATA}]
    found = read(
        function(call_id="c"),
        output("c", "plain"),
        output("c", parts),
        output("c", {"stdout": "x"}),
        {"type": "shell_call_output", "call_id": "c", "output": [{"stdout": "x"}]},
        {"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot", "image_url": DATA}},
        output("c", [{"type": "brand_new"}]),
        output("c", {"type": ["x"]}),
    )  # fmt: skip
    texts = [m.text for m in found[1:]]
    assert texts == ["plain", "a", '{"stdout":"x"}', '[{"stdout":"x"}]', "", "", '{"type":["x"]}']
    assert [p.kind for p in found[2].parts] == ["text", "image"]
    assert found[5].parts[0].url == DATA
    assert found[6].parts[0].kind == "other"


def test_a_local_shells_output_names_its_call_by_id():
    call = {"type": "local_shell_call", "id": "c", "action": {}}
    assert read(call, {"type": "local_shell_call_output", "id": "c", "output": "x"})[1].text == "x"


@pytest.mark.parametrize(
    ("status", "failed"), [("incomplete", True), ("completed", False), (None, False)]
)
def test_an_output_that_did_not_end_well_is_failed(status, failed):
    assert read(function(), output(status=status))[1].failed is failed


def test_tools_that_stand_among_the_items_are_found():
    tool = {"type": "function", "name": "f"}
    found = read_input(
        [
            {"type": "additional_tools", "role": "developer", "tools": [tool]},
            {"type": "tool_search_call", "call_id": "c", "arguments": {}},
            {"type": "tool_search_output", "call_id": "c", "tools": [tool]},
            {"type": "tool_search_output", "call_id": None, "tools": [tool]},
            USER,
        ]
    )
    assert found.tools == [
        ("input[0].tools[0]", tool),
        ("input[2].tools[0]", tool),
        ("input[3].tools[0]", tool),
    ]
    assert [m.role for m in found.messages] == ["assistant", "tool", "assistant", "user"]
    assert found.messages[1].text == '[{"type":"function","name":"f"}]'
    assert found.messages[2].parts[0].kind == "other"


@pytest.mark.parametrize(
    "kind", [*(k for k, fate in ITEMS.items() if fate == "aside"), "brand_new"]
)
def test_what_only_its_upstream_understands_is_kept_as_it_came(kind):
    item = {"type": kind, "encrypted_content": "blob", "x": "12345678"}
    (found,) = read(item)
    assert found.parts == (Part("other", size=max(8, len(kind)), opaque="blob", raw=item),)


def test_a_search_that_ran_at_the_upstream_is_no_call():
    (found,) = read({"type": "tool_search_call", "call_id": None, "execution": "server"})
    assert (found.tool_calls, found.parts[0].kind) == ((), "other")


def test_a_message_between_agents_is_the_users():
    (found,) = read({"type": "agent_message", "content": [{"type": "input_text", "text": "hi"}]})
    assert (found.role, found.text) == ("user", "hi")


def test_an_item_with_an_id_alone_is_a_reference():
    assert item_type("input[0]", {"id": "msg_1"}) == "item_reference"


def test_bound_items_and_parts_are_named():
    items = [
        USER,
        {"id": "msg_1"},
        {"type": "brand_new"},
        {"type": "web_search_call"},
        {"type": "compaction_trigger"},
        {"role": "user", "content": [{"type": "input_text", "text": "x"}, {"type": "hologram"}]},
    ]
    read_input(items)
    assert list(bound_items(items)) == [
        "input[1] (type 'item_reference')",
        "input[2] (type 'brand_new')",
        "input[4] (type 'compaction_trigger')",
        "input[5].content[1] (type 'hologram')",
    ]
    assert list(bound_items("text")) == []


@pytest.mark.parametrize(
    ("items", "param"),
    [
        (None, "input"), (7, "input"), ([], "input"), ([1], "input[0]"), ([{}], "input[0].type"),
        ([{"type": 1}], "input[0].type"), ([{"type": "message", "content": "x"}], "input[0].role"),
        ([{"role": "king", "content": "x"}], "input[0].role"), ([{"role": 1, "content": "x"}], "input[0].role"),
        ([{"role": "user"}], "input[0].content"), ([{"role": "user", "content": None}], "input[0].content"),
        ([{"role": "user", "content": 7}], "input[0].content"), ([{"role": "user", "content": ["x"]}], "input[0].content[0]"),
        ([{"role": "user", "content": [{}]}], "input[0].content[0].type"),
        ([{"role": "user", "content": [{"type": "input_text"}]}], "input[0].content[0].text"),
        ([{"role": "user", "content": [{"type": "input_text", "text": 1}]}], "input[0].content[0].text"),
        ([{"role": "user", "content": [{"type": "input_image"}]}], "input[0].content[0].image_url"),
        ([{"role": "user", "content": [{"type": "input_file"}]}], "input[0].content[0].file_data"),
        ([{"role": "user", "content": [{"type": "input_audio"}]}], "input[0].content[0].input_audio"),
        ([{"type": "function_call", "name": "f", "arguments": ""}], "input[0].call_id"),
        ([{"type": "function_call", "call_id": "c", "arguments": ""}], "input[0].name"),
        ([{"type": "function_call", "call_id": "c", "name": "f"}], "input[0].arguments"),
        ([{"type": "function_call", "call_id": "c", "name": "f", "arguments": {}}], "input[0].arguments"),
        ([{"type": "custom_tool_call", "call_id": "c", "name": "f"}], "input[0].input"),
        ([{"type": "function_call", "call_id": "c", "name": "f", "arguments": "", "id": 1}], "input[0].id"),
        ([{"type": "function_call_output", "output": "x"}], "input[0].call_id"),
        ([{"type": "function_call_output", "call_id": "nobody", "output": "x"}], "input[0].call_id"),
        ([{"type": "function_call", "call_id": "c", "name": "f", "arguments": ""},
          {"type": "function_call_output", "call_id": "c"}], "input[1].output"),
        ([{"type": "reasoning", "summary": "x"}], "input[0].summary"),
        ([{"type": "reasoning", "summary": [1]}], "input[0].summary[0]"),
        ([{"type": "reasoning", "encrypted_content": 1}], "input[0].encrypted_content"),
        ([{"type": "additional_tools"}], "input[0].tools"),
    ],
)  # fmt: skip
def test_an_item_that_cannot_be_is_refused_by_its_place(items, param):
    with pytest.raises(BadRequest) as caught:
        read_input(items)
    assert caught.value.param == param


def test_media_is_read_from_data_urls_alone():
    assert media_of("data:;base64,xx") == ""
    assert media_of("https://x/data:image/png,") == ""


@given(st.lists(st.sampled_from(sorted(ITEMS)), max_size=12), st.data())
def test_nothing_is_silently_gone(kinds, data):
    """Every item leaves a message, a call, a part or tools in the hub."""
    items = []
    for n, kind in enumerate(kinds):
        item = {"type": kind, "role": "user", "content": f"t{n}", "call_id": f"c{n}", "name": "f"}
        item |= {"arguments": "{}", "input": "x", "tools": [{"type": "function", "name": f"f{n}"}]}
        item |= {"output": f"o{n}"}
        if ITEMS[kind] == "reasoning":
            item["content"] = None
        if ITEMS[kind] == "result":
            items.append(
                {"type": "function_call", "call_id": f"c{n}", "name": "f", "arguments": ""}
            )
        items.append(item)
    if not items:
        return
    found = read_input(items)
    pieces = sum(len(m.parts) + len(m.tool_calls) for m in found.messages)
    expected = sum(1 for i in items if ITEMS[i["type"]] != "tools")
    assert pieces == expected
    searched = sum(1 for k in kinds if k.startswith("tool_search") and ITEMS[k] == "result")
    assert len(found.tools) == sum(1 for k in kinds if ITEMS[k] == "tools") + searched
