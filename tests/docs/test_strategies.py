"""The examples of `docs/how-to/strategies.md`, run: each body gives the strategy that its heading promises."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import replace

import pytest

from openfusion_auto.config.models import ModelSection, own_models
from openfusion_auto.config.pool import load_pool
from openfusion_auto.config.schema import AutoSection
from openfusion_auto.core.prompt import Usage
from openfusion_auto.core.types import Policy, Pool
from openfusion_auto.runtime.trace import full
from openfusion_auto.upstream.reply import Reply
from tests.docs.regenerate import ROOT
from tests.support.rig import Rig

PAGE = (ROOT / "docs" / "how-to" / "strategies.md").read_text(encoding="utf-8")
SECTIONS = dict(part.split("\n", 1) for part in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:])
PHASES = {
    "A panel": {"member", "judge"},
    "Several answers of one model": {"member"},
    "What they agree on, and where they differ": {"member", "analysis", "judge"},
    "A debate": {"member", "revision", "judge"},
    "A cascade": {"primary", "verify"},
    "In turn, or by a number": {"primary"},
    "With the web": {"member", "judge"},
    "A name of your own": {"member", "judge", "synthesis"},
    "A pipeline": {"step:plan", "step:review", "final"},
}


def examples():
    for title, text in SECTIONS.items():
        for body in re.findall(r"```json\n(.*?)```", text, flags=re.DOTALL):
            yield pytest.param(title, json.loads(body), id=f"{title}: {body[60:100]}")


def policy_of(title):
    tables = [
        tomllib.loads(t) for t in re.findall(r"```toml\n(.*?)```", SECTIONS[title], re.DOTALL)
    ]
    return AutoSection.model_validate(tables[0].get("auto", {}) if tables else {}).policy()


def own_of(title, pool):
    """The models of the operator's own that a section's configuration makes."""
    tables = [
        tomllib.loads(t) for t in re.findall(r"```toml\n(.*?)```", SECTIONS[title], re.DOTALL)
    ]
    sections = [ModelSection.model_validate(m) for t in tables for m in t.get("models", [])]
    return {m.name: m for m in own_models(sections, pool, {}, str)}


class Models:
    """Models that differ in words until they vote; a judge that picks the first and a verifier that accepts."""

    def __init__(self, *, agree):
        self.agree = agree
        self.told = []

    def __call__(self, body):
        last = json.dumps(body["messages"][-1], ensure_ascii=False)
        self.told.append(last)
        if "You are a judge" in last:
            return Reply('{"best": 1, "why": "it is"}', usage=Usage(300, 20))
        if "do not merge them" in last:
            return Reply('{"consensus": ["it depends"], "blind_spots": []}', usage=Usage(300, 20))
        if "strict reviewer" in last:
            return Reply('{"verdict": "accept", "findings": []}', usage=Usage(300, 20))
        said = "42" if self.agree else f"{body['model']} says it at length ({len(self.told)})"
        return Reply(said, usage=Usage(200, 30))


SHIPPED = load_pool(ROOT / "candidates" / "default.toml")
HERE = Pool(tuple(replace(c, upstream="relay") for c in SHIPPED.candidates), SHIPPED.digest)


def rig_for(models, policy, own=None):
    """An engine with the shipped pool, all of it behind one scripted upstream."""
    return Rig(models, pool=HERE, policy=policy, own=own or {}, offers={"relay": ("web_search",)})


@pytest.mark.parametrize(("title", "body"), list(examples()))
async def test_an_example_does_what_its_section_says(title, body):
    asked = body.get("openfusion", {})
    models = Models(agree=asked.get("aggregator") == "vote")
    rig = rig_for(models, policy_of(title), own_of(title, HERE))
    answer, trace = await rig.ask(body.pop("messages"), **body)
    shown = full(trace)
    assert answer["choices"][0]["message"]["content"].strip()
    called = {a.phase for a in trace.attempts}
    named = body["model"] if isinstance(body["model"], dict) else {}
    wanted = {"member"} if asked.get("aggregator") == "vote" else PHASES[title]
    wanted = {"member", "judge"} if named.get("strategy") == "best_of" else wanted
    assert called == wanted
    assert shown["decision"]["strategy"] in (asked.get("strategy", named.get("strategy", "")), "")
    assert not [
        r for r in shown["decision"]["reasons"] if r.startswith(f"not {asked.get('strategy')}")
    ]
    if asked.get("analysis"):
        assert answer["openfusion"]["analysis"]["consensus"] == ["it depends"]
        assert "it depends" not in json.dumps(shown)
    if "member" in called:
        assert shown["panel"]["best_of"] >= 2
        assert (shown["panel"]["alone"]["usd"] is None) == ("tools" in asked)
    if "tools" in asked:  # nobody has sent a bill
        assert shown["usd"] is None
        return
    lines = sum(a.usd for a in trace.attempts)
    assert shown["usd"] == pytest.approx(lines, abs=1e-9)


def test_every_strategy_has_an_example():
    bodies = [json.loads(b) for b in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
    asked = [b.get("openfusion", b["model"]) for b in bodies]
    named = {a["strategy"] for a in asked if "strategy" in a and not isinstance(a, str)}
    # The three orders by a number are one example, and `fallback` is an array.
    assert named == {
        "self_fusion", "debate", "cascade", "pipeline", "round_robin", "cost_optimized", "best_of",
    }  # fmt: skip


async def test_the_steps_of_the_pipeline_are_told_what_came_before():
    models = Models(agree=False)
    rig = rig_for(models, policy_of("A pipeline"))
    await rig.ask("Add a flag.", openfusion={"strategy": "pipeline"})
    plan, review, write = models.told
    assert "Plan the change" in plan
    assert "says it at length (1)" in review
    assert "says it at length (1)" in write
    assert "says it at length (2)" in write


def test_holding_is_a_setting():
    assert policy_of("Calls that destroy something").hold_destructive
    assert not Policy().hold_destructive
