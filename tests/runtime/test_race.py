"""Two calls for one answer, without sockets: who answers, that the other one ends, and that nothing is said twice."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openfusion_auto.core.checks.fits import Fits
from openfusion_auto.core.prompt import Answer, CallDelta, Delta, Tool
from openfusion_auto.core.recipes import Reply
from openfusion_auto.errors import UpstreamBroken, UpstreamOverloaded
from openfusion_auto.runtime.cache import Tape
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.race import Lane, Race, Runner
from openfusion_auto.runtime.stream import ClientStream
from openfusion_auto.wire.chat_reader import ChatReader
from openfusion_auto.wire.chat_request import parse_request
from openfusion_auto.wire.telling import telling
from tests.runtime.test_relay import DONE, END, ROLE, event

ASKED = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}'
LONG_S, PATIENT_S = 60.0, 20.0


def deltas(*events):
    return ChatReader(keep=False).feed(b"".join(events))


class Line:
    """A client that takes everything."""

    def __init__(self):
        self.sent = []
        told = telling(parse_request(ASKED), answer_id="a", created=1)
        self.stream = ClientStream(told, self.send, Clock(), guarded=True, model=None)

    async def send(self, data):
        self.sent.append(data)

    @property
    def raw(self):
        return b"".join(self.sent)


class Call:
    """A call that does what its script says: a number to wait [s], events to pass on, an error or a name to end with."""

    def __init__(self, name, *script):
        self.name, self.script, self.ended = name, script, None

    async def __call__(self, lane):
        try:
            for step in self.script:
                if isinstance(step, float):
                    await asyncio.sleep(step)
                elif isinstance(step, list):
                    waits = lane.push(step)
                    if waits is not None:
                        await waits
                elif isinstance(step, UpstreamOverloaded):
                    self.ended = "failed"
                    return Reply("primary", self.name, error=step)
                elif isinstance(step, Exception):
                    raise step
            if lane.outlet is not None:
                await lane.whole()
            self.ended = "answered"
            return Reply("primary", self.name, Answer(self.name))
        except UpstreamBroken as error:
            self.ended = "failed"
            return Reply("primary", self.name, error=error)
        except asyncio.CancelledError:
            self.ended = "cut"
            raise


async def play(first, second, *, client=None, after_s=0.01):
    """Run a race; returns its replies and who won."""
    won = []
    race = Race(client and client.stream, won.append)

    async def start():
        return None if second is None else Runner(second.name, second)

    replies = await race.run(Runner(first.name, first), after_s, start)
    return [(r.candidate, r.error is None) for r in replies], won


def words(name):
    return deltas(ROLE, event({"content": f"{name} "})), deltas(event({"content": "speaks"}), END)


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_first_answers_alone_when_it_is_quick(streamed):
    line = Line() if streamed else None
    a, b = Call("a", *(words("a") if streamed else ())), Call("b")
    assert await play(a, b, client=line, after_s=LONG_S) == ([("a", True)], ["a"])
    assert (a.ended, b.ended) == ("answered", None)
    assert not streamed or b"speaks" in line.raw


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_second_answers_when_the_first_is_silent(streamed):
    line = Line() if streamed else None
    a, b = Call("a", LONG_S), Call("b", *(words("b") if streamed else ()))
    assert await play(a, b, client=line) == ([("b", True)], ["b"])
    assert (a.ended, b.ended) == ("cut", "answered")


async def test_the_loser_is_cut_when_the_other_speaks_and_not_when_it_has_ended():
    spoken = deltas(ROLE, event({"content": "b "}))
    a, b = Call("a", LONG_S), Call("b", spoken, LONG_S)
    task = asyncio.create_task(play(a, b, client=Line()))
    async with asyncio.timeout(PATIENT_S):
        while a.ended is None:
            await asyncio.sleep(0.01)
    assert (a.ended, b.ended) == ("cut", None)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert b.ended == "cut"


async def test_what_an_earlier_attempt_left_is_forgotten_when_one_speaks():
    line = Line()
    line.stream.tape = Tape(1000)
    await line.stream.relay(deltas(ROLE))  # of an attempt that came to nothing
    await play(Call("a", *words("a")), None, client=line, after_s=LONG_S)
    assert line.stream.tape.data().count(ROLE) == 1


async def test_who_only_opens_a_stream_has_not_spoken_and_leaves_nothing_of_it():
    line = Line()
    a = Call("a", deltas(event({"role": "assistant"}, id="of-a")), LONG_S)
    b = Call("b", *words("b"))
    assert await play(a, b, client=line) == ([("b", True)], ["b"])
    assert a.ended == "cut"
    assert b"of-a" not in line.raw


async def test_what_came_before_the_first_word_goes_out_with_it_in_order():
    line = Line()
    a = Call("a", deltas(event({"role": "assistant"}, id="of-a")), 0.05, *words("a"))
    assert await play(a, None, client=line) == ([("a", True)], ["a"])
    assert line.raw.index(b"of-a") < line.raw.index(b"a ") < line.raw.index(b"speaks")
    assert line.stream.relayed


async def test_without_a_second_call_the_first_goes_on_as_ever():
    line = Line()
    a = Call("a", 0.05, *words("a"))
    assert await play(a, None, client=line) == ([("a", True)], ["a"])


@pytest.mark.parametrize(
    "first_word",
    [
        Delta(b"", reasoning="hm"),
        Delta(b"", opaque="seal"),
        Delta(b"", calls=(CallDelta(0, 0, "c", "run", ""),)),
    ],
)
async def test_thoughts_and_tool_calls_are_words_too(first_word):
    won = []
    race = Race(Line().stream, won.append)

    async def speak(lane):
        assert race.winner is None
        lane.push([first_word])
        assert race.winner is lane
        return Reply("primary", "a", Answer("x"))

    async def never():
        raise AssertionError

    await race.run(Runner("a", speak), LONG_S, never)
    assert won == ["a"]


async def test_a_stream_that_fails_before_it_speaks_leaves_the_other_running():
    line = Line()
    a = Call("a", 0.05, [Delta(b"", error="it broke")])
    b = Call("b", 0.3, *words("b"))
    assert await play(a, b, client=line) == ([("a", False), ("b", True)], ["b"])
    assert (a.ended, b.ended) == ("failed", "answered")


async def test_when_both_fail_the_first_ones_reply_is_the_last():
    error = UpstreamOverloaded("down")
    for first_s, second_s in ((0.05, 0.2), (0.2, 0.01)):
        a, b = Call("a", first_s, error), Call("b", second_s, error)
        assert await play(a, b) == ([("b", False), ("a", False)], [])


async def test_a_failure_before_its_time_is_not_hedged():
    a, b = Call("a", UpstreamOverloaded("down")), Call("b")
    assert await play(a, b, after_s=LONG_S) == ([("a", False)], [])
    assert b.ended is None


async def test_a_defect_in_one_ends_the_other():
    a, b = Call("a", LONG_S), Call("b", ValueError("ours"))
    with pytest.raises(ValueError, match="ours"):
        await play(a, b)
    assert a.ended == "cut"


async def test_who_answers_while_the_second_is_being_allowed_stays_alone():
    a, b = Call("a", 0.05), Call("b")
    race = Race(None, [].append)

    async def slowly():
        await asyncio.sleep(0.3)
        return Runner("b", b)

    replies = await race.run(Runner("a", a), 0.01, slowly)
    assert [r.candidate for r in replies] == ["a"]
    assert b.ended is None


async def test_two_whole_answers_at_the_same_moment_are_one():
    go = asyncio.Event()

    async def both(lane):
        await go.wait()
        return Reply("primary", lane.name, Answer(lane.name))

    async def second():
        asyncio.get_running_loop().call_later(0.01, go.set)
        return Runner("b", both)

    won = []
    replies = await Race(None, won.append).run(Runner("a", both), 0.0, second)
    assert [r.candidate for r in replies] == won == ["a"]


STEPS = st.sampled_from([0.0, 0.001, 0.003])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(STEPS, max_size=4),
    st.lists(STEPS, max_size=4),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0.0, 0.001, 0.004]),
    st.none() | st.sampled_from([0.0, 0.001, 0.002, 0.005]),
)
def test_whatever_happens_one_voice_is_heard_and_nobody_runs_on(
    of_a, of_b, a_fails, b_fails, after_s, leaves_s
):
    """Two calls with pauses anywhere, a client that may leave at any time."""
    asyncio.run(whatever(of_a, of_b, a_fails, b_fails, after_s, leaves_s))


async def whatever(of_a, of_b, a_fails, b_fails, after_s, leaves_s):
    line, fault = Line(), UpstreamOverloaded("down")
    a = Call("a", *of_a, *([fault] if a_fails else words("AAA")))
    b = Call("b", *of_b, *([fault] if b_fails else words("BBB")))
    task = asyncio.create_task(play(a, b, client=line, after_s=after_s))
    if leaves_s is not None:
        await asyncio.sleep(leaves_s)
        task.cancel()
    (end,) = await asyncio.gather(task, return_exceptions=True)
    voices = {name for name in (b"AAA", b"BBB") if name in line.raw}
    assert len(voices) <= 1
    assert line.raw.count(b"speaks") <= 1
    for call in (a, b):
        assert call.ended is not None or call is b or leaves_s == 0.0
    if isinstance(end, asyncio.CancelledError):
        assert leaves_s is not None
        return
    replies, won = end
    answered = [name for name, good in replies if good]
    assert answered == won
    assert voices == {name.upper().encode() * 3 for name in won}
    assert len(asyncio.all_tasks()) == 1


async def test_a_good_answer_without_a_word_answers_at_its_end():
    line = Line()
    a = Call("a", 0.02, deltas(ROLE, event({}, "length"), DONE))
    assert await play(a, None, client=line, after_s=LONG_S) == ([("a", True)], ["a"])
    assert line.stream.relayed


async def test_an_empty_answer_is_a_failure_and_the_other_goes_on():
    line = Line()
    a, b = Call("a", 0.05, deltas(ROLE, END, DONE)), Call("b", 0.3, *words("b"))
    assert await play(a, b, client=line) == ([("a", False), ("b", True)], ["b"])


async def test_a_call_that_breaks_its_schema_is_held_in_a_race_too():
    fits = Fits((Tool("edit", schema={"properties": {"path": {"type": "string"}}}),))
    line = Line()
    lane = Lane("a", Race(line.stream, lambda _: None), line.stream)
    lane.fresh(fits)
    assert not lane.held
    call = {"index": 0, "id": "c", "type": "function"}
    said = {"tool_calls": [{**call, "function": {"name": "edit", "arguments": '{"path": 5}'}}]}
    assert lane.push(deltas(ROLE, event(said), event({}, "tool_calls"))) is None
    assert (lane.held, lane.started, line.sent) == (True, False, [])
