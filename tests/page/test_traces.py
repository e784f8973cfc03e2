"""The list of traces: parts of it, page by page; and every view at every width and in both colours."""

import re

import pytest
import pytest_asyncio

from openfusion_auto.runtime.session import session_hash
from tests.page.asking import get
from tests.page.recorded import BEGAN_S, fill, traces
from tests.server.conftest import FOUR
from tests.server.live import serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEPT = {"store": {"keep_days": 10_000.0}}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def router(tmp_path_factory):
    folder = tmp_path_factory.mktemp("traces")
    fill(folder / "state", traces(130))
    async with serving(folder, candidates=FOUR, **KEPT) as running:
        yield running


async def listed(router, query=""):
    reply = await get(router, f"/ui/traces{query}")
    assert reply.status == 200, reply.shown
    return re.findall(r'href="/ui/traces/(tr_\d+)"', reply.shown), reply.shown


async def test_pages_follow_each_other_without_a_gap_or_a_double(router):
    seen, query = [], ""
    for _ in range(5):
        names, text = await listed(router, query)
        seen += names
        older = re.search(r'href="(\?[^"]+)" rel="next"', text)
        if older is None:
            break
        query = older[1].replace("&amp;", "&")
    assert seen == [f"tr_{n:06}" for n in range(129, -1, -1)]
    assert "Newest" in text


@pytest.mark.parametrize(
    ("query", "some", "all_have"),
    [
        ("?mode=panel", True, ">panel<"),
        ("?kind=docs", True, ">docs<"),
        ("?outcome=error", True, "failed"),
        ("?model=nobody", False, ""),
        ("?mode=&kind=&model=", True, ""),
        ("?within=3600", False, ""),
    ],
)
async def test_a_part_of_them_is_taken(router, query, some, all_have):
    names, text = await listed(router, query)
    assert bool(names) == some
    for row in text.partition("<tbody>")[2].partition("</tbody>")[0].split("</tr>")[:-1]:
        assert all_have in row or query != "?outcome=error"
    if not some:
        assert "Nothing like that" in text


async def test_a_session_is_found_by_its_hash_and_goes_on_over_pages(router):
    names, text = await listed(router, f"?session={session_hash('session-3')}")
    assert names == ["tr_000123", "tr_000083", "tr_000043", "tr_000003"]
    assert f'value="{session_hash("session-3")}"' in text
    names, text = await listed(router, "?outcome=ok")
    assert "outcome=ok&amp;before=" in text


async def test_the_same_is_to_be_had_as_json(router):
    reply = await get(router, f"/v1/traces?kind=docs&since={BEGAN_S + 300}")
    rows = reply.body["data"]
    assert rows
    assert all(r["task"]["kind"] == "docs" and r["at"] >= BEGAN_S + 300 for r in rows)
    assert {r["session_hash"] for r in rows} <= {session_hash(f"session-{n}") for n in range(40)}
    assert (await get(router, "/v1/traces?since=inf")).status == 400
    assert (await get(router, "/v1/traces?kind=x")).status == 400


@pytest.mark.parametrize("query", ["?mode=x", "?within=1", "?before=tr_unknown"])
async def test_what_makes_no_sense_is_told_on_a_page(router, query):
    reply = await get(router, f"/ui/traces{query}")
    assert (reply.status, reply.kind) == (400, "text/html")


async def test_what_was_asked_stands_in_the_form_and_stays_text(router):
    hostile = "%22%3E%3Cscript%3Ealert(1)%3C/script%3E%E2%80%AE%1B[31m"
    _, text = await listed(router, f"?model={hostile}&session={hostile}")
    assert "<script>alert" not in text
    assert "&lt;script&gt;" in text
    assert "\u202e" not in text
    assert "\x1b" not in text


async def test_without_anything_recorded_it_says_what_will_be_here(tmp_path):
    async with serving(tmp_path) as running:
        _, text = await listed(running)
    assert "Nothing is recorded yet" in text


# -- in a browser ------------------------------------------------------------------------------------------------------

VIEWS = ("/ui", "/ui/traces", "/ui/pool", "/ui/receipts", "/ui/nothing")


@pytest.mark.clients
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_view_fits_a_phone_in_both_colours(router, look, scheme):
    page = await look(router.root + VIEWS[0], scheme=scheme, width=390, height=844, allowed=[404])
    for view in VIEWS:
        await page.goto(router.root + view)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390, view
        paper = await page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", paper)[:3])) < 200) == (scheme == "dark")
        small = await page.evaluate(SMALL)
        assert small == [], view


SMALL = """() => [...document.querySelectorAll("main *:not(svg *), header *:not(svg *)")]
  .filter(e => e.innerText && e.getClientRects().length && e.children.length === 0 && parseFloat(getComputedStyle(e).fontSize) < 11.5)
  .map(e => e.innerText.slice(0, 40))"""


@pytest.mark.clients
async def test_the_keyboard_alone_reaches_the_views_and_filters_the_list(router, look):
    page = await look(f"{router.root}/ui/traces")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.className") == "skip"
    await page.keyboard.press("Enter")
    await page.wait_for_selector("#main:focus")
    await page.keyboard.press("Tab")
    await page.wait_for_selector("input[name=model]:focus")
    await page.keyboard.type("coder-a")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**model=coder-a**")
    found = await page.locator("tbody tr td:nth-child(3) .cut").all_inner_texts()
    assert set(found) <= {"coder-a"}
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    for _ in range(3):
        await page.keyboard.press("Tab")
    assert await page.evaluate(outline) == "solid"
