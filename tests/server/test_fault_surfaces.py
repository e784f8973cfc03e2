"""Every fault between router and upstream, as a client of Responses and of Messages sees it: the same, in its own words.

The list is `FAULTS` in `tests/support/faulty.py`, the upstream speaks chat; `test_faults.py` has the same for a chat client.
The faults of one dialect are played side by side, each with a candidate of its own, so that no breaker opens by another one.
"""

import asyncio
import json
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.server.conftest import candidate
from tests.server.dialects import PATHS, heard
from tests.server.failures import TOOLS
from tests.server.live import serving
from tests.server.test_faults import AFTER_TEXT, CANARY, MAX_CALLS, TASK
from tests.support.faulty import FAULTS, TRICKY, closed_url

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
    pytest.mark.slow,
]

DIALECTS = ("responses", "messages")
SILENT = {"F04", "F07", "F73"}  # end by a timeout; all else has time on a busy machine
ENDLESS = {"F74"}  # alive and silent: the whole time is over
BIG = 96 << 20  # [bytes] of F58 and F59: more than the router reads
AT_ONCE = 16  # requests under way
SHORT = {"connect_s": 20.0, "first_token_s": 2.0, "idle_s": 2.0, "total_s": 6.0}
LONG = {"connect_s": 20.0, "first_token_s": 90.0, "idle_s": 90.0, "total_s": 150.0}
# Both of these stand for streams of another dialect that break: its events are in `test_failures.py`.
OF_A_DIALECT = {"F80": "responses", "F81": "messages"}
ROWS = [
    pytest.param(id_, dialect, stream, id=f"{id_}-{dialect}-{'stream' if stream else 'whole'}")
    for id_, fault in FAULTS.items()
    for dialect in DIALECTS
    for stream in (False, True)
    if (fault.stream if stream else fault.json) and OF_A_DIALECT.get(id_, dialect) == dialect
]


@dataclass
class Seen:
    """What a client got; `told` is what the upstream said at last, `calls` how often it was asked."""

    status: int
    headers: dict
    raw: bytes
    told: object
    calls: int


def request(id_, dialect, *, stream):
    """Return a request that plays a fault."""
    prompt = [{"role": "user", "content": f"[[fault:{id_}]] {dialect} {stream} {TASK}"}]
    names = [name for name, _ in TRICKY] if id_ in ("F75", "F75b", "G13") else []
    tools = [{**TOOLS[dialect], "name": name} for name in names]
    return {
        "model": "openfusion/auto",
        "stream": stream,
        "openfusion": {"mode": "single", "candidates": [named(id_, stream)]},
        ("input" if dialect == "responses" else "messages"): prompt,
        **({"tools": tools} if tools else {}),
        **({} if dialect == "responses" else {"max_tokens": 9000}),
    }


def named(id_, stream):
    """Return the candidate that plays a fault alone."""
    return f"{id_.lower()}-{'stream' if stream else 'whole'}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played(tmp_path_factory):
    """Play a dialect's rows when the first of them is asked for."""
    found = {}

    async def play(dialect):
        for silent in () if dialect in found else (True, False):
            folder = tmp_path_factory.mktemp(dialect)
            own = [
                p.values for p in ROWS
                if p.values[1] == dialect and (p.values[0] in SILENT | ENDLESS) == silent
            ]  # fmt: skip
            found.setdefault(dialect, {}).update(await play_rows(folder, own, silent=silent))
        return found[dialect]

    return play


async def play_rows(folder, rows, *, silent):
    """Play rows side by side; returns (id, stream) -> Seen."""
    pool = [
        candidate(
            named(id_, stream), upstream="closed" if id_ == "F01" else "relay",
            context_tokens=9_000_000,
        )
        for id_, stream in sorted({(id_, stream) for id_, _, stream in rows})
    ]  # fmt: skip
    tables = {"timeouts": SHORT if silent else LONG}
    found, gate = {}, asyncio.Semaphore(AT_ONCE)
    async with serving(folder, api_key=CANARY, candidates=pool, closed=closed_url(), **tables) as r:
        r.up.big_bytes = BIG

        async def one(id_, dialect, stream):
            body = request(id_, dialect, stream=stream)
            path = r.base + PATHS[dialect]
            mark = f"[[fault:{id_}]] {dialect} {stream} "
            times = 2 if id_ in ("G20", "G21") else 1  # a fault of the connection that is left
            async with gate:
                for _ in range(times):
                    async with r.http.post(path, json=body, read_bufsize=1 << 24) as answer:
                        raw = await answer.read()
            asked = [q for q in r.up.requests if mark in json.dumps(q.body)]
            found[id_, stream] = Seen(
                answer.status, dict(answer.headers), raw, asked[-1] if asked else None,
                len(asked) // times,
            )  # fmt: skip

        await asyncio.gather(*(one(*row) for row in rows))
        assert not any(q.path.endswith("/elsewhere") for q in r.up.requests)
        shown = b"\n".join(s.raw + json.dumps(s.headers).encode() for s in found.values())
        for secret in (CANARY, CANARY[3:], f"127.0.0.1:{r.up.port}", "internal.example"):
            assert secret.encode() not in shown
    return found


@pytest.mark.parametrize(("id_", "dialect", "stream"), ROWS)
async def test_a_fault_ends_in_the_dialects_own_words_as_the_table_says(
    played, id_, dialect, stream
):
    seen = (await played(dialect))[id_, stream]
    fault = FAULTS[id_]
    accepted = fault.stream if stream else fault.json
    assert b"<html" not in seen.raw.lower()
    assert b"Traceback" not in seen.raw
    assert seen.calls <= MAX_CALLS
    if seen.status != 200:
        assert seen.status in accepted
        check_refusal(seen, fault, dialect)
        return
    got = heard(dialect, seen.raw, streamed=stream)
    if got.failed:
        assert "error_event" in accepted
        assert seen.told.text.startswith(got.text)
        assert bool(got.text) or id_ not in AFTER_TEXT
        return
    assert accepted & {"ok", "valid"}
    if "valid" not in accepted:
        check_whole(got, seen.told)


def check_refusal(seen, fault, dialect):
    """The dialect's error shape, with something to read, and what must be kept."""
    body = json.loads(seen.raw)
    assert seen.headers["Content-Type"].startswith("application/json")
    error = body["error"]
    assert error["message"].strip()
    if dialect == "messages":
        assert body["type"] == "error"
        assert error["type"]
        if fault.code:
            assert error["message"].startswith("prompt is too long")
    else:
        assert {"message", "type", "param", "code"} <= set(error)
        assert fault.code in (None, error["code"])
    for name, value in fault.headers.items():
        assert seen.headers[name.title()] == value


def check_whole(got, told):
    """The answer is what the upstream said, and it ends well."""
    assert got.text == told.text
    assert [name for _, name, _, _ in got.calls] == [name for name, _ in told.tools]
    assert [json.loads(c[2]) for c in got.calls] == [json.loads(a) for _, a in told.tools]
    assert len({c[3] for c in got.calls}) == len(got.calls)
    assert got.finish == ("tool_calls" if told.tools else "stop")
