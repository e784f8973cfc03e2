"""What recorded outcomes taught, applied to a task's words."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.experience import (
    BUCKETS,
    FORM_SHARE,
    MOST_CHARS,
    MOST_EASE,
    MOST_EFFORT,
    MOST_LIFT,
    Experience,
    bucket,
    ease_of,
    form_of,
    hashed,
)


def taught(
    word: str, ease: float = 0.0, *, lift: float = 0.0, candidates=("a", "b"), effort: float = 0.0
) -> Experience:
    weights, lifts, dearer = (
        np.zeros(BUCKETS),
        np.zeros((BUCKETS, len(candidates))),
        np.zeros(BUCKETS),
    )
    dearer[bucket(word)] = effort
    weights[bucket(word)] = ease
    if candidates:
        lifts[bucket(word), 0] = lift
    return Experience(weights, 1.0, 0.5, tuple(candidates), lifts, 100, dearer, 0.0)


def test_a_word_seen_on_solved_tasks_makes_a_task_easier():
    known = taught("docs", 0.3)
    assert known.of("docs").ease > known.of("kernel").ease == 0.0
    assert taught("docs", -0.3).of("docs").ease < 0


def test_lifts_name_each_candidate_and_are_bounded():
    (a, lift), b = taught("x", lift=0.2).of("x").lifts
    assert (a, b) == ("a", ("b", 0.0))
    assert lift == pytest.approx(
        0.2 * (1 - FORM_SHARE) ** 0.5, abs=1e-6
    )  # of the word; the form says nothing
    assert taught("x", lift=9.0).of("x").lifts[0] == ("a", MOST_LIFT)
    assert taught("x", lift=-9.0).of("x").lifts[0] == ("a", -MOST_LIFT)
    assert taught("x", candidates=()).of("x").lifts == ()


def test_a_word_of_dear_tasks_makes_a_task_dearer_within_bounds():
    known = taught("migrate", effort=0.5)
    assert known.of("migrate").effort > known.of("rename").effort == 1.0
    assert replace(known, level=0.5).of("rename").effort == pytest.approx(math.exp(-0.5), abs=1e-6)
    assert taught("migrate", effort=99.0).of("migrate").effort == MOST_EFFORT
    assert taught("migrate", effort=-99.0).of("migrate").effort == 1 / MOST_EFFORT


def test_its_digest_names_what_it_holds():
    one = taught("docs", 0.3).digest()
    assert one == taught("docs", 0.3).digest()
    others = (
        taught("docs", 0.4),
        taught("docs", 0.3, lift=0.1),
        taught("docs", 0.3, candidates=("a", "c")),
        taught("docs", 0.3, effort=0.1),
        replace(taught("docs", 0.3), level=0.1),
    )
    assert one not in {other.digest() for other in others}


def test_ease_is_the_gap_in_log_odds_stretched_and_bounded():
    assert ease_of(0.5, 0.5, 2.0) == 0.0
    assert ease_of(0.75, 0.5, 2.0) == pytest.approx(2 * math.log(3))
    assert ease_of(5.0, 0.1, 9.0) == MOST_EASE
    assert ease_of(-5.0, 0.9, 9.0) == -MOST_EASE
    assert ease_of(0.9, 0.5, 0.0) == 0.0


@given(st.floats(-1, 2), st.floats(-1, 2), st.floats(0.01, 0.99))
def test_ease_grows_with_the_predicted_share(low, high, mean):
    low, high = sorted((low, high))
    assert ease_of(low, mean, 1.0) <= ease_of(high, mean, 1.0)


@given(st.text(alphabet=st.characters(), max_size=200))
def test_any_text_is_hashed_to_length_one_or_nothing(text):
    places, values = hashed(text)
    assert len(places) == len(values) == len(set(places.tolist()))
    assert ((places >= 0) & (places < BUCKETS)).all()
    assert len(values) == 0 or values @ values == pytest.approx(1.0)


def test_letter_case_is_folded_and_neighbours_count():
    words = [
        set(hashed(t)[0].tolist()) - set(map(bucket, form_of(t))) for t in ("Fix It", "fix it")
    ]
    assert words[0] == words[1] != set()
    assert bucket("fix it") in hashed("fix it")[0]
    assert sorted(hashed("a b")[0]) != sorted(hashed("b a")[0])


def test_of_a_long_text_head_and_tail_are_read():
    middle = "m " * MOST_CHARS
    assert bucket("m") in hashed("head " + middle + " tail")[0]
    assert {bucket("head"), bucket("tail")} <= set(hashed("head " + middle + " tail")[0].tolist())
    quiet = "x" * (MOST_CHARS // 2) + " middle " + "x" * (MOST_CHARS // 2)
    assert bucket("middle") not in hashed(quiet)[0]


def test_form_is_told_from_words_and_makes_up_a_fixed_share():
    short, long = form_of("why?"), form_of("a = 1;\n" * 40 + "```\nA) 1\nB) 2\n```")
    assert dict.fromkeys(short) == dict.fromkeys(form_of("who?"))
    assert {"#code False", "#choices False", "#formula False", "#question True"} <= set(short)
    assert {"#code True", "#choices True", "#formula True", "#question False"} <= set(long)
    assert not {n for n in short if n.startswith("#length")} & set(long)
    places, values = hashed("fix the parser")
    of = dict(zip(places.tolist(), values.tolist(), strict=True))
    form = sum(of[bucket(n)] ** 2 for n in form_of("fix the parser"))
    assert form == pytest.approx(FORM_SHARE)


def test_neighbouring_lengths_have_a_step_in_common():
    steps = [{n for n in form_of("x" * n) if n.startswith("#length")} for n in range(1, 400)]
    assert all(a & b for a, b in itertools.pairwise(steps))


def test_a_repeated_word_counts_more_but_damped():
    places, values = hashed("a b b b b b b b b")
    of = dict(zip(places.tolist(), values.tolist(), strict=True))
    assert 1 < of[bucket("b")] / of[bucket("a")] < 8
