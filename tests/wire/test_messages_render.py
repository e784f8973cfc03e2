from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Form, Message, Part, Prompt, Settings, Tool, ToolCall
from openfusion_auto.errors import BadRequest
from openfusion_auto.wire.messages_answer import FINISHES
from openfusion_auto.wire.messages_blocks import UNSIGNED
from openfusion_auto.wire.messages_render import DEFAULT_MAX_TOKENS, JSON_ONLY, render_request
from openfusion_auto.wire.messages_request import parse_request

from .claude import CALL, LOOP, TOOL, body, calls, names, numbered, objects, raw, words

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "messages.md"
HI = Message("user", (Part("text", "hi"),))
EDIT = Tool("edit", schema={"type": "object"})
MARK = {"type": "ephemeral"}
SCHEMA = {"type": "object", "properties": {}}


def chat(*messages: Message, **fields: object) -> Prompt:
    held = {"dialect": "chat", "model": "openfusion/auto", "messages": messages or (HI,)}
    return Prompt(**{**held, **fields})


def rendered(prompt: Prompt, *, stream: bool = False, bound: int | None = None):
    out = render_request(replace(prompt, stream=stream), "m", max_output_tokens=bound)
    return json.loads(out.body), list(out.lost)


# --- a prompt of this dialect --------------------------------------------------------------------------------


def test_a_recipes_messages_stand_behind_the_clients_own():
    system = [{"type": "text", "text": "s", "cache_control": MARK}]
    own = parse_request(
        raw(messages=LOOP, system=system, tools=[TOOL], stream=True, x=1, openfusion={})
    )
    draft = Message("assistant", (Part("text", "draft"),))
    out, lost = rendered(own.extend(draft, HI))
    assert out == body(
        model="m", system=system, tools=[TOOL], x=1,
        messages=[
            *LOOP,
            {"role": "assistant", "content": [{"type": "text", "text": "draft"}]},
            {"role": "user", "content": [{"type": "text", "text": "hi"}]},
        ],
    )  # fmt: skip
    assert lost == []


def test_streaming_is_the_callers_to_say():
    own = parse_request(raw(stream=True))
    assert "stream" not in rendered(own)[0]
    assert rendered(own, stream=True)[0]["stream"] is True


def test_a_recipes_overrides_come_in_chats_words():
    form = {"format": {"type": "json_schema", "schema": SCHEMA}, "effort": "low"}
    own = parse_request(raw(output_config=form, stop_sequences=["x"], tools=[TOOL], temperature=1))
    inner = own.extend(
        HI, max_completion_tokens=None, max_tokens=99, response_format=None, stop=None, n=None, logprobs=None,
        top_logprobs=None, tool_choice="none", temperature=0,
    )  # fmt: skip
    out, lost = rendered(inner)
    assert out["max_tokens"] == 99
    assert out["output_config"] == {"effort": "low"}
    assert "stop_sequences" not in out
    assert out["tool_choice"] == {"type": "none"}
    assert out["temperature"] == 0
    assert lost == []


def test_overrides_can_set_what_they_can_remove():
    own = parse_request(raw(output_format={"type": "json_schema", "schema": SCHEMA}, tools=[TOOL]))
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}
    out, lost = rendered(
        own.extend(
            stop="END", response_format=form, seed=3, thinking=None, gone=None,
            tool_choice={"type": "function", "function": {"name": "edit"}},
        )
    )  # fmt: skip
    assert out["stop_sequences"] == ["END"]
    assert out["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}
    assert "output_format" not in out
    assert out["tool_choice"] == {"type": "tool", "name": "edit"}
    assert lost == ["field seed"]
    out, _ = rendered(own.extend(response_format=None, stop=["a", "b"], tool_choice=None))
    assert "output_config" not in out
    assert "tool_choice" not in out
    assert out["stop_sequences"] == ["a", "b"]
    assert "tool_choice" not in rendered(parse_request(raw()).extend(tool_choice="none"))[0]


def test_thinking_stays_below_a_smaller_bound():
    own = parse_request(raw(max_tokens=9000, thinking={"type": "enabled", "budget_tokens": 8000}))
    out, lost = rendered(own.extend(max_tokens=4000))
    assert out["thinking"] == {"type": "enabled", "budget_tokens": 2000}
    assert lost == ["bound of reasoning tokens, which is not below that of the answer"]
    assert "thinking" not in rendered(own.extend(max_tokens=500))[0]
    assert rendered(own.extend(max_tokens=8001))[0]["thinking"]["budget_tokens"] == 8000


def test_the_models_own_bound_holds():
    assert rendered(parse_request(raw(max_tokens=9000)), bound=4000)[0]["max_tokens"] == 4000
    assert rendered(parse_request(raw(max_tokens=90)), bound=4000)[0]["max_tokens"] == 90


def test_made_thinking_does_not_go_up_with_a_recipe_either():
    made = {"type": "thinking", "thinking": "hm", "signature": UNSIGNED}
    history = [LOOP[0], {"role": "assistant", "content": [made, CALL]}, LOOP[2]]
    assert rendered(parse_request(raw(messages=history)).extend())[0]["messages"] == LOOP


def test_a_prompt_without_a_body_is_built():
    out, _ = rendered(chat(dialect="messages"))
    assert out["messages"] == [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]


# --- a prompt of another dialect -----------------------------------------------------------------------------


def test_the_bound_is_the_clients_the_models_or_the_default():
    assert rendered(chat())[0]["max_tokens"] == DEFAULT_MAX_TOKENS
    assert rendered(chat(), bound=4096)[0]["max_tokens"] == 4096
    assert rendered(chat(max_output_tokens=7), bound=4096)[0]["max_tokens"] == 7


def test_a_chat_is_built_of_system_turns_and_tools():
    system = Message("system", (Part("text", "be brief"),))
    out, lost = rendered(chat(system, HI, tools=(EDIT,)), stream=True)
    assert out == {
        "model": "m",
        "max_tokens": DEFAULT_MAX_TOKENS,
        "system": [{"type": "text", "text": "be brief", "cache_control": MARK}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": MARK}]}
        ],
        "tools": [{"name": "edit", "input_schema": {"type": "object"}}],
        "stream": True,
    }
    assert lost == []


def test_a_single_question_buys_no_cache():
    assert "cache_control" not in json.dumps(rendered(chat())[0])


def test_an_inner_call_finds_the_prefix_marked_where_the_clients_words_end():
    out, _ = rendered(
        chat(HI, tools=(EDIT,)).extend(Message("assistant", (Part("text", "d"),)), HI)
    )
    marks = ["cache_control" in json.dumps(turn) for turn in out["messages"]]
    assert marks == [True, False, False]


@pytest.mark.parametrize(
    ("settings", "fields", "lost"),
    [
        (Settings(temperature=0.5), {"temperature": 0.5}, []),
        (Settings(temperature=1.5), {"temperature": 1.0}, ["temperature over 1"]),
        (Settings(temperature=0.5, top_p=1), {"temperature": 0.5}, []),
        (Settings(temperature=0.5, top_p=0.9), {"temperature": 0.5}, ["top_p beside temperature"]),
        (Settings(top_p=0.9), {"top_p": 0.9}, []),
        (Settings(stop=("a", "\n")), {"stop_sequences": ["a"]}, ["stop words of blanks alone"]),
        (Settings(seed=1), {}, ["seed"]),
        (Settings(effort="none"), {"thinking": {"type": "disabled"}}, []),
        (Settings(effort="high"), {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}, []),
        (Settings(effort="minimal"), {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
         ["reasoning effort minimal as low"]),
        (Settings(effort="wild"), {}, ["an unknown reasoning effort"]),
        (Settings(thinking_tokens=5), {"thinking": {"type": "enabled", "budget_tokens": 1024}}, []),
        (Settings(effort="low", temperature=0.5), {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
         ["temperature beside reasoning"]),
        (Settings(effort="low", temperature=1),
         {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}, "temperature": 1.0}, []),
        (Settings(effort="low", top_p=0.9), {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
         ["top_p beside reasoning"]),
        (Settings(tool_choice="required"), {}, []),
        (Settings(form=Form("a", SCHEMA, True)), {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}, []),
    ],
)  # fmt: skip
def test_settings_are_said_in_this_dialect(settings, fields, lost):
    out, listed = rendered(chat(settings=settings))
    basic = {"model", "messages", "max_tokens"}
    assert {k: v for k, v in out.items() if k not in basic} == fields
    assert listed == lost


@pytest.mark.parametrize(
    ("settings", "choice", "lost"),
    [
        (Settings(tool_choice="auto"), {"type": "auto"}, []),
        (Settings(tool_choice="required", parallel=False), {"type": "any", "disable_parallel_tool_use": True}, []),
        (Settings(tool_choice="none", parallel=False), {"type": "none"}, []),
        (Settings(tool_choice="tool:edit"), {"type": "tool", "name": "edit"}, []),
        (Settings(tool_choice="tool:gone"), None, ["choice of tool gone"]),
        (Settings(parallel=True), {"type": "auto", "disable_parallel_tool_use": False}, []),
        (Settings(), None, []),
    ],
)  # fmt: skip
def test_tool_choice_is_said_in_this_dialect(settings, choice, lost):
    out, listed = rendered(chat(settings=settings, tools=(EDIT,)))
    assert out.get("tool_choice") == choice
    assert listed == lost


def test_a_forced_call_is_made_without_thinking():
    asked = Settings(tool_choice="required", effort="high")
    out, lost = rendered(chat(settings=asked, tools=(EDIT,)))
    assert "thinking" not in out
    assert out["tool_choice"] == {"type": "any"}
    assert lost == ["reasoning beside a forced tool call"]


def test_inside_a_tool_loop_thinking_is_not_manual():
    loop = (
        HI,
        Message("assistant", (), (ToolCall("a", "edit", "{}"),)),
        Message("tool", (Part("text", "ok"),), tool_call_id="a"),
    )
    out, lost = rendered(chat(*loop, settings=Settings(thinking_tokens=2048), tools=(EDIT,)))
    assert out["thinking"] == {"type": "adaptive"}
    assert lost == ["bound of reasoning tokens inside a tool loop"]


@pytest.mark.parametrize("asked", [{"shape": "json_object"}, {"settings": Settings(form=Form())}])
def test_any_json_is_asked_for_in_words(asked):
    out, lost = rendered(chat(**asked))
    assert out["system"] == [{"type": "text", "text": JSON_ONLY}]
    assert lost == ["form json_object, asked for in words"]


def test_several_choices_are_refused():
    with pytest.raises(BadRequest) as error:
        rendered(chat(n=2))
    assert error.value.param == "n"


def test_an_unknown_conversation_is_refused():
    with pytest.raises(BadRequest) as error:
        rendered(chat(dialect="responses", body={"previous_response_id": "resp_1"}))
    assert error.value.code == "previous_response_not_found"


def test_fields_without_a_word_here_are_listed():
    asked = {"logprobs": True, "top_k": 4, "user": "me", "presence_penalty": 0, "model": "x"}
    assert rendered(chat(body=asked))[1] == ["field logprobs", "field top_k"]
    asked = {"input": [], "prompt": {"id": "p"}, "background": False, "store": True}
    assert rendered(chat(dialect="responses", body=asked))[1] == ["field prompt"]


# --- round trips ---------------------------------------------------------------------------------------------

spoken = words.filter(str.strip)
pictures = st.just(Part("image", url="data:image/png;base64,aGk="))
heard = st.lists(spoken.map(lambda t: Part("text", t)) | pictures, min_size=1, max_size=2).map(
    tuple
)


@st.composite
def prompts(draw: st.DrawFn) -> Prompt:
    """Prompts that this dialect can say without a loss."""
    messages = [Message("system", (Part("text", draw(spoken)),))] if draw(st.booleans()) else []
    messages.append(Message("user", draw(heard)))
    for count in range(draw(st.integers(0, 3))):
        asked = tuple(
            replace(c, id=f"{c.id}_{count}") for c in numbered(draw(st.lists(calls, max_size=2)))
        )
        said = draw(spoken)
        messages.append(Message("assistant", (Part("text", said),), asked))
        results = [
            Message("tool", (Part("text", draw(words)),), (), c.id, draw(st.booleans()))
            for c in asked
        ]
        messages += results or [Message("user", draw(heard))]
    tools = [Tool(n, schema={"type": "object", "properties": draw(objects)}, description=draw(words))
             for n in draw(st.lists(names, unique=True, max_size=2))]  # fmt: skip
    if not tools:  # a history with calls brings its own
        called = dict.fromkeys(c.name for m in messages for c in m.tool_calls)
        tools = [Tool(n, schema={"type": "object", "properties": {}}) for n in called]
    choices = ["auto", "required", "none", *(f"tool:{t.name}" for t in tools)]
    settings = Settings(
        temperature=draw(st.none() | st.floats(0, 1)),
        stop=tuple(draw(st.lists(spoken, max_size=2))),
        tool_choice=draw(st.none() | st.sampled_from(choices)) if tools else None,
        form=draw(st.none() | objects.map(lambda o: Form(schema={**o, "type": "object"}))),
    )
    return chat(
        *messages, tools=tuple(tools), settings=settings, stream=draw(st.booleans()),
        max_output_tokens=draw(st.integers(1, 10**6)),
    )  # fmt: skip


def bare(prompt: Prompt) -> object:
    """What a prompt means, without the form it came in."""
    parts = [(m.role, tuple((p.kind, p.text, p.url) for p in m.parts if p.kind != "text" or p.text),
              tuple((c.id, c.name, json.loads(c.arguments)) for c in m.tool_calls), m.tool_call_id, m.failed)
             for m in prompt.messages]  # fmt: skip
    tools = [(t.name, t.kind, t.schema, t.description) for t in prompt.tools]
    return parts, tools, prompt.settings, prompt.stream, prompt.max_output_tokens


@given(prompts())
def test_a_prompt_means_the_same_after_the_round_trip(prompt):
    out = render_request(prompt, "m")
    assert out.lost == ()
    assert bare(parse_request(out.body)) == bare(prompt)


@given(prompts())
def test_a_rendered_prompt_rendered_again_is_the_same(prompt):
    once = render_request(prompt, "m")
    own = replace(parse_request(once.body), raw=b"")
    again = render_request(own, "m")
    assert json.loads(again.body) == json.loads(once.body)
    assert again.lost == ()


# --- the page ------------------------------------------------------------------------------------------------


def table(mark: str) -> list[list[str]]:
    """The cells of a marked table, its heading left out."""
    text = PAGE.read_text(encoding="utf-8")
    (found,) = re.findall(rf"<!-- {mark} -->\n\n(.*?)\n\n<!-- /{mark} -->", text, flags=re.DOTALL)
    return [[c.strip() for c in line.strip("|").split("|")] for line in found.splitlines()[2:]]


def quoted(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


def test_the_page_says_what_each_stop_reason_becomes():
    assert {(next(iter(quoted(a))), next(iter(quoted(b)))) for a, b in table("stops")} == set(
        FINISHES.items()
    )


LOSSES = {
    "reasoning of N messages": chat(HI, Message("assistant", (Part("reasoning", "a"), Part("text", "b"))), HI),
    "instructions as user text of N messages": chat(HI, Message("system", (Part("text", "s"),))),
    "end by the assistant": chat(HI, Message("assistant", (Part("text", "b"),))),
    "beginning by the assistant": chat(Message("assistant", (Part("text", "b"),)), HI),
    "system prompt said again as the user's words": chat(Message("system", (Part("text", "s"),))),
    "part of type T": chat(HI, Message("assistant", (Part("other", raw={"type": "web_search_call"}),))),
    "form of the arguments of a call of T, which are no JSON object": chat(
        HI, Message("assistant", (), (ToolCall("a", "f", "{"),))
    ),
    "server tool T": chat(tools=(Tool("web", "server"),)),
    "grammar of custom tool T": chat(tools=(Tool("patch", "custom", grammar={"type": "x"}),)),
    "temperature over 1": chat(settings=Settings(temperature=2)),
    "top_p beside temperature": chat(settings=Settings(temperature=0, top_p=0.5)),
    "stop words of blanks alone": chat(settings=Settings(stop=(" ",))),
    "seed": chat(settings=Settings(seed=1)),
    "reasoning effort T as T": chat(settings=Settings(effort="minimal")),
    "an unknown reasoning effort": chat(settings=Settings(effort="wild")),
    "choice of tool T": chat(tools=(EDIT,), settings=Settings(tool_choice="tool:gone")),
    "form json_object, asked for in words": chat(shape="json_object"),
    "reasoning beside a forced tool call": chat(
        tools=(EDIT,), settings=Settings(tool_choice="required", effort="low")
    ),
    "temperature beside reasoning": chat(settings=Settings(temperature=0, effort="low")),
    "top_p beside reasoning": chat(settings=Settings(top_p=0.5, effort="low")),
    "bound of reasoning tokens inside a tool loop": chat(
        HI, Message("assistant", (), (ToolCall("a", "f", "{}"),)), Message("tool", (), (), "a"),
        settings=Settings(thinking_tokens=2000),
    ),
    "bound of reasoning tokens, which is not below that of the answer": chat(
        max_output_tokens=10, settings=Settings(thinking_tokens=2000)
    ),
    "schema of the answer, made one that the API takes": chat(
        settings=Settings(form=Form("n", {"type": "integer", "minimum": 1}))
    ),
    "strictness of tool T": chat(
        tools=(Tool("f", schema={"type": "integer", "minimum": 1}, strict=True),)
    ),
    "verbosity of the text": replace(chat(HI), dialect="responses", body={"text": {"verbosity": "low"}}),
    "name of N messages": chat(body={"messages": [{"role": "user", "name": "bob"}]}),
    "field T": chat(body={"logprobs": True}),
}  # fmt: skip


def test_the_page_lists_every_loss_and_the_code_says_each_in_those_words():
    listed = {next(iter(quoted(row[0]))) for row in table("losses")}
    assert listed == set(LOSSES)
    for words_, prompt in LOSSES.items():
        (said,) = rendered(prompt)[1]
        form = re.sub(r"\bN\b", r"\\d+", re.escape(words_)).replace("messages", "messages?")
        form = re.sub(r"\bT\b", r"\\S+", form)
        assert re.fullmatch(form, said), (words_, said)


def test_a_history_with_calls_brings_their_tools_where_the_request_offers_none():
    calls = tuple(ToolCall(i, name, "{}") for i, name in (("a", "f"), ("b", "g"), ("c", "f")))
    results = [Message("tool", (Part("text", "ok"),), tool_call_id=c.id) for c in calls]
    body, _ = rendered(chat(HI, Message("assistant", (), calls), *results))
    assert [t["name"] for t in body["tools"]] == ["f", "g"]
    assert all(t["input_schema"]["type"] == "object" for t in body["tools"])
    assert body["tool_choice"] == {"type": "none"}
    assert "tools" not in rendered(chat(HI))[0]


def test_a_conversation_ends_with_the_user():
    said = Message("assistant", (Part("text", "so far "),))
    body, _ = rendered(chat(HI, said))
    assert [m["role"] for m in body["messages"]] == ["user", "assistant", "user"]
    more = replace(chat(HI, said), added=(Message("user", (Part("text", "check it"),)),))
    body, _ = rendered(more)
    assert body["messages"][-1]["content"][0]["text"] == "check it"
    assert len(body["messages"]) == 3
