"""Sessions that change their model: strict upstreams that refuse what they did not make never get to see it.

An upstream here checks every signature and encrypted item it is sent (an HMAC over itself, its model and the words),
every pair of call and result, and that nothing of the router's own making is in a request.
"""

import asyncio
import hashlib
import hmac
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openfusion_auto.core.types import Policy, Pool
from openfusion_auto.errors import UpstreamOverloaded, UpstreamRejected
from openfusion_auto.runtime.attempt import Means
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.engine import Engine, answer_id
from openfusion_auto.runtime.judging import Incoming
from openfusion_auto.runtime.state import LiveState
from openfusion_auto.runtime.stream import ClientStream
from openfusion_auto.runtime.trace import TraceStore
from openfusion_auto.wire.codec import CODECS
from openfusion_auto.wire.telling import telling
from tests.server.dialects import DIALECTS, Says, request_for, stream, whole
from tests.support.pools import candidate
from tests.wire import claude

MODELS = [
    candidate(f"{d[:4]}-{name}", upstream=upstream)
    for d in DIALECTS
    for name, upstream in (("a", f"{d}-1"), ("b", f"{d}-1"), ("c", f"{d}-2"))
]
POOL = Pool(tuple(sorted(MODELS, key=lambda c: c.id)), "sha256:test")
IDS = [c.id for c in POOL.candidates]


def seal(upstream, model, words):
    key = f"{upstream}|{model}".encode()
    return hmac.new(key, words.encode(), hashlib.sha256).hexdigest()


class Opened:
    def __init__(self, data, content_type):
        self._data, self.content_type = data, content_type

    async def chunks(self):
        yield self._data

    async def close(self):
        pass


class Strict:
    """One upstream: answers as told by `says`, refuses what a real one refuses."""

    def __init__(self, name, dialect):
        self.name, self.dialect = name, dialect
        self.says = Says()
        self.calls = []
        self.rejected = []

    async def close(self):
        pass

    async def open(self, call):
        self.calls.append(call)
        wrong = list(self._wrong(json.loads(call.body), call.model))
        if wrong or b"openfusion" in call.body:
            self.rejected.append(wrong or ["something made by the router"])
            raise UpstreamRejected(str(self.rejected[-1]), status=400)
        words = self.says.reasoning
        made = Says(
            self.says.text,
            words,
            seal(self.name, call.model, words) if words else "",
            self.says.calls,
        )
        if call.stream:
            return Opened(stream(self.dialect, made, call.model), "text/event-stream")
        return Opened(whole(self.dialect, made, call.model), "application/json")

    def _wrong(self, body, model):
        asked, told = [], []
        for kind, first, second in read(self.dialect, body):
            if kind == "sealed" and second != seal(self.name, model, first):
                yield f"a signature that is not of {self.name} {model}"
            if kind == "call":
                asked.append(first)
            if kind == "result":
                told.append(first)
        if asked != told:
            yield f"calls {asked} and results {told}"


def read(dialect, body):
    """Yield what a strict upstream looks at: (sealed, words, seal), (call, id, _), (result, id, _)."""
    if dialect == "responses":
        for item in body["input"]:
            kind = item.get("type")
            if kind == "reasoning":
                words = "".join(p["text"] for p in item["summary"])
                yield "sealed", words, item["encrypted_content"]
            if kind == "compaction":
                yield "sealed", "compacted", item["encrypted_content"]
            if kind in ("function_call", "function_call_output"):
                yield ("call" if kind == "function_call" else "result"), item["call_id"], ""
        return
    for message in body["messages"]:
        for detail in message.get("reasoning_details") or ():
            yield "sealed", detail["text"], detail["signature"]
        for call in message.get("tool_calls") or ():
            yield "call", call["id"], ""
        if message["role"] == "tool":
            yield "result", message["tool_call_id"], ""
        for block in message["content"] if isinstance(message.get("content"), list) else ():
            if block["type"] == "thinking":
                yield "sealed", block["thinking"], block["signature"]
            if block["type"] == "tool_use":
                yield "call", block["id"], ""
            if block["type"] == "tool_result":
                yield "result", block["tool_use_id"], ""


class Session:
    """A client that keeps its history as real ones do, before a router with strict upstreams."""

    def __init__(self, dialect):
        self.dialect = dialect
        self.body = request_for(dialect, "fix the bug", tools=True)
        if dialect == "messages":
            self.body["thinking"] = {"type": "adaptive"}
        self.upstreams = {f"{d}-{n}": Strict(f"{d}-{n}", d) for d in DIALECTS for n in (1, 2)}
        self.known = {}  # seal -> (upstream, model), as far as the router can know
        self.seals = []  # in the history, in order
        self.turn = 0
        self.restart()

    def restart(self):
        """A new process: nothing is known of who made what."""
        clock = Clock()
        self.live = LiveState(clock, {}, pin_ttl_s=600.0, cache_ttl_s=300.0)
        means = Means(POOL, self.upstreams, self.live, clock, 60.0)
        self.engine = Engine(means, Policy(mode="single"), TraceStore(100), dry_run=False)
        self.known = {}

    def rest(self, id_):
        for _ in range(5):
            self.live.failed(id_, UpstreamOverloaded("down"))

    @property
    def said(self):
        return self.body["input" if self.dialect == "responses" else "messages"]

    async def ask(self, model, says, *, streamed):
        """One turn; returns (raw request, the call made, trace)."""
        self.turn += 1
        for upstream in self.upstreams.values():
            upstream.says, upstream.calls = says, []
        raw = json.dumps({**self.body, "model": model, "stream": streamed}, indent=1).encode()
        asked = Incoming(CODECS[self.dialect].parse_request(raw), {"session-id": "s"}, "me")
        trace = self.engine.open(asked)
        out, client = [], None
        if streamed:

            async def send(data):
                out.append(data)

            told = telling(asked.prompt, answer_id=answer_id(trace), created=1)
            client = ClientStream(told, send, Clock(), guarded=True, model=None)
        answer = await self.engine.answer(asked, trace, client)
        self._keep(b"".join(out) if streamed else answer, streamed)
        calls = [c for u in self.upstreams.values() for c in u.calls]
        assert len(calls) == 1
        return raw, calls[0], trace

    def _keep(self, answer, streamed):
        """Take an answer into the history, and answer its calls."""
        if self.dialect == "responses":
            body = json.loads(answer.split(b"data: ")[-1]) if streamed else json.loads(answer)
            output = (body["response"] if streamed else body)["output"]
            self.said.extend(output)
            calls = [i["call_id"] for i in output if i["type"] == "function_call"]
            self.said.extend(
                {"type": "function_call_output", "call_id": c, "output": "done"} for c in calls
            )
        elif self.dialect == "messages":
            content = (
                [b.model_dump(exclude_none=True) for b in claude.accumulated(answer).content]
                if streamed
                else json.loads(answer)["content"]
            )
            self.said.append({"role": "assistant", "content": content})
            calls = [b["id"] for b in content if b["type"] == "tool_use"]
            results = [{"type": "tool_result", "tool_use_id": c, "content": "done"} for c in calls]
            if results:
                self.said.append({"role": "user", "content": results})
        else:
            message = (
                _assembled(answer) if streamed else json.loads(answer)["choices"][0]["message"]
            )
            self.said.append(message)
            calls = [c["id"] for c in message.get("tool_calls") or ()]
            self.said.extend({"role": "tool", "tool_call_id": c, "content": "done"} for c in calls)
        if not calls:
            self.said.append({"role": "user", "content": "go on"})


def _assembled(raw):
    message = {"role": "assistant", "content": ""}
    for line in raw.decode().split("\n\n"):
        if not line.startswith("data: {"):
            continue
        for choice in json.loads(line[6:])["choices"]:
            said = choice["delta"]
            message["content"] += said.get("content") or ""
            for detail in said.get("reasoning_details") or ():
                message.setdefault("reasoning_details", []).append(detail)
            for call in said.get("tool_calls") or ():
                listed = message.setdefault("tool_calls", [])
                if "id" in call:
                    listed.append({k: v for k, v in call.items() if k != "index"})
                else:
                    listed[call["index"]]["function"]["arguments"] += call["function"]["arguments"]
    return message


def history(session):
    """The seals in a session's history that an upstream of its own dialect would see."""
    body = {**session.body, "input": session.body.get("input", [])}
    return [s for kind, _, s in read(session.dialect, body) if kind == "sealed"]


steps = st.fixed_dictionaries(
    {
        "how": st.sampled_from(["auto", "auto", "name", "rest", "restart"]),
        "who": st.sampled_from(IDS),
        "streamed": st.booleans(),
        "thinks": st.booleans(),
        "calls": st.integers(0, 2),
    }
)


async def play(session, step):
    """One step, and everything that must hold after it."""
    who, model = step["who"], "openfusion/auto"
    if step["how"] == "name":
        model = who
    elif step["how"] == "restart":
        session.restart()
    elif step["how"] == "rest":
        session.rest(who)
    calls = tuple(
        ("function", "edit", f'{{"path":  "a{n}"}}', f"call_{session.turn}_{n}")
        for n in range(step["calls"])
    )
    words = f"thought {session.turn}" if step["thinks"] else ""
    before = history(session)
    raw, call, trace = await session.ask(
        model, Says("words", words, calls=calls), streamed=step["streamed"]
    )
    assert [u.rejected for u in session.upstreams.values() if u.rejected] == []
    line = trace.attempts[-1]
    maker = (line.upstream, line.model)
    foreign = [s for s in before if session.known.get(s) != maker]
    if line.upstream.startswith(session.dialect):
        assert bool(line.lost) == bool(foreign)
        if not foreign:
            same(raw, call, model)
        kept = [s for k, _, s in read(session.dialect, json.loads(call.body)) if k == "sealed"]
        assert kept == [s for s in before if s not in foreign]
    elif before:  # a dialect that cannot say it says so
        assert any("reasoning" in lost for lost in line.lost)
    if words:
        session.known[seal(*maker, words)] = maker


def same(raw, call, model):
    """The bytes that were sent are the client's but for the model's name."""
    wanted = raw.replace(json.dumps(model).encode(), json.dumps(call.model).encode(), 1)
    if b"include_usage" in call.body:  # the ledger's need, in chat alone
        sent = json.loads(call.body)
        sent.pop("stream_options")
        assert sent == json.loads(wanted)
    else:
        assert call.body == wanted


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, min_size=3, max_size=9))
def test_no_switch_of_the_model_breaks_a_session(dialect, found):
    async def run():
        session = Session(dialect)
        for step in found:
            await play(session, step)

    asyncio.run(run())


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_model_gets_its_own_reasoning_back_after_others_have_answered(dialect, streamed):
    session = Session(dialect)
    own, other = f"{dialect[:4]}-a", f"{dialect[:4]}-b"
    for n, who in enumerate((own, other, own)):
        step = {"how": "name", "who": who, "streamed": streamed, "thinks": True, "calls": n % 2}
        await play(session, step)
    _, call, trace = await session.ask(own, Says(), streamed=streamed)
    kept = [w for k, w, _ in read(dialect, json.loads(call.body)) if k == "sealed"]
    assert kept == ["thought 0", "thought 2"]
    assert trace.attempts[0].lost == (
        ("1 reasoning items",) if dialect == "responses" else ("reasoning of 1 message",)
    )


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_what_nobody_knows_the_maker_of_is_dropped_once_and_for_all(dialect):
    # After a restart the model that answers next must not be taken for the maker of what came before.
    session = Session(dialect)
    own = f"{dialect[:4]}-a"
    for how, who in (("name", own), ("restart", own), ("name", f"{dialect[:4]}-c"), ("name", own)):
        step = {"how": how, "who": who, "streamed": False, "thinks": True, "calls": 1}
        await play(session, step)


def compacted(session, upstream, model):
    item = {
        "type": "compaction",
        "id": "cmp_1",
        "encrypted_content": seal(upstream, model, "compacted"),
    }
    session.said.append(item)
    return item["encrypted_content"]


async def test_a_compacted_history_holds_the_session_to_its_maker():
    session = Session("responses")
    blob = compacted(session, "responses-2", "vendor/resp-c")
    session.live.first_seen([blob], POOL.get("resp-c"))
    for _ in range(3):
        raw, call, trace = await session.ask("openfusion/auto", Says(), streamed=False)
        assert trace.attempts[0].candidate == "resp-c"
        assert trace.attempts[0].lost == ()
        same(raw, call, "openfusion/auto")
    session.rest("resp-c")  # nobody else can go on, so its breaker is no reason to ask others
    _, _, trace = await session.ask("openfusion/auto", Says(), streamed=False)
    assert [a.candidate for a in trace.attempts] == ["resp-c"]


async def test_a_compacted_history_of_an_unknown_maker_stays_behind_and_is_told():
    session = Session("responses")
    compacted(session, "responses-2", "vendor/resp-c")
    _, call, trace = await session.ask("resp-a", Says(), streamed=False)
    assert trace.attempts[0].lost == ("1 compaction items",)
    assert b"compaction" not in call.body


async def test_an_item_that_only_this_dialect_knows_goes_where_it_is_spoken():
    session = Session("responses")
    session.said.append({"type": "brand_new"})
    for _ in range(2):
        raw, call, trace = await session.ask("openfusion/auto", Says(), streamed=False)
        assert trace.attempts[0].upstream.startswith("responses")
        same(raw, call, "openfusion/auto")
