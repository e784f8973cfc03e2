"""The mode: the table by risk and complexity, what forces a mode, and the words that go with it."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core import cascade, cost, mode
from openfusion_auto.core.decide import decide
from openfusion_auto.core.mode import (
    WRONG,
    chance_of,
    choose,
    measured_gains,
    nominal_usd,
    single_reason,
)
from openfusion_auto.core.prompt import Options
from openfusion_auto.core.score import SKILL
from openfusion_auto.core.types import KINDS, LEVELS, Check, Needs, Policy, State
from tests.core import strategies
from tests.support.pools import CODER, EVEN, FAST, FOUR, candidate, pool, price, task

TABLE = {
    ("high", "high"): "panel",
    ("high", "medium"): "verify",
    ("high", "low"): "verify",
    ("medium", "high"): "verify",
}


def ranking_of(asked, models=FOUR, **policy):
    return decide(asked, models, State(), Policy(**policy)).ranking


def chosen(asked, models=FOUR, **policy):
    """The choice for a task with the pool as it is ranked for it."""
    return choose(asked, Policy(**policy), ranking_of(asked, models), models)


def priced(usd):
    """Three equal models at that price [USD per 1M input tokens; output four times that]."""
    return pool(*(candidate(f"m{i}", price=price(usd, 4 * usd)) for i in range(3)))


@pytest.mark.parametrize(("risk", "complexity"), list(product(LEVELS, LEVELS)))
@pytest.mark.parametrize("models", [FOUR, EVEN, priced(0.05)], ids=["four", "even", "cheap"])
def test_the_mode_of_a_user_turn_by_risk_and_complexity(risk, complexity, models):
    got = decide(task(risk=risk, complexity=complexity), models, State()).mode
    assert got == TABLE.get((risk, complexity), "single")


@pytest.mark.parametrize("risk", LEVELS)
def test_what_failed_again_and_again_is_hard_whatever_it_read_like(risk):
    failed = chosen(task(risk=risk, complexity="low", struggling=True))
    assert failed.mode == TABLE.get((risk, "high"), "single")
    assert "low complexity, failed before" in failed.reasons[0]


@given(strategies.tasks, st.sampled_from(("tool", "aux", "chat")))
def test_tool_turns_own_calls_and_chat_are_single(drawn, why):
    changes = {"kind": "chat", "turn": "user"} if why == "chat" else {"turn": why}
    asked = task(risk=drawn.risk, complexity=drawn.complexity, needs=drawn.needs, **changes)
    for wanted in ("auto", "panel"):
        got = choose(asked, Policy(mode=wanted), ranking_of(task()), FOUR)
        assert got.mode == "single"
        assert len(got.reasons) == 1
        assert got.reasons[0].startswith("single: ")


@given(strategies.tasks, st.integers(0, 300_000))
def test_the_size_of_a_prompt_never_changes_the_mode(asked, size):
    bigger = replace(asked, needs=Needs(input_tokens=size))
    smaller = replace(asked, needs=Needs(input_tokens=0))
    ranking = ranking_of(task())
    one, two = (choose(t, Policy(), ranking, FOUR) for t in (bigger, smaller))
    assert one == two


@pytest.mark.parametrize(("risk", "complexity"), list(product(LEVELS, LEVELS)))
def test_a_long_prompt_is_decided_in_the_mode_of_a_short_one(risk, complexity):
    modes = {
        decide(
            task(risk=risk, complexity=complexity, needs=Needs(input_tokens=n)), FOUR, State()
        ).mode
        for n in (100, 8_000, 100_000)
    }
    assert len(modes) == 1


@pytest.mark.parametrize("mode", ["single", "verify", "panel"])
def test_the_request_goes_before_everything(mode):
    asked = task(turn="tool", options=Options(mode=mode))
    got = chosen(asked, mode="single")
    assert got == type(got)(mode, (f"{mode}: the request asks for it",))


@pytest.mark.parametrize("mode", ["single", "verify", "panel"])
def test_the_configuration_goes_before_the_value(mode):
    assert chosen(task(risk="low", complexity="low"), mode=mode).mode == mode


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
    got = chosen(asked)
    heads = [r.split(":")[0] for r in got.reasons]
    assert heads[0] == got.mode
    assert {h.removeprefix("not ") for h in heads} == {"single", "verify", "panel"}


def test_very_dear_calls_make_a_check_not_worth_it():
    dear = task(risk="medium", complexity="high")
    assert chosen(dear, priced(0.5)).mode == "verify"
    assert chosen(dear, priced(200.0)).mode == "single"


def test_a_second_look_that_is_certain_is_a_call_of_the_panels_price():
    asked, models = task(risk="high", complexity="high"), priced(20.0)

    def panel_cost(**policy):
        said = next(r for r in chosen(asked, models, **policy).reasons if "a panel would save" in r)
        return float(said.split(" USD for ")[1].split(" USD")[0])

    call = nominal_usd(models.candidates)
    assert call > 0.1
    for size, twice, calls in ((2, "never", 0), (2, "auto", 1), (3, "auto", 0), (3, "always", 1)):
        least = panel_cost(panel_size=size, judge_twice="never")
        more = panel_cost(panel_size=size, judge_twice=twice) - least
        assert more == pytest.approx(calls * call, abs=0.011)


def test_a_check_that_finds_nothing_is_not_worth_a_call():
    asked = task(risk="high")
    assert chosen(asked).mode == "verify"
    assert chosen(asked, check=Check(0.0, 1.0)).mode == "single"
    medium = task(risk="medium", complexity="medium")
    assert chosen(medium, priced(0.05)).mode == "single"
    assert chosen(medium, priced(0.05), check=Check(1.0, 1.0)).mode == "verify"


def test_what_is_likely_wrong_is_that_of_the_best_ranked():
    ranking = ranking_of(task())
    assert chance_of(ranking[0]) == ranking[0].terms[SKILL].value
    hard = task(risk="high", complexity="high")
    best = 1 - chance_of(ranking_of(hard)[0])
    assert WRONG["high"][0] < best < WRONG["high"][1]
    assert f"{best:.0%} likely wrong" in chosen(hard).reasons[0]
    low = task(risk="high", complexity="low")  # the pool says 17 %
    assert f"{WRONG['low'][1]:.0%} likely wrong" in chosen(low).reasons[0]


def test_with_outcomes_on_record_the_chances_count_as_they_are():
    asked = task(risk="high", complexity="low")
    for ease in (-9.0, -1.0, 9.0):
        known = replace(asked, ease=ease)
        ranking = ranking_of(known)
        wrong = 1 - chance_of(ranking[0])
        gains = measured_gains(known, Policy(), ranking, FOUR, cascade.CHECK)
        assert gains.wrong == wrong
        assert f"{wrong:.0%} likely wrong" in chosen(known).reasons[0]
        pair = cascade.best_pair(ranking, cascade.CHECK)
        assert gains.verify == pytest.approx(pair.chance - 1 + wrong)
    hopeless, hard, easy = (chosen(replace(asked, ease=e)).mode for e in (-9.0, -1.0, 9.0))
    assert (hopeless, hard, easy) == ("single", "panel", "single")


def test_a_check_that_rejects_right_answers_is_not_put_behind_a_model_that_is_nearly_always_right():
    sure = task(risk="high", complexity="high", ease=4.0)
    assert chosen(replace(sure, ease=None)).mode == "panel"
    got = chosen(sure, check=Check(0.5, 0.7))
    assert got.mode == "single"
    assert "a check would save -" in got.reasons[1]


def test_money_is_not_mixed_with_the_worth_of_waiting():
    """A check that costs a cent is not said to cost 0.18 USD because a person waits for it."""
    asked = task(risk="low", complexity="low")
    near = [FOUR.get(s.candidate) for s in ranking_of(asked)]
    call = nominal_usd([c for c in near if c is not None])
    check, panel = chosen(asked).reasons[1:]
    assert check.endswith(f" USD for {1.5 * call:.4f} USD and 10 s, worth 0.17")
    assert panel.endswith(f" USD for {3 * call:.4f} USD and 35 s, worth 0.58")


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


@pytest.mark.parametrize("name", ["LOSS_USD [USD]", "PANEL_ADDS"])
def test_the_page_quotes_the_tables_of_the_code(name):
    table = getattr(mode, name.split()[0])
    shown = rows()[f"`{name.split()[0]}`" + name.removeprefix(name.split()[0])]
    assert [float(x) for x in shown[:3]] == [table[level] for level in LEVELS]


def test_the_page_quotes_between_what_a_wrong_answer_is_likely():
    shown = [cell.split(" to ") for cell in rows()["`WRONG`"][:3]]
    assert [(float(a), float(b)) for a, b in shown] == [mode.WRONG[level] for level in LEVELS]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SENSITIVITY", cascade.CHECK.sensitivity),
        ("SPECIFICITY", cascade.CHECK.specificity),
        ("SAME_TROUBLE", cascade.SAME_TROUBLE),
        ("VERIFY_S", mode.VERIFY_S),
        ("PANEL_S", mode.PANEL_S),
        ("WAIT_USD_PER_S", mode.WAIT_USD_PER_S),
    ],
)
def test_the_page_quotes_the_figures_of_the_code(name, value):
    shown = next(cells for key, cells in rows().items() if key.startswith(f"`{name}`"))
    assert float(shown[0]) == round(value, 4)


def test_the_page_names_the_nominal_request():
    words = " ".join(PAGE.read_text("utf-8").split())
    nominal = cost.NOMINAL
    assert f"({nominal.input:,} tokens in, {nominal.output:,} out)" in words
    assert f"mean of the {mode.NEAREST} best-ranked" in words


@pytest.mark.parametrize("risk", LEVELS)
def test_the_page_shows_the_modes_that_are_chosen(risk):
    got = [decide(task(risk=risk, complexity=c), FOUR, State()).mode for c in LEVELS]
    assert rows()[risk] == got
