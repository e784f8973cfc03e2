"""A pipeline in the configuration: whole, in order, and every name in its words known."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from openfusion_auto.config.schema import AutoSection
from openfusion_auto.core.strategy import Stage

PLAN = {"name": "plan", "role": "reasoner", "words": "Plan it."}
WRITE = {"name": "write", "words": "Do it as planned: {plan}"}


def test_the_steps_reach_the_policy_in_order():
    policy = AutoSection.model_validate({"pipeline": [PLAN, WRITE]}).policy()
    assert policy.pipeline == (
        Stage("plan", "reasoner", "Plan it."),
        Stage("write", "coder", "Do it as planned: {plan}"),
    )


def test_what_belongs_to_strategies_reaches_the_policy():
    asked = {"panel_wait_s": 9.0, "samples": 5, "debate_rounds": 2, "hold_destructive": True}
    policy = AutoSection.model_validate(asked).policy()
    assert (policy.panel_wait_s, policy.samples, policy.debate_rounds, policy.hold_destructive) == (
        9.0,
        5,
        2,
        True,
    )


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([PLAN], "2 to 6 steps"),
        ([PLAN, WRITE] * 4, "2 to 6 steps"),
        ([PLAN, PLAN], "the name plan is taken"),
        ([{**PLAN, "words": "{write}"}, WRITE], "{write} is not the name of an earlier step"),
        ([{**PLAN, "words": "{plan}"}, WRITE], "{plan} is not the name of an earlier step"),
        ([{**PLAN, "words": " "}, WRITE], "only the last step may be told nothing"),
        ([{**PLAN, "name": "Plan it"}, WRITE], "lower-case letters"),
    ],
)
def test_a_pipeline_that_cannot_run_is_refused_and_says_why(steps, said):
    with pytest.raises(ValidationError) as caught:
        AutoSection.model_validate({"pipeline": steps})
    assert said in str(caught.value)


def test_the_last_step_may_be_told_nothing():
    steps = [PLAN, {"name": "write", "words": ""}]
    assert len(AutoSection.model_validate({"pipeline": steps}).policy().pipeline) == 2
