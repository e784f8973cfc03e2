from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Form, Settings
from openfusion_auto.wire.chat_request import parse_request
from openfusion_auto.wire.chat_settings import read_settings, render_settings

from .chats import raw

TOOLS = [{"type": "function", "function": {"name": n}} for n in ("f", "g")]
NAMES = frozenset({"f", "g"})


@pytest.mark.parametrize(
    ("fields", "want"),
    [
        ({}, Settings()),
        ({"temperature": 1, "top_p": 0.5, "seed": 3}, Settings(1.0, 0.5, seed=3)),
        ({"stop": "a"}, Settings(stop=("a",))),
        ({"stop": ["a", "b"]}, Settings(stop=("a", "b"))),
        ({"stop": [], "seed": None, "temperature": None}, Settings()),
        ({"reasoning_effort": "low"}, Settings(effort="low")),
        ({"reasoning": {"effort": "xhigh", "max_tokens": 99}}, Settings(effort="xhigh", thinking_tokens=99)),
        ({"reasoning_effort": "low", "reasoning": {"effort": "high"}}, Settings(effort="low")),
        ({"reasoning": {"enabled": False}}, Settings(effort="none")),
        ({"reasoning": "yes", "reasoning_effort": 5}, Settings()),
        ({"thinking": {"type": "disabled"}}, Settings(effort="none")),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, Settings(thinking_tokens=2000)),
        ({"tools": TOOLS, "tool_choice": "required"}, Settings(tool_choice="required")),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "g"}}}, Settings(tool_choice="tool:g")),
        ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": []}}}, Settings(tool_choice="required")),
        ({"tool_choice": {"type": "allowed_tools"}}, Settings()),
        ({"tool_choice": {"type": "web_search"}}, Settings()),
        ({"parallel_tool_calls": False}, Settings(parallel=False)),
        ({"response_format": {"type": "text"}}, Settings()),
        ({"response_format": {"type": "json_object"}}, Settings(form=Form())),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"a": 1}, "strict": True, "description": "d"}}},
            Settings(form=Form("n", {"a": 1}, strict=True, description="d")),
        ),
    ],
)  # fmt: skip
def test_fields_become_the_hubs_words(fields, want):
    assert parse_request(raw(**fields)).settings == want


def test_settings_are_shared_where_none_are_given():
    assert read_settings({"model": "m"}) is read_settings({})


WORDS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=5)
SETTINGS = st.builds(
    Settings,
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    stop=st.lists(WORDS, max_size=3).map(tuple),
    seed=st.none() | st.integers(-9, 9),
    effort=st.none() | st.sampled_from(["none", "minimal", "low", "medium", "high"]),
    tool_choice=st.none() | st.sampled_from(["auto", "none", "required", "tool:f"]),
    parallel=st.none() | st.booleans(),
    form=st.none()
    | st.builds(
        Form,
        WORDS,
        st.fixed_dictionaries({"type": WORDS}),
        st.none() | st.booleans(),
        st.just("") | WORDS,
    ),
)


@given(SETTINGS)
def test_what_chat_can_say_comes_back_as_it_was(settings):
    lost: list[str] = []
    fields = render_settings(settings, NAMES, lost)
    assert parse_request(raw(**json.loads(json.dumps(fields)), tools=TOOLS)).settings == settings
    assert lost == []


def test_any_json_has_no_schema():
    assert render_settings(Settings(form=Form()), NAMES, []) == {
        "response_format": {"type": "json_object"}
    }


@pytest.mark.parametrize(
    ("settings", "effort", "lost"),
    [
        (Settings(effort="max"), "high", "reasoning effort max as high"),
        (Settings(effort="xhigh"), "high", "reasoning effort xhigh as high"),
        (Settings(effort="ultra"), None, "an unknown reasoning effort"),
        (Settings(thinking_tokens=1024), "low", "bound of reasoning tokens as effort low"),
        (Settings(thinking_tokens=8000), "medium", "bound of reasoning tokens as effort medium"),
        (Settings(thinking_tokens=32_000), "high", "bound of reasoning tokens as effort high"),
    ],
)
def test_reasoning_that_chat_says_otherwise_is_told(settings, effort, lost):
    told: list[str] = []
    assert render_settings(settings, NAMES, told).get("reasoning_effort") == effort
    assert told == [lost]


def test_nothing_is_said_about_tools_where_there_are_none():
    lost: list[str] = []
    assert render_settings(Settings(tool_choice="auto", parallel=True), frozenset(), lost) == {}
    assert lost == []


def test_the_choice_of_a_tool_that_is_not_there_is_dropped_and_told():
    lost: list[str] = []
    assert render_settings(Settings(tool_choice="tool:web_search"), NAMES, lost) == {}
    assert lost == ["choice of tool web_search"]
