"""The chat surface, whole and streamed: what goes up is the client's, what comes down is the model's."""

import asyncio
import json

import pytest

from openfusion_auto.core.prompt import Answer, ToolCall
from openfusion_auto.errors import UpstreamBroken
from openfusion_auto.runtime.sending import refuse_broken_calls
from tests.server.conftest import FOUR, ask, candidate, openfusion_of
from tests.support.faulty import FaultyUpstream

TOOL = {
    "type": "function",
    "function": {
        "name": "run",
        "parameters": {
            "type": "object",
            "properties": {"cmd": {"type": "string"}},
            "required": ["cmd"],
        },
    },
}
RISKY = "Fix the SQL injection in the login endpoint"
GRAVE = (
    "Design and build a double-entry ledger for customer payments that survives a region failing over, with "
    "exactly-once transfers, and move the live billing service onto it"
)


class TestRelay:
    async def test_the_upstream_gets_the_clients_bytes_with_the_models_name(self, start_router):
        body = ask("[[say:hi]]", temperature=0.25, custom_field={"b": [1, 2.50, None]}, user="u-1")
        raw = json.dumps(body, indent=2).encode()
        async with (
            FaultyUpstream() as up,
            start_router(up.url) as router,
            router.http.post(
                f"{router.base}/chat/completions",
                data=raw,
                headers={"Content-Type": "application/json"},
            ) as r,
        ):
            assert r.status == 200
        assert up.requests[0].raw == raw.replace(b'"openfusion/auto"', b'"vendor/coder-a"')

    async def test_a_whole_answer_comes_down_as_it_was_with_the_trace_added(self, start_router):
        async with FaultyUpstream() as up, start_router(up.url) as router:
            status, headers, body = await router.chat(ask("[[say:héllo 你好]]"))
        trace = body.pop("openfusion")
        assert (status, body["choices"][0]["message"]["content"]) == (200, "héllo 你好")
        assert body["model"] == headers["x-openfusion-model"] == "vendor/coder-a"
        assert trace["trace_id"] == headers["x-openfusion-trace-id"]
        assert trace["mode"] == headers["x-openfusion-mode"] == "single"
        assert trace["usage"][0]["input_tokens"] == body["usage"]["prompt_tokens"]
        assert trace["usd"] == pytest.approx(
            (body["usage"]["prompt_tokens"] * 1.0 + body["usage"]["completion_tokens"] * 4.0) / 1e6
        )

    async def test_a_stream_comes_down_event_by_event_as_it_was(self, start_router):
        async with FaultyUpstream() as up, start_router(up.url) as router:
            _, _, direct = await direct_events(router.http, up, ask("[[words:5]]"))
            _, headers, events = await router.events(ask("[[words:5]]"))
        assert events[-1] == "[DONE]"
        assert events.count("[DONE]") == 1
        seen = [normal(e) for e in events]
        assert seen == [normal(e) for e in direct]
        assert openfusion_of(events)["trace_id"] == headers["x-openfusion-trace-id"]

    async def test_the_usage_chunk_is_kept_from_a_client_that_did_not_ask(self, start_router):
        async with FaultyUpstream() as up, start_router(up.url) as router:
            _, _, plain = await router.events(ask("[[words:3]]"))
            _, _, asked = await router.events(
                ask("[[words:3]]", stream_options={"include_usage": True})
            )
            assert all(r.body["stream_options"]["include_usage"] for r in up.requests)
        assert not any('"usage":{' in e for e in plain[:-2])
        usage = json.loads(asked[-2])
        assert usage["choices"] == []
        assert usage["usage"]["completion_tokens"] == 3
        assert openfusion_of(asked)["usage"][0]["output_tokens"] == 3

    async def test_the_name_that_was_asked_for_can_be_reported(self, start_router):
        server = {"report_model": "requested"}
        async with FaultyUpstream() as up, start_router(up.url, server=server) as router:
            _, _, events = await router.events(ask("[[words:3]]"))
            _, _, body = await router.chat(ask("[[words:3]]"))
        assert {json.loads(e)["model"] for e in events[:-1]} == {"openfusion/auto"}
        assert body["model"] == "openfusion/auto"

    @pytest.mark.parametrize("level", ["none", "compact", "full"])
    async def test_a_request_chooses_how_much_trace_it_gets(self, start_router, level):
        async with FaultyUpstream() as up, start_router(up.url) as router:
            _, headers, body = await router.chat(ask("hi", openfusion={"trace": level}))
            _, _, events = await router.events(ask("hi", openfusion={"trace": level}))
        assert ("openfusion" in body) == (level != "none")
        assert "x-openfusion-trace-id" in headers
        assert ("decision" in body.get("openfusion", {})) == (level == "full")
        assert ("openfusion" in json.loads(events[-2])) == (level != "none")
        assert all("openfusion" not in r.body for r in up.requests)

    async def test_several_choices_are_relayed(self, start_router):
        async with FaultyUpstream() as up, start_router(up.url) as router:
            status, _, body = await router.chat(ask("hi", n=2))
        assert status == 200
        assert up.requests[0].body["n"] == 2
        assert body["choices"]


def text_of(events):
    """The text of a stream."""
    chunks = [json.loads(e) for e in events[:-1]]
    return "".join(ch["delta"].get("content") or "" for c in chunks for ch in c["choices"])


async def direct_events(http, up, body):
    whole = {**body, "model": "vendor/coder-a", "stream": True}
    async with http.post(f"{up.url}/chat/completions", json=whole) as r:
        raw = (await r.read()).decode()
    return r.status, r.headers, [e[6:] for e in raw.split("\n\n") if e.startswith("data: ")]


def normal(event):
    """An event without what differs between two answers: ids, and the trace."""
    if event == "[DONE]":
        return event
    body = json.loads(event)
    for name in ("id", "created", "openfusion"):
        body.pop(name, None)
    return json.dumps(body)


class TestFallback:
    @pytest.mark.parametrize("stream", [False, True])
    async def test_a_failure_before_the_first_byte_is_invisible(self, start_router, stream):
        pool = [candidate("a-first"), candidate("b-second")]
        async with FaultyUpstream() as up, start_router(up.url, candidates=pool) as router:
            up.script = ["F31", "ok"]
            if stream:
                status, headers, events = await router.events(ask("say hello"))
                trace = openfusion_of(events)
            else:
                status, headers, body = await router.chat(ask("say hello"))
                trace = body["openfusion"]
        assert status == 200
        assert [a["status"] for a in trace["attempts"]] == ["upstream_broken", "ok"]
        assert trace["attempts"][0]["candidate"] != trace["attempts"][1]["candidate"]
        assert headers["x-openfusion-model"] == f"vendor/{trace['attempts'][1]['candidate']}"

    async def test_a_break_inside_a_tool_call_is_mended_unseen(self, start_router):
        pool = [candidate("a-first"), candidate("b-second")]
        async with FaultyUpstream() as up, start_router(up.url, candidates=pool) as router:
            up.script = ["F75", "ok"]
            status, _, events = await router.events(ask('[[tool:run {"cmd": "ls"}]]', tools=[TOOL]))
        calls = [
            c["function"]["arguments"]
            for e in events[:-1]
            for ch in json.loads(e)["choices"]
            for c in ch["delta"].get("tool_calls", [])
        ]
        assert status == 200
        assert "".join(calls) == '{"cmd": "ls"}'
        assert [a["status"] for a in openfusion_of(events)["attempts"]] == ["upstream_broken", "ok"]

    async def test_live_streams_pass_tool_calls_on_as_they_come(self, start_router):
        async with (
            FaultyUpstream() as up,
            start_router(up.url, stream={"tool_calls": "live"}) as router,
        ):
            _, _, events = await router.events(ask('[[tool:run {"cmd": "ls"}]]', tools=[TOOL]))
        assert events[-1] == "[DONE]"
        assert json.loads(events[-2])["choices"][0]["finish_reason"] == "tool_calls"

    async def test_when_all_fail_alike_the_client_gets_that_error(self, start_router):
        pool = [candidate("a-first"), candidate("b-second")]
        async with FaultyUpstream() as up, start_router(up.url, candidates=pool) as router:
            status, headers, body = await router.chat(ask("[[fault:F10]]"))
        assert (status, body["error"]["code"]) == (429, "rate_limit_exceeded")
        assert headers["Retry-After"] == "7"
        assert headers["x-openfusion-trace-id"]

    async def test_resting_candidates_are_tried_when_all_rest(self, start_router):
        async with FaultyUpstream() as up, start_router(up.url) as router:
            for _ in range(4):
                status, _, _ = await router.chat(ask("[[fault:F15]]"))
                assert status in (502, 503)
            status, _, body = await router.chat(ask("hello"))
            trace = await router.trace(body["openfusion"]["trace_id"])
        assert status == 200
        assert any("every breaker is open" in r for r in trace["decision"]["reasons"])

    async def test_the_call_limit_of_a_request_holds(self, start_router):
        pool = [candidate(f"c{n}") for n in range(4)]
        async with FaultyUpstream() as up, start_router(up.url, candidates=pool) as router:
            status, _, _ = await router.chat(ask("[[fault:F15]]", openfusion={"max_calls": 2}))
        assert status >= 500
        assert len(up.requests) == 2


class TestBrokenCalls:
    CALL = (ToolCall("c1", "run", '{"cmd": "l'),)

    def test_a_call_that_cannot_be_run_fails_the_attempt(self):
        with pytest.raises(UpstreamBroken):
            refuse_broken_calls(Answer(tool_calls=self.CALL, finish="tool_calls"))
        refuse_broken_calls(Answer(tool_calls=(ToolCall("c1", "run", ""),), finish="tool_calls"))

    @pytest.mark.parametrize("finish", ["length", "content_filter"])
    def test_an_answer_that_says_it_was_cut_is_told_as_it_is(self, finish):
        refuse_broken_calls(Answer(tool_calls=self.CALL, finish=finish))


class TestVerify:
    """The upstream is asked in turn: the draft, the verdict, the mend."""

    ACCEPT = 'say:{"verdict": "accept", "findings": []}'
    REJECT = 'say:Well. {"verdict": "reject", "findings": ["the quotes are not escaped"]}'

    async def ask(self, start_router, script, *, stream):
        """Returns (text, trace of the answer, full trace, requests upstream, mode)."""
        async with FaultyUpstream() as up, start_router(up.url, candidates=FOUR) as router:
            up.script = script
            if stream:
                _, headers, events = await router.events(ask(RISKY))
                assert events[-1] == "[DONE]"
                text = text_of(events)
                trace = openfusion_of(events)
            else:
                _, headers, body = await router.chat(ask(RISKY))
                text, trace = body["choices"][0]["message"]["content"], body["openfusion"]
                assert body["usage"]["prompt_tokens"] == sum(
                    u["input_tokens"] for u in trace["usage"]
                )
            full = await router.trace(trace["trace_id"])
        assert headers["x-openfusion-mode"] == "verify"
        return text, trace, full, up.requests

    @pytest.mark.parametrize("stream", [False, True])
    async def test_an_accepted_answer_is_delivered_as_it_was_written(self, start_router, stream):
        script = ["say:the draft", self.ACCEPT]
        text, _, full, requests = await self.ask(start_router, script, stream=stream)
        assert text == "the draft"
        assert [a["phase"] for a in full["attempts"]] == ["primary", "verify"]
        assert full["notes"][-1].endswith("accepted")
        assert [m["content"] for m in requests[1].body["messages"][:2]] == [RISKY, "the draft"]

    @pytest.mark.parametrize("stream", [False, True])
    async def test_a_rejected_answer_is_mended_once(self, start_router, stream):
        script = ["say:the draft", self.REJECT, "say:the mended one"]
        text, trace, full, requests = await self.ask(start_router, script, stream=stream)
        assert text == "the mended one"
        assert [a["phase"] for a in full["attempts"]] == ["primary", "verify", "mend"]
        assert "the quotes are not escaped" in requests[2].body["messages"][-1]["content"]
        assert trace["usd"] == pytest.approx(sum(u["usd"] for u in trace["usage"]))
        assert full["answered_phase"] == "mend"

    @pytest.mark.parametrize("stream", [False, True])
    async def test_a_failing_mend_leaves_the_first_answer(self, start_router, stream):
        script = ["say:the draft", self.REJECT, *["F15"] * 8]
        text, _, full, _ = await self.ask(start_router, script, stream=stream)
        assert text == "the draft"
        assert full["notes"][-1] == "the mend failed: first answer kept"


class TestPanel:
    @pytest.mark.parametrize("stream", [False, True])
    async def test_members_agree(self, start_router, stream):
        async with FaultyUpstream() as up, start_router(up.url, candidates=FOUR) as router:
            body = {**ask(f"{GRAVE} [[say:the plan]]"), "model": "openfusion/fusion"}
            if stream:
                _, headers, events = await router.events(body)
                trace = openfusion_of(events)
                assert events[-1] == "[DONE]"
            else:
                _, headers, answer = await router.chat(body)
                trace = answer["openfusion"]
                assert answer["choices"][0]["message"]["content"] == "the plan"
            full = await router.trace(trace["trace_id"])
        assert headers["x-openfusion-mode"] == "panel"
        assert {a["phase"] for a in full["attempts"]} == {"member"}
        assert len(full["attempts"]) >= 2
        assert "members agree" in full["notes"]
        assert trace["usd"] == pytest.approx(sum(u["usd"] for u in trace["usage"]))

    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize(
        ("judge", "phase"),
        [
            ('say:{"best": 2, "why": "clear", "defect": null}', "member"),
            (
                'say:{"best": 2, "why": "clear", "defect": "no rollback; the other has one"}',
                "synthesis",
            ),
            ("say:I cannot decide.", "member"),
        ],
    )
    async def test_members_differ(self, start_router, stream, judge, phase):
        async with FaultyUpstream() as up, start_router(up.url, candidates=FOUR) as router:
            up.script = [*(f"say:plan {n}" for n in (1, 2, 3)), judge, "say:plan 4"]
            body = ask(GRAVE, openfusion={"mode": "panel"})
            if stream:
                _, _, events = await router.events(body)
                text, trace = text_of(events), openfusion_of(events)
            else:
                _, _, answer = await router.chat(body)
                text, trace = answer["choices"][0]["message"]["content"], answer["openfusion"]
            full = await router.trace(trace["trace_id"])
        assert full["answered_phase"] == phase
        assert (text == "plan 4") == (phase == "synthesis")
        assert text in {f"plan {n}" for n in (1, 2, 3, 4)}
        assert [a["phase"] for a in full["attempts"]][:4] == [*["member"] * 3, "judge"]
        assert trace["usd"] == pytest.approx(sum(a["usd"] for a in full["attempts"]))

    async def test_one_failing_member_does_not_fail_the_panel(self, start_router):
        async with FaultyUpstream() as up, start_router(up.url, candidates=FOUR) as router:
            up.script = ["F31", "ok", "ok", "ok", "ok", "ok"]
            status, _, answer = await router.chat(ask(f"{GRAVE} [[say:the plan]]"))
            full = await router.trace(answer["openfusion"]["trace_id"])
        assert status == 200
        assert "upstream_broken" in {a["error"] for a in full["attempts"]}

    async def test_a_tool_call_of_a_panel_is_one_members(self, start_router):
        async with FaultyUpstream() as up, start_router(up.url, candidates=FOUR) as router:
            body = ask(
                f'{GRAVE} [[tool:run {{"cmd":  "ls -la"}}]]',
                tools=[TOOL],
                openfusion={"mode": "panel"},
            )
            _, _, answer = await router.chat(body)
        call = answer["choices"][0]["message"]["tool_calls"][0]
        assert call["function"]["arguments"] == '{"cmd":  "ls -la"}'
        assert answer["choices"][0]["finish_reason"] == "tool_calls"

    async def test_a_waiting_stream_is_kept_alive_before_the_answer(self, start_router):
        async with (
            FaultyUpstream() as up,
            start_router(up.url, candidates=FOUR, server={"keep_alive_s": 0.2}) as router,
            router.http.post(
                f"{router.base}/chat/completions",
                json=ask(f"{GRAVE} [[sleep:1.5]]", stream=True, openfusion={"mode": "panel"}),
            ) as r,
        ):
            raw = (await r.read()).decode()
        assert raw.startswith(": keep-alive\n\n")
        assert raw.endswith("data: [DONE]\n\n")

    async def test_a_single_answer_sends_no_head_before_its_first_byte(self, start_router):
        async with (
            FaultyUpstream() as up,
            start_router(up.url, server={"keep_alive_s": 0.2}) as router,
            router.http.post(
                f"{router.base}/chat/completions", json=ask("hi [[sleep:1.2]]", stream=True)
            ) as r,
        ):
            raw = (await r.read()).decode()
        assert raw.startswith("data: ")


class TestLeaving:
    @pytest.mark.parametrize("stream", [False, True])
    async def test_a_client_that_leaves_cancels_the_call_and_is_booked(self, start_router, stream):
        async with FaultyUpstream() as up, start_router(up.url) as router:
            task = asyncio.create_task(
                router.events(ask("[[sleep:20]]")) if stream else router.chat(ask("[[sleep:20]]"))
            )
            await until(lambda: up.open_now == 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            began = asyncio.get_running_loop().time()
            await until(lambda: up.open_now == 0)
            assert asyncio.get_running_loop().time() - began < 10  # of its twenty seconds
            trace = router.engine.traces.latest(1)[0]
        assert trace.outcome == "cancelled"
        assert [a.status for a in trace.attempts] == ["cancelled"]

    async def test_what_was_received_before_leaving_is_booked(self, start_router):
        async with FaultyUpstream() as up, start_router(up.url) as router:
            async with router.http.post(
                f"{router.base}/chat/completions", json=ask("[[fault:F73]]", stream=True)
            ) as r:
                await r.content.readany()
                r.close()
            await until(lambda: router.engine.traces.latest(1)[0].outcome == "cancelled")
            line = router.engine.traces.latest(1)[0].attempts[0]
        assert line.estimated
        assert line.usage.output > 0
        assert line.usd > 0

    async def test_members_of_a_panel_are_all_cut(self, start_router):
        async with FaultyUpstream() as up, start_router(up.url, candidates=FOUR) as router:
            task = asyncio.create_task(
                router.chat(ask(f"{GRAVE} [[sleep:20]]", openfusion={"mode": "panel"}))
            )
            await until(lambda: up.open_now >= 2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(lambda: up.open_now == 0)


async def until(true, limit_s=3.0):
    """Wait until a condition holds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + limit_s
    while not true():
        assert loop.time() < end, "it never came true"
        await asyncio.sleep(0.01)


class TestModels:
    @pytest.mark.parametrize(
        ("name", "model", "mode"),
        [
            ("openfusion/auto", None, None),
            ("openfusion/verifier", "vendor/verifier-a", "single"),
            ("openfusion/fast", "vendor/fast-a", "single"),
            ("reasoner-a", "vendor/reasoner-a", "single"),
            ("vendor/reasoner-a", "vendor/reasoner-a", "single"),
        ],
    )
    async def test_names(self, start_router, name, model, mode):
        async with FaultyUpstream() as up, start_router(up.url, candidates=FOUR) as router:
            status, headers, _ = await router.chat({**ask(RISKY), "model": name})
        assert status == 200
        assert model in (None, headers["x-openfusion-model"])
        assert mode in (None, headers["x-openfusion-mode"])

    async def test_a_typo_is_not_found_and_near_names_are_given(self, start_router):
        async with FaultyUpstream() as up, start_router(up.url, candidates=FOUR) as router:
            status, _, body = await router.chat({**ask("hi"), "model": "openfusion/aut"})
        assert (status, body["error"]["code"], body["error"]["param"]) == (
            404,
            "model_not_found",
            "model",
        )
        assert "openfusion/auto" in body["error"]["message"]
        assert up.requests == []

    async def test_an_upstream_may_take_any_model(self, start_router):
        async with FaultyUpstream() as up, start_router(up.url, offers=["any_model"]) as router:
            status, _, body = await router.chat({**ask("hi"), "model": "other/model-9"})
        assert status == 200
        assert up.requests[0].body["model"] == "other/model-9"
        assert body["openfusion"]["usd"] is None

    async def test_options_naming_strangers_are_refused(self, start_router):
        async with FaultyUpstream() as up, start_router(up.url, candidates=FOUR) as router:
            status, _, body = await router.chat(ask("hi", openfusion={"judge": "coder-b"}))
        assert (status, body["error"]["param"]) == (400, "openfusion.judge")
        assert "coder-a" in body["error"]["message"]


class TestBudget:
    async def test_retries_and_fallbacks_count(self, start_router):
        # Each call is 1000 tokens of output at worst: 0.004 USD. What a cut stream wrote is spent.
        pool = [candidate(f"c{n}", max_output_tokens=1000) for n in range(4)]
        async with FaultyUpstream() as up, start_router(up.url, candidates=pool) as router:
            up.script = ["F62"] * 4
            body = ask("hi", max_tokens=1000, openfusion={"max_usd": 0.0055, "mode": "panel"})
            status, _, answer = await router.chat(body)
            trace = router.engine.traces.latest(1)[0]
        assert trace.decision.mode == "single"
        assert trace.usd() is None or trace.usd() <= 0.0055
        assert status >= 500 or answer["openfusion"]["usd"] <= 0.0055


class TestNobodyCanServe:
    async def test_a_prompt_too_long_for_all_is_what_agents_compact_on(self, start_router):
        pool = [candidate("small", context_tokens=4000)]
        async with FaultyUpstream() as up, start_router(up.url, candidates=pool) as router:
            status, _, body = await router.chat(ask("word " * 20_000))
        assert (status, body["error"]["code"]) == (400, "context_length_exceeded")
        assert "maximum context length is 4000 tokens" in body["error"]["message"]

    async def test_the_length_that_is_told_is_that_of_the_models_asked_for(self, start_router):
        pool = [candidate("small", context_tokens=4000), candidate("big", context_tokens=400_000)]
        async with FaultyUpstream() as up, start_router(up.url, candidates=pool) as router:
            status, _, body = await router.chat(ask("word " * 20_000, model="small"))
        assert (status, body["error"]["code"]) == (400, "context_length_exceeded")
        assert "maximum context length is 4000 tokens" in body["error"]["message"]

    async def test_every_rejection_is_listed(self, start_router):
        pool = [candidate("plain", offers=[]), candidate("other", offers=["vision"])]
        async with FaultyUpstream() as up, start_router(up.url, candidates=pool) as router:
            status, _, body = await router.chat(ask("hi", tools=[TOOL]))
        assert (status, body["error"]["code"]) == (503, "no_eligible_candidate")
        assert "plain: ability_missing" in body["error"]["message"]
        assert "other: ability_missing" in body["error"]["message"]

    async def test_a_budget_nothing_fits_is_refused_before_any_call(self, start_router):
        async with FaultyUpstream() as up, start_router(up.url, candidates=FOUR) as router:
            status, _, body = await router.chat(ask("hi", openfusion={"max_usd": 1e-9}))
        assert (status, body["error"]["code"]) == (400, "budget_exceeded")
        assert "USD at worst, and the limit is 0.0000000010 USD (openfusion.max_usd)" in body["error"]["message"]  # fmt: skip
        assert up.requests == []

    async def test_a_ceiling_of_the_operators_is_named_as_the_limit_that_nothing_fits(
        self, start_router
    ):
        tight = {"auto": {"max_usd": 1e-9}}
        async with FaultyUpstream() as up, start_router(up.url, **tight) as router:
            _, _, body = await router.chat(ask("hi"))
        assert "the limit is 0.0000000010 USD (auto.max_usd)" in body["error"]["message"]

    @pytest.mark.parametrize(
        ("asked", "named"),
        [({"max_calls": 5}, "max_calls"), ({"max_usd": 0.6}, "max_usd"), ({"max_calls": 4, "max_usd": 0.5}, None),
         ({"preset": "budget"}, None)],
    )  # fmt: skip
    async def test_an_option_above_the_operators_ceiling_is_a_400_that_names_it(
        self, start_router, asked, named
    ):
        limits = {"auto": {"max_calls": 4, "max_usd": 0.5}}
        async with (
            FaultyUpstream() as up,
            start_router(up.url, candidates=FOUR, **limits) as router,
        ):
            status, _, body = await router.chat(ask("hi", max_tokens=50, openfusion=asked))
            if named is None:
                assert status == 200
                return
            async with router.http.post(
                f"{router.root}/debug/route", json=ask("hi", openfusion=asked)
            ) as r:
                assert (r.status, (await r.json())["error"]["code"]) == (400, "limit_exceeded")
        assert (status, body["error"]["param"]) == (400, f"openfusion.{named}")
        assert f"auto.{named}" in body["error"]["message"]
        assert up.requests == []

    async def test_a_budget_downgrades_before_it_refuses(self, start_router):
        panels = {"auto": {"mode": "panel"}}
        async with (
            FaultyUpstream() as up,
            start_router(up.url, candidates=FOUR, **panels) as router,
        ):
            body = ask(f"{GRAVE} [[say:x]]", max_tokens=500, openfusion={"max_usd": 0.02})
            status, headers, answer = await router.chat(body)
            trace = await router.trace(answer["openfusion"]["trace_id"])
        assert status == 200
        assert headers["x-openfusion-mode"] == "single"
        assert any(r.startswith("not panel") and "limit" in r for r in trace["decision"]["reasons"])
        assert answer["openfusion"]["usd"] <= 0.02
