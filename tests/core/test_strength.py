"""Strength: what several publishers say as one number, and how little any one of them can move it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openfusion_auto.core.strength import (
    BASE,
    EDGE,
    FAR,
    HALF_LIFE_DAYS,
    MISSING,
    MOST_HALVINGS,
    RELEVANCE,
    SOURCE_CAP,
    chance,
    day_number,
    fresh,
    gathered,
    headline,
    heaviest,
    logit,
    lower_bound,
    percentiles,
    publisher,
    relevance,
    strengths,
    weight_of,
)
from openfusion_auto.core.types import KINDS, Benchmark, Kind, Pool
from tests.core import strategies
from tests.support.pools import FOUR, candidate, pool, solves


def bench(score, source="lab", name="swebench_verified", n=500, as_of="2026-11-01"):
    return Benchmark(name, score, n, source, as_of)


def logits(*models, kind="bugfix") -> dict[str, float]:
    """Strength by id."""
    whole = pool(*models)
    return dict(zip((c.id for c in whole.candidates), strengths(whole, kind).logit, strict=True))


def most_by_one_source(pool: Pool, kind: Kind, who: str) -> tuple[float, ...]:
    """Return how far publisher `who`, whatever it says, can move each candidate against the base [log-odds].

    From one end to the other with all the weight it can have, beside what the others weigh. The difference between two
    candidates it can move by the sum of theirs. The base is the same for all; beside two or more other publishers it
    stays within what those say.
    """
    told, _ = gathered(pool, kind)
    most = {p: weight for p, weight in heaviest(told).items() if p != who}
    return tuple(2 * FAR * SOURCE_CAP / (SOURCE_CAP + weight_of(t, most)) for t in told)


# -- one publisher among others ---------------------------------------------------------------------------------------

POISON = "bought@9"
lies = st.lists(
    st.builds(
        Benchmark,
        st.sampled_from((*strategies.BENCHES, "swebench", "livebench_language")),
        st.sampled_from((0.0, 0.1, 50.0, 99.9, 100.0)),
        st.sampled_from((None, 1, 10**6)),
        st.just(POISON),
        st.sampled_from(("", "1990-01-01", "2026-11-01", "2099-01-01")),
    ),
    max_size=4,
    unique_by=lambda b: b.name,
).map(tuple)


def poisoned(models: Pool, told) -> Pool:
    """The pool in which that publisher says this of each candidate, and the others what they say."""
    cs = []
    for c, rows in zip(models.candidates, told, strict=True):
        honest = tuple(b for b in c.benchmarks if publisher(b.source) != publisher(POISON))
        cs.append(replace(c, benchmarks=(*honest, *rows)))
    return Pool(tuple(cs), "sha256:poisoned")


def bases(models: Pool, kind) -> list[float]:
    """The middle of the pool by each honest publisher alone."""
    found = []
    for who in {publisher(b.source) for c in models.candidates for b in c.benchmarks}:
        if who == publisher(POISON):
            continue
        stranger = candidate("stranger", benchmarks=(), price=None)
        own = [
            replace(c, benchmarks=tuple(b for b in c.benchmarks if publisher(b.source) == who))
            for c in models.candidates
        ]
        found.append(strengths(Pool((*own, stranger)), kind).logit[-1])
    return found


def against_base(models: Pool, kind) -> list[float]:
    """Each candidate's distance from the base, which is the strength of one that nobody measured."""
    stranger = candidate("stranger", benchmarks=(), price=None)
    found = strengths(Pool((*models.candidates, stranger)), kind).logit
    return [s - found[-1] for s in found[:-1]]


@given(strategies.pools(min_size=2), st.sampled_from(KINDS), st.data())
@settings(max_examples=100)
def test_one_publisher_moves_nobody_and_no_difference_beyond_the_bound(models, kind, data):
    told = st.tuples(*(lies for _ in models.candidates))
    one = poisoned(models, data.draw(told, label="one"))
    two = poisoned(models, data.draw(told, label="two"))
    bound = most_by_one_source(models, kind, publisher(POISON))
    assert bound == most_by_one_source(two, kind, publisher(POISON))
    a, b = against_base(one, kind), against_base(two, kind)
    for i, most in enumerate(bound):
        assert abs(a[i] - b[i]) <= most + 1e-6
        for j in range(i):
            assert abs((a[i] - a[j]) - (b[i] - b[j])) <= most + bound[j] + 1e-6


@given(strategies.pools(min_size=2), st.sampled_from(KINDS), st.data())
def test_the_base_of_several_publishers_stays_within_what_the_honest_ones_say(models, kind, data):
    honest = bases(models, kind)
    if len(honest) < 2:
        return
    told = data.draw(st.tuples(*(lies for _ in models.candidates)))
    stranger = candidate("stranger", benchmarks=(), price=None)
    whole = Pool((*poisoned(models, told).candidates, stranger))
    assert min(honest) - 1e-6 <= strengths(whole, kind).logit[-1] <= max(honest) + 1e-6


def test_the_bound_is_reached_so_it_is_not_an_idle_one():
    def swing(score):
        honest = [candidate(f"m{i}", benchmarks=(bench(50.0, "a"), bench(50.0, "b"))) for i in "12"]
        crowd = [candidate(f"x{i}", benchmarks=(bench(100 - score, POISON),)) for i in range(3)]
        liar = replace(honest[0], benchmarks=(*honest[0].benchmarks, bench(score, POISON)))
        return logits(liar, honest[1], *crowd)["m1"]

    whole = pool(candidate("m1", benchmarks=(bench(50.0, "a"), bench(50.0, "b"))))
    (most,) = most_by_one_source(whole, "bugfix", publisher(POISON))
    assert most == pytest.approx(2 * FAR / 3)
    # The base moves too when one of three speaks of others: compare with a model that nobody lied about.
    up, down = swing(100.0), swing(0.0)
    assert up - down == pytest.approx(most, abs=0.05)


def test_a_bound_shrinks_with_what_others_say():
    alone = pool(candidate("a"))
    one = pool(candidate("a", benchmarks=(bench(50, "x"),)), candidate("b"))
    two = pool(candidate("a", benchmarks=(bench(50, "x"), bench(40, "y"))))
    assert most_by_one_source(alone, "bugfix", "bought") == (2 * FAR,)
    assert most_by_one_source(one, "bugfix", "bought") == pytest.approx(
        (FAR, 2 * FAR / (1 + MISSING))
    )
    assert most_by_one_source(two, "bugfix", "bought") == pytest.approx((2 * FAR / 3,))
    assert most_by_one_source(two, "bugfix", "x") == pytest.approx((FAR,))


def test_all_benchmarks_of_one_publisher_weigh_as_much_as_one():
    names = [f"swebench_{i}" for i in range(6)]
    rest = [candidate(f"r{i}", benchmarks=(bench(50), bench(50, "b", "swt_bench"))) for i in "123"]
    one = logits(candidate("new", benchmarks=(bench(90),)), *rest)["new"]
    many = tuple(bench(90, "lab@2 (another run)", name) for name in names)
    peers = [
        replace(c, benchmarks=(*c.benchmarks, *(bench(50, "lab", n) for n in names))) for c in rest
    ]
    assert logits(candidate("new", benchmarks=(bench(90), *many)), *peers)["new"] == pytest.approx(
        one
    )
    assert SOURCE_CAP == 1.0


def test_a_date_in_the_future_makes_no_other_publisher_old():
    honest = [candidate(f"m{i}", benchmarks=(bench(60 + 10 * i, "a"),)) for i in range(3)]
    before = logits(*honest)
    liar = candidate("z", benchmarks=(bench(99, POISON, "other", as_of="2099-01-01"),))
    after = logits(*honest, liar)
    gap = before["m2"] - before["m0"]
    assert gap / 2 < after["m2"] - after["m0"] <= gap


def test_a_benchmark_of_the_same_name_by_another_publisher_moves_no_median():
    honest = [candidate(f"m{i}", benchmarks=(bench(40 + 10 * i, "a"),)) for i in range(3)]
    liars = [candidate(f"z{i}", benchmarks=(bench(0.0, POISON),)) for i in range(9)]
    with_lies, alone = logits(*honest, *liars), logits(*honest)
    order = sorted(alone, key=alone.get)
    assert sorted(alone, key=with_lies.get) == order
    assert with_lies["m1"] - with_lies["z0"] == pytest.approx(0.0)


# -- what is measured -------------------------------------------------------------------------------------------------


def test_a_model_that_nobody_measured_is_ordinary():
    found = logits(*(candidate(i, benchmarks=solves(s)) for i, s in zip("abc", (50, 60, 70), strict=True)),
                   candidate("new", benchmarks=()))  # fmt: skip
    assert found["new"] == found["b"]
    assert found["a"] < found["new"] < found["c"]


def test_a_pool_without_benchmarks_is_of_one_usual_strength():
    assert logits(candidate("a"), candidate("b")) == {"a": BASE, "b": BASE}


def test_a_better_score_is_more_strength_and_an_easy_benchmark_makes_nobody_strong():
    found = dict(zip((c.id for c in FOUR.candidates), strengths(FOUR, "bugfix").logit, strict=True))
    assert found["fast-a"] < found["coder-a"] < found["reasoner-a"] < found["verifier-a"]
    easy = logits(*(candidate(i, benchmarks=(bench(98, "x", "toy"), bench(50))) for i in "abc"))
    assert max(easy.values()) == min(easy.values())


@given(st.dates(), st.dates())
def test_days_are_counted_as_calendars_do(one, two):
    assert day_number(two.isoformat()) - day_number(one.isoformat()) == (two - one).days


@pytest.mark.parametrize("written", ["", "no day", "2026", "2026-13-01", "2026-01-32", "2026-1-1"])
def test_what_is_no_day_has_no_number(written):
    assert day_number(written) is None


def test_an_older_number_counts_less():
    def strength_of(as_of):
        rest = [candidate(f"r{i}", benchmarks=(bench(50, "a"), bench(50, "b"))) for i in range(3)]
        told = (bench(80, "a", as_of=as_of), bench(50, "b"))
        return logits(candidate("new", benchmarks=told), *rest)["new"]

    new, old, ancient = map(strength_of, ("2026-11-01", "2025-11-01", "2020-01-01"))
    middle = strength_of("0001-01-01")
    assert new > old > ancient >= middle > logits(candidate("x", benchmarks=(bench(50),)))["x"]


def test_a_number_loses_half_its_weight_in_a_year_and_never_all_of_it():
    assert fresh("2026-11-01", "2026-11-01") == 1.0
    assert fresh("2025-11-01", "2026-11-01") == pytest.approx(0.5 ** (365 / HALF_LIFE_DAYS))
    assert fresh("2099-01-01", "2026-11-01") == 1.0
    assert fresh("0001-01-01", "2026-11-01") == 0.5**MOST_HALVINGS
    assert fresh("no day", "2026-11-01") == fresh("2026-11-01", "") == 1.0


# -- the pieces -------------------------------------------------------------------------------------------------------


def test_a_benchmark_is_as_relevant_as_its_longest_known_prefix_says():
    assert relevance("swebench_verified_openhands", "bugfix") == 1.0
    assert relevance("livebench_agentic_coding", "ops") == 1.0
    assert relevance("livebench_coding", "ops") == relevance("unheard_of", "ops") == 0.4


@pytest.mark.parametrize("prefix", RELEVANCE)
def test_every_relevance_is_a_share_above_nothing_with_one_for_all_other_kinds(prefix):
    row = RELEVANCE[prefix]
    assert "" in row
    assert set(row) <= {"", *KINDS}
    assert all(0 < share <= 1 for share in row.values())


@given(strategies.numbers(0, 100), st.none() | st.integers(1, 5000))
def test_a_lower_bound_is_below_its_score_and_closer_with_more_samples(percent, n):
    assert 0 <= lower_bound(percent, n) <= percent / 100 + 1e-9
    assert lower_bound(percent, n) <= lower_bound(percent, (n or 100) * 4) + 1e-9


def test_no_sample_size_counts_as_a_hundred():
    assert lower_bound(70, None) == lower_bound(70, 100)


@given(strategies.numbers(0, 1))
def test_a_chance_is_the_inverse_of_log_odds(share):
    kept = min(1 - EDGE, max(EDGE, share))
    assert chance(logit(share), 0.0) == pytest.approx(kept)


@given(strategies.numbers(-5, 5), strategies.numbers(-4, 4), strategies.numbers(0.01, 2))
def test_more_strength_and_an_easier_task_are_a_better_chance(strength, ease, more):
    now = chance(strength, ease)
    assert 0 < now < chance(strength + more, ease) == pytest.approx(chance(strength, ease + more))


def test_a_publisher_is_a_source_without_version_and_remarks():
    assert publisher("lab@2 (run 1)") == publisher("lab (run 2)") == publisher("lab") == "lab"


@given(st.lists(strategies.numbers(-3, 3), min_size=1, max_size=9).map(tuple))
def test_percentiles_are_the_shares_below_with_ties_by_half(values):
    for value, share in zip(values, percentiles(values), strict=True):
        below, same = sum(v < value for v in values), values.count(value)
        assert share == pytest.approx((below + same / 2) / len(values))


def test_the_headline_is_the_most_telling_benchmark():
    both = candidate(
        "a", benchmarks=(Benchmark("gaia", 50), Benchmark("swebench_x", 70, as_of="2026"))
    )
    assert headline(both, "bugfix") == (70, "swebench_x 2026 and 1 more")
    assert headline(candidate("b"), "bugfix") == (None, "none published")
    assert headline(replace(both, benchmarks=both.benchmarks[:1]), "bugfix") == (50, "gaia ")


def test_what_a_pool_says_is_remembered_by_pool_and_kind():
    assert strengths(FOUR, "bugfix") is strengths(FOUR, "bugfix")
    assert strengths(Pool(FOUR.candidates), "bugfix") is not strengths(FOUR, "bugfix")
