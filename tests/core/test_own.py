"""Models of the operator's own: what a request that names one asks for, and what it may not change."""

from __future__ import annotations

import pytest

from openfusion_auto.core.own import OwnModel, host_of, outsider
from openfusion_auto.core.prompt import FanOut, Options
from tests.support.pools import FOUR

FAN = FanOut("team/careful", True, 3, "verifier-a", "coder-a")
OWN = OwnModel(
    "team/careful",
    "two and a judge",
    Options(
        mode="panel",
        panel=("coder-a", "vendor/fast-a"),
        candidates=("coder-a", "vendor/fast-a", "verifier-a"),
        judge="verifier-a",
        aggregator="judge",
        max_usd=0.5,
        max_calls=8,
        fan=FAN,
    ),
)


def test_a_request_that_says_nothing_asks_for_what_the_name_says():
    assert OWN.asking(Options()) == OWN.options


@pytest.mark.parametrize(
    ("asked", "got"),
    [
        ({"aggregator": "vote"}, {"aggregator": "vote"}),
        ({"cost_quality": 0.0}, {"cost_quality": 0.0}),
        ({"trace": "full", "session": "s"}, {"trace": "full", "session": "s"}),
        ({"max_usd": 0.1, "max_calls": 20}, {"max_usd": 0.1, "max_calls": 8}),
        ({"max_usd": 2.0, "max_calls": 3}, {"max_usd": 0.5, "max_calls": 3}),
    ],
)
def test_what_it_says_itself_goes_before_and_limits_are_the_tighter(asked, got):
    made = OWN.asking(Options(**asked))
    assert {k: getattr(made, k) for k in got} == got
    assert (made.mode, made.panel, made.fan) == ("panel", OWN.options.panel, FAN)


@pytest.mark.parametrize("asked", [{"mode": "single"}, {"strategy": "cascade"}])
def test_who_gives_a_mode_or_a_strategy_has_chosen_and_the_reasons_do_not_name_the_model(asked):
    made = OWN.asking(Options(**asked))
    assert (made.mode, made.strategy) == (
        asked.get("mode", "auto"),
        asked.get("strategy", "panel"),
    )
    assert made.fan is not None
    assert not made.fan.asks


@pytest.mark.parametrize(
    ("asked", "taken"),
    [
        ({}, None),
        ({"judge": "verifier-a"}, None),
        ({"judge": "reasoner-a"}, "judge"),
        ({"panel": ("coder-a",)}, "panel"),
        ({"candidates": ("coder-a",)}, "candidates"),
    ],
)
def test_nobody_else_is_put_in_the_place_of_its_models(asked, taken):
    assert OWN.taken(Options(**asked)) == taken
    assert OwnModel("all", "", Options(mode="panel")).taken(Options(**asked)) is None


def test_its_players_are_those_it_names_by_id_or_model_and_those_outside():
    far = outsider("far/model", "open")
    both = OwnModel("x", "", OWN.options, (far,))
    assert [c.id for c in both.players(FOUR)] == ["coder-a", "fast-a", "verifier-a", "far/model"]
    assert OwnModel("y", "", Options()).players(FOUR) == FOUR.candidates
    assert (far.price, far.model) == (None, "far/model")


def test_a_model_outside_the_pool_goes_to_the_first_upstream_that_takes_any():
    assert host_of({"b": ("any_model",), "a": ("models",), "c": ("any_model",)}) == "b"
    assert host_of({"a": ()}) is None
