"""The analysis of a panel: five lists by a fixed form, members by their ids, and never at the answer's cost."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.recipes.aggregate import aggregate
from openfusion_auto.core.recipes.analysis import KEYS, MOST, MOST_CHARS, read_analysis
from openfusion_auto.errors import UpstreamTimeout
from tests.core.playbook import broke, came, expect, play
from tests.core.recipes.decisions import PANEL, decision
from tests.support.pools import said
from tests.support.prompts import user

PROMPT = user("why does it fail?")
A, B = said("it is the lock"), said("it is the index")
FULL = {
    "consensus": ["it fails under load"],
    "contradictions": [{"topic": "cause", "stances": [{"answer": 1, "stance": "lock"}, {"answer": 2, "stance": "index"}]}],
    "partial_coverage": [{"answers": [2], "point": "the deploy"}],
    "unique_insights": [{"answer": 1, "insight": "it is taken twice"}],
    "blind_spots": ["the cache"],
}  # fmt: skip
READ = {
    "consensus": ["it fails under load"],
    "contradictions": [
        {"topic": "cause", "stances": [{"candidate": "a", "stance": "lock"}, {"candidate": "b", "stance": "index"}]}
    ],
    "partial_coverage": [{"candidates": ["b"], "point": "the deploy"}],
    "unique_insights": [{"candidate": "a", "insight": "it is taken twice"}],
    "blind_spots": ["the cache"],
}  # fmt: skip


def run(*script, told=(("a", A), ("b", B))):
    made = decision("panel", (*PANEL, ("analysis", ("j", "a"))))
    replies = tuple(came(c, a).reply("member") for c, a in told)
    return play(aggregate(PROMPT, made, replies), *script)


def test_the_analysis_comes_before_the_choice_and_names_members_by_their_ids():
    got = run(
        (expect("analysis", "j", "a", final=False), came("j", said(json.dumps(FULL)))),
        (expect("judge"), broke("j", UpstreamTimeout("x"))),
    )
    assert got.deliberation.analysis == READ
    assert got.answer is A


def test_an_analysis_that_fails_or_cannot_be_read_costs_nothing_else():
    for reply in (broke("j", UpstreamTimeout("x")), came("j", said("they agree"))):
        got = run((expect("analysis"), reply), (expect("judge"), came("j", said('{"best": 1}'))))
        assert got.answer in (A, B)
        assert got.deliberation.analysis is None
        assert "the analysis failed: left out" in got.notes


def test_one_answer_has_nothing_to_be_compared_with():
    assert run(told=(("a", A),)).deliberation.analysis is None


def test_what_does_not_fit_the_form_is_left_out():
    odd = {
        "consensus": ["x" * 9_000, 5, None, ""],
        "contradictions": ["no", {"topic": "t", "stances": [{"answer": 9, "stance": "s"}]}],
        "partial_coverage": [
            {"answers": [True, 0, 3], "point": "p"},
            {"answers": [1], "point": ""},
        ],
        "unique_insights": [{"answer": 1}] * 50,
        "blind_spots": "none",
    }
    assert read_analysis(json.dumps(odd), ["a", "b"]) == {
        "consensus": ["x" * MOST_CHARS], "contradictions": [], "partial_coverage": [],
        "unique_insights": [], "blind_spots": [],
    }  # fmt: skip


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from([*KEYS, "answer", "answers", "topic", "stances", "stance", "point", "insight"]), inner, max_size=4
    ),
    max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(KEYS), json_values))
def test_any_reply_is_read_or_refused_and_the_form_is_kept(reply):
    got = read_analysis(json.dumps(reply), ["a", "b"])
    if got is not None:
        assert tuple(got) == KEYS
        assert all(isinstance(v, list) and len(v) <= MOST for v in got.values())
