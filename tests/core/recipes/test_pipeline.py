"""A pipeline: steps in order, names filled in once, and an answer even when steps before the last fail."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.prompt import Tool
from openfusion_auto.core.recipes.pipeline import MOST, NOTHING, filled, pipeline, places
from openfusion_auto.core.types import Step
from openfusion_auto.errors import UpstreamTimeout
from tests.core.playbook import broke, came, expect, play
from tests.core.recipes.decisions import decision
from tests.support.pools import said
from tests.support.prompts import user

PROMPT = user("add a flag", stream=True)
STEPS = (
    Step("step:plan", ("r", "a"), "Plan it."),
    Step("step:risks", ("v",), "What can go wrong with {plan}?"),
    Step("final", ("a", "b"), "Plan: {plan}\nRisks: {risks}"),
)
SILENT = UpstreamTimeout("silent")


def run(*script, steps=STEPS, prompt=PROMPT):
    made = decision("panel")
    made = replace(made, strategy="pipeline", plan=replace(made.plan, steps=steps))
    return play(pipeline(prompt, made), *script)


def says(words):
    def check(prompt):
        assert prompt.added[-1].text == words

    return check


def test_each_step_is_told_its_words_with_what_came_before():
    got = run(
        (expect("step:plan", "r", "a", final=False, prompt=says("Plan it.")), came("r", said("P"))),
        (expect("step:risks", "v", prompt=says("What can go wrong with P?")), came("v", said("R"))),
        (expect("final", "a", "b", final=True, prompt=says("Plan: P\nRisks: R")), came("a", said("done"))),
    )  # fmt: skip
    assert (got.answer.text, got.candidate, got.phase) == ("done", "a", "final")
    assert got.notes == ()


def test_only_the_last_step_streams_and_may_call_tools():
    tools = replace(PROMPT, tools=(Tool("run"),))

    def inner(prompt):
        assert prompt.overrides["tool_choice"] == "none"
        assert not prompt.stream

    def last(prompt):
        assert "tool_choice" not in prompt.overrides
        assert prompt.stream

    run(
        (expect("step:plan", prompt=inner), came("r", said("P"))),
        (expect("step:risks", prompt=inner), came("v", said("R"))),
        (expect("final", prompt=last), came("a", said("done"))),
        prompt=tools,
    )


def test_a_step_that_fails_leaves_its_place_empty_and_says_so():
    got = run(
        (expect("step:plan"), broke("r", SILENT)),
        (expect("step:risks", prompt=says(f"What can go wrong with {NOTHING}?")), came("v", said(" "))),
        (expect("final", prompt=says(f"Plan: {NOTHING}\nRisks: {NOTHING}")), came("a", said("done"))),
    )  # fmt: skip
    assert got.answer.text == "done"
    assert got.notes == (
        "step plan failed (upstream_timeout): the answer is made without it",
        "step risks failed (no text): the answer is made without it",
    )


def test_the_last_step_failing_is_the_outcome():
    got = run(
        (expect("step:plan"), came("r", said("P"))),
        (expect("step:risks"), came("v", said("R"))),
        (expect("final"), broke("b", SILENT)),
    )
    assert got.answer is None
    assert got.error is SILENT


def test_a_name_in_what_a_model_wrote_is_not_filled_in():
    got = run(
        (expect("step:plan"), came("r", said("{risks} and {plan}"))),
        (expect("step:risks", prompt=says("What can go wrong with {risks} and {plan}?")), came("v", said("R"))),
        (expect("final", prompt=says("Plan: {risks} and {plan}\nRisks: R")), came("a", said("done"))),
    )  # fmt: skip
    assert got.answer.text == "done"


def test_a_very_long_text_is_cut_for_those_that_follow():
    def short(prompt):
        assert len(prompt.added[-1].text) < MOST + 100

    run(
        (expect("step:plan"), came("r", said("x" * (3 * MOST)))),
        (expect("step:risks", prompt=short), came("v", said("R"))),
        (expect("final", prompt=short), came("a", said("done"))),
    )


@given(
    st.text(alphabet="{}ab_1 ", max_size=30),
    st.dictionaries(st.sampled_from(["a", "b", "ab"]), st.text(max_size=5)),
)
def test_words_without_a_known_name_stay_as_they_are(words, written):
    if not set(places(words)) & set(written):
        assert filled(words, written) == words
