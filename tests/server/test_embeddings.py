"""`POST /v1/embeddings`, over loopback: what goes up, what comes back, who is asked, what is booked."""

from __future__ import annotations

import asyncio
import base64
import json
import struct

import openai
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.types import Candidate, Pool, State
from openfusion_auto.errors import BadRequest, FusionError, ModelNotFound, NoCandidate
from openfusion_auto.server import embeddings
from openfusion_auto.server.embeddings import candidates_for, read_request, read_vectors
from tests.server.conftest import candidate, price

VECTOR = [0.25, -1.5, 3.0]


def embedder(id_="embed-a", **more):
    return candidate(
        id_,
        **{
            "roles": ["embedding"],
            "offers": ["embeddings"],
            "context_tokens": 8_000,
            "max_output_tokens": 1,
            "price_usd_per_mtok": price(0.02, 0.0),
            **more,
        },
    )


class Upstream:
    """Serves embeddings and a chat answer; `script` holds statuses or bodies for the next requests."""

    def __init__(self):
        self.asked = []  # (path, headers, raw)
        self.script = []

    async def answer(self, request):
        raw = await request.read()
        self.asked.append((request.path, dict(request.headers), raw))
        said = self.script.pop(0) if self.script else None
        if said == "hang":
            await asyncio.Event().wait()
        if isinstance(said, tuple):
            status, headers = said
            body = {"error": {"message": "no", "type": "x", "code": None}}
            return web.json_response(body, status=status, headers=headers)
        if isinstance(said, dict):
            return web.json_response({"error": said}, status=400)
        if isinstance(said, bytes):
            return web.Response(body=said, content_type="application/json")
        return web.Response(body=vectors(json.loads(raw)), content_type="application/json")

    @property
    def bodies(self):
        return [json.loads(raw) for _, _, raw in self.asked]


def vectors(body):
    """An answer with spaces and an unknown field, so that a rewritten one would show."""
    inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
    packed = base64.b64encode(struct.pack("<3f", *VECTOR)).decode()
    one = packed if body.get("encoding_format") == "base64" else VECTOR
    data = [{"object": "embedding", "index": i, "embedding": one} for i in range(len(inputs))]
    usage = {"prompt_tokens": 5 * len(inputs), "total_tokens": 5 * len(inputs)}
    told = {"object": "list", "data": data, "model": body["model"], "usage": usage, "own": 1.50}
    return json.dumps(told, indent=1).encode()


@pytest.fixture
async def upstream():
    up = Upstream()
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/embeddings", up.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        up.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        yield up
    finally:
        await runner.cleanup()


async def post(router, body, path="/embeddings", **headers):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", **headers}
    async with router.http.post(router.base + path, data=data, headers=headers) as r:
        return r.status, r.headers, await r.read()


async def told(router, body, **more):
    status, headers, raw = await post(router, body, **more)
    return status, headers, json.loads(raw)


async def traces(router):
    async with router.http.get(f"{router.base}/traces") as r:
        return (await r.json())["data"]


TWO = [candidate("coder-a"), embedder()]


# -- the relay --------------------------------------------------------------------------------------------------------


async def test_the_bytes_go_up_as_they_came_but_for_the_models_name(start_router, upstream):
    raw = '{ "input" : ["naïve", "b"],\n "model":"embed-a", "openfusion": {"trace": "none"}, "x": 1.50 }'
    async with start_router(upstream.url, candidates=TWO) as router:
        status, _, answered = await post(router, raw.encode(), Authorization="Bearer sk-client")
    ((path, headers, sent),) = upstream.asked
    assert (status, path) == (200, "/v1/embeddings")
    assert sent == '{ "input" : ["naïve", "b"],\n "model":"vendor/embed-a", "x": 1.50 }'.encode()
    assert headers["Authorization"] == "Bearer sk-upstream-secret"
    assert answered == vectors({"input": ["a", "b"], "model": "vendor/embed-a"})


async def test_the_answer_is_the_upstreams_with_the_trace_in_it(start_router, upstream):
    async with start_router(upstream.url, candidates=TWO) as router:
        status, headers, raw = await post(router, {"model": "vendor/embed-a", "input": "hi"})
        body = json.loads(raw)
        trace = await router.trace(body["openfusion"]["trace_id"])
    plain = vectors({"input": "hi", "model": "vendor/embed-a"})
    assert status == 200
    assert raw.startswith(plain.rstrip(b"\n}"))
    assert headers["x-openfusion-model"] == body["model"] == "vendor/embed-a"
    assert headers["x-openfusion-trace-id"] == trace["trace_id"]
    assert headers["x-openfusion-mode"] == body["openfusion"]["mode"] == trace["mode"] == "single"
    (line,) = body["openfusion"]["usage"]
    assert line == {
        "phase": "embeddings",
        "model": "vendor/embed-a",
        "input_tokens": 5,
        "cached_tokens": 0,
        "output_tokens": 0,
        "usd": pytest.approx(5 * 0.02e-6),
    }
    assert (trace["outcome"], trace["answered_by"]) == ("ok", "embed-a")
    assert trace["usd"] == line["usd"]
    assert trace["ms"] > 0


@pytest.mark.parametrize("name", ["openfusion/auto", "openfusion/embedding"])
async def test_auto_is_the_first_by_id_that_offers_embeddings(start_router, upstream, name):
    pool = [embedder("z-embed"), candidate("a-coder"), embedder("b-embed")]
    async with start_router(upstream.url, candidates=pool) as router:
        status, _, body = await told(router, {"model": name, "input": "hi"})
    assert (status, body["model"]) == (200, "vendor/b-embed")


async def test_the_full_trace_and_the_asked_name_come_where_they_are_asked_for(
    start_router, upstream
):
    asked = {"model": "openfusion/auto", "input": "hi", "openfusion": {"trace": "full"}}
    async with start_router(
        upstream.url, candidates=TWO, server={"report_model": "requested"}
    ) as router:
        _, headers, body = await told(router, asked)
    assert body["model"] == "openfusion/auto"
    assert headers["x-openfusion-model"] == "vendor/embed-a"
    assert body["openfusion"]["object"] == "openfusion.trace"


@pytest.mark.parametrize("root", ["/api/v1", "/v1/v1", ""])
async def test_every_root_serves_it(start_router, upstream, root):
    async with start_router(upstream.url, candidates=TWO) as router:
        url = f"{router.root}{root}/embeddings"
        async with router.http.post(url, json={"model": "embed-a", "input": "hi"}) as r:
            assert r.status == 200


async def test_an_answer_without_usage_is_booked_by_its_bytes(start_router, upstream):
    upstream.script = [b'{"data": []}']
    asked = {"model": "embed-a", "input": "four words of text"}
    async with start_router(upstream.url, candidates=TWO) as router:
        _, _, body = await told(router, asked)
    (line,) = body["openfusion"]["usage"]
    assert line["estimated"] is True
    assert 0 < line["input_tokens"] < 60


async def test_what_the_upstream_bills_is_believed(start_router, upstream):
    told = json.loads(vectors({"model": "m", "input": "x"}))
    told["usage"]["cost"] = 0.0042
    upstream.script.append(json.dumps(told).encode())
    async with start_router(upstream.url, candidates=[embedder()], offers=["provider"]) as router:
        body = json.dumps({"model": "embed-a", "input": "x"}).encode()
        status, _, raw = await router.post("/v1/embeddings", body)
        assert status == 200, raw
        (line,) = json.loads(raw)["openfusion"]["usage"]
        assert (line["usd"], line["billed"]) == (0.0042, True)


async def test_a_large_answer_comes_whole(start_router, upstream):
    asked = {"model": "embed-a", "input": ["x"] * 20_000, "encoding_format": "base64"}
    async with start_router(upstream.url, candidates=TWO) as router:
        status, _, body = await told(router, asked)
    assert status == 200
    assert len(body["data"]) == 20_000
    assert body["openfusion"]["usage"][0]["input_tokens"] == 100_000


async def test_the_official_package_reads_the_vectors(start_router, upstream):
    async with (
        start_router(upstream.url, candidates=TWO) as router,
        openai.AsyncOpenAI(base_url=router.base, api_key="sk-any", max_retries=0) as sdk,
    ):
        answer = await sdk.embeddings.create(model="openfusion/auto", input=["a", "b"])
        with pytest.raises(openai.NotFoundError):
            await sdk.embeddings.create(model="coder-a", input="a")
    assert [row.embedding for row in answer.data] == [VECTOR, VECTOR]
    assert answer.usage.prompt_tokens == 10
    assert answer.model_extra["openfusion"]["attempts"] == [
        {"candidate": "embed-a", "status": "ok"}
    ]
    assert upstream.bodies[0]["encoding_format"] == "base64"


# -- errors -----------------------------------------------------------------------------------------------------------


async def test_without_one_configured_the_404_says_what_to_configure(start_router, upstream):
    async with start_router(upstream.url) as router:
        status, _, body = await told(router, {"model": "openfusion/auto", "input": "hi"})
    assert status == 404
    assert body["error"]["code"] == "model_not_found"
    assert 'offers = ["embeddings"]' in body["error"]["message"]
    assert upstream.asked == []


@pytest.mark.parametrize("name", ["coder-a", "openfusion/coder", "text-embedding-3-small"])
async def test_another_model_is_a_404_that_lists_who_can(start_router, upstream, name):
    async with start_router(upstream.url, candidates=TWO) as router:
        status, _, body = await told(router, {"model": name, "input": "hi"})
    assert (status, body["error"]["param"]) == (404, "model")
    assert "embed-a" in body["error"]["message"]


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        (b"[1]", None, "invalid_json"),
        (b"{", None, "invalid_json"),
        ({"input": "hi"}, "model", "missing_required_parameter"),
        ({"model": "embed-a"}, "input", "missing_required_parameter"),
        ({"model": "embed-a", "input": None}, "input", "missing_required_parameter"),
        ({"model": "embed-a", "input": "a", "base_url": "http://x"}, "base_url", "forbidden_field"),
        ({"model": "embed-a", "input": "a", "openfusion": {"oops": 1}}, "openfusion", None),
    ],
)
async def test_a_wrong_request_is_refused_before_any_call(
    start_router, upstream, body, param, code
):
    async with start_router(upstream.url, candidates=TWO) as router:
        status, _, said = await told(router, body)
    assert (status, said["error"]["param"]) == (400, param)
    assert code is None or said["error"]["code"] == code
    assert upstream.asked == []


async def test_a_wrong_key_is_refused(start_router, upstream):
    async with start_router(upstream.url, candidates=TWO, client_keys="sk-right") as router:
        status, _, _ = await told(router, {"model": "embed-a", "input": "hi"})
    assert (status, upstream.asked) == (401, [])


async def test_a_rate_limit_keeps_its_wait_and_its_trace(start_router, upstream):
    upstream.script = [(429, {"Retry-After": "77"})]
    async with start_router(upstream.url, candidates=TWO) as router:
        status, headers, body = await told(router, {"model": "embed-a", "input": "hi"})
        (trace,) = await traces(router)
    assert (status, headers["Retry-After"]) == (429, "77")
    assert body["error"]["type"] == "rate_limit_error"
    assert trace["trace_id"] == headers["x-openfusion-trace-id"]
    assert trace["attempts"] == [{"candidate": "embed-a", "status": "rate_limit_exceeded"}]
    assert trace["outcome"] == "error"


async def test_a_failure_told_with_status_200_is_what_its_status_would_be(start_router, upstream):
    too_long = {"code": "context_length_exceeded", "message": "9000 tokens > 8000 maximum"}
    limited = {"code": 429, "message": "Please try again in 7s."}
    upstream.script += [json.dumps({"error": e}).encode() for e in (too_long, limited)]
    async with start_router(upstream.url, candidates=TWO) as router:
        status, _, body = await told(router, {"model": "embed-a", "input": "hi"})
        assert (status, body["error"]["code"]) == (400, "context_length_exceeded")
        assert router.engine.means.live.may_call("embed-a")
        status, headers, _ = await told(router, {"model": "embed-a", "input": "hi"})
        assert (status, headers["Retry-After"]) == (429, "7")
        calls = [t.attempts[0].usd for t in router.engine.traces.latest(2)]
    assert calls == [None, None]


async def test_a_passing_fault_is_tried_again(start_router, upstream):
    upstream.script = [(500, {})]
    async with start_router(upstream.url, candidates=TWO) as router:
        status, _, body = await told(router, {"model": "embed-a", "input": "hi"})
    assert status == 200
    assert len(body["openfusion"]["attempts"]) == 2


async def test_only_candidates_of_the_same_model_stand_in(start_router, upstream):
    pool = [embedder("embed-a"), embedder("embed-b"), embedder("embed-c", model="vendor/embed-a")]
    upstream.script = [(401, {}), (401, {})]
    async with start_router(upstream.url, candidates=pool) as router:
        status, _, body = await told(router, {"model": "vendor/embed-a", "input": "hi"})
    assert (status, body["error"]["code"]) == (502, "upstream_denied")
    assert {b["model"] for b in upstream.bodies} == {"vendor/embed-a"}


@pytest.mark.parametrize(
    "junk", [b"<html>", b"[]", b'{"data": {}}', b'{"error": {"code": "model_overloaded"}}', b""]
)
async def test_an_answer_without_vectors_is_a_502(start_router, upstream, junk):
    upstream.script = [junk, junk]  # asked once more, as nobody else is left
    async with start_router(upstream.url, candidates=TWO) as router:
        status, _, body = await told(router, {"model": "embed-a", "input": "hi"})
    assert (status, body["error"]["code"]) == (502, "upstream_broken")


async def test_a_budget_is_kept_before_any_call(start_router, upstream):
    asked = {"model": "embed-a", "input": "word " * 2000, "openfusion": {"max_usd": 1e-6}}
    async with start_router(upstream.url, candidates=TWO) as router:
        status, _, body = await told(router, asked)
        fits = {**asked, "openfusion": {"max_usd": 0.01}}
        assert (await told(router, fits))[0] == 200
        over = {**asked, "openfusion": {"max_calls": 13}}
        assert (await told(router, over))[2]["error"]["code"] == "limit_exceeded"
    assert (status, body["error"]["code"]) == (400, "budget_exceeded")
    assert len(upstream.asked) == 1


async def test_openrouters_fields_go_only_where_they_are_taken(start_router, upstream):
    extra = {"provider": {"sort": "price"}, "session_id": "s"}
    for offers, kept in (((), {}), (("provider", "session_id"), extra)):
        async with start_router(upstream.url, candidates=TWO, offers=offers) as router:
            _, _, answer = await told(router, {"model": "embed-a", "input": "x", **extra, "openfusion": {"trace": "full"}})  # fmt: skip
        sent = upstream.bodies[-1]
        assert sent == {"model": "vendor/embed-a", "input": "x", **kept}
        (attempt,) = answer["openfusion"]["attempts"]
        assert attempt["lost"] == ([] if kept else ["field provider.sort"])


async def test_what_provider_demands_and_cannot_be_held_is_refused_before_any_call(
    start_router, upstream
):
    async with start_router(upstream.url, candidates=TWO) as router:
        for demand in ({"data_collection": "deny"}, {"ignore": ["relay"]}):
            body = {"model": "embed-a", "input": "x", "provider": demand}
            status, _, answer = await told(router, body)
            assert (status, answer["error"]["code"]) == (400, "no_eligible_candidate")
    assert upstream.asked == []


async def test_a_dry_run_makes_no_vector_up(start_router, upstream):
    async with start_router(upstream.url, candidates=TWO, dry_run=True) as router:
        status, _, body = await told(router, {"model": "embed-a", "input": "hi"})
    assert (status, body["error"]["code"]) == (503, "dry_run")


async def test_a_client_that_leaves_is_booked_as_cancelled(start_router, upstream):
    upstream.script = ["hang"]
    async with start_router(upstream.url, candidates=TWO) as router:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(post(router, {"model": "embed-a", "input": "hi"}), 0.3)
        async with asyncio.timeout(30):
            while (await traces(router))[0]["outcome"] == "running":
                await asyncio.sleep(0.01)
        (trace,) = await traces(router)
    assert trace["outcome"] == "cancelled"
    assert trace["attempts"] == [{"candidate": "embed-a", "status": "cancelled"}]


async def test_a_defect_of_ours_is_an_error_in_the_trace(start_router, upstream, monkeypatch):
    def broken(_raw):
        raise ZeroDivisionError

    monkeypatch.setattr(embeddings, "read_vectors", broken)
    async with start_router(upstream.url, candidates=TWO) as router:
        status, _, body = await told(router, {"model": "embed-a", "input": "hi"})
        (trace,) = await traces(router)
    assert (status, body["error"]["code"]) == (500, "internal_error")
    assert trace["outcome"] == "error"


# -- chat and embeddings keep apart -----------------------------------------------------------------------------------


@pytest.mark.parametrize("roles", [["embedding"], []])
async def test_no_conversation_is_sent_to_an_embedding_model(start_router, upstream, roles):
    only = [embedder(roles=roles)]
    async with start_router(upstream.url, candidates=only) as router:
        status, _, body = await router.chat(
            {"model": "openfusion/auto", "messages": [{"role": "user", "content": "Hi"}]}
        )
    assert status == 503
    assert "it makes embeddings" in body["error"]["message"]
    assert upstream.asked == []


# -- the parts --------------------------------------------------------------------------------------------------------

CANDIDATES = st.lists(
    st.builds(
        Candidate,
        id=st.sampled_from("abcdef"),
        upstream=st.sampled_from(["one", "two"]),
        model=st.sampled_from(["m", "n"]),
        offers=st.sampled_from([(), ("embeddings",), ("embeddings", "tools"), ("tools",)]),
    ),
    unique_by=lambda c: c.id,
).map(lambda found: tuple(sorted(found, key=lambda c: c.id)))


@given(
    CANDIDATES,
    st.sampled_from(["a", "m", "openfusion/auto", "zz"]),
    st.sets(st.sampled_from(["one", "two"])),
)
def test_who_is_asked_offers_embeddings_is_ready_and_of_one_model(pool, name, down):
    state = State(unready=dict.fromkeys(down, "no key"))
    able = [c for c in pool if "embeddings" in c.offers]
    named = [
        c for c in able if name in (c.id, c.model, "openfusion/auto") or name.startswith("open")
    ]
    try:
        found = candidates_for(name, Pool(pool), state)
    except NoCandidate:
        assert named
        assert all(c.upstream in down for c in named)
    except ModelNotFound:
        assert not named
    else:
        ready = [c for c in named if c.upstream not in down]
        assert found[0] == ready[0]
        assert list(found) == [c for c in ready if c.model == ready[0].model]


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_junk_is_refused_by_kind(raw):
    for read, kind in ((read_request, BadRequest), (read_vectors, FusionError)):
        with pytest.raises(kind):
            read(raw)


@pytest.mark.parametrize("count", [True, -1, "5", None, 1.5, 0, 10**30])
def test_usage_that_is_no_count_is_unknown(count):
    raw = json.dumps({"data": [], "usage": {"prompt_tokens": count}}).encode()
    assert read_vectors(raw).usage is None


async def test_what_cannot_be_said_otherwise_is_not_asked_again(start_router, upstream):
    refusal = {"message": "no 'user'", "param": "user", "code": "unsupported_parameter"}
    upstream.script = [refusal] * 9
    async with start_router(upstream.url, candidates=TWO) as router:
        status, _, body = await told(router, {"model": "embed-a", "input": "x", "user": "u"})
    assert (status, body["error"]["param"], len(upstream.asked)) == (400, "user", 1)
