"""Broken, odd and hostile HTTP over raw sockets: a status or a closed connection, one answer for one request."""

import asyncio
import contextlib
import json

import pytest
import pytest_asyncio

from openfusion_auto.server import chat
from tests.server.live import GOOD, HOST, check_alive, check_refusal, check_shows_nothing, raw, replies, request, serving
from tests.support.faulty import FaultyUpstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLOSE = "close"  # the connection may just close
BROKEN = {400, 411, 413, 414, 431, 501, 505, CLOSE}
BODY = json.dumps(GOOD).encode()
SIZE = str(len(BODY))
LIST = "/v1/models"
SMUGGLED = b"GET /v1/models HTTP/1.1\r\nHost: @HOST@\r\n\r\n"


def chunked(*lines, end=b"\r\n", **headers):
    """Return a request whose body is chunked: each line as it stands, then its end."""
    head = request(body=b"", Content_Length=None, Transfer_Encoding="chunked", **headers)
    return head + b"".join(line + end for line in lines)


def in_chunks(body, size):
    """Return the lines of a rightly chunked body."""
    for at in range(0, len(body), size):
        piece = body[at : at + size]
        yield b"%x" % len(piece)
        yield piece
    yield from (b"0", b"")


def with_line(line, **more):
    """Return a good request with one more header line, as it stands."""
    head, rest = request(**more).split(b"\r\n", 1)
    return head + b"\r\n" + line + b"\r\n" + rest


def get(*lines, first=b"GET /v1/models HTTP/1.1", host=True):
    """Return a request for the list of models with these header lines."""
    own = [b"Host: " + HOST] if host else []
    return b"\r\n".join([first, *own, *lines, b"Connection: close", b"", b""])


def hidden(te):
    """Return a request whose end two readers may see at different places, with another one behind it."""
    smuggled = b"0\r\n\r\n" + SMUGGLED
    return with_line(te, body=smuggled, Connection="keep-alive")


TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(190))

CASES = [
    ("W01-cl-too-long", request(Content_Length=str(len(BODY) + 100)), {400, 408, CLOSE}),
    ("W02-cl-negative", request(Content_Length="-5"), BROKEN),
    ("W03-cl-word", request(Content_Length="ten"), BROKEN),
    ("W04-cl-plus", request(Content_Length="+" + SIZE), BROKEN),
    ("W05-cl-conflict", with_line(b"Content-Length: 7"), BROKEN),
    ("W06-cl-list", request(Content_Length=f"{SIZE}, {SIZE}"), BROKEN),
    ("W08-te-bad-size", chunked(b"xyz", BODY, b"0", b""), BROKEN),
    ("W09-te-negative-size", chunked(b"-5", BODY, b"0", b""), BROKEN),
    ("W10-te-0x-size", chunked(b"0x%x" % len(BODY), BODY, b"0", b""), BROKEN),
    ("W11-te-underscore-size", chunked(b"1_0", BODY, b"0", b""), BROKEN),
    ("W12-te-twice", with_line(b"Transfer-Encoding: chunked", Content_Length=None, Transfer_Encoding="chunked", body=b"0\r\n\r\n"), BROKEN),
    ("W14-te-huge-ext", chunked(b"%x;" % len(BODY) + b"a" * 200_000, BODY, b"0", b""), BROKEN),
    ("W16-te-bare-lf", chunked(*in_chunks(BODY, 40), end=b"\n"), BROKEN),
    ("W17-space-before-colon", with_line(b"X-Odd : 1"), BROKEN),
    ("W19-nul-in-header", with_line(b"X-Odd: a\0b"), BROKEN),
    ("W20-bare-cr-in-header", with_line(b"X-Odd: a\rX-Forged: b"), BROKEN),
    ("W21-header-100KB", with_line(b"X-Odd: " + b"a" * 100_000), BROKEN),
    ("W22-headers-20k", with_line(b"\r\n".join(b"X-%d: 1" % n for n in range(20_000))), BROKEN),
    ("W23-uri-100KB", request(path=LIST + "?" + "a" * 100_000), BROKEN),
    ("W26-http09", b"GET /v1/models\r\n\r\n", BROKEN),
    ("W28-tls-hello", TLS_HELLO, BROKEN),
    ("W29-version-9", get(first=b"GET /v1/models HTTP/9.9"), BROKEN),
    ("W39-garbage", b"\x00\xff\xfe(*&^%$\r\n\r\n" * 50, BROKEN),
    ("W15-te-valid-chunks", chunked(*in_chunks(BODY, 17)), {200}),
    ("W18-obs-fold", with_line(b"X-Odd: one\r\n two"), BROKEN | {200}),
    ("W24-no-host", get(host=False), {400, 403, 421}),
    ("W25-two-hosts", get(b"Host: evil.example"), {400, 403, 421}),
    ("W27-h2-preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", BROKEN | {403, 404, 405}),
    ("W30-method-odd", get(first=b"BREW /v1/models HTTP/1.1"), {400, 401, 404, 405, 501}),
    ("W31-method-space", get(first=b"GE T /v1/models HTTP/1.1"), BROKEN | {403, 404}),
    ("W32-absolute-uri", get(first=b"GET http://evil.example/v1/models HTTP/1.1"), {400, 401, 403, 404, 421}),
    ("W32-absolute-uri-own", get(first=b"GET http://" + HOST + b"/v1/models HTTP/1.1"), {400, 401, 403, 404, 421}),
    ("W33-connect", get(first=b"CONNECT evil.example:443 HTTP/1.1"), {400, 401, 403, 404, 405, 421, 501, CLOSE}),
    ("W36-expect-odd", request(Expect="a-miracle"), {200, 400, 417}),
    ("W37-upgrade-h2c", get(b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"), {200, 400}),
    ("W38-upgrade-websocket-junk", get(b"Upgrade: websocket", b"Sec-WebSocket-Key: ???", b"Sec-WebSocket-Version: 99"), {200, 400, 404, 426}),
    ("W40-latin1-header", get(b"X-Odd: caf\xe9"), {200, 400}),
]  # fmt: skip
TWO_READINGS = [
    ("W07-cl-and-te", hidden(b"Transfer-Encoding: chunked")),
    ("W13-te-xchunked", hidden(b"Transfer-Encoding: xchunked")),
    ("W44-smuggle-te-space", hidden(b"Transfer-Encoding : chunked")),
    ("W45-te-tab", hidden(b"Transfer-Encoding:\tchunked")),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def router(tmp_path_factory):
    async with FaultyUpstream() as up, serving(tmp_path_factory.mktemp("raw"), up.url) as running:
        yield running


def first_of(data):
    """Return the first answer's status, or CLOSE; answers of ours have our shape, and none shows our inside."""
    found = replies(data)
    for reply in found:
        check_shows_nothing(reply)
        if reply.kind == "application/json" and reply.status >= 400:
            check_refusal(reply)
    return found[0].status if found else CLOSE


@pytest.mark.parametrize(("data", "accepted"), [pytest.param(*c[1:], id=c[0]) for c in CASES])
async def test_broken_http_ends_as_the_table_says(router, data, accepted):
    got = await raw(router, data)
    print(got[:600])
    assert first_of(got) in accepted
    await check_alive(router)
