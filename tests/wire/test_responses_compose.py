from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import CallDelta, Delta, ToolCall
from openfusion_auto.errors import UpstreamBroken
from openfusion_auto.wire import responses_compose
from openfusion_auto.wire.responses_compose import PIECE, Composer, item_events
from openfusion_auto.wire.responses_tools import ClientTools

from .responses_samples import accept_events, custom, function, message, reasoning, types

PATCH = ClientTools(frozenset({"apply_patch"}), {"git__log": ("git", "log")})


def composer(guarded: bool = True) -> Composer:
    return Composer(answer_id="resp_x", tools=PATCH, guarded=guarded)


def piece(index: int, args: str = "", call_id=None, name=None, kind="function", choice=0) -> Delta:
    return Delta(b"", calls=(CallDelta(choice, index, call_id, name, args, kind),))


def numbered(events):
    return [{**e, "sequence_number": n} for n, e in enumerate(events)]


def test_text_opens_a_message_grows_and_closes_it():
    out = composer()
    events = out.add(Delta(b"", text="h")) + out.add(Delta(b"", text="i")) + out.end(cut=False)
    assert types(events) == [
        "output_item.added", "content_part.added", "output_text.delta", "output_text.delta", "output_text.done",
        "content_part.done", "output_item.done",
    ]  # fmt: skip
    assert events[-1]["item"] == out.output[0] == {**message("hi"), "id": "msg_x_0"}
    assert events[0]["item"] == {
        **message(), "id": "msg_x_0", "content": [], "status": "in_progress",
    }  # fmt: skip
    accept_events(numbered(events))


def test_reasoning_opens_one_summary_part():
    out = composer()
    events = out.add(Delta(b"", reasoning="h")) + out.add(Delta(b"", reasoning="m"))
    events += out.add(Delta(b"", opaque="blob")) + out.add(Delta(b"", text="x"))
    assert types(events)[:8] == [
        "output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta", "reasoning_summary_text.delta",
        "reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done", "output_item.added",
    ]  # fmt: skip
    assert out.output[0] == reasoning("hm", "openfusion:blob", "rs_x_0")
    accept_events(numbered(events))


def test_sealed_reasoning_has_an_item_without_words():
    out = composer()
    events = out.add(Delta(b"", opaque="blob")) + out.end(cut=False)
    assert types(events) == ["output_item.added", "output_item.done"]
    assert out.output == [reasoning("", "openfusion:blob", "rs_x_0")]


def test_a_guarded_call_is_shown_when_it_is_whole_and_not_before():
    out = composer()
    assert out.add(piece(0, '{"a"', "c1", "f")) == []
    assert out.add(piece(0, ":1}")) == []
    events = out.end(cut=False)
    assert types(events) == [
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done",
    ]  # fmt: skip
    assert out.output == [{**function("f", '{"a":1}', "c1"), "id": "fc_x_0"}]
    accept_events(numbered(events))


def test_a_whole_call_is_shown_when_the_next_begins():
    out = composer()
    out.add(piece(0, "{}", "c1", "f"))
    shown = out.add(piece(1, '{"a"', "c2", "f"))
    assert types(shown)[-1] == "output_item.done"
    assert [item["call_id"] for item in out.output] == ["c1"]
    out.add(piece(1, ":1}"))
    out.end(cut=False)
    assert [item["call_id"] for item in out.output] == ["c1", "c2"]


def test_a_call_that_is_not_whole_waits_for_its_rest():
    out = composer()
    out.add(piece(0, '{"a"', "c1", "f"))
    assert out.add(piece(1, "{}", "c2", "g")) == []
    out.add(piece(0, ":1}"))
    out.end(cut=False)
    assert [item["arguments"] for item in out.output] == ['{"a":1}', "{}"]


def test_a_call_that_goes_on_after_it_was_shown_is_broken():
    out = composer()
    out.add(piece(0, "{}", "c1", "f"))
    out.add(piece(1, "{}", "c2", "f"))
    assert out.add(piece(0, "\n")) == []
    with pytest.raises(UpstreamBroken):
        out.add(piece(0, '{"b":2}'))


def test_an_unguarded_call_grows_as_it_comes():
    out = composer(guarded=False)
    first = out.add(piece(0, "", "c1", "f"))
    assert types(first) == ["output_item.added"]
    second = out.add(piece(0, '{"a"'))
    assert types(second) == ["function_call_arguments.delta"]
    other = out.add(piece(1, "{}", "c2", "g"))
    assert types(other) == ["output_item.added", "function_call_arguments.delta"]
    out.add(piece(0, ":1}"))
    end = out.end(cut=False)
    assert [e["arguments"] for e in end if "arguments" in e] == ['{"a":1}', "{}"]
    accept_events(numbered([*first, *second, *other, *end]))


def test_an_unguarded_call_waits_for_its_name():
    out = composer(guarded=False)
    assert out.add(piece(0, '{"a"', "c1")) == []
    assert types(out.add(piece(0, ":1}", None, "f"))) == [
        "output_item.added",
        "function_call_arguments.delta",
    ]
    out.end(cut=False)
    assert out.output[0]["arguments"] == '{"a":1}'


@pytest.mark.parametrize("guarded", [True, False])
def test_a_function_in_disguise_comes_back_as_free_text(guarded):
    out = composer(guarded)
    assert out.add(piece(0, '{"input":"*** ', "c1", "apply_patch")) == []
    assert out.add(piece(0, '\\u00e9\\n"}')) == []
    events = out.end(cut=False)
    assert types(events) == [
        "output_item.added", "custom_tool_call_input.delta", "custom_tool_call_input.done", "output_item.done",
    ]  # fmt: skip
    assert out.output == [{**custom(text="*** é\n", call_id="c1"), "id": "ctc_x_0"}]
    accept_events(numbered(events))


def test_a_custom_call_stays_one():
    out = composer()
    out.add(piece(0, "*** a", "c1", "other", "custom"))
    out.add(piece(1, "", "c2", "f"))
    out.end(cut=False)
    assert out.output[0]["input"] == "*** a"


def test_a_call_goes_back_under_its_own_name():
    out = composer()
    out.call(ToolCall("c", "git__log", "{}"))
    out.end(cut=False)
    assert (out.output[0]["name"], out.output[0]["namespace"]) == ("log", "git")


def test_ids_that_were_not_given_are_stable_and_differ_between_answers():
    one, two = composer(), Composer(answer_id="resp_y", tools=PATCH)
    for out in (one, two):
        out.add(piece(0, "{}", None, "f"))
        out.end(cut=False)
    assert (one.output[0]["call_id"], two.output[0]["call_id"]) == ("call_0_f_x", "call_0_f_y")


@pytest.mark.parametrize("guarded", [True, False])
def test_no_arguments_are_an_empty_object(guarded):
    out = composer(guarded)
    events = out.add(piece(0, "", "c", "f")) + out.end(cut=False)
    assert out.output[0]["arguments"] == "{}"
    assert "".join(e["delta"] for e in events if "delta" in e) == "{}"


def test_further_choices_are_not_this_dialects():
    out = composer()
    out.add(piece(0, "{}", "c", "f", choice=1))
    assert out.end(cut=False) == []


@pytest.mark.parametrize(
    "delta",
    [piece(0, '{"a"', "c", "f"), piece(0, '{"input":"x', "c", "apply_patch"), piece(0, "{}", "c")],
)
def test_a_cut_call_breaks_a_finished_answer_and_is_left_out_of_a_cut_one(delta):
    out = composer()
    out.add(delta)
    with pytest.raises(UpstreamBroken):
        out.end(cut=False)
    cut = composer()
    cut.add(Delta(b"", text="so far"))
    cut.add(delta)
    cut.end(cut=True)
    assert [(item["type"], item["status"]) for item in cut.output] == [("message", "incomplete")]


def test_an_unguarded_cut_call_is_marked():
    out = composer(guarded=False)
    out.add(piece(0, '{"a"', "c", "f"))
    out.end(cut=True)
    assert (out.output[0]["arguments"], out.output[0]["status"]) == ('{"a"', "incomplete")
    disguised = composer(guarded=False)
    disguised.add(piece(0, '{"input":"x', "c", "apply_patch"))
    disguised.end(cut=False)
    assert disguised.output[0]["input"] == '{"input":"x'


def test_long_texts_come_in_pieces():
    long = "x" * (PIECE + 1)
    out = composer()
    events = out.add(Delta(b"", text=long, reasoning=long))
    out.call(ToolCall("c", "f", f'"{long}"'))
    events += out.end(cut=False)
    assert all(len(e["delta"]) <= PIECE for e in events if "delta" in e)
    assert out.output[1]["content"][0]["text"] == long
    assert out.output[2]["arguments"] == f'"{long}"'


DELTAS = st.lists(
    st.builds(Delta, st.just(b""), text=st.text(max_size=3))
    | st.builds(Delta, st.just(b""), reasoning=st.text(max_size=3), opaque=st.text(max_size=2))
    | st.builds(
        piece, st.integers(0, 2), st.sampled_from(["{}", '{"input":"p"}', ""]), st.just("c"), st.sampled_from(["f", "apply_patch"]),
    ),
    max_size=8,
)  # fmt: skip


@given(DELTAS, st.booleans(), st.booleans())
def test_any_deltas_make_events_that_the_sdk_accepts_and_items_in_order(found, guarded, cut):
    out = composer(guarded)
    try:
        events = [e for d in found for e in out.add(d)] + out.end(cut=cut)
    except UpstreamBroken:
        return
    accept_events(numbered(events))
    begun = [e["output_index"] for e in events if e["type"] == "response.output_item.added"]
    assert begun == list(range(len(out.output)))
    ended = {e["output_index"]: e["item"] for e in events if e["type"].endswith("item.done")}
    assert [ended[i] for i in begun] == out.output
    said = "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta")
    assert said == "".join(d.text for d in found)


# --- whole items ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "item",
    [
        message("hi"),
        reasoning("hm"),
        reasoning(""),
        function("f", '{"a":1}'),
        function("f", ""),
        custom(),
    ],
)
def test_a_whole_item_is_shown_in_full(item):
    events = list(item_events(item, 3))
    accept_events(numbered(events))
    assert (events[0]["type"], events[-1]["type"]) == (
        "response.output_item.added", "response.output_item.done",
    )  # fmt: skip
    assert events[-1]["item"] == item
    assert {e["output_index"] for e in events} == {3}


def test_parts_that_are_no_text_are_shown_too():
    refusal = {"type": "refusal", "refusal": "no"}
    odd = {"type": "hologram", "x": 1}
    events = list(item_events({**message(), "content": [refusal, odd, 7]}, 0))
    assert types(events) == [
        "output_item.added", "content_part.added", "refusal.delta", "refusal.done", "content_part.done",
        "content_part.added", "content_part.done", "output_item.done",
    ]  # fmt: skip
    assert [e["content_index"] for e in events if "content_index" in e] == [0, 0, 0, 0, 1, 1]


def test_an_item_that_is_not_known_is_added_and_done():
    item = {"type": "web_search_call", "id": "ws", "content": None}
    assert types(item_events(item, 0)) == ["output_item.added", "output_item.done"]
    assert types(item_events({**message(), "content": None}, 0)) == [
        "output_item.added",
        "output_item.done",
    ]


@pytest.mark.parametrize("first", [' {"path": "a"}\n', '{"path": "a"} ', '{"path": "a'])
def test_calls_keep_their_order_when_an_earlier_one_is_not_whole_yet(first):
    out = composer()
    for at, said in enumerate((first, '{"path": "b"}', '{"path": "c"}')):
        out.add(piece(at, said, f"c{at}", "edit"))
    if not first.rstrip().endswith("}"):
        out.add(piece(0, '"}'))
    out.end(cut=False)
    assert [item["call_id"] for item in out.output] == ["c0", "c1", "c2"]


def test_calls_that_wait_behind_a_half_one_are_not_read_again_and_again(monkeypatch):
    looks = []
    monkeypatch.setattr(
        responses_compose, "is_json", lambda said: looks.append(said) or said != "{}}"
    )
    out = composer()
    for i in range(200):
        out.add(piece(i, "{}}" if i == 0 else "{}", f"c{i}", "f"))
    assert looks.count("{}}") == 1
