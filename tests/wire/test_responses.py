from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import (
    Answer,
    Message,
    Part,
    Prompt,
    Settings,
    Tool,
    ToolCall,
    Usage,
)
from openfusion_auto.errors import BadRequest
from openfusion_auto.wire import responses
from openfusion_auto.wire.codec import CODECS
from openfusion_auto.wire.responses import (
    Reader,
    Writer,
    check_foreign,
    deltas_of,
    parse_request,
    read_answer,
)
from openfusion_auto.wire.responses_answer import ERROR_CODES
from openfusion_auto.wire.responses_items import ITEMS, PARTS
from openfusion_auto.wire.responses_request import SEALED as RESPONSES_SEALED
from openfusion_auto.wire.responses_tools import read_tools

from .chats import outcome
from .responses_samples import (
    accept_events,
    custom,
    deltas,
    function,
    message,
    parsed,
    reasoning,
    response,
    types,
)
from .test_responses_answer import ANSWERS
from .test_responses_reader import WHOLE

HUB = ("text", "reasoning", "opaque", "tool_calls", "finish", "usage", "model")


def stream(answer: Answer) -> bytes:
    return b"".join(d.raw for d in deltas_of(answer))


def hub(answer: Answer) -> list[object]:
    return [getattr(answer, name) for name in HUB]


def test_the_interface_is_whole():
    assert all(hasattr(responses, name) for name in responses.__all__)
    assert (Reader, Writer) == (responses.ResponsesReader, responses.ResponsesWriter)


def test_a_streamed_answer_gives_its_own_deltas():
    reader = Reader()
    came = tuple(reader.feed(WHOLE))
    assert deltas_of(reader.answer()) == came


@pytest.mark.parametrize(
    "output",
    [
        (message("hi"),), (reasoning(), message("hi"), function("f", '{"a":1}'), custom()),
        ({"type": "web_search_call", "id": "ws", "status": "completed"}, message("x")),
    ],
)  # fmt: skip
def test_a_body_becomes_a_stream_that_says_the_same(output):
    answer = read_answer(json.dumps(response(*output, openfusion={"old": 1})).encode())
    found = deltas_of(answer)
    assert found[-1].done
    reader = Reader()
    reader.feed(b"".join(d.raw for d in found))
    assert hub(reader.answer()) == hub(answer)
    events = parsed(b"".join(d.raw for d in found))
    assert events[-1]["response"]["output"] == list(output)
    assert "openfusion" not in events[0]["response"]
    assert types(events)[:2] == ["created", "in_progress"]


def test_a_cut_body_is_a_cut_stream():
    cut = response(
        message("x"), status="incomplete", incomplete_details={"reason": "max_output_tokens"}
    )
    events = parsed(stream(read_answer(json.dumps(cut).encode())))
    assert events[-1]["type"] == "response.incomplete"
    assert events[0]["response"]["incomplete_details"] is None


def test_a_recipes_answer_is_built():
    calls = (ToolCall("c", "git__log", "{}"), ToolCall("d", "apply_patch", '{"input":"*"}'))
    answer = Answer(tool_calls=calls, finish="tool_calls", usage=Usage(1, 2), model="m")
    events = parsed(stream(answer))
    accept_events(events)
    final = events[-1]["response"]
    assert [i["name"] for i in final["output"]] == ["git__log", "apply_patch"]
    assert (final["model"], final["usage"]["total_tokens"]) == ("m", 3)


@given(ANSWERS, st.booleans())
def test_any_answer_streamed_and_relayed_is_valid_and_means_the_same(answer, guarded):
    found = deltas_of(answer)
    if found[-1].error is not None:
        assert not answer.text
        assert not answer.tool_calls
        return
    out = Writer(guarded=guarded)
    if guarded and any(c.arguments == "free" and c.kind == "function" for c in answer.tool_calls):
        return
    written = b"".join(out.write(d) for d in found) + out.finish({"trace_id": "t"}, None)
    events = parsed(written)
    accept_events(events)
    assert events[-1]["response"]["openfusion"] == {"trace_id": "t"}
    back = deltas(written)
    assert "".join(d.text for d in back) == answer.text
    assert "".join(d.reasoning for d in back) == answer.reasoning


# --- the reference page --------------------------------------------------------------------------------------

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "responses.md").read_text("utf-8")


def rows(heading: str) -> list[list[str]]:
    """The rows of the first table behind a heading, without its head."""
    text = PAGE.partition(f"\n{heading}\n")[2]
    lines = text[text.index("\n|") :].strip().split("\n\n")[0].split("\n")[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_page_lists_every_item_with_its_fate():
    listed = {row[0].strip("`"): row[1] for row in rows("### Input items")}
    assert listed.pop("any other type") == "bound"
    assert listed == dict(ITEMS)


@pytest.mark.parametrize("row", rows("### Input items"), ids=lambda row: row[0])
def test_what_the_page_says_of_an_item_happens(row):
    kind = row[0].strip("`") if "`" in row[0] else "brand_new"
    item = {"type": kind, "call_id": "c", "name": "f", "arguments": "{}", "input": "x", "id": "i"}
    item |= {"content": [], "output": "o", "tools": [], "role": "user"}
    asked = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    body = {"model": "m", "input": [asked, item]}
    prompt = parse_request(json.dumps(body).encode())
    refused = "refused" in row[2]
    assert (kind in str(outcome(check_foreign, prompt, of=BadRequest))) is refused
    if refused:
        assert outcome(check_foreign, prompt, of=BadRequest).code in row[2]
        return
    sent = CODECS["chat"].render_request(prompt, "m")
    assert bool(sent.lost) is (row[2] == "dropped, told as lost")
    if "of the function" in row[2] and "stands" not in row[2]:
        assert f'"name":"{kind.removesuffix("_call")}"'.encode() in sent.body


def test_the_page_names_every_part_tool_and_code():
    for name in (*PARTS, *RESPONSES_SEALED):
        assert f"`{name}`" in PAGE
    for kind in ("web_search", "tool_search", "image_generation", "local_shell"):
        assert [t.kind for t in read_tools([{"type": kind}])] == ["server"]
        assert f"`{kind}`" in PAGE
    for code in (
        "server_error",
        "rate_limit_exceeded",
        "invalid_prompt",
        "context_length_exceeded",
    ):
        assert code in ERROR_CODES
        assert f"`{code}`" in PAGE
    assert len(ERROR_CODES) == 4


@pytest.mark.parametrize("row", rows("### Fields"), ids=lambda row: row[1])
def test_what_the_page_says_is_refused_is(row):
    examples = {
        "previous_response_not_found": {"previous_response_id": "r"},
        "conversation_not_found": {"conversation": "c"},
        "unsupported_parameter": {"background": True},
        "missing_required_parameter": {"model": None},
        "empty_array": {"input": []},
        "invalid_type": {"stream": 1},
        "invalid_value": {"temperature": 9},
        "forbidden_field": {"api_base": "x"},
    }
    code = row[1].strip("`")
    body = {"model": "m", "input": "x", **examples.get(code, {})}
    sent = b"[]" if code == "invalid_json" else json.dumps(body).encode()
    assert outcome(parse_request, sent, of=BadRequest).code == code


def test_every_wording_of_a_loss_stands_on_the_page():
    parts = (
        Part("reasoning", "hm", opaque="s"),
        Part("other", raw={"type": "odd"}),
        Part("text", "x"),
    )
    results = (Part("text", "x"), Part("other", raw={"type": "odd"}))
    prompt = Prompt(
        "chat",
        "m",
        (
            Message("user", (Part("text", "x"),)),
            Message("assistant", parts, (ToolCall("c", "f", "{}"),)),
            Message("tool", results, tool_call_id="c", failed=True),
        ),
        tools=(Tool("web_search", "server"),),
        settings=Settings(stop=("x",), seed=1, thinking_tokens=5, tool_choice="tool:web_search"),
        body={"top_k": 3, "messages": [{"role": "user", "name": "bob"}]},
    )
    lost = responses.render_request(prompt, "m").lost
    harder = replace(prompt, settings=Settings(effort="max"))
    lost += responses.render_request(harder, "m").lost
    lost = tuple(dict.fromkeys(lost))
    told = [row[2].strip("`") for row in rows("## A request of another dialect, to a Responses upstream") if row[2]]  # fmt: skip
    for wording in told:
        start, _, end = re.sub(r"\b(TYPE|NAME|N|E)\b", "*", wording).partition("*")
        end = end.rpartition("*")[2].removesuffix("s")
        found = [entry for entry in lost if entry.startswith(start) and end in entry]
        assert found, wording
    assert len(lost) == len(told)
