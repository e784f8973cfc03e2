from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Form, Message, Part, Prompt, Settings, Tool, ToolCall
from openfusion_auto.errors import BadRequest
from openfusion_auto.wire.chat_foreign import render_foreign
from openfusion_auto.wire.chat_request import parse_request
from openfusion_auto.wire.ordered import NOT_RUN

PNG = "data:image/png;base64,AA=="
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "chat.md"


def said(role, *texts: str, calls: tuple[ToolCall, ...] = (), **fields) -> Message:
    return Message(role, tuple(Part("text", t) for t in texts), calls, **fields)


def result(call_id: str, *parts: Part | str, failed: bool = False) -> Message:
    held = tuple(Part("text", p) if isinstance(p, str) else p for p in parts)
    return Message("tool", held, tool_call_id=call_id, failed=failed)


def asked(*ids: str) -> Message:
    return Message("assistant", (), tuple(ToolCall(i, "f", "{}") for i in ids))


def prompt(*messages: Message, dialect="messages", **fields) -> Prompt:
    return Prompt(dialect, "openfusion/auto", messages or (said("user", "hi"),), **fields)


def render(of: Prompt, *, stream=False, **options):
    found = render_foreign(replace(of, stream=stream), "m", **options)
    return json.loads(found.body), found.lost


def written(*messages: Message, **options) -> tuple[list[dict], tuple[str, ...]]:
    body, lost = render(prompt(*messages), **options)
    return body["messages"], lost


# --- the order of messages -----------------------------------------------------------------------------------


def test_calls_listed_one_by_one_become_one_message_with_its_results_behind_it():
    found, lost = written(
        said("user", "go"), said("assistant", "a"), asked("c1"), asked("c2"), result("c1", "1"), result("c2", "2"),
        said("assistant", "done"),
    )  # fmt: skip
    assert [m["role"] for m in found] == ["user", "assistant", "tool", "tool", "assistant"]
    assert found[1]["content"] == "a"
    assert [c["id"] for c in found[1]["tool_calls"]] == ["c1", "c2"]
    assert [m["tool_call_id"] for m in found[2:4]] == ["c1", "c2"]
    assert lost == ()


def test_words_between_a_call_and_its_result_come_behind_the_result():
    found, _ = written(asked("c1"), said("user", "note"), asked("c2"), result("c2"), result("c1"))
    order = [m.get("tool_call_id") or m["role"] for m in found]
    assert order == ["assistant", "c1", "user", "assistant", "c2"]


def test_an_id_that_is_used_again_belongs_to_the_last_call_before_it():
    found, _ = written(
        asked("c"), result("c", "old"), said("user", "x"), asked("c"), result("c", "new")
    )
    assert [m["content"] for m in found] == [None, "old", "x", None, "new"]


def test_a_result_without_its_call_stays_where_it_is():
    found, _ = written(said("user", "x"), result("c", "y"))
    assert found[1] == {"role": "tool", "content": "y", "tool_call_id": "c"}


def test_a_result_without_any_id_is_still_a_result():
    assert written(Message("tool", (Part("text", "y"),)))[0][0]["tool_call_id"] == ""


# --- parts ---------------------------------------------------------------------------------------------------


def test_a_developers_word_is_the_systems():
    found, _ = written(said("system", "a", "b"), said("developer", "c"), said("user", "d"))
    assert [(m["role"], m["content"]) for m in found] == [
        ("system", "a\nb"),
        ("system", "c"),
        ("user", "d"),
    ]


def test_pictures_of_the_users_go_along():
    found, lost = written(Message("user", (Part("text", "see"), Part("image", url=PNG))))
    assert found[0]["content"] == [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": PNG}},
    ]
    assert lost == ()


def test_pictures_of_results_follow_behind_all_results_of_the_turn():
    found, lost = written(
        asked("c1", "c2"), result("c1", Part("image", url=PNG)), result("c2", "text"), said("user", "go on"),
    )  # fmt: skip
    assert [m["role"] for m in found] == ["assistant", "tool", "tool", "user", "user"]
    assert found[1]["content"] == "(The result is in the next message.)"
    assert found[3]["content"] == [
        {"type": "text", "text": "Attached to the result of tool call c1:"},
        {"type": "image_url", "image_url": {"url": PNG}},
    ]
    assert lost == ("attachments moved out of 1 tool result",)
    at_the_end, _ = written(asked("c1"), result("c1", "seen", Part("image", url=PNG)))
    assert [m["role"] for m in at_the_end] == ["assistant", "tool", "user"]
    assert at_the_end[1]["content"] == "seen"


def test_a_failure_is_said_in_words():
    found, lost = written(
        asked("a", "b", "c"),
        result("a", "no such file", failed=True),
        result("b", "error: exit 1", failed=True),
        result("c", failed=True),
    )
    assert [m["content"] for m in found[1:]] == ["Error: no such file", "error: exit 1", "Error:"]
    assert lost == ("mark of failure of 3 tool results",)


THOUGHT = Message(
    "assistant", (Part("reasoning", "hm", opaque="sig"), Part("text", "a"), Part("reasoning", "hm"))
)


def test_reasoning_is_dropped_and_told():
    found, lost = written(said("user", "x"), THOUGHT)
    assert found[1] == {"role": "assistant", "content": "a"}
    assert lost == ("reasoning of 1 message",)


def test_reasoning_is_kept_where_asked_but_never_its_signature():
    found, lost = written(said("user", "x"), THOUGHT, keep_reasoning=True)
    assert found[1] == {"role": "assistant", "content": "a", "reasoning_content": "hmhm"}
    assert lost == ("reasoning signature of 1 message",)
    only = Message("assistant", (Part("reasoning", "hm"),))
    found, lost = written(said("user", "x"), only, keep_reasoning=True)
    assert (found[1], lost) == (
        {"role": "assistant", "content": "", "reasoning_content": "hm"},
        (),
    )


def test_a_message_of_dropped_reasoning_alone_is_none():
    found, lost = written(said("user", "x"), Message("assistant", (Part("reasoning", "hm"),)))
    assert len(found) == 1
    assert lost == ("reasoning of 1 message",)


def test_parts_that_no_one_else_knows_are_told_or_said_as_text():
    parts = (
        Part("other", raw={"type": "compaction"}), Part("other", raw={"type": 5}), Part("other"), Part("other", "said"),
        Part("text", "a"),
    )  # fmt: skip
    found, lost = written(Message("user", parts))
    assert found[0]["content"] == "said\na"
    assert lost == ("part compaction", "an unknown part")


def test_pictures_that_a_model_made_are_told():
    made = Message("assistant", (Part("image", url=PNG),))
    found, lost = written(said("user", "x"), made, Message("system", (Part("image", url=PNG),)))
    assert [m["role"] for m in found] == ["user", "system"]
    assert lost == ("attachments of 2 messages",)


def test_what_must_not_be_dropped_is_refused_by_its_place():
    with pytest.raises(BadRequest) as caught:
        written(said("user", "x"), Message("user", (Part("image", raw={"file_id": "f"}),)))
    assert caught.value.param == "messages[1]"


# --- tools and settings --------------------------------------------------------------------------------------


def test_custom_tools_and_their_history_are_functions():
    call = ToolCall("c", "patch", 'a "b"\n', "custom")
    body, lost = render(
        prompt(
            Message("assistant", (), (call,)),
            result("c", "ok"),
            tools=(
                Tool("patch", "custom", grammar={"definition": "X"}),
                Tool("web_search", "server"),
            ),
            settings=Settings(tool_choice="tool:patch", parallel=False),
        )
    )
    assert body["messages"][0]["tool_calls"][0]["function"] == {
        "name": "patch",
        "arguments": '{"input":"a \\"b\\"\\n"}',
    }
    (tool,) = body["tools"]
    assert tool["function"]["parameters"]["required"] == ["input"]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "patch"}}
    assert body["parallel_tool_calls"] is False
    assert lost == ("grammar of custom tool patch", "server tool web_search")


def test_a_request_whose_only_tools_are_dropped_says_nothing_about_tools():
    body, lost = render(
        prompt(tools=(Tool("web_search", "server"),), settings=Settings(tool_choice="auto")).extend(
            said("user", "more"), tool_choice="none"
        )
    )
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & body.keys()
    assert lost == ("server tool web_search",)


def test_what_a_recipe_changed_stands():
    asks = prompt(
        max_output_tokens=99, tools=(Tool("f"),), settings=Settings(stop=("x",), form=Form()),
    ).extend(
        said("user", "judge"), max_tokens=5, max_completion_tokens=None, stop=None, response_format=None,
        tool_choice="none", stream=True,
    )  # fmt: skip
    body, _ = render(asks)
    assert body["messages"] == [
        {"role": "user", "content": "hi"},
        {"role": "user", "content": "judge"},
    ]
    assert (body["max_tokens"], body["tool_choice"]) == (5, "none")
    assert not {"stop", "response_format", "stream", "max_completion_tokens"} & body.keys()


@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize(("stream", "options"), [(True, {"include_usage": True}), (False, None)])
def test_usage_is_asked_for_in_streams_alone(stream, include, options):
    body, _ = render(prompt(include_usage=include), stream=stream)
    assert body.get("stream_options") == options
    assert body.get("stream", False) is stream


def test_fields_that_chat_has_no_word_for_are_told():
    assert render(prompt(body={"top_k": 5, "container": None, "metadata": {}}))[1] == (
        "field top_k",
    )
    held = {"truncation": "auto", "include": ["x"]}
    assert render(prompt(dialect="responses", body=held))[1] == ("field truncation",)


def test_every_loss_that_the_page_names_is_one_and_the_other_way_round():
    """Each wording of `lost` stands in the reference."""
    everything = prompt(
        said("user", "x"),
        THOUGHT,
        asked("c1"),
        result("c1", Part("image", url=PNG), failed=True),
        Message("assistant", (Part("image", url=PNG), Part("other", raw={"type": "T"}), Part("other"))),
        tools=(
            Tool("N", "custom", grammar={"definition": "X"}),
            Tool("N", "server", raw={"defer_loading": True}),
        ),
        settings=Settings(effort="max", tool_choice="tool:Z"),
        body={"top_k": 1},
    )  # fmt: skip
    _, lost = render(everything)
    lost += render(replace(everything, settings=Settings(thinking_tokens=9)), keep_reasoning=True)[
        1
    ]
    lost += render(replace(everything, settings=Settings(effort="?")))[1]
    lost += render(prompt(dialect="responses", body={"text": {"verbosity": "low"}}))[1]
    page = PAGE.read_text(encoding="utf-8")
    cells = [line.split("|") for line in page.splitlines() if line.count("|") == 4]
    told = {row[3].strip(" `") for row in cells[2:]} - {""}
    general = {
        "reasoning of 1 message": "reasoning of N messages",
        "reasoning signature of 1 message": "reasoning signature of N messages",
        "mark of failure of 1 tool result": "mark of failure of N tool results",
        "attachments moved out of 1 tool result": "attachments moved out of N tool results",
        "attachments of 1 message": "attachments of N messages",
        "part T": "part TYPE",
        "grammar of custom tool N": "grammar of custom tool NAME",
        "server tool N": "server tool NAME",
        "choice of tool Z": "choice of tool NAME",
        "reasoning effort max as high": "reasoning effort max as high",
        "bound of reasoning tokens as effort low": "bound of reasoning tokens as effort E",
        "field top_k": "field NAME",
        "deferred loading of 1 tool": "deferred loading of N tools",
        "verbosity of the text": "verbosity of the text",
        "an unknown part": "an unknown part",
        "an unknown reasoning effort": "an unknown reasoning effort",
    }
    assert set(lost) == set(general)
    assert set(general.values()) | {"reasoning effort xhigh as high"} == told


# --- properties ----------------------------------------------------------------------------------------------

WORDS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=6)
USERS = st.builds(
    lambda texts, pictures: Message(
        "user",
        (*(Part("text", t) for t in texts), *(Part("image", url=PNG, size=len(PNG), media="image/png") for _ in range(pictures))),
    ),
    st.lists(WORDS, min_size=1, max_size=2),
    st.integers(0, 2),
)  # fmt: skip


@st.composite
def conversations(draw) -> tuple[Message, ...]:
    messages = [said("system", draw(WORDS))] if draw(st.booleans()) else []
    for turn in range(draw(st.integers(1, 3))):
        messages.append(draw(USERS))
        ids = [f"c{turn}_{i}" for i in range(draw(st.integers(0, 2)))]
        calls = tuple(ToolCall(i, draw(WORDS), draw(WORDS)) for i in ids)
        texts = (draw(WORDS),) if draw(st.booleans()) or not calls else ()
        messages.append(said("assistant", *texts, calls=calls))
        messages += [result(i, draw(WORDS)) for i in ids]
    return tuple(messages)


def meaning(message: Message) -> tuple[object, ...]:
    parts = [(p.kind, p.url) for p in message.parts if p.kind != "text"]
    return message.role, message.text, parts, message.tool_calls, message.tool_call_id


@given(conversations())
def test_a_conversation_comes_back_with_the_same_meaning(messages):
    body = render_foreign(prompt(*messages), "m")
    again = parse_request(body.body)
    assert [meaning(m) for m in again.messages] == [meaning(m) for m in messages]
    assert body.lost == ()


ANY = st.builds(
    Message,
    st.sampled_from(["system", "developer", "user", "assistant", "tool"]),
    st.lists(
        st.builds(
            Part,
            st.sampled_from(["text", "image", "reasoning", "refusal", "other"]),
            st.text(max_size=3),
            url=st.just(PNG),
        ),
        max_size=3,
    ).map(tuple),
    st.lists(st.builds(ToolCall, st.sampled_from("abc"), WORDS, WORDS), max_size=2).map(tuple),
    st.none() | st.sampled_from("abc"),
    st.booleans(),
)


@given(st.lists(ANY, max_size=8))
def test_any_history_keeps_results_right_behind_the_message_that_asked(messages):
    messages = [m if m.role == "assistant" else replace(m, tool_calls=()) for m in messages]
    found, _ = written(*messages, said("user", "end"))
    results = [m for m in found if m["role"] == "tool" and m["content"] != NOT_RUN]
    assert len(results) == sum(m.role == "tool" for m in messages)
    assert not any(a["role"] == b["role"] == "assistant" for a, b in pairwise(found))
    latest: dict[str, int] = {}
    for at, message in enumerate(found):
        for call in message.get("tool_calls", ()):
            latest[call["id"]] = at
        if message["role"] == "tool" and message["tool_call_id"] in latest:
            between = found[latest[message["tool_call_id"]] + 1 : at]
            assert all(m["role"] == "tool" for m in between)
