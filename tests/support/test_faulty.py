"""The misbehaving provider does what its table says, notices who leaves, and leaves nothing behind."""

import asyncio
import json

import aiohttp
import pytest

from tests.support.faulty import FAULTS, SSE, TRICKY, FaultyUpstream, closed_url, expected_text

# Every id of the fault matrix between router and upstream; F75b is F75 with a finish.
IDS = {
    *(f"F{n:02}" for n in (*range(1, 8), *range(10, 44), *range(45, 76), 80, 81, *range(90, 110))),
    *("G10", "G11", "G12", "G13", "G20", "G21", "F75b"),
}
STATUSES = {
    "F10": 429, "F12": 429, "F13": 429, "F14": 429, "F15": 500, "F18": 529, "F19": 502, "F20": 401, "F21": 402,
    "F22": 403, "F23": 404, "F24": 400, "F25": 400, "F26": 422, "F27": 418, "F28": 302, "F29": 307, "F30": 204,
}  # fmt: skip
ENDLESS = {"F04", "F07", "F73", "F74"}
UNREAD = {"F72", "F73", "F74"}  # aiohttp's client waits on after a broken chunk, too
NO_ANSWER = {"F01", "F02", "F03", "F04", "F05", "F06"}


@pytest.fixture
async def up():
    async with FaultyUpstream(big_bytes=3 << 20) as server:
        yield server


@pytest.fixture
async def session():
    async with aiohttp.ClientSession(
        read_bufsize=1 << 24, auto_decompress=True, headers={"Authorization": "Bearer sk-canary"}
    ) as one:
        yield one


def a_body(prompt, *, stream=False, **more):
    return {
        "model": "m",
        "messages": [{"role": "user", "content": prompt}],
        "stream": stream,
        **more,
    }


def post(session, up, prompt, *, stream=False, **more):
    body = a_body(prompt, stream=stream, **more)
    return session.post(f"{up.url}/chat/completions", json=body, allow_redirects=False)


async def ask(session, up, prompt, *, patience_s=60, **more):
    """Return (status, headers, body), and what cut the answer short, if anything did.

    Only a fault that is silent for ever needs a short patience: a busy machine reads 20,000 events in seconds.
    """
    raw, status, headers = b"", None, {}
    try:
        async with asyncio.timeout(patience_s), post(session, up, prompt, **more) as response:
            status, headers = response.status, response.headers
            async for piece in response.content.iter_any():
                raw += piece
    except (aiohttp.ClientError, TimeoutError, ConnectionError, ValueError) as error:
        return status, headers, raw, error
    return status, headers, raw, None


def chunks(raw):
    """A lenient reader of event streams, enough for what the server may rightly send."""
    text = raw.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n").strip("\n")
    for event in text.split("\n\n"):
        lines = [line.partition(":") for line in event.split("\n")]
        data = "\n".join(v.removeprefix(" ") for k, _, v in lines if k == "data")
        if data == "[DONE]":
            return
        if data:
            yield json.loads(data)


def streamed(raw):
    deltas = [c["delta"] for e in chunks(raw) for c in e.get("choices", ())]
    return "".join(d.get("content") or "" for d in deltas)


def test_the_table_holds_every_id_of_the_matrix():
    assert set(FAULTS) == IDS
    for id_, fault in FAULTS.items():
        assert fault.id == id_
        assert fault.about
        assert fault.json or fault.stream
        assert all(
            o in ("ok", "valid", "error_event") or 400 <= o <= 599
            for o in fault.json | fault.stream
        )
        assert "error_event" not in fault.json


@pytest.mark.parametrize("stream", [False, True])
async def test_ok_echoes_the_task_and_honours_the_model(up, session, stream):
    prompt = "one two three four five six seven eight nine ten eleven twelve thirteen"
    status, headers, raw, cut = await ask(
        session, up, prompt, stream=stream, stream_options={"include_usage": True}
    )
    assert (status, cut) == (200, None)
    said = streamed(raw) if stream else json.loads(raw)["choices"][0]["message"]["content"]
    assert said == expected_text(prompt) == "The answer is: " + prompt.removesuffix(" thirteen")
    last = list(chunks(raw))[-1] if stream else json.loads(raw)
    assert last["model"] == "m"
    assert last["usage"]["prompt_tokens"] == len(up.requests[0].raw) // 4
    assert last["usage"]["completion_tokens"] == 15
    assert headers["content-type"] == (SSE if stream else "application/json")
    assert raw.endswith(b"data: [DONE]\n\n") is stream


@pytest.mark.parametrize("stream", [False, True])
async def test_directives_choose_the_words(up, session, stream):
    for prompt, words in (
        ("[[say:two words]] x", "two words"),
        ("[[words:3]]", "word0 word1 word2"),
        ("a [[sleep:0.01]]b", "The answer is: a b"),
    ):
        _, _, raw, _ = await ask(session, up, prompt, stream=stream)
        said = streamed(raw) if stream else json.loads(raw)["choices"][0]["message"]["content"]
        assert said == words


@pytest.mark.parametrize("stream", [False, True])
async def test_tool_directives_are_parallel_calls_with_their_own_bytes(up, session, stream):
    prompt = "".join(f"[[tool:{name} {arguments}]]" for name, arguments in TRICKY) + "[[tool:bare]]"
    _, _, raw, _ = await ask(session, up, prompt, stream=stream)
    if stream:
        calls = {}
        for part in (
            c for e in chunks(raw) for d in e["choices"] for c in d["delta"].get("tool_calls", ())
        ):
            call = calls.setdefault(
                part["index"], {"id": part.get("id"), "arguments": "", **part["function"]}
            )
            call["arguments"] += part["function"]["arguments"] if "id" not in part else ""
        made = [(c["name"], c["arguments"]) for c in calls.values()]
        ids = [c["id"] for c in calls.values()]
    else:
        calls = json.loads(raw)["choices"][0]["message"]["tool_calls"]
        made = [(c["function"]["name"], c["function"]["arguments"]) for c in calls]
        ids = [c["id"] for c in calls]
    assert made == [*TRICKY, ("bare", "{}")]
    assert len({*ids}) == 4


async def test_a_tool_result_is_answered_with_text(up, session):
    body = a_body("[[tool:f {}]] go")
    body["messages"].append({"role": "tool", "tool_call_id": "1", "content": "done"})
    async with session.post(f"{up.url}/chat/completions", json=body) as response:
        message = (await response.json())["choices"][0]["message"]
    assert message == {"role": "assistant", "content": "The answer is: go"}


async def test_the_script_goes_before_directives_and_then_ends(up, session):
    up.script = ["F15", "ok"]
    statuses = [(await ask(session, up, "[[fault:F23]] q"))[0] for _ in range(3)]
    assert statuses == [500, 200, 404]
    assert [r.fault for r in up.requests] == ["F15", "ok", "F23"]


async def test_requests_are_logged_with_headers_and_body(up, session):
    await ask(session, up, "q")
    (request,) = up.requests
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.headers["authorization"] == "Bearer sk-canary"
    assert request.body == a_body("q")


async def test_models_and_unknown_paths(up, session):
    async with session.get(f"{up.url}/models") as response:
        assert (await response.json())["object"] == "list"
    async with session.get(f"{up.url}/nothing") as response:
        assert response.status == 404


async def test_a_chunked_request_is_read(up, session):
    async def body():
        yield b'{"messages": [{"role": "user", '
        yield b'"content": [{"type": "text", "text": "hello"}]}]}'

    async with session.post(f"{up.url}/chat/completions", data=body()) as response:
        assert "The answer is: hello" in await response.text()


@pytest.mark.parametrize("id_", sorted(STATUSES))
@pytest.mark.parametrize("stream", [False, True])
async def test_status_faults_answer_with_their_status(up, session, id_, stream):
    for _ in range(2):  # always, not once
        status, headers, _, cut = await ask(session, up, f"[[fault:{id_}]] q", stream=stream)
        assert (status, cut) == (STATUSES[id_], None)
    assert ("Retry-After" in headers) == (id_ in ("F10", "F12", "F13", "F14"))
    assert ("Location" in headers) == (id_ in ("F28", "F29"))


@pytest.mark.parametrize("id_", ["F20", "F21", "F22", "F37", "F64", "F65", "F66"])
async def test_faults_that_quote_the_key_do(up, session, id_):
    _, _, raw, _ = await ask(session, up, f"[[fault:{id_}]] q", stream=True)
    assert b"sk-canary" in raw


@pytest.mark.parametrize(("id_", "status"), [("F11", 429), ("F16", 500), ("F17", 503)])
async def test_once_is_once_for_each_prompt(up, session, id_, status):
    for prompt in (f"[[fault:{id_}]] a", f"[[fault:{id_}]] b"):
        statuses = [(await ask(session, up, prompt))[0] for _ in range(3)]
        assert statuses == [status, 200, 200]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("id_", sorted(NO_ANSWER - {"F01", "F04"}))
async def test_no_answer_comes_where_none_should(up, session, id_, stream):
    status, _, raw, cut = await ask(session, up, f"[[fault:{id_}]] q", stream=stream)
    assert (status, raw) == (None, b"")
    assert isinstance(cut, (aiohttp.ClientError, ConnectionError))


async def test_nobody_listens_at_the_closed_address(session):
    with pytest.raises(aiohttp.ClientConnectorError):
        await session.get(closed_url())


@pytest.mark.parametrize("id_", sorted(ENDLESS))
async def test_silence_lasts_until_the_client_leaves_and_that_is_seen(up, session, id_):
    _, _, _, cut = await ask(session, up, f"[[fault:{id_}]] q", stream=True, patience_s=1)
    assert isinstance(cut, TimeoutError)
    async with asyncio.timeout(30):
        while not up.hung_up:
            await asyncio.sleep(0.01)
    (left,) = up.hung_up
    assert left.request.fault == id_
    assert 0.5 < left.at_s - left.request.at_s < 30
    assert up.open_now == 0


async def test_open_requests_are_counted(up, session):
    task = asyncio.create_task(ask(session, up, "[[sleep:0.3]] q"))
    await asyncio.sleep(0.1)
    assert up.open_now == 1
    await task
    assert (up.open_now, up.hung_up) == (0, [])


FINE = sorted(
    i for i, f in FAULTS.items() if f.stream == {"ok"} and i not in ("F11", "F16", "F17", "G13")
)


@pytest.mark.parametrize("id_", FINE)
async def test_odd_but_right_streams_hold_the_whole_text(up, session, id_):
    status, _, raw, cut = await ask(session, up, f"[[fault:{id_}]] q r s", stream=True)
    assert (status, cut) == (200, None)
    assert streamed(raw) == up.requests[-1].text != ""


BREAKS = sorted(i for i, f in FAULTS.items() if "error_event" in f.stream and f.stream_only)


@pytest.mark.parametrize("id_", BREAKS)
async def test_broken_streams_are_broken(up, session, id_):
    patience_s = 1 if id_ in UNREAD else 60
    status, headers, raw, cut = await ask(
        session, up, f"[[fault:{id_}]] q r s t", stream=True, patience_s=patience_s
    )
    assert status == 200
    if id_ == "G10":
        assert headers["content-type"] == "application/json"
        assert json.loads(raw)["choices"]
        return
    try:
        whole = streamed(raw) == up.requests[-1].text and raw.rstrip().endswith(b"[DONE]")
    except (ValueError, KeyError):
        whole = False
    assert cut is not None or not whole


@pytest.mark.parametrize("id_", BREAKS)
async def test_faults_of_streams_leave_json_alone(up, session, id_):
    _, _, raw, cut = await ask(session, up, f"[[fault:{id_}]] q r s t")
    assert cut is None
    assert json.loads(raw)["choices"][0]["message"]["content"] == "The answer is: q r s t"


WRONG = sorted(
    i for i, f in FAULTS.items() if f.json == {502} and 30 < int(i[1:3]) < 60 and i != "F58"
)


@pytest.mark.parametrize("id_", WRONG)
async def test_wrong_bodies_are_no_answers(up, session, id_):
    status, _, raw, cut = await ask(session, up, f"[[fault:{id_}]] q")
    assert status in (200, 400)  # 400: the client itself refused the body's encoding
    try:
        content = json.loads(raw)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        content = None
    assert content is None or cut is not None


@pytest.mark.parametrize("id_", sorted(i for i, f in FAULTS.items() if "valid" in f.json))
async def test_odd_bodies_differ_from_the_right_one(up, session, id_):
    _, headers, raw, cut = await ask(session, up, f"[[fault:{id_}]] q")
    assert cut is None
    content = b'"content":"The answer is: q"'
    plain = content in raw and headers["content-type"] == "application/json"
    assert not plain or raw.startswith(b"\xef\xbb\xbf") or b"NaN" in raw or b"1" * 6000 in raw


async def test_big_answers_stop_when_the_client_leaves(session):
    async with FaultyUpstream() as up:
        async with post(session, up, "[[fault:F58]] q") as response:
            await response.content.readany()
            response.close()
        async with asyncio.timeout(30):
            while not up.hung_up:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(("id_", "cut_at"), [("G20", 1), ("G21", None)])
async def test_kept_connections_are_closed(up, id_, cut_at):
    """Over one raw connection: G20 answers once and closes at reuse, G21 closes after each answer."""
    body = json.dumps(a_body(f"[[fault:{id_}]] q")).encode()
    request = b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", up.port)
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"onnection:" not in head
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    await reader.readexactly(length)
    if cut_at is not None:
        writer.write(request)
    assert await reader.read() == b""
    assert len(up.requests) == 1 + (cut_at or 0)
    writer.close()
    await writer.wait_closed()


async def test_a_second_answer_comes_on_the_same_connection_when_all_is_well(up, session):
    for _ in range(2):
        assert (await ask(session, up, "q"))[0] == 200
    assert len(up._tasks) == 1


async def test_leaving_the_server_ends_all_its_tasks(session):
    before = asyncio.all_tasks()
    async with FaultyUpstream() as up:
        task = asyncio.create_task(ask(session, up, "[[fault:F04]] q"))
        while not up.open_now:
            await asyncio.sleep(0.01)
    _, _, _, cut = await task
    assert isinstance(cut, (aiohttp.ClientError, ConnectionError))
    assert up.open_now == 0
    assert asyncio.all_tasks() == before


async def test_an_unknown_fault_is_an_error_of_the_test(session):
    with pytest.raises(KeyError, match="F999"):
        async with FaultyUpstream() as up:
            await ask(session, up, "[[fault:F999]] q")
