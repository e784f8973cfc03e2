"""When a call is looked at, what is held from then on, and that a call which fits is neither held nor changed."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.checks.fits import Fits
from openfusion_auto.core.prompt import CallDelta, Delta, Tool
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.guard import Guard
from openfusion_auto.runtime.stream import ClientStream
from openfusion_auto.wire.codec import CODECS
from openfusion_auto.wire.telling import telling
from tests.server.dialects import DIALECTS, Says, request_for, stream

SCHEMA = {
    "type": "object",
    "properties": {"path": {"type": "string"}},
    "required": ["path"],
}
GOOD, BAD = '{"path": "a}b"}', '{"file": "a}b"}'


def fits():
    return Fits((Tool("edit", schema=SCHEMA),))


def part(said, *, name=None, index=0, finish=None, kind="function"):
    return Delta(b"", calls=(CallDelta(0, index, None, name, said, kind),), finish=finish)


def held(*deltas):
    """Which of the events are held."""
    guard = Guard(fits())
    return [guard.holds(delta) for delta in deltas]


def test_a_call_is_looked_at_when_something_follows_it_and_all_behind_it_is_held():
    begun, more, behind = part(BAD[:12], name="edit"), part(BAD[12:]), Delta(b"", text="so")
    assert held(begun, more, behind, Delta(b"", done=True)) == [False, False, True, True]
    assert held(begun, more, part("{", name="edit", index=1)) == [False, False, True]


def test_a_call_that_ends_the_answer_is_looked_at_there():
    assert held(part(BAD, name="edit", finish="tool_calls")) == [True]
    assert held(part(GOOD, name="edit", finish="tool_calls")) == [False]
    assert held(part("[", name="edit"), part("]", finish="tool_calls")) == [False, True]


def test_a_call_that_comes_whole_is_looked_at_at_once():
    assert held(part(BAD, name="edit")) == [True]


@pytest.mark.parametrize("said", ["", '{"path": "a}', "{}{"])
def test_what_is_not_whole_is_not_judged(said):
    assert held(part("", name="edit"), part(said), Delta(b"", text="x")) == [False] * 3


def test_free_text_is_not_judged():
    assert held(part(BAD, name="edit", kind="custom"), part("", finish="tool_calls")) == [False] * 2


def test_arguments_are_parsed_where_they_may_be_whole_and_not_for_each_fragment():
    class Counting(Fits):
        asked = 0

        def misfit(self, name, arguments):
            self.asked += 1
            return super().misfit(name, arguments)

    counting = Counting((Tool("edit", schema=SCHEMA),))
    guard = Guard(counting)
    for number, piece in enumerate(GOOD * 50):
        guard.holds(part(piece, name=None if number else "edit"))
    assert counting.asked == 0


# --- through a stream, in each dialect -------------------------------------------------------------------------


class Line:
    """A client of a dialect; `took` are the bytes after each event."""

    def __init__(self, client):
        raw = json.dumps({**request_for(client, tools=True), "stream": True}).encode()
        told = telling(CODECS[client].parse_request(raw), answer_id="a_1", created=1)
        self.sent = []
        self.stream = ClientStream(told, self.send, Clock(), guarded=True, model=None)

    async def send(self, data):
        self.sent.append(data)

    async def take(self, deltas, fits=None):
        """Pass events on one by one; returns the bytes that were out behind each."""
        self.stream.fresh(fits)
        out = []
        for delta in deltas:
            await self.stream.relay([delta])
            out.append(len(b"".join(self.sent)))
        return out


def deltas(upstream, says, step):
    data, reader = stream(upstream, says, "m"), CODECS[upstream].Reader()
    found = []
    for at in range(0, len(data), step):
        found += reader.feed(data[at : at + step])
    return found + reader.close()


def calling(*arguments, text=""):
    return Says(
        text, calls=tuple(("function", "edit", a, f"c{n}") for n, a in enumerate(arguments))
    )


arguments = st.fixed_dictionaries({"path": st.text(max_size=8)}, optional={"x": st.integers()})


@given(
    client=st.sampled_from(DIALECTS),
    upstream=st.sampled_from(DIALECTS),
    said=st.lists(arguments.map(json.dumps), min_size=1, max_size=3),
    text=st.sampled_from(["", "so "]),
    step=st.integers(1, 400),
)
def test_calls_that_fit_are_neither_delayed_nor_changed(client, upstream, said, text, step):
    async def both():
        events = deltas(upstream, calling(*said, text=text), step)
        plain, guarded = Line(client), Line(client)
        assert await plain.take(events) == await guarded.take(events, fits())
        assert plain.sent == guarded.sent
        assert not guarded.stream.held

    asyncio.run(both())


@given(
    client=st.sampled_from(DIALECTS),
    upstream=st.sampled_from(DIALECTS),
    good=st.integers(0, 2),
    step=st.integers(1, 400),
    another=st.booleans(),
)
def test_a_misfit_is_held_whole_and_can_be_passed_on_as_it_came(
    client, upstream, good, step, another
):
    async def both():
        events = deltas(upstream, calling(*[GOOD] * good, BAD), step)
        plain, guarded = Line(client), Line(client)
        await plain.take(events)
        await guarded.take(events, fits())
        if good and guarded.sent:  # a call before it is out: from then on everything passes
            assert guarded.sent == plain.sent
            assert not guarded.stream.held
            return
        assert (guarded.sent, guarded.stream.held) == ([], True)
        if another:  # an attempt that came to nothing
            guarded.stream.fresh(fits())
            assert not guarded.stream.held
        await guarded.stream.recall()
        assert b"".join(guarded.sent) == b"".join(plain.sent)
        assert (guarded.stream.held, guarded.stream.relayed) == (False, True)

    asyncio.run(both())


@pytest.mark.parametrize("client", DIALECTS)
def test_once_text_is_out_nothing_is_held(client):
    async def both():
        events = deltas("chat", calling(BAD, text="I will"), 50)
        plain, guarded = Line(client), Line(client)
        await plain.take(events)
        await guarded.take(events, fits())
        assert plain.sent == guarded.sent
        assert not guarded.stream.held

    asyncio.run(both())


def test_a_call_is_looked_at_again_only_when_it_has_grown(monkeypatch):
    looks = []
    judge = fits()
    monkeypatch.setattr(Fits, "misfit", lambda _self, _name, said: looks.append(said))
    guard = Guard(judge)
    for i in range(50):
        assert not guard.holds(part(GOOD, name="edit", index=i))
    assert len(looks) == 50
    assert not guard.holds(part("", index=0, finish="tool_calls"))
    assert len(looks) == 100
