"""Models that refuse a field by name: the request goes on without it, and so do those behind it."""

import json
import re

import pytest

from tests.server.conftest import candidate
from tests.server.dialects import DIALECTS, Says, Scripted, request_for
from tests.server.test_reasoning import HISTORIES
from tests.server.test_surfaces import each, tell, ways
from tests.wire.test_refused import BOUND, HEAT

REFUSALS = [
    Says(
        fail=400, error={"message": BOUND, "param": "max_tokens", "code": "unsupported_parameter"}
    ),
    Says(fail=400, error={"message": HEAT, "param": "temperature", "code": "unsupported_value"}),
]


@each
@ways
async def test_openais_reasoning_models_get_what_they_take(start_router, client, streamed):
    bound = "max_output_tokens" if client == "responses" else "max_tokens"
    body = {**request_for(client), bound: 500, "temperature": 0}
    async with Scripted("chat") as up, start_router(up.url) as router:
        up.script.extend(REFUSALS)
        status, _, raw = await tell(router, client, body, streamed=streamed)
        assert status == 200, raw
        first, _, last = up.requests
        assert (first.body["max_tokens"], first.body["temperature"]) == (500, 0)
        assert last.body["max_completion_tokens"] == 500
        assert not {"max_tokens", "temperature"} & last.body.keys()
        lost = router.engine.traces.latest(1)[0].attempts[-1].lost
        assert "field temperature, whose value the model refuses" in lost
        assert (await tell(router, client, body, streamed=streamed))[0] == 200
        assert len(up.requests) == 4  # the second request knows
        assert up.requests[3].body.keys() == last.body.keys()


@ways
@pytest.mark.parametrize("upstream", DIALECTS)
async def test_a_refusal_told_with_status_200_teaches_as_its_status_would(
    start_router, upstream, streamed
):
    body = {**request_for(upstream), "temperature": 0}
    async with Scripted(upstream) as up, start_router(up.url, dialect=upstream) as router:
        up.script.append(Says(fail="told", error=REFUSALS[1].error, untold=True))
        for _ in range(2):
            assert (await tell(router, upstream, body, streamed=streamed))[0] == 200
        assert ["temperature" in r.body for r in up.requests] == [True, False, False]
        refused, answered = router.engine.traces.latest(2)[1].attempts
        assert (refused.error, answered.status) == ("unsupported_value", "ok")
        assert (refused.usage, refused.usd) == (None, None)
        assert router.engine.means.live.may_call("coder-a")


@pytest.mark.parametrize("upstream", DIALECTS)
async def test_a_model_that_keeps_refusing_ends_in_its_refusal(start_router, upstream):
    body = {**request_for(upstream), "temperature": 0}
    async with (
        Scripted(upstream) as up,
        start_router(up.url, dialect=upstream, candidates=[candidate("c")]) as router,
    ):
        up.script.extend([REFUSALS[1]] * 9)
        status, _, _ = await tell(router, upstream, body)
        assert status == 400
        assert len(up.requests) == 2  # nothing is left to say otherwise
        calls = router.engine.traces.latest(1)[0].attempts
        assert [(c.error, c.usage, c.usd) for c in calls] == [("unsupported_value", None, None)] * 2
        assert router.engine.means.live.may_call("c")


@each
@ways
async def test_a_refusal_that_nothing_mends_reaches_the_client_behind_one_that_was_mended(
    start_router, client, streamed
):
    needed = {
        "message": "Unsupported: 'tools' here.",
        "param": "tools",
        "code": "unsupported_parameter",
    }
    body = {**request_for(client, tools=True), "temperature": 0}
    async with Scripted("chat") as up, start_router(up.url) as router:
        up.script.extend([REFUSALS[1], Says(fail=400, error=needed)])
        status, _, raw = await tell(router, client, body, streamed=streamed)
        assert status == 400, raw
        assert b"'tools'" in raw
        assert len(up.requests) == 2


async def test_a_value_that_one_client_had_refused_is_no_loss_of_anothers(start_router):
    error = {
        "message": "Unsupported value: 'xhigh'",
        "param": "reasoning_effort",
        "code": "unsupported_value",
    }
    hard, usual = ({**request_for("chat"), "reasoning_effort": e} for e in ("xhigh", "high"))
    async with Scripted("chat") as up, start_router(up.url) as router:
        up.script.append(Says(fail=400, error=error))
        for body in (hard, usual, hard):
            assert (await router.chat(body))[0] == 200
        efforts = [r.body.get("reasoning_effort") for r in up.requests]
        assert efforts == ["xhigh", None, "high", None]


@ways
async def test_claude_code_behind_who_serves_claude_for_anthropic(start_router, streamed):
    words = [
        "invalid beta flag",
        "context_management: Extra inputs are not permitted",
        "output_config: Extra inputs are not permitted",
        "tools.0.custom.defer_loading: Extra inputs are not permitted",
    ]
    body = {
        **request_for("messages", tools=True),
        "context_management": {"edits": []},
        "output_config": {"effort": "high"},
        "metadata": {"user_id": "u"},
    }
    body["tools"][0]["defer_loading"] = True
    flags = {"anthropic-beta": "claude-code-20250219,oauth-2025-04-20"}
    async with Scripted("messages") as up, start_router(up.url, dialect="messages") as router:
        up.script.extend(Says(fail=400, error={"message": said}) for said in words)
        for _ in range(2):
            status, _, raw = await tell(router, "messages", body, streamed=streamed, **flags)
            assert status == 200, raw
        first, *_, last, next_ = up.requests
        assert len(up.requests) == len(words) + 2
        lost = router.engine.traces.latest(1)[0].attempts[-1].lost
        assert "anthropic-beta, which the model refuses" in lost
        assert first.headers["anthropic-beta"] == flags["anthropic-beta"]
        for request in (last, next_):
            assert "anthropic-beta" not in request.headers
            assert not {"context_management", "output_config"} & request.body.keys()
            assert "defer_loading" not in request.body["tools"][0]
            assert request.body["metadata"] == body["metadata"]
            assert request.body["messages"] == body["messages"]


@ways
@pytest.mark.parametrize(
    ("status", "said", "roles"),
    [
        (400, "messages[0].role: unknown variant `developer`", ["system", "user", "system"]),
        (400, "Jinja: System message must be at the beginning.", ["developer", "user", "user"]),
        (500, "Jinja: System message must be at the beginning.", ["developer", "user", "user"]),
    ],
)
async def test_roles_that_a_template_refuses(start_router, streamed, status, said, roles):
    talk = [("developer", "be brief"), ("user", "do it"), ("developer", "in French")]
    body = {
        **request_for("chat"),
        "messages": [{"role": role, "content": text} for role, text in talk],
    }
    async with Scripted("chat") as up, start_router(up.url) as router:
        up.script.append(Says(fail=status, error=said))
        for _ in range(2):
            status, _, raw = await tell(router, "chat", body, streamed=streamed)
            assert status == 200, raw
        first, *later = up.requests
        assert first.body["messages"] == body["messages"]
        assert len(later) == 2  # the second request knows
        for request in later:
            messages = request.body["messages"]
            assert [m["role"] for m in messages] == roles
            assert [m["content"] for m in messages] == [text for _, text in talk]


async def test_codex_before_a_template_that_wants_one_system_message_and_turns(start_router):
    said = [
        ("developer", "you are an agent"),
        ("user", "<environment/>"),
        ("user", "fix it"),
        ("developer", "sandbox changed"),
    ]
    body = {
        **request_for("responses"),
        "input": [{"role": role, "content": text} for role, text in said],
    }
    words = [
        "System message must be at the beginning.",
        "Conversation roles must alternate user/assistant/user/assistant/...",
    ]
    async with Scripted("chat") as up, start_router(up.url) as router:
        up.script.extend(Says(fail=400, error=text) for text in words)
        assert (await tell(router, "responses", body))[0] == 200
        assert up.requests[-1].body["messages"] == [
            {"role": "system", "content": "you are an agent"},
            {"role": "user", "content": "<environment/>\n\nfix it\n\nsandbox changed"},
        ]
        lost = router.engine.traces.latest(1)[0].attempts[-1].lost
        assert "instructions as user text of 1 message" in lost


@ways
async def test_claude_codes_system_messages_before_who_knows_none(start_router, streamed):
    body = request_for("messages")
    body["messages"] = [
        {"role": "user", "content": "do it"},
        {"role": "system", "content": [{"type": "text", "text": "be brief"}]},
    ]
    said = "messages[1].role: unknown variant `system`, expected `user` or `assistant`"
    async with Scripted("messages") as up, start_router(up.url, dialect="messages") as router:
        up.script.append(Says(fail=400, error={"message": said}))
        status, _, raw = await tell(router, "messages", body, streamed=streamed)
        assert status == 200, raw
        (turn,) = up.requests[-1].body["messages"]
        texts = [part["text"] for part in turn["content"]]
        assert (turn["role"], texts) == ("user", ["do it", "be brief"])


@ways
async def test_a_providers_refusal_inside_a_gateways_teaches_too(start_router, streamed):
    raw = json.dumps({"error": REFUSALS[1].error})
    error = {
        "message": "Provider returned error",
        "code": 400,
        "metadata": {"raw": raw, "provider_name": "OpenAI"},
    }
    body = {**request_for("chat"), "temperature": 0}
    async with Scripted("chat") as up, start_router(up.url) as router:
        up.script.append(Says(fail=400, error=error))
        status, _, raw = await tell(router, "chat", body, streamed=streamed)
        assert status == 200, raw
        assert "temperature" not in up.requests[-1].body


async def test_reasoning_in_the_history_goes_where_a_server_refuses_it(start_router):
    body = request_for("chat")
    body["messages"] = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "reasoning_content": "hm"},
        {"role": "user", "content": "c"},
    ]
    said = "property 'messages.1.assistant.reasoning_content' is unsupported"
    async with Scripted("chat") as up, start_router(up.url) as router:
        up.script.append(Says(fail=400, error={"message": said, "code": "wrong_api_format"}))
        assert (await router.chat(body))[0] == 200
        assert up.requests[-1].body["messages"][1] == {"role": "assistant", "content": "b"}


THINKS = Says("ok", reasoning="let me see", seal="c2VhbA==")
GONE = {
    "responses": {
        "message": "The encrypted content gAAA...DQ== could not be verified.",
        "code": "invalid_encrypted_content",
    },
    "messages": {"message": "messages.1.content.0: Invalid `signature` in `thinking` block"},
}


def after(client, raw):
    """The history behind a whole answer, as a client sends it on."""
    said = json.loads(raw)
    again = request_for(client, "go on")
    if client == "responses":
        first = request_for(client)["input"]
        return {**again, "input": [*first, *said["output"], *again["input"]]}
    first = request_for(client)["messages"]
    spoken = {"role": "assistant", "content": said["content"]}
    return {**again, "messages": [*first, spoken, *again["messages"]]}


@ways
@pytest.mark.parametrize("dialect", ["responses", "messages"])
async def test_reasoning_that_its_maker_no_longer_knows_ends_no_session(
    start_router, dialect, streamed
):
    async with Scripted(dialect) as up, start_router(up.url, dialect=dialect) as router:
        up.script.append(THINKS)
        _, _, raw = await tell(router, dialect, request_for(dialect))
        body = after(dialect, raw)
        up.script.extend([Says("fine"), Says(fail=400, error=GONE[dialect])])
        for _ in range(3):
            status, _, raw = await tell(router, dialect, body, streamed=streamed)
            assert status == 200, raw
        known, refused, anew, later = up.requests[1:]
        assert b"c2VhbA==" in known.raw
        assert b"c2VhbA==" in refused.raw
        assert b"c2VhbA==" not in anew.raw + later.raw
        up.script.append(THINKS)
        _, _, raw = await tell(router, dialect, request_for(dialect))
        assert (await tell(router, dialect, after(dialect, raw)))[0] == 200
        assert b"c2VhbA==" in up.requests[-1].raw  # what it makes now it gets back


async def test_an_item_that_was_never_stored_is_no_unknown_model(start_router):
    error = {
        "message": "Item with id 'rs_0c1f' not found. Items are not persisted when `store` is false."
    }
    async with (
        Scripted("responses") as up,
        start_router(up.url, dialect="responses") as router,
    ):
        up.script.append(THINKS)
        _, _, raw = await tell(router, "responses", request_for("responses"))
        up.script.append(Says(fail=404, error=error))
        assert (await tell(router, "responses", after("responses", raw)))[0] == 200
        assert b"c2VhbA==" not in up.requests[-1].raw


@each
@pytest.mark.parametrize(
    ("said", "form"),
    [
        ("Tool call id was call_1 but must be a-z, A-Z, 0-9, with a length of 9.", "[a-z0-9]{9}"),
        (
            "Invalid 'messages[1].tool_calls[0].id': string too long. Expected a string with maximum length 40.",
            "call_x{26}_[0-9a-f]{8}",
        ),
    ],
)
async def test_ids_of_calls_get_the_form_that_a_model_takes(start_router, client, said, form):
    body = {**request_for(client, tools=True), **HISTORIES[client]("call_" + "x" * 55)[1]}
    async with Scripted("chat") as up, start_router(up.url) as router:
        up.script.append(Says(fail=400, error=said))
        for _ in range(2):
            assert (await tell(router, client, body))[0] == 200
        assert len(up.requests) == 3
        for request in up.requests[1:]:
            call, result = request.body["messages"][1:3]
            call_id = call["tool_calls"][0]["id"]
            assert re.fullmatch(form, call_id)
            assert result["tool_call_id"] == call_id
