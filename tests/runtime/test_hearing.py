"""Who asks again at once is served with what another worker has just learnt; a new conversation waits for nothing."""

import asyncio

import pytest

from openfusion_auto.core.types import Candidate
from openfusion_auto.runtime import hearing as module
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.engine import Incoming
from openfusion_auto.runtime.hearing import WITHIN_S, Hearing
from openfusion_auto.runtime.state import LiveState
from openfusion_auto.wire.codec import CODECS
from openfusion_auto.wire.jsons import dumps

CODER = Candidate("coder-a", "relay", "vendor/coder-a")
ASKED = {"role": "user", "content": "Rename the parser"}
ANSWERED = {"role": "assistant", "content": "Done."}


class Worker:
    """One of several, with a clock that moves when it is slept by; `word` is what arrives with the next look."""

    def __init__(self):
        self.now, self.looks, self.word = 0.0, 0, lambda: None
        self.clock = Clock(now=lambda: self.now, sleep=self.sleep)
        self.live = LiveState(self.clock, {}, pin_ttl_s=60.0, cache_ttl_s=60.0)
        self.hearing = Hearing(self.live, self.look, self.clock)

    async def sleep(self, seconds):
        self.now += seconds

    def look(self):
        self.looks += 1
        if self.looks == 3:
            self.word()

    async def asked(self, *messages, dialect="chat", field="messages", session="s"):
        body = {"model": "openfusion/auto", field: list(messages)}
        prompt = CODECS[dialect].parse_request(dumps(body), {})
        await self.hearing.of(Incoming(prompt, {"x-session-id": session}))


async def test_a_session_that_another_worker_has_just_pinned_is_waited_for():
    worker = Worker()
    worker.word = lambda: worker.live.pin("id:s", CODER, None)
    await worker.asked(ASKED, ANSWERED, ASKED)
    assert worker.looks == 3
    assert worker.live.snapshot("id:s").pin.candidate == "coder-a"
    await worker.asked(ASKED, ANSWERED, ASKED)
    assert worker.looks == 3


async def test_a_new_conversation_waits_for_nothing():
    worker = Worker()
    await worker.asked(ASKED)
    await worker.asked({"role": "system", "content": "Be brief."}, ASKED)
    assert worker.looks == 0


async def test_what_nobody_knows_is_waited_for_once_and_not_long():
    worker = Worker()
    for _ in range(5):
        await worker.asked(ASKED, ANSWERED, ASKED)
    assert WITHIN_S <= worker.now < WITHIN_S + 0.1
    looks = worker.looks
    await worker.asked(ASKED, ANSWERED, ASKED, session="other")
    assert worker.looks > looks


async def test_what_another_worker_has_just_tagged_as_sealed_is_waited_for():
    worker = Worker()
    worker.live.pin("id:s", CODER, None)
    sealed = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed-1"}
    said = {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "Done.", "annotations": []}],
    }
    worker.word = lambda: worker.live.first_seen(["sealed-1"], CODER)
    turn = (ASKED, sealed, said, ASKED)
    await worker.asked(*turn, dialect="responses", field="input")
    assert worker.looks == 3
    await worker.asked(*turn, dialect="responses", field="input")
    assert worker.looks == 3


async def test_what_was_waited_for_is_remembered_within_bounds(monkeypatch):
    monkeypatch.setattr(module, "MAX_SOUGHT", 2)
    worker = Worker()
    for name in ("a", "b", "c"):
        await worker.asked(ASKED, ANSWERED, ASKED, session=name)
    looks = worker.looks
    await worker.asked(ASKED, ANSWERED, ASKED, session="c")
    assert worker.looks == looks
    await worker.asked(ASKED, ANSWERED, ASKED, session="a")
    assert worker.looks > looks


async def test_a_client_that_leaves_while_it_waits_is_let_go():
    worker = Worker()
    worker.clock = Clock()
    worker.hearing = Hearing(worker.live, worker.look, worker.clock)
    task = asyncio.create_task(worker.asked(ASKED, ANSWERED, ASKED))
    while not worker.looks:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
