"""The official `openai` package over `/v1/responses`, before an upstream of each dialect.

The package builds its objects without checking them, so every answer and event is validated again here, strictly.
"""

from __future__ import annotations

import contextlib
import json

import openai
import pytest
from openai.types.responses import Response
from pydantic import BaseModel

from tests.contract.dialects import DIALECTS, Calls, Say, scripted, speaking
from tests.server.conftest import FOUR

AUTO = "openfusion/auto"
TOOL = {
    "type": "function",
    "name": "read_file",
    "description": "Read a file.",
    "parameters": {"type": "object", "properties": {"path": {"type": "string"}}},
    "strict": False,
}
PATCH_TOOL = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Apply a patch.",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/s"},
}
ARGUMENTS = '{ "path" : "src/ä b.py", "n": 1.50 }'
PATCH = '*** Begin Patch\n*** Update File: a.py\n@@\n-"x\\n"\n+🧑‍💻\ty\n*** End Patch'
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="


@pytest.fixture(params=DIALECTS)
def dialect(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def streamed(request):
    return request.param


@pytest.fixture
def live(start_router, dialect):
    """A function: live(*answers) gives the package and the upstream that will say them."""

    @contextlib.asynccontextmanager
    async def start(*script, **more):
        async with (
            scripted(dialect, *script) as up,
            start_router(up.url, candidates=FOUR, upstreams=speaking(up), **more) as router,
            openai.AsyncOpenAI(base_url=router.base, api_key="sk-any", max_retries=0) as sdk,
        ):
            yield sdk, up

    return start


def strict(made):
    """Validate what the package made against its own type, nothing coerced; returns it."""
    type(made).model_validate_json(made.to_json(), strict=True)
    return made


async def ask(sdk, *, streamed, **asked):
    """The whole response, whichever way it came; a stream's events are checked on the way."""
    asked = {"model": AUTO, "input": "Hi", **asked}
    if not streamed:
        return strict(await sdk.responses.create(**asked))
    events = [strict(e) async for e in await sdk.responses.create(**asked, stream=True)]
    check_order(events)
    return events[-1].response


def check_order(events):
    """One numbering, one beginning, one end; what is added is done, with the text its deltas gave."""
    assert [e.sequence_number for e in events] == list(
        range(events[0].sequence_number, events[0].sequence_number + len(events))
    )
    kinds = [e.type for e in events]
    assert kinds[0] == "response.created"
    assert kinds[-1] in ("response.completed", "response.incomplete")
    assert sum(k in ("response.completed", "response.incomplete") for k in kinds) == 1
    added = [e.output_index for e in events if e.type == "response.output_item.added"]
    done = {e.output_index: e.item for e in events if e.type == "response.output_item.done"}
    assert added == sorted(done) == list(range(len(added)))
    output = events[-1].response.output
    assert [i.type for i in output] == [done[i].type for i in sorted(done)]
    for event in events:
        if event.type == "response.output_text.done":
            said = [e.delta for e in events if e.type == "response.output_text.delta"]
            assert "".join(said) == event.text
        if event.type == "response.function_call_arguments.done":
            assert event.arguments == done[event.output_index].arguments


def of_type(response, kind):
    return [item for item in response.output if item.type == kind]


# -- answers ----------------------------------------------------------------------------------------------------------


async def test_an_answer_is_a_response_with_usage_and_the_trace(live, streamed):
    async with live(Say("Grüezi 你好")) as (sdk, _):
        answer = await ask(sdk, streamed=streamed)
    assert isinstance(answer, Response)
    assert (answer.output_text, answer.status) == ("Grüezi 你好", "completed")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (100, 9)
    assert answer.usage.input_tokens_details.cached_tokens == 60
    assert answer.usage.total_tokens == 109
    trace = answer.model_extra["openfusion"]
    assert trace["usage"][0]["cached_tokens"] == 60
    assert answer.model == trace["selected"][0]["model"]


async def test_the_packages_stream_helper_accumulates_the_same_answer(live):
    async with (
        live(Say("Hello there.")) as (sdk, _),
        sdk.responses.stream(model=AUTO, input="Hi") as stream,
    ):
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert "response.output_text.delta" in kinds
    assert final.output_text == "Hello there."


async def test_a_bound_makes_an_incomplete_response(live, streamed):
    async with live(Say("Half of", finish="length")) as (sdk, up):
        answer = await ask(sdk, streamed=streamed, max_output_tokens=16)
    assert (answer.status, answer.incomplete_details.reason) == (
        "incomplete", "max_output_tokens",
    )  # fmt: skip
    field = {"chat": "max_tokens", "responses": "max_output_tokens", "messages": "max_tokens"}
    sent = up.bodies[0]
    assert sent.get(field[up.dialect], sent.get("max_completion_tokens")) == 16


# -- tools ------------------------------------------------------------------------------------------------------------


def result_in(body, dialect):
    """The tool result of the last request, in the upstream's dialect: (call id, text)."""
    if dialect == "chat":
        last = body["messages"][-1]
        return last["tool_call_id"], last["content"]
    if dialect == "responses":
        last = body["input"][-1]
        return last["call_id"], last["output"]
    (block,) = [b for b in body["messages"][-1]["content"] if b["type"] == "tool_result"]
    held = block["content"]
    return block["tool_use_id"], held if isinstance(held, str) else held[0]["text"]


async def test_a_function_call_goes_round(live, streamed, dialect):
    # A Messages upstream that is not streamed gives its input as an object: bytes cannot survive there, values do.
    exact = streamed or dialect != "messages"
    call = Calls("call_1", "read_file", ARGUMENTS)
    async with live(Say(calls=(call,)), Say("It says 4.")) as (sdk, up):
        history = [{"role": "user", "content": "Read it."}]
        first = await ask(sdk, streamed=streamed, input=history, tools=[TOOL])
        (made,) = of_type(first, "function_call")
        history += [i.model_dump(exclude_none=True) for i in first.output]
        history.append({"type": "function_call_output", "call_id": made.call_id, "output": "4"})
        second = await ask(sdk, streamed=streamed, input=history, tools=[TOOL])
    assert (made.call_id, made.name) == ("call_1", "read_file")
    assert json.loads(made.arguments) == json.loads(ARGUMENTS)
    if exact:
        assert made.arguments == ARGUMENTS
    assert second.output_text == "It says 4."
    assert result_in(up.bodies[1], dialect) == ("call_1", "4")
    assert up.bodies[0]["model"] == up.bodies[1]["model"], "a tool turn stays with its model"


async def test_parallel_calls_keep_their_order_and_ids(live, streamed):
    calls = tuple(Calls(f"call_{i}", "read_file", f'{{"path":"{i}"}}') for i in range(3))
    async with live(Say("Reading.", calls=calls)) as (sdk, _):
        answer = await ask(sdk, streamed=streamed, tools=[TOOL])
    got = [(c.call_id, c.arguments) for c in of_type(answer, "function_call")]
    assert got == [(c.id, c.arguments) for c in calls]
    assert answer.output_text == "Reading."


async def test_a_custom_tools_text_comes_byte_for_byte_and_its_result_goes_back(
    live, streamed, dialect
):
    call = Calls("call_p", "apply_patch", PATCH, custom=True)
    async with live(Say(calls=(call,)), Say("Done.")) as (sdk, up):
        history = [{"role": "user", "content": "Patch it."}]
        first = await ask(sdk, streamed=streamed, input=history, tools=[PATCH_TOOL])
        (made,) = of_type(first, "custom_tool_call")
        history += [i.model_dump(exclude_none=True) for i in first.output]
        history.append({"type": "custom_tool_call_output", "call_id": "call_p", "output": "ok"})
        second = await ask(sdk, streamed=streamed, input=history, tools=[PATCH_TOOL])
    assert (made.call_id, made.name, made.input) == ("call_p", "apply_patch", PATCH)
    assert second.output_text == "Done."
    assert result_in(up.bodies[1], dialect) == ("call_p", "ok")


# -- what goes in -----------------------------------------------------------------------------------------------------


class City(BaseModel):
    """What the structured answer is read into."""

    name: str
    people: int


async def test_a_structured_answer_is_parsed_into_the_clients_own_type(live, dialect):
    async with live(Say('{"name":"Zürich","people":430000}')) as (sdk, up):
        answer = await sdk.responses.parse(model=AUTO, input="Which?", text_format=City)
    assert answer.output_parsed == City(name="Zürich", people=430_000)
    sent = up.bodies[0]
    schema = {
        "chat": lambda: sent["response_format"]["json_schema"]["schema"],
        "responses": lambda: sent["text"]["format"]["schema"],
        "messages": lambda: sent["output_config"]["format"]["schema"],
    }[dialect]()
    assert set(schema["properties"]) == {"name", "people"}


async def test_a_picture_reaches_the_model(live, dialect):
    asked = [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "What is it?"},
                {"type": "input_image", "image_url": PIXEL, "detail": "auto"},
            ],
        }
    ]
    async with live(Say("A dot.")) as (sdk, up):
        answer = await ask(sdk, streamed=False, input=asked)
    assert answer.output_text == "A dot."
    sent = up.bodies[0]
    got = {
        "chat": lambda: sent["messages"][-1]["content"][1]["image_url"]["url"],
        "responses": lambda: sent["input"][-1]["content"][1]["image_url"],
        "messages": lambda: (
            "data:image/png;base64," + sent["messages"][-1]["content"][1]["source"]["data"]
        ),
    }[dialect]()
    assert got == PIXEL


async def test_instructions_are_the_system_prompt(live, dialect):
    async with live(Say("Ok.")) as (sdk, up):
        await ask(sdk, streamed=False, instructions="Be terse.")
    sent = up.bodies[0]
    got = {
        "chat": lambda: sent["messages"][0],
        "responses": lambda: {"role": "system", "content": sent["instructions"]},
        "messages": lambda: {"role": "system", "content": sent["system"][0]["text"]
                             if isinstance(sent["system"], list) else sent["system"]},
    }[dialect]()  # fmt: skip
    assert got["role"] in ("system", "developer")
    assert got["content"] == "Be terse."


# -- reasoning --------------------------------------------------------------------------------------------------------


async def test_reasoning_comes_as_an_item_and_goes_back_to_its_maker(live, streamed, dialect):
    said = Say("4.", reasoning="Two and two.", seal="gAAAA-sealed" if dialect != "chat" else "")
    async with live(said, Say("Yes.")) as (sdk, up):
        history = [{"role": "user", "content": "2+2?"}]
        # By its name, since a short session may move and then leaves its reasoning behind.
        first = await ask(
            sdk, streamed=streamed, model="coder-a", input=history, include=["reasoning.encrypted_content"],
            store=False, reasoning={"effort": "low", "summary": "auto"},
        )  # fmt: skip
        (thought,) = of_type(first, "reasoning")
        history += [i.model_dump(exclude_none=True) for i in first.output]
        history.append({"role": "user", "content": "Sure?"})
        second = await ask(sdk, streamed=streamed, model="coder-a", input=history)
    assert "".join(p.text for p in thought.summary) == "Two and two."
    assert second.output_text == "Yes."
    sent = json.dumps(up.bodies[1])
    if dialect == "responses":
        assert thought.encrypted_content == "gAAAA-sealed"
        assert "gAAAA-sealed" in sent
    else:
        assert "openfusion:" not in sent, "our own mark means nothing there"


# -- errors -----------------------------------------------------------------------------------------------------------


def check_error(error, **fields):
    """An error's body has OpenAI's fields, which the package reads."""
    assert set(error.body) == {"message", "type", "param", "code"}
    for name, value in fields.items():
        assert getattr(error, name) == value


async def test_a_previous_response_is_refused_by_its_own_code(live):
    async with live(Say("x")) as (sdk, up):
        with pytest.raises(openai.BadRequestError) as caught:
            await ask(sdk, streamed=False, previous_response_id="resp_old")
    check_error(
        caught.value, code="previous_response_not_found", type="invalid_request_error",
        param="previous_response_id",
    )  # fmt: skip
    assert up.bodies == []


async def test_a_wrong_value_and_an_unknown_model_are_named(live, streamed):
    async with live(Say("x")) as (sdk, up):
        with pytest.raises(openai.BadRequestError) as caught:
            await sdk.responses.create(model=AUTO, input="Hi", temperature="hot", stream=streamed)
        check_error(caught.value, param="temperature", type="invalid_request_error")
        with pytest.raises(openai.NotFoundError) as caught:
            await sdk.responses.create(model="openfusion/aut", input="Hi", stream=streamed)
        check_error(caught.value, code="model_not_found")
    assert up.bodies == []


@pytest.mark.parametrize(
    ("status", "kind", "type_"),
    [
        (429, openai.RateLimitError, "rate_limit_error"),
        (500, openai.InternalServerError, "server_error"),
        (401, openai.InternalServerError, "server_error"),
        (422, openai.UnprocessableEntityError, "invalid_request_error"),
    ],
)
async def test_an_upstreams_failure_is_the_packages_error_of_that_kind(
    live, streamed, status, kind, type_
):
    said = Say(status=status, headers={"Retry-After": "120"}, error={"message": "no", "type": "x"})
    async with live(said) as (sdk, _):
        with pytest.raises(kind) as caught:
            await ask(sdk, streamed=streamed)
    check_error(caught.value, type=type_)
    if status == 429:
        assert caught.value.response.headers["retry-after"] == "120"


async def test_a_prompt_that_is_too_long_has_the_code_that_agents_compact_on(live, streamed):
    words = "prompt is too long: 250000 tokens > 200000 maximum"
    said = Say(status=400, error={"message": words, "type": "invalid_request_error"})
    async with live(said) as (sdk, _):
        with pytest.raises(openai.BadRequestError) as caught:
            await ask(sdk, streamed=streamed)
    check_error(caught.value, code="context_length_exceeded")


async def test_a_stream_that_is_cut_ends_as_failed_after_the_text_so_far(live):
    async with live(Say("Half of it", cut=True)) as (sdk, _):
        stream = await sdk.responses.create(model=AUTO, input="Hi", stream=True)
        events = [strict(event) async for event in stream]
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert "Half of it".startswith(text)
    assert text
    assert events[-1].type == "response.failed"
    assert events[-1].response.error.code == "server_error"
    assert not [e for e in events if e.type == "response.completed"]
