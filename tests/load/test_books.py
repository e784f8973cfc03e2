"""The comparison of ledger and meter finds what is lost, double, invented or of another amount, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.load.ask import Seen, Want
from tests.load.books import Kept, Line, compare, trace_problems, traces_of
from tests.load.kill import Killed, losses
from tests.load.rig import nano_usd
from tests.load.upstream import Metered, tokens_of

WHO = {"r1": "tr_1"}


def call(number=1, **changes):
    """A good call of request r1."""
    known = Metered(
        number, "r1", "load/chat-b", "chat", True, "answer", "", True, True, 360, 1.0, 2.0
    )
    return known._replace(**changes)


def line(number=1, **changes):
    """The line of that call."""
    read, written = tokens_of(number)
    usd = nano_usd("load/chat-b", read, written) * 1e-9
    known = Line("tr_1", "primary", "load/chat-b", "ok", read, written, round(usd, 10), False)
    return known._replace(**changes)


def counted(**changes):
    """A line of a call that was cut, counted by bytes."""
    usd = nano_usd("load/chat-b", 200, 100) * 1e-9
    return line(input=200, output=100, usd=usd, estimated=True, status="upstream_broken", **changes)


def test_no_two_calls_of_a_million_tell_the_same_tokens():
    assert len({tokens_of(n) for n in range(1, 1_000_001)}) == 1_000_000


def test_what_is_in_order_is_no_problem():
    calls = [call(1), call(2, fault="cut", told=False, whole=False), call(3, fault="503", sent=0, told=False, whole=False)]  # fmt: skip
    none = {"input": None, "output": None, "usd": None}
    lines = [line(1), counted(), line(status="upstream_unavailable", **none)]
    found = compare(lines, calls, WHO)
    assert (found.problems, found.exact, found.counted, found.blank) == ([], 1, 1, 1)
    assert found.nano == nano_usd("load/chat-b", *tokens_of(1))


def test_a_cancelled_call_may_not_have_reached_the_upstream_and_then_holds_nothing():
    none = line(status="cancelled", input=None, output=None, usd=None)
    assert compare([line(), none], [call()], WHO).unreached == 1
    assert compare([line(), counted()], [call()], WHO).problems


@pytest.mark.parametrize(
    ("lines", "calls"),
    [
        ([], [call()]),
        ([line(), line()], [call()]),
        ([line(), line(2)], [call()]),
        ([line(usd=0.1)], [call()]),
        ([line(usd=None)], [call()]),
        ([line(model="load/chat-a")], [call()]),
        ([line(status="upstream_broken")], [call()]),
        ([line(trace="tr_2")], [call()]),
        ([counted()], [call()]),
        ([counted()], [call(told=False, whole=False, fault="cut", sent=10)]),
        ([line(estimated=True)], [call()]),
        ([line()], [call(asked="r2")]),
    ],
    ids=[
        "lost", "double", "invented", "dearer", "unpriced", "another model", "failed, and was not",
        "another request's", "broken, and was not", "counted more than was said", "counted, though told",
        "of a request without a trace",
    ],
)  # fmt: skip
def test_what_is_not_in_order_is_found(lines, calls):
    assert compare(lines, calls, WHO).problems


@pytest.mark.parametrize(
    ("status", "said", "right"),
    [
        ("upstream_broken", 0, True), ("cancelled", 28, True),  # pieces that were on their way
        ("upstream_broken", 7, False), ("cancelled", 100, False),
    ],
)  # fmt: skip
def test_of_what_was_said_only_a_last_piece_may_have_gone_unread(status, said, right):
    began = with_output(counted(), 0)._replace(status=status)
    cut = call(told=False, whole=False, fault="cut", sent=said)
    assert (compare([began], [cut], WHO).problems == []) is right


def with_output(counted_line, output):
    """A counted line of so many tokens of output."""
    usd = nano_usd("load/chat-b", counted_line.input, output) * 1e-9
    return counted_line._replace(output=output, usd=usd)


def seen(id_="r1", outcome="ok", trace="tr_1", **want):
    known = Want(id_, "chat", False, "text", "s", **want)
    return Seen(known, 1.0, 2.0, outcome, 200, trace)


def test_a_request_has_exactly_one_trace_that_ended_as_its_client_saw():
    kept = [Kept("tr_1", "hash", "ok", 1)]
    assert trace_problems([seen()], kept, [line()], WHO) == []
    assert trace_problems([seen(), seen("r2")], kept, [line()], {**WHO, "r2": "tr_1"})
    assert trace_problems([seen(outcome="error")], kept, [line()], WHO)
    assert trace_problems([seen()], kept, [], WHO)
    assert trace_problems([seen()], [*kept, Kept("tr_2", "hash", "ok", 0)], [line()], WHO)
    assert trace_problems([seen()], [], [], WHO)


def test_who_leaves_before_the_first_byte_is_found_by_its_session_if_it_came_at_all():
    early = seen(trace=None, outcome="left", leaves=0)
    kept = [Kept("tr_9", "hash", "cancelled", 0)]
    assert traces_of([early], kept, {"s": "hash"}) == {"r1": "tr_9"}
    assert trace_problems([early], [], [], {}) == []


# -- killed -----------------------------------------------------------------------------------------------------------


def killed_after(ms, lines=(), **changes):
    """Judge one call whose client had its answer so long before a kill."""
    answered = replace(seen("k0c1n1"), ended_s=10.0 - ms / 1000)
    done = Killed(seen=[answered], kills_s=[10.0])
    ended = call(asked="k0c1n1", ended_s=answered.ended_s - 0.01, **changes)
    return losses(list(lines), [ended], done, 0.1)


def test_of_a_killed_server_the_last_moment_may_be_missing_and_no_more():
    assert killed_after(60).problems == []
    assert killed_after(60).lost_ms == [pytest.approx(60)]
    assert len(killed_after(140).problems) == 1
    assert killed_after(140, [line()]).problems == []


def test_a_call_in_flight_when_it_was_killed_is_no_loss_unless_it_had_long_ended():
    done = Killed(seen=[seen("k0c1n1", outcome="gone")], kills_s=[10.0, 20.0])
    found = losses([], [call(asked="k0c1n1", ended_s=9.9, whole=False)], done, 0.1)
    assert (found.problems, found.in_flight) == ([], 1)
    assert losses([], [call(asked="k0c1n1", ended_s=5.0)], done, 0.1).problems


def test_what_nobody_killed_is_lost():
    done = Killed(seen=[replace(seen("k1again0"), ended_s=11.0)], kills_s=[10.0])
    assert losses([], [call(asked="k1again0")], done, 0.1).problems


def test_what_came_out_of_the_wire_after_the_kill_is_of_that_kill_and_not_of_the_next():
    done = Killed(seen=[replace(seen("k0c1n1"), ended_s=10.2)], kills_s=[10.0, 40.0])
    found = losses([], [call(asked="k0c1n1", ended_s=9.95)], done, 0.1)
    assert (found.problems, found.lost_ms) == ([], [0.0])


@pytest.mark.parametrize("lines", [[line(), line()], [line(2)], [line(usd=0.1)]])
def test_a_kill_doubles_and_invents_nothing(lines):
    assert killed_after(500, lines).problems
