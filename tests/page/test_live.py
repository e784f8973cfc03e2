"""Live: what comes in, what it cost, how the pool is; and that a browser keeps up without loading the page again."""

import asyncio
import re

import pytest
import pytest_asyncio

from openfusion_auto.core.types import Breaker
from openfusion_auto.page.live import broken_says, day_of, health, nobody, rate
from openfusion_auto.store.base import Spend
from tests.page.asking import get
from tests.server.conftest import FOUR, candidate
from tests.server.live import GOOD, send, serving
from tests.support import pools

pytestmark = pytest.mark.asyncio(loop_scope="session")

SAY = {"messages": [{"role": "user", "content": "[[say:fine]] Name the states of the parser"}]}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def router(tmp_path_factory):
    async with serving(tmp_path_factory.mktemp("live"), candidates=FOUR) as running:
        yield running


def rows(text):
    """The cells of each row of the first table, as text."""
    table = text.partition("<tbody>")[2].partition("</tbody>")[0]
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in table.split("</tr>")]
    return [[re.sub(r"<[^>]+>", "", c).strip() for c in row] for row in cells if row]


async def test_before_the_first_request_it_says_what_to_do(tmp_path):
    async with serving(tmp_path) as running:
        reply = await get(running, "/ui")
    assert "No request yet" in reply.shown
    assert "openfusion ask" in reply.shown
    assert "openfusion adapter list" in reply.shown
    assert "No candidate can be called" not in reply.shown


async def test_a_request_is_a_row_with_who_answered_and_what_it_cost(router):
    await send(router, {**GOOD, **SAY, "model": "coder-a"})
    bad = {**GOOD, "model": "fast-a", "messages": [{"role": "user", "content": "[[fault:F25]] go"}]}
    await send(router, bad)
    await send(router, {**GOOD, **SAY, "openfusion": {"mode": "panel"}})
    listed = await send(router, None, method="GET", path="/traces")
    panel, failed, one = (rows((await get(router, "/ui/live")).shown))[:3]
    assert one[2].startswith("coder-a")
    usd = listed.body["data"][2]["usd"]
    assert one[4] == f"${usd:.6f}"
    assert one[6] == "ok"
    assert failed[2].startswith("nobody")
    assert failed[6] == "failed"
    assert "panel" in panel[1]
    assert panel[5].endswith(" more") or panel[5].startswith("$")


async def test_money_of_the_day_is_that_of_the_books(router):
    await send(router, {**GOOD, **SAY})
    reply = await get(router, "/ui")
    books = day_of(router.engine.means.books.store.spend(0.0))
    assert books.calls >= 1
    assert "Spent in 24 hours" in reply.shown
    assert "an estimate" in reply.shown
    assert "It might have needed more tokens or fewer." in reply.shown


async def test_a_sum_of_nothing_but_unknown_prices_is_unknown(tmp_path):
    unpriced = {k: v for k, v in candidate().items() if k != "price_usd_per_mtok"}
    async with serving(tmp_path, candidates=[unpriced]) as running:
        await send(running, {**GOOD, **SAY})
        shown = re.sub(r"<[^>]+>", " ", (await get(running, "/ui")).shown)
    told = " ".join(shown.split())
    assert "Spent in 24 hours unknown 1 call, 1 at an unknown price" in told
    assert "Last 1 request unknown 1 at an unknown price" in told


async def test_a_gateway_key_sees_its_own_alone(tmp_path):
    from openfusion_auto.config.keyfile import Wish, create, path_in

    first, second = (create(path_in(tmp_path / "state"), Wish(n), 0.0)[1] for n in ("one", "two"))
    async with serving(tmp_path, candidates=FOUR) as running:
        await send(running, {**GOOD, **SAY}, key=first)
        own = (await get(running, "/ui", Authorization=f"Bearer {first}")).shown
        other = (await get(running, "/ui", Authorization=f"Bearer {second}")).shown
        assert len(rows(own)) == 1
        assert "No request yet" in other
        assert "Spent in 24 hours" not in own
        reply = await get(running, "/ui/receipts", Authorization=f"Bearer {first}")
        assert reply.status == 403


async def test_the_worst_of_the_pool_stands_first_and_says_why(router):
    live = router.engine.means.live
    live._breakers["reasoner-a"] = Breaker("open", 4, live.now_s() + 30)
    found = health(router.engine.means.pool, live)
    assert (found[0].id, found[0].state) == ("reasoner-a", "warn")
    assert "set aside for another 30 s, after 4 failures" in found[0].says
    assert found[0].says in (await get(router, "/ui/live")).shown
    live.configure({"relay": "set RELAY_API_KEY"}, pin_ttl_s=60.0, cache_ttl_s=60.0)
    assert {h.state for h in health(router.engine.means.pool, live)} == {"bad"}
    shown = (await get(router, "/ui/live")).shown
    assert "No candidate can be called, so every request fails: set RELAY_API_KEY." in shown
    assert 'href="/ui/playground#keys"' in shown
    live.configure({}, pin_ttl_s=60.0, cache_ttl_s=60.0)
    del live._breakers["reasoner-a"]


async def test_small_words():
    pair = pools.pool(pools.candidate("a"), pools.candidate("b", upstream="other"))
    assert nobody(pair, {}) == []
    assert nobody(pair, {"other": "set A"}) == []
    assert nobody(pair, {"other": "set A", "relay": "set A"}) == ["set A"]
    assert broken_says({"phase": "half_open", "failures": 3, "open_for_s": 0.0}).startswith(
        "the next call"
    )
    assert rate([], 10.0) is None
    assert rate([{"at": 9.0}, {"at": 7.0}], 9.5) == pytest.approx(2 / 2.5)
    assert rate([{"at": 9.0}, {"at": 7.0}], 90.0) is None
    spent = day_of([Spend("a", 2, 1, 1, 0, 1, 0.5, 1), Spend("b", 1, 0, 1, 0, 1, 0.25, 0)])
    assert spent == (3, 1, 0.75, 1)


# -- in a browser ------------------------------------------------------------------------------------------------------


@pytest.mark.clients
async def test_a_request_appears_by_itself_and_pause_holds_it_off(router, look):
    await send(router, {**GOOD, **SAY})
    page = await look(f"{router.root}/ui")
    newest = page.locator("tbody tr td:first-child a").first
    before = await newest.get_attribute("href")
    await newest.focus()
    await send(router, {**GOOD, **SAY})
    # Not by a function: one that has to wait is evaluated from text, which the page's policy forbids.
    await page.wait_for_selector(f"tbody tr:first-child a:not([href='{before}'])")
    # Who reads by keyboard stays where they were.
    assert await page.evaluate("document.activeElement.getAttribute('href')") == before
    assert re.fullmatch(r"\d\d:\d\d:\d\d", await newest.inner_text())
    await page.get_by_role("button", name="Pause").press("Enter")
    held = await newest.get_attribute("href")
    await send(router, {**GOOD, **SAY})
    await asyncio.sleep(1.3)
    assert await newest.get_attribute("href") == held
    assert await page.locator("[data-state]").inner_text() == "paused"


@pytest.mark.clients
async def test_on_a_phone_two_names_that_begin_alike_can_be_told_apart(tmp_path, look):
    twins = [candidate(name) for name in ("deepseek-v4-flash", "deepseek-v4-pro")]
    async with serving(tmp_path, candidates=twins) as running:
        for one in twins:
            await send(running, {**GOOD, **SAY, "model": one["id"]})
        page = await look(f"{running.root}/ui", width=360)
        whole = "all => all.map(e => [e.scrollWidth <= e.clientWidth, e.scrollHeight <= e.clientHeight])"
        assert await page.locator("td .cut").evaluate_all(whole) == [[True, True], [True, True]]


@pytest.mark.clients
async def test_a_lost_connection_is_said(router, look):
    page = await look(f"{router.root}/ui", allowed=[503])
    await page.route("**/ui/live", lambda route: route.fulfill(status=503, body="away"))
    await page.wait_for_selector("text=no connection")
    await page.unroute("**/ui/live")
    await page.wait_for_selector("text=/^live$/")
