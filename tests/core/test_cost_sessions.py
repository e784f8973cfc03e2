"""Sessions with caches that expire: the policy's dollars against every other way, and against staying."""

from __future__ import annotations

from statistics import mean

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from openfusion_auto.core.cost import CACHE_TTL_S, PAUSE_S, kept, turns_left
from openfusion_auto.core.types import Needs, Pin, Pool, Price, State
from openfusion_auto.runtime.state import CacheRule
from tests.core.sessions import Session, Turn, dollars, drawn, least, played, report, sessions
from tests.support.pools import CODER, FAST, candidate, pool, task


def test_over_many_sessions_the_policy_is_near_the_best_of_all_assignments():
    over = [dollars(s, played(s)) / least(s) - 1 for s in map(drawn, range(120))]
    assert min(over) >= -1e-9
    assert mean(over) <= 0.05


def test_over_many_sessions_no_one_costs_more_than_staying_by_a_twentieth():
    more = []
    for s in map(drawn, range(600)):
        picks = played(s)
        if len(set(picks)) > 1:
            more.append(dollars(s, picks) / dollars(s, [picks[0]] * len(picks)) - 1)
    assert len(more) >= 2
    assert max(more) <= 0.05
    assert min(more) < -0.1


@given(sessions())
@settings(max_examples=150, phases=(Phase.generate, Phase.shrink))
def test_no_session_costs_more_than_staying_by_a_twentieth(session):
    picks = played(session)
    stays = dollars(session, [picks[0]] * len(picks))
    assert dollars(session, picks) <= 1.05 * stays


def test_the_search_over_all_assignments_finds_what_a_person_can():
    # One turn at each model by hand: 1,000 and 2,000 tokens in, 100 out, caches that last.
    cheap = candidate("cheap", upstream="up-0", price=Price(1.0, 1.0))
    cached = candidate("cached", upstream="up-1", price=Price(2.0, 1.0, 0.2))
    turns = (Turn(0.0, 2_000, 100), Turn(10.0, 4_000, 100), Turn(20.0, 8_000, 100))
    rules = {"up-0": CacheRule(60.0, 1024), "up-1": CacheRule(60.0, 1024)}
    session = Session(Pool((cheap, cached)), rules, turns)
    always_cheap = (14_000 + 300) * 1e-6
    always_cached = (2_000 * 2 + 2_100 * 0.2 + 1_900 * 2 + 4_100 * 0.2 + 3_900 * 2 + 300) * 1e-6
    # 12,840 and 14,300; best is cheap first, then the cached one: 2,000 + 8,000 + 820 + 7,800 is worse than either.
    assert dollars(session, ["cheap"] * 3) == pytest.approx(always_cheap)
    assert dollars(session, ["cached"] * 3) == pytest.approx(always_cached)
    mixed = dollars(session, ["cached", "cached", "cheap"])
    assert least(session) == pytest.approx(min(always_cheap, always_cached, mixed))
    expired = Session(session.pool, {**rules, "up-1": CacheRule(5.0, 1024)}, turns)
    assert least(expired) == pytest.approx(always_cheap)


# -- the horizon ------------------------------------------------------------------------------------------------------


def test_a_session_that_has_had_many_turns_is_expected_to_have_many_more():
    asked = task(needs=Needs(tools=True))
    assert [turns_left(asked, Pin("a", turns=n)) for n in (1, 4, 9, 20, 99)] == [4, 4, 9, 20, 20]
    assert turns_left(asked, None) == 4
    assert turns_left(task(), None) == 0
    assert turns_left(task(turn="aux"), Pin("a", turns=9)) == 0


@given(st.dictionaries(st.sampled_from(("", "relay", "other")), st.integers(0, 9_000)))
def test_a_cache_that_lives_longer_is_found_by_more_turns(ttl):
    both = pool(CODER, candidate("z", upstream="other"))
    relay, other = kept(State(cache_ttl=ttl), both, None)
    usual = ttl.get("", CACHE_TTL_S)
    a, b = ttl.get("relay", usual), ttl.get("other", usual)
    assert 0 <= relay < 1
    assert (relay < other) == (a < b)
    assert relay == pytest.approx(a / (a + PAUSE_S))


def test_the_sessions_own_cache_has_the_benefit_of_the_doubt():
    both = pool(CODER, FAST)
    assert kept(State(), both, 1).tolist() == [CACHE_TTL_S / (CACHE_TTL_S + PAUSE_S), 1.0]


def test_a_cache_of_shorter_life_than_the_sessions_own_counts_as_lost():
    three = pool(CODER, candidate("short", upstream="short"), candidate("long", upstream="long"))
    state = State(cache_ttl={"": 300.0, "short": 60.0, "long": 3600.0})
    share = kept(state, three, three.row_of[CODER.id]).tolist()
    own, short, long = (share[three.row_of[i]] for i in (CODER.id, "short", "long"))
    assert (own, short) == (1.0, 0.0)
    assert long == pytest.approx(3600 / 3660)


def test_a_session_whose_pauses_outlive_only_the_cheaper_cache_does_not_move():
    # Drawn session 1382: after a long pause a model looks cheaper, but its cache never lasts to the next turn.
    session = drawn(1382)
    picks = played(session)
    assert dollars(session, picks) <= 1.001 * dollars(session, [picks[0]] * len(picks))


def test_the_report_counts_what_was_drawn():
    said = report(20, 200)
    assert said.startswith("20 sessions, above the best")
    assert "200 sessions, above staying with the first choice: most 0.0%" in said
