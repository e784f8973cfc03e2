"""Every recipe, with every ask failing or answering in every combination: it ends, and loses no answer that it has."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product

import pytest

from openfusion_auto.core.recipes import Ask, Gather, Reply, recipes
from openfusion_auto.core.types import Step
from openfusion_auto.errors import FusionError, UpstreamTimeout
from tests.core.recipes.decisions import PANEL, SINGLE, VERIFY, decision
from tests.core.recipes.test_cascade import STEPS as CASCADE
from tests.core.recipes.test_pipeline import STEPS as PIPELINE
from tests.support.pools import said
from tests.support.prompts import user

REVISIONS = tuple(("revision", (i,)) for i in "abc")
PLANS = {
    "single": ("single", SINGLE),
    "held": ("single", VERIFY),
    "verify": ("verify", VERIFY),
    "cascade": ("verify", CASCADE),
    "panel": ("panel", PANEL),
    "panel, judged twice": ("panel", (*PANEL[:4], *PANEL[3:])),
    "self_fusion": ("panel", (*[("member", ("a",))] * 3, *PANEL[3:])),
    "debate": ("panel", (*PANEL[:3], *REVISIONS, *PANEL[3:])),
    "pipeline": ("panel", SINGLE),
}
DRAFTS = ("primary", "member", "escalation")
ANSWERS = (*DRAFTS, "revision", "mend", "synthesis", "final")
MOST = 9  # asks of the longest recipe here


class Played:
    """One way through a recipe: `works` says ask by ask who answers, `rejects` what verifiers and judges say."""

    def __init__(self, name, works, *, rejects):
        mode, steps = PLANS[name]
        name, _, twice = name.partition(",")
        made = replace(
            decision(mode, steps, aggregator="judge"), hold=name == "held", twice=bool(twice)
        )
        if name == "pipeline":
            made = replace(made, strategy=name, plan=replace(made.plan, steps=PIPELINE))
        self.works, self.rejects = list(works), rejects
        self.replies: list[Reply] = []
        self.outcome = self.drive(recipes()[name](user("why does it fail?"), made))

    def drive(self, step):
        sent = None
        while True:
            try:
                asked = step.send(sent)
            except StopIteration as end:
                return end.value
            asks = asked.asks if isinstance(asked, Gather) else (asked,)
            sent = tuple(self.reply(ask) for ask in asks)

    def reply(self, ask: Ask):
        number = len(self.replies)
        if self.works[number]:
            got = Reply(ask.phase, ask.candidates[0], said(self.text(ask.phase, number)))
        else:
            got = Reply(ask.phase, ask.candidates[0], error=UpstreamTimeout(f"silent {number}"))
        self.replies.append(got)
        return got

    def text(self, phase, number):
        findings = ["it is the index"] if self.rejects else []
        if phase == "verify":
            verdict = "reject" if self.rejects else "accept"
            return json.dumps({"verdict": verdict, "findings": findings})
        if phase == "judge":
            return json.dumps(
                {"best": 1, "why": "it is", "defect": findings[0] if findings else None}
            )
        return f"it is lock number {number}"


def ways(name):
    """Every way through: only what is asked counts, so that ways which differ behind the end are played once."""
    seen = set()
    for works in product((True, False), repeat=MOST):
        for rejects in (False, True):
            if any((works[:n], rejects) in seen for n in range(1, MOST + 1)):
                continue
            played = Played(name, works, rejects=rejects)
            seen.add((works[: len(played.replies)], rejects))
            yield played


def test_there_is_a_plan_for_every_recipe():
    assert {name.partition(",")[0] for name in PLANS} == set(recipes())


@pytest.mark.parametrize("name", PLANS)
def test_whatever_fails_it_ends_with_an_answer_that_somebody_wrote_or_with_an_error(name):
    reached, lengths, failing = set(), set(), 0
    for played in ways(name):
        got, replies = played.outcome, played.replies
        lengths.add(len(replies))
        reached.update(r.phase for r in replies)
        assert (got.answer is None) == isinstance(got.error, FusionError)
        drafts = [r for r in replies if r.phase in DRAFTS and r.answer is not None]
        if got.answer is None:
            failing += 1
            assert not drafts
            assert replies[-1].error is not None or name == "pipeline"
        else:
            (written,) = (r for r in replies if r.answer is got.answer)
            assert written.phase in ANSWERS
            assert written.candidate == got.candidate
    assert failing
    assert max(lengths) < MOST
    steps = PIPELINE if name == "pipeline" else PLANS[name][1]
    wanted = {s.phase if isinstance(s, Step) else s[0] for s in steps}
    assert reached == wanted - ({"verify", "mend"} if name == "held" else set())


@pytest.mark.parametrize("name", PLANS)
def test_when_everybody_fails_the_error_is_one_of_theirs_or_names_them(name):
    played = Played(name, [False] * MOST, rejects=False)
    assert played.outcome.answer is None
    if "member" in {r.phase for r in played.replies}:
        assert all(r.candidate in played.outcome.error.message for r in played.replies)
    else:
        assert played.outcome.error in [r.error for r in played.replies]
