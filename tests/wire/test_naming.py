"""What `model` and `models` name: lists, orders and strategy objects, the same in every dialect."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Each, Options
from openfusion_auto.errors import BadRequest, FusionError, ModelNotFound
from openfusion_auto.wire.codec import CODECS
from openfusion_auto.wire.naming import NAMES_LIMIT, names_in, read_named
from openfusion_auto.wire.splice import read_top_level
from tests.server.dialects import DIALECTS, request_for
from tests.wire.chats import outcome


def named(**body):
    raw = json.dumps(body).encode()
    return read_named(read_top_level(raw), raw)


def asked(**body):
    found = named(**body)
    return found.model, found.options


def refused(**body):
    with pytest.raises(BadRequest) as found:
        named(**body)
    return found.value.param, found.value.code


def test_a_name_alone_changes_nothing():
    found = named(model="a", n=1)
    assert (found.model, found.options) == ("a", Options())
    assert found.raw == b'{"model": "a", "n": 1}'


@pytest.mark.parametrize("model", ["a,b", "a, b ,c"])
def test_a_list_with_commas_stays_as_written(model):
    assert asked(model=model) == (model, Options())
    assert names_in(model)[:2] == ("a", "b")


def test_in_a_list_each_name_may_be_as_long_as_one():
    long = ",".join(f"vendor/{i}-{'x' * 240}" for i in range(NAMES_LIMIT))
    assert asked(model=long)[0] == long
    for wrong in (long + ",y", "x" * 257, "a," + "x" * 257, "a,," + "x" * 256):
        with pytest.raises(ModelNotFound):
            named(model=wrong)


@pytest.mark.parametrize(
    "body",
    [
        {"model": ["a", "b"]}, {"model": "a", "models": ["b"]}, {"model": "a", "models": ["a", "b"]},
        {"models": ["a", "b"]}, {"model": None, "models": ["a", "b", "a"]},
        {"model": "a", "models": ["b"], "route": "fallback"}, {"model": ["a", "b"], "openfusion": {"mode": "single"}},
    ],
)  # fmt: skip
def test_an_array_is_an_order(body):
    model, options = asked(**body)
    assert (model, options.strategy) == ("a,b", "fallback")


def test_an_array_of_one_is_that_model():
    assert asked(model=["a"]) == asked(model="a", models=["a"]) == ("a", Options())
    assert asked(model="a", models=[]) == ("a", Options())


@pytest.mark.parametrize(
    "own",
    [
        {"mode": "panel"},
        {"mode": "verify"},
        {"strategy": "cascade"},
        {"strategy": "cost_optimized"},
    ],
)
def test_what_the_request_says_itself_goes_before_the_order_of_its_array(own):
    assert asked(model=["a", "b"], openfusion=own) == ("a,b", Options(**own))


def test_the_order_is_kept_here_so_the_upstream_is_not_told_again():
    found = named(model="a", models=["b"], route="fallback", provider={"sort": "price"})
    assert (
        json.loads(found.raw) == dict(found.body) == {"model": "a", "provider": {"sort": "price"}}
    )


@pytest.mark.parametrize("model", ["openfusion/auto", "openfusion/coder"])
def test_beside_a_virtual_model_the_field_is_the_upstreams(model):
    found = named(model=model, models=["x/y"], route="fallback")
    assert (found.model, found.options) == (model, Options())
    assert found.body["models"] == ["x/y"]
    assert b"route" in found.raw


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("best_of", Options(aggregator="ranked")),
        ("cost_optimized", Options(strategy="cost_optimized")),
        ("latency_optimized", Options(strategy="latency_optimized")),
        ("performance_based", Options(strategy="performance_based")),
        ("round_robin", Options(strategy="round_robin")),
    ],
)
def test_a_strategy_object_is_its_names_and_the_option_that_says_the_same(kind, options):
    assert asked(model={"strategy": kind, "models": ["a", {"id": "b"}]}) == ("a,b", options)


# The article's own example: "Advanced Orchestration Strategies".
ARTICLE = {
    "strategy": "best_of",
    "models": [
        {"id": "openai/gpt-4-turbo", "weight": 0.6, "max_cost_per_1k_tokens": 0.03},
        {"id": "anthropic/claude-3-opus", "weight": 0.4, "max_cost_per_1k_tokens": 0.10},
        {"id": "mistralai/mixtral-8x7b-instruct-v01", "max_cost_per_1k_tokens": 0.01},
    ],
}


def test_what_a_strategy_object_says_of_each_model_is_kept_by_its_name():
    model, options = asked(model=ARTICLE)
    ids = [m["id"] for m in ARTICLE["models"]]
    assert model == ",".join(ids)
    assert options.each == (
        Each(ids[0], 0.6, 0.03), Each(ids[1], 0.4, 0.10), Each(ids[2], None, 0.01),
    )  # fmt: skip
    twice = [{"id": "a", "weight": 2}, "b", {"id": "a", "min_performance_score": 0.5}]
    _, options = asked(model={"strategy": "round_robin", "models": twice})
    assert options.each == (Each("a", 2.0),)


def test_who_chooses_the_best_may_be_said_beside_it():
    got = asked(
        model={"strategy": "best_of", "models": ["a", "b"]}, openfusion={"aggregator": "vote"}
    )
    assert got == ("a,b", Options(aggregator="vote"))


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"model": []}, "model", "invalid_value"),
        ({"model": ["a", 1]}, "model[1]", "invalid_type"),
        ({"model": ["a", ""]}, "model[1]", "invalid_value"),
        ({"model": ["a,b"]}, "model[0]", "invalid_value"),
        ({"model": ["a"] * (NAMES_LIMIT + 1)}, "model", "invalid_value"),
        ({"model": ["openfusion/auto"]}, "model", "invalid_value"),
        ({"model": "a", "models": ["openfusion/coder"]}, "models", "invalid_value"),
        ({"models": []}, "models", "invalid_value"),
        ({"model": "a", "models": "b"}, "models", "invalid_type"),
        ({"model": "a", "models": [{"id": "b"}]}, "models[0]", "invalid_type"),
        ({"model": "a", "models": ["b"] * NAMES_LIMIT}, "models", "invalid_value"),
        ({"model": "a,b", "models": ["c"]}, "models", "conflicting_options"),
        ({"model": ["a"], "models": ["c"]}, "models", "conflicting_options"),
        ({"model": {"strategy": "best_of", "models": ["a"]}, "models": []}, "models", "conflicting_options"),
        ({"model": "a", "models": ["b"], "route": "sort"}, "route", "invalid_value"),
        ({"model": "a", "models": ["b"], "route": 1}, "route", "invalid_type"),
        ({"model": 5}, "model", "invalid_type"),
        ({}, "model", "missing_required_parameter"),
        ({"model": {}}, "model.strategy", "invalid_type"),
        ({"model": {"strategy": "best", "models": ["a"]}}, "model.strategy", "invalid_value"),
        ({"model": {"strategy": "best_of"}}, "model.models", "invalid_type"),
        ({"model": {"strategy": "best_of", "models": []}}, "model.models", "invalid_value"),
        ({"model": {"strategy": "best_of", "models": [1]}}, "model.models[0]", "invalid_type"),
        ({"model": {"strategy": "best_of", "models": [{}]}}, "model.models[0].id", "invalid_type"),
        ({"model": {"strategy": "best_of", "models": [{"id": "a", "x": 1}]}}, "model.models[0]", "unknown_option"),
        ({"model": {"strategy": "best_of", "models": ["a"], "x": 1}}, "model", "unknown_option"),
        ({"model": {"strategy": "round_robin", "models": [{"id": "a", "weight": -1}]}}, "model.models[0].weight", "invalid_value"),
        ({"model": {"strategy": "round_robin", "models": [{"id": "a", "weight": 0}]}}, "model.models", "invalid_value"),
        ({"model": {"strategy": "best_of", "models": [{"id": "a", "weight": True}]}}, "model.models[0].weight", "invalid_type"),
        ({"model": {"strategy": "best_of", "models": ["b", {"id": "a", "min_performance_score": 1.1}]}},
         "model.models[1].min_performance_score", "invalid_value"),
        ({"model": {"strategy": "best_of", "models": [{"id": "a", "max_cost_per_1k_tokens": "0.1"}]}},
         "model.models[0].max_cost_per_1k_tokens", "invalid_type"),
        ({"model": {"strategy": "best_of", "models": ["a"]}, "openfusion": {"mode": "single"}},
         "model.strategy", "conflicting_options"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_its_name(body, param, code):
    assert refused(**body) == (param, code)


NAME = st.sampled_from(["a", "b", "vendor/c", "openfusion/auto", ""])
LISTS = st.lists(NAME | st.integers(), max_size=10)
ANY = NAME | LISTS | st.none() | st.builds(lambda m: {"strategy": "best_of", "models": m}, LISTS)


@given(ANY, ANY)
def test_whatever_stands_there_is_named_or_refused_and_no_name_is_lost(model, models):
    found = outcome(lambda body: named(**body), {"model": model, "models": models}, of=FusionError)
    if isinstance(found, FusionError):
        assert found.status in (400, 404)
        assert found.param
        return
    listed = model["models"] if isinstance(model, dict) else model
    own = [listed] if isinstance(listed, str) else list(listed or [])
    behind = list(models or []) if "models" not in found.body else []
    assert list(names_in(found.model)) == list(dict.fromkeys(own + behind))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_reads_it_and_sends_one_model_on(dialect):
    body = {**request_for(dialect), "model": "a", "models": ["b"], "route": "fallback"}
    codec = CODECS[dialect]
    prompt = codec.parse_request(json.dumps(body).encode(), {})
    assert (prompt.model, prompt.options.strategy) == ("a,b", "fallback")
    sent = json.loads(codec.splice_request(prompt, "vendor/a"))
    assert sent["model"] == "vendor/a"
    assert sent.keys().isdisjoint({"models", "route"})
    whole = codec.parse_request(
        json.dumps({**request_for(dialect), "model": ["a", "b"]}).encode(), {}
    )
    sent = json.loads(codec.splice_request(whole, "vendor/a"))
    assert (whole.model, sent["model"]) == ("a,b", "vendor/a")


FUSION = {"id": "fusion", "analysis_models": ["a", "b"], "model": "c"}


@pytest.mark.parametrize("model", ["openfusion/auto", "openfusion/fusion"])
def test_the_plugin_fusion_is_heard_here_and_the_others_go_on(model):
    found = named(
        model=model, plugins=[{"id": "web"}, FUSION], openfusion={"judge": "d", "mode": None}
    )
    assert found.options == Options(mode="panel", panel=("a", "b"), judge="d")
    assert found.body["plugins"] == json.loads(found.raw)["plugins"] == [{"id": "web"}]
    assert "plugins" not in named(model=model, plugins=[FUSION]).body


@pytest.mark.parametrize(
    ("model", "plugins"),
    [("a", [FUSION]), ("openfusion/auto", [{"id": "web"}]), ("openfusion/auto", [{**FUSION, "enabled": False}])],
)  # fmt: skip
def test_a_plugin_that_is_not_for_here_stays(model, plugins):
    found = named(model=model, plugins=plugins)
    assert found.options == Options()
    assert found.body["plugins"] == plugins
