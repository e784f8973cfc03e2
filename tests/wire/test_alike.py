"""Events that differ in their text alone are read without parsing, and say what parsing says."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.wire import chat_reader
from openfusion_auto.wire.alike import TRIES, Alike
from openfusion_auto.wire.chat_reader import ChatReader


def chunk(text, *, ascii_only=True, **more):
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    whole = {"id": "c1", "model": "m", "choices": [choice], **more}
    return json.dumps(whole, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")


def learned(text="one", **more):
    alike, data = Alike(), chunk(text, **more)
    alike.learn(data, text, lambda said: json.loads(chunk(said, **more)))
    return alike


def test_an_event_like_the_one_learned_from_is_its_text():
    alike = learned()
    assert alike.text_of(chunk(" two words")) == " two words"
    assert alike.text_of(chunk("naïve 你好 🧑", ascii_only=False)) == "naïve 你好 🧑"


@pytest.mark.parametrize(
    "other",
    [
        chunk("two", id="c2"),
        chunk("two", usage={"prompt_tokens": 1}),
        chunk(""),
        chunk("a\nb"),
        chunk('say "hi"'),
        chunk("naïve"),  # written with an escape
        chunk("x")[:-1],
        chunk("x") + b" ",
        chunk("").replace(b'""', b'"raw\ttab"'),
        chunk("").replace(b'""', b'"\xff\xfe"'),
        chunk("").replace(b'""', b'"a","content":"b"'),
        b"",
    ],
)
def test_any_other_is_left_to_the_parser(other):
    assert learned().text_of(other) is None


def test_nothing_is_known_before_something_is_learned():
    assert Alike().text_of(chunk("x")) is None


@pytest.mark.parametrize(
    "data",
    [
        chunk("a").replace(b'"a"', b'"\\u0061"'),  # its text is not in it as it is
        chunk("m"),  # stands in it twice, the name of the model first
        chunk("c1", id="c1"),
        chunk("a").replace(b'"a"', b'"\\u0061"').replace(b'"c1"', b'"a"'),
    ],
)
def test_a_text_whose_place_is_not_sure_is_not_learned_from(data):
    alike, held = Alike(), json.loads(data)
    text = held["choices"][0]["delta"]["content"]

    def with_text(said):
        choice = {**held["choices"][0], "delta": {"content": said}}
        return {**held, "choices": [choice]}

    alike.learn(data, text, with_text)
    assert alike.text_of(data) is None
    assert alike.text_of(data.replace(b'"m"', b'"evil"')) is None


def test_a_stream_whose_events_all_differ_is_given_up():
    asked = []
    alike = Alike()
    for n in range(10):
        alike.learn(chunk(f"w{n}", id=n), f"w{n}", lambda said, n=n: asked.append(n))
    assert asked == list(range(TRIES))


TEXTS = st.text(max_size=12) | st.sampled_from(['"', "\\", "\n", "m", "c1", "stop", "é", "content"])
DELTAS = st.fixed_dictionaries(
    {"content": TEXTS},
    optional={
        "role": st.just("assistant"),
        "refusal": st.none() | st.just("no"),
        "reasoning": st.just("hm"),
        "reasoning_details": st.just([{"type": "reasoning.encrypted", "data": "sealed"}]),
    },
)


@given(
    said=st.lists(DELTAS, min_size=2, max_size=12),
    escaped=st.booleans(),
    finish=st.sampled_from(["stop", "length"]),
    ids=st.sampled_from([("c1",), ("c1", "c2")]),
)
def test_reading_with_and_without_it_says_the_same(said, escaped, finish, ids):
    events = [
        json.dumps(
            {"id": ids[n % len(ids)], "choices": [{"index": 0, "delta": d, "finish_reason": None}]},
            ensure_ascii=escaped,
        )
        for n, d in enumerate(said)
    ]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}], "usage": None}
    raw = [f"data: {e}\n\n".encode() for e in (*events, json.dumps(end), "[DONE]")]

    class Never(Alike):
        def text_of(self, _data):
            return None

    def read():
        reader = ChatReader()
        deltas = [d for r in raw for d in reader.feed(r)] + reader.close()
        told = [(d.raw, d.text, d.reasoning, d.calls, d.finish, d.done, d.error) for d in deltas]
        answer = reader.answer()
        return told, answer.text, answer.finish, answer.reasoning

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chat_reader, "Alike", Never)
        slow = read()
    assert read() == slow


def test_most_of_a_usual_stream_is_read_without_parsing(monkeypatch):
    parsed = []
    monkeypatch.setattr(chat_reader, "loads", lambda raw: parsed.append(raw) or json.loads(raw))
    reader = ChatReader()
    for n in range(100):
        reader.feed(b"data: " + chunk(f"word {n} ") + b"\n\n")
    assert len(parsed) < 5
    assert reader.answer().text == "".join(f"word {n} " for n in range(100))
