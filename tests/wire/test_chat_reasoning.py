"""Reasoning put into the history of a chat request: where it is known, and where nobody knows it."""

from __future__ import annotations

import json

from openfusion_auto.wire.chat_reasoning import NOTHING, UNSIGNED, with_reasoning, with_signatures
from openfusion_auto.wire.rendered import Rendered


def filled(*messages):
    raw = json.dumps({"model": "m", "x": 1, "messages": list(messages), "y": [2]}).encode()
    return raw, with_reasoning(Rendered(raw, ("a loss",)))


def test_each_message_of_the_assistants_has_reasoning_its_own_where_there_is_some():
    asked = {"role": "user", "content": "go"}
    own = {"role": "assistant", "content": "a", "reasoning_content": "hm"}
    other = {"role": "assistant", "content": None, "reasoning": "ha", "tool_calls": []}
    bare = {"role": "assistant", "content": "b", "reasoning_content": ""}
    _, sent = filled(asked, own, other, bare, {"role": "assistant", "content": "c"})
    said = json.loads(sent.body)
    assert said["messages"][:2] == [asked, own]
    assert [m["reasoning_content"] for m in said["messages"][2:]] == ["ha", NOTHING, NOTHING]
    assert said["messages"][2]["reasoning"] == "ha"
    assert (said["x"], said["y"], sent.lost) == (1, [2], ("a loss",))


def test_a_history_that_lacks_nothing_stays_as_it_came():
    raw, sent = filled(
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": "a", "reasoning_content": "hm"},
    )
    assert sent.body == raw
    odd, sent = filled("no message")
    assert sent.body == odd
    body = b'{"model": "m", "messages": "none"}'
    assert with_reasoning(Rendered(body)).body == body


def test_the_first_call_of_each_message_gets_a_signature_where_none_has_one():
    own = {"id": "a", "extra_content": {"google": {"thought_signature": "s"}}}
    messages = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "tool_calls": [own, {"id": "b"}]},
        {"role": "assistant", "tool_calls": [{"id": "c", "extra_content": {"x": 1}}, {"id": "d"}]},
        {"role": "assistant", "content": "hi", "tool_calls": []},
        {"role": "tool", "tool_call_id": "c", "content": "ok"},
    ]
    body = json.dumps({"model": "m", "messages": messages}).encode()
    said = json.loads(with_signatures(Rendered(body)).body)["messages"]
    signed = {"id": "c", "extra_content": {"x": 1, "google": {"thought_signature": UNSIGNED}}}
    assert said[2]["tool_calls"] == [signed, {"id": "d"}]
    assert [*said[:2], *said[3:]] == [*messages[:2], *messages[3:]]
    again = with_signatures(with_signatures(Rendered(body)))
    assert json.loads(again.body)["messages"] == said
