"""Broken, odd and hostile HTTP over raw sockets: a status or a closed connection, one answer for one request."""

import asyncio
import json

import pytest
import pytest_asyncio

from openfusion_auto.server import surface
from tests.server.live import (
    GOOD,
    HOST,
    check_alive,
    check_refusal,
    check_shows_nothing,
    raw,
    replies,
    request,
    serving,
)

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
    # 200 too: the parser skips extensions without keeping them, so their length costs the sender alone.
    ("W14-te-huge-ext", chunked(b"%x;" % len(BODY) + b"a" * 200_000, BODY, b"0", b""), BROKEN | {200}),
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
    async with serving(tmp_path_factory.mktemp("raw")) as running:
        yield running


def answers(data):
    """Return the answers; those of ours have our shape, and none shows our inside."""
    found = replies(data)
    for reply in found:
        check_shows_nothing(reply)
        if reply.kind == "application/json" and reply.status >= 400:
            check_refusal(reply)
    return found


def first_of(data):
    """Return the first answer's status, or CLOSE."""
    found = answers(data)
    return found[0].status if found else CLOSE


@pytest.mark.parametrize(("data", "accepted"), [pytest.param(*c[1:], id=c[0]) for c in CASES])
async def test_broken_http_ends_as_the_table_says(router, data, accepted):
    got = await raw(router, data)
    assert first_of(got) in accepted
    await check_alive(router)


@pytest.mark.parametrize("data", [pytest.param(c[1], id=c[0]) for c in TWO_READINGS])
async def test_a_request_with_two_readings_is_one_refused_request(router, data):
    (only,) = answers(await raw(router, data)) or [None]
    assert only is None or only.status in BROKEN
    await check_alive(router)


async def test_w01_a_client_that_leaves_before_the_end_of_its_body_is_closed(router):
    got = await raw(router, request(Content_Length=str(len(BODY) + 100)), eof=True)
    assert first_of(got) in {400, 408, CLOSE}
    await check_alive(router)


async def test_w01_a_body_that_stops_coming_is_a_408_in_bounded_time(router, monkeypatch):
    monkeypatch.setattr(surface, "BODY_IDLE_S", 0.2)
    got = await first_bytes(router, request(Content_Length=str(len(BODY) + 100)))
    (reply,) = answers(got)
    assert reply.status == 408
    check_refusal(reply, code="request_timeout")
    await check_alive(router)


async def test_a_body_that_comes_slowly_but_steadily_is_served(router, monkeypatch):
    monkeypatch.setattr(surface, "BODY_IDLE_S", 0.25)
    head, _, body = request().partition(b"\r\n\r\n")
    pieces = (body[at : at + 10] for at in range(0, len(body), 10))
    # Twelve pauses are longer in all than the server waits for one piece.
    (reply,) = answers(await first_bytes(router, head + b"\r\n\r\n", *pieces))
    assert (reply.status, reply.text) == (200, "fine")


BROKEN_LATE = {
    "chunk-size": (chunked(), b"zz\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "chunk-without-end": (chunked(), b"5\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "gzip": (chunked(Content_Encoding="gzip"), b"5\r\nhello\r\n0\r\n\r\n"),
    "gzip-cut": (chunked(Content_Encoding="gzip"), b"8\r\n\x1f\x8b\x08\0\0\0\0\0\r\n0\r\n\r\n"),
}


@pytest.mark.parametrize(("head", "rest"), BROKEN_LATE.values(), ids=BROKEN_LATE)
async def test_a_body_that_breaks_while_it_is_read_is_refused_once_and_soon(
    router, monkeypatch, caplog, head, rest
):
    # The library tells a running handler of broken packing, but of broken framing only by silence.
    monkeypatch.setattr(surface, "BODY_IDLE_S", 0.3)
    (reply,) = answers(await first_bytes(router, head, rest))
    assert reply.status in {400, 408}
    check_refusal(reply)
    assert "internal error" not in caplog.text
    await check_alive(router)


async def test_w34_pipelined_requests_get_an_answer_each_in_order(router):
    ask = [{**GOOD, "messages": [{"role": "user", "content": f"[[say:{n}]] Say it"}]} for n in "12"]
    first, second = (json.dumps(body).encode() for body in ask)
    got = await raw(router, request(body=first, Connection="keep-alive") + request(body=second))
    assert [(r.status, r.text) for r in answers(got)] == [(200, "1"), (200, "2")]
    await check_alive(router)


async def test_w35_who_expects_100_is_invited_and_then_answered(router):
    got = await raw(router, request(Expect="100-continue"))
    assert [r.status for r in answers(got)] == [100, 200]


async def test_who_speaks_http_1_0_is_answered_without_the_invitation(router):
    old = request(Expect="100-continue").replace(b" HTTP/1.1", b" HTTP/1.0", 1)
    assert [r.status for r in answers(await raw(router, old))] == [200]


async def test_a_stream_over_http_1_0_ends_with_its_connection(router):
    asked = json.dumps({**GOOD, "stream": True}).encode()
    old = request(body=asked, Connection="keep-alive").replace(b" HTTP/1.1", b" HTTP/1.0", 1)
    (reply,) = replies(await raw(router, old))  # `Silent` where it stays open
    assert reply.raw.endswith(b"data: [DONE]\n\n")
    assert reply.headers.get("connection") != "keep-alive"


async def test_nobody_is_invited_to_send_a_body_that_will_be_refused(router):
    got = await raw(router, request(Expect="100-continue", Origin="http://evil.example"))
    assert [r.status for r in answers(got)] == [403]


async def test_w36_an_odd_expectation_is_refused_in_our_shape(router):
    (reply,) = answers(await raw(router, request(Expect="a-miracle")))
    assert (reply.status, reply.kind, reply.error["param"]) == (417, "application/json", "Expect")


async def test_w43_a_connection_that_closes_at_once_harms_nobody(router):
    for _ in range(20):
        assert await raw(router, b"", eof=True) == b""
    await check_alive(router)


async def test_s01_half_open_connections_do_not_keep_others_waiting(router):
    halves = (
        b"",
        b"POST",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost:",
        request(Content_Length="999"),
    )
    opened = []
    try:
        for n in range(48):
            _, writer = await connect(router)
            writer.write(halves[n % len(halves)].replace(HOST, address(router)))
            opened.append(writer)
        began = asyncio.get_running_loop().time()
        (reply,) = answers(await raw(router, request()))
        assert reply.status == 200
        assert asyncio.get_running_loop().time() - began < 20
    finally:
        for writer in opened:
            writer.transport.abort()
    await check_alive(router)


# -- paths that clients' libraries would tidy up ---------------------------------------------------------------------

PATHS = {
    "P05-dots": "/v1/../../etc/passwd",
    "P05-dots-in-models": "/v1/models/../../../../etc/passwd",
    "P06-escaped-dots": "/v1/models/..%2f..%2f..%2fetc%2fpasswd",
    "P06-escaped-twice": "/v1/models/%252e%252e%252fetc%252fpasswd",
    "P06-backslashes": "/v1/models/..%5c..%5cwindows%5cwin.ini",
    "P07-nul": "/v1/models/coder-a%00.json",
    "P07-nul-in-traces": "/v1/traces/%00",
    "P08-bad-percent": "/v1/models/%zz",
    "P08-cut-percent": "/v1/models/coder-a%2",
    "P08-bad-utf8": "/v1/models/%ff%fe",
    "P08-surrogate": "/v1/traces/%ed%a0%80",
    "double-slash": "//v1/models",
    "line-end": "/v1/models/a%0d%0aX-Forged:%201",
    "long": "/v1/models/" + "a" * 5000,
}


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
async def test_a_path_that_leads_nowhere_is_a_404_in_our_shape(router, path):
    (reply,) = answers(await raw(router, request("GET", path)))
    assert reply.status in (400, 404)
    check_refusal(reply)
    assert "x-forged" not in reply.headers
    assert "root:" not in reply.shown
    await check_alive(router)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/vendor/coder-a",
        "/v1/models/vendor%2Fcoder-a",
        "/v1/models/coder-a",
        "/v1/models/openfusion%2fauto",
    ],
)
async def test_p13_p14_a_models_id_may_hold_a_slash_plain_or_escaped(router, path):
    (reply,) = answers(await raw(router, request("GET", path)))
    assert reply.status == 200
    assert reply.body["object"] == "model"


async def test_the_log_of_broken_http_quotes_neither_key_nor_prompt(router, caplog):
    secret = b"sk-canary-8f3a1c5e"
    with caplog.at_level("DEBUG"):
        for broken in (
            with_line(b"Authorization: Bearer " + secret + b"\0"),
            chunked(b"zz", BODY.replace(b"parser", secret)),
            request("GET", "/v1/models?key=" + secret.decode() + "a" * 9000),
        ):
            assert first_of(await raw(router, broken)) == 400
    told = [r for r in caplog.records if r.name == "aiohttp.server"]
    assert len(told) == 3
    assert "sk-canary" not in caplog.text
    assert "Traceback" not in caplog.text


# -- small tools -----------------------------------------------------------------------------------------------------


def address(router):
    return router.root.removeprefix("http://").encode()


async def connect(router):
    return await asyncio.open_connection(*address(router).decode().split(":"))


async def first_bytes(router, *pieces):
    """Send pieces, each on its own; return one read's worth of the answer (the connection may stay open)."""
    reader, writer = await connect(router)
    try:
        for piece in pieces:
            writer.write(piece.replace(HOST, address(router)))
            await asyncio.sleep(0.05)
        return await asyncio.wait_for(reader.read(1 << 16), 30)
    finally:
        writer.transport.abort()
