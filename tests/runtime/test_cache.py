"""Keys, sizes, age and waiting of answers that are kept; that they reach clients is in `tests/server/test_cache.py`."""

import asyncio
import sqlite3
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Answer, Delta
from openfusion_auto.core.types import Policy
from openfusion_auto.runtime.cache import (
    Cache,
    FileShelf,
    Kept,
    MemoryShelf,
    Tape,
    packed,
    recorded,
    unpacked,
    wants,
)
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.store.answers import AnswerFile
from openfusion_auto.wire.codec import CODECS
from openfusion_auto.wire.jsons import dumps


class Time:
    def __init__(self):
        self.now = 100.0
        self.clock = Clock(now=lambda: self.now)


def shelf(time=None, *, ttl_s=60.0, most=1000):
    return MemoryShelf((time or Time()).clock, ttl_s=ttl_s, most=most)


POLICY = Policy()


def cache(most=1000, policy=POLICY):
    return Cache(shelf(), policy, max_entry=most)


def prompt(**more):
    body = {
        "model": "openfusion/auto",
        "messages": [{"role": "user", "content": "hi"}],
        "temperature": 0,
        **more,
    }
    return CODECS["chat"].parse_request(dumps(body))


def key(made=None, *, who="a", pool="p", headers=None, policy=POLICY):
    return cache(policy=policy).key(made or prompt(), who, pool, headers or {})


KEPT = Kept("chat", False, "coder-a", "primary", "vendor/coder-a", "single", "tr_1", 5.0, b"{}")  # fmt: skip

# -- which ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({}, True),
        ({"temperature": 0.0}, True),
        ({"temperature": 0.2}, False),
        ({"temperature": None}, False),
        ({"n": 2}, False),
        ({"temperature": 1, "openfusion": {"cache": True}}, True),
        ({"openfusion": {"cache": False}}, False),
    ],
)
def test_what_leaves_nothing_to_chance_is_kept_and_what_says_so(more, wanted):
    assert wants(prompt(**more)) is wanted
    assert (key(prompt(**more)) is not None) is wanted


@pytest.mark.parametrize(
    "more",
    [
        {"stream": True},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"metadata": {"run": "7"}},
        {"user": "u"},
        {"prompt_cache_key": "k"},
        {"session_id": "s"},
        {"openfusion": {"session": "s", "trace": "full", "cache": True}},
    ],
)
def test_what_cannot_change_an_answer_is_no_part_of_the_key(more):
    assert key(prompt(**more)) == key()


@pytest.mark.parametrize(
    "more",
    [
        {"model": "coder-a"},
        {"messages": [{"role": "user", "content": "hi "}]},
        {"max_tokens": 7},
        {"seed": 1},
        {"unknown": 1},
        {"openfusion": {"mode": "panel"}},
        {"openfusion": {"cost_quality": 1}},
    ],
)
def test_what_may_change_an_answer_is(more):
    assert key(prompt(**more)) != key()


def test_nobody_gets_what_another_credential_pool_policy_or_beta_header_got():
    found = [
        key(),
        key(who="b"),
        key(pool="q"),
        key(headers={"anthropic-beta": "x"}),
        key(policy=Policy(cost_quality=1)),
    ]
    assert len(set(found)) == 5


def test_a_key_is_a_digest_and_does_not_depend_on_the_order_of_fields():
    body = b'{"temperature": 0, "messages": [{"content": "hi", "role": "user"}], "model": "openfusion/auto"}'
    assert key(CODECS["chat"].parse_request(body)) == key()
    assert len(key()) == 64


@pytest.mark.parametrize("finish", ["length", "content_filter", None])
def test_an_answer_that_was_cut_or_withheld_is_not_kept(finish):
    assert recorded(Answer(raw=b"{}", finish=finish), None) is None


def test_an_answer_is_kept_as_it_came():
    deltas = (Delta(b"data: 1\n\n"), Delta(b"data: 2\n\n"))
    tape = Tape(100)
    for delta in deltas:
        tape.take(delta)
    streamed = ("chat", True, b"data: 1\n\ndata: 2\n\n")
    assert recorded(Answer(raw=b"{}", finish="stop"), tape) == ("chat", False, b"{}")
    assert recorded(Answer(deltas=deltas, finish="stop"), None) == streamed
    assert recorded(Answer(finish="tool_calls"), tape) == streamed
    assert recorded(Answer(finish="stop"), None) is None
    tape.clear()
    assert recorded(Answer(finish="stop"), tape) is None


def test_a_tape_that_is_full_gives_nothing_and_holds_nothing():
    tape = Tape(10)
    for _ in range(3):
        tape.take(Delta(b"123456"))
    assert tape.data() is None
    assert tape._parts == []


# -- sizes and age ----------------------------------------------------------------------------------------------------


@given(st.binary(max_size=50), st.text(max_size=5), st.booleans())
def test_what_is_packed_comes_back(data, name, streamed):
    kept = KEPT._replace(data=data, candidate=name, streamed=streamed, phase=None)
    assert unpacked(packed(kept)) == kept


@pytest.mark.parametrize("value", [b"", b"x\n", b"[]\n{}", b"[1]\n", b"[99, 1]\n{}", b"{}\n{}"])
def test_what_another_version_packed_is_not_there(value):
    assert unpacked(value) is None


async def test_an_answer_grows_old():
    time = Time()
    kept = shelf(time)
    kept.put("k", b"1")
    time.now += 59.9
    assert await kept.get("k") == b"1"
    time.now += 0.1
    assert await kept.get("k") is None
    assert kept.size == 0


async def test_the_one_nobody_asked_for_goes_first_and_the_size_is_held():
    kept = shelf(most=10)
    kept.put("a", b"1234")
    kept.put("b", b"1234")
    assert await kept.get("a")
    kept.put("c", b"1234")
    assert (await kept.get("a"), await kept.get("b"), await kept.get("c")) == (
        b"1234",
        None,
        b"1234",
    )
    kept.put("d", b"x" * 11)
    assert await kept.get("d") is None
    kept.put("a", b"12")
    assert kept.size == 6


async def test_an_answer_over_the_size_of_one_is_not_kept():
    small = cache(most=3)
    small.keep("k", KEPT._replace(data=b"1234"))
    async with small.turn("k") as found:
        assert found is None


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("data", [b"", b"{}", b"data: {}\n\n", b'data: {"choices": ['])
def test_what_cannot_be_read_any_more_is_no_answer(streamed, data):
    assert KEPT._replace(streamed=streamed, data=data).answer() is None


# -- waiting ----------------------------------------------------------------------------------------------------------


async def asked(kept, calls, *, fails=False, takes_s=0.01):
    async with kept.turn("k") as found:
        if found is not None:
            return found
        calls.append(1)
        await asyncio.sleep(takes_s)
        if fails:
            raise OSError
        kept.keep("k", KEPT)
        return None


async def test_who_asks_meanwhile_waits_for_the_first_and_gets_its_answer():
    kept, calls = cache(), []
    found = await asyncio.gather(*(asked(kept, calls) for _ in range(20)))
    assert len(calls) == 1
    assert found.count(KEPT) == 19
    assert not kept.busy("k")


async def test_when_nothing_comes_of_the_first_those_who_waited_go_at_once_and_do_not_queue():
    kept, calls = cache(), []
    took = asyncio.gather(
        *(asked(kept, calls, fails=True, takes_s=0.1) for _ in range(20)), return_exceptions=True
    )
    while len(calls) < 2:
        await asyncio.sleep(0)
    assert len(calls) == 20  # all that waited, in the moment in which the first one failed
    await took
    assert not kept.busy("k")


async def test_a_first_that_leaves_wakes_those_who_wait():
    kept, calls = cache(), []
    first = asyncio.create_task(asked(kept, calls))
    await asyncio.sleep(0)
    second = asyncio.create_task(asked(kept, calls))
    await asyncio.sleep(0)
    first.cancel()
    assert await second is None
    assert await asked(kept, calls) == KEPT
    assert len(calls) == 2


async def test_a_new_configuration_keeps_the_answers_under_its_own_bounds():
    before = cache()
    kept = Kept("chat", False, "coder-a", None, "m", "single", "tr_1", 1.0, b"{}")
    before.keep("k", kept)
    after = before.following(POLICY, max_entry=10, ttl_s=60.0, most=1000)
    async with after.turn("k") as found:
        assert found == kept
    after.keep("long", kept._replace(data=b"x" * 11))
    async with after.turn("long") as found:
        assert found is None
    assert after.key(prompt(), "a", "p", {}) == before.key(prompt(), "a", "p", {})
    other = before.following((POLICY, "a rule"), max_entry=10, ttl_s=60.0, most=1)
    assert other.key(prompt(), "a", "p", {}) != before.key(prompt(), "a", "p", {})
    async with other.turn("k") as found:
        assert found is None


# -- in a file --------------------------------------------------------------------------------------------------------


def filed(file):
    return FileShelf(file, shelf(), ttl_s=60.0, most=1000)


async def until(ready):
    while not ready():
        await asyncio.sleep(0.005)


async def test_a_file_is_asked_for_what_is_not_near_and_nobody_waits_for_it_to_be_written(tmp_path):
    file = AnswerFile(tmp_path / "answers.sqlite3", lambda: 1000.0)
    first, second = filed(file), filed(file)
    first.put("k", b"v")
    assert await first.get("k") == b"v"
    await asyncio.wait_for(until(lambda: file.get("k") is not None), 5)
    assert await second.get("k") == b"v"
    assert await second.get("x") is None


async def test_a_file_that_fails_is_said_once_and_memory_goes_on(caplog):
    class Broken:
        def get(self, _key):
            raise sqlite3.OperationalError("disk I/O error")

        def put(self, *_value, **_limits):
            raise OSError(28, "No space left on device")

    kept = filed(Broken())
    assert await kept.get("k") is None
    kept.put("k", b"v")
    assert (await kept.get("k"), await kept.get("x")) == (b"v", None)
    assert caplog.messages == ["kept answers are in memory alone: disk I/O error"]


async def test_a_file_that_hangs_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("openfusion_auto.runtime.cache.FILE_WAIT_S", 0.01)
    held = threading.Event()

    class Slow:
        def get(self, _key):
            held.wait(5)

    try:
        assert await filed(Slow()).get("k") is None
    finally:
        held.set()
