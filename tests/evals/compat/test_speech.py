"""What a gateway sends is hostile: whatever it is, the readers say what is wrong and nothing else happens."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.evals.compat import render
from openfusion_auto.evals.compat.outcome import Finding, Wrong
from openfusion_auto.evals.compat.probes import SPEECHES
from openfusion_auto.evals.compat.script import ARGUMENTS, Said
from openfusion_auto.evals.compat.speech import ToolCall, tokens
from openfusion_auto.wire.sse import SseReader

JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
CALLED = Said(calls=[ToolCall(f"c{i}", "get_weather", ARGUMENTS) for i in range(2)])


def frames(events):
    reader = SseReader()
    return [f for f in (*reader.feed(b"".join(events)), *reader.close()) if f.data is not None]


def places(value, path=()):
    """Every place in a JSON value."""
    yield path
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in items:
        yield from places(inner, (*path, key))


def put(value, path, new):
    """Return a JSON value with another one at a place."""
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = put(value[path[0]], path[1:], new)
    return copy


def quietly(read, *args):
    """Call a reader; only a `Finding` may end it, and it quotes nothing."""
    said = ""
    try:
        read(*args)
    except Finding as found:
        said = str(found)
    assert len(said) < 200


@pytest.mark.parametrize("speech", SPEECHES, ids=lambda s: s.name)
@pytest.mark.parametrize("said", [Said("pong"), CALLED], ids=["text", "calls"])
@given(data=st.data(), new=JSONS)
def test_any_value_at_any_place_of_an_answer_is_read_or_refused(speech, said, data, new):
    body = json.loads(render.whole(speech.name, said, "m"))
    path = data.draw(st.sampled_from(list(places(body))[1:]))
    quietly(speech.whole, put(body, path, new))


@pytest.mark.parametrize("speech", SPEECHES, ids=lambda s: s.name)
@pytest.mark.parametrize("said", [Said("pong"), CALLED], ids=["text", "calls"])
@given(data=st.data(), new=JSONS)
def test_any_value_at_any_place_of_a_stream_is_read_or_refused(speech, said, data, new):
    events = render.events(speech.name, said, "m")
    at = data.draw(st.integers(0, len(events) - 1))
    head, mark, rest = events[at].partition(b"data: ")
    if rest.startswith(b"{"):
        body = json.loads(rest)
        path = data.draw(st.sampled_from(list(places(body))))
        events[at] = head + mark + json.dumps(put(body, path, new)).encode() + b"\n\n"
    else:
        del events[at]
    quietly(speech.stream, frames(events))


@pytest.mark.parametrize("speech", SPEECHES, ids=lambda s: s.name)
@given(body=st.dictionaries(st.sampled_from(["type", "error", "message"]), JSONS))
def test_any_error_is_read_or_refused(speech, body):
    quietly(speech.error, body)


@pytest.mark.parametrize("speech", SPEECHES, ids=lambda s: s.name)
def test_a_call_is_heard_as_it_was_said_and_stands_in_the_next_request(speech):
    heard = speech.stream(frames(render.events(speech.name, CALLED, "m")))
    assert [c.arguments for c in heard.calls] == [ARGUMENTS, ARGUMENTS]
    assert heard.finish == "tools"
    follow = json.dumps(speech.follow({"messages": [], "input": []}, heard, ["17", "18"]))
    assert [follow.count(w) for w in ('"c0"', '"c1"', '"17"', '"18"')] == [2, 2, 1, 1]


@pytest.mark.parametrize(
    "usage", [{"a": 1}, {"a": True, "b": 1}, {"a": -1, "b": 1}, {"a": "1", "b": 1}]
)
def test_tokens_are_whole_numbers_of_zero_or_more(usage):
    assert tokens(None, ("a", "b")) is None
    assert tokens({"a": 0, "b": 3}, ("a", "b")) == (0, 3)
    with pytest.raises(Wrong, match="usage has no"):
        tokens(usage, ("a", "b"))
