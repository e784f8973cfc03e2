"""What `upstream/http.py` sends, and how it reads heads and failures; streams are tested over real sockets."""

from __future__ import annotations

import asyncio
import ssl
from types import SimpleNamespace

import aiohttp
import pytest
from aioresponses import CallbackResult, aioresponses

from openfusion_auto.errors import (
    FusionError,
    UpstreamBroken,
    UpstreamDenied,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from openfusion_auto.upstream import http
from openfusion_auto.upstream.base import Call
from openfusion_auto.upstream.http import HttpUpstream, Timeouts, translate_errors

URL = "http://127.0.0.1:9/v1/chat/completions"
BODY = b'{"model":"vendor/coder","messages":[]}'


@pytest.fixture
async def upstream():
    made = HttpUpstream(
        "relay",
        "http://127.0.0.1:9/v1/",
        dialect="chat",
        path="/chat/completions",
        headers={"Authorization": "Bearer secret-key", "X-Title": "team"},
        timeouts=Timeouts(connect_s=0.5, first_token_s=0.2, idle_s=0.2, total_s=0.5),
    )
    yield made
    await made.close()


@pytest.fixture
def mocked():
    with aioresponses() as mock:
        yield mock


def call(*, stream=False, **headers):
    return Call("vendor/coder", BODY, stream, headers)


async def whole(opened):
    try:
        return b"".join([chunk async for chunk in opened.chunks()])
    finally:
        await opened.close()
        await opened.close()


async def test_the_body_goes_out_as_it_was_rendered(upstream, mocked):
    mocked.post(URL, body=b'{"ok":1}', content_type="application/json")
    assert await whole(await upstream.open(call())) == b'{"ok":1}'
    (sent,) = mocked.requests[("POST", aiohttp.client.URL(URL))]
    assert sent.kwargs["data"] == BODY
    assert sent.kwargs["allow_redirects"] is False


async def test_headers_are_the_configured_ones_and_those_of_the_call(upstream, mocked):
    mocked.post(URL, body=b"{}", content_type="application/json")
    await whole(await upstream.open(call(**{"x-session-id": "s1"})))
    (sent,) = mocked.requests[("POST", aiohttp.client.URL(URL))]
    assert sent.kwargs["headers"] == {
        "Authorization": "Bearer secret-key",
        "X-Title": "team",
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "openfusion_auto",
        "x-session-id": "s1",
    }


async def test_headers_of_one_call_do_not_stay_for_the_next(upstream, mocked):
    mocked.post(URL, body=b"{}", content_type="application/json", repeat=True)
    await whole(await upstream.open(call(**{"x-session-id": "s1"})))
    await whole(await upstream.open(call()))
    second = mocked.requests[("POST", aiohttp.client.URL(URL))][1]
    assert "x-session-id" not in second.kwargs["headers"]


async def test_the_media_type_comes_lower_case_and_without_parameters(upstream, mocked):
    mocked.post(URL, body=b"", headers={"Content-Type": "Text/Event-Stream; charset=utf-8"})
    opened = await upstream.open(call(stream=True))
    assert opened.content_type == "text/event-stream"
    await opened.close()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (204, UpstreamBroken),
        (302, UpstreamBroken),
        (400, UpstreamRejected),
        (401, UpstreamDenied),
        (402, UpstreamDenied),
        (403, UpstreamDenied),
        (404, UpstreamRejected),
        (422, UpstreamRejected),
        (429, UpstreamRateLimited),
        (500, UpstreamOverloaded),
        (529, UpstreamOverloaded),
    ],
)
async def test_a_status_other_than_200_is_an_error_of_its_kind(upstream, mocked, status, kind):
    body = b'{"error":{"message":"wrong key sk-or-v1-0123456789abcdef0123456789abcdef"}}'
    mocked.post(URL, status=status, body=body, content_type="application/json")
    with pytest.raises(kind) as caught:
        await upstream.open(call())
    assert "0123456789abcdef" not in caught.value.message
    assert [len(sent) for sent in mocked.requests.values()] == [1]


async def test_retry_after_is_kept(upstream, mocked):
    mocked.post(URL, status=429, headers={"Retry-After": "7"}, body=b"")
    with pytest.raises(UpstreamRateLimited) as caught:
        await upstream.open(call())
    assert caught.value.retry_after_s == 7.0


async def test_an_error_body_that_cannot_be_read_leaves_its_status(upstream, mocked, monkeypatch):
    async def cut(_self, _n):
        raise aiohttp.ClientPayloadError("cut")

    monkeypatch.setattr(aiohttp.StreamReader, "read", cut)
    mocked.post(URL, status=503, body=b"{")
    with pytest.raises(UpstreamOverloaded):
        await upstream.open(call())


@pytest.mark.parametrize(
    ("foreign", "ours"),
    [
        (aiohttp.ConnectionTimeoutError("t"), UpstreamUnreachable),
        (aiohttp.ServerTimeoutError("t"), UpstreamTimeout),
        (TimeoutError(), UpstreamTimeout),
        (
            aiohttp.ClientConnectorError(
                SimpleNamespace(host="h", port=1, ssl=None), OSError(111, "refused")
            ),
            UpstreamUnreachable,
        ),
        (ssl.SSLError("bad"), UpstreamUnreachable),
        (aiohttp.ServerDisconnectedError(), UpstreamUnreachable),
        (aiohttp.ClientOSError(104, "reset"), UpstreamUnreachable),
        (aiohttp.ClientPayloadError("cut"), UpstreamBroken),
        (aiohttp.InvalidURL("no"), UpstreamBroken),
        (ConnectionResetError(), UpstreamUnreachable),
        (ValueError("bad header"), UpstreamBroken),
    ],
)
async def test_every_foreign_exception_becomes_ours(upstream, mocked, foreign, ours):
    mocked.post(URL, exception=foreign)
    with pytest.raises(FusionError) as caught:
        await upstream.open(call())
    assert type(caught.value) is ours
    assert caught.value.message.startswith("upstream relay: ")
    assert "127.0.0.1" not in caught.value.message
    assert caught.value.__suppress_context__


def test_an_exception_that_is_none_of_the_network_is_not_hidden():
    with pytest.raises(ZeroDivisionError), translate_errors("relay"):
        _ = 1 / 0


def test_our_own_errors_pass_unchanged():
    mine = UpstreamBroken("mine")
    with pytest.raises(UpstreamBroken) as caught, translate_errors("relay"):
        raise mine
    assert caught.value is mine


async def test_silence_before_the_head_is_a_timeout(upstream, mocked):
    async def never(_url, **_kwargs):
        await asyncio.Event().wait()
        return CallbackResult()

    mocked.post(URL, callback=never)
    with pytest.raises(UpstreamTimeout, match="no answer in time"):
        await upstream.open(call(stream=True))


async def test_a_body_over_the_bound_is_broken_but_a_stream_has_no_bound(
    upstream, mocked, monkeypatch
):
    monkeypatch.setattr(http, "MAX_BODY", 8)
    mocked.post(URL, body=b"123456789", content_type="application/json")
    with pytest.raises(UpstreamBroken, match="larger than 8 bytes"):
        await whole(await upstream.open(call()))
    mocked.post(URL, body=b"123456789", content_type="text/event-stream")
    assert await whole(await upstream.open(call(stream=True))) == b"123456789"


async def test_one_session_serves_all_calls_and_is_closed_with_the_upstream(upstream, mocked):
    mocked.post(URL, body=b"{}", content_type="application/json", repeat=True)
    await whole(await upstream.open(call()))
    session = upstream._session
    await whole(await upstream.open(call()))
    assert upstream._session is session
    await upstream.close()
    assert session.closed
    await upstream.close()
    await whole(await upstream.open(call()))  # a closed upstream opens a new session when asked
