"""Whom a name means, and that a wrong one costs nothing."""

from __future__ import annotations

import pytest

from openfusion_auto.core.types import Price
from openfusion_auto.errors import ConfigError
from openfusion_auto.evals.contenders import contender, contenders
from tests.support.pools import FOUR, candidate, pool


@pytest.mark.parametrize(
    ("name", "model", "options"),
    [
        ("auto", "openfusion/auto", {}),
        ("panel", "openfusion/auto", {"mode": "panel"}),
        ("panel:coder-a, vendor/fast-a", "openfusion/auto", {"mode": "panel", "panel": ["coder-a", "fast-a"]}),
        ("strongest", "verifier-a", {}),
        ("cheapest", "fast-a", {}),
        ("coder", "openfusion/coder", {}),
        ("reasoner-a", "reasoner-a", {}),
        ("vendor/reasoner-a", "reasoner-a", {}),
    ],
)  # fmt: skip
def test_a_name_is_a_model_and_options(name, model, options):
    found = contender(name, FOUR, {})
    assert (found.name, found.model, dict(found.options)) == (name, model, options)


def test_auto_is_always_there_and_each_name_once():
    names = [c.name for c in contenders(("panel", "auto", "panel"), FOUR, {})]
    assert names == ["auto", "panel"]


@pytest.mark.parametrize("name", ["reasoner-b", "panel:coder-a,nobody", "openfusion/fusion"])
def test_an_unknown_name_is_refused_with_what_there_is(name):
    with pytest.raises(ConfigError, match=r"nobody is called .*(did you mean|there are)"):
        contender(name, FOUR, {})


def test_who_cannot_be_called_is_neither_strongest_nor_cheapest():
    two = pool(candidate("here", price=None), candidate("there", upstream="far"))
    assert contender("strongest", two, {"far": "no key"}).model == "here"
    with pytest.raises(ConfigError, match="no candidate can be the cheapest"):
        contender("cheapest", two, {"far": "no key"})


def test_who_makes_embeddings_is_neither_strongest_nor_cheapest():
    embedder = candidate("a", roles=("embedding",), price=Price(0.01, 0.0))
    two = pool(embedder, candidate("b", price=Price(1.0, 4.0)))
    assert contender("cheapest", two, {}).model == "b"
    assert contender("strongest", two, {}).model == "b"
