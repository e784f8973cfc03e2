"""A server whose upstream only a proxy reaches: named in `.env`, followed there, and never told to anybody."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from base64 import b64encode
from urllib.parse import urlsplit

import pytest

from tests.server.conftest import ask
from tests.server.test_follow import Place
from tests.support import tls
from tests.support.proxied import ProxyPeer
from tests.upstream.conftest import Peer, chunked, ok

LOGIN = "corp-user:canary-of-the-proxy"
ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "through"}, "finish_reason": "stop"}]}  # fmt: skip
DELTA = {"choices": [{"index": 0, "delta": {"content": "through"}}]}
END = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
STREAM = [f"data: {json.dumps(e)}\n\n".encode() for e in (DELTA, END)] + [b"data: [DONE]\n\n"]


def whole():
    return (ok(json.dumps({"model": "vendor/coder-a", **ANSWER}).encode()),)


@contextlib.asynccontextmanager
async def listening(peer, context=None):
    server = await asyncio.start_server(peer.play, "127.0.0.1", 0, ssl=context)
    peer.url = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield peer
    finally:
        server.close()


async def shown(router):
    """All that the server tells of itself."""
    told = []
    for path in ("/v1/config", "/v1/traces", "/health", "/ready", "/metrics", "/v1/models"):
        async with router.http.get(router.root + path) as r:
            told.append(await r.text())
    return "\n".join(told)


@pytest.fixture
async def relay(tmp_path, monkeypatch):
    context = tls.serving(tls.certificate(tmp_path / "tls.pem"), monkeypatch)
    async with listening(Peer(), context) as made:
        yield made


def unseen(told, caplog):
    """Check that what the proxy is shown stands nowhere."""
    everything = "".join(told) + caplog.text + "".join(str(r.__dict__) for r in caplog.records)
    for secret in ("canary-of-the-proxy", b64encode(LOGIN.encode()).decode()):
        assert secret not in everything


async def test_calls_follow_the_proxy_of_dotenv(tmp_path, relay, caplog):
    caplog.set_level(logging.DEBUG)
    relay.script = [whole(), (chunked(*STREAM),), whole()]
    place = Place(tmp_path, f"https://{tls.FAR}/v1")
    port = urlsplit(f"//{relay.url}").port
    async with listening(ProxyPeer(to=port)) as first, listening(ProxyPeer(to=port)) as second:
        place.key("sk-one", HTTPS_PROXY=f"http://{LOGIN}@{first.url}")
        async with place.serve() as router:
            status, _, answer = await router.chat(ask("one"))
            assert (status, answer["choices"][0]["message"]["content"]) == (200, "through")
            _, _, events = await router.events(ask("two"))
            assert any("through" in e for e in events)
            place.pool("coder-a")
            await place.tick()  # what changed is not the way: the connection is kept
            assert (first.connections, first.open, relay.connections) == (1, 1, 1)

            place.key("sk-one", HTTPS_PROXY=f"http://{LOGIN}@{second.url}")
            await place.tick()
            status, _, _ = await router.chat(ask("three"))
            assert (status, second.connections) == (200, 1)
            await first.settled(0)  # what was kept of the way before is closed

            place.key("sk-one", HTTPS_PROXY=f"socks5://{LOGIN}@{second.url}")
            await place.tick()
            status, _, answer = await router.chat(ask("four"))
            told = [json.dumps(answer), await shown(router)]
            assert status == 503
            assert "names a proxy of socks5://" in told[1]
    unseen(told, caplog)
    assert len(relay.requests) == 3
    assert not any(b"roxy" in r for r in relay.requests)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_proxy_that_refuses_is_told_to_the_client_without_its_password(
    tmp_path, relay, caplog, start_router, stream
):
    caplog.set_level(logging.DEBUG)
    refusal = f"HTTP/1.1 407 {LOGIN}\r\nX: {LOGIN}\r\n\r\n{LOGIN}".encode()
    async with listening(ProxyPeer(script=[(refusal,)] * 9)) as proxy:
        (tmp_path / ".env").write_text(f"HTTPS_PROXY=http://{LOGIN}@{proxy.url}\n")
        async with start_router(f"https://{tls.FAR}/v1") as router:
            status, _, answer = await router.chat({**ask("one"), "stream": stream})
            told = [json.dumps(answer), await shown(router)]
    assert status == 502
    assert "the proxy refuses the user name or the password (407)" in told[0]
    assert relay.connections == 0
    unseen(told, caplog)
