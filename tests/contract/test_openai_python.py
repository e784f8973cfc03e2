"""The official `openai` package drives the server: what it sends is taken, what comes back fits its own types.

The package builds its objects without checking them, so every answer and chunk is validated again here, strictly,
against the package's pydantic types.
"""

from __future__ import annotations

import asyncio
import json

import openai
import pytest
from openai.types import Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

from tests.server.conftest import FOUR
from tests.support.faulty import TRICKY, FaultyUpstream

AUTO = "openfusion/auto"
TOOL = {
    "type": "function",
    "function": {
        "name": "read_file",
        "description": "Read a file.",
        "parameters": {
            "type": "object",
            "properties": {"path": {"type": "string"}},
            "required": ["path"],
        },
    },
}
TRICKY_TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name, _ in TRICKY
]


def client(router, **more):
    return openai.AsyncOpenAI(
        base_url=router.base, **{"api_key": "sk-any", "max_retries": 0, **more}
    )


@pytest.fixture
async def live(start_router):
    """The package before a router with four candidates; the upstream stands beside them."""
    async with (
        FaultyUpstream() as up,
        start_router(up.url, candidates=FOUR) as router,
        client(router) as sdk,
    ):
        yield sdk, router, up


def user(text):
    return [{"role": "user", "content": text}]


def strict(answer):
    """Validate what the package made against its own types, nothing coerced; returns it."""
    type(answer).model_validate_json(answer.to_json(), strict=True)
    return answer


async def chunks_of(stream):
    return [strict(chunk) async for chunk in stream]


def text_of(chunks):
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def calls_of(chunks):
    """Put the calls of a stream together as clients do: by index, id and name once, arguments joined."""
    calls = {}
    for chunk in chunks:
        for piece in chunk.choices[0].delta.tool_calls or [] if chunk.choices else []:
            call = calls.setdefault(piece.index, {"id": "", "name": "", "arguments": ""})
            call["id"] += piece.id or ""
            call["name"] += piece.function.name or ""
            call["arguments"] += piece.function.arguments or ""
    assert list(calls) == list(range(len(calls)))
    return [calls[i] for i in sorted(calls)]


# -- answers ----------------------------------------------------------------------------------------------------------


async def test_a_whole_answer_is_a_chat_completion_with_the_trace_beside_it(live):
    sdk, router, _ = live
    answer = strict(
        await sdk.chat.completions.create(model=AUTO, messages=user("[[say:héllo 你好]]"))
    )
    assert isinstance(answer, ChatCompletion)
    assert answer.choices[0].message.content == "héllo 你好"
    assert answer.choices[0].finish_reason == "stop"
    assert (
        answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
    )
    trace = answer.model_extra["openfusion"]
    assert trace["requested_model"] == AUTO
    assert (await router.trace(trace["trace_id"]))["usd"] == trace["usd"]


async def test_a_stream_is_chunks_of_one_answer_and_ends(live):
    sdk, _, _ = live
    stream = await sdk.chat.completions.create(
        model=AUTO, messages=user("[[words:40]]"), stream=True
    )
    chunks = await chunks_of(stream)
    assert all(isinstance(c, ChatCompletionChunk) for c in chunks)
    assert len({c.id for c in chunks}) == len({c.model for c in chunks}) == 1
    assert text_of(chunks) == " ".join(f"word{i}" for i in range(40))
    assert [c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason] == ["stop"]
    assert all(c.usage is None for c in chunks), "nobody asked for it"
    assert all("openfusion" not in (c.model_extra or {}) for c in chunks[:-1])
    assert chunks[-1].model_extra["openfusion"]["usage"][0]["output_tokens"] == 40


async def test_usage_is_the_last_chunk_of_a_stream_that_asked_for_it(live):
    sdk, _, _ = live
    stream = await sdk.chat.completions.create(
        model=AUTO,
        messages=user("[[words:7]]"),
        stream=True,
        stream_options={"include_usage": True},
    )
    *before, last = await chunks_of(stream)
    assert last.choices == []
    assert last.usage.completion_tokens == 7
    assert last.model_extra["openfusion"]["usage"][0]["output_tokens"] == 7
    assert all(c.choices and c.usage is None for c in before)


async def test_the_packages_own_stream_helper_accumulates_the_same_answer(live):
    sdk, _, _ = live
    async with sdk.chat.completions.stream(
        model=AUTO, messages=user('[[tool:read_file {"path": "a b.py"}]]'), tools=[TOOL]
    ) as stream:
        kinds = {event.type async for event in stream}
        final = await stream.get_final_completion()
    assert "tool_calls.function.arguments.delta" in kinds
    assert final.choices[0].finish_reason == "tool_calls"
    assert final.choices[0].message.tool_calls[0].function.arguments == '{"path": "a b.py"}'


async def test_raw_responses_carry_the_headers_that_say_who_answered(live):
    sdk, _, _ = live
    raw = await sdk.chat.completions.with_raw_response.create(
        model=AUTO, messages=user("[[say:hi]]")
    )
    answer = raw.parse()
    assert raw.headers["x-openfusion-model"] == answer.model
    assert raw.headers["x-openfusion-mode"] == "single"
    assert raw.headers["x-openfusion-trace-id"] == answer.model_extra["openfusion"]["trace_id"]
    async with sdk.chat.completions.with_streaming_response.create(
        model=AUTO, messages=user("[[say:hi]]"), stream=True
    ) as streamed:
        assert streamed.headers["content-type"].startswith("text/event-stream")
        assert streamed.headers["x-openfusion-model"] == answer.model
        assert [line async for line in streamed.iter_lines()][-2:] == ["data: [DONE]", ""]


# -- tools ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_tool_round_trip_ends_with_the_models_words(live, streamed):
    sdk, router, up = live
    messages = user('[[tool:read_file {"path":"src/a.py"}]][[say:It returns 4.]]')

    async def turn():
        asked = {"model": AUTO, "messages": messages, "tools": [TOOL]}
        if not streamed:
            answer = strict(await sdk.chat.completions.create(**asked))
            return answer.choices[0].message.model_dump(exclude_none=True), answer.model
        chunks = await chunks_of(await sdk.chat.completions.create(**asked, stream=True))
        calls = [
            {
                "id": c["id"],
                "type": "function",
                "function": {"name": c["name"], "arguments": c["arguments"]},
            }
            for c in calls_of(chunks)
        ]
        content = text_of(chunks) or None
        said = {"role": "assistant", "content": content, "tool_calls": calls}
        return {k: v for k, v in said.items() if v}, chunks[0].model

    said, first_model = await turn()
    (call,) = said["tool_calls"]
    assert call["function"] == {"name": "read_file", "arguments": '{"path":"src/a.py"}'}
    messages += [said, {"role": "tool", "tool_call_id": call["id"], "content": "return 2 + 2"}]
    ended, second_model = await turn()
    assert ended["content"] == "It returns 4."
    assert first_model == second_model, "a tool turn stays with its model"
    assert up.requests[1].body["messages"] == messages, "the conversation goes up as it is"
    assert [t["task"]["turn"] for t in await traces(router)] == ["tool", "user"]


async def traces(router):
    async with router.http.get(f"{router.base}/traces") as r:
        return (await r.json())["data"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_parallel_calls_keep_every_byte_of_their_arguments(live, streamed):
    sdk, _, _ = live
    asked = {
        "model": AUTO,
        "messages": user("".join(f"[[tool:{n} {a}]]" for n, a in TRICKY)),
        "tools": TRICKY_TOOLS,
    }
    if streamed:
        chunks = await chunks_of(await sdk.chat.completions.create(**asked, stream=True))
        got = [(c["name"], c["arguments"]) for c in calls_of(chunks)]
        ids = [c["id"] for c in calls_of(chunks)]
        finish = chunks[-1].choices[0].finish_reason
    else:
        choice = strict(await sdk.chat.completions.create(**asked)).choices[0]
        calls, finish = choice.message.tool_calls, choice.finish_reason
        got = [(c.function.name, c.function.arguments) for c in calls]
        ids = [c.id for c in calls]
    assert got == list(TRICKY)
    assert finish == "tool_calls"
    assert len(set(ids)) == len(TRICKY)


# -- forms ------------------------------------------------------------------------------------------------------------


class City(BaseModel):
    """What the structured answer is read into."""

    name: str
    people: int


async def test_a_structured_answer_is_parsed_into_the_clients_own_type(live):
    sdk, _, up = live
    answer = await sdk.chat.completions.parse(
        model=AUTO,
        messages=user('[[say:{"name": "Zürich", "people": 430000}]]'),
        response_format=City,
    )
    assert answer.choices[0].message.parsed == City(name="Zürich", people=430_000)
    sent = up.requests[0].body["response_format"]
    assert sent["json_schema"]["strict"] is True
    assert set(sent["json_schema"]["schema"]["properties"]) == {"name", "people"}


def choice(index, text):
    message = {"role": "assistant", "content": text, "refusal": None}
    return {"index": index, "message": message, "logprobs": None, "finish_reason": "stop"}


def delta(index, said, finish=None):
    return {
        "id": "chatcmpl-two",
        "object": "chat.completion.chunk",
        "created": 1,
        "choices": [{"index": index, "delta": said, "logprobs": None, "finish_reason": finish}],
    }


async def test_two_choices_come_back_as_two_whole_and_streamed(start_router, canned):
    whole = {
        "id": "chatcmpl-two",
        "object": "chat.completion",
        "created": 1,
        "choices": [choice(0, "left"), choice(1, "right")],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
    }
    role = {"role": "assistant", "content": ""}
    events = [
        delta(0, role), delta(1, role), delta(1, {"content": "ri"}), delta(0, {"content": "left"}),
        delta(1, {"content": "ght"}), delta(0, {}, "stop"), delta(1, {}, "stop"),
    ]  # fmt: skip
    async with (
        canned(whole, events) as (url, asked),
        start_router(url) as router,
        client(router) as sdk,
    ):
        answer = strict(await sdk.chat.completions.create(model=AUTO, messages=user("Two."), n=2))
        stream = await sdk.chat.completions.create(
            model=AUTO, messages=user("Two."), n=2, stream=True
        )
        chunks = await chunks_of(stream)
    assert [c.message.content for c in answer.choices] == ["left", "right"]
    texts, finishes = ["", ""], []
    for piece in (c.choices[0] for c in chunks):
        texts[piece.index] += piece.delta.content or ""
        finishes += [piece.index] if piece.finish_reason else []
    assert texts == ["left", "right"]
    assert sorted(finishes) == [0, 1]
    assert [body["n"] for body in asked] == [2, 2]


# -- models -----------------------------------------------------------------------------------------------------------


async def test_models_are_listed_and_each_can_be_retrieved_slash_and_all(live):
    sdk, _, _ = live
    listed = [strict(model) async for model in await sdk.models.list()]
    names = [model.id for model in listed]
    assert names[0] == AUTO
    assert {c["id"] for c in FOUR} <= set(names)
    for name in names:
        found = strict(await sdk.models.retrieve(name))
        assert isinstance(found, Model)
        assert found.id == name
    assert (await sdk.models.retrieve("vendor/coder-a")).id == "coder-a"


# -- errors -----------------------------------------------------------------------------------------------------------


def check_body(error, **fields):
    """An error's body has OpenAI's fields, which the package reads."""
    assert set(error.body) == {"message", "type", "param", "code"}
    assert error.body["message"]
    for name, value in fields.items():
        assert getattr(error, name) == value


async def test_an_unknown_model_is_not_found_and_named(live):
    sdk, _, up = live
    with pytest.raises(openai.NotFoundError) as caught:
        await sdk.chat.completions.create(model="openfusion/aut", messages=user("Hi"))
    check_body(caught.value, code="model_not_found", param="model", type="invalid_request_error")
    assert AUTO in caught.value.body["message"]
    with pytest.raises(openai.NotFoundError) as caught:
        await sdk.models.retrieve("no/such/model")
    check_body(caught.value, code="model_not_found")
    assert up.requests == []


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_wrong_request_is_a_bad_request_before_any_stream(live, streamed):
    sdk, _, up = live
    with pytest.raises(openai.BadRequestError) as caught:
        await sdk.chat.completions.create(
            model=AUTO, messages=user("Hi"), temperature="warm", stream=streamed
        )
    check_body(caught.value, param="temperature", type="invalid_request_error")
    assert up.requests == []


async def test_a_wrong_key_is_an_authentication_error_and_the_right_one_is_taken(start_router):
    async with (
        FaultyUpstream() as up,
        start_router(up.url, client_keys="sk-right,sk-other") as router,
        client(router, api_key="sk-wrong") as wrong,
        client(router, api_key="sk-right") as right,
    ):
        with pytest.raises(openai.AuthenticationError) as caught:
            await wrong.chat.completions.create(model=AUTO, messages=user("Hi"))
        check_body(caught.value, code="invalid_api_key")
        assert "sk-wrong" not in str(caught.value)
        answer = await right.chat.completions.create(model=AUTO, messages=user("[[say:in]]"))
        assert answer.choices[0].message.content == "in"
        assert "sk-right" not in str(up.requests[0].headers)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_rate_limit_says_when_to_come_back(live, streamed):
    sdk, _, _ = live
    with pytest.raises(openai.RateLimitError) as caught:
        await sdk.chat.completions.create(
            model=AUTO, messages=user("[[fault:F12]]"), stream=streamed
        )
    check_body(caught.value, type="rate_limit_error")
    assert 3500 < int(caught.value.response.headers["retry-after"]) <= 3600
    assert caught.value.response.headers["x-openfusion-trace-id"].startswith("tr_")


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_provider_that_is_down_is_a_server_error(live, streamed):
    sdk, _, up = live
    with pytest.raises(openai.InternalServerError) as caught:
        await sdk.chat.completions.create(
            model=AUTO, messages=user("[[fault:F19]]"), stream=streamed
        )
    check_body(caught.value, type="server_error")
    assert caught.value.status_code == 502
    assert len(up.requests) > 1, "others were tried first"
    assert "backend.internal.example" not in str(caught.value)


async def test_a_stream_that_breaks_raises_what_it_says_after_the_text_so_far(live):
    sdk, _, _ = live
    stream = await sdk.chat.completions.create(
        model=AUTO, messages=user("[[fault:F63]][[words:30]]"), stream=True
    )
    text = ""
    with pytest.raises(openai.APIError, match="upstream") as caught:
        async for chunk in stream:
            text += text_of([strict(chunk)])
    assert text.startswith("word0 word1")
    assert caught.value.body["type"] == "server_error"


async def test_the_packages_own_retries_recover_what_the_router_could_not(live):
    sdk, _, up = live
    up.script = ["F19"] * 8  # every candidate, twice over; the next request is answered
    answer = await sdk.with_options(max_retries=2).chat.completions.create(
        model=AUTO, messages=user("[[say:there]]")
    )
    assert answer.choices[0].message.content == "there"
    assert up.script == []


# -- leaving ----------------------------------------------------------------------------------------------------------


async def test_closing_a_stream_cuts_the_call_upstream_and_books_it(live):
    sdk, router, up = live
    stream = await sdk.chat.completions.create(
        model=AUTO, messages=user("[[fault:F73]][[words:50]]"), stream=True
    )
    async for chunk in stream:
        if text_of([chunk]):
            break
    await stream.close()
    await hung_up(up)
    (trace,) = await traces(router)
    assert trace["outcome"] == "cancelled"
    assert trace["usage"][0]["estimated"] is True
    assert trace["usd"] > 0


async def test_a_client_that_gives_up_waiting_cuts_the_call_upstream(live):
    sdk, router, up = live
    with pytest.raises(openai.APITimeoutError):
        await sdk.with_options(timeout=0.3).chat.completions.create(
            model=AUTO, messages=user("[[sleep:30]]")
        )
    await hung_up(up)
    assert [t["outcome"] for t in await traces(router)] == ["cancelled"]


async def hung_up(up):
    """Wait until the upstream has seen its client leave, and nothing is in work there."""
    async with asyncio.timeout(30):
        while not up.hung_up or up.open_now:
            await asyncio.sleep(0.01)


async def test_twenty_clients_at_once_get_each_their_own_answer(live):
    sdk, _, _ = live

    async def one(i):
        stream = await sdk.chat.completions.create(
            model=AUTO, messages=user(f"[[say:answer {i} of many]]"), stream=True
        )
        return text_of(await chunks_of(stream))

    assert await asyncio.gather(*map(one, range(20))) == [f"answer {i} of many" for i in range(20)]


async def test_options_travel_as_extra_body_and_never_reach_the_upstream(live):
    sdk, _, up = live
    answer = await sdk.chat.completions.create(
        model=AUTO,
        messages=user("[[say:ok]]"),
        extra_body={"openfusion": {"candidates": ["verifier-a"], "trace": "full"}},
    )
    assert answer.model == "vendor/verifier-a"
    full = answer.model_extra["openfusion"]
    assert [r["candidate"] for r in full["decision"]["ranking"]] == ["verifier-a"]
    assert "openfusion" not in json.loads(up.requests[0].raw)
