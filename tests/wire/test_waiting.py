"""Calls that wait are looked at when they have grown, and at no other time."""

from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.wire.waiting import Waiting

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("grew"), st.integers(0, 4), st.sampled_from("a}")),
        st.tuples(st.sampled_from(["look", "forget", "clear"]), st.integers(0, 4), st.just("")),
    ),
    max_size=40,
)


@given(STEPS)
def test_it_says_what_looking_at_all_of_them_would(steps):
    said, waiting = {}, set()
    calls = Waiting(lambda key: said[key].endswith("}"))
    for step, key, piece in steps:
        if step == "grew":
            said[key] = said.get(key, "") + piece
            waiting.add(key)
            calls.grew({key})
        elif step == "forget":
            waiting.discard(key)
            calls.forget({key})
        elif step == "clear":
            waiting.clear()
            calls.clear()
        assert calls.all_whole() == all(said[k].endswith("}") for k in waiting)


def test_a_call_is_looked_at_again_only_when_it_has_grown():
    looked = []
    calls = Waiting(lambda key: looked.append(key) or key != 0)
    calls.grew({0})
    for key in range(1, 1_000):
        calls.grew({key})
        assert not calls.all_whole()
    assert sorted(looked) == list(range(1_000))
    calls.grew({7})
    assert not calls.all_whole()
    assert looked.count(7) == 2
