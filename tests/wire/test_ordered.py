"""Results right behind their calls, none missing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Message, Part, ToolCall
from openfusion_auto.wire.ordered import NOT_RUN, answered, in_order


def user(text):
    return Message("user", (Part("text", text),))


def asks(*ids, text=""):
    parts = (Part("text", text),) if text else ()
    return Message("assistant", parts, tuple(ToolCall(i, "f", "{}") for i in ids))


def result(call_id, text="ok"):
    return Message("tool", (Part("text", text),), tool_call_id=call_id)


def test_words_between_a_call_and_its_result_go_behind_it():
    found = in_order([asks("a", "b"), result("a"), asks(text="hm"), user("wait"), result("b")])
    assert found == [asks("a", "b"), result("a"), result("b"), asks(text="hm"), user("wait")]


def test_calls_listed_one_by_one_are_one_turn():
    found = in_order([asks("a"), asks("b"), result("b"), result("a")])
    assert found == [asks("a", "b"), result("b"), result("a")]


def test_a_call_that_was_not_answered_gets_a_result_that_says_so():
    stopped = [asks("a", "b"), result("a"), user("stop"), asks("c")]
    found = in_order(stopped)
    assert found == [
        asks("a", "b"),
        result("a"),
        result("b", NOT_RUN),
        user("stop"),
        asks("c"),
        result("c", NOT_RUN),
    ]


def test_a_result_whose_call_is_gone_stays_in_its_place():
    assert in_order([user("x"), result("z"), user("y")]) == [user("x"), result("z"), user("y")]


@given(
    st.lists(
        st.one_of(
            st.builds(user, st.sampled_from("xy")),
            st.builds(asks, st.sampled_from("abc"), st.sampled_from("de")),
            st.builds(result, st.sampled_from("abcde")),
        )
    )
)
def test_each_call_is_answered_before_anybody_else_speaks(messages):
    open_calls: set[str | None] = set()
    for message in in_order(messages):
        if message.role == "tool":
            open_calls.discard(message.tool_call_id)
        else:
            assert not open_calls
            open_calls = {call.id for call in message.tool_calls}
    assert not open_calls


def test_where_every_call_has_a_result_nothing_moves():
    whole = [asks("a"), user("wait"), result("a"), asks("b"), result("b")]
    assert answered(whole) is whole
    stopped = [asks("a"), user("stop")]
    assert answered(stopped) == [asks("a"), result("a", NOT_RUN), user("stop")]
