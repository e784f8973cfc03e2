"""Live state: snapshots that later changes do not touch, what counts against a candidate, bounded pins."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest

from openfusion_auto import errors
from openfusion_auto.core.breaker import FAILURES_TO_OPEN, MAX_OPEN_S, OPEN_S
from openfusion_auto.core.prompt import Usage
from openfusion_auto.core.stats import HALF_LIFE_S, decayed
from openfusion_auto.core.types import Breaker, Cached, Pin
from openfusion_auto.runtime import state as module
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.state import MAX_CACHES, CacheRule, LiveState, seal_of
from openfusion_auto.store.base import Maker
from openfusion_auto.store.memory import MemoryStore
from tests.support.pools import CODER, FAST, candidate, pool


class Time:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def clock(self) -> Clock:
        return Clock(now=lambda: self.now_s)


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def live(time):
    return LiveState(time.clock(), {"other": "KEY is not set"}, pin_ttl_s=600.0, cache_ttl_s=300.0)


def works(live, id_="a", *, bytes_per_token=None):
    live.succeeded(id_, ttft_ms=500.0, tokens_per_s=50.0, bytes_per_token=bytes_per_token)


def fails(live, id_="a", error=None):
    live.failed(id_, error or errors.UpstreamOverloaded("down"))


# -- snapshots --------------------------------------------------------------------------------------------------------


def test_a_snapshot_is_not_changed_by_what_comes_later(live, time):
    works(live)
    live.pin("s", CODER, Usage(10, 5))
    before = live.snapshot("s")
    kept = (
        dict(before.stats),
        dict(before.breakers),
        before.pin,
        dict(before.unready),
        before.now_s,
    )
    works(live)
    works(live, "b")
    fails(live)
    live.pin("s", FAST, None)
    live.configure({}, pin_ttl_s=600.0, cache_ttl_s=300.0)
    time.now_s += 5
    assert (before.stats, before.breakers, before.pin, before.unready, before.now_s) == kept
    after = live.snapshot("s")
    assert after.stats != before.stats
    assert after.breakers != before.breakers
    assert after.pin.candidate == "fast-a"
    assert after.unready == {}
    with pytest.raises(FrozenInstanceError):
        after.now_s = 0.0


def test_what_a_caller_hands_over_may_change_afterwards(time):
    given = {"other": "KEY is not set"}
    live = LiveState(time.clock(), given, pin_ttl_s=1.0, cache_ttl_s=1.0)
    given.clear()
    assert live.snapshot(None).unready == {"other": "KEY is not set"}


def test_a_snapshot_reads_the_clock_once_and_only_its_own_session(live, time):
    live.pin("s", CODER, None)
    assert live.snapshot("s").now_s == time.now_s
    assert live.snapshot("other").pin is None
    assert live.snapshot(None).pin is None


def test_a_call_that_was_cut_for_another_counts_its_wait_and_no_success(live):
    works(live)
    live.waited("a", 9_500.0)
    known = live.snapshot(None).stats["a"]
    assert (known.ttft_ms, known.ttft_weight) == (5_000.0, 2.0)
    assert (known.ok, known.failed) == (1.0, 0.0)


# -- what counts against a candidate ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        *(errors.UpstreamRejected("no", status=s) for s in (400, 404, 413, 422)),
        errors.BadRequest("no"),
        errors.ContextTooLong("no"),
        errors.Overloaded("draining"),
        errors.InternalError("ours"),
    ],
    ids=lambda e: f"{type(e).__name__}-{e.status}",
)
def test_what_the_client_or_we_did_wrong_is_not_held_against_a_candidate(live, error):
    for _ in range(FAILURES_TO_OPEN * 2):
        fails(live, error=error)
    assert live.may_call("a")
    assert live.snapshot(None).stats == {}
    assert live.snapshot(None).breakers == {}


@pytest.mark.parametrize(
    "kind",
    [
        "UpstreamUnreachable",
        "UpstreamTimeout",
        "UpstreamRateLimited",
        "UpstreamOverloaded",
        "UpstreamBroken",
        "UpstreamDenied",
    ],
)
def test_what_a_candidate_or_its_provider_did_wrong_opens_its_breaker(live, time, kind):
    for n in range(FAILURES_TO_OPEN):
        assert live.may_call("a"), n
        fails(live, error=getattr(errors, kind)("bad"))
    assert not live.may_call("a")
    assert live.may_call("b")
    assert live.snapshot(None).stats["a"].failed == FAILURES_TO_OPEN
    time.now_s += OPEN_S
    assert live.may_call("a")


def test_a_slip_in_a_call_is_not_held_against_the_candidate(live):
    for _ in range(FAILURES_TO_OPEN):
        fails(live, error=errors.UpstreamMisfit("a call breaks its schema"))
    assert live.may_call("a")
    assert live.breakers() == {}


def test_one_probe_at_a_time_and_its_success_closes(live, time):
    for _ in range(FAILURES_TO_OPEN):
        fails(live)
    time.now_s += OPEN_S
    live.started("a")
    assert not live.may_call("a")
    works(live)
    assert live.may_call("a")
    assert live.breakers() == {}


def test_a_probe_that_the_client_left_or_that_was_refused_frees_its_place(live, time):
    for _ in range(FAILURES_TO_OPEN):
        fails(live)
    time.now_s += OPEN_S
    for free in (
        lambda: live.released("a"),
        lambda: fails(live, error=errors.UpstreamRejected("no", status=400)),
        lambda: fails(live, error=errors.UpstreamMisfit("a call breaks its schema")),
    ):
        live.started("a")
        assert not live.may_call("a")
        free()
        assert live.may_call("a")


def test_calls_of_a_healthy_candidate_leave_no_breaker(live):
    live.started("a")
    live.released("a")
    assert live.breakers() == {}


def test_breakers_are_shown_in_their_phase_of_now(live, time):
    for _ in range(FAILURES_TO_OPEN):
        fails(live)
    assert live.breakers()["a"].phase == "open"
    time.now_s += OPEN_S
    assert live.breakers()["a"].phase == "half_open"


def test_bytes_per_token_are_known_after_a_sample(live):
    assert live.bytes_per_token("a") is None
    works(live)
    assert live.bytes_per_token("a") is None
    works(live, bytes_per_token=3.25)
    assert live.bytes_per_token("a") == 3.25


# -- pins -------------------------------------------------------------------------------------------------------------


def test_a_pin_holds_what_is_warm_and_until_when(live, time):
    live.pin("s", CODER, Usage(2000, 50, cached=900))
    warm = (Cached("coder-a", 2050, time.now_s + 300),)
    assert live.snapshot("s").pin == Pin("coder-a", warm, 1, time.now_s + 600)


def test_a_way_back_finds_what_was_cached_there(live, time):
    live.pin("s", CODER, Usage(2000, 50))
    time.now_s += 10
    live.pin("s", FAST, Usage(2500, 80))
    pin = live.snapshot("s").pin
    assert (pin.candidate, pin.turns) == ("fast-a", 2)
    assert pin.caches == (Cached("coder-a", 2050, 400.0), Cached("fast-a", 2580, 410.0))
    live.pin("s", CODER, Usage(3000, 20))
    assert live.snapshot("s").pin.caches == (
        Cached("fast-a", 2580, 410.0),
        Cached("coder-a", 3020, 410.0),
    )


def test_a_cache_that_has_expired_is_forgotten_at_the_next_turn(live, time):
    live.pin("s", CODER, Usage(2000, 50))
    time.now_s += 300
    live.pin("s", FAST, Usage(2500, 80))
    assert [k.candidate for k in live.snapshot("s").pin.caches] == ["fast-a"]


def test_so_many_caches_of_a_session_are_remembered_the_latest(live):
    for i in range(MAX_CACHES + 2):
        live.pin("s", candidate(f"m{i}"), Usage(2000, 50))
    kept = [k.candidate for k in live.snapshot("s").pin.caches]
    assert kept == [f"m{i}" for i in range(2, MAX_CACHES + 2)]


def test_each_upstream_caches_by_its_own_rule_and_decisions_know_it(time):
    rules = {"slow": CacheRule(3600.0, 4096)}
    live = LiveState(time.clock(), {}, pin_ttl_s=9e9, cache_ttl_s=300.0, caches=rules)
    state = live.snapshot(None)
    assert state.cache_min == {"slow": 4096}
    assert state.cache_ttl == {"": 300.0, "slow": 3600.0}
    slow = candidate("a", upstream="slow")
    live.pin("s", slow, Usage(4000, 95))
    assert live.snapshot("s").pin.caches == ()
    live.pin("s", slow, Usage(4000, 96))
    assert live.snapshot("s").pin.caches == (Cached("a", 4096, time.now_s + 3600.0),)


def test_a_prompt_below_the_usual_minimum_is_not_cached(live):
    live.pin("s", CODER, Usage(1000, 23))
    assert live.snapshot("s").pin.caches == ()
    live.pin("s", CODER, Usage(1000, 24))
    assert len(live.snapshot("s").pin.caches) == 1


@pytest.mark.parametrize(
    "model",
    [candidate("a", price=None), replace(CODER, price=replace(CODER.price, cache_read=None))],
)
def test_without_a_cached_rate_nothing_is_warm(live, model):
    live.pin("s", model, Usage(2000, 50))
    assert live.snapshot("s").pin.caches == ()


def test_without_usage_nothing_is_warm_but_the_session_stays(live):
    live.pin("s", CODER, Usage(2000, 50))
    live.pin("s", CODER, None)
    pin = live.snapshot("s").pin
    assert (pin.candidate, pin.caches, pin.turns) == ("coder-a", (), 2)


def test_a_pin_says_whether_its_model_was_brought_in_for_a_stuck_one(live):
    live.pin("s", CODER, None, escalated=True)
    assert live.snapshot("s").pin.escalated
    live.pin("s", CODER, None)
    assert not live.snapshot("s").pin.escalated


def test_a_pin_expires(live, time):
    live.pin("s", CODER, None)
    time.now_s += 600
    assert live.snapshot("s").pin is not None
    time.now_s += 0.001
    assert live.snapshot("s").pin is None


def test_pins_are_bounded_and_the_one_unused_for_longest_goes_first(live, monkeypatch):
    monkeypatch.setattr(module, "MAX_PINS", 3)
    for session in ("one", "two", "three"):
        live.pin(session, CODER, None)
    live.pin("one", FAST, None)
    live.pin("four", CODER, None)
    assert live.snapshot("two").pin is None
    assert live.snapshot("one").pin.candidate == "fast-a"
    assert live.snapshot("three").pin is not None
    assert live.snapshot("four").pin is not None


# -- who made what is sealed ------------------------------------------------------------------------------------------


def test_what_was_never_seen_in_an_answer_is_everybodys_stranger(live):
    live.pin("s", CODER, None)
    assert live.is_foreign(["seal"], CODER)
    assert not live.is_foreign([], CODER)


def test_a_seal_is_its_makers_and_nobody_elses(live):
    live.first_seen(["one", "two"], CODER)
    live.first_seen(["three"], FAST)
    assert not live.is_foreign(["one", "two"], CODER)
    assert live.is_foreign(["one", "three"], CODER)
    assert live.is_foreign(["one"], FAST)


def test_what_its_maker_refuses_is_nobodys_until_it_is_made_again(live):
    live.first_seen(["one", "two"], CODER)
    live.disown(["one", "unknown"])
    assert live.is_foreign(["one"], CODER)
    assert not live.is_foreign(["two"], CODER)
    live.first_seen(["one"], CODER)
    assert not live.is_foreign(["one"], CODER)
    live.adopt(Maker, seal_of("one"), None)  # another process was told so
    assert live.is_foreign(["one"], CODER)


@pytest.mark.parametrize("change", [{"upstream": "other"}, {"model": "vendor/next"}])
def test_a_maker_is_a_model_at_an_upstream(live, change):
    live.first_seen(["one"], CODER)
    assert live.is_foreign(["one"], replace(CODER, **change))
    assert not live.is_foreign(["one"], replace(CODER, id="alias"))


def test_a_seal_keeps_its_first_maker(live):
    live.first_seen(["one"], CODER)
    live.first_seen(["one"], FAST)
    assert not live.is_foreign(["one"], CODER)
    assert live.is_foreign(["one"], FAST)


def test_seals_are_kept_as_hashes_and_bounded(live, monkeypatch):
    monkeypatch.setattr(module, "MAX_SEALS", 2)
    live.first_seen(["secret one", "two"], CODER)
    assert "secret one" not in str(live._makers)
    live.first_seen(["three"], CODER)
    assert live.is_foreign(["secret one"], CODER)
    assert not live.is_foreign(["two", "three"], CODER)


def test_the_last_known_maker_of_compacted_histories_is_named(live):
    alias = replace(CODER, id="alias")
    both = pool(CODER, FAST, alias)
    live.first_seen(["old"], FAST)
    live.first_seen(["new"], CODER)
    assert live.makers(["old", "new"], both) == ("alias", "coder-a")
    assert live.makers(["old", "never seen"], both) == ("fast-a",)
    assert live.makers(["never seen"], both) == ()
    assert live.makers([], both) == ()
    assert live.makers(["new"], pool(FAST)) == ()


# -- what outlives the process ----------------------------------------------------------------------------------------


class Life:
    """Processes one after the other on one machine: a monotonic clock of each, and one wall clock."""

    def __init__(self, store):
        self.store, self.wall_s = store, 1_800_000_000.0

    def start(self, now_s):
        """Start a process whose monotonic clock stands at `now_s`."""
        began_s = self.wall_s - now_s
        clock = Clock(now=lambda: self.wall_s - began_s, wall=lambda: self.wall_s)
        return LiveState(clock, {}, pin_ttl_s=600.0, cache_ttl_s=300.0, store=self.store)


@pytest.fixture
def life():
    return Life(MemoryStore())


def test_statistics_survive_and_decay_over_the_restart(life):
    works(life.start(5_000.0), bytes_per_token=3.5)
    life.wall_s += HALF_LIFE_S
    later = life.start(7.0)
    state = later.snapshot(None)
    assert decayed(state.stats["a"], state.now_s).ok == pytest.approx(0.5)
    assert later.bytes_per_token("a") == 3.5


def test_a_breaker_stays_open_for_what_is_left_of_its_pause(life):
    before = life.start(5_000.0)
    for _ in range(FAILURES_TO_OPEN):
        fails(before)
    life.wall_s += OPEN_S - 5
    later = life.start(7.0)
    assert not later.may_call("a")
    life.wall_s += 5
    assert later.may_call("a")
    later.started("a")
    works(later)
    assert life.start(1.0).breakers() == {}


def test_a_probe_that_was_out_when_its_process_ended_does_not_block_the_next(life):
    before = life.start(5_000.0)
    for _ in range(FAILURES_TO_OPEN):
        fails(before)
    life.wall_s += OPEN_S
    before.started("a")
    life.store.keep(Breaker, "a", before._breakers["a"], before._clock.epoch_s())
    assert not before.may_call("a")
    assert life.start(7.0).may_call("a")


def test_a_session_keeps_its_model_until_it_would_have_ended(life):
    life.start(5_000.0).pin("s", CODER, Usage(1000, 50))
    life.wall_s += 200
    pin = life.start(7.0).snapshot("s").pin
    assert (pin.candidate, pin.turns, pin.expires_s) == ("coder-a", 1, pytest.approx(407.0))
    assert pin.caches == (Cached("coder-a", 1050, pytest.approx(107.0)),)
    life.wall_s += 401
    assert life.start(7.0).snapshot("s").pin is None
    assert life.start(7.0)._pins == {}


def test_who_made_what_is_sealed_is_known_afterwards(life):
    life.start(5_000.0).first_seen(["one"], CODER)
    later = life.start(7.0)
    assert not later.is_foreign(["one"], CODER)
    later.first_seen(["one"], FAST)
    assert later.is_foreign(["one"], FAST)


def test_the_names_of_sessions_and_the_seals_are_not_kept(life):
    live = life.start(5_000.0)
    live.pin("id:user_jane", CODER, None)
    live.first_seen(["secret"], CODER)
    assert "jane" not in str(life.store._live)
    assert "secret" not in str(life.store._live)


def test_a_clock_that_was_set_back_makes_nothing_last_longer(life):
    before = life.start(5_000.0)
    works(before, "b")
    for _ in range(FAILURES_TO_OPEN):
        fails(before)
    before.pin("s", CODER, Usage(1000, 50))
    life.wall_s -= 86_400
    later = life.start(7.0)
    state = later.snapshot("s")
    assert state.stats["b"].at_s == 7.0
    assert state.breakers["a"].until_s <= 7.0 + MAX_OPEN_S
    assert state.pin.expires_s == 607.0
    assert [k.until_s for k in state.pin.caches] == [307.0]


@pytest.mark.parametrize(("whose", "left"), [("a", {"b"}), (None, set()), ("nobody", {"a", "b"})])
def test_what_was_measured_can_be_forgotten_for_good(life, whose, left):
    live = life.start(5_000.0)
    for name in ("a", "b"):
        works(live, name)
        fails(live, name)
    live.pin("s", CODER, None)
    live.forget(whose)
    for state in (live.snapshot("s"), life.start(7.0).snapshot("s")):
        assert set(state.stats) == set(state.breakers) == left
        assert state.pin is not None


def test_what_a_model_wants_is_held_to_for_a_while_and_is_its_own(live, time):
    live.learn_want("a", "temperature")
    time.now_s += module.WANT_S / 2
    live.learn_want("a", "seed")
    assert live.wants("a") == {"temperature", "seed"}
    assert live.wants("b") == frozenset()
    time.now_s += module.WANT_S / 2
    assert live.wants("a") == {"seed"}
    for n in range(module.MAX_WANTS):
        live.learn_want("a", f"temperature={n}")
    assert len(live.wants("a")) == module.MAX_WANTS
    assert "seed" not in live.wants("a")


def test_what_a_model_wants_goes_with_its_figures_and_its_configuration(live):
    for name in ("a", "b"):
        live.learn_want(name, "seed")
    live.forget("a")
    assert (live.wants("a"), live.wants("b")) == (frozenset(), {"seed"})
    live.configure({}, pin_ttl_s=600.0, cache_ttl_s=300.0)
    assert live.wants("b") == frozenset()
