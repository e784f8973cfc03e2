"""`GET /metrics` and the access log over HTTP: who may read, and what a line says."""

import logging

import pytest

from tests.server.conftest import FOUR, ask
from tests.support.faulty import FaultyUpstream


async def scrape(router, **headers):
    async with router.http.get(f"{router.root}/metrics", headers=headers) as r:
        return r.status, await r.text()


async def test_metrics_count_what_was_asked(start_router):
    async with FaultyUpstream() as up, start_router(up.url, candidates=FOUR) as router:
        await router.chat(ask())
        await router.events(ask())
        await router.chat({"model": "openfusion/auto"})
        async with router.http.get(f"{router.root}/no/such/path?sk-secret") as r:
            assert r.status == 404
        status, text = await scrape(router)
    assert status == 200
    assert (
        'openfusion_requests_total{mode="single",model="openfusion/auto",outcome="ok",surface="chat"} 2.0'
        in text
    )
    assert 'openfusion_http_requests_total{route="/v1/chat/completions",status="200"} 2.0' in text
    assert 'openfusion_http_requests_total{route="/v1/chat/completions",status="400"} 1.0' in text
    assert 'openfusion_http_requests_total{route="unknown",status="404"} 1.0' in text
    assert 'openfusion_time_to_first_token_seconds_count{mode="single",surface="chat"} 1.0' in text
    assert "_created" not in text
    assert "secret" not in text


async def test_with_keys_on_metrics_need_one(start_router):
    async with FaultyUpstream() as up, start_router(up.url, client_keys="k-1") as router:
        assert (await scrape(router))[0] == 401
        assert (await scrape(router, Authorization="Bearer k-1"))[0] == 200


async def test_the_configuration_opens_them_to_this_machine_and_nothing_else(start_router):
    tables = {"metrics": {"open_on_loopback": True}}
    async with FaultyUpstream() as up, start_router(up.url, client_keys="k-1", **tables) as router:
        assert (await scrape(router))[0] == 200
        assert (await scrape(router, Host="evil.example"))[0] == 403
        async with router.http.get(f"{router.base}/models") as r:
            assert r.status == 401


async def test_a_limit_that_refuses_is_counted(start_router):
    tables = {"limits": {"requests_per_minute": 1}}
    async with FaultyUpstream() as up, start_router(up.url, **tables) as router:
        await router.chat(ask())
        assert (await router.chat(ask()))[0] == 429
        _, text = await scrape(router)
    assert 'openfusion_limits_refused_total{account="server",limit="requests"} 1.0' in text


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, "openfusion.access")
    return lambda: [r.fields for r in caplog.records if r.name == "openfusion.access"]


async def test_a_request_is_one_line(start_router, lines):
    async with FaultyUpstream() as up, start_router(up.url) as router:
        _, _, body = await router.chat(ask())
        (line,) = lines()
    assert line["trace_id"] == body["openfusion"]["trace_id"]
    assert (line["method"], line["route"], line["status"]) == ("POST", "/v1/chat/completions", 200)
    assert (line["surface"], line["outcome"], line["model"], line["mode"]) == (
        "chat",
        "ok",
        "coder-a",
        "single",
    )
    assert line["ms"] > 0
    assert line["usd"] == body["openfusion"]["usd"]


async def test_a_refusal_is_a_line_without_the_clients_words(start_router, lines, caplog):
    async with FaultyUpstream() as up, start_router(up.url, client_keys="k-1") as router:
        async with router.http.request("GET", f"{router.root}/secret-path?secret") as r:
            assert r.status == 401
        async with router.http.request("PROPFIND", f"{router.root}/v1/models") as r:
            assert r.status >= 400
    assert [(x["method"], x["route"]) for x in lines()] == [
        ("GET", "unknown"),
        ("unknown", "unknown"),
    ]
    assert "secret" not in caplog.text.lower()


@pytest.mark.parametrize(
    ("path", "header"),
    [
        ("/v1/chat/completions", "x-request-id"),
        ("/v1/responses", "x-request-id"),
        ("/v1/messages", "request-id"),
        ("/v1/embeddings", "x-request-id"),
        ("/no/such/path", "x-request-id"),
    ],
)
async def test_a_refusal_has_an_id_that_its_line_has_too(start_router, lines, path, header):
    async with FaultyUpstream() as up, start_router(up.url) as router:
        _, headers, raw = await router.post(path, b"no json")
        (line,) = lines()
    assert line["request_id"] == headers[header]
    assert (header == "request-id") is (line["request_id"] in raw.decode())


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_has_its_traces_id_where_sdks_look_for_one(start_router, streamed):
    async with FaultyUpstream() as up, start_router(up.url) as router:
        _, chat, _ = await router.post("/v1/chat/completions", ask(stream=streamed))
        _, messages, _ = await router.post("/v1/messages", ask(stream=streamed, max_tokens=9))
    assert chat["x-request-id"] == chat["x-openfusion-trace-id"]
    assert messages["request-id"] == messages["x-openfusion-trace-id"]


async def test_an_error_behind_the_gate_has_its_traces_id(start_router, lines):
    async with FaultyUpstream() as up, start_router(up.url) as router:
        status, headers, _ = await router.chat(ask("[[fault:F18]]"))
        (line,) = lines()
    assert status >= 500
    assert line["trace_id"] == headers["x-request-id"] == headers["x-openfusion-trace-id"]
    assert "request_id" not in line


async def test_without_the_level_nothing_is_written(start_router, caplog):
    caplog.set_level(logging.WARNING, "openfusion.access")
    async with FaultyUpstream() as up, start_router(up.url) as router:
        await router.chat(ask())
    assert [r for r in caplog.records if r.name == "openfusion.access"] == []
