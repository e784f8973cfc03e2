"""Whatever a client sends: served or refused in OpenAI's shape, never a 5xx, and the next one is served at once."""

import asyncio
import gzip
import json
import tracemalloc
import zlib

import pytest
import pytest_asyncio

from tests.server.live import (
    GOOD,
    Reply,
    check_alive,
    check_refusal,
    check_shows_nothing,
    send,
    serving,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

MB = 1_000_000
MAX_BODY_MB = 24
TEXT = json.dumps(GOOD).encode()
GONE = object()  # a field that is taken away
REFUSED = {400, 422}
MAYBE = {200, 400, 422}
OK = {200}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def router(tmp_path_factory):
    server = {"max_body_mb": MAX_BODY_MB}
    async with serving(tmp_path_factory.mktemp("bad_input"), server=server) as running:
        yield running


def check_reply(reply, accepted):
    """An accepted status, and either an answer or a refusal as they should look."""
    assert reply.status in accepted
    if reply.status == 200:
        assert reply.kind == "application/json"
        assert reply.body["choices"][0]["message"]["role"] == "assistant"
        check_shows_nothing(reply)
    else:
        check_refusal(reply)


def cases(*rows):
    return [pytest.param(*row[1:], id=row[0]) for row in rows]


# -- A: what is no JSON, or odd JSON ---------------------------------------------------------------------------------


def said(content):
    """Return the good request with these bytes (JSON escapes and all) at the end of the prompt."""
    return TEXT.replace(b"of the parser", b"of the parser " + content)


def member(json_text):
    """Return the good request with a member in front, its bytes as they stand."""
    return b"{" + json_text + b", " + TEXT[1:]


def nested(depth):
    return member(b'"deep": ' + b"[" * depth + b"]" * depth)


BODIES = cases(
    ("A01-empty", b"", REFUSED),
    ("A02-not-json", b"hello", REFUSED),
    ("A03-truncated", TEXT[:-20], REFUSED),
    ("A04-array", b"[" + TEXT + b"]", REFUSED),
    ("A05-string", json.dumps(TEXT.decode()).encode(), REFUSED),
    ("A06-null", b"null", REFUSED),
    ("A07-number", b"42", REFUSED),
    ("A08-true", b"true", REFUSED),
    ("A09-invalid-utf8", said(b"\xff\xfe"), REFUSED),
    ("A10-overlong-utf8", said(b"\xc0\xaf"), REFUSED),
    ("A11-utf8-surrogate-bytes", said(b"\xed\xa0\x80"), REFUSED),
    ("A12-nan", member(b'"temperature": NaN'), REFUSED),
    ("A12-nan-unknown-field", member(b'"x": NaN'), REFUSED),
    ("A13-infinity", member(b'"top_p": -Infinity'), REFUSED),
    ("A14-1e400", member(b'"x": 1e400'), REFUSED),
    ("A15-int-5000-digits", member(b'"seed": ' + b"9" * 5000), REFUSED),
    ("A16-nest-100k-arrays", b"[" * 100_000, REFUSED),
    ("A17-nest-100k-objects", b'{"a":' * 100_000, REFUSED),
    ("A18-nest-closed-100k", b"[" * 100_000 + b"]" * 100_000, REFUSED),
    ("A18-nest-closed-100k-inside", nested(100_000), REFUSED),
    ("A19-trailing-garbage", TEXT + b"x", REFUSED),
    ("A20-two-documents", TEXT + TEXT, REFUSED),
    ("A21-single-quotes", TEXT.replace(b'"', b"'"), REFUSED),
    ("A22-comment", b"/* hi */" + TEXT, REFUSED),
    ("A22-comment-inside", member(b"// hi\n"), REFUSED),
    ("A23-nul-byte", TEXT + b"\0", REFUSED),
    ("A23-nul-byte-in-string", said(b"\0"), REFUSED),
    ("A24-raw-newline-in-string", said(b"\n"), REFUSED),
    ("A25-trailing-comma", TEXT[:-1] + b",}", REFUSED),
    ("A30-utf16", TEXT.decode().encode("utf-16"), MAYBE),
    ("A30-utf32", TEXT.decode().encode("utf-32"), MAYBE),
    ("A31-bom", b"\xef\xbb\xbf" + TEXT, MAYBE),
    ("A32-duplicate-keys", member(b'"model": "nobody/nothing"'), MAYBE | {404}),
    ("A32-duplicate-keys-last-wins", TEXT[:-1] + b', "model": "nobody/nothing"}', MAYBE | {404}),
    ("A33-lone-surrogate-escape", said(rb"\ud800"), MAYBE),
    ("A34-nul-escape", said(rb"\u0000"), MAYBE),
    ("A35-nest-300", nested(300), MAYBE),
    ("A36-lone-surrogate-in-model", TEXT.replace(b"openfusion/auto", rb"openfusion/\ud800"), {400, 404, 422}),
    ("A37-lone-surrogate-in-key", member(rb'"\udfff": 1'), MAYBE),
    ("A38-proto-keys", member(b'"__proto__": {"x": 1}, "constructor": {"prototype": 1}'), MAYBE),
)  # fmt: skip


@pytest.mark.parametrize(("raw", "accepted"), BODIES)
async def test_a_body_that_is_odd_or_no_json_ends_as_the_table_says(router, raw, accepted):
    check_reply(await send(router, raw), accepted)
    await check_alive(router)


@pytest.mark.parametrize("raw", [b"", b"hello", TEXT[:-20], b"[]"])
async def test_a_body_that_is_no_json_object_says_so_by_its_code(router, raw):
    check_refusal(await send(router, raw), code="invalid_json")


# -- B: headers that describe the body -------------------------------------------------------------------------------


def deflated(raw):
    squeeze = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return squeeze.compress(raw) + squeeze.flush()


def typed(kind):
    return {"Content-Type": kind}


def coded(coding):
    return {"Content-Encoding": coding}


MULTIPART = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + TEXT + b"\r\n--x--\r\n"
PACKED = gzip.compress(TEXT)
UNKNOWN_CODING = {200, 400, 415, 422}
HEADERS = cases(
    ("B01-ct-missing", TEXT, typed(None), {200, 400, 415, 422}),
    ("B02-ct-multipart", MULTIPART, typed("multipart/form-data; boundary=x"), {400, 415, 422}),
    ("B03-ct-form", TEXT, typed("application/x-www-form-urlencoded"), {400, 415, 422}),
    ("B04-charset-bogus", TEXT, typed("application/json; charset=bogus"), UNKNOWN_CODING),
    ("B05-charset-rot13", TEXT, typed("application/json; charset=rot13"), UNKNOWN_CODING),
    ("B06-charset-idna", TEXT, typed("application/json; charset=idna"), UNKNOWN_CODING),
    ("B07-ct-uppercase", TEXT, typed("APPLICATION/JSON; CHARSET=UTF-8"), OK),
    ("B08-gzip-valid", PACKED, coded("gzip"), OK),
    ("B08-deflate-valid", zlib.compress(TEXT), coded("deflate"), OK),
    ("B09-gzip-corrupt", PACKED[:20] + b"\xff\xff\xff" + PACKED[23:], coded("gzip"), {400, 415, 422}),
    ("B09-gzip-cut", PACKED[:-12], coded("gzip"), {400, 415, 422}),
    ("B10-gzip-not", TEXT, coded("gzip"), {400, 415, 422}),
    ("B11-encoding-unknown", TEXT, coded("snappy"), UNKNOWN_CODING),
    ("B13-deflate-raw", deflated(TEXT), coded("deflate"), UNKNOWN_CODING),
    ("B14-gzip-twice", gzip.compress(PACKED), coded("gzip, gzip"), UNKNOWN_CODING),
    ("B15-accept-xml", TEXT, {"Accept": "application/xml"}, {200, 406}),
    ("B16-ct-json-suffix", TEXT, typed("application/vnd.api+json"), UNKNOWN_CODING),
)  # fmt: skip


@pytest.mark.parametrize(("raw", "headers", "accepted"), HEADERS)
async def test_headers_that_describe_the_body_end_as_the_table_says(router, raw, headers, accepted):
    check_reply(await send(router, raw, headers=headers), accepted)
    await check_alive(router)


@pytest.mark.parametrize("coding", ["br", "zstd"])
async def test_b11_a_coding_that_only_the_http_library_knows_is_refused(router, coding):
    # Without its decoder the library refuses the head itself, in its own words.
    reply = await send(router, TEXT, headers=coded(coding))
    assert reply.status in {400, 415}
    check_shows_nothing(reply)
    await check_alive(router)


# -- C: fields -------------------------------------------------------------------------------------------------------


def user(content):
    return {"messages": [{"role": "user", "content": content}]}


def parts(*found):
    return user(list(found))


def tools(*found, **more):
    return {"tools": list(found), **more}


def tool(name="run", parameters=None, **more):
    function = {"name": name, "parameters": parameters or {"type": "object", "properties": {}}}
    return {"type": "function", "function": {**function, **more}}


def turn(calls, *behind):
    """Return a conversation in which the assistant called tools."""
    first = {"role": "user", "content": "[[say:fine]] Run it"}
    return {
        "messages": [first, {"role": "assistant", "content": None, "tool_calls": calls}, *behind]
    }


def call(arguments="{}", id_="call_1"):
    return {"id": id_, "type": "function", "function": {"name": "run", "arguments": arguments}}


def result(id_="call_1"):
    return {"role": "tool", "tool_call_id": id_, "content": "[[say:fine]] done"}


def image(url):
    return {"type": "image_url", "image_url": {"url": url}}


ASK = {"type": "text", "text": "[[say:fine]] What is it?"}
OPTIONAL = (
    "temperature", "top_p", "n", "stream", "stop", "max_tokens", "max_completion_tokens", "presence_penalty",
    "frequency_penalty", "logit_bias", "user", "seed", "tools", "tool_choice", "response_format", "stream_options",
    "parallel_tool_calls", "logprobs", "top_logprobs", "metadata", "store", "openfusion", "functions", "service_tier",
)  # fmt: skip
MANY = [{"role": ("user", "assistant")[n % 2], "content": f"line {n}"} for n in range(9_999)]
FORMAT = "response_format"

WRONG = (
    ("C01-no-messages", {"messages": GONE}, "messages"),
    ("C02-messages-null", {"messages": None}, "messages"),
    ("C03-messages-string", {"messages": "hi"}, "messages"),
    ("C04-messages-empty", {"messages": []}, "messages"),
    ("C05-messages-of-strings", {"messages": ["hi"]}, "messages[0]"),
    ("C06-messages-of-null", {"messages": [None]}, "messages[0]"),
    ("C07-role-missing", {"messages": [{"content": "hi"}]}, "messages[0].role"),
    ("C08-role-bad", {"messages": [{"role": "king", "content": "hi"}]}, "messages[0].role"),
    ("C09-role-int", {"messages": [{"role": 1, "content": "hi"}]}, "messages[0].role"),
    ("C10-content-missing", {"messages": [{"role": "user"}]}, "messages[0].content"),
    ("C11-content-int", user(7), "messages[0].content"),
    ("C12-content-object", user({"text": "hi"}), "messages[0].content"),
    ("C13-part-type-bad", parts({"type": "smell", "smell": "x"}), "messages[0].content[0].type"),
    ("C14-part-text-int", parts({"type": "text", "text": 1}), "messages[0].content[0].text"),
    ("C15-part-is-string", parts("hi"), "messages[0].content[0]"),
    ("C16-model-missing", {"model": GONE}, "model"),
    ("C17-model-null", {"model": None}, "model"),
    ("C18-model-int", {"model": 4}, "model"),
    ("C19-model-list", {"model": ["openfusion/auto"]}, "model"),
    ("C20-temperature-5", {"temperature": 5}, "temperature"),
    ("C21-temperature-neg", {"temperature": -0.1}, "temperature"),
    ("C22-temperature-str", {"temperature": "1"}, "temperature"),
    ("C23-top_p-2", {"top_p": 2}, "top_p"),
    ("C24-n-0", {"n": 0}, "n"),
    ("C25-n-neg", {"n": -1}, "n"),
    ("C26-n-str", {"n": "1"}, "n"),
    ("C27-n-1e9", {"n": 10**9}, "n"),
    ("C28-max_tokens-neg", {"max_tokens": -1}, "max_tokens"),
    ("C29-max_tokens-str", {"max_tokens": "10"}, "max_tokens"),
    ("C30-max_tokens-float", {"max_tokens": 10.5}, "max_tokens"),
    ("C31-stream-str", {"stream": "true"}, "stream"),
    ("C32-stream-int", {"stream": 1}, "stream"),
    ("C33-stop-object", {"stop": {"a": 1}}, "stop"),
    ("C34-stop-ints", {"stop": [1, 2]}, "stop[0]"),
    ("C35-tools-object", {"tools": tool()}, "tools"),
    ("C36-tool-no-function", tools({"type": "function"}), "tools[0].function"),
    ("C37-tool-no-name", tools({"type": "function", "function": {}}), "tools[0].function.name"),
    ("C38-tool-params-str", tools(tool(parameters="x")), "tools[0].function.parameters"),
    ("C39-tools-of-null", {"tools": [None]}, "tools[0]"),
    ("C40-tool_choice-bad", tools(tool(), tool_choice="perhaps"), "tool_choice"),
    ("C41-tool_choice-int", tools(tool(), tool_choice=1), "tool_choice"),
    ("C42-tool_choice-unknown-fn", tools(tool(), tool_choice={"type": "function", "function": {"name": "fly"}}), "tool_choice"),
    ("C43-response_format-str", {FORMAT: "json"}, FORMAT),
    ("C44-response_format-type", {FORMAT: {"type": "poem"}}, f"{FORMAT}.type"),
    ("C45-json_schema-missing", {FORMAT: {"type": "json_schema"}}, f"{FORMAT}.json_schema"),
    ("C46-logit_bias-list", {"logit_bias": [1]}, "logit_bias"),
    ("C47-orphan-tool-message", {"messages": [result()]}, "messages[0].tool_call_id"),
    ("C48-tool-message-no-id", turn([call()], {"role": "tool", "content": "x"}), "messages[2].tool_call_id"),
    ("C49-tool_calls-string", turn("run it"), "messages[1].tool_calls"),
    ("C50-penalty-99", {"presence_penalty": 99}, "presence_penalty"),
    ("C51-bool-as-number", {"temperature": True}, "temperature"),
    ("C52-stream_options-str", {"stream": True, "stream_options": "usage"}, "stream_options"),
)  # fmt: skip
FIELDS = cases(
    ("C60-model-unknown", {"model": "nobody/nothing"}, {400, 404}),
    ("C61-model-empty", {"model": ""}, {400, 404}),
    ("C62-model-1MB", {"model": "m" * 2**20}, {400, 404, 413, 422}),
    ("C63-model-traversal", {"model": "../../../etc/passwd"}, {400, 404}),
    ("C64-model-crlf", {"model": "openfusion/auto\r\nX-Forged: 1"}, {400, 404}),
    ("C65-model-format", {"model": "{0.__class__}%s%n${jndi:ldap://x}"}, {400, 404}),
    ("C65-model-url", {"model": "http://127.0.0.1:1/v1"}, {400, 404}),
    ("C66-stream_options-without-stream", {"stream_options": {"include_usage": True}}, MAYBE),
    ("C67-unknown-param", {"no_such_parameter": {"deep": [1, None]}}, MAYBE),
    ("C68-tool_calls-unanswered", turn([call()], {"role": "user", "content": "[[say:fine]] on"}), MAYBE),
    ("C69-tool-args-not-json", turn([call("{no json")], result()), MAYBE),
    ("C70-10k-messages", {"messages": [*MANY, *user("[[say:fine]] now")["messages"]]}, {200, 400, 413, 422}),
    ("C71-1k-tools", tools(*(tool(f"tool_{n}") for n in range(1000))), MAYBE),
    ("C72-3MB-prompt", user("[[say:fine]] " + "word and number 12345\n" * 140_000), OK),
    ("C73-nulls-for-optionals", dict.fromkeys(OPTIONAL), OK),
    ("C74-developer-role", {"messages": [{"role": "developer", "content": "Be brief"}, *GOOD["messages"]]}, OK),
    ("C75-assistant-null-content", turn([call()], result()), OK),
    ("C76-empty-user-content", user(""), MAYBE),
    ("C77-max_tokens-0", {"max_tokens": 0}, MAYBE),
    ("C78-metadata-huge", {"metadata": {f"key{n}": "v" * 600 for n in range(500)}}, MAYBE),
    ("C79-image-data-url-bad", parts(ASK, image("data:image/png;base64,!!!not base64!!!")), MAYBE),
    ("C79-image-file-url", parts(ASK, image("file:///etc/passwd")), MAYBE),
    ("C80-tool-name-bad-chars", tools(tool("rm -rf / \u202e\u2028")), MAYBE),
)  # fmt: skip


def changed(fields):
    return {name: value for name, value in {**GOOD, **fields}.items() if value is not GONE}


@pytest.mark.parametrize(("fields", "param"), [pytest.param(*row[1:], id=row[0]) for row in WRONG])
async def test_a_field_that_cannot_be_is_refused_by_its_name(router, fields, param):
    reply = await send(router, changed(fields))
    check_reply(reply, REFUSED)
    assert reply.error["param"] == param
    assert reply.error["code"]
    await check_alive(router)


@pytest.mark.parametrize(("fields", "param"), [pytest.param(*row[1:], id=row[0]) for row in WRONG])
async def test_debug_route_refuses_the_same(router, fields, param):
    reply = await send(router, changed(fields), path="/../debug/route")
    check_reply(reply, REFUSED)
    assert reply.error["param"] == param


@pytest.mark.parametrize(("fields", "accepted"), FIELDS)
async def test_a_field_that_is_odd_ends_as_the_table_says(router, fields, accepted):
    reply = await send(router, changed(fields))
    check_reply(reply, accepted)
    assert "x-forged" not in reply.headers
    assert len(reply.raw) < 8000, "what was sent comes back"
    await check_alive(router)


async def test_c72_a_prompt_of_3_mb_arrives_whole(router):
    prompt = "[[say:fine]] " + "".join(f"line {n}\n" for n in range(250_000))
    assert len(prompt) > 3 * MB - 200_000
    assert (await send(router, changed(user(prompt)))).text == "fine"
    assert router.up.requests[-1].body["messages"] == user(prompt)["messages"]


@pytest.mark.parametrize("stream", [False, True])
async def test_an_unknown_model_is_a_404_by_its_code_before_any_stream(router, stream):
    reply = await send(router, changed({"model": "openfusion/atuo", "stream": stream}))
    check_refusal(reply, code="model_not_found")
    assert reply.status == 404
    assert "openfusion/auto" in reply.error["message"]


# -- P: methods and paths (those that need raw bytes are in test_wire_raw.py) ----------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "allow"),
    [
        ("GET", "/chat/completions", 405, "method_not_supported", "POST"),
        ("PUT", "/chat/completions", 405, "method_not_supported", "POST"),
        ("DELETE", "/models", 405, "method_not_supported", "GET,HEAD"),
        ("POST", "/models", 405, "method_not_supported", "GET,HEAD"),
        ("PATCH", "/traces/tr_1", 405, "method_not_supported", "GET,HEAD"),
        ("TRACE", "/models", 405, "method_not_supported", "GET,HEAD"),
        ("GET", "/nothing", 404, None, None),
        ("POST", "/nothing/at/all", 404, None, None),
        ("GET", "/chat/completions/", 404, None, None),
        ("GET", "/../../", 200, None, None),
        ("GET", "/models/nobody/nothing", 404, "model_not_found", None),
        ("GET", "/traces/tr_000000000000000000000000", 404, None, None),
    ],
)
async def test_methods_and_paths_answer_in_our_shape(router, method, path, status, code, allow):
    reply = await send(
        router, TEXT if method in ("POST", "PUT", "PATCH") else None, method=method, path=path
    )
    assert reply.status == status
    assert reply.headers.get("allow") == allow
    if status != 200:
        check_refusal(reply, code=code)
    await check_alive(router)


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1e3", "99999999999999999999", "\u0663", ""])
async def test_a_limit_that_is_no_number_is_refused(router, limit):
    check_refusal(await send(router, None, method="GET", path=f"/traces?limit={limit}"))


# -- S: size and number ----------------------------------------------------------------------------------------------


async def test_s02_a_slow_body_keeps_nobody_waiting(router):
    sent = asyncio.Event()

    async def slowly():
        yield TEXT[:50]
        await sent.wait()
        yield TEXT[50:]

    slow = asyncio.create_task(streamed(router, slowly()))
    for _ in range(5):
        assert (await send(router, GOOD)).status == 200
    assert not slow.done()
    sent.set()
    assert (await slow).text == "fine"


async def test_s04_a_hundred_requests_at_sixteen_get_their_own_answers(router):
    gate = asyncio.Semaphore(16)

    async def ask(n):
        async with gate:
            return (await send(router, changed(user(f"[[say:answer {n}]] Say number {n}")))).text

    assert await asyncio.gather(*map(ask, range(100))) == [f"answer {n}" for n in range(100)]


async def test_a_declared_size_over_the_bound_is_refused_before_the_body(router):
    async def never():
        yield b"{"
        await asyncio.Event().wait()

    size = str(MAX_BODY_MB * MB + 1)
    async with asyncio.timeout(30):
        reply = await streamed(router, never(), **{"Content-Length": size})
    assert reply.status == 413
    check_refusal(reply, code="request_too_large")


@pytest.mark.parametrize("wrapped", [False, True])
async def test_a_body_at_the_bound_is_read_and_one_over_it_is_not(router, wrapped):
    def padded(size):
        body = TEXT + b" " * (size - len(TEXT))
        return gzip.compress(body, 1) if wrapped else body

    headers = coded("gzip") if wrapped else {}
    assert (await send(router, padded(MAX_BODY_MB * MB), headers=headers)).status == 200
    over = await send(router, padded(MAX_BODY_MB * MB + 1), headers=headers)
    assert over.status == 413
    check_refusal(over, code="request_too_large")
    await check_alive(router)


@pytest.mark.slow
async def test_s03_a_body_of_40_mb_over_the_bound_is_a_413(router):
    async def lots():
        for _ in range(40):
            yield b" " * MB

    with watched() as peak:
        reply = await streamed(router, lots())
    assert reply.status == 413
    check_refusal(reply, code="request_too_large")
    assert peak() < 150 * MB
    await check_alive(router)


@pytest.mark.slow
@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_b12_a_bomb_is_refused_and_never_inflated(router, coding):
    bomb = squeezed(200 * MB, zlib.MAX_WBITS | 16 if coding == "gzip" else zlib.MAX_WBITS)
    assert len(bomb) < MB
    with watched() as peak:
        reply = await send(router, bomb, headers=coded(coding))
    assert reply.status in {400, 413, 415, 422}
    check_refusal(reply)
    assert peak() < 150 * MB
    await check_alive(router)


def squeezed(size, wbits):
    """Return `size` spaces, packed piece by piece."""
    squeeze = zlib.compressobj(wbits=wbits)
    return b"".join(squeeze.compress(b" " * MB) for _ in range(size // MB)) + squeeze.flush()


class watched:  # noqa: N801 - reads as a statement
    """Measures the most memory that Python's allocators held above what they held at the start [bytes]."""

    def __enter__(self):
        tracemalloc.start()
        self.before = tracemalloc.get_traced_memory()[0]
        return lambda: self.most - self.before

    def __exit__(self, *_):
        self.most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()


async def streamed(router, pieces, **headers):
    """Post a body that is made while it is sent."""
    async with router.http.post(
        f"{router.base}/chat/completions",
        data=pieces,
        headers={"Content-Type": "application/json", **headers},
    ) as r:
        return Reply(r.status, {k.lower(): v for k, v in r.headers.items()}, await r.read())
