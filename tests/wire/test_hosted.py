"""Tools that upstreams bill apart: which they are, what bounds them, what came of them, and a request without them."""

from __future__ import annotations

import json

import pytest

from openfusion_auto.core.prompt import Searched
from openfusion_auto.wire.codec import CODECS
from openfusion_auto.wire.hosted import (
    asks_apart,
    hosted_tools,
    ran_in_message,
    ran_in_responses,
    searched_at,
    without_hosted,
)
from tests.server.dialects import request_for

SPOKEN = {"c": "chat", "m": "messages", "r": "responses"}
OFFERS = {"c": ("plugins", "web_search"), "m": ("plugins",)}
PRICES = {"m": 0.01, "r": 0.02}
FETCH = {"type": "web_fetch_20250910", "name": "web_fetch"}
RUN = {
    "chat": {"type": "function", "function": {"name": "run"}},
    "responses": {"type": "function", "name": "run"},
    "messages": {"name": "run", "input_schema": {"type": "object"}},
}


def search(**more):
    return {"type": "web_search_20250305", "name": "web_search", **more}


def prompt_of(dialect, **more):
    return CODECS[dialect].parse_request(json.dumps(request_for(dialect, "hi", **more)).encode())


@pytest.mark.parametrize(
    ("dialect", "body", "found"),
    [
        ("chat", {}, []),
        ("chat", {"tools": [RUN["chat"]]}, []),
        ("chat", {"tools": [{"type": "openrouter:web_search"}]}, [("c", None, None)]),
        ("chat", {"web_search_options": {}}, [("c", None, None)]),
        ("chat", {"plugins": [{"id": "web"}]}, [("c", None, None), ("m", None, None)]),
        ("chat", {"plugins": [{"id": "web", "enabled": False}]}, []),
        ("responses", {"tools": [{"type": "web_search"}]}, [("r", 0.02, None)]),
        ("responses", {"tools": [{"type": "web_search_preview"}], "max_tool_calls": 3}, [("r", 0.02, 3)]),
        ("responses", {"tools": [{"type": "web_search"}, {"type": "image_generation"}], "max_tool_calls": 3},
         [("r", None, None)]),
        ("responses", {"tools": [{"type": "local_shell"}, {"type": "tool_search"}]}, []),
        ("messages", {"tools": [search(max_uses=8)]}, [("m", 0.01, 8)]),
        ("messages", {"tools": [search()]}, [("m", 0.01, None)]),
        ("messages", {"tools": [search(max_uses=2), FETCH]}, [("m", 0.01, 2)]),
        ("messages", {"tools": [FETCH]}, [("m", 0.01, 0)]),
        ("messages", {"tools": [{"type": "advisor_20260301", "name": "advisor", "model": "m"}]}, [("m", None, None)]),
        ("messages", {"tools": [{"type": "bash_20250124", "name": "bash"}]}, []),
    ],
)  # fmt: skip
def test_who_would_bill_a_request_apart_and_what_bounds_it(dialect, body, found):
    prompt = prompt_of(dialect, **body)
    assert searched_at(prompt, SPOKEN, OFFERS, PRICES) == tuple(Searched(*f) for f in found)
    if not found and not body.get("tools") and not body.get("plugins"):
        assert not asks_apart(prompt)
    if found:
        assert asks_apart(prompt)


def test_a_search_costs_what_is_known_of_it_and_none_costs_nothing():
    known, unknown = Searched("m", 0.01, 8), Searched("m", None, 8)
    assert (known.cost(3), known.cost(None), unknown.cost(3), unknown.cost(0)) == (0.03, None, None, 0.0)  # fmt: skip


@pytest.mark.parametrize(("dialect", "own"), [("messages", search()), ("responses", {"type": "web_search"})])  # fmt: skip
def test_a_request_without_them_keeps_the_rest_as_it_came(dialect, own):
    prompt = prompt_of(dialect, tools=[own, RUN[dialect]])
    fewer = without_hosted(prompt)
    assert [t.name for t in hosted_tools(prompt)] == ["web_search"]
    assert [t.name for t in fewer.tools] == ["run"]
    assert json.loads(fewer.raw) == {**json.loads(prompt.raw), "tools": [RUN[dialect]]}
    assert dict(fewer.body) == json.loads(fewer.raw)


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        ("messages", {"tools": [search()]}),  # it is about nothing else
        ("messages", {"tools": [RUN["messages"]]}),
        ("messages", {"tools": [search(), RUN["messages"]], "tool_choice": {"type": "tool", "name": "web_search"}}),
        ("responses", {"tools": [{"type": "web_search"}, RUN["responses"]], "tool_choice": {"type": "web_search"}}),
        ("responses", {"tools": [{"type": "web_search"}, RUN["responses"]],
                       "tool_choice": {"type": "allowed_tools", "tools": [{"type": "web_search"}]}}),
    ],
)  # fmt: skip
def test_a_request_that_is_about_them_is_left_as_it_is(dialect, body):
    assert without_hosted(prompt_of(dialect, **body)) is None


def test_what_ran_is_counted_where_it_can_be_told():
    assert ran_in_responses(["message", "web_search_call", "web_search_call"]) == 2
    assert ran_in_responses(["reasoning", "function_call"]) == 0
    assert ran_in_responses(["web_search_call", "code_interpreter_call"]) is None
    assert ran_in_message(["web_search", "web_fetch"], None) == 1
    assert ran_in_message([], {"server_tool_use": {"web_search_requests": 3}}) == 3
    assert ran_in_message(["web_search"], {"server_tool_use": {"web_search_requests": True}}) == 1
    assert ran_in_message(["code_execution"], {}) is None
    assert ran_in_message([], {}) == 0
