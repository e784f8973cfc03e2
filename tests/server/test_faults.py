"""Every fault between router and upstream, over real sockets: what a client sees is on the list, bounded, and clean.

The list is `FAULTS` in `tests/support/faulty.py`. `start_router(url, **config)` starts the product before the given
upstream, with one candidate; its client says where it listens (`base`).
"""

import asyncio
import json
from dataclasses import dataclass, field

import aiohttp
import pytest

from tests.support.faulty import FAULTS, TRICKY, FaultyUpstream, closed_url, expected_text

CANARY = "sk-canary-8f3a1c5e7b9d2046"
TIMEOUTS = {"connect_s": 1.0, "first_token_s": 1.5, "idle_s": 1.5, "total_s": 8.0}
BOUND_S = 3 * TIMEOUTS["idle_s"] + 10  # the longest that any fault may take
SILENT = {"F04", "F07", "F73", "F74"}  # end by a timeout; all else has time on a busy machine
PATIENT = {"connect_s": 20.0, "first_token_s": 45.0, "idle_s": 45.0, "total_s": 55.0}
PATIENT_S = 50.0
MAX_CALLS = 12  # upstream calls for one of the client's
MODEL = "openfusion/auto"
TASK = "Please say what the parser does when the input is empty"
OTHER_SURFACE = {"F80", "F81"}  # see test_fault_surfaces.py
# A router may go on honouring what the upstream asked for; nothing else outlives its own request.
COOLING = {"F10", "F12", "F13", "F14"}
AFTER_TEXT = {"F60", "F61", "F62", "F63", "F64", "F65", "F67", "F73", "F74"}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {"type": "object", "properties": {"text": {"type": "string"}}},
        },
    }
    for name, _ in TRICKY
]
ROWS = [
    pytest.param(id_, stream, id=f"{id_}-{'stream' if stream else 'json'}")
    for id_, fault in FAULTS.items()
    for stream in (False, True)
    if id_ not in OTHER_SURFACE and (fault.stream if stream else fault.json)
]


@dataclass
class Seen:
    """What the client got: status, headers, all bytes, and what they say."""

    status: int
    headers: dict[str, str]
    raw: bytes
    text: str = ""
    calls: list[dict] = field(default_factory=list)
    finishes: list[str] = field(default_factory=list)
    error: dict | None = None
    done: int = 0
    endless: bool = False

    @property
    def outcome(self):
        if self.status != 200:
            return self.status
        return "answer" if self.error is None else "error_event"


def refuse(constant):
    raise ValueError(f"{constant} is not JSON")


def strict(raw):
    """Parse as a strict client would; integers beyond the usual are left as text."""
    long = 4000  # [digits] below Python's own bound
    return json.loads(
        raw.decode(),
        parse_constant=refuse,
        parse_int=lambda digits: int(digits) if len(digits) < long else digits,
    )


def read_json(seen):
    body = strict(seen.raw)
    assert isinstance(body, dict)
    if seen.status != 200:
        seen.error = body["error"]
        return
    (choice,) = body["choices"]
    message = choice["message"]
    assert message["role"] == "assistant"
    content = message.get("content") or ""
    seen.text = content if isinstance(content, str) else "".join(p["text"] for p in content)
    seen.calls = [
        {"id": c["id"], "name": c["function"]["name"], "arguments": c["function"]["arguments"]}
        for c in message.get("tool_calls", ())
    ]
    seen.finishes = [choice["finish_reason"]]


def data_of_events(raw):
    """The data of each event, read by the rules of the HTML standard's "server-sent events" section."""
    lines = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    data = []
    for line in lines:
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif not line and data:
            yield b"\n".join(data)
            data = []
    assert not data, "an event without its blank line is lost"


def read_stream(seen):
    calls = {}
    for data in data_of_events(seen.raw):
        assert seen.error is None, "an event after the error event"
        if data == b"[DONE]":
            seen.done += 1
            continue
        assert not seen.done, "an event after [DONE]"
        event = strict(data)
        if "error" in event:
            seen.error = event["error"]
            continue
        # Real clients check every data object: one without choices ends their session.
        for choice in event["choices"]:
            delta = choice["delta"]
            content = delta.get("content") or ""
            seen.text += (
                content if isinstance(content, str) else "".join(p["text"] for p in content)
            )
            seen.finishes += [choice["finish_reason"]] if choice.get("finish_reason") else []
            for part in delta.get("tool_calls") or ():
                call = calls.setdefault(part["index"], {"id": None, "name": "", "arguments": ""})
                call["id"] = call["id"] or part.get("id")
                call["name"] += part["function"].get("name") or ""
                call["arguments"] += part["function"].get("arguments") or ""
    seen.calls = [calls[i] for i in sorted(calls)]


async def post(base, path, body, bound_s):
    """Send a request and read all of the answer; one that has not ended within the bound is `endless`."""
    seen, raw = None, bytearray()
    try:
        async with (
            asyncio.timeout(bound_s),
            aiohttp.ClientSession(read_bufsize=1 << 24) as session,
            session.post(f"{base}{path}", json=body, allow_redirects=False) as response,
        ):
            seen = Seen(response.status, {k.lower(): v for k, v in response.headers.items()}, b"")
            async for piece in response.content.iter_any():
                raw += piece
    except TimeoutError:
        assert seen is not None, "not even a head within the bound"
        seen.endless = True
    seen.raw = bytes(raw)
    return seen


async def chat(base, prompt, *, stream, tools=False, bound_s=PATIENT_S):
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": prompt}],
        "stream": stream,
        "openfusion": {"mode": "single"},
        **({"tools": TOOLS} if tools else {}),
    }
    seen = await post(base, "/chat/completions", body, bound_s)
    kind = seen.headers["content-type"].partition(";")[0]
    if stream and seen.status == 200:
        assert kind == "text/event-stream"
        read_stream(seen)
    else:
        assert kind == "application/json"
        read_json(seen)
    return seen


def check_error(error):
    """OpenAI's shape, with something to read in it."""
    assert {"message", "type", "param", "code"} <= set(error)
    assert isinstance(error["message"], str)
    assert error["message"].strip()
    assert isinstance(error["type"], str)
    assert error["param"] is None or isinstance(error["param"], str)
    assert error["code"] is None or isinstance(error["code"], str)


def check_no_leak(seen, up):
    shown = seen.raw + json.dumps(seen.headers).encode()
    for secret in (CANARY, CANARY[3:], f"127.0.0.1:{up.port}", "internal.example", "Traceback"):
        assert secret.encode() not in shown
    assert b"<html" not in shown.lower()


def check_whole(seen, up, *, stream):
    """The answer is what the upstream said, and its end is right."""
    told = up.requests[-1]
    assert seen.text == told.text
    assert [(c["name"], c["arguments"]) for c in seen.calls] == list(told.tools)
    assert len({c["id"] for c in seen.calls}) == len(seen.calls)
    check_end(seen, "tool_calls" if told.tools else "stop", stream=stream)


def check_end(seen, finish, *, stream):
    assert seen.finishes == [finish]
    assert seen.done == (1 if stream else 0)


def check_broken(seen, id_, up):
    """The text so far, once, then the error; never an end that looks like success."""
    assert seen.done == 0
    assert seen.finishes == []
    assert up.requests[-1].text.startswith(seen.text)
    if id_ in AFTER_TEXT:
        assert seen.text


def check_row(seen, id_, up, *, stream):
    fault = FAULTS[id_]
    accepted = fault.stream if stream else fault.json
    check_no_leak(seen, up)
    if seen.endless:
        # The upstream is alive and says nothing: a router may pass that on, but then it must.
        assert id_ == "F74"
        assert seen.raw.rstrip().splitlines()[-1].startswith(b":")
        assert (seen.finishes, seen.done) == ([], 0)
        return
    if seen.outcome == "answer":
        assert accepted & {"ok", "valid"}
        if "valid" in accepted:
            check_end(seen, "stop", stream=stream)
        else:
            check_whole(seen, up, stream=stream)
        return
    assert seen.outcome in accepted
    check_error(seen.error)
    if seen.outcome == "error_event":
        check_broken(seen, id_, up)
        return
    assert fault.code is None or seen.error["code"] == fault.code
    for name, value in fault.headers.items():
        assert seen.headers[name] == value


async def check_next(client, up, id_, *, stream):
    """The fault is over with its request."""
    up.script = []
    after = await chat(client.base, f"After {id_}: {TASK}", stream=stream)
    if id_ in COOLING and after.status != 200:
        assert after.status in (429, 503)
        check_error(after.error)
        return
    assert after.status == 200
    check_whole(after, up, stream=stream)


@pytest.mark.parametrize(("id_", "stream"), ROWS)
async def test_a_fault_ends_as_the_table_says_and_is_over(start_router, id_, stream):
    prompt = f"[[fault:{id_}]] {TASK}"
    tools = id_ in ("F75", "F75b", "G13")
    async with FaultyUpstream() as up:
        url = closed_url() if id_ == "F01" else up.url
        timeouts = TIMEOUTS if id_ in SILENT else PATIENT
        async with start_router(url, api_key=CANARY, timeouts=timeouts) as client:
            if id_ in (
                "G20",
                "G21",
            ):  # the fault lies in the connection that the first request leaves
                first = await chat(client.base, prompt, stream=stream)
                check_row(first, id_, up, stream=stream)
            before = len(up.requests)
            bound_s = BOUND_S if id_ in SILENT else PATIENT_S
            seen = await chat(client.base, prompt, stream=stream, tools=tools, bound_s=bound_s)
            assert len(up.requests) - before <= MAX_CALLS
            assert not any(r.path.endswith("/elsewhere") for r in up.requests)
            check_row(seen, id_, up, stream=stream)
            if id_ != "F01":
                assert len(up.requests) > before
                await check_next(client, up, id_, stream=stream)


@pytest.mark.parametrize("id_", ["F12", "F13", "F14"])
async def test_a_long_retry_after_is_answered_at_once(start_router, id_):
    async with (
        FaultyUpstream() as up,
        start_router(up.url, api_key=CANARY, timeouts=TIMEOUTS) as client,
    ):
        began = asyncio.get_running_loop().time()
        seen = await chat(client.base, f"[[fault:{id_}]] {TASK}", stream=False)
        assert seen.status == 429
        assert asyncio.get_running_loop().time() - began < 20


@pytest.mark.parametrize("stream", [False, True])
async def test_twenty_at_once_each_get_their_own_outcome(start_router, stream):
    mixed = ["ok", "F15", "F75", "F31", "G11"] * 4
    async with (
        FaultyUpstream() as up,
        start_router(up.url, api_key=CANARY, timeouts=PATIENT) as client,
    ):
        prompts = [f"[[fault:{id_}]] number {n} of many" for n, id_ in enumerate(mixed)]
        seen = await asyncio.gather(*(chat(client.base, p, stream=stream) for p in prompts))
        for id_, prompt, one in zip(mixed, prompts, seen, strict=True):
            check_no_leak(one, up)
            if one.outcome != "answer":
                check_error(one.error)
            elif id_ == "ok":
                assert one.text == expected_text(prompt)
            else:
                assert id_ == "G11"
