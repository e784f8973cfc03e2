from __future__ import annotations

import contextlib
import copy
import gc
import inspect
import itertools
import json
import subprocess
import sys
import weakref
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Answer, Prompt, Tool, ToolCall, Usage
from openfusion_auto.errors import BadRequest, Overloaded, UpstreamBroken, UpstreamError
from openfusion_auto.wire.codec import CODECS, Codec, custom_names, told_of, with_custom
from openfusion_auto.wire.jsons import dumps
from openfusion_auto.wire.portable import Seals, seals_of_answer
from openfusion_auto.wire.telling import telling
from tests.server.dialects import Says, request_for, stream, whole

DIALECTS = ("chat", "responses", "messages")
ANSWER = Answer(
    text="hi",
    tool_calls=(ToolCall("call_1", "f", '{"a":1}'),),
    finish="tool_calls",
    usage=Usage(9, 4, 5),
    model="vendor/m",
)
NAMES = [n for n in vars(Codec) if not n.startswith("_")]
REQUESTS = {
    "chat": {"messages": [{"role": "user", "content": "hello"}]},
    "responses": {"input": "hello"},
    "messages": {"max_tokens": 5, "messages": [{"role": "user", "content": "hello"}]},
}


def dumps_compact(value: object) -> str:
    return dumps(value).decode()


def test_there_is_a_codec_for_each_dialect():
    assert tuple(CODECS) == DIALECTS
    assert len(CODECS) == 3
    with pytest.raises(KeyError):
        CODECS["morse"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_codec_offers_every_name_with_the_parameters_of_the_protocol(dialect):
    codec = CODECS[dialect]
    for name in NAMES:
        offered = getattr(codec, name)
        if name in ("Reader", "Writer"):
            continue
        wanted = list(inspect.signature(getattr(Codec, name)).parameters.values())[1:]
        takes = inspect.signature(offered).parameters
        assert all(takes[p.name].kind is p.kind for p in wanted)
        required = {n for n, p in takes.items() if p.default is p.empty}
        assert required <= {p.name for p in wanted}


def request(dialect) -> Prompt:
    body = {"model": "openfusion/auto", **REQUESTS[dialect]}
    return CODECS[dialect].parse_request(json.dumps(body).encode(), {})


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("client", DIALECTS)
def test_a_request_of_any_client_reaches_any_upstream(client, dialect):
    prompt = request(client)
    codec = CODECS[dialect]
    assert prompt.dialect == client
    body, lost = codec.render_request(prompt, "vendor/m")
    again = codec.parse_request(body)
    assert (again.model, [m.text for m in again.messages], lost) == ("vendor/m", ["hello"], ())
    if client == dialect:
        spliced = codec.splice_request(prompt, "vendor/m")
        assert spliced == prompt.raw.replace(b"openfusion/auto", b"vendor/m")


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("maker", DIALECTS)
def test_an_answer_of_any_upstream_reaches_any_client_whole(maker, dialect):
    codec = CODECS[dialect]
    raw = CODECS[maker].render_answer(
        ANSWER, None, model="vendor/m", usage=None, answer_id="id_1", created=7
    )
    got = CODECS[maker].read_answer(raw)
    assert got.dialect == maker
    shown = codec.read_answer(
        codec.render_answer(
            got, {"t": 1}, model="vendor/m", usage=None, answer_id="id_2", created=7
        )
    )
    assert meaning(shown) == meaning(ANSWER)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("maker", DIALECTS)
def test_a_stream_of_any_upstream_reaches_any_client_whole(maker, dialect):
    deltas = CODECS[maker].deltas_of(replace(ANSWER, dialect=maker))
    assert {d.dialect for d in deltas} == {maker}
    assert deltas[-1].done
    out = CODECS[dialect].Writer(include_usage=True, guarded=True)
    seen = b"".join(out.write(d) for d in deltas) + out.finish({"t": 1}, None)
    assert out.started
    reader = CODECS[dialect].Reader()
    read = reader.feed(seen) + reader.close()
    assert read[-1].done
    assert meaning(reader.answer()) == meaning(ANSWER)
    assert seen.count(b'"openfusion"') == 1


WORDS = st.text(st.characters(exclude_categories=("Cs",)), max_size=6)
ANSWERS = st.builds(
    Answer,
    text=WORDS.filter(bool),
    reasoning=WORDS,
    tool_calls=st.lists(
        st.builds(
            ToolCall,
            st.just("id"),
            st.sampled_from(["f", "g"]),
            st.dictionaries(WORDS, WORDS | st.integers(), max_size=2).map(dumps_compact),
        ),
        max_size=3,
    ).map(lambda calls: tuple(replace(c, id=f"call_{i}") for i, c in enumerate(calls))),
    finish=st.sampled_from(["stop", "length"]),
    usage=st.builds(Usage, st.integers(5, 9), st.integers(5, 9), st.integers(0, 5)),
)


@given(ANSWERS, st.sampled_from(DIALECTS), st.sampled_from(DIALECTS), st.data())
def test_any_split_of_a_stream_gives_the_same_bytes_in_every_dialect(answer, maker, dialect, data):
    deltas = CODECS[maker].deltas_of(replace(answer, dialect=maker))
    raw = b"".join(d.raw for d in deltas)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(raw)), max_size=6)) | {0, len(raw)})
    reader = CODECS[maker].Reader()
    read = [d for a, b in pairwise(cuts) for d in reader.feed(raw[a:b])] + reader.close()
    assert read == list(deltas)
    got, want = (written(dialect, stream) for stream in (read, deltas))
    assert got == want
    client = CODECS[dialect].Reader()
    client.feed(got)
    assert client.answer().text == answer.text
    assert client.answer().tool_calls == answer.tool_calls
    assert client.answer().usage == answer.usage


def written(dialect: str, deltas) -> bytes:
    out = CODECS[dialect].Writer(include_usage=True, guarded=True)
    return b"".join(out.write(d) for d in deltas) + out.finish({"t": 1}, None)


def meaning(answer: Answer) -> tuple[object, ...]:
    return answer.text, answer.tool_calls, answer.finish, answer.usage, answer.model


@pytest.mark.parametrize("dialect", DIALECTS)
def test_junk_is_an_error_of_the_right_side(dialect):
    with pytest.raises(BadRequest):
        CODECS[dialect].parse_request(b"[]")
    with pytest.raises(UpstreamBroken):
        CODECS[dialect].read_answer(b"<html>")
    assert CODECS[dialect].error_body(Overloaded("Full."), "req")["error"]["message"] == "Full."


def test_a_router_that_speaks_chat_loads_no_other_dialect():
    code = (
        "import sys; from openfusion_auto.wire.codec import CODECS; CODECS['chat'].parse_request;"
        "print([m for m in sys.modules if 'wire.messages' in m or 'wire.responses' in m])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"


def test_custom_names_are_those_of_free_text_tools():
    tools = (Tool("f"), Tool("patch", "custom"), Tool("web_search", "server"))
    assert custom_names(Prompt("chat", "m", (), tools)) == frozenset({"patch"})


def test_calls_of_free_text_tools_are_custom_again():
    call = ToolCall("c", "patch", '{"input":"x"}')
    found = with_custom(Answer(tool_calls=(call,)), frozenset({"patch"}))
    assert found.tool_calls == (ToolCall("c", "patch", "x", "custom"),)
    assert with_custom(ANSWER, frozenset({"patch"})) is ANSWER


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_a_body_says_was_used_is_read_whether_it_holds_an_answer_or_not(dialect):
    codec = CODECS[dialect]
    body = codec.render_answer(
        codec.read_answer(codec.render_answer(ANSWER, None, model="m", usage=None, answer_id="i", created=1)),
        None, model="m", usage=None, answer_id="i", created=1,
    )  # fmt: skip
    empty = dumps({"usage": json.loads(body)["usage"]})
    with pytest.raises(UpstreamBroken):
        codec.read_answer(empty)
    assert told_of(codec, empty) == (Usage(9, 4, 5), None, 0)
    assert told_of(codec, body) == (Usage(9, 4, 5), None, len(body))
    nothing = (b"", b"[]", b"{}", b'{"usage": 3}', b'{"error": {"message": "no"}}', b"<html>" * 99)
    assert all(told_of(codec, said) == (None, None, 0) for said in nothing)
    assert told_of(codec, body[:-9]) == (None, None, len(body) - 9)  # a model's, cut
    assert told_of(codec, b'{"usage": {"cost": 0.5}}') == (None, 0.5, 0)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_reader_that_is_let_go_is_gone_without_the_collector(dialect):
    reader = CODECS[dialect].Reader()
    reader.feed(b'data: {"type": "error"}\n\n')
    kept = weakref.ref(reader)
    gc.disable()
    try:
        del reader
        assert kept() is None
    finally:
        gc.enable()


# --- what an upstream may say instead --------------------------------------------------------------------------------

SAYS = Says(
    "Hello", "hm", "c2VhbA==", calls=(("function", "edit", '{"path": "a"}', "call_1"),), cost=0.1
)
INSTEAD = ({"a": []}, [{}], "x")


def places(value, path=()):
    """Every place in a JSON value but its root."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, held in inner:
        yield (*path, key)
        if isinstance(held, dict | list):
            yield from places(held, (*path, key))


def changed(value, path, new):
    whole = copy.deepcopy(value)
    held = whole
    for key in path[:-1]:
        held = held[key]
    held[path[-1]] = new
    return whole


def odd_streams(dialect):
    """A stream with one value of one event after the other replaced by what cannot be there."""
    frames = stream(dialect, SAYS, "m").split(b"\n\n")
    for at, frame in enumerate(frames):
        head, data, said = frame.partition(b"data: ")
        if not said.startswith(b"{"):
            continue
        event = json.loads(said)
        for path, new in itertools.product(places(event), INSTEAD):
            odd = json.dumps(changed(event, path, new)).encode()
            yield b"\n\n".join([*frames[:at], head + data + odd, *frames[at + 1 :]])


@pytest.mark.parametrize("upstream", DIALECTS)
def test_whatever_stands_in_a_stream_is_read_or_refused(upstream):
    prompts = [CODECS[d].parse_request(json.dumps(request_for(d)).encode()) for d in DIALECTS]
    for raw in odd_streams(upstream):
        reader = CODECS[upstream].Reader()
        deltas = [*reader.feed(raw), *reader.close()]
        assert deltas[-1].done or deltas[-1].error
        list(Seals().take(deltas))
        for prompt in prompts:
            writer = telling(prompt, answer_id="", created=0).writer(guarded=True)
            with contextlib.suppress(UpstreamBroken):
                for delta in deltas:
                    writer.write(delta)
                writer.finish(None, None)


@pytest.mark.parametrize("upstream", DIALECTS)
def test_whatever_stands_in_a_body_is_read_or_refused(upstream):
    prompts = [CODECS[d].parse_request(json.dumps(request_for(d)).encode()) for d in DIALECTS]
    body = json.loads(whole(upstream, SAYS, "m"))
    for path, new in itertools.product(places(body), INSTEAD):
        raw = json.dumps(changed(body, path, new)).encode()
        try:
            answer = CODECS[upstream].read_answer(raw)
        except UpstreamError:
            continue
        list(seals_of_answer(answer))
        for prompt in prompts:
            telling(prompt, answer_id="", created=0).body(
                answer, None, model="m", usage=None, answer_id="", created=0
            )
