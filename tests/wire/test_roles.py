"""Roles that a model refuses: which they are, and the same messages in roles that it takes."""

from __future__ import annotations

import pytest

from openfusion_auto.wire.roles import (
    DEVELOPER,
    LATE_SYSTEM,
    ROLES,
    SYSTEM,
    TWICE,
    refused_role,
    take_roles,
)


@pytest.mark.parametrize(
    ("said", "role"),
    [
        (
            "messages[0].role: unknown variant `developer`, expected one of `system`, `user`, `assistant`, `tool`",
            DEVELOPER,
        ),
        ("invalid role 'developer', must be one of: system, user, assistant, tool", DEVELOPER),
        (
            "developer is not one of ['system', 'assistant', 'user', 'tool'] - 'messages.['0].role'",
            DEVELOPER,
        ),
        (
            "Invalid enum value. Expected 'system' | 'user' | 'assistant' | 'tool', received 'developer'",
            DEVELOPER,
        ),
        ("invalid value: `developer`, supported values are: `system`, `user`", DEVELOPER),
        (
            "Input tag 'developer' found using 'role' does not match any of the expected tags: 'system', 'user'",
            DEVELOPER,
        ),
        ("'messages[0].role' does not support 'developer' with this model.", DEVELOPER),
        ("Unexpected message role.", DEVELOPER),
        ("Only user, assistant and system roles are supported!", DEVELOPER),
        ("'messages.0' : discriminator property 'role' has invalid value", DEVELOPER),
        ("messages.0.role: Input should be 'system', 'user', 'assistant' or 'tool'", DEVELOPER),
        ("messages[1].role: unknown variant `system`, expected `user` or `assistant`", SYSTEM),
        ('messages: Unexpected role "system". The Messages API accepts a top-level', SYSTEM),
        ("messages.1.role: Input should be 'user' or 'assistant'", SYSTEM),
        ("System role not supported", SYSTEM),
        ("Error: Jinja Exception: System message must be at the beginning.", LATE_SYSTEM),
        (
            "After the optional system message, conversation roles must alternate user and assistant roles",
            TWICE,
        ),
        # The role that is refused is one that no agent sends, or none is.
        (
            "Invalid value: 'robot'. Supported values are: 'system', 'user' and 'developer'.",
            None,
        ),
        ("The developer of this model is not one of ours.", None),
        ("", None),
    ],
)
def test_the_role_that_is_refused_is_known(said, role):
    assert refused_role(said) == role


def changed(body, *refused):
    edits: dict[str, object] = {}
    lost = take_roles(body, refused, edits)
    return edits, lost


TALK = [
    {"role": "developer", "content": "be brief"},
    {"role": "system", "content": [{"type": "text", "text": "and kind"}]},
    {"role": "user", "content": "a"},
    {"role": "developer", "content": "no jokes"},
    {"role": "user", "content": "b"},
]


def test_a_developer_is_a_system_in_its_place():
    edits, lost = changed({"messages": TALK}, DEVELOPER)
    roles = [m["role"] for m in edits["messages"]]
    assert roles == ["system", "system", "user", "system", "user"]
    assert [m["content"] for m in edits["messages"]] == [m["content"] for m in TALK]
    assert lost == ()


def test_items_of_responses_have_roles_too_and_others_stay():
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    said = [{"type": "message", "role": "developer", "content": "d"}, call]
    edits, _ = changed({"input": said}, DEVELOPER)
    assert edits == {"input": [{**said[0], "role": "system"}, call]}


def test_one_system_message_stands_first_and_later_ones_are_the_users():
    edits, lost = changed({"messages": TALK}, DEVELOPER, LATE_SYSTEM)
    first, *rest = edits["messages"]
    texts = [{"type": "text", "text": text} for text in ("be brief", "and kind")]
    assert first == {"role": "system", "content": texts}
    assert [(m["role"], m["content"]) for m in rest] == [
        ("user", "a"),
        ("user", "no jokes"),
        ("user", "b"),
    ]
    assert lost == ("instructions as user text of 1 message",)


def test_beside_instructions_no_item_is_the_first_system_message():
    body = {"instructions": "i", "input": [{"role": "developer", "content": "d"}]}
    edits, lost = changed(body, LATE_SYSTEM)
    assert edits == {"input": [{"role": "user", "content": "d"}]}
    assert lost == ("instructions as user text of 1 message",)


def test_without_a_system_role_its_words_join_the_users():
    edits, lost = changed({"messages": TALK[1:]}, SYSTEM)
    (one,) = edits["messages"]
    assert one["role"] == "user"
    assert [part["text"] for part in one["content"]] == ["and kind", "a", "no jokes", "b"]
    assert lost == ("instructions as user text of 2 messages",)


def test_results_of_tools_stay_before_what_joins_them():
    result = {"type": "tool_result", "tool_use_id": "t", "content": "r"}
    call = {"role": "assistant", "content": [{"type": "tool_use", "id": "t"}]}
    said = [call, {"role": "system", "content": "note"}, {"role": "user", "content": [result]}]
    edits, _ = changed({"messages": said}, SYSTEM)
    assert edits["messages"] == [
        call,
        {"role": "user", "content": [result, {"type": "text", "text": "note"}]},
    ]


def test_neighbours_of_one_role_are_one_where_roles_must_alternate():
    said = [
        {"role": "user", "content": "a"},
        {"role": "user", "content": "b"},
        {"role": "assistant", "content": "c"},
        {"role": "user", "content": ""},
        {"role": "user", "content": [{"type": "text", "text": "d"}]},
    ]
    edits, lost = changed({"messages": said}, TWICE)
    assert edits["messages"] == [
        {"role": "user", "content": "a\n\nb"},
        said[2],
        {"role": "user", "content": [{"type": "text", "text": "d"}]},
    ]
    assert lost == ()


@pytest.mark.parametrize("want", sorted(ROLES))
def test_a_history_that_has_nothing_of_it_stays(want):
    said = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert changed({"messages": said}, want) == ({}, ())
    assert changed({"messages": "junk"}, want) == ({}, ())
    assert changed({"input": "text"}, want) == ({}, ())
    assert changed({"messages": TALK}, "temperature") == ({}, ())
