"""The parts of the load programs: what a client reads, what the upstream plays, how figures are shown."""

from __future__ import annotations

import asyncio
import json
import time

import aiohttp
import pytest

from openfusion_auto.config.pool import load_pool
from openfusion_auto.core.recipes.prompts import JUDGE as JUDGE_PROMPT
from openfusion_auto.core.recipes.prompts import VERIFY as VERIFY_PROMPT
from openfusion_auto.core.tokens import BYTES_PER_TOKEN
from openfusion_auto.runtime.session import session_hash
from tests.load import books
from tests.load.ask import Answer, Seen, Used, Want, ask, judge
from tests.load.mixed import session_name
from tests.load.rig import (
    DIALECTS,
    MODELS,
    Row,
    becomes,
    nano_usd,
    pool_text,
    slope,
    state,
    table,
    upstream,
)
from tests.load.streams import Load, Stream
from tests.load.upstream import FAULTS, JUDGE, REVIEWER, read_journal, tokens_of

SOURCES = [(d, s, k) for d in DIALECTS for s in (True, False) for k in ("text", "tool", "result")]


def want(id_="r1", surface="chat", stream=True, kind="text", **more):
    return Want(id_, surface, stream, kind, "s", **more)


async def asked(url, *wants):
    """Ask an upstream itself: it takes a router's requests, so it takes a client's."""
    async with aiohttp.ClientSession() as http:
        return [await ask(http, url, w) for w in wants]


def test_what_is_assumed_of_the_product_is_so(tmp_path):
    assert REVIEWER.decode() in VERIFY_PROMPT
    assert JUDGE.decode() in JUDGE_PROMPT
    assert session_name("ring-1") == session_hash("id:ring-1")
    assert books.BYTES_PER_TOKEN == BYTES_PER_TOKEN
    path = tmp_path / "pool.toml"
    path.write_text(pool_text(), encoding="utf-8")
    assert {c.id for c in load_pool(path).candidates} == set(MODELS)


def test_money_is_counted_in_whole_numbers():
    assert nano_usd("load/chat-b", 1_000_000, 0) == 500_000_000
    assert nano_usd("chat-a", 3, 5) == 3 * 100 + 5 * 400


def test_the_upstream_answers_all_dialects_and_its_meter_has_every_call(tmp_path):
    used = Used("call_1", "lookup", '{"path": "src/part_1.py", "number": 1}')
    with upstream(tmp_path, 0.0, 1) as up:
        wants = [
            want(f"r{n}", d, s, k, used=used if k == "result" else None)
            for n, (d, s, k) in enumerate(SOURCES)
        ]
        seen = asyncio.run(asked(up.url, *wants))
        # A call is written down when it has ended, which its client may see before.
        assert becomes(lambda: state(up)["open"] == 0, 30.0)
    assert [s.outcome for s in seen] == ["ok"] * len(wants)
    assert all(bool(s.calls) == (s.want.kind == "tool") for s in seen)
    calls = read_journal(tmp_path / "journal.jsonl")
    assert [c.asked for c in calls] == [w.id for w in wants]
    assert all(c.whole and c.sent and not c.fault for c in calls)
    # Chat's streams tell tokens when they are asked to, as the router asks.
    assert {(c.dialect, c.stream) for c in calls if not c.told} == {("chat", True)}


def test_what_fails_on_purpose_is_never_taken_for_an_answer(tmp_path):
    with upstream(tmp_path, 1.0, 1) as up:
        # A stall would take its time.
        wants = [want(f"r{n}", d, s) for d in DIALECTS for s in (True, False) for n in range(6)]

        async def each():
            async with aiohttp.ClientSession() as http:
                done = (asyncio.wait_for(ask(http, up.url, w), 5) for w in wants)
                return await asyncio.gather(*done, return_exceptions=True)

        seen = asyncio.run(each())
        assert becomes(lambda: state(up)["open"] == 0, 30.0)
    assert {s.outcome for s in seen if isinstance(s, Seen)} <= {"error", "broken", "gone"}
    calls = read_journal(tmp_path / "journal.jsonl")
    assert {c.fault for c in calls} == set(FAULTS)
    assert not any(c.whole for c in calls)
    assert all(
        c.told for c in calls if c.fault == "empty" and not (c.dialect == "chat" and c.stream)
    )


@pytest.mark.parametrize(
    ("text", "ended", "failed", "outcome"),
    [
        ("7: a b /7", True, False, "ok"),
        ("7: a b", True, False, "broken"),
        ("7: a b /8", True, False, "broken"),
        ("7: a b /7", False, False, "broken"),
        ("7: a", False, True, "error"),
        ("7: a", True, True, "broken"),
        ("", True, False, "broken"),
    ],
)
def test_a_client_is_content_with_whole_answers_and_told_failures_only(
    text, ended, failed, outcome
):
    answer, seen = Answer(), Seen(want(), 0.0)
    answer.text, answer.ended, answer.failed = text, ended, failed
    judge(seen, answer)
    assert seen.outcome == outcome


@pytest.mark.parametrize(
    ("arguments", "outcome"),
    [('{"path": "src/part_3.py", "number": 3}', "ok"), ('{"path": "src/part_3.py", "number": 4}', "broken")],
)  # fmt: skip
def test_a_tool_call_must_be_the_one_that_was_made(arguments, outcome):
    answer, seen = Answer(), Seen(want(), 0.0)
    answer.ended, answer.calls = True, [["call_1", "lookup", arguments]]
    judge(seen, answer)
    assert seen.outcome == outcome


class Nothing(asyncio.Transport):
    """A connection that takes everything."""

    def write(self, data):
        """Take it."""

    def close(self):
        """Be closed."""


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
def test_chunks_are_found_however_a_stream_is_cut(size):
    sent = time.monotonic_ns() - 2_000_000
    said = b"".join(b'5a\r\ndata: {"content": " t=%020d"}\n\n\r\n' % (sent + n) for n in range(5))
    data = b"HTTP/1.1 200 OK\r\n\r\n" + said + b"0\r\n\r\n"
    load = Load(5)
    stream = Stream.__new__(Stream)
    stream.__init__(None, load)
    stream.transport = Nothing()
    for at in range(0, len(data), size):
        stream.data_received(data[at : at + size])
    stream.connection_lost(None)
    assert (load.whole, load.broken, load.most_open, len(load.delays_ms)) == (1, [], 1, 5)
    assert all(2 <= ms < 60_000 for ms in load.delays_ms)


def test_a_stream_that_lacks_a_chunk_or_its_end_is_not_whole():
    for tail in (b"0\r\n\r\n", b" t=%020d" % 1):
        load = Load(2)
        stream = Stream(None, load)
        stream.transport = Nothing()
        stream.data_received(b" t=%020d" % 1 + tail)
        stream.connection_lost(None)
        assert (load.whole, len(load.broken)) == (0, 1)


def test_a_slope_is_that_of_the_line_through_its_samples():
    assert slope([(t, 50 + t / 3600) for t in range(100)]).per_hour == pytest.approx(1.0)
    fitted = slope([(0, 1.0), (1, 3.0), (2, 1.0), (3, 3.0)])
    assert fitted.per_hour == pytest.approx(0.4 * 3600)
    assert 0.8 < fitted.spread < 1.0
    assert slope([(5.0, 7.0)]).per_hour == 0


def test_a_miss_is_shown_as_one():
    shown = table("t", [Row("a", "1", "1"), Row("b", "2", "0", good=False), Row("c", "3")])
    assert [line.split() for line in shown.splitlines()[2:5]] == [
        ["a", "1", "ok", "1"],
        ["b", "2", "MISS", "0"],
        ["c", "3"],
    ]
    assert shown.endswith("1 of 3 missed")
    assert json.dumps(tokens_of(1)) == "[301, 20]"
