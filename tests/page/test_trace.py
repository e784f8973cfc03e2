"""One trace on the page: everything that was recorded, nothing that was not, and what other weights would change."""

import asyncio
import re

import pytest
import pytest_asyncio

from openfusion_auto.runtime.archive import UNREADABLE, row_of
from tests.page.asking import get
from tests.page.hostile import HOSTILE, check_harmless, check_shown
from tests.server.conftest import FOUR, candidate
from tests.server.live import send, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

TASK = "Fix the race condition in src/auth/session.py: two refreshes at once log the user out. Production is affected."
ANSWER = "Take a lock:\n\n```python\nasync with session.lock:\n    await refresh(session)\n```\n\n| case | before | after |\n|---|---|--:|\n| two refreshes | logged out | 1 call |"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def quiet(tmp_path_factory):
    """A router that keeps no words."""
    unpriced = candidate("nobody-knows")
    del unpriced["price_usd_per_mtok"]
    async with serving(tmp_path_factory.mktemp("quiet"), candidates=[*FOUR, unpriced]) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def wordy(tmp_path_factory):
    """A router that keeps words."""
    async with serving(
        tmp_path_factory.mktemp("wordy"), candidates=FOUR, store={"texts": True}
    ) as running:
        yield running


async def asked(router, text=TASK, script=(), **options):
    """Ask, and return the id of the trace."""
    router.up.script = list(script)
    body = {"model": "openfusion/auto", "messages": [{"role": "user", "content": text}]}
    reply = await send(router, {**body, "openfusion": options})
    return reply.headers["x-openfusion-trace-id"]


async def shown(router, name, query=""):
    reply = await get(router, f"/ui/traces/{name}{query}")
    assert reply.status == 200
    return reply.raw.decode()


def rows(html, table):
    """The cells of a table's rows, as text."""
    body = re.search(rf'<table class="{table}">(.*?)</table>', html, re.DOTALL)[1]
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in body.split("<tr>")]
    return [[re.sub("<[^>]+>", "", c).strip() for c in row] for row in cells if row]


async def test_a_trace_shows_its_evidence_its_ranking_its_calls_and_its_money(quiet):
    name = await asked(quiet, mode="single")
    html = await shown(quiet, name)
    for word in ("bugfix", "production", "coder-a", "asked first", "cost_quality", "first token"):
        assert word in html, word
    assert html.count('class="bar"') == 5
    assert "would make it first" in html
    *lines, total = rows(html, "money")
    paid = [float(row[-1].removeprefix("$")) for row in lines]
    assert round(sum(paid), 6) == float(total[-1].removeprefix("$"))
    assert paid[0] > 0


async def test_without_words_the_prompt_is_not_there_and_how_to_keep_it_is_said(quiet):
    html = await shown(quiet, await asked(quiet, mode="panel"))
    assert "two refreshes" not in html
    assert "texts = true" in html


async def test_a_judge_that_saw_both_orders_is_told_of_with_what_it_came_to(quiet):
    both = ["coder-a", "fast-a"]
    first = 'say:{"best": 1}'  # whatever stands there: a tie
    name = await asked(
        quiet, script=["say:One.", "say:Two.", first, first], mode="panel", panel=both
    )
    assert "the judge saw both orders: a tie" in await shown(quiet, name)
    assert "judge saw both" not in await shown(quiet, await asked(quiet, mode="single"))


async def test_with_words_the_evidence_is_marked_in_the_prompt_and_answers_stand_side_by_side(
    wordy,
):
    name = await asked(wordy, script=[f"say:{ANSWER}", "say:Use a queue.", f"say:{ANSWER}"], mode="panel", aggregator="vote")  # fmt: skip
    html = await shown(wordy, name)
    assert "<mark>Production</mark>" in html
    assert html.count("<article") == 3
    assert '<span class="t-k">async</span>' in html
    assert "Use a queue." in html
    assert html.count("delivered") == 1
    assert "texts = true" not in html


async def test_failed_calls_and_what_came_instead_are_on_the_timeline(quiet):
    html = await shown(quiet, await asked(quiet, script=["F25", "ok"], mode="single"))
    assert "upstream_" in html
    assert re.search(r"try 2|instead of coder-a", html)


async def test_a_request_that_nobody_could_serve_is_shown_as_that(quiet):
    name = await asked(quiet, max_usd=1e-9)
    html = await shown(quiet, name)
    assert "No answer" in html
    assert "budget_exceeded" in html
    assert "Nobody was called" in html


async def test_an_unknown_price_is_unknown_in_the_line_and_in_the_sum(quiet):
    name = await asked(quiet, candidates=["nobody-knows"], mode="single")
    *lines, total = rows(await shown(quiet, name), "money")
    assert [row[-1] for row in (*lines, total)] == ["unknown", "unknown"]


async def test_a_request_on_its_way_is_shown_as_far_as_it_is(quiet):
    quiet.up.script = ["gate:slow:ok"]
    body = {"model": "coder-a", "messages": [{"role": "user", "content": "slow"}]}
    sent = asyncio.ensure_future(send(quiet, body))
    async with asyncio.timeout(30):
        while not quiet.up.open_now:
            await asyncio.sleep(0.01)
    html = await shown(quiet, quiet.engine.traces.latest(1)[0].id)
    quiet.up.gates["slow"].set()
    await sent
    assert "still running" in html
    assert 'class="wait running"' in html


async def test_an_unknown_trace_is_not_found(quiet):
    for path in ("/ui/traces/tr_unknown", "/ui/traces/tr_unknown/what-if"):
        assert (await get(quiet, path)).status == 404


async def test_a_trace_of_another_version_is_shown_as_far_as_it_can_be(quiet):
    name = await asked(quiet)
    store, memory = quiet.engine.means.books.store, quiet.engine.traces
    row = row_of(memory.get(name))
    odd = row._replace(head=row.head._replace(id="tr_odd"), document=b"of another version")
    store.record("tr_odd", lambda: odd)
    html = await shown(quiet, "tr_odd")
    assert UNREADABLE in html
    assert UNREADABLE in (await get(quiet, "/ui/traces/tr_odd/what-if")).raw.decode()


# -- what if -----------------------------------------------------------------------------------------------------------


async def test_settings_in_the_address_are_decided_again_without_a_script(quiet):
    name = await asked(quiet, mode="single")
    piece = (await get(quiet, f"/ui/traces/{name}/what-if?cost_quality=10")).raw.decode()
    assert "fast-a" in piece
    assert "<html" not in piece
    whole = await shown(quiet, name, "?cost_quality=10&latency=0.5")
    assert 'name="cost_quality" min="0" max="10.0" step="0.1" value="10.0"' in whole
    assert 'name="latency" min="0" max="1.0" step="0.01" value="0.5"' in whole
    assert "Term by term" in whole
    same = (await get(quiet, f"/ui/traces/{name}/what-if")).raw.decode()
    assert "Nothing would change" in same


@pytest.mark.parametrize(
    "query", ["cost_quality=11", "cost_quality=nan", "skill=-1", "skill=x", "latency=inf"]
)
async def test_settings_out_of_range_are_refused(quiet, query):
    name = await asked(quiet)
    assert (await get(quiet, f"/ui/traces/{name}/what-if?{query}")).status == 400


async def test_what_was_not_decided_has_no_sliders(quiet):
    name = await asked(quiet, candidates=["not-there"])
    html = await shown(quiet, name)
    assert "<input" not in html
    assert "Nothing was decided" in html


# -- in a browser ------------------------------------------------------------------------------------------------------


@pytest.mark.clients
async def test_sliders_are_moved_by_keyboard_and_the_server_answers(quiet, look):
    name = await asked(quiet, mode="single")
    page = await look(f"{quiet.root}/ui/traces/{name}")
    knob = page.locator("input[name=cost_quality]")
    await knob.focus()
    await page.keyboard.press("End")
    await page.wait_for_selector("#change >> text=fast-a")
    assert (await page.locator("#change .moved dd").first.inner_text()).endswith(" fast-a")
    await page.keyboard.press("Tab")
    await page.keyboard.press("End")  # of the first weight, skill
    assert await page.locator(".sliders output").nth(1).inner_text() == "1.00"
    await page.click("text=As it was")
    await page.wait_for_selector("#change >> text=Nothing would change")
    assert await knob.input_value() == "5"


@pytest.mark.clients
@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_answers_and_prompts_stay_text(wordy, look, name):
    text = HOSTILE[name]
    trace = await asked(wordy, text=f"{text} [[words:1]]", script=[f"say:{text}"], mode="single")
    page = await look(f"{wordy.root}/ui/traces/{trace}")
    await check_harmless(page)
    await check_shown(page, ".prose", text)


@pytest.mark.clients
@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 1200), ("light", 390)])
async def test_it_fits_the_window_and_names_what_it_draws(wordy, look, scheme, width):
    name = await asked(wordy, script=[f"say:{ANSWER}", "say:Use a queue.", f"say:{ANSWER}"], mode="panel", aggregator="vote")  # fmt: skip
    page = await look(f"{wordy.root}/ui/traces/{name}?cost_quality=9", scheme=scheme, width=width)
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    unnamed = "[...document.querySelectorAll('svg')].filter(s => !s.getAttribute('aria-label') && !s.closest('[aria-hidden]')).length"
    assert await page.evaluate(unnamed) == 0


async def test_the_list_is_searched_by_words_where_they_are_kept(wordy, quiet):
    name = await asked(wordy, text="[[say:the plum is on the sill]] where?", mode="single")
    found = (await get(wordy, "/ui/traces?text=PLUM")).raw.decode()
    assert name in found
    assert 'name="text" value="PLUM"' in found
    assert "Nothing like that" in (await get(wordy, "/ui/traces?text=pear")).raw.decode()
    assert 'name="text"' not in (await get(quiet, "/ui/traces")).raw.decode()
