"""Web tools: who asks for them, and how they stand in a chat request."""

from __future__ import annotations

import json

import pytest

from openfusion_auto.wire.chat_answer import read_answer, read_bill
from openfusion_auto.wire.chat_reader import ChatReader
from openfusion_auto.wire.codec import CODECS
from openfusion_auto.wire.refused import BETA
from openfusion_auto.wire.rendered import Rendered
from openfusion_auto.wire.web import FETCH_BETA, has_web, web_headers, web_tools_of, with_web
from tests.server.dialects import DIALECTS, Says, prompt_of, stream, whole

SEARCH = {"type": "openrouter:web_search", "parameters": {"max_results": 3}}
RUN = {"type": "function", "function": {"name": "run"}}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_option_asks_in_every_dialect(dialect):
    assert web_tools_of(prompt_of(dialect)) == ()
    asked = {"tools": {"web_search": True, "web_fetch": True}}
    assert web_tools_of(prompt_of(dialect, openfusion=asked)) == ("web_search", "web_fetch")


def test_a_tool_that_stands_there_asks_and_other_tools_of_servers_do_not():
    for tools, asked in (([RUN, SEARCH], ("web_search",)), ([{"type": "web_search"}], ())):
        body = {
            "model": "a",
            "messages": [{"role": "user", "content": "hi"}],
            "tools": tools,
        }
        assert web_tools_of(CODECS["chat"].parse_request(json.dumps(body).encode())) == asked


def test_they_stand_behind_the_clients_own_and_each_once():
    sent = with_web(Rendered(json.dumps({"tools": [RUN, SEARCH], "n": 1}).encode()), ("web_search", "web_fetch"), "chat")  # fmt: skip
    assert json.loads(sent.body) == {
        "tools": [RUN, SEARCH, {"type": "openrouter:web_fetch"}], "n": 1,
    }  # fmt: skip
    bare = with_web(Rendered(b'{"n":1}', ("server tool openrouter:web_search", "x")), ("web_search",), "chat")  # fmt: skip
    assert json.loads(bare.body)["tools"] == [{"type": "openrouter:web_search"}]
    assert bare.lost == ("x",)
    assert with_web(bare, ("web_search",), "chat") is bare


@pytest.mark.parametrize(
    ("usage", "usd"),
    [({"cost": 0.25}, 0.25), ({"cost": 0}, 0.0), ({"cost": -1}, None), ({"cost": True}, None), ({"cost": "1"}, None),
     ({"cost": float("inf")}, None), ({}, None), (None, None),
     ({"cost": 0.25, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.25}}, 0.25),
     ({"cost": 0.25, "is_byok": True, "cost_details": {"upstream_inference_cost": 5}}, 5.25),
     ({"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": None}}, None),
     ({"cost": 0.95, "cost_details": {"upstream_inference_cost": 19}}, 19.95),  # as its guide shows it
     ({"cost": 0.95, "cost_details": {"upstream_inference_cost": None}}, 0.95),
     ({"cost": 0, "is_byok": True}, None)],
)  # fmt: skip
def test_a_bill_is_an_amount_or_none(usage, usd):
    assert read_bill(usage) == usd


def test_the_bill_of_an_answer_is_read_whole_and_streamed():
    says = Says("hello", cost=0.0125)
    assert read_answer(whole("chat", says, "m")).billed_usd == 0.0125
    reader = ChatReader(keep=False)
    reader.feed(stream("chat", says, "m"))
    reader.close()
    assert reader.answer().billed_usd == 0.0125


def test_each_dialect_has_its_own_tools_and_a_clients_own_stays():
    both = ("web_search", "web_fetch")
    assert [has_web(d, both) for d in DIALECTS] == [True, False, True]
    assert [has_web(d, ("web_search",)) for d in DIALECTS] == [True, True, True]
    own = {"type": "web_search_20260209", "name": "web_search", "max_uses": 1}
    sent = with_web(Rendered(json.dumps({"tools": [own]}).encode()), both, "messages")
    assert json.loads(sent.body)["tools"] == [
        own, {"type": "web_fetch_20250910", "name": "web_fetch", "max_uses": 5},
    ]  # fmt: skip
    sent = with_web(Rendered(b'{"max_tool_calls":9}'), ("web_search",), "responses")
    assert json.loads(sent.body) == {"max_tool_calls": 9, "tools": [{"type": "web_search"}]}


def test_fetching_turns_its_beta_on_beside_the_clients_own():
    web = ("web_fetch",)
    assert web_headers({}, web, "messages") == {BETA: FETCH_BETA}
    assert web_headers({"Anthropic-Beta": "x-1"}, web, "messages") == {BETA: f"x-1,{FETCH_BETA}"}
    for headers, tools, dialect in (({"a": "b"}, web, "chat"), ({"a": "b"}, ("web_search",), "messages")):  # fmt: skip
        assert web_headers(headers, tools, dialect) is headers
