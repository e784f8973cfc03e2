"""Receipts: listed, checked again, two beside each other; a damaged or hostile one breaks nothing."""

import json
from pathlib import Path

import pytest
import pytest_asyncio

from openfusion_auto.evals.shelf import FOLDER, read_document
from openfusion_auto.page.mount import RECEIPTS
from openfusion_auto.page.receipts import compared, shown
from openfusion_auto.server.keys import PAGE
from tests.page.asking import get
from tests.server.live import serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

SAMPLES = Path(__file__).resolve().parents[2] / "receipts" / "samples"
HOSTILE = "<script>alert(1)</script>"


def put(folder, number, name, change=None):
    """Put a sample into the folder under a number; `change` is done to its text. Returns the file."""
    text = (SAMPLES / f"{name}.json").read_text(encoding="utf-8")
    text = change(text) if change else text
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{number:06}-{name.replace('-', '')}-{number:012x}.json"
    path.write_text(text, encoding="utf-8")
    return path


def hostile(text):
    document = json.loads(text)
    document["made"]["at"] = HOSTILE
    document["runs"][0]["answered_by"] = f"{HOSTILE}\u202e\x1b[31m"
    document["statement"] = HOSTILE + "A" * 1_000_000
    document["kind"] = HOSTILE
    return json.dumps(document)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def router(tmp_path_factory):
    place = tmp_path_factory.mktemp("receipts")
    folder = place / "state" / FOLDER
    put(folder, 1, "single")
    put(folder, 2, "comparison")
    put(folder, 3, "comparison", lambda text: text.replace('"usd":', '"usd": ', 1))
    put(folder, 4, "panel", hostile)
    put(folder, 5, "verify", lambda _: "{")
    async with serving(place) as running:
        yield running


async def test_they_are_listed_the_newest_first(router):
    text = (await get(router, "/ui/receipts")).shown
    places = [text.index(f'href="/ui/receipts/{n}"') for n in (5, 4, 3, 2, 1)]
    assert places == sorted(places)
    assert HOSTILE not in text
    assert "Verified" not in text
    older = (await get(router, "/ui/receipts?before=3")).shown
    assert "/ui/receipts/2" in older
    assert "/ui/receipts/3" not in older


async def test_all_are_checked_when_that_is_asked(router):
    text = (await get(router, "/ui/receipts?check=1")).shown
    assert "3 of 5 are not what was written. The chain is broken" in text
    assert text.count(">whole<") == 2


async def test_one_that_is_whole_says_so_and_what_is_in_it(router):
    text = (await get(router, "/ui/receipts/2")).shown
    document = read_document(SAMPLES / "comparison.json")
    assert ">whole<" in text
    assert document["digest"] in text
    for figure in document["summary"]["contenders"]:
        assert f"{figure['answered']} of {figure['runs']}" in text
    assert all(run["case"] in text for run in document["runs"])


async def test_one_that_was_changed_says_where(router):
    text = (await get(router, "/ui/receipts/3")).shown
    assert "Not what was written" in text
    assert "the bytes are not as they were written" in text


async def test_a_hostile_one_stays_text_and_a_damaged_one_is_told(router):
    text = (await get(router, "/ui/receipts/4")).shown
    assert HOSTILE not in text
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert "&lt;script&gt;" in text
    assert "too damaged to be shown" in (await get(router, "/ui/receipts/5")).shown


DAMAGES = {
    "a figure is gone": lambda d: d["summary"]["contenders"][0].pop("calls"),
    "no decision": lambda d: d["runs"][0].update(decision="none"),
    "half a task": lambda d: d["runs"][0]["decision"]["task"].pop("kind"),
    "no number": lambda d: d["runs"][0].update(usd=float("inf")),
    "no digest": lambda d: d.pop("digest"),
}


@pytest.mark.parametrize("name", DAMAGES)
async def test_one_that_is_damaged_inside_is_told_and_compared_with_nothing(router, name):
    def damaged(text):
        document = json.loads(text)
        DAMAGES[name](document)
        return json.dumps(document)

    path = put(router.app[PAGE].receipts, 7, "comparison", damaged)
    try:
        reply = await get(router, "/ui/receipts/7")
        assert reply.status == 200
        assert "Not what was written" in reply.shown
        assert (await get(router, "/ui/receipts/diff?of=2&of=7")).status in (200, 400)
    finally:
        path.unlink()


async def test_one_that_cannot_be_read_is_a_finding_among_the_others(router):
    path = router.app[PAGE].receipts / "000007-comparison-aaaaaaaaaaaa.json"
    path.mkdir()
    try:
        reply = await get(router, "/ui/receipts?check=1")
    finally:
        path.rmdir()
    assert reply.status == 200
    assert "4 of 6 are not what was written. The chain is broken" in reply.shown


@pytest.mark.parametrize("name", ["9", "0x1", "-1", "1" * 30, "%C2%B9", "..%2F1"])
async def test_what_is_no_receipt_is_not_found(router, name):
    assert (await get(router, f"/ui/receipts/{name}")).status == 404


async def test_two_are_compared_decision_by_decision(router):
    text = (await get(router, "/ui/receipts/diff?of=3&of=2")).shown
    assert "Receipt 2 beside 3" in text
    assert "decisions that both have are the same, bit for bit" in text
    assert "that both have" in (await get(router, "/ui/receipts/diff?of=1&of=2")).shown


@pytest.mark.parametrize(
    ("query", "status"),
    [("", 400), ("of=1", 400), ("of=1&of=1", 400), ("of=1&of=2&of=3", 400), ("of=1&of=9", 404), ("of=1&of=5", 400), ("of=1&of=x", 404)],
)  # fmt: skip
async def test_two_that_cannot_be_compared_are_refused(router, query, status):
    assert (await get(router, f"/ui/receipts/diff?{query}")).status == status


async def test_a_decision_that_changed_says_what_moved():
    old = read_document(SAMPLES / "single.json")
    new = json.loads(json.dumps(old))
    decision = new["runs"][0]["decision"]
    decision["digest"] = "sha256:other"
    decision["ranking"][0]["terms"][0]["points"] += 0.5
    (row,) = compared(old, new)
    assert not row["same"]
    assert [c["candidate"] for c in row["candidates"]] == [decision["ranking"][0]["candidate"]]


async def test_the_folder_is_the_one_of_the_command_line():
    assert RECEIPTS == FOLDER
    assert shown({}) is None


async def test_without_any_it_says_how_to_make_one(tmp_path):
    async with serving(tmp_path) as running:
        assert "openfusion compare --dry-run" in (await get(running, "/ui/receipts")).shown


@pytest.mark.clients
async def test_a_person_chooses_two_and_compares_them(router, look):
    page = await look(f"{router.root}/ui/receipts")
    for number in (2, 3):
        await page.get_by_label(f"Compare receipt {number}").press("Space")
    await page.get_by_role("button", name="Compare two").press("Enter")
    await page.wait_for_selector("h1:has-text('Receipt 2 beside 3')")
    await page.goto(f"{router.root}/ui/receipts/4")
    assert await page.locator("main script").count() == 0
    # A line of a million letters neither widens the page nor takes its time.
    await page.set_viewport_size({"width": 390, "height": 844})
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    assert "letters more]" in await page.locator("main").inner_text()
