"""Bytes: what may be added to an answer, and that anything else is seen. Our own server is asked in tests/cli."""

import json

import pytest

from openfusion_auto.evals.compat import render
from openfusion_auto.evals.compat.asking import Target
from openfusion_auto.evals.compat.fidelity import BYTES, same_object, same_stream
from openfusion_auto.evals.compat.run import run
from openfusion_auto.evals.compat.script import MODEL, Said
from openfusion_auto.evals.compat.scripted import Scripted

DIALECTS = ("chat", "responses", "messages")
SAID = Said("Zürich pong")
TRACE = {"trace_id": "tr_1"}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_trace_behind_the_last_member_is_no_change(dialect):
    said = render.whole(dialect, SAID, "m")
    traced = said[:-1] + b', "openfusion": ' + json.dumps(TRACE).encode() + b"}"
    assert same_object(said, said)
    assert same_object(said, traced)
    assert not same_object(said, traced.replace(b"pong", b"ping"))
    assert not same_object(said, json.dumps({**json.loads(said), "openfusion": TRACE}).encode())


def traced(event, *, inside):
    head, mark, data = event.partition(b"data: ")
    body = json.loads(data)
    (body["response"] if inside else body)["openfusion"] = TRACE
    return head + mark + json.dumps(body).encode() + b"\n\n"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_one_object_of_a_stream_may_hold_the_trace(dialect):
    events = render.events(dialect, SAID, "m")
    said = b"".join(events)
    at = {"chat": -2, "responses": -1, "messages": -2}[dialect]
    came = [*events]
    came[at] = traced(events[at], inside=dialect == "responses")
    assert same_stream(said, b": wait\n\n" + b"".join(came))
    assert not same_stream(said, b"".join(came).replace("Züri".encode(), b"Zuri"))
    assert not same_stream(said, b"".join(came[1:]))
    assert not same_stream(said, b"".join([*came, came[0]]))
    came[0] = traced(events[0], inside=dialect == "responses")
    assert not same_stream(said, b"".join(came))


def test_a_number_written_otherwise_is_a_change():
    assert not same_stream(b'data: {"a": 1.0}\n\n', b'data: {"a": 1, "openfusion": {}}\n\n')


async def test_what_cannot_be_looked_at_is_unknown_and_another_dialect_is_not_offered():
    async with Scripted(["chat"]) as server:
        own = Target("it", server.url, MODEL, behind=server.speaks, journal=server)
        foreign = Target("it", server.url, MODEL, behind=server.speaks)
        columns = await run([own, foreign], BYTES)
    found = [[r.outcome for r in c.results] for c in columns]
    assert found == [["pass", "pass", *["not offered"] * 4], ["unknown"] * 6]


class Misremembering(Scripted):
    """Its journal says that something else went over the wire."""

    old, new = b"", b""

    def exchange(self, word):
        found = super().exchange(word)
        return tuple(part.replace(self.old, self.new) for part in found)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [(b"max_tokens", b"max_token", "the request"), (b"chatcmpl-1", b"chatcmpl-2", "the answer")],
)
async def test_a_change_is_found(old, new, why):
    async with Misremembering(["chat"]) as server:
        server.old, server.new = old, new
        target = Target("it", server.url, MODEL, behind=server.speaks, journal=server)
        (column,) = await run([target], BYTES[:2])
    assert [r.outcome for r in column.results] == ["fail", "fail"]
    assert all(r.why.startswith(f"{why} was changed") for r in column.results)
