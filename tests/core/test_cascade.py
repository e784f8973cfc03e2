"""Check, then mend: the pair that is worth most, by the arithmetic of the page and by trying all."""

from __future__ import annotations

from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.cascade import (
    CHECK,
    MOST,
    SAME_TROUBLE,
    accepted_first,
    best_pair,
    panel_chance,
    rejected,
)
from openfusion_auto.core.decide import decide
from openfusion_auto.core.score import PRICE, QUALITY_WEIGHTS, SKILL
from openfusion_auto.core.types import Check, Policy, State
from tests.core import strategies
from tests.support.pools import FOUR, candidate, pool, price, scored, solves, task

PERFECT = Check(1.0, 1.0)
BLIND = Check(0.0, 1.0)


def ranking_of(models=FOUR, knob=5.0, **changes):
    return decide(task(**changes), models, State(), Policy(cost_quality=knob)).ranking


def worth(ranking, first, mender, check) -> float:
    """What a pair is worth, term by term."""
    table = ranking[0].table
    rows = {s.candidate: s.row for s in ranking}
    a, b = table.values[rows[first]], table.values[rows[mender]]
    rest = sum(w * v for w, v in zip(QUALITY_WEIGHTS, a, strict=True)) - QUALITY_WEIGHTS[
        SKILL
    ] * float(a[SKILL])
    right, mend = float(a[SKILL]), float(b[SKILL])
    kept = right * (check.specificity + (1 - check.specificity) * mend)
    mended = (1 - right) * check.sensitivity * mend * SAME_TROUBLE
    rejected = right * (1 - check.specificity) + (1 - right) * check.sensitivity
    cost = (1 - float(a[PRICE])) + rejected * (1 - float(b[PRICE]))
    return rest + QUALITY_WEIGHTS[SKILL] * (kept + mended) - table.rate * cost


@given(strategies.easy_inputs)
def test_the_pair_is_the_one_of_most_value_among_all(inputs):
    decision = decide(inputs.task, inputs.pool, inputs.state, inputs.policy)
    ranking, check = decision.ranking, inputs.policy.check
    pair = best_pair(ranking, check)
    known = check or CHECK
    table = ranking[0].table
    # Who goes on with a session that is stuck is the ranking's to say.
    firsts = ranking[:1] if table.held else ranking
    every = {
        (a.candidate, b.candidate): worth(ranking, a.candidate, b.candidate, known)
        for a, b in permutations(ranking, 2)
        if a in firsts
    }
    most = max(every.values())
    assert every[pair.first, pair.mender] == pytest.approx(most, rel=1e-9, abs=1e-9)
    single = max(
        float(row @ QUALITY_WEIGHTS) - table.rate * (1 - float(row[PRICE]))
        for row in table.values[: len(firsts)]
    )
    assert pair.gain == pytest.approx(most - single, rel=1e-6, abs=1e-6)
    assert 0 <= pair.chance <= 1
    assert 0 <= pair.rejected <= 1


def test_a_perfect_check_begins_with_a_cheaper_model_and_mends_with_a_stronger_one():
    ranking = ranking_of(knob=2.0)
    pair = best_pair(ranking, PERFECT)
    usd = {s.candidate: s.expected_usd for s in ranking}
    skill = {s.candidate: s.terms[SKILL].value for s in ranking}
    assert usd[pair.first] < usd[pair.mender] == usd[ranking[0].candidate]
    assert skill[pair.first] < skill[pair.mender]
    assert pair.gain > 0
    assert pair.chance > max(skill.values())
    assert pair.rejected == pytest.approx(1 - skill[pair.first], abs=1e-6)


def test_a_check_that_finds_nothing_gains_nothing():
    pair = best_pair(ranking_of(), BLIND)
    assert pair.gain == pytest.approx(0.0, abs=1e-9)
    assert pair.rejected == 0.0


def test_a_better_check_is_never_worth_less():
    gains = [
        best_pair(ranking_of(), Check(s / 10, p)).gain for p in (0.8, 0.9, 1.0) for s in range(11)
    ]
    for at in range(0, 33, 11):
        assert gains[at : at + 11] == sorted(gains[at : at + 11])
    assert gains[5] <= gains[16] <= gains[27]


def test_a_pair_needs_two_candidates_of_one_table():
    assert best_pair((), None) is None
    assert best_pair(ranking_of(pool(candidate("a"))), None) is None
    assert best_pair((scored("a"), scored("b")), None) is None


def test_who_answers_does_not_mend_itself():
    twins = pool(candidate("a"), candidate("b"))
    pair = best_pair(ranking_of(twins), PERFECT)
    assert {pair.first, pair.mender} == {"a", "b"}


def test_of_a_large_pool_the_best_ranked_are_tried():
    large = pool(
        *(
            candidate(f"m{i:02}", price=price(1 + i / 10, 4), benchmarks=solves(40 + i))
            for i in range(40)
        )
    )
    ranking = ranking_of(large)
    pair = best_pair(ranking, None)
    assert {pair.first, pair.mender} <= {s.candidate for s in ranking[:MOST]}


shares = st.floats(0, 1)
checks = st.builds(Check, shares, shares)


def drawn_pick(chances, check) -> float:
    """The chance of a right pick, by going through all that may come: who is right, whom the check accepts."""
    total = 0.0
    for right in product((True, False), repeat=len(chances)):
        for accepts in product((True, False), repeat=len(chances)):
            weight = 1.0
            for chance, good, accepted in zip(chances, right, accepts, strict=True):
                yes = check.specificity if good else 1 - check.sensitivity
                weight *= (chance if good else 1 - chance) * (yes if accepted else 1 - yes)
            taken = accepts.index(True) if True in accepts else 0
            total += weight * right[taken]
    return total


@given(st.lists(shares, min_size=1, max_size=3), checks)
def test_the_first_accepted_is_right_as_often_as_all_cases_say(chances, check):
    assert accepted_first(chances, check) == pytest.approx(drawn_pick(chances, check), abs=1e-9)


@given(shares, checks)
def test_a_check_rejects_right_and_wrong_answers_at_its_rates(right, check):
    assert rejected(1.0, check) == pytest.approx(1 - check.specificity)
    assert rejected(0.0, check) == check.sensitivity
    assert 0 <= rejected(right, check) <= 1


@given(st.lists(shares, min_size=1, max_size=4), checks)
def test_a_panel_is_right_no_more_often_than_one_of_its_members_can_be(chances, check):
    most = 1.0
    for c in chances:
        most *= 1 - c
    found = panel_chance(chances, check)
    assert found >= 0
    assert panel_chance(chances[:1], check) == pytest.approx(chances[0])
    # What the first gets wrong is harder for the others than independent attempts would have it.
    assert found <= 1 - most + 1e-9


def test_a_blind_check_takes_the_first_member_and_a_perfect_one_any_that_is_right():
    assert panel_chance((0.5, 0.9), BLIND) == 0.5
    assert panel_chance((0.5, 0.9), PERFECT) == pytest.approx(0.5 + 0.5 * 0.9 * SAME_TROUBLE)
