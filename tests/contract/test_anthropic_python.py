"""The official `anthropic` package over `/v1/messages`, before an upstream of each dialect.

The package builds its objects without checking them, so every message and event is validated again here, strictly.
"""

from __future__ import annotations

import contextlib
import json

import anthropic
import pytest
from anthropic.types import Message
from pydantic import BaseModel

from tests.contract.dialects import DIALECTS, Calls, Say, scripted, speaking
from tests.server.conftest import FOUR

AUTO = "openfusion/auto"
TOOL = {
    "name": "read_file",
    "description": "Read a file.",
    "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}},
}
GIVEN = {"path": "src/ä b.py", "deep": [{"n": 1.5}, None, "\n\t\"'"]}
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
THINKING = {"type": "enabled", "budget_tokens": 1024}


@pytest.fixture(params=DIALECTS)
def dialect(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def streamed(request):
    return request.param


def client(router, **more):
    return anthropic.AsyncAnthropic(
        base_url=router.root, **{"api_key": "sk-any", "max_retries": 0, **more}
    )


@pytest.fixture
def live(start_router, dialect):
    """A function: live(*answers) gives the package and the upstream that will say them."""

    @contextlib.asynccontextmanager
    async def start(*script, **more):
        async with (
            scripted(dialect, *script) as up,
            start_router(up.url, candidates=FOUR, upstreams=speaking(up), **more) as router,
            client(router) as sdk,
        ):
            yield sdk, up

    return start


def strict(made):
    """Validate what the package made against its own type, nothing coerced; returns it."""
    type(made).model_validate_json(made.to_json(), strict=True)
    return made


def user(content):
    return [{"role": "user", "content": content}]


async def ask(sdk, *, streamed, **asked):
    """The whole message, whichever way it came; a stream's raw events are checked, then accumulated by the package."""
    asked = {"model": AUTO, "max_tokens": 2048, "messages": user("Hi"), **asked}
    if not streamed:
        return strict(await sdk.messages.create(**asked))
    async with sdk.messages.stream(**asked) as stream:
        events = [event async for event in stream]
        final = await stream.get_final_message()
    check_order(events)
    return Message.model_validate_json(final.to_json())


def check_order(events):
    """One beginning, one end; blocks one after the other, each begun and stopped."""
    kinds = [e.type for e in events]
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"
    assert kinds.count("message_delta") == 1
    open_block, nth = None, 0
    for event in events:
        if event.type == "content_block_start":
            assert open_block is None
            assert event.index == nth
            open_block = event.index
        elif event.type == "content_block_delta":
            assert event.index == open_block
        elif event.type == "content_block_stop":
            assert event.index == open_block
            open_block, nth = None, nth + 1
    assert open_block is None


def of_type(message, kind):
    return [block for block in message.content if block.type == kind]


def text_of(message):
    return "".join(block.text for block in of_type(message, "text"))


# -- answers ----------------------------------------------------------------------------------------------------------


async def test_an_answer_is_a_message_with_the_trace(live, streamed):
    async with live(Say("Grüezi 你好")) as (sdk, _):
        answer = await ask(sdk, streamed=streamed)
    assert (text_of(answer), answer.stop_reason, answer.role) == (
        "Grüezi 你好", "end_turn", "assistant",
    )  # fmt: skip
    assert answer.model.startswith("vendor/")


async def test_the_trace_is_on_a_whole_message_and_on_the_last_delta_of_a_stream(live):
    async with live(Say("Hello.")) as (sdk, _):
        asked = {"model": AUTO, "max_tokens": 10, "messages": user("Hi")}
        whole = await sdk.messages.create(**asked)
        events = [strict(e) async for e in await sdk.messages.create(**asked, stream=True)]
    assert whole.model_extra["openfusion"]["requested_model"] == AUTO
    told = [e for e in events if "openfusion" in (e.model_extra or {})]
    assert [e.type for e in told] == ["message_delta"]
    assert told[0].model_extra["openfusion"]["usage"][0]["output_tokens"] == 9


async def test_the_packages_text_stream_gives_the_text(live):
    async with (
        live(Say("Hello there.")) as (sdk, _),
        sdk.messages.stream(model=AUTO, max_tokens=10, messages=user("Hi")) as stream,
    ):
        assert "".join([t async for t in stream.text_stream]) == "Hello there."


async def test_usage_leaves_the_cached_part_out_of_the_input(live, streamed):
    async with live(Say("Hi.")) as (sdk, _):
        usage = (await ask(sdk, streamed=streamed)).usage
    assert (usage.input_tokens, usage.cache_read_input_tokens) == (40, 60)
    assert usage.cache_creation_input_tokens == 0
    assert usage.output_tokens == 9


async def test_a_bound_is_told_as_max_tokens(live, streamed):
    async with live(Say("Half of", finish="length")) as (sdk, _):
        answer = await ask(sdk, streamed=streamed, max_tokens=16)
    assert answer.stop_reason == "max_tokens"


async def test_the_system_prompt_reaches_the_model(live, dialect):
    blocks = [{"type": "text", "text": "Be terse.", "cache_control": {"type": "ephemeral"}}]
    async with live(Say("Ok.")) as (sdk, up):
        await ask(sdk, streamed=False, system=blocks)
    sent = up.bodies[0]
    if dialect == "messages":
        assert sent["system"] == blocks
    elif dialect == "chat":
        assert (sent["messages"][0]["role"], sent["messages"][0]["content"]) == (
            "system", "Be terse.",
        )  # fmt: skip
    else:
        assert "Be terse." in (sent.get("instructions") or json.dumps(sent["input"][0]))


# -- tools ------------------------------------------------------------------------------------------------------------


def result_in(body, dialect):
    """The first tool result of the last request, in the upstream's dialect: (call id, content)."""
    if dialect == "chat":
        found = next(m for m in body["messages"] if m["role"] == "tool")
        return found["tool_call_id"], found["content"]
    if dialect == "responses":
        found = next(i for i in body["input"] if i.get("type") == "function_call_output")
        return found["call_id"], found["output"]
    (block,) = [b for b in body["messages"][-1]["content"] if b["type"] == "tool_result"]
    return block["tool_use_id"], block["content"]


async def test_a_tool_use_goes_round(live, streamed, dialect):
    call = Calls("toolu_1", "read_file", json.dumps(GIVEN))
    async with live(Say("Let me look.", calls=(call,)), Say("It says 4.")) as (sdk, up):
        messages = user("Read it.")
        first = await ask(sdk, streamed=streamed, messages=messages, tools=[TOOL])
        (made,) = of_type(first, "tool_use")
        messages += [
            {
                "role": "assistant",
                "content": [b.model_dump(exclude_none=True) for b in first.content],
            },
            *user([{"type": "tool_result", "tool_use_id": made.id, "content": "4"}]),
        ]
        second = await ask(sdk, streamed=streamed, messages=messages, tools=[TOOL])
    assert (first.stop_reason, text_of(first)) == ("tool_use", "Let me look.")
    assert (made.id, made.name, made.input) == ("toolu_1", "read_file", GIVEN)
    assert text_of(second) == "It says 4."
    assert result_in(up.bodies[1], dialect) == ("toolu_1", "4")
    assert up.bodies[0]["model"] == up.bodies[1]["model"], "a tool turn stays with its model"


async def test_parallel_calls_keep_their_order_and_ids(live, streamed):
    calls = tuple(Calls(f"toolu_{i}", "read_file", f'{{"path": "{i}"}}') for i in range(3))
    async with live(Say(calls=calls)) as (sdk, _):
        answer = await ask(sdk, streamed=streamed, tools=[TOOL])
    got = [(c.id, c.input) for c in of_type(answer, "tool_use")]
    assert got == [(c.id, json.loads(c.arguments)) for c in calls]


async def test_a_picture_in_a_tools_result_reaches_the_model(live, dialect):
    messages = [
        *user("Look."),
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "toolu_1", "name": "read_file", "input": {}}],
        },
        *user(
            [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [{"type": "text", "text": "a dot"}, PICTURE],
                }
            ]
        ),
    ]
    async with live(Say("A dot.")) as (sdk, up):
        answer = await ask(sdk, streamed=False, messages=messages, tools=[TOOL])
    assert text_of(answer) == "A dot."
    id_, _ = result_in(up.bodies[0], dialect)
    assert id_ == "toolu_1"
    assert PIXEL in json.dumps(up.bodies[0])


async def test_a_failed_result_is_told_as_failed(live, dialect):
    messages = [
        *user("Look."),
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "toolu_1", "name": "read_file", "input": {}}],
        },
        *user(
            [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "is_error": True,
                    "content": "no such file",
                }
            ]
        ),
    ]
    async with live(Say("Gone.")) as (sdk, up):
        await ask(sdk, streamed=False, messages=messages, tools=[TOOL])
    _, content = result_in(up.bodies[0], dialect)
    assert content == ("no such file" if dialect == "messages" else "Error: no such file")


# -- thinking ---------------------------------------------------------------------------------------------------------


async def test_thinking_comes_as_a_block_and_goes_back_to_its_maker(live, streamed, dialect):
    said = Say("4.", reasoning="Two and two.", seal="c2lnbmVk" if dialect == "messages" else "")
    async with live(said, Say("Yes.")) as (sdk, up):
        messages = user("2+2?")
        # By its name, since a short session may move and then leaves its reasoning behind.
        asked = {"model": "coder-a", "streamed": streamed, "thinking": THINKING}
        first = await ask(sdk, messages=messages, **asked)
        (thought,) = of_type(first, "thinking")
        messages += [
            {
                "role": "assistant",
                "content": [b.model_dump(exclude_none=True) for b in first.content],
            },
            *user("Sure?"),
        ]
        second = await ask(sdk, messages=messages, **asked)
    assert thought.thinking == "Two and two."
    assert [b.type for b in first.content] == ["thinking", "text"]
    assert text_of(second) == "Yes."
    sent = json.dumps(up.bodies[1])
    assert ("c2lnbmVk" in sent) == (dialect == "messages")
    assert "openfusion-unsigned" not in sent


async def test_reasoning_of_another_dialect_is_not_shown_to_who_asked_for_none(
    live, streamed, dialect
):
    async with live(Say("4.", reasoning="Two and two.")) as (sdk, _):
        answer = await ask(sdk, streamed=streamed)
    thought = of_type(answer, "thinking")
    assert len(thought) == (dialect == "messages"), "its own answer is relayed as it came"


# -- forms and counts -------------------------------------------------------------------------------------------------


class City(BaseModel):
    """What the structured answer is read into."""

    name: str
    people: int


async def test_a_structured_answer_is_parsed_into_the_clients_own_type(live):
    async with live(Say('{"name":"Zürich","people":430000}')) as (sdk, up):
        answer = await sdk.messages.parse(
            model=AUTO, max_tokens=100, messages=user("Which?"), output_format=City
        )
    assert answer.parsed_output == City(name="Zürich", people=430_000)
    assert '"people"' in json.dumps(up.bodies[0])


async def test_tokens_are_counted_without_a_call(live):
    async with live(Say("x")) as (sdk, up):
        small = await sdk.messages.count_tokens(model=AUTO, messages=user("Hi"))
        large = await sdk.messages.count_tokens(
            model=AUTO, messages=user("word " * 4000), tools=[TOOL], system="Be terse."
        )
    assert strict(small).input_tokens < 50
    assert 2000 < strict(large).input_tokens < 12_000
    assert up.bodies == []


async def test_models_are_listed_as_the_package_reads_them(live):
    async with live(Say("x")) as (sdk, _):
        listed = [m async for m in await sdk.models.list()]
        one = await sdk.models.retrieve("coder-a")
    assert listed[0].id == AUTO
    assert all(m.type == "model" and m.display_name and m.created_at.year == 1970 for m in listed)
    assert {c["id"] for c in FOUR} <= {m.id for m in listed}
    assert one.id == "coder-a"


async def test_a_beta_goes_to_upstreams_of_the_clients_own_dialect_alone(live, dialect):
    async with live(Say("Ok.")) as (sdk, up):
        await ask(sdk, streamed=False, extra_headers={"anthropic-beta": "context-1m-2025-08-07"})
    (headers,) = up.headers
    assert headers.get("anthropic-beta") == (
        "context-1m-2025-08-07" if dialect == "messages" else None
    )
    key = headers["x-api-key"] if dialect == "messages" else headers["authorization"]
    assert key.removeprefix("Bearer ") == "sk-upstream-secret"
    assert "sk-any" not in str(headers)


# -- errors -----------------------------------------------------------------------------------------------------------


def check_error(error, kind):
    """An error's body has Anthropic's shape, which clients read."""
    assert error.body["type"] == "error"
    assert error.body["error"]["type"] == kind
    assert error.body["error"]["message"]


async def test_wrong_requests_are_bad_requests_and_unknown_models_not_found(live, streamed):
    async with live(Say("x")) as (sdk, up):
        with pytest.raises(anthropic.BadRequestError) as caught:
            await sdk.messages.create(model=AUTO, max_tokens=10, messages=user(7), stream=streamed)
        check_error(caught.value, "invalid_request_error")
        with pytest.raises(anthropic.NotFoundError) as caught:
            await sdk.messages.create(
                model="openfusion/aut", max_tokens=10, messages=user("Hi"), stream=streamed
            )
        check_error(caught.value, "not_found_error")
        assert AUTO in caught.value.body["error"]["message"]
    assert up.bodies == []


async def test_a_wrong_key_is_an_authentication_error_and_the_right_one_is_taken(start_router):
    async with (
        scripted("messages", Say("in")) as up,
        start_router(up.url, upstreams=speaking(up), client_keys="sk-right") as router,
        client(router, api_key="sk-wrong") as wrong,
        client(router, api_key="sk-right") as right,
    ):
        with pytest.raises(anthropic.AuthenticationError) as caught:
            await ask(wrong, streamed=False)
        check_error(caught.value, "authentication_error")
        assert text_of(await ask(right, streamed=False)) == "in"


@pytest.mark.parametrize(
    ("status", "kind", "type_"),
    [
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (529, anthropic.ServiceUnavailableError, "overloaded_error"),
        (500, anthropic.InternalServerError, "api_error"),
        (401, anthropic.InternalServerError, "api_error"),
        (400, anthropic.BadRequestError, "invalid_request_error"),
        (413, anthropic.RequestTooLargeError, "request_too_large"),
        (404, anthropic.NotFoundError, "not_found_error"),
    ],
)
async def test_an_upstreams_failure_is_the_packages_error_of_that_kind(
    live, streamed, status, kind, type_
):
    said = Say(status=status, headers={"Retry-After": "120"}, error={"message": "no", "type": "x"})
    async with live(said) as (sdk, _):
        with pytest.raises(kind) as caught:
            await ask(sdk, streamed=streamed)
    check_error(caught.value, type_)
    if status in (429, 529):
        assert caught.value.response.headers["retry-after"] == "120"


async def test_a_prompt_that_is_too_long_is_told_in_the_words_that_clients_look_for(live, streamed):
    words = "This model's maximum context length is 200000 tokens. However, you sent 250000."
    said = Say(status=400, error={"message": words, "code": "context_length_exceeded"})
    async with live(said) as (sdk, _):
        with pytest.raises(anthropic.BadRequestError) as caught:
            await ask(sdk, streamed=streamed)
    check_error(caught.value, "invalid_request_error")
    told = caught.value.body["error"]["message"]
    assert told == "prompt is too long: 250000 tokens > 200000 maximum"


async def test_a_stream_that_is_cut_raises_after_the_text_so_far(live):
    text = ""
    async with live(Say("Half of it", cut=True)) as (sdk, _):
        stream = await sdk.messages.create(
            model=AUTO, max_tokens=10, messages=user("Hi"), stream=True
        )
        with pytest.raises(anthropic.APIStatusError) as caught:
            async for event in stream:
                if event.type == "content_block_delta":
                    text += event.delta.text
                assert event.type != "message_stop"
    assert text
    assert "Half of it".startswith(text)
    check_error(caught.value, "overloaded_error")
