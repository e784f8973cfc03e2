"""Asking by hand on the page: priced before, streamed, stopped, and shown as text whatever a model says."""

import asyncio
import json
import re

import pytest
import pytest_asyncio

from openfusion_auto.page.mount import HEADERS
from openfusion_auto.page.playground import AGGREGATORS, WAYS
from openfusion_auto.wire.options import read_options
from tests.page.asking import get
from tests.page.hostile import HOSTILE, check_harmless, check_shown
from tests.server.conftest import FOUR
from tests.server.live import check_refusal, send, serving, upstream_entry

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEY = "operator-key-of-the-test"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def router(tmp_path_factory):
    async with serving(tmp_path_factory.mktemp("play"), candidates=FOUR) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def locked(tmp_path_factory):
    async with serving(
        tmp_path_factory.mktemp("locked"), candidates=FOUR, client_keys=KEY
    ) as running:
        yield running


def body(text="hi", **more):
    return {"model": "openfusion/auto", "messages": [{"role": "user", "content": text}], **more}


async def post(router, path, value, **headers):
    """Send JSON as the page's script does."""
    headers = {"Origin": router.root, **headers}
    return await send(router, value, path=f"/../ui/playground/{path}", headers=headers)


async def test_every_way_that_is_offered_is_one_that_a_request_may_ask_for():
    for value, _ in WAYS:
        field, _, way = value.partition(":")
        read_options({field: way} if field else {})
    for value, _ in AGGREGATORS:
        read_options({"aggregator": value or None})


async def test_the_view_names_ways_and_models_and_holds_no_key(router):
    html = (await get(router, "/ui/playground")).raw.decode()
    for word in (
        "<option>openfusion/fusion<",
        "<option>coder-a<",
        "preset:quality",
        "strategy:debate",
        "vote",
        "Words are not kept",
    ):
        assert word in html
    assert "sk-upstream-secret" not in html


async def test_asking_and_pricing_are_those_of_the_api(router):
    asked = await post(router, "ask", body("[[say:fine]] hi"))
    assert (asked.status, asked.text) == (200, "fine")
    assert asked.headers["x-openfusion-trace-id"].startswith("tr_")
    priced = (await post(router, "estimate", body())).body
    assert priced == (await send(router, body(), path="/estimate")).body


@pytest.mark.parametrize("path", ["ask", "estimate"])
async def test_a_refusal_is_told_to_the_script_as_the_api_tells_it(router, path):
    reply = await post(router, path, body(model="nobody"))
    check_refusal(reply, code="model_not_found")


@pytest.mark.parametrize("path", ["ask", "estimate", "markdown"])
async def test_nobody_but_the_page_itself_asks(router, locked, path):
    for origin in (None, "https://evil.example", "http://localhost:1"):
        reply = await post(router, path, body(text="x"), Origin=origin)
        assert reply.status == 403
    assert (await post(locked, path, body())).status == 401


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_is_guarded_as_every_view_also_while_it_streams(router, stream):
    reply = await post(router, "ask", body("[[say:fine]]", stream=stream))
    assert reply.status == 200
    for name in ("X-Content-Type-Options", "Content-Security-Policy"):
        assert reply.headers[name.lower()] == HEADERS[name]
    elsewhere = await send(router, body("[[say:fine]]", stream=stream))
    assert "content-security-policy" not in elsewhere.headers


async def test_markdown_is_made_safe_by_the_server(router):
    reply = await post(router, "markdown", {"text": "**b** <script>x</script>"})
    assert (
        reply.raw.decode()
        == '<p dir="auto"><strong>b</strong> &lt;script&gt;x&lt;/script&gt;</p>\n'
    )
    assert reply.kind == "text/html"
    for wrong in ({}, [], {"text": 1}, b"not json"):
        assert (await post(router, "markdown", wrong)).status == 400


# -- in a browser ------------------------------------------------------------------------------------------------------


async def opened(router, look, **window):
    router.up.script = []
    return await look(f"{router.root}/ui/playground", **window)


async def ask(page, text):
    await page.fill("textarea", text)
    await page.click("button[name=send]")


async def until(page, text):
    await page.wait_for_selector(f"#state:has-text('{text}')")


@pytest.mark.clients
async def test_a_question_is_priced_asked_with_the_keyboard_and_linked_to_its_trace(router, look):
    page = await opened(router, look)
    await page.wait_for_selector("textarea:focus")  # comes a moment after the page
    await page.keyboard.type("[[say:It is **done**.]] Fix the race")
    await page.wait_for_selector("#estimate:has-text('at worst $')")
    await page.keyboard.press("Control+Enter")
    await until(page, "Answered")
    await page.wait_for_selector("#answer strong:has-text('done')")
    assert "$" in await page.inner_text("#end")
    await page.click("text=the whole trace")
    await page.wait_for_selector("h2:has-text('What it cost')")


@pytest.mark.clients
async def test_a_panel_tells_how_it_goes_and_what_it_agrees_on(router, look):
    page = await opened(router, look)
    analysis = {"consensus": ["all say yes"], "contradictions": [], "partial_coverage": [], "unique_insights": [], "blind_spots": ["cost"]}  # fmt: skip
    await page.select_option("select[name=way]", "mode:panel")
    await page.click("summary:has-text('Panel')")
    for name in ("coder-a", "reasoner-a", "verifier-a"):
        await page.check(f"input[name=panel][value={name}]")
    await page.select_option("select[name=judge]", "fast-a")
    await page.check("input[name=analysis]")
    before = len(router.up.requests)
    router.up.script = [
        "ok",
        "ok",
        "gate:third:ok",
        f"say:{json.dumps(analysis)}",
        'say:{"best": 1}',
    ]
    await ask(page, "[[say:yes]] Is it so?")
    await page.wait_for_selector("#calls .running")
    await page.wait_for_selector("#calls .ok >> nth=1")
    await until(page, "2 of")
    router.up.gates["third"].set()
    await until(page, "Answered")
    assert (await page.inner_text("#answer")).strip() == "yes"
    assert "all say yes" in await page.inner_text("#analysis")
    members = [r.body["model"] for r in router.up.requests[before : before + 3]]
    assert sorted(members) == ["vendor/coder-a", "vendor/reasoner-a", "vendor/verifier-a"]


@pytest.mark.parametrize(
    ("dialect", "offers", "shown"),
    [
        ("chat", ["web_search"], ["web_search", "web_fetch"]),
        ("responses", ["web_search"], ["web_search"]),
        ("chat", ["models"], []),
    ],
)
async def test_the_web_tools_are_those_that_somebody_here_has(tmp_path, dialect, offers, shown):
    ups = {"relay": {"offers": offers}, "idle": {"offers": ["web_search"]}}  # nobody is at `idle`
    tables = [
        {**upstream_entry(n, "http://127.0.0.1:9/v1"), "dialect": dialect, **more}
        for n, more in ups.items()
    ]
    async with serving(tmp_path, candidates=FOUR, upstreams=tables) as running:
        html = (await get(running, "/ui/playground")).raw.decode()
        assert re.findall('name="tools" value="(.*?)"', html) == shown


@pytest.mark.clients
async def test_web_tools_are_offered_where_an_upstream_has_them_and_go_along(
    router, tmp_path, look
):
    assert 'name="tools"' not in (await get(router, "/ui/playground")).raw.decode()
    async with serving(tmp_path, candidates=FOUR, offers=["web_search"]) as running:
        page = await opened(running, look)
        await page.check("input[name=tools][value=web_search]")
        await ask(page, "[[say:fine]] What is new?")
        await until(page, "Answered")
        tools = running.up.requests[-1].body["tools"]
        assert [tool["type"] for tool in tools] == ["openrouter:web_search"]


@pytest.mark.clients
async def test_stopping_cuts_the_call_upstream(router, look):
    page = await opened(router, look)
    router.up.script = ["gate:never:ok"]
    before = len(router.up.hung_up)
    await ask(page, "think long")
    await page.wait_for_selector("#calls .running")
    await page.keyboard.press("Escape")
    await until(page, "Stopped")
    async with asyncio.timeout(30):
        while len(router.up.hung_up) == before:
            await asyncio.sleep(0.02)
    await page.wait_for_selector("button[name=send]:enabled")
    name = (await page.get_attribute("#end a", "href")).rpartition("/")[2]
    assert router.engine.traces.get(name).outcome == "cancelled"


@pytest.mark.clients
async def test_files_go_along_and_what_is_neither_text_nor_picture_does_not(router, look):
    page = await opened(router, look)
    await page.set_input_files("input[name=files]", [
        {"name": "a.py", "mimeType": "text/x-python", "buffer": b"x = '```'\n"},
        {"name": "p.png", "mimeType": "image/png", "buffer": b"\x89PNG"},
    ])  # fmt: skip
    await page.wait_for_timeout(100)
    await ask(page, "[[say:fine]] look")
    await until(page, "Answered")
    parts = router.up.requests[-1].body["messages"][0]["content"]
    assert parts[1]["text"] == "a.py\n````\nx = '```'\n\n````"
    assert parts[2]["image_url"]["url"] == "data:image/png;base64,iVBORw=="
    await page.set_input_files(
        "input[name=files]", [{"name": "b", "mimeType": "", "buffer": b"\xff\xfe"}]
    )
    await page.wait_for_selector("input[name=files]:invalid")


@pytest.mark.clients
async def test_what_goes_wrong_is_said(router, look):
    page = await opened(router, look, allowed=[400])
    await page.fill("input[name=max_usd]", "0.000000001")
    await page.fill("textarea", "too dear")
    await page.wait_for_selector("#estimate:has-text('fits the budget')")
    await page.click("button[name=send]")
    await until(page, "fits the budget")


@pytest.mark.clients
@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_answers_stay_text_while_they_come_and_after(router, look, name):
    page = await opened(router, look)
    router.up.script = [f"say:{HOSTILE[name]}"]
    await ask(page, "say something")
    await until(page, "Answered")
    await page.wait_for_selector("#answer > p, #answer > .code, #answer > pre.plain")
    await check_harmless(page)
    await check_shown(page, "#answer", HOSTILE[name])


@pytest.mark.clients
async def test_who_signed_in_asks_without_a_key_in_the_browser(locked, look):
    page = await look(f"{locked.root}/ui/playground", allowed=[401])
    await page.wait_for_selector(
        "input[name=key]:focus"
    )  # the page puts the cursor there by itself
    await page.keyboard.type(KEY)
    await page.keyboard.press("Enter")
    await page.wait_for_selector("textarea")
    await ask(page, "[[say:fine]] hi")
    await until(page, "Answered")
    stored = "JSON.stringify([document.cookie, {...localStorage}, {...sessionStorage}, document.documentElement.outerHTML])"
    assert KEY not in await page.evaluate(stored)


@pytest.mark.clients
async def test_it_fits_a_phone(router, look):
    page = await opened(router, look, width=390)
    await page.click("summary:has-text('Panel')")
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
