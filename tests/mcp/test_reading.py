"""From the router's JSON to what is told: hostile text stays data, and what does not fit is left out."""

import json

from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.mcp import reading
from openfusion_auto.mcp.shapes import Decision

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
KEYS = st.sampled_from(
    ["choices", "message", "content", "usage", "usd", "attempts", "candidate", "model", "status", "decision",
     "ranking", "panel", "members", "votes", "analysis", "plan", "steps", "candidates", "task", "evidence", "at", "x"]
)  # fmt: skip
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6)
)


@given(st.dictionaries(KEYS, ANYTHING, max_size=8))
def test_any_json_at_all_is_read_without_an_error(trace):
    told = [
        reading.money_of(trace),
        *reading.attempts_of(trace),
        *reading.members_of(trace),
        reading.decision_of(reading.row(trace.get("decision")), Decision),
    ]
    json.dumps([m.model_dump(mode="json") for m in told], allow_nan=False).encode()
    json.dumps(reading.analysis_of(trace), allow_nan=False)
    assert isinstance(reading.answer_of(trace)[0], str)
    assert isinstance(reading.stage_of(trace), str)
    reading.moment_of(trace)


@given(st.text(st.characters(codec=None), max_size=60))
def test_cleaned_text_holds_nothing_that_drives_a_terminal_or_breaks_json(text):
    clean = reading.clean(text)
    assert not any(c < " " and c not in "\n\t" for c in clean)
    assert not any("\x7f" <= c <= "\x9f" for c in clean)
    clean.encode()
    assert reading.clean(clean) == clean


def test_an_escape_sequence_and_half_a_pair_are_taken_out():
    assert reading.clean("rm \u202etxt\u2066") == "rm txt"  # would read as another command
    assert reading.clean("a\x1b[2Jb\x00\ud800c\u2028d é") == "a[2Jbc\u2028d é"


def test_an_answer_that_is_too_long_or_was_cut_says_so():
    def body(text, finish):
        return {"choices": [{"message": {"content": text}, "finish_reason": finish}]}

    assert reading.answer_of(body("yes", "stop")) == ("yes", False)
    assert reading.answer_of(body("ye", "length")) == ("ye", True)
    text, cut = reading.answer_of(body("x" * 1_000_000, "stop"))
    assert (len(text), cut) == (reading.ANSWER_CHARS, True)


def test_a_price_that_is_not_known_stays_unknown():
    trace = {
        "usd": None,
        "usage": [{"phase": "member", "model": "m", "output_tokens": 3, "usd": None}],
    }
    money = reading.money_of(trace)
    assert money.usd is None
    assert money.calls[0].usd is None
    assert money.calls[0].input_tokens is None


def test_the_stage_names_who_is_waited_for():
    calls = [
        {"phase": "member", "candidate": "a", "status": "ok"},
        {"phase": "member", "candidate": "b", "status": "running"},
    ]
    assert reading.stage_of({"attempts": calls}) == "1 of 2 calls done, waiting for member b"
    assert reading.stage_of({"attempts": calls[:1]}) == "1 of 1 calls done"
    assert reading.stage_of({}) == "deciding whom to ask"


def test_the_words_of_an_upstreams_error_are_not_read():
    (call,) = reading.attempts_of(
        {"attempts": [{"status": "error", "detail": "its body", "error": "x"}]}
    )
    assert "its body" not in call.model_dump_json()


def test_the_pick_is_who_is_asked_first_with_its_model():
    decision = {
        "plan": {"steps": [{"phase": "primary", "candidates": ["b", "a"]}]},
        "ranking": [{"candidate": c, "model": f"v/{c}"} for c in "ab" * 20],
    }
    told = reading.decision_of(decision, Decision)
    assert told.pick is not None
    assert (told.pick.candidate, told.pick.model) == ("b", "v/b")
    assert len(told.ranking) == reading.MOST_RANKED
    assert told.ranked == 40
