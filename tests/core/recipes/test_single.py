"""One model answers: its reply is the outcome, as it came."""

from __future__ import annotations

import pytest

from openfusion_auto.core.recipes import Outcome, recipe
from openfusion_auto.core.recipes.single import single
from openfusion_auto.errors import UpstreamBroken
from tests.core.playbook import broke, came, expect, play
from tests.core.recipes.decisions import decision
from tests.support.pools import said
from tests.support.prompts import user


def test_the_primary_is_asked_with_the_clients_own_prompt_and_streamed_on():
    prompt, answer = user("hello", stream=True), said("hi")

    def same(asked):
        assert asked is prompt

    got = play(
        single(prompt, decision("single")),
        (expect("primary", "a", "b", final=True, prompt=same), came("b", answer)),
    )
    assert got == Outcome("primary", "b", answer)
    assert got.answer is answer


def test_an_error_is_the_outcome():
    error = UpstreamBroken("cut")
    got = play(single(user("x"), decision("single")), (expect("primary"), broke("a", error)))
    assert (got.answer, got.error, got.candidate) == (None, error, "a")


@pytest.mark.parametrize(
    ("mode", "first"), [("single", "primary"), ("verify", "primary"), ("panel", None)]
)
def test_each_mode_has_its_recipe(mode, first):
    step = next(recipe(user("x"), decision(mode)))
    if first is None:
        assert [a.phase for a in step.asks] == ["member"] * 3
    else:
        assert step.phase == first
        assert step.final is (mode == "single")
