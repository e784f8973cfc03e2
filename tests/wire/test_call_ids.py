"""Ids of calls that Anthropic's API takes, in the hub and in each dialect's body."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.wire import messages, responses
from openfusion_auto.wire.call_ids import (
    NINE,
    UP_TO,
    fit_id,
    refused_ids,
    take_ids,
    with_fit_ids,
)
from openfusion_auto.wire.chat_request import parse_request

KIMI = "functions.edit:0"
FIT = fit_id(KIMI)


@given(st.text(max_size=200), st.text(max_size=200))
def test_an_id_is_fit_the_same_each_time_and_another_for_another(one, two):
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", fit_id(one)) or fit_id(one) == one
    assert fit_id(fit_id(one)) == fit_id(one)
    assert (fit_id(one) == fit_id(two)) == (one == two) or fit_id(one) in (one, two)


def test_ids_that_differ_in_other_characters_alone_stay_apart():
    assert fit_id("functions.edit:0") != fit_id("functions_edit_0") != fit_id("functions/edit/0")


def chat(call_id):
    call = {"id": call_id, "type": "function", "function": {"name": "edit", "arguments": call_id}}
    said = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call_id, "content": [{"type": "text", "text": call_id}]},
    ]
    return parse_request, {"messages": said}


def items(call_id):
    said = [
        {"role": "user", "content": "go"},
        {"type": "function_call", "call_id": call_id, "name": "edit", "arguments": call_id},
        {"type": "function_call_output", "call_id": call_id, "output": call_id},
    ]
    return responses.parse_request, {"input": said}


def blocks(call_id):
    result = {"type": "tool_result", "tool_use_id": call_id, "content": call_id}
    said = [
        {"role": "user", "content": "go"},
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": call_id, "name": "edit", "input": {"a": call_id}}
            ],
        },
        {"role": "user", "content": [result]},
    ]
    return messages.parse_request, {"messages": said, "max_tokens": 9}


@pytest.mark.parametrize("make", [chat, items, blocks])
def test_call_and_result_are_renamed_alike_and_nothing_else(make):
    parse, body = make(KIMI)
    raw = json.dumps({"model": "m", **body, "x": KIMI}).encode()
    found = with_fit_ids(parse(raw))
    calls = [c.id for m in found.messages for c in m.tool_calls]
    results = [m.tool_call_id for m in found.messages if m.role == "tool"]
    assert calls == results == [FIT]
    sent = json.dumps(found.body)
    assert sent.count(FIT) == 2
    assert (
        sent.count(KIMI) == raw.decode().count(KIMI) - 2
    )  # arguments, results and fields are no ids
    assert found.raw == b""


@pytest.mark.parametrize("make", [chat, items, blocks])
def test_a_prompt_with_fit_ids_stays_as_it_came(make):
    parse, body = make("toolu_01-A")
    prompt = parse(json.dumps({"model": "m", **body}).encode())
    assert with_fit_ids(prompt) is prompt


@pytest.mark.parametrize(
    ("said", "want"),
    [
        ("Tool call id was a_b but must be a-z, A-Z, 0-9, with a length of 9.", NINE),
        (
            "Invalid 'messages[2].tool_calls[0].id': string too long. Expected a string with maximum length 40, but got",
            UP_TO + "40",
        ),
        (
            "Invalid 'input[5].call_id': string too long. Expected a string with maximum length 64, but got",
            UP_TO + "64",
        ),
        ("Invalid 'user': string too long. Expected a string with maximum length 64", None),
        ("Invalid 'tool_call_id': string too long. Expected a string with maximum length 4", None),
        ("", None),
    ],
)  # fmt: skip
def test_the_form_of_ids_that_is_wanted_is_known(said, want):
    assert refused_ids(said) == want


def test_ids_of_a_body_get_the_form_and_those_that_have_it_stay():
    long, fit = "functions.edit:" + "1" * 60, "abcDEF123"
    calls = [{"type": "function_call", "call_id": i, "id": "fc_1"} for i in (long, fit)]
    body = {"input": [*calls, {"type": "function_call_output", "call_id": long, "output": fit}]}
    edits: dict[str, object] = {}
    take_ids(body, {UP_TO + "64", UP_TO + "40"}, edits)
    first, second, result = edits["input"]
    assert len(first["call_id"]) == 40
    assert first["call_id"] == result["call_id"]
    assert (first["id"], second, result["output"]) == ("fc_1", calls[1], fit)
    nine: dict[str, object] = {}
    take_ids(body, {NINE}, nine)
    assert re.fullmatch("[a-z0-9]{9}", nine["input"][0]["call_id"])
    assert nine["input"][1] == calls[1]
    for wants in (set(), {"temperature"}, {UP_TO + "99"}):
        none: dict[str, object] = {}
        take_ids(body, wants, none)
        assert none == {}
