"""The pool: where each number comes from, who is worth the money, what was measured."""

import re
from dataclasses import replace

import pytest
import pytest_asyncio

from openfusion_auto.core.price import LongPrice
from openfusion_auto.core.types import Stats
from openfusion_auto.core.worth import worth
from openfusion_auto.page.pool import facts
from tests.page.asking import get
from tests.server.conftest import FOUR, candidate
from tests.server.live import serving
from tests.support import pools

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOSTILE = "<script>alert(1)</script>\u202e"
BAD = candidate(
    "worse-a",
    roles=["coder"],
    price_usd_per_mtok={"input": 9.0, "output": 30.0, "source": "javascript:alert(1)", "as_of": "2026-11-01"},
    performance={"ttft_ms_p50": 900.0, "source": f"https://example.org/{HOSTILE}", "as_of": "2026-11-01"},
)  # fmt: skip
FREE = {"id": "free-a", "upstream": "relay", "model": "vendor/free-a"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def router(tmp_path_factory):
    async with serving(tmp_path_factory.mktemp("pool"), candidates=[*FOUR, BAD, FREE]) as running:
        yield running


async def test_it_says_of_each_who_beats_it_as_the_command_does(router):
    text = (await get(router, "/ui/pool?kind=review")).shown
    found = worth(router.engine.means.pool, "review")
    for row, _ in found.priced:
        said = "on the front" if row.name in found.front.members else found.why_beaten(row.name)
        assert said in text
        assert f"{row.quality:.3f}" in text
    assert "no price, not placed" in text
    assert "<option selected>review</option>" in text


async def test_every_number_has_its_source_and_only_the_web_is_linked(router):
    text = (await get(router, "/ui/pool")).shown
    assert "2026-11-01" in text
    assert 'href="https://example.org/&lt;script&gt;' in text
    assert 'href="javascript' not in text
    assert "javascript:alert(1)" in text
    assert "<script>alert" not in text
    assert "\u202e" not in text
    assert "Nothing is known of it but its name" in text


async def test_live_numbers_stand_beside_the_priors(router):
    live = router.engine.means.live
    live._stats["coder-a"] = Stats(8.0, 2.0, 412.0, 5.0, 61.5, 5.0, at_s=live.now_s())
    text = (await get(router, "/ui/pool")).shown
    (row,) = re.findall(r"<tr>(?:(?!</tr>).)*#coder-a.*?</tr>", text, re.DOTALL)
    for said in ("80%", "prior 95%", "412 ms", "no prior", "61.5", "5.0 samples"):
        assert said in row


async def test_an_unknown_kind_is_told(router):
    assert (await get(router, "/ui/pool?kind=%3Cscript%3E")).status == 400


async def test_facts_are_what_was_published_and_nothing_for_who_has_none():
    found = {f.name: f for f in facts(pools.CODER)}
    assert (
        found["price per million tokens"].value
        == "input $0.5, output $2, cache read $0.05, cache write $0.625"
    )
    assert found["swebench_verified_openhands"].value == "72 % of 500 tasks"
    assert found["speed, median"].value == "60 tokens/s"
    assert found["first token, median"].link is None
    longer = (LongPrice(200_000, 1.0, 3.0),)
    stepped = replace(pools.CODER, price=replace(pools.CODER.price, long_context=longer))
    above = {f.name: f for f in facts(stepped)}["price per million tokens, prompts above 200,000"]
    assert (above.value, above.source) == ("input $1, output $3", "test")
    assert list(facts(pools.candidate("a", price=None, performance=None))) == []


@pytest.mark.clients
async def test_a_link_to_a_candidate_opens_where_its_numbers_come_from(router, look):
    page = await look(f"{router.root}/ui/pool")
    detail = page.locator("details#coder-a")
    assert await detail.get_attribute("open") is None
    await page.locator("tbody a", has_text="coder-a").first.press("Enter")
    await page.wait_for_selector("details#coder-a[open]")
    assert await page.locator("svg.chart text", has_text="coder-a").count() == 1
    chart = await page.locator("svg.chart").get_attribute("aria-label")
    assert "coder-a" in chart
