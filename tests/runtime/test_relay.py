"""What a stream's pieces do on their way: counted, told to the client, bounded when they say nothing."""

from __future__ import annotations

import json

import pytest

from openfusion_auto.core.types import Candidate
from openfusion_auto.errors import UpstreamBroken, UpstreamTimeout
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.relay import Received, Relay
from openfusion_auto.runtime.state import LiveState
from openfusion_auto.runtime.stream import ClientStream
from openfusion_auto.upstream.base import pour
from openfusion_auto.wire.chat_reader import ChatReader
from openfusion_auto.wire.chat_request import parse_request
from openfusion_auto.wire.telling import telling

MAKER = Candidate("coder-a", "relay", "vendor/coder-a")
ASKED = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}'


def event(delta=None, finish=None, **more):
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return b"data: " + json.dumps({"choices": [choice], **more}).encode() + b"\n\n"


ROLE, WORD, END = event({"role": "assistant"}), event({"content": "word"}), event({}, "stop")
DONE = b"data: [DONE]\n\n"


class Line:
    """A client, its head sent by the first write; `full`: it takes nothing at once."""

    def __init__(self):
        self.sent, self.at_once, self.full = [], [], False
        told = telling(parse_request(ASKED), answer_id="a", created=1)
        self.stream = ClientStream(
            told, self.send, Clock(), guarded=True, model=None, send_now=self.now
        )

    async def send(self, data):
        self.sent.append(data)

    def now(self, data):
        if self.full:
            return False
        self.sent.append(data)
        self.at_once.append(data)
        return True


@pytest.fixture
def times():
    return [0.0]


@pytest.fixture
def made(times):
    def make(line=None):
        clock = Clock(now=lambda: times[0])
        live = LiveState(clock, {}, pin_ttl_s=1, cache_ttl_s=1)
        received = Received()
        client = line and line.stream
        reader = ChatReader(keep=client is None)
        relay = Relay(reader, client, received, MAKER, live=live, clock=clock, silence_s=10.0)
        return relay, received, live, reader

    return make


async def take(relay, *chunks):
    for chunk in chunks:
        waits = relay.take(chunk)
        if waits is not None:
            await waits


async def test_an_answer_has_begun_with_its_first_event_but_not_with_a_comment_or_an_error(made):
    relay, received, *_ = made(Line())
    relay.take(b": keep-alive\n\n")
    assert not received.began
    relay.take(ROLE)
    assert received.began
    relay, received, *_ = made()
    with pytest.raises(UpstreamBroken):
        relay.take(b'data: {"error": {"message": "no"}}\n\n')
    assert not received.began


async def test_the_first_write_is_awaited_and_the_others_go_out_at_once(made):
    line = Line()
    relay, *_ = made(line)
    await take(relay, ROLE)
    assert line.sent == []  # held: a fallback would still be unseen
    waits = relay.take(WORD)
    assert waits is not None
    await waits
    assert line.sent == [ROLE + WORD]
    assert relay.take(WORD) is None
    assert line.at_once == [WORD]


async def test_a_client_that_takes_nothing_is_waited_for(made):
    line = Line()
    relay, *_ = made(line)
    await take(relay, ROLE, WORD)
    line.full = True
    waits = relay.take(WORD)
    assert waits is not None
    await waits
    assert line.sent[-1] == WORD
    assert line.at_once == []


async def test_the_first_token_has_come_when_there_is_something_of_the_answer(made, times):
    relay, received, _, reader = made()
    times[0] = 3.0
    await take(relay, b": the upstream lives\n\n", ROLE)
    assert received.first_s is None  # nothing of the answer yet
    times[0] = 4.0
    await take(relay, WORD)
    times[0] = 5.0
    await take(relay, WORD)
    assert received.first_s == 4.0
    assert reader.answer().text == "wordword"


async def test_the_end_mark_ends_it_and_what_follows_is_not_wanted(made):
    relay, *_ = made()
    await take(relay, WORD, END)
    assert not relay.done
    await take(relay, DONE)
    assert relay.done
    assert relay.end() is None


async def test_comments_alone_are_bounded(made, times):
    relay, *_ = made()
    await take(relay, WORD)
    times[0] = 9.0
    assert relay.take(b": still here\n\n") is None
    times[0] = 11.0
    with pytest.raises(UpstreamTimeout, match="keep-alives only"):
        relay.take(b": still here\n\n")


async def test_a_break_is_raised_where_nobody_listens_and_told_where_somebody_does(made):
    relay, *_ = made()
    with pytest.raises(UpstreamBroken):
        relay.take(b"data: junk\n\n")
    relay, *_ = made()
    await take(relay, WORD)
    with pytest.raises(UpstreamBroken):
        relay.end()
    line = Line()
    relay, *_ = made(line)
    waits = relay.take(ROLE + WORD + b"data: junk\n\n")
    with pytest.raises(UpstreamBroken):
        await waits
    assert line.sent == [ROLE + WORD]


async def test_who_made_what_is_sealed_is_known_before_the_client_has_it(made):
    relay, _, live, _ = made()
    details = [{"type": "reasoning.encrypted", "data": "sealed-text"}]
    await take(relay, event({"content": "word", "reasoning_details": details}))
    assert not live.is_foreign(["sealed-text"], MAKER)


async def test_an_answer_that_only_yields_is_poured_too(made):
    class Plain:
        content_type = "text/event-stream"
        read = 0

        async def chunks(self):
            for chunk in (ROLE, WORD, END, DONE, WORD):
                self.read += 1
                yield chunk

        async def close(self):
            pass

    line, plain = Line(), Plain()
    relay, *_ = made(line)
    await pour(plain, relay)
    assert plain.read == 4
    assert line.sent == [ROLE + WORD]
