"""A second call beside a silent one, over real sockets: who answers, what the other one leaves, and when there is none."""

import asyncio
import json

import pytest

from openfusion_auto.config.keyfile import Wish
from openfusion_auto.core.limits import to_units
from openfusion_auto.errors import UpstreamOverloaded
from openfusion_auto.runtime.caller import worst_case
from openfusion_auto.runtime.hedge import ACCOUNT
from openfusion_auto.runtime.limits import SERVER
from openfusion_auto.server.keys import LIMITER, LIVE
from openfusion_auto.wire.chat_request import parse_request
from tests.server.conftest import FOUR
from tests.server.dialects import DIALECTS, PATHS, Says, Scripted, heard, request_for
from tests.server.live import send, serving
from tests.server.test_keyring import SURFACES, body, keyed, slow
from tests.server.test_limits import until
from tests.server.test_slots import taken

CHAT = "/chat/completions"
NEVER = "gate:never:ok"  # who is not cut hangs its test
HEDGE = {
    "enabled": True,
    "quantile": 0.0,
    "after_s": 0.2,
    "whole_after_s": 0.2,
    "max_share": 1.0,
    "max_usd_per_day": 100.0,
}
PATIENT_S = 20.0
QUICK = {**HEDGE, "after_s": 0.05, "whole_after_s": 0.05}
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
PATH = pytest.mark.parametrize("path", SURFACES)
SOME = pytest.mark.parametrize(
    ("path", "stream"),
    [(CHAT, False), ("/messages", True), ("/responses", True)],
)


def hedging(folder, **tables):
    tables = {"hedge": HEDGE, "auto": {"mode": "single"}, **tables}
    return serving(folder, candidates=FOUR, **tables)


def models(router):
    """The candidates that the upstream was asked for, in order."""
    return [r.body["model"].removeprefix("vendor/") for r in router.up.requests]


async def told_when(router, path, stream, *gates):
    """Send a request; when both calls are out, open gates in turn, each when the call before has ended."""
    visit = asyncio.create_task(send(router, body(path, stream=stream), path=path))
    await until(lambda: len(router.up.requests) == 2, PATIENT_S)
    for number, gate in enumerate(gates):
        await until(lambda n=number: not n or ended_calls(router) >= n, PATIENT_S)
        router.up.gates[gate].set()
    return await visit


def ended_calls(router):
    return sum(a.status != "running" for a in trace_of(router).attempts)


def said(reply, stream, path=CHAT):
    """The text of an answer as a client of its dialect reads it."""
    dialect = next(d for d, p in PATHS.items() if p == path)
    return heard(dialect, reply.raw, streamed=stream).text


def trace_of(router):
    return router.engine.traces.latest(1)[0]


def ended(trace):
    return [(a.phase, a.candidate, a.error or a.status) for a in trace.attempts]


async def settled(router):
    """Wait until no call is out and no place is taken, and check that none is."""
    await until(lambda: not router.up.open_now and not taken(router), PATIENT_S)
    assert router.app[LIVE].streams == {}
    assert taken(router) == {}


@STREAM
@PATH
async def test_the_second_answers_where_the_first_stays_silent(tmp_path, path, stream):
    async with hedging(tmp_path) as router:
        router.up.script = [NEVER, "say:second speaks"]
        reply = await send(router, body(path, stream=stream), path=path)
        assert reply.status == 200
        assert said(reply, stream, path) == "second speaks"
        assert "fine" not in reply.shown
        first, second = models(router)
        assert first != second
        assert reply.headers["x-openfusion-model"] == f"vendor/{second}"
        await until(lambda: len(router.up.hung_up) == 1, PATIENT_S)  # the first was cut
        assert router.up.hung_up[0].request is router.up.requests[0]
        trace = trace_of(router)
        assert ended(trace) == [("primary", first, "cancelled"), ("hedge", second, "ok")]
        assert (trace.answered_by, trace.answered_phase) == (second, "hedge")
        told = (await router.trace(trace.id))["hedge"]
        assert told == {
            "first": first, "second": second, "after_ms": 200.0, "won": second,
            "rule": "hedge.after_s" if stream else "hedge.whole_after_s",
        }  # fmt: skip
        await settled(router)


@STREAM
@pytest.mark.parametrize("upstream", DIALECTS)
async def test_in_every_dialect_of_an_upstream_the_bytes_of_one_answer_go_out(
    start_router, upstream, stream
):
    """Client and upstream speak the same: relayed as it came. The silent one has sent its head already."""
    hedge = {"hedge": HEDGE, "auto": {"mode": "single"}}
    calls = (("function", "edit", '{"path": "a"}', "call_1"),)
    async with (
        Scripted(upstream) as up,
        start_router(up.url, dialect=upstream, candidates=FOUR, **hedge) as router,
    ):
        up.script += [Says("of the first", sleep_s=60.0), Says("of the second", calls=calls)]
        asked = request_for(upstream, "hi", tools=True) | {"stream": stream}
        status, _, raw = await router.post("/v1" + PATHS[upstream], asked)
        found = heard(upstream, raw, streamed=stream)
        assert (status, found.text) == (200, "of the second")
        assert [json.loads(given) for _, _, given, _ in found.calls] == [{"path": "a"}]
        assert found.trace["hedge"]["won"] == found.trace["hedge"]["second"]
        assert b"of the first" not in raw
        assert [a["status"] for a in found.trace["attempts"]] == ["cancelled", "ok"]


@STREAM
@PATH
async def test_the_first_answers_when_it_speaks_before_the_second(tmp_path, path, stream):
    async with hedging(tmp_path) as router:
        router.up.script = ["gate:a:say:first speaks", NEVER]
        reply = await told_when(router, path, stream, "a")
        assert reply.status == 200
        assert said(reply, stream, path) == "first speaks"
        first, second = models(router)
        assert reply.headers["x-openfusion-model"] == f"vendor/{first}"
        trace = trace_of(router)
        assert ended(trace) == [("primary", first, "ok"), ("hedge", second, "cancelled")]
        assert (trace.answered_by, trace.hedge.won) == (first, first)
        await until(lambda: len(router.up.hung_up) == 1, PATIENT_S)
        await settled(router)


@SOME
async def test_who_speaks_in_time_is_alone(tmp_path, path, stream):
    async with hedging(tmp_path, hedge={**HEDGE, "after_s": 30.0, "whole_after_s": 30.0}) as router:
        reply = await send(router, slow(path, 0.3, stream=stream), path=path)
        assert said(reply, stream, path) == "fine"
        trace = trace_of(router)
        assert [(a.phase, a.status) for a in trace.attempts] == [("primary", "ok")]
        assert trace.hedge is None
        await settled(router)


@SOME
async def test_when_the_first_fails_meanwhile_the_second_goes_on(tmp_path, path, stream):
    async with hedging(tmp_path) as router:
        router.up.script = ["gate:a:F15", "gate:b:say:second speaks"]
        reply = await told_when(router, path, stream, "a", "b")
        assert reply.status == 200
        assert said(reply, stream, path) == "second speaks"
        first, second = models(router)
        assert ended(trace_of(router)) == [
            ("primary", first, "upstream_unavailable"),
            ("hedge", second, "ok"),
        ]
        await settled(router)


@SOME
async def test_when_the_second_fails_the_first_goes_on(tmp_path, path, stream):
    async with hedging(tmp_path) as router:
        router.up.script = ["gate:a:say:first speaks", "gate:b:F15"]
        reply = await told_when(router, path, stream, "b", "a")
        assert reply.status == 200
        assert said(reply, stream, path) == "first speaks"
        first, second = models(router)
        trace = trace_of(router)
        assert ended(trace) == [
            ("primary", first, "ok"),
            ("hedge", second, "upstream_unavailable"),
        ]
        assert trace.hedge.won == first
        await settled(router)


@SOME
async def test_when_both_fail_the_others_are_asked_and_neither_again(tmp_path, path, stream):
    async with hedging(tmp_path) as router:
        router.up.script = ["gate:a:F31", "gate:b:F31", "say:third speaks"]
        reply = await told_when(router, path, stream, "a", "b")
        assert reply.status == 200
        assert said(reply, stream, path) == "third speaks"
        assert len(set(models(router))) == 3
        assert [(a.phase, a.error or a.status) for a in trace_of(router).attempts] == [
            ("primary", "upstream_broken"),
            ("hedge", "upstream_broken"),
            ("primary", "ok"),
        ]
        await settled(router)


@SOME
async def test_when_everybody_fails_it_is_one_error(tmp_path, path, stream):
    async with hedging(tmp_path) as router:
        router.up.script = ["gate:a:F31", "gate:b:F31", "F31", "F31", "F31"]
        reply = await told_when(router, path, stream, "a", "b")
        assert reply.status == 502
        assert reply.kind == "application/json"
        assert reply.body["error"]["message"]
        trace = trace_of(router)
        assert (trace.outcome, trace.hedge.won) == ("error", None)
        asked = models(router)
        assert len(set(asked)) == 4
        assert (
            asked[3] == asked[4]
        )  # the last one who is left is asked once more for a broken answer
        await settled(router)


@PATH
async def test_a_stream_that_breaks_after_its_first_word_is_not_mended_by_the_other(tmp_path, path):
    async with hedging(tmp_path) as router:
        router.up.script = [NEVER, "F63"]
        reply = await send(router, body(path, stream=True), path=path)
        assert reply.status == 200
        assert b"error" in reply.raw or b"response.failed" in reply.raw
        trace = trace_of(router)
        assert [a.error or a.status for a in trace.attempts] == ["cancelled", "upstream_broken"]
        assert trace.outcome == "error"
        await settled(router)


@SOME
async def test_a_client_that_leaves_ends_both(tmp_path, path, stream):
    limits = {"max_concurrent": 3, "usd_per_day": 50.0, "usd_per_session": 20.0}
    async with keyed(
        tmp_path, Wish("ci", concurrent=3), candidates=FOUR, limits=limits, hedge=HEDGE,
        auto={"mode": "single"},
    ) as (router, texts):  # fmt: skip
        router.up.script = [NEVER, NEVER]
        visit = asyncio.create_task(
            send(router, body(path, stream=stream), path=path, key=texts["ci"])
        )
        await until(lambda: len(router.up.requests) == 2, PATIENT_S)
        assert taken(router)[ACCOUNT][1] > 0  # the second one's worst case is held
        visit.cancel()
        await until(lambda: len(router.up.hung_up) == 2, PATIENT_S)
        await settled(router)
        trace = trace_of(router)
        assert [a.status for a in trace.attempts] == ["cancelled", "cancelled"]
        assert (trace.outcome, trace.hedge.won) == ("cancelled", None)
        assert len(router.engine.means.books.store.spend(0.0)) == 2


# -- when there is none ----------------------------------------------------------------------------------------------

TOOL_TURN = [
    {"role": "user", "content": "[[sleep:0.3]] Run the tests"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "run", "arguments": "{}"}}
        ],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "3 passed"},
]
RUN = {"type": "function", "function": {"name": "run", "parameters": {"type": "object"}}}
ALONE = {
    "a tool turn": {"messages": TOOL_TURN, "tools": [RUN]},
    "one named": {"model": "coder-a"},
    "a panel": {"openfusion": {"mode": "panel"}},
    "a check": {"openfusion": {"mode": "verify"}},
    "one call": {"openfusion": {"max_calls": 1}},
    "one candidate": {"openfusion": {"candidates": ["coder-a"]}},
}


@pytest.mark.parametrize("name", ALONE)
async def test_no_second_call_beside(tmp_path, name):
    async with hedging(tmp_path, hedge=QUICK) as router:
        reply = await send(router, slow(CHAT, 0.3, stream=True) | ALONE[name])
        assert reply.status == 200
        trace = trace_of(router)
        assert trace.hedge is None
        assert "hedge" not in [a.phase for a in trace.attempts]
        await settled(router)


async def test_not_without_being_asked_for(tmp_path):
    async with serving(tmp_path, candidates=FOUR, auto={"mode": "single"}) as router:
        assert router.engine.means.hedger is None
        await send(router, slow(CHAT, 0.3, stream=True))
        assert len(trace_of(router).attempts) == 1


async def refused(router, asked):
    """Send a request whose first call is silent until a second one has been refused."""
    router.up.script = ["gate:a:say:first speaks"]
    visit = asyncio.create_task(send(router, asked))
    await until(lambda: router.up.requests and trace_of(router).notes, PATIENT_S)
    router.up.gates["a"].set()
    reply = await visit
    assert len(trace_of(router).attempts) == 1
    return reply


@STREAM
@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ({"max_share": 0.1}, "hedge.max_share is used up"),
        ({"max_usd_per_day": 1e-6}, "hedge.max_usd_per_day is used up"),
    ],
)
async def test_a_budget_that_is_used_up_refuses_and_says_so(tmp_path, setting, why, stream):
    async with hedging(tmp_path, hedge={**QUICK, **setting}) as router:
        reply = await refused(router, body(CHAT, stream=stream))
        assert said(reply, stream) == "first speaks"
        assert trace_of(router).notes[-1].endswith(f"no second call: {why}")
        await settled(router)


async def test_no_second_call_where_the_others_rest(tmp_path):
    async with hedging(tmp_path, hedge={**HEDGE, "whole_after_s": 2.0}) as router:
        visit = asyncio.create_task(refused(router, body(CHAT)))
        await until(lambda: router.up.requests, PATIENT_S)
        for other in {c["id"] for c in FOUR} - set(models(router)):
            for _ in range(3):
                router.engine.means.live.failed(other, UpstreamOverloaded("down"))
        assert (await visit).status == 200
        assert "breakers are not closed" in trace_of(router).notes[-1]


async def test_a_request_without_money_for_a_second_call_has_none(tmp_path):
    async with hedging(tmp_path, hedge=QUICK) as router:
        asked = body(CHAT, max_tokens=100)
        prompt = parse_request(json.dumps(asked).encode())
        most = worst_case(prompt, router.engine.means.pool.get("coder-a"))
        reply = await refused(router, asked | {"openfusion": {"max_usd": most * 1.05}})
        assert reply.status == 200
        assert "does not fit what is left of the budget" in trace_of(router).notes[-1]


# -- money -----------------------------------------------------------------------------------------------------------


async def test_both_calls_are_lines_and_the_accounts_agree(tmp_path):
    limits = {"usd_per_day": 50.0}
    async with hedging(tmp_path, limits=limits, timeouts={"idle_s": 1.0}) as router:
        router.up.script = ["F73", "say:second speaks"]
        await send(router, body(CHAT, stream=True))
        # It spoke before it fell silent: it answers alone, and is the only one booked.
        assert ended(trace_of(router)) == [("primary", models(router)[0], "upstream_timeout")]
        router.up.script = [NEVER, "say:second speaks"]
        await send(router, body(CHAT))
        await settled(router)
        counters = router.app[LIMITER].counters
        traces = router.engine.traces.latest(10)
        usd = [
            a.known_usd for t in traces for a in t.attempts
        ]  # of the one that was cut its prompt
        assert sum(n for _, n in counters.spending(SERVER).day) == sum(map(to_units, usd))
        hedge = next(a for t in traces for a in t.attempts if a.phase == "hedge")
        assert hedge.usd > 0
        assert sum(n for _, n in counters.spending(ACCOUNT).day) == to_units(hedge.usd)
        lines = router.engine.means.books.store.spend(0.0)
        assert sum(line.calls for line in lines) == 3


async def test_a_second_call_that_was_cut_counts_its_prompt_in_the_budget_alone(tmp_path):
    async with hedging(tmp_path) as router:
        router.up.script = ["gate:a:say:first speaks", NEVER]
        await told_when(router, CHAT, True, "a")
        await settled(router)
        hedge = trace_of(router).attempts[1]
        assert (hedge.usage, hedge.usd) == (None, None)  # nothing of it came
        counters = router.app[LIMITER].counters
        assert sum(n for _, n in counters.spending(ACCOUNT).day) > 0


# -- learning --------------------------------------------------------------------------------------------------------


async def test_waits_are_measured_and_a_lost_one_counts_as_long_as_it_was_out(tmp_path):
    async with hedging(tmp_path) as router:
        hedger, live = router.engine.means.hedger, router.engine.means.live
        router.up.script = ["say:first speaks"]
        await send(router, body(CHAT, stream=True))
        first = models(router)[0]
        assert len(hedger._waits[first, True]) == 1
        router.up.script = [NEVER, "say:second speaks"]
        await send(router, body(CHAT, stream=True))
        first, second = models(router)[1:]
        assert hedger._waits[first, True][-1] >= 0.2
        assert hedger._waits[second, True][-1] < 0.2 + PATIENT_S
        assert live.snapshot(None).stats[first].ttft_weight > 0


async def test_a_stream_shows_one_answer_and_its_trace_names_the_hedge(tmp_path):
    async with hedging(tmp_path) as router:
        router.up.script = [NEVER, "say:second speaks"]
        reply = await send(router, body(CHAT, stream=True))
        objects = [
            json.loads(line[6:])
            for line in reply.raw.decode().splitlines()
            if line.startswith("data: {")
        ]
        second = models(router)[1]
        assert {o["model"] for o in objects} == {f"vendor/{second}"}
        assert objects[-1]["openfusion"]["hedge"] == {"second": second, "won": second}
