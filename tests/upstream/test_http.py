"""What `upstream/http.py` sends, and how it reads heads, bodies and failures; every fault of a whole router stands in
`tests/server/test_faults.py`."""

from __future__ import annotations

import asyncio
import errno
import gzip
import socket
import ssl

import pytest

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
from openfusion_auto.upstream import connections, http
from openfusion_auto.upstream.base import Call
from openfusion_auto.upstream.connection import ClosedEarly, Cut, NoAnswer, NotHttp, Silent
from openfusion_auto.upstream.http import HttpUpstream, Timeouts, translated
from openfusion_auto.upstream.inflate import Garbled
from tests.support.faulty import closed_url
from tests.upstream.conftest import CLOSE, RESET, STALL, chunked, ok

BODY = b'{"model":"vendor/coder","messages":[]}'
TIMEOUTS = Timeouts(connect_s=0.5, first_token_s=0.2, idle_s=0.2, total_s=0.5)


def upstream_at(url, **more):
    given = {
        "headers": {"Authorization": "Bearer secret-key", "X-Title": "team"},
        "timeouts": TIMEOUTS,
    }
    return HttpUpstream("relay", url, dialect="chat", path="/chat/completions", **{**given, **more})


@pytest.fixture
async def upstream(peer):
    made = upstream_at(peer.url + "/v1/")
    yield made
    await made.close()


def call(*, stream=False, body=BODY, **headers):
    return Call("vendor/coder", body, stream, headers)


async def whole(opened):
    try:
        return b"".join([chunk async for chunk in opened.chunks()])
    finally:
        await opened.close()
        await opened.close()


def lines(request):
    """The head's lines and the body of a request as it came."""
    head, _, body = request.partition(b"\r\n\r\n")
    return head.decode().split("\r\n"), body


# -- what goes out ---------------------------------------------------------------------------------------------------


async def test_the_body_goes_out_as_it_was_rendered(upstream, peer):
    peer.script = [(ok(b'{"ok":1}'),)]
    assert await whole(await upstream.open(call())) == b'{"ok":1}'
    head, body = lines(peer.requests[0])
    assert head[0] == "POST /v1/chat/completions HTTP/1.1"
    assert body == BODY


async def test_headers_are_the_configured_ones_and_those_of_the_call(upstream, peer):
    await whole(await upstream.open(call(**{"x-session-id": "s1"})))
    head, _ = lines(peer.requests[0])
    assert sorted(head[1:]) == sorted(
        [
            f"Host: {peer.url.removeprefix('http://')}",
            "Authorization: Bearer secret-key",
            "X-Title: team",
            "Content-Type: application/json",
            "Accept: */*",
            "Accept-Encoding: identity",
            "User-Agent: openfusion_auto",
            "x-session-id: s1",
            f"Content-Length: {len(BODY)}",
        ]
    )


async def test_headers_of_one_call_do_not_stay_for_the_next(upstream, peer):
    await whole(await upstream.open(call(**{"x-session-id": "s1"})))
    await whole(await upstream.open(call()))
    assert b"x-session-id" not in peer.requests[1]


async def test_a_calls_header_stands_for_the_configured_one_of_that_name(upstream, peer):
    await whole(await upstream.open(call(**{"x-title": "mine"})))
    assert b"x-title: mine" in peer.requests[0]
    assert b"X-Title" not in peer.requests[0]


async def test_a_header_that_would_end_its_line_is_never_sent(upstream, peer):
    for value in ("a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b"):
        with pytest.raises(UpstreamBroken, match="not one line"):
            await upstream.open(call(**{"x-session-id": value}))
    assert peer.requests == []


async def test_proxies_of_the_environment_are_not_used(upstream, peer, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert await whole(await upstream.open(call())) == b"{}"


async def test_a_path_of_its_own_stands_below_the_base(upstream, peer):
    await whole(await upstream.open(Call("m", BODY, stream=False, path="/embeddings")))
    assert peer.requests[0].startswith(b"POST /v1/embeddings HTTP/1.1\r\n")


@pytest.mark.parametrize("size", [60_000, 200_000, 3_000_000])
async def test_bodies_of_any_size_arrive_whole(upstream, peer, size):
    body = bytes(range(256)) * (size // 256)
    await whole(await upstream.open(call(body=body)))
    assert lines_of_bytes(peer.requests[0]) == body


def lines_of_bytes(request):
    return request.partition(b"\r\n\r\n")[2]


async def test_no_cookie_is_kept(upstream, peer):
    peer.script = [(ok(b"{}", "application/json", "Set-Cookie: a=b"),)]
    await whole(await upstream.open(call()))
    await whole(await upstream.open(call()))
    assert b"cookie" not in peer.requests[1].lower()


# -- heads and failures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("Text/Event-Stream; charset=utf-8", "text/event-stream"),
        ("application/json", "application/json"),
        ("junk", "application/octet-stream"),
        ("", "application/octet-stream"),
    ],
)
async def test_the_media_type_comes_lower_case_and_without_parameters(upstream, peer, given, read):
    peer.script = [(ok(b"x", given),)]
    opened = await upstream.open(call(stream=True))
    assert opened.content_type == read
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
async def test_a_status_other_than_200_is_an_error_of_its_kind(upstream, peer, status, kind):
    body = b'{"error":{"message":"wrong key sk-or-v1-0123456789abcdef0123456789abcdef"}}'
    body = b"" if status == 204 else body
    where = f"Location: {peer.url}/v1/elsewhere"
    peer.script = [(ok(body, "application/json", where).replace(b"200 OK", b"%d Oh" % status),)]
    with pytest.raises(kind) as caught:
        await upstream.open(call())
    assert "0123456789abcdef" not in caught.value.message
    assert len(peer.requests) == 1


@pytest.mark.parametrize("status", [b"201 Created", b"203 Non-Authoritative Information"])
async def test_an_answer_to_a_post_may_say_that_it_was_made(upstream, peer, status):
    peer.script = [(ok(b'{"it": 1}').replace(b"200 OK", status),)]
    assert await whole(await upstream.open(call())) == b'{"it": 1}'


async def test_retry_after_is_kept(upstream, peer):
    peer.script = [(b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n",)]
    with pytest.raises(UpstreamRateLimited) as caught:
        await upstream.open(call())
    assert caught.value.retry_after_s == 7.0


async def test_an_error_body_that_is_cut_leaves_its_status(upstream, peer):
    peer.script = [(b"HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\n{", CLOSE)]
    with pytest.raises(UpstreamOverloaded):
        await upstream.open(call())


async def test_of_an_endless_error_body_the_beginning_is_read(upstream, peer, monkeypatch):
    monkeypatch.setattr(http, "MAX_ERROR_BODY", 20)
    text = b'{"error":{"message":"no"}}' + b" " * 200_000
    peer.script = [(b"HTTP/1.1 400 No\r\nContent-Length: 999999\r\n\r\n", text, STALL)]
    with pytest.raises(UpstreamRejected):
        await upstream.open(call())
    await peer.settled(0)


@pytest.mark.parametrize(
    ("foreign", "ours"),
    [
        (NoAnswer(), UpstreamTimeout),
        (Silent(), UpstreamTimeout),
        (TimeoutError(), UpstreamUnreachable),
        (ClosedEarly(), UpstreamUnreachable),
        (Cut(), UpstreamBroken),
        (NotHttp(), UpstreamBroken),
        (Garbled(), UpstreamBroken),
        (ssl.SSLError("bad"), UpstreamUnreachable),
        (socket.gaierror(-2, "Name or service not known"), UpstreamUnreachable),
        (ConnectionResetError(), UpstreamUnreachable),
        (OSError(111, "127.0.0.1 refused"), UpstreamUnreachable),
    ],
)
def test_every_foreign_exception_becomes_ours(foreign, ours):
    error = translated("relay", foreign)
    assert type(error) is ours
    assert error.message.startswith("upstream relay: ")
    assert "127.0.0.1" not in error.message


def refused(code, words):
    error = ssl.SSLCertVerificationError(1, f"certificate verify failed: {words}")
    error.verify_code, error.verify_message = code, words
    return error


def test_why_a_certificate_is_refused_is_said_without_the_host():
    old = translated("relay", refused(10, "certificate has expired"))
    assert old.message.endswith("its certificate is refused (certificate has expired)")
    other = translated("relay", refused(62, "Hostname mismatch, certificate is not valid for 'h'."))
    assert other.message.endswith("its certificate is another host's")


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_that_we_cannot_open_a_connection_is_no_fault_of_the_upstreams(number):
    error = translated("relay", OSError(number, "Too many open files"))
    assert (error.scope, error.status, error.retry_after_s) == ("operator", 503, 1.0)


async def test_nobody_there_is_unreachable():
    upstream = upstream_at(closed_url())
    with pytest.raises(UpstreamUnreachable, match="no connection") as caught:
        await upstream.open(call())
    assert caught.value.__suppress_context__


async def test_silence_before_the_head_is_a_timeout(upstream, peer):
    peer.script = [(STALL,)]
    with pytest.raises(UpstreamTimeout, match="no answer in time"):
        await upstream.open(call(stream=True))
    await peer.settled(0)


async def test_silence_inside_the_body_is_a_timeout(upstream, peer):
    peer.script = [(chunked(b"data: 1\n\n", end=False), STALL)]
    opened = await upstream.open(call(stream=True))
    with pytest.raises(UpstreamTimeout, match="silent"):
        await whole(opened)
    await peer.settled(0)


async def test_a_shorter_silence_is_allowed_once_a_stream_has_begun(peer):
    peer.script = [(chunked(b"data: 1\n\n", end=False), STALL)]
    upstream = upstream_at(peer.url, timeouts=Timeouts(0.5, first_token_s=30.0, idle_s=0.1))
    opened = await upstream.open(call(stream=True))
    async with asyncio.timeout(30):
        with pytest.raises(UpstreamTimeout, match="silent"):
            await whole(opened)


async def test_each_piece_of_a_stream_gives_it_more_time_but_a_whole_answer_has_an_end(
    upstream, peer
):
    slow = tuple(step for k in range(6) for step in (b"5\r\nabcd%d\r\n" % k, 0.12))
    peer.script = [(chunked(end=False), *slow, b"0\r\n\r\n")]
    assert len(await whole(await upstream.open(call(stream=True)))) == 30
    peer.script = [(chunked(end=False, kind="application/json"), *slow, b"0\r\n\r\n")]
    with pytest.raises(UpstreamTimeout):
        await whole(await upstream.open(call()))


async def test_the_time_a_client_takes_is_not_the_upstreams_silence(upstream, peer):
    class Slow(Until):
        def take(self, chunk):
            super().take(chunk)
            return asyncio.sleep(0.5)  # more than twice the silence that is allowed

    event = b"8\r\ndata: 1\n\r\n"
    peer.script = [(chunked(end=False), event, 0.05, event, 0.6, event, b"0\r\n\r\n")]
    opened = await upstream.open(call(stream=True))
    sink = Slow(b"never")
    await opened.pour(sink)
    await opened.close()
    assert sink.got == b"data: 1\n" * 3


# -- bodies ----------------------------------------------------------------------------------------------------------


async def test_a_body_over_the_bound_is_broken_and_a_stream_has_a_bound_of_its_own(
    upstream, peer, monkeypatch
):
    monkeypatch.setattr(http, "MAX_BODY", 8)
    monkeypatch.setattr(http, "MAX_STREAM", 9)
    sse = "text/event-stream"
    peer.script = [(ok(b"123456789"),), (ok(b"123456789", sse),), (ok(b"1234567890", sse),)]
    with pytest.raises(UpstreamBroken, match="larger than 8 bytes"):
        await whole(await upstream.open(call()))
    assert await whole(await upstream.open(call(stream=True))) == b"123456789"
    with pytest.raises(UpstreamBroken, match="larger than 9 bytes"):
        await whole(await upstream.open(call(stream=True)))


async def test_a_bomb_is_not_inflated_beyond_the_bound(upstream, peer, monkeypatch):
    monkeypatch.setattr(http, "MAX_BODY", 3_000_000)
    bomb = gzip.compress(b"0" * 300_000_000)
    peer.script = [(ok(bomb, "application/json", "Content-Encoding: gzip"),)]
    with pytest.raises(UpstreamBroken, match="larger"):
        await whole(await upstream.open(call()))


async def test_a_stream_that_is_a_bomb_is_not_inflated_beyond_the_bound(
    upstream, peer, monkeypatch
):
    monkeypatch.setattr(http, "MAX_STREAM", 3_000_000)
    bomb = gzip.compress(b": endless\n\n" * 3_000_000)
    peer.script = [(ok(bomb, "text/event-stream", "Content-Encoding: gzip"),)]
    with pytest.raises(UpstreamBroken, match="larger than 3000000 bytes"):
        await whole(await upstream.open(call(stream=True)))


@pytest.mark.parametrize("said", ["UTF-8", "none", "identity", ""])
async def test_words_that_are_no_encoding_say_nothing_of_the_body(upstream, peer, said):
    peer.script = [(ok(b'{"it": 1}', "application/json", f"Content-Encoding: {said}"),)]
    assert await whole(await upstream.open(call())) == b'{"it": 1}'


@pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, gzip"])
async def test_an_encoding_that_is_broken_or_unknown_is_an_error(upstream, peer, encoding):
    peer.script = [(ok(b"\x1f\x8b junk", "application/json", f"Content-Encoding: {encoding}"),)]
    with pytest.raises(UpstreamBroken, match="encoding"):
        await whole(await upstream.open(call()))


# -- connections -----------------------------------------------------------------------------------------------------


async def test_a_connection_is_used_again_and_closed_with_the_upstream(upstream, peer):
    for _ in range(3):
        assert await whole(await upstream.open(call())) == b"{}"
    assert (peer.connections, peer.open) == (1, 1)
    await upstream.close()
    await upstream.close()
    await peer.settled(0)
    assert (
        await whole(await upstream.open(call())) == b"{}"
    )  # a closed upstream serves when it is asked


@pytest.mark.parametrize("end", [CLOSE, RESET])
async def test_a_kept_connection_that_is_closed_at_reuse_is_replaced_unseen(upstream, peer, end):
    peer.script = [(ok(),), (end,), (ok(b'{"ok":2}'),)]
    await whole(await upstream.open(call()))
    assert await whole(await upstream.open(call())) == b'{"ok":2}'
    assert (peer.connections, len(peer.requests)) == (2, 3)


async def test_after_a_kept_connection_that_is_closed_comes_a_new_one_however_many_are_kept(
    upstream, peer
):
    peer.script = [(0.05, ok()) for _ in range(4)]
    await asyncio.gather(*(answer_of(upstream) for _ in range(4)))
    assert peer.connections == 4
    peer.script = [(CLOSE,)] * 4
    with pytest.raises(UpstreamUnreachable):
        await upstream.open(call())
    assert (peer.connections, len(peer.requests)) == (5, 6)


async def answer_of(upstream):
    return await whole(await upstream.open(call()))


async def test_a_new_connection_that_is_closed_is_an_error_and_nothing_is_sent_twice(
    upstream, peer
):
    peer.script = [(CLOSE,)]
    with pytest.raises(UpstreamUnreachable, match="closed the connection"):
        await upstream.open(call())
    assert len(peer.requests) == 1


async def test_once_a_byte_has_come_nothing_is_sent_twice(upstream, peer):
    peer.script = [(ok(),), (b"HTTP/1.1 200", CLOSE)]
    await whole(await upstream.open(call()))
    with pytest.raises(UpstreamUnreachable):
        await upstream.open(call())
    assert len(peer.requests) == 2


async def test_a_kept_connection_that_ends_after_work_on_the_request_is_an_error(
    upstream, peer, monkeypatch
):
    monkeypatch.setattr(http, "REUSE_S", 0.02)
    peer.script = [(ok(),), (0.06, CLOSE)]
    await whole(await upstream.open(call()))
    with pytest.raises(UpstreamUnreachable):
        await upstream.open(call())
    assert len(peer.requests) == 2


async def test_a_body_that_is_not_read_to_its_end_costs_the_connection(upstream, peer):
    peer.script = [(chunked(b"data: 1\n\n", end=False), STALL)]
    opened = await upstream.open(call(stream=True))
    await opened.close()
    await peer.settled(0)


async def test_a_call_that_is_cancelled_ends_its_connection(upstream, peer):
    peer.script = [(STALL,)]
    patient = Timeouts(first_token_s=30.0)
    upstream._timeouts = patient
    task = asyncio.create_task(upstream.open(call(stream=True)))
    async with asyncio.timeout(30):
        while not peer.requests:
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await peer.settled(0)


async def test_many_calls_at_once_have_a_connection_each(upstream, peer):
    peer.script = [(0.05, ok(b'{"n":%d}' % k)) for k in range(50)]
    upstream._timeouts = Timeouts(first_token_s=30.0)  # a busy machine takes its time for fifty
    opened = await asyncio.gather(*(upstream.open(call()) for _ in range(50)))
    assert len({await whole(o) for o in opened}) == 50
    assert peer.connections == 50


class Until:
    """A sink that has enough when `mark` has come."""

    def __init__(self, mark):
        self.mark, self.got, self.done = mark, b"", False

    def take(self, chunk):
        self.got += chunk
        self.done = self.mark in self.got


@pytest.mark.parametrize("packed", [False, True])
async def test_a_stream_is_poured_until_its_end_mark(upstream, peer, packed):
    body = gzip.compress(b"data: [DONE]\n\n") if packed else b"data: [DONE]\n\n"
    answer = chunked(body)
    if packed:
        answer = answer.replace(b"\r\n", b"\r\nContent-Encoding: gzip\r\n", 1)
    peer.script = [(answer,)]
    opened = await upstream.open(call(stream=True))
    sink = Until(b"[DONE]")
    await opened.pour(sink)
    await opened.close()
    assert sink.got == b"data: [DONE]\n\n"


async def test_the_end_of_the_framing_may_come_behind_the_end_mark(upstream, peer):
    peer.script = [(chunked(b"data: [DONE]\n\n", end=False), 0.05, b"0\r\n\r\n")]
    opened = await upstream.open(call(stream=True))
    await opened.pour(Until(b"[DONE]"))
    await opened.close()
    async with asyncio.timeout(30):
        while not upstream._connections._idle:  # it is given back when that end has come
            await asyncio.sleep(0.01)
    await whole(await upstream.open(call()))
    assert peer.connections == 1


async def test_an_end_of_the_framing_that_does_not_come_costs_the_connection(
    upstream, peer, monkeypatch
):
    monkeypatch.setattr(connections, "ENDING_S", 0.05)
    peer.script = [(chunked(b"data: [DONE]\n\n", end=False), STALL)]
    opened = await upstream.open(call(stream=True))
    await opened.pour(Until(b"[DONE]"))
    await opened.close()
    await peer.settled(0)


async def test_a_break_while_pouring_is_translated_and_a_sinks_own_error_is_not(upstream, peer):
    class Broken(Until):
        def take(self, chunk):
            raise ConnectionResetError

    begun = (chunked(b"data: 1\n\n", end=False), 0.02, CLOSE)
    peer.script = [begun, begun]
    opened = await upstream.open(call(stream=True))
    with pytest.raises(UpstreamBroken, match="cut"):
        await opened.pour(Until(b"[DONE]"))
    await opened.close()
    opened = await upstream.open(call(stream=True))
    with pytest.raises(ConnectionResetError):
        await opened.pour(Broken(b""))
    await opened.close()


def test_an_error_of_ours_is_none_of_the_foreign_ones():
    assert not issubclass(FusionError, http.FOREIGN)
