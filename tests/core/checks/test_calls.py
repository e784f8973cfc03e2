"""The free checks: what they find, what they leave alone, and that nothing in a schema or an answer breaks them."""

from __future__ import annotations

import json
import socket
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.checks import (
    canonical_calls,
    findings,
    is_json,
    schema_findings,
    strict_json,
)
from openfusion_auto.core.prompt import Answer, Form, Prompt, Settings, Tool, ToolCall
from tests.support.pools import call, said
from tests.support.prompts import user

SCHEMA = {
    "type": "object",
    "properties": {"cmd": {"type": "string"}, "n": {"type": "integer", "minimum": 0}},
    "required": ["cmd"],
    "additionalProperties": False,
}


def prompt(shape="text", *tools: Tool) -> Prompt:
    return replace(user("do it"), shape=shape, tools=tools or (Tool("run", schema=SCHEMA),))


def calling(*calls: ToolCall, finish="tool_calls") -> Answer:
    return Answer(tool_calls=calls, finish=finish)


# -- text -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "  \n\t"])
def test_an_empty_answer_is_found(text):
    assert findings(prompt(), said(text)) == ("the answer is empty",)


def test_a_plain_answer_has_nothing_wrong():
    assert findings(prompt(), said("Done.")) == ()


def test_an_answer_cut_at_the_limit_is_found_also_with_calls():
    cut = "the answer was cut at the output limit"
    assert findings(prompt(), Answer("half a sen", finish="length")) == (cut,)
    assert findings(prompt(), calling(call(), finish="length")) == (cut,)


@pytest.mark.parametrize("shape", ["json_object", "json_schema"])
def test_an_answer_asked_for_as_json_must_be_json(shape):
    assert findings(prompt(shape), said('{"a": 1}')) == ()
    wrong = ("the answer was asked for as JSON and is not JSON",)
    for text in ("Sure! {}", '{"a": NaN}', '```json\n{"a": 1}\n```', "[" * 100_000):
        assert findings(prompt(shape), said(text)) == wrong
    assert findings(prompt(shape), calling(call())) == ()


@pytest.mark.parametrize("text", ["NaN", "Infinity", "[-Infinity]", "", "{", "1 2"])
def test_what_json_does_not_have_is_no_json(text):
    assert not is_json(text)
    with pytest.raises(ValueError):
        strict_json(text)


# -- tool calls -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"cmd": "ls"}', []),
        ('{"cmd": "ls", "n": 3}', []),
        ("{}", ["the arguments of run break its schema at the top (required)"]),
        ("", ["the arguments of run break its schema at the top (required)"]),
        ('{"cmd": 5}', ["the arguments of run break its schema at cmd (type)"]),
        ('{"cmd": "ls", "n": -1}', ["the arguments of run break its schema at n (minimum)"]),
        (
            '{"cmd": "ls", "x": 1}',
            ["the arguments of run break its schema at the top (additionalProperties)"],
        ),
        ('["ls"]', ["the arguments of run break its schema at the top (type)"]),
        ('{"cmd": "ls"', ["the arguments of run are not JSON"]),
        ('{"cmd": "ls", "n": NaN}', ["the arguments of run are not JSON"]),
        ('{"cmd":' * 50_000, ["the arguments of run are not JSON"]),
    ],
)
def test_arguments_are_checked_against_the_schema(arguments, expected):
    assert list(findings(prompt(), calling(call(arguments=arguments)))) == expected


def test_a_tool_that_was_not_offered_is_found():
    assert findings(prompt(), calling(call("rm"))) == ("the tool 'rm' was not offered",)


def test_every_call_is_checked():
    answer = calling(call("rm"), call(arguments="{}"), call())
    assert len(findings(prompt(), answer)) == 2


def test_a_tool_without_a_schema_takes_any_json():
    bare = prompt("text", Tool("run"))
    assert findings(bare, calling(call(arguments='{"x": [1]}'))) == ()
    assert findings(bare, calling(call(arguments="x"))) == ("the arguments of run are not JSON",)


def test_custom_tools_take_any_text():
    custom = prompt("text", Tool("patch", "custom"))
    assert findings(custom, calling(ToolCall("1", "patch", "*** Begin {", "custom"))) == ()
    assert findings(custom, calling(ToolCall("1", "patch", "*** Begin {"))) == ()


def test_text_beside_a_call_is_not_checked_for_its_form():
    assert findings(prompt("json_object"), Answer("I will look.", tool_calls=(call(),))) == ()


# -- schemas that are odd or hostile ----------------------------------------------------------------------------------


def test_a_ref_to_an_address_is_never_fetched(monkeypatch):
    tried = []

    def refuse(*args, **_kwargs):
        tried.append(args)
        raise OSError("no network in a check")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    for ref in (
        "http://127.0.0.1:9/s.json",
        "https://example.com/s.json",
        "file:///etc/passwd",
        "s.json",
    ):
        assert schema_findings("run", {"$ref": ref}, {"cmd": 1}) == []
        assert (
            schema_findings("run", {"$id": ref, "properties": {"a": {"$ref": "#/x"}}}, {"a": 1})
            == []
        )
    assert tried == []


def test_refs_inside_the_schema_are_followed():
    schema = {"$defs": {"s": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/s"}}}
    assert schema_findings("run", schema, {"a": "x"}) == []
    assert schema_findings("run", schema, {"a": 1}) == [
        "the arguments of run break its schema at a (type)"
    ]


@pytest.mark.parametrize(
    ("schema", "arguments"),
    [
        ({"type": "strung"}, {}),
        ({"$ref": "#"}, {}),
        ({"$ref": "http://["}, {}),
        ({"$ref": 5}, {}),
        ({"pattern": "("}, "x"),
        ({"patternProperties": {"(": {}}}, {"a": 1}),
        ({"pattern": r"^\p{L}+$"}, "x"),
        ({"multipleOf": 0.5}, 10**400),
        ({"$dynamicRef": "#nowhere"}, {}),
        ({"properties": []}, {}),
    ],
)
def test_a_schema_that_is_itself_wrong_finds_nothing(schema, arguments):
    assert schema_findings("run", schema, arguments) == []


def test_a_deep_schema_and_deep_arguments_break_nothing():
    deep_schema: dict = {}
    deep_value: object = 1
    for _ in range(3_000):
        deep_schema = {"items": deep_schema}
        deep_value = [deep_value]
    assert schema_findings("run", deep_schema, 1) == []
    assert schema_findings("run", {"items": {"$ref": "#"}}, deep_value) == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
WORDS = (
    "type",
    "$ref",
    "$id",
    "items",
    "properties",
    "pattern",
    "enum",
    "required",
    "minimum",
    "not",
    "format",
    "$schema",
)


@given(st.dictionaries(st.sampled_from(WORDS), json_values, max_size=4), json_values)
def test_no_schema_and_no_arguments_raise(schema, arguments):
    found = schema_findings("run", schema, arguments)
    assert len(found) <= 1
    assert all(f.startswith("the arguments of run break its schema at") for f in found)


@given(st.text(), st.text(), st.sampled_from(["text", "json_object"]))
def test_no_answer_raises(text, arguments, shape):
    for answer in (said(text), calling(call(arguments=arguments)), calling(call(name=text))):
        assert isinstance(findings(prompt(shape), answer), tuple)


# -- canonical calls --------------------------------------------------------------------------------------------------

objects = st.dictionaries(
    st.text(max_size=4), st.integers() | st.text(max_size=4), min_size=1, max_size=5
)


@given(objects, st.randoms(use_true_random=False), st.text(max_size=8))
def test_the_order_of_keys_spaces_and_ids_do_not_count(arguments, random, other_id):
    items = list(arguments.items())
    random.shuffle(items)
    one = calling(call("run", json.dumps(arguments), "c1"))
    two = calling(call("run", json.dumps(dict(items), indent=2), other_id))
    assert canonical_calls(one) == canonical_calls(two)


@given(objects, objects)
def test_different_arguments_are_different_calls(one, two):
    same = canonical_calls(calling(call("run", json.dumps(one)))) == canonical_calls(
        calling(call("run", json.dumps(two)))
    )
    assert same == (one == two)


def test_names_and_the_order_of_calls_count():
    a, b = call("a"), call("b")
    assert canonical_calls(calling(a, b)) != canonical_calls(calling(b, a))
    assert canonical_calls(calling(a)) != canonical_calls(calling(b))


def test_no_calls_have_no_form_and_no_arguments_are_an_empty_object():
    assert canonical_calls(said("x")) is None
    assert canonical_calls(calling(call("a", ""))) == canonical_calls(calling(call("a", "{}")))


def test_arguments_that_are_not_json_and_custom_input_count_as_they_are():
    assert canonical_calls(calling(call("a", "{x"))) == '[["a", "{x"]]'
    one = ToolCall("1", "patch", '{"a":1,"b":2}', "custom")
    two = ToolCall("1", "patch", '{"b":2,"a":1}', "custom")
    assert canonical_calls(calling(one)) != canonical_calls(calling(two))


# -- patches given to a tool ------------------------------------------------------------------------------------------

PATCH = "*** Begin Patch\n*** Delete File: a\n*** End Patch"


@pytest.mark.parametrize("kind", ["function", "custom"])
def test_the_input_of_apply_patch_is_checked_whichever_way_it_is_given(kind):
    tools = prompt("text", Tool("apply_patch", kind))

    def given_(text: str) -> Answer:
        arguments = text if kind == "custom" else json.dumps({"input": text})
        return calling(ToolCall("1", "apply_patch", arguments, kind))

    assert findings(tools, given_(PATCH)) == ()
    assert findings(tools, given_(PATCH.replace("Delete", "Remove"))) == (
        "a line of the patch stands before any file (line 1 and below)",
    )


def test_an_answer_must_fit_the_schema_it_was_asked_for():
    asked = replace(prompt("json_schema"), settings=Settings(form=Form("a", SCHEMA)))
    assert findings(asked, said('{"cmd": "ls"}')) == ()
    assert findings(asked, said('{"cmd": 5}')) == (
        "the answer breaks the schema it was asked for at cmd (type)",
    )
    assert findings(replace(asked, shape="json_object"), said('{"cmd": 5}')) == ()
