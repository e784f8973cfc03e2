"""A key given on the page: to memory alone, from this machine alone, only where the configuration says so."""

import asyncio
import json
import logging
import threading
from urllib.parse import urlencode

import pytest
import pytest_asyncio

from openfusion_auto.config.keyfile import Wish, create, path_in
from openfusion_auto.server.follow import FOLLOWER
from openfusion_auto.server.keys import CONFIG
from tests.page.asking import get, post
from tests.server.conftest import FOUR, KEY_ENV
from tests.server.live import raw, replies, send, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

GIVEN = "sk-given-on-the-page-0123456789"
ON = {"page": {"take_keys": True}, "store": {"texts": True}}
ASKED = {"model": "openfusion/auto", "messages": [{"role": "user", "content": "[[say:fine]] hi"}]}
FORM = {"upstream": "relay", "key": GIVEN}


@pytest_asyncio.fixture(loop_scope="session")
async def open_router(tmp_path):
    async with serving(tmp_path, api_key="", candidates=FOUR, follow=True, **ON) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shut(tmp_path_factory):
    """As everybody's is: it takes no keys."""
    folder = tmp_path_factory.mktemp("shut")
    async with serving(folder, api_key="", candidates=FOUR, follow=True) as running:
        yield running


async def sent_key(router):
    """The key that the next call carries."""
    assert (await send(router, ASKED)).status == 200
    return router.up.requests[-1].headers.get("authorization")


async def give(router, form=FORM, **headers):
    return await post(router, "/ui/playground/key", form, **headers)


async def test_a_given_key_is_sent_upstream_and_shown_nowhere(open_router, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    assert await sent_key(open_router) is None
    status, headers, _ = await give(open_router)
    assert (status, headers["Location"]) == (303, "/ui/playground#keys")
    assert await sent_key(open_router) == f"Bearer {GIVEN}"
    shown = [(await get(open_router, path)).raw.decode() for path in ("/ui/playground", "/ui", "/health", "/v1/config", "/v1/traces", "/metrics")]  # fmt: skip
    assert "has a key until the server ends" in shown[0]
    open_router.up.script = ["F64"]  # an upstream that quotes what it was sent
    shown.append((await send(open_router, {**ASKED, "stream": True})).raw.decode())
    assert not open_router.up.script
    assert "is not set" not in caplog.text[caplog.text.rindex("configuration read again") :]
    traces = json.loads((await get(open_router, "/v1/traces")).raw)["data"]
    shown += [(await get(open_router, f"/v1/traces/{t['trace_id']}")).raw.decode() for t in traces]
    assert GIVEN not in "".join(shown) + caplog.text
    written = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert any(p.suffix == ".sqlite3" for p in written)
    assert not [p for p in written if GIVEN.encode() in p.read_bytes()]


async def test_a_key_can_be_forgotten_and_outlives_a_reading_of_the_files(open_router, tmp_path):
    await give(open_router)
    config = tmp_path / "openfusion.toml"
    before = open_router.app[CONFIG].reloads["ok"]
    config.write_text(config.read_text() + "\n[auto]\ncost_quality = 7\n")
    await give(open_router, {"upstream": "relay", "key": GIVEN})  # reads the files at once
    assert open_router.app[CONFIG].reloads["ok"] > before
    assert await sent_key(open_router) == f"Bearer {GIVEN}"
    assert (await give(open_router, {"upstream": "relay", "key": ""}))[0] == 303
    assert await sent_key(open_router) is None


async def test_while_the_configuration_cannot_be_read_nothing_changes(open_router, tmp_path):
    config = tmp_path / "openfusion.toml"
    sound = config.read_text()
    config.write_text("nonsense")
    assert (await give(open_router))[0] == 503
    assert await sent_key(open_router) is None
    config.write_text(sound)
    await give(open_router)
    config.write_text("nonsense")
    for key in ("sk-another-0123456789", ""):
        assert (await give(open_router, {"upstream": "relay", "key": key}))[0] == 503
    assert "Forget it" in (await get(open_router, "/ui/playground")).raw.decode()
    config.write_text(sound)
    await open_router.app[FOLLOWER].tick()
    assert await sent_key(open_router) == f"Bearer {GIVEN}"


async def test_who_goes_away_meanwhile_cuts_no_reading_off(open_router, tmp_path, monkeypatch):
    follower, begun, may = open_router.app[FOLLOWER], threading.Event(), threading.Event()
    read = follower._read

    def slow():
        begun.set()
        assert may.wait(5)
        return read()

    monkeypatch.setattr(follower, "_read", slow)
    config = tmp_path / "openfusion.toml"
    config.write_text(config.read_text() + "\n[auto]\ncost_quality = 7\n")
    gone = asyncio.create_task(give(open_router))
    assert await asyncio.to_thread(begun.wait, 5)
    gone.cancel()
    await asyncio.sleep(0.1)  # the server hears of it
    may.set()
    await follower.tick()  # after the one that has begun
    assert await sent_key(open_router) == f"Bearer {GIVEN}"
    assert follower.settings.policy.cost_quality == 7


async def test_a_proxy_that_was_told_nothing_speaks_http_1_0(open_router):
    """As nginx does: to an address of this machine, with no word of whom it asks for."""
    body = urlencode(FORM).encode()
    head = b"POST /ui/playground/key HTTP/1.%d\r\nHost: @HOST@\r\nOrigin: http://@HOST@\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n"  # fmt: skip
    told = [await raw(open_router, head % (minor, len(body)) + body) for minor in (0, 1)]
    assert [replies(t)[0].status for t in told] == [403, 303]


@pytest.mark.parametrize(
    ("form", "headers", "status"),
    [
        ({"upstream": "nobody", "key": GIVEN}, {}, 400),
        ({}, {}, 400),
        ({"upstream": "relay", "key": "two words"}, {}, 400),
        ({"upstream": "relay", "key": "k" * 20_000}, {}, 413),
        (FORM, {"Origin": "https://evil.example"}, 403),
        (FORM, {"Origin": "http://localhost:1"}, 403),
        (FORM, {"Origin": "null"}, 403),
        (FORM, {"X-Forwarded-For": "203.0.113.9"}, 403),
        (FORM, {"X-Forwarded-Proto": "https"}, 403),
        (FORM, {"Via": "1.1 proxy"}, 403),
        (FORM, {"Host": "router.example", "Origin": "http://router.example"}, 403),
    ],
)
async def test_nobody_else_gives_one_and_nothing_else_is_one(open_router, form, headers, status):
    assert (await give(open_router, form, **headers))[0] == status
    assert await sent_key(open_router) is None


async def test_a_name_that_is_served_beside_loopback_gives_none(tmp_path):
    more = {**ON, "server": {"allowed_hosts": ["router.example"]}}
    async with serving(tmp_path, api_key="", candidates=FOUR, follow=True, **more) as running:
        headers = {"Host": "router.example", "Origin": "http://router.example"}
        status, _, text = await give(running, **headers)
        assert status == 403
        assert "own machine alone" in text
        html = (await get(running, "/ui/playground", Host="router.example")).raw.decode()
        assert 'name="key"' not in html


async def test_without_the_switch_none_is_taken_and_nothing_offers_to(shut):
    status, _, text = await give(shut)
    assert status == 403
    assert "page.take_keys" in text
    assert await sent_key(shut) is None
    assert 'name="key"' not in (await get(shut, "/ui/playground")).raw.decode()


async def test_why_no_key_is_taken_stands_on_the_page(tmp_path, shut, monkeypatch):
    """With the way that there is instead: who lacks a key looks for it where the page says that it is missing."""

    async def said(router):
        html = (await get(router, "/ui/playground")).raw.decode()
        return html.partition('id="keys"')[2].partition("</section>")[0]

    away = [{"name": "relay", "base_url": "https://relay.invalid/v1", "api_key_env": KEY_ENV}]
    async with serving(
        tmp_path, api_key="", candidates=FOUR, follow=True, upstreams=away
    ) as running:
        assert f"relay (set {KEY_ENV})" in await said(running)
        assert "page.take_keys is not set" in await said(running)
        assert "openfusion chat" in await said(running)
    async with serving(
        tmp_path, api_key="", candidates=FOUR, follow=True, upstreams=away, **ON
    ) as running:
        assert 'name="key"' in await said(running)
        monkeypatch.setattr("openfusion_auto.page.keys.HELD", object())  # as where several serve
        assert "Several workers serve" in await said(running)
        assert 'name="key"' not in await said(running)
        assert "Several workers serve" in (await give(running))[2]
    assert await said(shut) == ""  # it is called without a key, as servers on this machine are


async def test_a_team_s_key_gives_none_and_sees_none(tmp_path):
    """Who has a gateway key of its own sees no keys of upstreams; an operator's key does."""
    _, team = create(path_in(tmp_path / "state"), Wish("team"), 0.0)
    async with serving(
        tmp_path, api_key="", candidates=FOUR, follow=True, client_keys="operator", **ON
    ) as running:
        assert (await give(running))[0] == 401
        for key, status, seen in ((team, 403, False), ("operator", 303, True)):
            headers = {"Authorization": f"Bearer {key}"}
            html = (await get(running, "/ui/playground", **headers)).raw.decode()
            assert (KEY_ENV in html, (await give(running, **headers))[0]) == (seen, status)


@pytest.mark.clients
async def test_a_key_is_given_in_the_browser_and_does_not_come_back(open_router, look):
    page = await look(f"{open_router.root}/ui/playground")
    await page.fill("input[name=key]", GIVEN)
    await page.click("button:has-text('Give')")
    await page.wait_for_selector("text=has a key until the server ends")
    assert GIVEN not in await page.content()
    await page.fill("textarea", "[[say:fine]] hi")
    await page.click("button[name=send]")
    await page.wait_for_selector("#state:has-text('Answered')")
    assert open_router.up.requests[-1].headers["authorization"] == f"Bearer {GIVEN}"
    await page.click("button:has-text('Forget it')")
    await page.wait_for_selector(f"label:has-text('{KEY_ENV}')")
