"""A classifier is asked once a task, inside the request's limits, and nothing breaks when it fails."""

import json

import pytest

from openfusion_auto.core.prompt import ToolCall
from openfusion_auto.core.types import Policy
from openfusion_auto.runtime import classifier as module
from openfusion_auto.runtime.classifier import PHASE, Classifier
from openfusion_auto.runtime.reader import Reader
from openfusion_auto.upstream.reply import Reply
from tests.support.pools import FOUR, candidate, pool, price
from tests.support.prompts import function
from tests.support.rig import Rig

SAYS = '{"kind": "ops", "risk": "high", "complexity": "low"}'
WORDS = "Rename the button"
HARNESS = "<system-reminder>Never tell anybody about PLUM.</system-reminder>\n"


def rig(reply=SAYS, *, timeout_s=3.0, pool=FOUR, policy=None, **more):
    """A router whose classifier is fast-a; `reply` is its answer (a text or a `Reply`), all others say "done"."""
    said = reply if isinstance(reply, Reply) else Reply(reply)

    def answer(body):
        asked = "You sort requests" in str(body["messages"][0]["content"])
        return said if asked else Reply("done", **more)

    reader = Reader(classifier=Classifier("fast-a", timeout_s=timeout_s, max_chars=2000))
    return Rig(answer, pool=pool, policy=policy, reader=reader)


def asked(found):
    """The bodies that went to the classifier."""
    bodies = [json.loads(c.body) for c in found.upstream.calls]
    return [b for b in bodies if "You sort requests" in str(b["messages"][0]["content"])]


def phases(trace):
    return [a.phase for a in trace.attempts]


async def test_its_answer_replaces_the_reading_and_stands_in_the_evidence():
    found = rig()
    _, trace = await found.ask(WORDS)
    task = trace.decision.task
    assert (task.kind, task.risk, task.complexity) == ("ops", "high", "low")
    assert [e.signal for e in task.evidence] == ["classifier.fast-a"]
    assert phases(trace) == [PHASE, "primary"]
    assert trace.notes == []


async def test_it_is_sent_the_persons_words_and_nothing_else():
    found = rig()
    messages = [
        {"role": "system", "content": "You are an agent. PLUM."},
        {"role": "user", "content": HARNESS + WORDS},
    ]
    await found.ask(messages, tools=[function("plum")])
    (body,) = asked(found)
    assert json.loads(body["messages"][1]["content"]) == {"request": WORDS}
    assert "plum" not in json.dumps(body).lower()
    assert body["model"] == "vendor/fast-a"


async def test_the_call_is_a_line_of_the_books():
    found = rig()
    _, trace = await found.ask(WORDS)
    (spend,) = [s for s in found.store.spend(0.0) if s.candidate == "fast-a"]
    assert spend.usd > 0
    assert trace.usd() == pytest.approx(sum(s.usd for s in found.store.spend(0.0)))


async def test_tool_turns_and_assents_are_judged_by_what_was_said_without_a_call():
    found = rig()
    await found.ask(WORDS)
    call = {"id": "c1", "type": "function", "function": {"name": "run", "arguments": "{}"}}
    tool_turn = [
        {"role": "user", "content": WORDS},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "ok"},
    ]
    _, second = await found.ask(tool_turn, tools=[function("run")])
    assent = [{"role": "user", "content": WORDS}, {"role": "assistant", "content": "Shall I?"}, {"role": "user", "content": "yes"}]  # fmt: skip
    _, third = await found.ask(assent)
    for trace in (second, third):
        assert PHASE not in phases(trace)
        assert (trace.decision.task.kind, trace.decision.task.risk) == ("ops", "high")
    assert second.decision.task.turn == "tool"
    assert len(asked(found)) == 1


async def test_a_tool_turn_of_an_unknown_session_makes_no_call():
    found = rig()
    call = {"id": "c1", "type": "function", "function": {"name": "run", "arguments": "{}"}}
    _, trace = await found.ask(
        [
            {"role": "user", "content": WORDS},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "ok"},
        ]
    )
    assert phases(trace) == ["primary"]


async def test_actions_of_tools_still_raise_the_risk():
    found = rig('{"kind": "ops", "risk": "low", "complexity": "low"}')
    await found.ask(WORDS)
    call = {"id": "c1", "type": "function", "function": {"name": "run", "arguments": '{"cmd": "git push --force"}'}}  # fmt: skip
    _, trace = await found.ask(
        [
            {"role": "user", "content": WORDS},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "ok"},
        ]
    )
    assert trace.decision.task.risk == "high"


async def test_a_new_task_and_another_session_are_asked_about():
    found = rig()
    await found.ask(WORDS)
    await found.ask("Drop the index")
    await found.ask(WORDS, session="other")
    assert len(asked(found)) == 3


async def test_calls_a_client_makes_for_itself_are_not_asked_about():
    found = rig()
    title = [
        {"role": "system", "content": "Generate a short title for this conversation."},
        {"role": "user", "content": WORDS},
    ]
    _, trace = await found.ask(title)
    assert trace.decision.task.kind == "aux"
    assert asked(found) == []


async def test_a_request_that_names_its_model_is_not_asked_about():
    found = rig()
    await found.ask(WORDS, model="coder-a")
    assert asked(found) == []


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply("no idea"), "its answer holds no JSON object"),
        (Reply('{"kind": "cooking"}'), "its answer has no known kind"),
        (Reply("slow down", status=429), "classifier fast-a: "),
        (Reply("down", status=503), "classifier fast-a: "),
        (Reply("", tool_calls=[ToolCall("c", "run", "{}")]), "its answer holds no JSON object"),
        (Reply(hang=True), "no answer within 0.05 s"),
    ],
)
async def test_without_a_usable_answer_the_words_are_read_and_the_trace_says_so(reply, says):
    found = rig(reply, timeout_s=0.05)
    body, trace = await found.ask(WORDS)
    assert body["choices"][0]["message"]["content"] == "done"
    assert len(asked(found)) == 1  # never retried
    note = trace.notes[-1]  # before it, that the call was cut
    assert says in note
    assert "the words were read without it" in note
    plain = Rig([Reply("done")])
    _, other = await plain.ask(WORDS)
    assert trace.decision.task == other.decision.task
    assert trace.outcome == "ok"


async def test_a_request_with_one_call_left_does_without():
    found = rig()
    _, trace = await found.ask(WORDS, openfusion={"max_calls": 1})
    assert phases(trace) == ["primary"]
    assert "does not fit the limits" in trace.notes[0]


async def test_it_takes_a_tenth_of_a_budget_at_most_and_the_rest_is_planned_with():
    generous, tight = rig(), rig()
    _, trace = await generous.ask(WORDS, max_tokens=50, openfusion={"max_usd": 1.0})
    assert phases(trace) == [PHASE, "primary"]
    _, trace = await tight.ask(WORDS, max_tokens=50, openfusion={"max_usd": 0.001})
    assert phases(trace) == ["primary"]
    assert "does not fit the limits" in trace.notes[0]


async def test_its_calls_and_money_are_taken_off_the_limits_of_the_decision():
    dear = candidate("fast-a", roles=("fast",), price=price(1.0, 4.0))
    found = rig(pool=pool(dear), policy=Policy(mode="single"))
    _, trace = await found.ask(WORDS, max_tokens=10, openfusion={"max_usd": 0.05, "max_calls": 2})
    assert phases(trace) == [PHASE, "primary"]
    assert trace.usd() < 0.05


async def test_a_debug_route_asks_nobody():
    found = rig()
    found.engine.judge(found.incoming(WORDS))
    assert found.upstream.calls == []


async def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "MAX_KEPT", 3)
    found = rig()
    for i in range(6):
        await found.ask(WORDS, session=f"s{i}")
    assert len(found.engine.reader.classifier._kept) == 3
    assert WORDS not in str(found.engine.reader.classifier._kept)


def test_a_new_configuration_asks_nothing_again_of_the_same_model():
    before = Classifier("fast-a", timeout_s=3.0, max_chars=2000)
    same = before.following("fast-a", timeout_s=1.0, max_chars=2000)
    before._kept["s"] = ("task", None)  # also what a request in flight is told yet
    assert same._kept == before._kept
    for changed in (
        before.following("coder-a", timeout_s=3.0, max_chars=2000),
        before.following("fast-a", timeout_s=3.0, max_chars=100),
    ):
        assert not changed._kept
