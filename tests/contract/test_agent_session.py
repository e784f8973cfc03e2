"""A coding agent's whole session through `openfusion/auto`: one model, exact tool calls, every cent accounted for."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.server.conftest import FOUR, openfusion_of
from tests.support.faulty import FaultyUpstream

NAMES = ("read_file", "edit_file", "run", "search")
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"{name} in the workspace.",
            "parameters": {"type": "object", "properties": {"text": {"type": ["string", "null"]}}},
        },
    }
    for name in NAMES
]
SYSTEM = "You are a coding agent. Work step by step with the tools, then say what you did. " * 40
TASK = "Fix the off-by-one in windows() in src/windows.py and make its test pass."
ENDED = "The slice excluded the last window; fixed, and the test passes."
# What the model calls at each of its twelve steps: arguments as models write them, no two of one form.
STEPS = [
    [("search", '{"text":"def windows"}')],
    [("read_file", '{ "text" : "src/windows.py" }')],
    [("read_file", '{"text":"src/a b.py"}'), ("read_file", '{"text": "tests/test_windows.py"}')],
    [("run", '{"text":"pytest -q 2>&1 | tail -5"}')],
    [("edit_file", '{"text": "--- a\\n+++ b\\n@@ -1 +1 @@\\n-\\treturn xs[:-1]\\n+\\treturn xs"}')],
    [("edit_file", '{"text":"say \\"hi\\" and C:\\\\new\\\\table"}')],
    [("search", '{"text":"🧑‍💻 naïve 你好 \\ud83d\\ude80 \\u2028"}'), ("search", "{}"), ("run", '{"text":"ls"}')],
    [("edit_file", json.dumps({"text": "x = 1\n" * 400}))],
    [("run", '{"text":"1e3","n":1.50,"big":12345678901234567890}')],
    [("read_file", '{"text":null,"deep":{"a":[[],{},[{"b":false}]]}}')],
    [("run", '{\n  "text": "git diff --stat"\n}')],
    [("run", '{"text":"pytest -q"}')],
]  # fmt: skip
RESULTS = ["3 matches", "def windows(xs, n): ...", "1 failed, 3 passed", "ok", "wrote 12 bytes"]


class Model(FaultyUpstream):
    """An upstream whose model calls the tools of the next of `STEPS`, then says `ENDED`; without tools it names things."""

    def _plan(self, request):
        nth = super()._plan(request)
        request.text = "Fix windows()"
        if request.body.get("tools"):
            done = sum(m["role"] == "assistant" for m in request.body["messages"])
            request.tools = tuple(STEPS[done]) if done < len(STEPS) else ()
            request.text = "" if request.tools else ENDED
        return nth


class Agent:
    """The client: keeps the conversation and answers every tool call."""

    def __init__(self, router, *, streamed, session):
        self.router = router
        self.streamed = streamed
        self.headers = {"x-session-id": session} if session else {}
        self.messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": TASK}]
        self.shown = []  # the trace of each answer
        self.models = []

    async def step(self):
        """One turn of the model; returns its message, whatever way it came."""
        body = {"model": "openfusion/auto", "messages": self.messages, "tools": TOOLS}
        if self.streamed:
            status, headers, events = await self.router.events(body, **self.headers)
            assert status == 200, events
            self.shown.append(openfusion_of(events))
            chunks = [json.loads(e) for e in events if e != "[DONE]"]
            message, model = joined(chunks), chunks[0]["model"]
        else:
            status, headers, answer = await self.router.chat(body, **self.headers)
            assert status == 200, answer
            self.shown.append(answer["openfusion"])
            message, model = answer["choices"][0]["message"], answer["model"]
        assert model == headers["x-openfusion-model"]
        self.models.append(model)
        self.messages = [*self.messages, message]
        return message

    def answer_calls(self, message, at):
        results = [
            {
                "role": "tool",
                "tool_call_id": c["id"],
                "content": RESULTS[(at + i) % len(RESULTS)],
            }
            for i, c in enumerate(message["tool_calls"])
        ]
        self.messages = [*self.messages, *results]


def joined(chunks):
    """The message of a stream, its calls put together by index."""
    calls, text = {}, ""
    for delta in (c["choices"][0]["delta"] for c in chunks if c["choices"]):
        text += delta.get("content") or ""
        for piece in delta.get("tool_calls", ()):
            call = calls.setdefault(piece["index"], {"id": "", "name": "", "arguments": ""})
            call["id"] += piece.get("id") or ""
            call["name"] += piece["function"].get("name") or ""
            call["arguments"] += piece["function"].get("arguments") or ""
    assert list(calls) == list(range(len(calls)))
    if not calls:
        return {"role": "assistant", "content": text}
    whole = [
        {
            "id": c["id"],
            "type": "function",
            "function": {"name": c["name"], "arguments": c["arguments"]},
        }
        for c in calls.values()
    ]
    return {"role": "assistant", "content": None, "tool_calls": whole}


def called(message):
    return [
        (c["function"]["name"], c["function"]["arguments"]) for c in message.get("tool_calls", ())
    ]


async def title(router, session):
    """What clients ask beside the conversation, in the same session, to name it."""
    body = {
        "model": "openfusion/auto",
        "messages": [
            {"role": "system", "content": "Generate a short title for this conversation."},
            {"role": "user", "content": TASK},
        ],
    }
    status, _, answer = await router.chat(body, **({"x-session-id": session} if session else {}))
    assert status == 200
    return answer


async def play(router, *, streamed, session, beside=()):
    """Play the session to its end; at the steps in `beside` a title is asked for at the same time."""
    agent, titles = Agent(router, streamed=streamed, session=session), []
    for at, step in enumerate(STEPS):
        if at in beside:
            message, named = await asyncio.gather(agent.step(), title(router, session))
            titles.append(named)
        else:
            message = await agent.step()
        assert called(message) == step, f"step {at}"
        agent.answer_calls(message, at)
    last = await agent.step()
    assert (last["content"], called(last)) == (ENDED, [])
    return agent, titles


def by_hand(request):
    """What the upstream reported for a request, times the list price [USD]."""
    rates = {c["model"]: c["price_usd_per_mtok"] for c in FOUR}[request.body["model"]]
    written = request.text + " ".join(arguments for _, arguments in request.tools)
    return (len(request.raw) // 4 * rates["input"] + len(written.split()) * rates["output"]) / 1e6


async def listed(router):
    """The traces, oldest first."""
    async with router.http.get(f"{router.base}/traces?limit=200") as r:
        return (await r.json())["data"][::-1]


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def streamed(request):
    return request.param


@pytest.fixture(params=["s-1", ""], ids=["named", "implicit"])
def session(request):
    return request.param


async def test_a_session_keeps_its_model_and_its_calls_and_its_books(
    start_router, streamed, session
):
    async with Model() as up, start_router(up.url, candidates=FOUR) as router:
        agent, _ = await play(router, streamed=streamed, session=session)
        traces = await listed(router)
    turns = len(STEPS) + 1
    assert len(up.requests) == len(traces) == len(agent.shown) == turns
    assert len(set(agent.models)) == 1
    assert {r.body["model"] for r in up.requests} == set(agent.models)
    assert [t["trace_id"] for t in traces] == [s["trace_id"] for s in agent.shown]
    assert [t["task"]["turn"] for t in traces] == ["user"] + ["tool"] * len(STEPS)
    assert {t["mode"] for t in traces} == {"single"}
    assert [t["session"]["pinned"] for t in traces] == [False] + [True] * len(STEPS)
    source = "header x-session-id" if session else "implicit"
    assert {t["session"]["source"] for t in traces} == {source}
    for shown, request in zip(agent.shown, up.requests, strict=True):
        assert shown["usd"] == pytest.approx(by_hand(request), abs=1e-9)
    total = sum(map(by_hand, up.requests))
    assert sum(t["usd"] for t in traces) == pytest.approx(total, abs=1e-8)
    assert total > 0


async def test_the_conversation_goes_up_byte_for_byte_so_that_caches_hold(start_router, streamed):
    async with Model() as up, start_router(up.url, candidates=FOUR) as router:
        agent, _ = await play(router, streamed=streamed, session="s-1")
    for before, after in zip(up.requests, up.requests[1:], strict=False):
        shared = before.raw[: before.raw.index(b'], "tools": [')]
        assert len(shared) > len(SYSTEM)
        assert after.raw.startswith(shared)
        said = before.body["messages"]
        assert after.body["messages"][: len(said)] == said
        assert after.body["tools"] == TOOLS
    assert up.requests[-1].body["messages"] == agent.messages[:-1]


async def test_titles_asked_for_beside_it_are_cheap_and_do_not_move_it(
    start_router, streamed, session
):
    async with Model() as up, start_router(up.url, candidates=FOUR) as router:
        agent, titles = await play(router, streamed=streamed, session=session, beside=(0, 5, 11))
        traces = await listed(router)
    assert len(set(agent.models)) == 1
    assert {t["model"] for t in titles} == {"vendor/fast-a"}
    assert "vendor/fast-a" not in agent.models, "else it would prove nothing"
    assert {t["openfusion"]["task"]["turn"] for t in titles} == {"aux"}
    assert len(traces) == len(up.requests) == len(STEPS) + 1 + len(titles)
    assert sum(t["usd"] for t in traces) == pytest.approx(sum(map(by_hand, up.requests)), abs=1e-8)
    pinned = [s["session"]["pinned"] for s in agent.shown]
    assert pinned == [False] + [True] * len(STEPS)


async def test_each_tool_turn_says_why_it_stays(start_router):
    async with Model() as up, start_router(up.url, candidates=FOUR) as router:
        agent, _ = await play(router, streamed=False, session="s-1")
        reasons = [(await router.trace(s["trace_id"]))["decision"]["reasons"] for s in agent.shown]
    holder = agent.models[0].removeprefix("vendor/")
    stays = f"a tool turn stays with {holder}"
    assert [stays in r for r in reasons] == [False] + [True] * len(STEPS)


async def test_two_sessions_at_once_do_not_share_a_pin(start_router):
    async with Model() as up, start_router(up.url, candidates=FOUR) as router:
        (one, _), (two, _) = await asyncio.gather(
            play(router, streamed=True, session="s-1"), play(router, streamed=False, session="s-2")
        )
    for agent in (one, two):
        assert len(set(agent.models)) == 1
        assert agent.shown[0]["session"]["pinned"] is False
    assert len(up.requests) == 2 * (len(STEPS) + 1)
