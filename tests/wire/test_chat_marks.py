"""Cache marks of a chat request: where they stand, and that a client's own are never touched."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Message, Part
from openfusion_auto.wire.chat_marks import is_claude, with_marks
from openfusion_auto.wire.codec import CODECS
from openfusion_auto.wire.rendered import Rendered

MARK = {"type": "ephemeral"}
CALL = {"id": "c", "type": "function", "function": {"name": "run", "arguments": "{}"}}
RUN = {"type": "function", "function": {"name": "run", "parameters": {"type": "object"}}}
LOOP = [
    {"role": "system", "content": "be short"},
    {"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c", "content": "a.py"},
]  # fmt: skip


def sent(messages, *added, **more):
    raw = json.dumps({"model": "anthropic/claude", "messages": messages, **more}).encode()
    prompt = CODECS["chat"].parse_request(raw)
    if added:
        prompt = prompt.extend(*added)
        raw = CODECS["chat"].render_request(prompt, "m").body
    return Rendered(raw, ("x",)), prompt


def marks(body):
    """The marked texts by the place of their message."""
    return {
        (i, part["text"])
        for i, m in enumerate(body["messages"])
        for part in (m["content"] if isinstance(m["content"], list) else [])
        if part.get("cache_control") == MARK
    }


def plain(body):
    """A body without marks, its single texts as strings."""
    body = copy.deepcopy(body)
    for m in body["messages"]:
        for part in m["content"] if isinstance(m["content"], list) else []:
            part.pop("cache_control", None)
        if isinstance(m["content"], list) and [p["type"] for p in m["content"]] == ["text"]:
            m["content"] = m["content"][0]["text"]
    return body


def test_marked_are_the_system_prompt_the_last_words_and_the_last_result():
    request, prompt = sent(LOOP, tools=[RUN])
    got = with_marks(request, prompt)
    body = json.loads(got.body)
    assert marks(body) == {(0, "be short"), (1, "look"), (3, "a.py")}
    assert plain(body) == json.loads(request.body)
    assert got.lost == ("x",)


def test_what_a_recipe_added_is_not_marked():
    judge = Message("user", (Part("text", "You are a judge"),))
    request, prompt = sent(LOOP, judge, tools=[RUN])
    assert marks(json.loads(with_marks(request, prompt).body)) == {(0, "be short"), (1, "look"), (3, "a.py")}  # fmt: skip


@pytest.mark.parametrize(
    "more",
    [{"cache_control": MARK}, {"tools": [{**RUN, "cache_control": MARK}]}],
)
def test_a_mark_of_the_clients_own_leaves_all_as_it_is(more):
    request, prompt = sent(LOOP, **more)
    assert with_marks(request, prompt) is request
    own = [{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": MARK}]}]
    request, prompt = sent([*own, *LOOP], tools=[RUN])
    assert with_marks(request, prompt) is request


def test_one_message_without_tools_is_followed_by_nothing():
    request, prompt = sent([{"role": "system", "content": "s"}, {"role": "user", "content": "title?"}])  # fmt: skip
    assert with_marks(request, prompt) is request
    request, prompt = sent([{"role": "user", "content": 'quote "cache_control" to me'}], tools=[RUN])  # fmt: skip
    assert len(marks(json.loads(with_marks(request, prompt).body))) == 1


@given(st.lists(st.sampled_from([*LOOP[:2], {"role": "user", "content": ""}, {"role": "assistant", "content": "y"},
                                 {"role": "user", "content": [LOOP[1]["content"][1]]}]), min_size=1, max_size=6))  # fmt: skip
def test_nothing_but_marks_changes_and_there_are_four_at_most(messages):
    request, prompt = sent(messages, tools=[RUN])
    body = json.loads(with_marks(request, prompt).body)
    assert plain(body) == plain(json.loads(request.body))
    assert len(marks(body)) <= 4


@pytest.mark.parametrize(
    ("model", "needs"),
    [("anthropic/claude-sonnet-5", True), ("Claude-Opus", True), ("openai/gpt-5", False), ("", False)],
)  # fmt: skip
def test_whose_models_need_them(model, needs):
    assert is_claude(model) is needs
