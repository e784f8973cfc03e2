from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Form, Message, Part, Prompt, Settings, Tool, ToolCall
from openfusion_auto.core.tokens import BYTES_PER_TOKEN, IMAGE_TOKENS
from openfusion_auto.wire.count_tokens import (
    MESSAGE_TOKENS,
    TOOLS_TOKENS,
    count_tokens,
    render_count,
)
from openfusion_auto.wire.messages_request import parse_count_request

from .claude import TOOL, raw

HI = Message("user", (Part("text", "x" * 360),))
BASE = Prompt("messages", "m", (HI,))


def more(**fields: object) -> int:
    """How many tokens a change of the prompt adds."""
    return count_tokens(replace(BASE, **fields)) - count_tokens(BASE)


def said(*parts: Part, **fields: object) -> int:
    return more(messages=(HI, Message("assistant", parts, **fields)))


def test_text_counts_by_its_bytes():
    assert count_tokens(BASE) == 360 / BYTES_PER_TOKEN + MESSAGE_TOKENS
    assert count_tokens(Prompt("chat", "m", ())) == 0


@pytest.mark.parametrize(
    "part",
    [Part("text", "y" * 36), Part("refusal", "y" * 36), Part("reasoning", "y" * 36, opaque="z" * 99),
     Part("reasoning", opaque="y" * 36), Part("other", size=36), Part("file", "y" * 36, size=10**6)],
)  # fmt: skip
def test_each_part_counts_once(part):
    assert said(part) == MESSAGE_TOKENS + 10


@pytest.mark.parametrize(
    ("part", "pictures"),
    [(Part("image", url="data:" + "x" * 10**6), 1), (Part("audio"), 1), (Part("file"), 1), (Part("file", size=10**6), 16)],
)  # fmt: skip
def test_pictures_and_files_count_by_their_number(part, pictures):
    assert said(part) == MESSAGE_TOKENS + pictures * IMAGE_TOKENS


def test_calls_and_their_results_count():
    call = ToolCall("t" * 6, "n" * 10, "a" * 20)
    assert said(tool_calls=(call,)) == MESSAGE_TOKENS + 10
    assert said(tool_call_id="t" * 36) == MESSAGE_TOKENS + 10


def test_tools_count_whole_and_cost_something_beside_themselves():
    schema = {"type": "object"}
    tool = Tool("n" * 10, schema=schema, description="d" * 8)
    assert more(tools=(tool,)) == TOOLS_TOKENS + 10
    assert more(tools=(tool, replace(tool, description="d" * 44))) - more(tools=(tool,)) >= 20
    assert more(tools=(Tool("a", "server", raw={"x": "y" * 30}),)) == TOOLS_TOKENS + 11
    assert more(tools=(Tool("a", "server"),)) == TOOLS_TOKENS + 1
    assert more(tools=(Tool("n" * 10, "custom", grammar={"g": "y" * 18}),)) == TOOLS_TOKENS + 10


def test_a_form_and_a_recipes_messages_count():
    assert more(settings=Settings(form=Form(schema={"k": "y" * 28}))) == 10
    assert more(added=(HI,)) == 100 + MESSAGE_TOKENS


def test_a_request_is_counted_and_answered():
    prompt = parse_count_request(raw(max_tokens=..., tools=[TOOL]))
    assert json.loads(render_count(count_tokens(prompt))) == {"input_tokens": count_tokens(prompt)}
    assert count_tokens(prompt) > TOOLS_TOKENS


@given(st.lists(st.text(max_size=20), max_size=5), st.text(max_size=20))
def test_more_words_are_never_fewer_tokens(texts, last):
    messages = tuple(Message("user", (Part("text", t),)) for t in texts)
    less = count_tokens(replace(BASE, messages=messages))
    assert (
        count_tokens(replace(BASE, messages=(*messages, Message("user", (Part("text", last),)))))
        > less
    )
