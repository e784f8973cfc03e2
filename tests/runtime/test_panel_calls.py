"""Tool calls through a whole panel, in all three surfaces: what the client gets is one member's, byte for byte.

Members' answers are generated: calls with odd but valid arguments, several at once, ids that collide or are missing,
words, failures, and judges that pick any number or nonsense. No socket: the engine with a scripted upstream.
"""

from __future__ import annotations

import asyncio
import json
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openfusion_auto.core.checks import schema_findings
from openfusion_auto.core.prompt import ToolCall, Usage
from openfusion_auto.core.recipes import Gather, recipe
from openfusion_auto.core.types import Policy
from openfusion_auto.errors import FusionError, UpstreamRejected
from openfusion_auto.runtime.engine import Incoming, answer_id
from openfusion_auto.runtime.stream import ClientStream
from openfusion_auto.upstream.reply import Reply
from openfusion_auto.wire.codec import CODECS
from openfusion_auto.wire.telling import stream_of, telling
from tests.core.playbook import broke, came
from tests.core.recipes.decisions import PANEL, decision
from tests.server.dialects import DIALECTS, SCHEMA, heard, request_for
from tests.support.pools import candidate, pool, solves
from tests.support.rig import Rig

TRIO = pool(*(candidate(f"m{i}", benchmarks=solves(70 + i)) for i in range(3)))
SURFACES = list(product(DIALECTS, (False, True)))
JUDGES = "Answer with one JSON object and nothing else"

words = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)


def written(arguments: dict, form: int) -> str:
    """The arguments as some model would write them."""
    return (
        json.dumps(arguments),
        json.dumps(arguments, indent=2),
        json.dumps(arguments, ensure_ascii=False, separators=(",", ":")),
        " " + json.dumps(arguments, ensure_ascii=False) + "\n",
    )[form]


arguments = st.builds(
    written,
    st.fixed_dictionaries({"path": words}, optional={"text": words, "n": st.integers()}),
    st.integers(0, 3),
)
calls = st.lists(
    st.builds(
        ToolCall, st.sampled_from(["c1", "c2", "call_x", "toolu_1"]), st.just("edit"), arguments
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda c: c.id,
).map(tuple)
said = (
    st.builds(Reply, text=words, tool_calls=calls, usage=st.just(Usage(100, 10)))
    | st.builds(Reply, text=words.filter(str.strip), usage=st.just(Usage(100, 10)))
    | st.just(Reply(status=400, text="no"))
)
cases = st.fixed_dictionaries(
    {
        "surface": st.sampled_from(SURFACES),
        "members": st.lists(said, min_size=3, max_size=3),
        "judge": st.integers(-1, 4),
        "strategy": st.sampled_from(["panel", "self_fusion", "debate"]),
        "aggregator": st.sampled_from(["auto", "vote", "ranked", "judge"]),
    }
)


def scripted(members, judge):
    """What the upstream says: members by their number, the judge its pick, a writer some words."""
    turn = iter(range(1_000))

    def say(body):
        last = json.dumps(body["messages"][-1], ensure_ascii=False)
        if JUDGES in last:
            return Reply(json.dumps({"best": judge, "why": "it is", "defect": "a defect"}))
        if "was judged best" in last:
            return Reply("written anew")
        return members[next(turn) % 3]

    return say


async def played(case):
    """Play a case; returns what the client heard, None when it got an error, and the trace."""
    dialect, streamed = case["surface"]
    options = {k: case[k] for k in ("strategy", "aggregator")} | {"mode": "panel"}
    body = request_for(dialect, "change it", tools=True, openfusion=options, stream=streamed)
    prompt = CODECS[dialect].parse_request(json.dumps(body).encode())
    rig = Rig(scripted(case["members"], case["judge"]), pool=TRIO, policy=Policy())
    asked = Incoming(prompt, {}, "me")
    trace = rig.engine.open(asked)
    sent = []

    async def send(data):
        sent.append(data)

    client = None
    if streamed:
        tell = telling(prompt, answer_id=answer_id(trace), created=1)
        client = ClientStream(tell, send, rig.clock, guarded=True, model=None)
    try:
        raw = await rig.engine.answer(asked, trace, client)
    except FusionError:
        return None, trace
    return heard(dialect, b"".join(sent) if streamed else raw, streamed=streamed), trace


def check(case, loop):
    """The calls that are emitted are one member's: bytes, order, ids, schema."""
    got, trace = loop.run_until_complete(played(case))
    usable = [m for m in case["members"] if m.status == 200]
    if got is None:
        assert not usable
        return
    told = trace.deliberation
    assert told.best_of >= 1
    assert {m.candidate for m in told.members} <= set(TRIO.by_id)
    if not got.calls:
        assert got.text.strip() == "written anew" or any(
            got.text == m.text for m in usable if not m.tool_calls
        )
        return
    check_heard(got, case["surface"], usable)


@pytest.fixture(scope="module")
def loop():
    made = asyncio.new_event_loop()
    yield made
    made.close()


# -- the recipe and the surfaces alone, many times ---------------------------------------------------------------------

PROMPTS = {
    (dialect, streamed): CODECS[dialect].parse_request(
        json.dumps(request_for(dialect, "change it", tools=True, stream=streamed)).encode()
    )
    for dialect, streamed in SURFACES
}


def as_answer(reply):
    """A member's answer as it is read from an upstream."""
    made = [
        {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
        for c in reply.tool_calls
    ]
    message = {"role": "assistant", "content": reply.text, **({"tool_calls": made} if made else {})}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if made else "stop"}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    body = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return CODECS["chat"].read_answer(json.dumps(body | {"usage": usage}).encode())


def told(members, judge, aggregator):
    """Play the recipe of a panel of these members; return its outcome."""
    both_orders = (*PANEL[:4], *PANEL[3:])
    made = recipe(PROMPTS["chat", False], decision("panel", both_orders, aggregator=aggregator))
    replies = tuple(
        told_.reply("member")
        for told_ in (
            came(i, as_answer(m)) if m.status == 200 else broke(i, UpstreamRejected("no"))
            for i, m in zip("abc", members, strict=True)
        )
    )
    next(made)
    try:
        step = made.send(replies)
        while True:
            asks = step.asks if isinstance(step, Gather) else (step,)
            judging = asks[0].phase == "judge"
            words_ = {"best": judge, "defect": "a defect"} if judging else "written anew"
            reply = came("j", as_answer(Reply(json.dumps(words_))))
            step = made.send(tuple(reply.reply(ask.phase) for ask in asks))
    except StopIteration as end:
        return end.value


def rendered(answer, surface):
    """The answer as a client of that surface hears it."""
    dialect, streamed = surface
    tell = telling(PROMPTS[surface], answer_id="chatcmpl-1", created=1)
    if not streamed:
        raw = tell.body(answer, None, model="m", usage=None, answer_id="chatcmpl-1", created=1)
        return heard(dialect, raw, streamed=False)
    writer = tell.writer(guarded=True, model=None)
    sent = b"".join(writer.write(delta) for delta in stream_of(answer))
    return heard(dialect, sent + writer.finish(None, None), streamed=True)


def check_surfaces(members, judge, aggregator):
    """In every surface the calls that are emitted are one member's."""
    outcome = told(members, judge, aggregator)
    usable = [m for m in members if m.status == 200]
    if outcome.answer is None:
        assert not usable
        return
    for surface in SURFACES:
        check_heard(rendered(outcome.answer, surface), surface, usable)


def check_heard(got, surface, usable):
    """What a client hears is one member's calls, in their order, with ids, or words without any call."""
    if not got.calls:
        return
    exact = surface != ("messages", False)  # there arguments are a JSON value of the body
    same = (lambda a: a) if exact else json.loads
    emitted = [(name, same(args)) for _, name, args, _ in got.calls]
    assert emitted in [[(c.name, same(c.arguments)) for c in m.tool_calls] for m in usable]
    ids = [id_ for *_, id_ in got.calls]
    assert all(ids)
    assert len(set(ids)) == len(ids)
    for _, name, args, _ in got.calls:
        assert schema_findings(name, SCHEMA, json.loads(args)) == []


MEMBERS = st.lists(said, min_size=3, max_size=3)
AGGREGATORS = st.sampled_from(["auto", "vote", "ranked", "judge"])
UNHURRIED = settings(deadline=None, suppress_health_check=list(HealthCheck))


@given(case=cases)
@settings(UNHURRIED, max_examples=30)
def test_calls_emitted_by_the_whole_engine_are_one_members(loop, case):
    check(case, loop)


@given(MEMBERS, st.integers(-1, 4), AGGREGATORS)
@settings(UNHURRIED, max_examples=60)
def test_emitted_calls_are_one_members_in_every_surface(members, judge, aggregator):
    check_surfaces(members, judge, aggregator)


@pytest.mark.slow
@pytest.mark.timeout(900)
@given(MEMBERS, st.integers(-1, 4), AGGREGATORS)
@settings(UNHURRIED, max_examples=1_700)  # in six surfaces each: 10,200 cases
def test_ten_thousand_cases_emit_one_members_calls(members, judge, aggregator):
    check_surfaces(members, judge, aggregator)
