"""Every client's dialect before every upstream's, streamed and whole: what goes up, what comes down, what breaks."""

import asyncio
import itertools
import json

import pytest

from tests.server.conftest import FOUR, candidate
from tests.server.dialects import CONTEXT, DIALECTS, PATHS, Says, Scripted, heard, request_for
from tests.wire import claude
from tests.wire import responses_samples as items

PAIRS = list(itertools.product(DIALECTS, DIALECTS))
FOREIGN = [(a, b) for a, b in PAIRS if a != b]
PATCH = '*** Begin Patch\n*** Update File: "ä.py"\n-\told\\n\n+\tnew 🧑‍💻\n*** End Patch\n'
PIXEL = "data:image/png;base64,iVBORw0KGgo="
GRAVE = (
    "Design and build a double-entry ledger for customer payments that survives a region failing over, with "
    "exactly-once transfers, and move the live billing service onto it"
)
RISKY = "Fix the SQL injection in the login endpoint"

pairs = pytest.mark.parametrize(("client", "upstream"), PAIRS)
foreign = pytest.mark.parametrize(("client", "upstream"), FOREIGN)
each = pytest.mark.parametrize("client", DIALECTS)
ways = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])


async def tell(router, client, body, *, streamed=False, **headers):
    """Post a request of a dialect; returns (status, headers, raw)."""
    body = {**body, "stream": True} if streamed else body
    return await router.post("/v1" + PATHS[client], body, **headers)


async def ask(start_router, client, upstream, says, body, *, streamed, **tables):
    """One request through a router to one scripted upstream; returns (heard, the upstream's request, trace)."""
    async with (
        Scripted(upstream) as up,
        start_router(up.url, dialect=upstream, **tables) as router,
    ):
        up.script.append(says)
        status, _, raw = await tell(router, client, body, streamed=streamed)
        assert status == 200, raw
        return (
            heard(client, raw, streamed=streamed),
            up.requests[0],
            router.engine.traces.latest(1)[0],
        )


# --- answers ---------------------------------------------------------------------------------------------------


class TestAnswers:
    @each
    @ways
    async def test_a_picture_alone_is_an_answer(self, start_router, client, streamed):
        says = Says("", pictures=(PIXEL, "https://x.test/a.png"))
        body = request_for(client, "draw it")
        async with Scripted("chat") as up, start_router(up.url) as router:
            up.script.append(says)
            status, _, raw = await tell(router, client, body, streamed=streamed)
            assert (status, len(up.requests)) == (200, 1)
            said = heard(client, raw, streamed=streamed).text
            if client == "chat":
                assert (PIXEL.encode() in raw, said) == (True, "")
            else:
                assert "[a picture (image/png)" in said
                assert "![picture](https://x.test/a.png)" in said

    @pairs
    @ways
    async def test_text_usage_and_trace_arrive(self, start_router, client, upstream, streamed):
        body = request_for(client, "say it")
        if client == "chat" and streamed:
            body["stream_options"] = {"include_usage": True}
        says = Says("héllo 你好\n🧑‍💻")
        got, sent, trace = await ask(start_router, client, upstream, says, body, streamed=streamed)
        assert (got.text, got.calls, got.finish) == (says.text, [], "stop")
        assert got.usage == (20, 4, 7)
        assert got.trace["trace_id"] == trace.id
        assert sent.body["model"] == "vendor/coder-a"
        assert (trace.usage().input, trace.usage().cached, trace.usage().output) == (20, 4, 7)

    @ways
    @pytest.mark.parametrize("client", ["chat", "responses", "messages"])
    async def test_usage_that_no_upstream_told_is_counted_and_never_0(
        self, start_router, client, streamed
    ):
        says, body = Says("word " * 90, untold=True), request_for(client, "hello " * 90)
        got, _, trace = await ask(start_router, client, "chat", says, body, streamed=streamed)
        (line,) = trace.attempts
        assert (line.estimated, line.usage.input > 150, line.usage.output) == (True, True, 125)
        # Chat alone can leave it out: what nobody told stays unsaid there.
        wanted = None if client == "chat" else (line.usage.input, 0, 125)
        assert got.usage == wanted

    @pairs
    @ways
    async def test_calls_keep_names_ids_and_arguments(
        self, start_router, client, upstream, streamed
    ):
        said = ('{"path": "a \\"b\\".py"}', '{"path":  "naïve 🚀\\n"}')
        says = Says(calls=tuple(("function", "edit", s, f"call_{i}") for i, s in enumerate(said)))
        body = request_for(client, tools=True)
        got, _, _ = await ask(start_router, client, upstream, says, body, streamed=streamed)
        assert [(c[1], c[3]) for c in got.calls] == [("edit", "call_0"), ("edit", "call_1")]
        assert [json.loads(c[2]) for c in got.calls] == [json.loads(s) for s in said]
        assert got.finish == "tool_calls"
        # Messages holds a whole answer's arguments as an object; everywhere else they are text and stay as written.
        if streamed or "messages" not in (client, upstream):
            assert [c[2] for c in got.calls] == list(said)

    @pytest.mark.parametrize(("client", "upstream"), [p for p in PAIRS if p[0] != "messages"])
    @ways
    async def test_a_patch_arrives_byte_for_byte(self, start_router, client, upstream, streamed):
        # A dialect without free-text tools gets a function with one string, and its answer is decoded.
        says = Says("", calls=(("custom", "apply_patch", PATCH, "call_7"),))
        if upstream == "chat" and client != "chat":
            wrapped = json.dumps({"input": PATCH})
            says = Says("", calls=(("function", "apply_patch", wrapped, "call_7"),))
        body = request_for(client, custom=True)
        got, sent, _ = await ask(start_router, client, upstream, says, body, streamed=streamed)
        assert got.calls == [("custom", "apply_patch", PATCH, "call_7")]
        assert "apply_patch" in json.dumps(sent.body["tools"])

    @pairs
    @ways
    async def test_readable_reasoning_is_shown(self, start_router, client, upstream, streamed):
        body = request_for(client)
        if client == "messages":
            body["thinking"] = {"type": "adaptive"}
        says = Says("done", reasoning="let me see", seal="c2VhbA==")
        got, _, _ = await ask(start_router, client, upstream, says, body, streamed=streamed)
        assert (got.text, got.reasoning) == ("done", "let me see")
        if client == upstream:
            assert got.seal == ("" if client == "chat" else "c2VhbA==")
        elif client == "responses":
            assert got.seal.startswith("openfusion:")
        elif client == "messages":
            assert got.seal == "openfusion-unsigned"

    @pairs
    @ways
    async def test_an_answer_that_was_cut_says_so(self, start_router, client, upstream, streamed):
        says = Says("half", finish="length")
        body = request_for(client)
        got, _, _ = await ask(start_router, client, upstream, says, body, streamed=streamed)
        assert (got.text, got.finish) == ("half", "length")

    @pairs
    async def test_json_to_a_stream_request_becomes_a_stream(self, start_router, client, upstream):
        says = Says("all", calls=(("function", "edit", '{"path": "a"}', "call_1"),), fail="json")
        body = request_for(client, tools=True)
        got, _, _ = await ask(start_router, client, upstream, says, body, streamed=True)
        assert (got.text, got.finish, len(got.calls)) == ("all", "tool_calls", 1)


# --- requests --------------------------------------------------------------------------------------------------

FORMS = {
    "chat": {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "plan", "schema": {"type": "object"}},
        }
    },
    "responses": {
        "text": {"format": {"type": "json_schema", "name": "plan", "schema": {"type": "object"}}}
    },
    "messages": {
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}
    },
}
PICTURES = {
    "chat": {"type": "image_url", "image_url": {"url": PIXEL}},
    "responses": {"type": "input_image", "image_url": PIXEL},
    "messages": {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="},
    },
}


def with_result(client):
    """A history with one call and its result."""
    body = request_for(client, "fix it", tools=True)
    if client == "chat":
        call = {
            "id": "call_5",
            "type": "function",
            "function": {"name": "edit", "arguments": '{"path":  "a.py"}'},
        }
        body["messages"] += [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_5", "content": "it is done"},
        ]
    elif client == "responses":
        body["input"] += [
            items.function("edit", '{"path":  "a.py"}', "call_5"),
            {"type": "function_call_output", "call_id": "call_5", "output": "it is done"},
        ]
    else:
        call = {"type": "tool_use", "id": "call_5", "name": "edit", "input": {"path": "a.py"}}
        result = {"type": "tool_result", "tool_use_id": "call_5", "content": "it is done"}
        body["messages"] += [
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": [result]},
        ]
    return body


def result_in(dialect, body):
    """(id, name, arguments, id of the result, its text) of the one call in a request."""
    if dialect == "chat":
        call = body["messages"][-2]["tool_calls"][0]
        result = body["messages"][-1]
        said = call["function"]
        return (
            call["id"],
            said["name"],
            said["arguments"],
            result["tool_call_id"],
            result["content"],
        )
    if dialect == "responses":
        call, result = body["input"][-2:]
        return call["call_id"], call["name"], call["arguments"], result["call_id"], result["output"]
    call = body["messages"][-2]["content"][0]
    result = body["messages"][-1]["content"][0]
    said = json.dumps(call["input"])
    return call["id"], call["name"], said, result["tool_use_id"], result["content"]


class TestRequests:
    @pairs
    async def test_results_stay_with_their_calls(self, start_router, client, upstream):
        body = with_result(client)
        _, sent, _ = await ask(start_router, client, upstream, Says(), body, streamed=False)
        id_, name, said, of, text = result_in(upstream, sent.body)
        assert (id_, name, of, text) == ("call_5", "edit", "call_5", "it is done")
        assert json.loads(said) == {"path": "a.py"}
        if "messages" not in (client, upstream):
            assert said == '{"path":  "a.py"}'

    @pairs
    async def test_pictures_go_along(self, start_router, client, upstream):
        body = request_for(client)
        kind = "input_text" if client == "responses" else "text"
        words = {"type": kind, "text": "what is this?"}
        listed = body["input" if client == "responses" else "messages"]
        listed[0]["content"] = [words, PICTURES[client]]
        _, sent, _ = await ask(start_router, client, upstream, Says(), body, streamed=False)
        found = sent.body["input" if upstream == "responses" else "messages"][0]["content"]
        picture = {k: v for k, v in found[1].items() if k not in ("detail", "cache_control")}
        assert picture == PICTURES[upstream]

    @pairs
    async def test_a_form_is_asked_for(self, start_router, client, upstream):
        body = {**request_for(client), **FORMS[client]}
        _, sent, _ = await ask(
            start_router, client, upstream, Says('{"a": 1}'), body, streamed=False
        )
        field = next(iter(FORMS[upstream]))
        found = json.dumps(sent.body[field])
        assert '"json_schema"' in found
        assert '"object"' in found

    @each
    @ways
    async def test_the_same_dialect_is_relayed_as_it_came(self, start_router, client, streamed):
        body = {**request_for(client, tools=True), "brand_new": {"b": [1, 2.50, None]}}
        body = {**body, "stream": True} if streamed else body
        raw = json.dumps(body, indent=3).encode()
        async with Scripted(client) as up, start_router(up.url, dialect=client) as router:
            up.script.append(Says("plain", reasoning="hm", seal="c2VhbA==", headers=()))
            status, _, answer = await router.post("/v1" + PATHS[client], raw)
        assert status == 200
        sent = up.requests[0].raw
        wanted = raw.replace(b'"openfusion/auto"', b'"vendor/coder-a"')
        if client == "chat" and streamed:  # the ledger's need
            sent = json.loads(sent)
            assert sent.pop("stream_options") == {"include_usage": True}
            assert sent == json.loads(wanted)
        else:
            assert sent == wanted
        if not streamed:
            got = json.loads(answer)
            assert got.pop("openfusion")["mode"] == "single"
            assert got == json.loads(up.sent[0])
            return
        had, has = up.sent[0].split(b"\n\n"), answer.split(b"\n\n")
        assert [e for e in has if b'"openfusion"' not in e] == [e for e in had if e in has]
        assert sum(b'"openfusion"' in e for e in has) == 1
        # All but the end, which bears the trace (and the usage, which this chat client did not ask for).
        assert len([e for e in had if e not in has]) == (1 if client != "chat" else 2)

    @pytest.mark.parametrize("extra", ["item", "tool", "block"])
    async def test_what_is_not_known_is_relayed_or_refused_by_name(self, start_router, extra):
        body, client = {
            "item": (items.body(items.message("a"), {"type": "brand_new", "x": 1}), "responses"),
            "tool": ({**items.body(), "tools": [{"type": "brand_new", "x": 1}]}, "responses"),
            "block": (
                claude.body(messages=[{"role": "user", "content": [{"type": "brand_new"}]}]),
                "messages",
            ),
        }[extra]
        raw = json.dumps(body).encode()
        _, sent, _ = await ask(start_router, client, client, Says(), body, streamed=False)
        assert sent.raw == raw.replace(b'"openfusion/auto"', b'"vendor/coder-a"')
        for upstream in set(DIALECTS) - {client}:
            async with Scripted(upstream) as up, start_router(up.url, dialect=upstream) as router:
                status, _, answer = await tell(router, client, body)
                trace = router.engine.traces.latest(1)[0]
            if extra == "tool":
                assert status == 200
                assert trace.attempts[0].lost == ("server tool brand_new",)
            else:
                assert status == 400
                assert "brand_new" in json.loads(answer)["error"]["message"]
                assert up.requests == []

    async def test_what_an_upstream_adds_comes_down(self, start_router):
        for client in ("responses", "messages"):
            says = Says("x", extra=({"type": "brand_new", "id": "n_1", "x": [1]},))
            for streamed in (False, True):
                async with Scripted(client) as up, start_router(up.url, dialect=client) as router:
                    up.script.append(says)
                    status, _, raw = await tell(
                        router, client, request_for(client), streamed=streamed
                    )
                assert status == 200
                assert b'"brand_new"' in raw

    async def test_a_bound_is_never_over_the_models_own(self, start_router):
        pool = [candidate(max_output_tokens=900)]
        for client, field in (("chat", "max_tokens"), ("responses", "max_output_tokens")):
            for asked, sent_ in ((5000, 900), (300, 300), (None, 900)):
                body = request_for(client) | ({field: asked} if asked else {})
                _, sent, _ = await ask(
                    start_router, client, "messages", Says(), body, streamed=False, candidates=pool
                )
                assert sent.body["max_tokens"] == sent_

    @pairs
    async def test_headers_of_a_client_stay_here(self, start_router, client, upstream):
        async with Scripted(upstream) as up, start_router(up.url, dialect=upstream) as router:
            await tell(
                router,
                client,
                request_for(client),
                **{
                    "Anthropic-Beta": "context-1m",
                    "x-api-key": "sk-of-the-client",
                    "Authorization": "Bearer sk-of-the-client",
                    "Cookie": "c=sk-of-the-client",
                },
            )
            headers = up.requests[0].headers
        assert "sk-of-the-client" not in json.dumps(headers)
        assert "cookie" not in headers
        both = client == upstream == "messages"
        assert headers.get("anthropic-beta") == ("context-1m" if both else None)
        key = "x-api-key" if upstream == "messages" else "authorization"
        assert headers[key].removeprefix("Bearer ") == "sk-upstream-secret"


# --- failures --------------------------------------------------------------------------------------------------


def error_of(client, raw, status):
    """The error object, in its dialect's shape."""
    body = json.loads(raw)
    if client == "messages":
        assert set(body) >= {"type", "error"}
        assert body["type"] == "error"
        assert {"type", "message"} <= set(body["error"])
    else:
        assert set(body["error"]) == {"message", "type", "param", "code"}
    assert "sk-upstream-secret" not in raw.decode(), status
    return body["error"]


class TestErrors:
    @pairs
    @ways
    @pytest.mark.parametrize(
        ("says", "status", "kind"),
        [
            (Says(fail=400), 400, "invalid_request_error"),
            (Says(fail=404), 404, "not_found_error"),
            (Says(fail=429, headers=(("Retry-After", "7"),)), 429, "rate_limit_error"),
            (Says(fail=401, error="bad key sk-upstream-secret"), 502, "api_error"),
        ],
        ids=["400", "404", "429", "401"],
    )
    async def test_an_upstreams_refusal_in_the_clients_shape(
        self, start_router, client, upstream, streamed, says, status, kind
    ):
        async with Scripted(upstream) as up, start_router(up.url, dialect=upstream) as router:
            up.script.extend([says] * 4)
            got, headers, raw = await tell(router, client, request_for(client), streamed=streamed)
        assert got == status
        assert headers["Content-Type"].startswith("application/json")
        error = error_of(client, raw, got)
        if client == "messages":
            assert error["type"] == kind
        if status == 429:
            assert headers["Retry-After"] == "7"

    @pairs
    @ways
    async def test_a_prompt_too_long_is_told_in_the_words_that_clients_know(
        self, start_router, client, upstream, streamed
    ):
        async with Scripted(upstream) as up, start_router(up.url, dialect=upstream) as router:
            up.script.append(Says(fail=400, error=CONTEXT[upstream]))
            status, _, raw = await tell(router, client, request_for(client), streamed=streamed)
        error = error_of(client, raw, status)
        assert status == 400
        if client == "messages":
            assert error["message"].startswith("prompt is too long")
        else:
            assert error["code"] == "context_length_exceeded"

    @pairs
    @pytest.mark.parametrize("fail", ["cut", "error"])
    async def test_a_break_mid_stream_is_the_dialects_own_failure_and_the_end(
        self, start_router, client, upstream, fail
    ):
        # F80, F81 and their like in chat.
        async with Scripted(upstream) as up, start_router(up.url, dialect=upstream) as router:
            up.script.append(Says("some text", fail=fail))
            status, _, raw = await tell(router, client, request_for(client), streamed=True)
            trace = router.engine.traces.latest(1)[0]
        got = heard(client, raw, streamed=True)
        assert status == 200
        assert got.failed
        assert got.text == "some text"
        assert len(up.requests) == 1
        assert trace.outcome == "error"
        for success in (
            b"[DONE]",
            b"response.completed",
            b"message_stop",
            b'"finish_reason":"stop"',
        ):
            assert success not in raw

    @pairs
    @ways
    async def test_nothing_is_no_answer(self, start_router, client, upstream, streamed):
        async with Scripted(upstream) as up, start_router(up.url, dialect=upstream) as router:
            up.script.extend([Says(fail="empty")] * 4)
            status, _, raw = await tell(router, client, request_for(client), streamed=streamed)
        assert status == 502
        error_of(client, raw, status)

    @pairs
    @ways
    async def test_another_candidate_answers_unseen(self, start_router, client, upstream, streamed):
        pool = [candidate("coder-a"), candidate("coder-b")]
        async with (
            Scripted(upstream) as up,
            start_router(up.url, dialect=upstream, candidates=pool) as router,
        ):
            up.script.extend([Says(fail="empty"), Says("from the next")])
            _, _, raw = await tell(router, client, request_for(client), streamed=streamed)
        got = heard(client, raw, streamed=streamed)
        assert (got.text, got.failed) == ("from the next", None)


BAD = {
    "R01": ("responses", {"model": "openfusion/auto"}),
    "R02": ("responses", {"model": "openfusion/auto", "input": 5}),
    "R03": ("responses", items.body(1, 2)),
    "R04": ("responses", items.body({"type": "no_such_item"})),
    "R05": ("responses", {"input": "hi"}),
    "R06": ("responses", items.body({"role": "user", "content": [{"type": "no_such_part"}]})),
    "R07": ("responses", items.body(tools="all")),
    "R08": ("responses", items.body(max_output_tokens=-1)),
    "R09": ("responses", items.body({"role": "wizard", "content": "hi"})),
    "R10": ("responses", items.body(temperature=9)),
    "R11": (
        "responses",
        items.body({"type": "function_call_output", "call_id": "c", "output": "x"}),
    ),
    "R20": ("responses", b'{"model": '),
    "R21": ("responses", items.body(previous_response_id="resp_unknown")),
    "R22": ("responses", {**items.body(), "model": "no-such-model"}),
    "M01": ("messages", claude.body(max_tokens=...)),
    "M02": ("messages", claude.body(messages=...)),
    "M03": ("messages", claude.body(messages=[{"role": "system", "content": "x"}])),
    "M04": ("messages", claude.body(messages=[{"role": "user", "content": 5}])),
    "M05": (
        "messages",
        claude.body(messages=[{"role": "user", "content": [{"type": "no_such_block"}]}]),
    ),
    "M06": ("messages", claude.body(max_tokens=-1)),
    "M07": ("messages", claude.body(system=5)),
    "M08": ("messages", claude.body(messages=[])),
    "M20": ("messages", b"{'model': 1}"),
    "M21": ("messages", claude.body(model="no-such-model")),
}


class TestBadInput:
    @pytest.mark.parametrize("case", BAD)
    @ways
    async def test_a_request_that_cannot_be_is_refused(self, start_router, case, streamed):
        client, body = BAD[case]
        if streamed and isinstance(body, dict):
            body = {**body, "stream": True}
        async with Scripted("chat") as up, start_router(up.url) as router:
            status, headers, raw = await router.post("/v1" + PATHS[client], body)
            listed, _, _ = await tell_models(router)
        error = error_of(client, raw, status)
        assert status == (404 if case in ("R22", "M21") else 400)
        assert headers["Content-Type"].startswith("application/json")
        assert listed == 200
        assert up.requests == []
        if case == "R21":
            assert error["code"] == "previous_response_not_found"
        if case == "R22":
            assert error["code"] == "model_not_found"


async def tell_models(router):
    async with router.http.get(f"{router.base}/models") as r:
        return r.status, r.headers, await r.json()


# --- modes, waiting, other paths ----------------------------------------------------------------------------------


@pytest.mark.parametrize("client", ["responses", "messages"])
@pytest.mark.parametrize("upstream", DIALECTS)
@ways
class TestModes:
    async def test_a_rejected_draft_is_mended(self, start_router, client, upstream, streamed):
        async with (
            Scripted(upstream) as up,
            start_router(up.url, dialect=upstream, candidates=FOUR) as router,
        ):
            verdict = '{"verdict": "reject", "findings": ["the quotes are not escaped"]}'
            up.script.extend([Says("the draft"), Says(verdict), Says("the mended one")])
            _, headers, raw = await tell(
                router, client, request_for(client, RISKY), streamed=streamed
            )
        got = heard(client, raw, streamed=streamed)
        assert headers["x-openfusion-mode"] == "verify"
        assert got.text == "the mended one"
        assert got.usage == (60, 12, 21)
        assert "the quotes are not escaped" in up.requests[2].raw.decode()

    async def test_usage_may_be_the_answering_calls_alone(
        self, start_router, client, upstream, streamed
    ):
        server = {"report_usage": "answering"}
        async with (
            Scripted(upstream) as up,
            start_router(up.url, dialect=upstream, candidates=FOUR, server=server) as router,
        ):
            up.script.extend([Says("the draft"), Says('{"verdict": "accept", "findings": []}')])
            _, _, raw = await tell(router, client, request_for(client, RISKY), streamed=streamed)
        got = heard(client, raw, streamed=streamed)
        assert got.text == "the draft"
        assert got.usage == (20, 4, 7)
        assert len(got.trace["usage"]) == 2

    async def test_members_of_a_panel_agree(self, start_router, client, upstream, streamed):
        async with (
            Scripted(upstream) as up,
            start_router(up.url, dialect=upstream, candidates=FOUR) as router,
        ):
            body = {**request_for(client, GRAVE), "model": "openfusion/fusion"}
            _, headers, raw = await tell(router, client, body, streamed=streamed)
        got = heard(client, raw, streamed=streamed)
        assert headers["x-openfusion-mode"] == "panel"
        assert (got.text, got.failed) == ("ok", None)
        assert len(up.requests) >= 2


class SlowScripted(Scripted):
    """Answers after a while: some looks at who waits."""

    async def _answer(self, request):
        await asyncio.sleep(0.4)
        return await super()._answer(request)


class TestWaiting:
    @pytest.mark.parametrize("upstream", DIALECTS)
    @pytest.mark.parametrize("says", [Says("the plan"), Says(fail=500)], ids=["answer", "failure"])
    async def test_clients_of_a_panel_are_kept_by_events(
        self, start_router, upstream, says, monkeypatch
    ):
        monkeypatch.setattr("openfusion_auto.server.app.TICK_S", 0.05)
        for client in ("responses", "messages"):
            async with (
                SlowScripted(upstream) as up,
                start_router(
                    up.url, dialect=upstream, candidates=FOUR, server={"keep_alive_s": 0.1}
                ) as router,
            ):
                up.script.extend([says] * 12)
                body = request_for(client, GRAVE, openfusion={"mode": "panel", "max_calls": 3})
                status, _, raw = await tell(router, client, body, streamed=True)
            assert status == 200
            if client == "responses":
                events = items.parsed(raw)
                assert items.types(events)[:2] == ["created", "in_progress"]
                assert items.types(events).count("created") == 1
                assert len({e["response"]["id"] for e in events if "response" in e}) == 1
            else:
                assert raw.startswith(b'event: ping\ndata: {"type":"ping"}\n\n')
            got = heard(client, raw, streamed=True)
            if says.fail:
                assert got.failed
                assert b"response.completed" not in raw
                assert b"message_stop" not in raw
            else:
                assert (got.text, got.failed) == ("the plan", None)


class TestPaths:
    @pytest.mark.parametrize("root", ["/v1", "/api/v1", "/v1/v1", ""])
    @each
    async def test_every_root_serves(self, start_router, client, root):
        async with Scripted("chat") as up, start_router(up.url) as router:
            status, _, raw = await router.post(root + PATHS[client], request_for(client))
        assert status == 200
        assert heard(client, raw, streamed=False).text == "ok"

    async def test_tokens_are_counted_without_a_call(self, start_router):
        async with Scripted("messages") as up, start_router(up.url, dialect="messages") as router:
            short = claude.body(max_tokens=...)
            long = claude.body(
                max_tokens=..., messages=[{"role": "user", "content": "word " * 999}]
            )
            counts = []
            for body in (short, long):
                status, _, raw = await router.post("/v1/messages/count_tokens", body)
                assert status == 200
                counts.append(json.loads(raw)["input_tokens"])
            status, _, raw = await router.post("/v1/messages/count_tokens", {"model": "x"})
            assert (status, error_of("messages", raw, status)["type"]) == (
                400,
                "invalid_request_error",
            )
        assert 0 < counts[0] < 50
        assert 900 < counts[1] < 2500
        assert up.requests == []

    async def test_no_websocket_is_told_as_json(self, start_router):
        async with (
            Scripted("chat") as up,
            start_router(up.url) as router,
            router.http.get(f"{router.base}/responses") as r,
        ):
            assert r.status == 426
            assert (await r.json())["error"]["code"] == "upgrade_required"

    @pytest.mark.parametrize("text", ["hi there", RISKY, GRAVE])
    async def test_a_route_is_the_same_in_every_dialect(self, start_router, text):
        async with (
            Scripted("chat") as up,
            start_router(up.url, candidates=FOUR) as router,
        ):
            found = []
            for client in DIALECTS:
                field = "max_output_tokens" if client == "responses" else "max_tokens"
                body = {**request_for(client, text, tools=True), field: 500}
                version = {"anthropic-version": "2023-06-01"} if client == "messages" else {}
                status, _, raw = await router.post("/debug/route", body, **version)
                assert status == 200
                found.append(json.loads(raw)["decision"])
        assert [d["mode"] for d in found] == [found[0]["mode"]] * 3
        assert [d["ranking"][0]["candidate"] for d in found] == [
            found[0]["ranking"][0]["candidate"]
        ] * 3
        for key in ("kind", "risk", "complexity", "turn"):
            assert len({d["task"][key] for d in found}) == 1
        assert up.requests == []
