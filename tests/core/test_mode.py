"""The mode: the table by risk and complexity, what forces a mode, and the words that go with it."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core import mode
from openfusion_auto.core.mode import choose, nominal_usd, single_reason
from openfusion_auto.core.prompt import Options
from openfusion_auto.core.types import KINDS, LEVELS, Needs, Policy
from tests.core import strategies
from tests.support.pools import CODER, FAST, FOUR, candidate, price, task

ALL = list(FOUR.candidates)
TABLE = {
    ("high", "high"): "panel",
    ("high", "medium"): "verify",
    ("high", "low"): "verify",
    ("medium", "high"): "verify",
}


@pytest.mark.parametrize(("risk", "complexity"), list(product(LEVELS, LEVELS)))
@pytest.mark.parametrize("cheap", [0.05, 1.0, 5.0])
def test_the_mode_of_a_user_turn_by_risk_and_complexity(risk, complexity, cheap):
    models = [candidate(f"m{i}", price=price(cheap, 4 * cheap)) for i in range(3)]
    got = choose(task(risk=risk, complexity=complexity), Policy(), models)
    assert got.mode == TABLE.get((risk, complexity), "single")


@given(strategies.tasks, st.sampled_from(("tool", "aux", "chat")))
def test_tool_turns_own_calls_and_chat_are_single(drawn, why):
    changes = {"kind": "chat", "turn": "user"} if why == "chat" else {"turn": why}
    asked = task(risk=drawn.risk, complexity=drawn.complexity, needs=drawn.needs, **changes)
    for policy in (Policy(), Policy(mode="panel")):
        got = choose(asked, policy, ALL)
        assert got.mode == "single"
        assert len(got.reasons) == 1
        assert got.reasons[0].startswith("single: ")


@given(strategies.tasks, st.integers(0, 300_000))
def test_the_size_of_a_prompt_never_changes_the_mode(asked, size):
    bigger = replace(asked, needs=Needs(input_tokens=size))
    smaller = replace(asked, needs=Needs(input_tokens=0))
    assert choose(bigger, Policy(), ALL) == choose(smaller, Policy(), ALL)


@pytest.mark.parametrize("mode", ["single", "verify", "panel"])
def test_the_request_goes_before_everything(mode):
    asked = task(turn="tool", options=Options(mode=mode))
    got = choose(asked, Policy(mode="single"), ALL)
    assert got == type(got)(mode, (f"{mode}: the request asks for it",))


@pytest.mark.parametrize("mode", ["single", "verify", "panel"])
def test_the_configuration_goes_before_the_value(mode):
    assert choose(task(risk="low", complexity="low"), Policy(mode=mode), ALL).mode == mode


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"turn": "aux"}, "call the client makes for itself"),
        ({"kind": "aux"}, "call the client makes for itself"),
        ({"turn": "tool"}, "tool loop"),
        ({"kind": "chat"}, "nothing to check"),
        ({"only": ("coder-a",)}, "bound to its model"),
        ({"role": "fast"}, "names the role fast"),
    ],
)
def test_why_only_one_model_makes_sense(changes, says):
    assert says in str(single_reason(task(**changes), 4))


def test_one_candidate_or_none_is_single_and_said_as_it_is():
    assert single_reason(task(), 1) == "only one candidate can serve"
    assert single_reason(task(), 0) == "no candidate can serve"
    assert single_reason(task(), 2) is None


@given(st.sampled_from(KINDS), st.sampled_from(LEVELS), st.sampled_from(LEVELS))
def test_a_choice_by_value_says_a_sentence_for_each_mode(kind, risk, complexity):
    asked = task(kind=kind, risk=risk, complexity=complexity)
    if single_reason(asked, 4):
        return
    got = choose(asked, Policy(), ALL)
    heads = [r.split(":")[0] for r in got.reasons]
    assert heads[0] == got.mode
    assert {h.removeprefix("not ") for h in heads} == {"single", "verify", "panel"}


def test_very_dear_calls_make_a_check_not_worth_it():
    dear = [candidate(f"m{i}", price=price(200.0, 900.0)) for i in range(3)]
    assert choose(task(risk="medium", complexity="high"), Policy(), dear).mode == "single"


def test_the_nominal_price_leaves_unknown_prices_out():
    priced = nominal_usd([FAST, CODER])
    assert priced == pytest.approx((8e-4 + 4e-4 + 4e-3 + 2e-3) / 2)
    assert nominal_usd([FAST, CODER, candidate("a", price=None)]) == priced
    assert nominal_usd([candidate("a", price=None)]) == 0.0


# -- the page that explains it ----------------------------------------------------------------------------------------

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "modes.md"


def rows() -> dict[str, list[str]]:
    """The cells of each table row of the page by its first cell."""
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    cells = [[c.strip() for c in line.strip("|").split(" | ")] for line in lines]
    return {c[0]: c[1:] for c in cells}


@pytest.mark.parametrize("name", ["LOSS_USD [USD]", "P_WRONG", "PANEL_ADDS"])
def test_the_page_quotes_the_tables_of_the_code(name):
    table = getattr(mode, name.split()[0])
    shown = rows()[f"`{name.split()[0]}`" + name.removeprefix(name.split()[0])]
    assert [float(x) for x in shown[:3]] == [table[level] for level in LEVELS]


@pytest.mark.parametrize("name", ["VERIFY_MENDS", "VERIFY_S", "PANEL_S", "WAIT_USD_PER_S"])
def test_the_page_quotes_the_figures_of_the_code(name):
    shown = next(cells for key, cells in rows().items() if key.startswith(f"`{name}`"))
    assert float(shown[0]) == round(getattr(mode, name), 4)


def test_the_page_names_the_nominal_request():
    nominal = mode.NOMINAL
    assert f"({nominal.input:,} tokens in, {nominal.output:,}\nout)" in PAGE.read_text("utf-8")


@pytest.mark.parametrize("risk", LEVELS)
def test_the_page_shows_the_modes_that_are_chosen(risk):
    ordinary = [candidate(f"m{i}", price=price(2.0, 10.0)) for i in range(3)]
    got = [choose(task(risk=risk, complexity=c), Policy(), ordinary).mode for c in LEVELS]
    assert rows()[risk] == got
