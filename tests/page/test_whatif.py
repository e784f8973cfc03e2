"""From what a decision can be made again, and why not where it cannot."""

from dataclasses import replace

import pytest
import pytest_asyncio

from openfusion_auto.core.types import Pool
from openfusion_auto.core.whatif import WEIGHTS
from openfusion_auto.errors import BadRequest
from openfusion_auto.page.whatif import Ground, change_of, ground_of, sliders
from openfusion_auto.runtime.access import Views
from openfusion_auto.runtime.archive import restored, row_of
from openfusion_auto.upstream.reply import Reply
from tests.support.pools import FOUR
from tests.support.rig import Rig


@pytest_asyncio.fixture
async def trace():
    _, made = await Rig([Reply("fine")]).ask("Fix the race in the session store")
    return made


async def test_a_trace_is_ground_enough_and_so_is_what_the_store_kept_of_it(trace):
    for kept in (trace, restored(row_of(trace).document)):
        ground = ground_of(kept, Views(FOUR))
        assert isinstance(ground, Ground)
        same = change_of(ground, ground.decision.cost_quality, WEIGHTS)
        assert same.found["same"]
        assert same.rows == []


async def test_another_knob_tells_who_would_be_picked_for_how_much(trace):
    ground = ground_of(trace, Views(FOUR))
    change = change_of(ground, 10.0, WEIGHTS)
    assert change.found["pick"] == ["coder-a", "fast-a"]
    before, after = change.found["expected_usd"]
    assert before > after
    ranks = [c["rank"][1] for c, _ in change.rows]
    assert ranks == sorted(ranks)
    for _, terms in change.rows:
        sizes = [abs(t["points"][1] - t["points"][0]) for t in terms]
        assert sizes == sorted(sizes, reverse=True)
        assert len(terms) <= 3


async def test_who_would_be_out_stands_last(trace):
    change = change_of(ground_of(trace, Views(FOUR)), 5.0, {**WEIGHTS, "skill": 0.1})
    gone = {**change.found["candidates"][0], "rank": [1, None], "total": [0.5, None]}
    row = replace(change, found={"candidates": [gone, *change.found["candidates"][1:]]}).rows[-1]
    assert row[0]["rank"] == [1, None]


async def test_a_key_that_may_use_some_models_has_a_pool_of_its_own(trace):
    views = Views(FOUR)
    narrow = views.of(("coder-a", "fast-a")).pool
    made = replace(trace, decision=replace(trace.decision, pool_digest=narrow.digest))
    # Its digest is found; the decision itself was made over all four, so it does not come out the same.
    assert "same inputs" in ground_of(made, views)
    assert "pool has changed" in ground_of(made, Views(FOUR))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"decision": None}, "Nothing was decided"),
        ({"state": None}, "did not keep"),
        ({"policy": None}, "did not keep"),
    ],
)
async def test_what_is_missing_is_said(trace, changes, says):
    assert says in ground_of(replace(trace, **changes), Views(FOUR))


async def test_another_pool_is_no_ground(trace):
    assert "pool has changed" in ground_of(trace, Views(Pool(FOUR.candidates, "sha256:other")))


async def test_a_decision_that_does_not_come_out_the_same_is_no_ground(trace):
    made = replace(trace, policy=replace(trace.policy, mode="panel"))
    assert "same inputs" in ground_of(made, Views(FOUR))


async def test_weights_that_make_no_sense_are_the_requests_fault(trace):
    with pytest.raises(BadRequest, match="One weight at least"):
        change_of(ground_of(trace, Views(FOUR)), 5.0, dict.fromkeys(WEIGHTS, 0.0))


def test_every_weight_has_a_slider_and_the_price_has_the_knob():
    found = sliders(3.0, {**WEIGHTS, "skill": 0.2}, 5.0)
    assert [s.name for s in found] == ["cost_quality", *WEIGHTS]
    assert (found[0].value, found[0].usual, found[0].most) == (3.0, 5.0, 10.0)
    assert (found[1].value, found[1].usual) == (0.2, WEIGHTS["skill"])
