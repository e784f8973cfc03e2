"""Decisions made again, and what another pool or policy would have made of them."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openfusion_auto.core.decide import decide
from openfusion_auto.core.digest import plain
from openfusion_auto.core.explain import decision_json
from openfusion_auto.core.types import (
    LEVELS,
    Breaker,
    Cached,
    Evidence,
    Forced,
    Needs,
    Pin,
    Policy,
    Pool,
    Preferences,
    State,
    Stats,
)
from openfusion_auto.evals import receipt, redecide
from openfusion_auto.store.records import Unreadable
from tests.cli.processes import PACKAGE
from tests.evals import samples
from tests.support.pools import candidate, price, task

NAMES = [c.id for c in samples.POOL.candidates]
AMOUNTS = st.floats(0, 1e6, allow_nan=False)
TASKS = st.builds(
    task,
    kind=st.sampled_from(["bugfix", "docs", "review", "chat", "ops"]),
    risk=st.sampled_from(LEVELS),
    complexity=st.sampled_from(LEVELS),
    turn=st.sampled_from(["user", "tool", "aux"]),
    needs=st.builds(Needs, tools=st.booleans(), input_tokens=st.integers(0, 300_000)),
    evidence=st.lists(st.builds(Evidence, st.text(max_size=5), AMOUNTS, st.text(max_size=5)), max_size=2).map(tuple),
    struggling=st.booleans(),
    ease=st.none() | st.floats(-3, 3),
    lifts=st.lists(st.tuples(st.sampled_from(NAMES), st.floats(-0.2, 0.2)), max_size=2).map(tuple),
    forced=st.none() | st.builds(Forced, st.sampled_from(["single", "panel"]), st.just("a rule")),
)  # fmt: skip
STATES = st.builds(
    State,
    now_s=AMOUNTS,
    stats=st.dictionaries(st.sampled_from(NAMES), st.builds(Stats, ok=AMOUNTS, failed=AMOUNTS, ttft_ms=AMOUNTS, ttft_weight=AMOUNTS)),
    breakers=st.dictionaries(st.sampled_from(NAMES), st.builds(Breaker, st.sampled_from(["open", "closed"]), until_s=AMOUNTS)),
    pin=st.none() | st.builds(Pin, st.sampled_from(NAMES), st.just((Cached("coder-a", 900, 5e6),)), st.integers(1, 9)),
)  # fmt: skip
POLICIES = st.builds(
    Policy,
    cost_quality=st.floats(0, 10),
    max_usd=st.none() | st.floats(1e-6, 1),
    preferences=st.builds(Preferences, max_input_price=st.none() | st.floats(0.05, 5)),
)


@given(TASKS, STATES, POLICIES)
@settings(max_examples=150)
def test_a_decision_is_the_same_from_what_a_receipt_keeps(asked, state, policy):
    made = decision_json(decide(asked, samples.POOL, state, policy))
    inputs = {"task": plain(asked), "state": plain(state), "policy": plain(policy)}
    kept = json.loads(json.dumps({"decision": plain(made), "inputs": inputs}))
    assert redecide.again(kept, samples.POOL)["digest"] == made["digest"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_thousand_decisions_are_the_same_in_another_process(tmp_path):
    rng = random.Random(3)
    runs = []
    for _ in range(1000):
        asked, state, policy = drawn(rng)
        made = decision_json(decide(asked, samples.POOL, state, policy))
        inputs = {"task": plain(asked), "state": plain(state), "policy": plain(policy)}
        runs.append({"decision": plain(made), "inputs": inputs, "case": "c", "contender": "auto"})
    kept = tmp_path / "decisions.json"
    kept.write_text(json.dumps({"pool": receipt.pool_content(samples.POOL), "runs": runs}))
    code = (
        "import json, sys; from openfusion_auto.evals.redecide import replay\n"
        "print(json.dumps([[r.found, r.same] for r in replay(json.load(open(sys.argv[1])))]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(kept)],
        env={"PYTHONPATH": PACKAGE, "PYTHONHASHSEED": "1234"},
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found == [[r["decision"]["digest"], True] for r in runs]
    assert len({digest for digest, _ in found}) > 900


def drawn(rng):
    """Random inputs of a decision."""
    names = [rng.choice(NAMES) for _ in range(2)]
    asked = task(
        kind=rng.choice(["bugfix", "docs", "review", "chat", "ops"]),
        risk=rng.choice(LEVELS),
        complexity=rng.choice(LEVELS),
        turn=rng.choice(["user", "tool", "aux"]),
        needs=Needs(tools=rng.random() < 0.5, input_tokens=rng.randrange(300_000)),
        lifts=((names[0], rng.uniform(-0.2, 0.2)),),
        ease=rng.choice([None, rng.uniform(-3, 3)]),
    )
    now_s = rng.uniform(0, 1e6)
    seen = Stats(*(rng.uniform(0, 1000) for _ in range(8)), at_s=now_s - rng.uniform(0, 9000))
    pin = Pin(
        names[1], (Cached(names[1], rng.randrange(9000), now_s + 99.5),), rng.randrange(1, 30)
    )
    state = State(now_s, {names[0]: seen}, {}, rng.choice([None, pin]))
    return asked, state, Policy(cost_quality=rng.uniform(0, 10), max_usd=rng.choice([None, 0.05]))


@pytest.fixture(scope="module")
def document():
    return json.loads((samples.FOLDER / "comparison.json").read_bytes())


def test_every_decision_of_a_receipt_is_the_same(document):
    rows = list(redecide.replay(document))
    assert len(rows) == 6
    assert all(r.same and r.recorded == r.found for r in rows)


def test_a_forged_decision_is_told_term_by_term(document):
    forged = json.loads(json.dumps(document))
    forged["runs"][0]["decision"]["ranking"][0]["terms"][2]["points"] = 1
    row = next(iter(redecide.replay(forged)))
    assert not row.same
    assert row.differs == ("/runs/0/decision/ranking/0/terms/2/points",)


def test_the_same_pool_and_policy_differ_in_nothing(document):
    pool = redecide.pool_of(document["pool"])
    assert all(r["same"] and r["candidates"] == [] for r in redecide.changed(document, pool, None))


def test_another_price_is_told_as_the_term_that_it_moves(document):
    pool = Pool(
        tuple(candidate(c.id, roles=c.roles, benchmarks=c.benchmarks, price=price(9, 36) if c.id == "verifier-a" else c.price)
              for c in samples.POOL.candidates), "sha256:other")  # fmt: skip
    row = redecide.changed(document, pool, Policy(cost_quality=8))[0]
    assert not row["same"]
    assert row["pick"] == ["verifier-a", "fast-a"], "cheap counts for more now"
    found = next(c for c in row["candidates"] if c["candidate"] == "verifier-a")
    assert found["rank"][0] == 1
    moved = {t["name"]: t for t in found["terms"]}
    assert moved["price"]["raw"][0] < moved["price"]["raw"][1]
    assert moved["price"]["weight"][0] < moved["price"]["weight"][1]


def test_who_is_gone_or_new_or_rejected_is_told(document):
    kept = [c for c in samples.POOL.candidates if c.id != "coder-a"]
    small = candidate("tiny", context_tokens=10)
    rows = redecide.changed(document, Pool((*kept, small), "sha256:other"), None)
    named = {c["candidate"]: c for c in rows[0]["candidates"]}
    assert named["coder-a"]["rank"][1] is None
    assert named["tiny"]["rejected"] == [None, "context_too_small"]


@pytest.mark.parametrize("run", [{}, {"inputs": None}, {"inputs": {"task": {}}}])
def test_inputs_that_are_none_are_unreadable(run):
    with pytest.raises(Unreadable):
        redecide.inputs_of(run)
    with pytest.raises(Unreadable):
        redecide.pool_of({"candidates": "none"})
