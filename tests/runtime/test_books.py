"""Every call is a line, every request a trace, and noting them costs a request next to nothing."""

from __future__ import annotations

import gc
import json
import time
import types

import pytest

from openfusion_auto.core import cost
from openfusion_auto.core.prompt import ToolCall, Usage
from openfusion_auto.core.types import Policy, Stats
from openfusion_auto.runtime.attempt import Attempts
from openfusion_auto.runtime.books import Books, line_of
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.relay import Received
from openfusion_auto.runtime.state import LiveState
from openfusion_auto.runtime.stream import ClientStream
from openfusion_auto.runtime.trace import Attempt, Trace
from openfusion_auto.store.base import Line
from openfusion_auto.store.memory import MemoryStore
from openfusion_auto.store.retention import Limits
from openfusion_auto.store.sqlite import SqliteStore
from openfusion_auto.upstream.reply import Reply
from openfusion_auto.wire.codec import CODECS
from openfusion_auto.wire.telling import telling
from tests.support.pools import CODER, candidate
from tests.support.rig import Rig

HOT_PATH_US = 30.0  # [µs] of processor time that the store may add to a request


def trace(**changes) -> Trace:
    made = Trace("tr_1", "openfusion/auto", "chat", False, 1_800_000_000.0, session="hash")
    for key, value in changes.items():
        setattr(made, key, value)
    return made


def call(model=CODER, usage=None, **changes) -> Attempt:
    made = Attempt("primary", model.id, model.model, model.upstream, 1.0, status="ok")
    made.book(model, usage)
    for key, value in changes.items():
        setattr(made, key, value)
    return made


def test_a_line_holds_what_the_call_used_and_cost():
    used = call(usage=Usage(1000, 50, 900, 10))
    assert line_of(trace(), used) == Line(
        "tr_1", 1_800_000_000.0, "hash", "primary", "coder-a", CODER.model, CODER.upstream, "ok", 1000, 900, 10, 50, used.usd, False,
    )  # fmt: skip
    assert used.usd


def test_what_is_not_known_is_none_and_an_error_has_its_code():
    line = line_of(trace(), call(status="error", error="upstream_timeout"))
    assert line.status == "upstream_timeout"
    assert (line.input, line.cached, line.cache_write, line.output, line.usd) == (None,) * 5
    line = line_of(trace(), call(candidate("free-a", price=None), Usage(3, 4), estimated=True))
    assert (line.usd, line.estimated) == (None, True)


def test_lines_and_traces_go_to_the_store():
    store = MemoryStore()
    books = Books(store)
    books.enter(trace(), call(usage=Usage(3, 4)))
    books.close(trace(outcome="ok"))
    assert store.spend(0.0)[0].calls == 1
    assert store.trace("tr_1").head.outcome == "ok"


def test_books_without_a_store_keep_them_in_memory():
    books = Books()
    books.close(trace())
    assert books.store.status().kind == "memory"
    assert books.store.trace("tr_1")


class Nothing:
    """A store that takes everything and does nothing: what is left is the cost of the rest."""

    def load(self, *_):
        return []

    def keep(self, *_):
        pass

    enter = record = measure = keep


def cost_us(store, count=300) -> float:
    """Processor time of this thread [µs] for what one request notes, the best of some runs."""
    live = LiveState(Clock(), {}, pin_ttl_s=60.0, cache_ttl_s=60.0, store=store)
    books, request, used = Books(store), trace(), call(usage=Usage(1000, 50))
    best = float("inf")
    for _ in range(7):
        begun = time.thread_time()
        for _ in range(count):
            live.succeeded("coder-a", ttft_ms=3.0, tokens_per_s=5.0, bytes_per_token=3.0)
            live.pin("s", CODER, used.usage)
            books.enter(request, used)
            books.close(request)
        best = min(best, (time.thread_time() - begun) / count * 1e6)
    return best


def test_a_request_pays_next_to_nothing_for_being_kept(tmp_path):
    store = SqliteStore(tmp_path / "s.sqlite3", Limits(), time.time)
    added = cost_us(store) - cost_us(Nothing())
    print(f"the store adds {added:.1f} µs to a request")
    assert added < HOT_PATH_US
    assert store.load(Stats, 0.0)
    store.close()


# -- calls that came to nothing ---------------------------------------------------------------------------------------

TOLD = Usage(100, 7, 40)
USELESS = {"empty": {"text": ""}, "broken call": {"tool_calls": (ToolCall("c1", "run", '{"cmd'),)}}


async def first_line_of(reply: Reply, *, stream: bool) -> Line:
    """Return the first line of a request whose first call is answered by `reply`, the next one well."""
    rig = Rig([reply, Reply(text="well")])
    asked = rig.incoming("hello", stream=stream)
    made = rig.engine.open(asked)
    client = None
    if stream:
        words = telling(asked.prompt, answer_id="chatcmpl-1", created=1)
        client = ClientStream(words, nowhere, rig.clock, guarded=True, model=None)
    await rig.engine.answer(asked, made, client)
    assert made.outcome == "ok"
    return line_of(made, made.attempts[0])


async def nowhere(_data: bytes) -> None:
    """Send to nobody."""


# A broken call in a stream is found out before the usage has come: it is counted.
@pytest.mark.parametrize(
    ("reply", "stream"), [("empty", False), ("empty", True), ("broken call", False)]
)
async def test_what_an_answer_of_no_use_said_it_used_is_booked(reply, stream):
    line = await first_line_of(Reply(**USELESS[reply], usage=TOLD), stream=stream)
    assert line.status == "upstream_broken"
    assert (line.input, line.cached, line.output, line.estimated) == (100, 40, 7, False)
    assert line.usd


async def test_of_an_answer_that_told_nothing_the_bytes_count():
    line = await first_line_of(Reply(raw=b'{"choices": [' + b" " * 350), stream=False)
    assert (line.output, line.estimated) == (101, True)
    assert line.usd


def test_what_a_stream_told_before_it_was_cut_counts_and_the_rest_by_bytes():
    rig = Rig([])
    usage = {"input_tokens": 60, "cache_read_input_tokens": 40, "output_tokens": 1}
    said = {"type": "text_delta", "text": "é" * 180}
    events = [
        {"type": "message_start", "message": {"usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": said},
    ]
    reader = CODECS["messages"].Reader()
    for event in events:
        reader.feed(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
    received = Received()
    received.tell(reader.answer(), 1)
    line = call()
    calls = Attempts(rig.engine.means, trace(), began_s=0.0)
    calls._book_partial(line, rig.incoming("hello").prompt, CODER, received)
    assert (line.usage, line.estimated) == (Usage(100, 100, 40), True)


def untold(usage: object = None, **message: object) -> Reply:
    """An answer whose usage is as given, thought and said at length."""
    said = {"role": "assistant", "content": "é" * 180, **message}
    choices = [{"index": n, "message": said, "finish_reason": "stop"} for n in range(2)]
    body = {"id": "x", "object": "chat.completion", "model": "m", "choices": choices}
    return Reply(raw=json.dumps({**body, "usage": usage}).encode())


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": 0, "completion_tokens": 0}])
async def test_of_a_good_answer_that_tells_nothing_all_that_was_written_counts(usage):
    rig = Rig([untold(usage, reasoning_content="x" * 3240)])
    _, made = await rig.ask("hello", n=2)
    (line,) = made.attempts
    assert (line.usage.output, line.estimated) == (2 * (360 + 3240) / 3.6, True)
    assert line.usage.input > 10
    answerer = rig.engine.means.pool.get(line.candidate)
    assert line.usd == cost.usd(answerer.price, line.usage)
    known = rig.live.snapshot(None).stats[line.candidate]
    assert (known.bpt_weight, known.tps_weight) == (0, 0)  # nothing was measured


async def test_what_an_answer_told_stays_beside_what_it_did_not():
    rig = Rig([untold({"prompt_tokens": 777})])
    _, made = await rig.ask("hello")
    (line,) = made.attempts
    assert (line.usage, line.estimated) == (Usage(777, 100), True)


async def test_a_call_that_a_recipe_made_is_counted_with_what_it_read():
    rig = Rig([untold({"prompt_tokens": 50, "completion_tokens": 900}), untold(content="APPROVE")],
              policy=Policy(mode="verify"))  # fmt: skip
    _, made = await rig.ask("Is this lock safe against a crash? Say why.")
    first, second = made.attempts
    assert (first.phase, second.phase) == ("primary", "verify")
    assert second.usage.input > 100  # it read 360 bytes of an answer


def test_a_call_of_a_dry_run_costs_nothing_however_it_ends():
    rig, line = Rig([]), call()
    calls = Attempts(rig.engine.means, trace(dry_run=True), began_s=0.0)
    calls._book_partial(line, rig.incoming("hello").prompt, CODER, Received(size=360))
    assert (line.usage.output, line.usd) == (100, 0.0)


async def test_a_failed_call_leaves_no_cycle_that_only_the_collector_could_free():
    rig = Rig([*[Reply(status=503)] * 3, Reply(text="well")])
    gc.collect()
    gc.disable()
    try:
        _, made = await rig.ask("hello")
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        kept = [found for found in gc.garbage if isinstance(found, types.TracebackType)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert len(made.attempts) == 4
    assert not kept
