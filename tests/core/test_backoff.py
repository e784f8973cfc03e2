"""The only retry rule: each fault and count of tries has one move, and no sequence of faults goes on for ever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto import errors
from openfusion_auto.core.backoff import (
    BASE_S,
    MAX_WAIT_S,
    TIMEOUTS,
    TRIES,
    Move,
    next_move,
    summary,
)

STOP, NEXT, NEXT_UPSTREAM = Move("stop"), Move("next"), Move("next", skip_upstream=True)
RETRY = Move("retry", BASE_S)


def made(kind: str, **more) -> errors.FusionError:
    return getattr(errors, kind)("it went wrong", **more)


def move(error, *, tries=1, timeouts=0, remaining_s=60.0, jitter=0.5, alone=False) -> Move:
    return next_move(
        error, tries=tries, timeouts=timeouts, remaining_s=remaining_s, jitter=jitter, alone=alone
    )


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        ("UpstreamUnreachable", RETRY, NEXT_UPSTREAM),
        ("UpstreamRateLimited", RETRY, NEXT),
        ("UpstreamOverloaded", RETRY, NEXT),
        ("UpstreamBroken", NEXT, NEXT),
        ("UpstreamRejected", NEXT, NEXT),
        ("UpstreamDenied", NEXT_UPSTREAM, NEXT_UPSTREAM),
        ("UpstreamError", NEXT, NEXT),
        ("ContextTooLong", STOP, STOP),
        ("BadRequest", STOP, STOP),
        ("NotAuthorized", STOP, STOP),
        ("NoCandidate", STOP, STOP),
        ("Overloaded", STOP, STOP),
        ("ConfigError", STOP, STOP),
        ("InternalError", STOP, STOP),
    ],
)
def test_the_move_after_the_first_and_second_try(kind, first, second):
    assert move(made(kind), tries=1) == first
    assert move(made(kind), tries=2) == second


def test_a_broken_answer_is_asked_for_again_only_where_nobody_else_is_left():
    broken = made("UpstreamBroken")
    assert move(broken) == NEXT
    assert move(broken, alone=True) == RETRY
    assert move(broken, tries=2, alone=True) == NEXT
    assert move(made("UpstreamRejected"), alone=True) == NEXT


def test_a_silent_upstream_is_left_and_the_second_one_ends_the_phase():
    silent = made("UpstreamTimeout")
    assert move(silent, timeouts=1) == NEXT
    assert move(silent, timeouts=TIMEOUTS) == STOP


def test_past_the_deadline_nothing_is_tried():
    assert move(made("UpstreamOverloaded"), remaining_s=0.0) == STOP
    assert move(made("UpstreamBroken"), remaining_s=-1.0) == STOP


@pytest.mark.parametrize(
    ("asked_s", "remaining_s", "expected"),
    [
        (0.0, 60, Move("retry", BASE_S / 2)),
        (1.5, 60, Move("retry", 1.5 + BASE_S / 2)),
        (MAX_WAIT_S, 60, Move("retry", MAX_WAIT_S)),
        (MAX_WAIT_S + 0.1, 60, NEXT),
        (3600.0, 60, NEXT),
        (1.5, 1.0, NEXT),
    ],
)
def test_a_short_retry_after_is_kept_and_a_long_one_never_slept_through(
    asked_s, remaining_s, expected
):
    limited = made("UpstreamRateLimited", retry_after_s=asked_s)
    assert move(limited, remaining_s=remaining_s) == expected


@given(st.floats(0.0, 1.0))
def test_jitter_spreads_the_wait_around_its_mean(jitter):
    wait_s = move(made("UpstreamOverloaded"), jitter=jitter).wait_s
    assert 0.5 * BASE_S <= wait_s <= 1.5 * BASE_S
    assert wait_s == pytest.approx(BASE_S * (0.5 + jitter))


@given(st.floats(0.0, MAX_WAIT_S), st.floats(0.0, 1.0))
def test_a_retry_after_is_never_cut_short_and_spread_by_jitter(asked_s, jitter):
    got = move(made("UpstreamRateLimited", retry_after_s=asked_s), jitter=jitter)
    assert got.kind == "retry"
    assert asked_s <= got.wait_s <= min(MAX_WAIT_S, asked_s + BASE_S)


UPSTREAM_FAULTS = [
    "UpstreamUnreachable", "UpstreamTimeout", "UpstreamRateLimited", "UpstreamOverloaded",
    "UpstreamBroken", "UpstreamRejected", "UpstreamDenied", "UpstreamError",
]  # fmt: skip


@given(st.lists(st.sampled_from(UPSTREAM_FAULTS), min_size=40, max_size=40), st.integers(1, 6))
def test_attempts_are_bounded_whatever_fails(faults, candidates):
    """Plays the loop of `runtime/caller.py`: candidates in order, until a move says otherwise."""
    script, attempts, timeouts = iter(faults), 0, 0
    for _ in range(candidates):
        tries = 0
        while True:
            tries += 1
            attempts += 1
            error = made(next(script))
            timeouts += isinstance(error, errors.UpstreamTimeout)
            after = move(error, tries=tries, timeouts=timeouts)
            if after.kind != "retry":
                break
        if after.kind == "stop":
            break
    assert attempts <= TRIES * candidates
    assert timeouts <= TIMEOUTS


@given(
    st.sampled_from(UPSTREAM_FAULTS),
    st.integers(1, 5),
    st.integers(0, 5),
    st.floats(-5, 100),
    st.floats(0, 1),
    st.none() | st.floats(0, 10_000),
)
def test_a_wait_is_short_within_the_deadline_and_only_before_a_retry(
    kind, tries, timeouts, remaining_s, jitter, after_s
):
    got = next_move(
        made(kind, retry_after_s=after_s),
        tries=tries,
        timeouts=timeouts,
        remaining_s=remaining_s,
        jitter=jitter,
    )
    assert 0 <= got.wait_s <= MAX_WAIT_S
    if got.kind == "retry":
        assert got.wait_s <= remaining_s
        assert tries < TRIES
    else:
        assert got.wait_s == 0


def test_a_model_that_wants_the_request_otherwise_is_asked_again_for_a_few_things():
    wants = errors.UpstreamWants("no")
    wants.anew = True
    kinds = [
        next_move(wants, tries=tries, timeouts=0, remaining_s=60.0, jitter=0.5).kind
        for tries in range(1, 8)
    ]
    assert kinds == ["retry"] * 5 + ["next", "next"]
    wants.anew = False
    assert next_move(wants, tries=1, timeouts=0, remaining_s=60.0, jitter=0.5).kind == "next"


def test_what_was_said_otherwise_has_no_part_in_what_the_client_is_told():
    mended, last = errors.UpstreamWants("temperature"), errors.UpstreamRejected("tools")
    mended.anew = True
    assert summary([mended, last]) is last
    assert summary([mended]) is mended
