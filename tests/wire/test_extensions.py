"""OpenRouter's fields: what `provider` demands, and that an upstream gets what it takes and nothing else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Hosts
from openfusion_auto.wire.codec import CODECS
from openfusion_auto.wire.extensions import (
    FIELDS,
    models_beside,
    provider_of,
    with_extensions,
    without_extensions,
)
from openfusion_auto.wire.rendered import Rendered
from tests.server.dialects import DIALECTS, prompt_of

ALL = ("models", "provider", "plugins", "session_id")
EXTRA = {
    "provider": {"sort": "price", "only": ["Relay"], "order": [], "allow_fallbacks": True},
    "plugins": [{"id": "web"}],
    "models": ["x/y"],
    "route": "fallback",
    "session_id": "s-1",
}


@pytest.mark.parametrize(
    ("value", "hosts"),
    [
        (None, None),
        ({}, None),
        ({"order": ["a"], "sort": "price", "allow_fallbacks": False, "require_parameters": True}, None),
        ({"data_collection": "allow", "zdr": False, "quantizations": [], "only": None}, None),
        ({"only": ["Relay"], "ignore": ["x"]}, Hosts(only=("relay",), ignore=("x",))),
        ({"max_price": {"prompt": 1, "completion": "2.5"}}, Hosts(max_input=1.0, max_output=2.5)),
        ({"max_price": {"prompt": 1, "image": 3}}, Hosts(max_input=1.0, unmet=("max_price.image",))),
        ({"max_price": {"prompt": "free"}}, Hosts(unmet=("max_price.prompt",))),
        ({"max_price": 3}, Hosts(unmet=("max_price",))),
        ({"data_collection": "deny"}, Hosts(unmet=("data_collection",))),
        ({"zdr": True, "quantizations": ["fp8"]}, Hosts(unmet=("zdr", "quantizations"))),
        ({"only": "relay"}, Hosts(unmet=("only",))),
        ("relay", Hosts(unmet=("(not an object)",))),
    ],
)  # fmt: skip
def test_a_demand_is_held_or_known_as_one_that_cannot_be(value, hosts):
    assert provider_of(value) == hosts


@given(st.recursive(st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=4),
                    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(
                        st.sampled_from(["only", "ignore", "max_price", "prompt", "zdr", "x"]), inner, max_size=3)))  # fmt: skip
def test_whatever_stands_there_is_read(value):
    found = provider_of(value)
    assert found is None or found != Hosts()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_who_takes_the_fields_gets_the_bytes_as_they_came(dialect):
    prompt = prompt_of(dialect, **EXTRA)
    assert without_extensions(prompt, ALL) == (prompt, ())


@pytest.mark.parametrize("dialect", DIALECTS)
def test_who_does_not_take_one_does_not_get_it_and_the_rest_keeps_its_bytes(dialect):
    prompt = prompt_of(dialect, **EXTRA, zz=[1, 2])
    kept, lost = without_extensions(prompt, ("session_id",))
    body = json.loads(CODECS[dialect].splice_request(kept, "m"))
    assert body.keys() & FIELDS.keys() == {"session_id"}
    assert body["zz"] == [1, 2]
    assert lost == ("field provider.sort", "field plugins", "field models", "field route")
    assert kept.body == json.loads(kept.raw)
    again, lost = without_extensions(prompt.extend(), ())
    assert not again.body.keys() & FIELDS.keys()
    assert "session_id" not in str(lost)


def test_only_what_was_wished_and_is_not_so_is_told():
    told = {"allow_fallbacks": False, "only": ["a"], "zdr": True, "sort": None, "order": ["a"]}
    _, lost = without_extensions(prompt_of("chat", provider=told), ())
    assert lost == ("field provider.allow_fallbacks", "field provider.order")
    assert without_extensions(prompt_of("chat", provider={}, plugins=[]), ())[1] == ()


def test_a_request_written_for_another_dialect_takes_along_what_the_upstream_takes():
    prompt = prompt_of("messages", **EXTRA)
    sent = Rendered(b'{"model":"m"}', ("field provider", "field plugins", "else"))
    got = with_extensions(sent, prompt, ("provider", "session_id"))
    assert json.loads(got.body) == {
        "model": "m", "provider": EXTRA["provider"], "session_id": "s-1",
    }  # fmt: skip
    assert got.lost == ("field plugins", "else")
    assert with_extensions(sent, prompt, ()) is sent


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"models": ["a", 3, "b"], "plugins": 3, "tools": {}}, ("a", "b")),
        ({"plugins": [{"id": "fusion", "model": "j"}]}, ("j", "openrouter/fusion")),
        ({"plugins": [{"id": "fusion", "analysis_models": ["a"], "model": "j"}]}, ("j", "a")),
        ({"plugins": [{"id": "fusion", "enabled": False}, {"id": "web"}, None]}, ()),
        ({"plugins": [{"id": "auto-router"}]}, ("openrouter/auto",)),
        ({"tools": [{"type": "openrouter:x", "parameters": {"model": "m"}}, {"type": "function"}]}, ("m",)),
        ({"tools": [{"type": "openrouter:web_search"}, 3]}, ()),
        ({"fallbacks": ["a", {"model": "b", "messages": [{}]}, 3, None]}, ("a", "b")),
        ({"fallbacks": "a", "context_window_fallbacks": [{"a": ["b", "c"]}], "content_policy_fallbacks": [["d"]]},
         ("b", "c", "d")),
    ],
)  # fmt: skip
def test_models_that_are_handed_on_are_known_by_name(body, names):
    assert models_beside(body) == names
