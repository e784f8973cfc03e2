"""What was believed to be in a provider's cache is compared with what the provider reports."""

import pytest

from openfusion_auto.core.prompt import Usage
from openfusion_auto.core.types import Cached, Pin, State
from openfusion_auto.runtime.attempt import confirmed_share
from openfusion_auto.runtime.state import CacheRule
from openfusion_auto.upstream.reply import Reply
from tests.support.pools import CODER, pool
from tests.support.rig import Rig

ONE = pool(CODER)
PINNED = State(50.0, pin=Pin("coder-a", (Cached("coder-a", 4_000, 100.0),)))


@pytest.mark.parametrize(
    ("usage", "share"),
    [
        (Usage(5_000, 10, cached=4_000), 1.0),
        (Usage(5_000, 10, cached=1_000), 0.25),
        (Usage(5_000, 10, cached=0), 0.0),
        (Usage(5_000, 10, cached=4_900), 1.0),  # more than was believed
        (Usage(2_000, 10, cached=1_000), 0.5),  # a shorter prompt cannot confirm more than it has
        (Usage(0, 10), None),
        (None, None),
    ],
)
def test_the_share_is_reported_over_believed_tokens(usage, share):
    assert confirmed_share(PINNED, "coder-a", usage) == share


def test_without_a_belief_nothing_is_confirmed_or_refuted():
    reported = Usage(5_000, 10, cached=4_000)
    assert confirmed_share(None, "coder-a", reported) is None
    assert confirmed_share(State(), "coder-a", reported) is None
    assert confirmed_share(PINNED, "fast-a", reported) is None
    cold = State(100.5, pin=PINNED.pin)
    assert confirmed_share(cold, "coder-a", reported) is None


async def told(cached, **more):
    """Two turns of a session; the second reports so many cached tokens of the 2,010 that are believed warm."""
    replies = [
        Reply("one", usage=Usage(2_000, 10)),
        Reply("two", usage=Usage(2_500, 10, cached=cached)),
    ]
    rig = Rig(replies, pool=ONE, **more)
    await rig.ask("Fix it")
    rig.now_s += 60
    await rig.ask("Fix it")
    return rig.live.snapshot(None).stats["coder-a"]


async def test_an_answer_is_booked_with_the_share_that_came_true():
    known = await told(1_005)
    assert (known.cache_hit, known.cache_weight) == (0.5, 1.0)


async def test_what_refuted_a_belief_makes_the_next_one_smaller():
    rig_known = await told(0)
    assert (rig_known.cache_hit, rig_known.cache_weight) == (0.0, 1.0)


@pytest.mark.parametrize(
    "rule", [CacheRule(30.0, 1_024), CacheRule(300.0, 4_000)], ids=["shorter", "too few tokens"]
)
async def test_where_an_upstreams_rule_says_cold_nothing_is_compared(rule):
    known = await told(1_005, caches={"relay": rule})
    assert known.cache_weight == 0.0
