"""A tool call that breaks the schema its client gave: another candidate is asked once, and nobody's session ends."""

import json

import pytest

from tests.server.conftest import FOUR
from tests.server.dialects import DIALECTS, PATHS, Says, Scripted, heard, request_for
from tests.support.faulty import FaultyUpstream

BAD, GOOD = '{"path":  5, "why": "sk-in-a-call"}', '{"path":  "a.py"}'
WHY = "a call of edit breaks its schema at properties/path/type"
MISFIT, OK = ("error", "upstream_call_schema"), ("ok", None)
TWO = ["coder-a", "reasoner-a"]

# Each client's dialect before its own upstream and before another one.
OTHER = {"chat": "responses", "responses": "messages", "messages": "chat"}
pairs = pytest.mark.parametrize(
    ("client", "upstream"), [*((d, d) for d in DIALECTS), *OTHER.items()]
)
each = pytest.mark.parametrize("client", DIALECTS)
ways = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])


def calling(said, id_="call_1", *, text="", name="edit"):
    return Says(text, calls=(("function", name, said, id_),))


async def play(start_router, client, upstream, script, *, streamed, names=TWO, **tables):
    """One request; returns (what the client heard, its bytes, the full trace)."""
    body = request_for(client, "edit it", tools=True, stream=streamed)
    body["openfusion"] = {"mode": "single", "candidates": names}
    async with (
        Scripted(upstream) as up,
        start_router(up.url, dialect=upstream, candidates=FOUR, **tables) as router,
    ):
        up.script.extend(script)
        status, headers, raw = await router.post("/v1" + PATHS[client], body)
        assert status == 200, raw
        trace = await router.trace(headers["x-openfusion-trace-id"])
        breakers = {n: b.failures for n, b in router.engine.means.live.breakers().items()}
    assert trace["outcome"] == "ok"
    misfits = [a["candidate"] for a in trace["attempts"] if a["error"] == MISFIT[1]]
    assert not any(breakers.get(name) for name in misfits)
    assert "sk-in-a-call" not in json.dumps(trace)
    return heard(client, raw, streamed=streamed), raw, trace


def lines(trace):
    return [(a["status"], a["error"]) for a in trace["attempts"]]


def is_said(got, said, id_):
    """Whether the client heard one call with these arguments, which a whole message holds as an object."""
    ((_, name, arguments, called),) = got.calls
    return (name, json.loads(arguments), called) == ("edit", json.loads(said), id_)


@pairs
@ways
async def test_another_candidate_is_asked_and_the_client_sees_its_call_alone(
    start_router, client, upstream, streamed
):
    script = [calling(BAD), calling(GOOD, "call_2")]
    got, raw, trace = await play(start_router, client, upstream, script, streamed=streamed)
    assert is_said(got, GOOD, "call_2")
    assert b"sk-in-a-call" not in raw
    assert lines(trace) == [MISFIT, OK]
    failed, answered = trace["attempts"]
    assert failed["candidate"] != answered["candidate"] == trace["answered_by"]
    assert failed["detail"] == WHY
    # Both are booked with what the upstream reported.
    assert [(a["estimated"], a["usd"] > 0) for a in trace["attempts"]] == [(False, True)] * 2
    assert got.usage in ((40, 8, 14), None if client == "chat" and streamed else ())


@each
@ways
async def test_the_second_misfit_of_a_request_is_passed_on_as_it_is(start_router, client, streamed):
    script = [calling(BAD), calling(BAD, "call_2"), calling(GOOD, "call_3")]
    names = [*TWO, "verifier-a"]
    got, _, trace = await play(start_router, client, client, script, streamed=streamed, names=names)
    assert is_said(got, BAD, "call_2")
    assert lines(trace) == [MISFIT, OK]
    assert f"{trace['answered_by']}: {WHY}; passed on as it is" in trace["notes"]


@each
@ways
async def test_with_nobody_else_it_is_passed_on_as_it_is(start_router, client, streamed):
    got, raw, trace = await play(
        start_router, client, client, [calling(BAD)], streamed=streamed, names=TWO[:1]
    )
    assert is_said(got, BAD, "call_1")
    assert lines(trace) == [OK]
    assert f"coder-a: {WHY}; passed on as it is" in trace["notes"]
    if streamed:
        assert BAD.replace('"', '\\"')[:8].encode() in raw


@pairs
@ways
async def test_when_the_others_fail_the_answer_that_was_held_is_told(
    start_router, client, upstream, streamed
):
    script = [calling(BAD), *[Says(fail=503)] * 3]
    got, raw, trace = await play(start_router, client, upstream, script, streamed=streamed)
    alone, plain, _ = await play(
        start_router, client, upstream, [calling(BAD)], streamed=streamed, names=TWO[:1]
    )
    assert is_said(got, BAD, "call_1")
    assert (got.calls, got.text, got.finish) == (alone.calls, alone.text, alone.finish)
    assert lines(trace)[0] == MISFIT
    assert {code for _, code in lines(trace)[1:]} == {"upstream_unavailable"}
    first = trace["attempts"][0]["candidate"]
    assert f"{first}: {WHY}; passed on: nobody else could answer" in trace["notes"]
    if (
        client == upstream and streamed
    ):  # the same events, but for the one that bears the trace and the usage
        frames, others = raw.split(b"\n\n"), plain.split(b"\n\n")
        assert len(frames) == len(others)
        assert [f for f in frames if b"openfusion" not in f] == [
            f for f in others if b"openfusion" not in f
        ]


@each
async def test_what_has_text_before_it_is_passed_on_when_streamed_and_else_asked_anew(
    start_router, client
):
    script = [calling(BAD, text="I will."), calling(GOOD, "call_2")]
    got, _, trace = await play(start_router, client, client, script, streamed=True)
    assert (got.text, is_said(got, BAD, "call_1")) == ("I will.", True)
    assert lines(trace) == [OK]
    assert f"{trace['answered_by']}: {WHY}; passed on as it is" in trace["notes"]
    got, _, trace = await play(start_router, client, client, script, streamed=False)
    assert (got.text, is_said(got, GOOD, "call_2")) == ("", True)
    assert lines(trace) == [MISFIT, OK]


@each
@ways
async def test_live_looks_at_nothing(start_router, client, streamed):
    live = {"stream": {"tool_calls": "live"}}
    got, _, trace = await play(
        start_router, client, client, [calling(BAD)], streamed=streamed, **live
    )
    assert is_said(got, BAD, "call_1")
    assert lines(trace) == [OK]
    assert not [n for n in trace["notes"] if "schema" in n]


@each
@ways
async def test_a_tool_that_was_not_offered_is_left_as_it_is(start_router, client, streamed):
    script = [calling(BAD, name="other")]
    got, _, trace = await play(start_router, client, client, script, streamed=streamed)
    assert got.calls[0][1] == "other"
    assert lines(trace) == [OK]


@ways
async def test_a_call_in_fragments_is_held_until_it_is_judged(start_router, streamed):
    body = request_for("chat", "[[tool:edit " + BAD + "]]", tools=True, stream=streamed)
    body["openfusion"] = {"mode": "single", "candidates": TWO}
    async with FaultyUpstream() as up, start_router(up.url, candidates=FOUR) as router:
        status, headers, raw = await router.post("/v1/chat/completions", body)
        trace = await router.trace(headers["x-openfusion-trace-id"])
    assert status == 200
    assert lines(trace) == [MISFIT, OK]
    ((_, _, said, id_),) = heard("chat", raw, streamed=streamed).calls
    assert (said, id_) == (BAD, "call_2_0")  # the second answer's, byte for byte


PANEL = {"mode": "panel", "panel": ["coder-a", "fast-a", "reasoner-a"]}


async def panel(start_router, client, upstream, script, *, streamed):
    """A panel of three over tools; returns what the client heard, and the full trace."""
    body = request_for(client, "edit it", tools=True, stream=streamed, openfusion=PANEL)
    async with (
        Scripted(upstream) as up,
        start_router(up.url, dialect=upstream, candidates=FOUR) as router,
    ):
        up.script.extend(script)
        status, headers, raw = await router.post("/v1" + PATHS[client], body)
        assert status == 200, raw
        return heard(client, raw, streamed=streamed), await router.trace(
            headers["x-openfusion-trace-id"]
        )


@pairs
async def test_a_panel_of_which_no_call_fits_is_asked_again_and_goes_on(start_router, client, upstream):  # fmt: skip
    streamed = client == upstream
    script = [*[calling(BAD)] * 3, calling(GOOD, "call_9")]
    got, trace = await panel(start_router, client, upstream, script, streamed=streamed)
    assert is_said(got, GOOD, "call_9")
    assert [a["phase"] for a in trace["attempts"]] == ["member"] * 3 + ["mend"]
    assert (trace["outcome"], trace["panel"]["aggregator"]) == ("ok", "mend")
    assert {m["outcome"] for m in trace["panel"]["members"]} == {"set aside"}
    assert trace["usd"] == pytest.approx(sum(a["usd"] for a in trace["attempts"]))


@each
@pytest.mark.parametrize("last", [[calling(BAD), calling(BAD, "call_9")], [Says(fail=400)] * 2])
async def test_when_nobody_does_better_its_call_is_passed_on_and_no_session_ends(start_router, client, last):  # fmt: skip
    streamed = client != "chat"
    script = [*[calling(BAD)] * 3, *last]
    got, trace = await panel(start_router, client, client, script, streamed=streamed)
    ((_, name, arguments, _),) = got.calls
    assert (name, json.loads(arguments)) == ("edit", json.loads(BAD))
    assert trace["outcome"] == "ok"
    assert any("passed on as it is" in note for note in trace["notes"])
    assert "sk-in-a-call" not in json.dumps(trace)
