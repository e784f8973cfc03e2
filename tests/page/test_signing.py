"""Signing in on the page with a gateway key."""

import pytest
import pytest_asyncio

from tests.page.asking import get, post
from tests.server.live import send, serving

pytestmark = pytest.mark.asyncio(loop_scope="session")

FORM = "application/x-www-form-urlencoded"
KEY = "operator-key-of-the-test"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def locked(tmp_path_factory):
    async with serving(tmp_path_factory.mktemp("locked"), client_keys=KEY) as running:
        yield running


async def sign_in(router, **form):
    return await post(router, "/ui/sign-in", form)


async def test_without_a_key_every_view_is_the_sign_in(locked):
    for path in ("/ui", "/ui/traces?mode=panel", "/ui/nothing"):
        reply = await get(locked, path)
        assert (reply.status, reply.kind) == (401, "text/html")
        assert 'name="key"' in reply.shown
    assert 'value="/ui/traces?mode=panel"' in (await get(locked, "/ui/traces?mode=panel")).shown
    assert (await get(locked, "/ui/static/page.css")).status == 200


async def test_a_key_gives_a_cookie_that_opens_the_page_and_nothing_else(locked):
    status, headers, _ = await sign_in(locked, key=f" {KEY} ", next="/ui/pool")
    assert (status, headers["Location"]) == (303, "/ui/pool")
    cookie = headers["Set-Cookie"]
    for wanted in ("HttpOnly", "SameSite=Strict", "Path=/ui", "Max-Age=43200"):
        assert wanted in cookie
    assert KEY not in cookie
    shown = cookie.partition(";")[0]
    assert (await get(locked, "/ui", Cookie=shown)).status == 200
    assert (
        await send(locked, None, method="GET", path="/models", headers={"Cookie": shown})
    ).status == 401
    assert (await get(locked, "/ui", Cookie=shown[:-1] + "0x")).status == 401


async def test_behind_a_proxy_that_speaks_tls_the_cookie_goes_over_tls_alone(locked):
    host = locked.root.removeprefix("http://")
    for scheme, secure in (("https", True), ("http", False)):
        origin = {"Origin": f"{scheme}://{host}"}
        _, headers, _ = await post(locked, "/ui/sign-in", {"key": KEY}, **origin)
        assert ("Secure" in headers["Set-Cookie"]) is secure


async def test_routers_on_two_ports_of_a_machine_keep_their_visitors_apart(locked):
    names = set()
    for host in ("127.0.0.1:8787", "127.0.0.1:8788", "localhost", "[::1]"):
        origin = {"Host": host, "Origin": f"http://{host}"}
        _, headers, _ = await post(locked, "/ui/sign-in", {"key": KEY}, **origin)
        shown = headers["Set-Cookie"].partition(";")[0]
        names.add(shown.partition("=")[0])
        assert (await get(locked, "/ui", Cookie=shown, Host=host)).status == 200
        _, headers, _ = await post(locked, "/ui/sign-out", {}, Cookie=shown, **origin)
        assert headers["Set-Cookie"].startswith(shown.partition("=")[0])
    assert names == {"openfusion_pass_8787", "openfusion_pass_8788", "openfusion_pass"}


async def test_who_has_shown_no_key_sends_no_more_than_a_form(locked):
    status, _, text = await post(locked, "/ui/sign-in", {"key": "x" * 20_000})
    assert status == 413
    assert "larger than" in text


async def test_programs_use_their_key_as_everywhere(locked):
    assert (await get(locked, "/ui", Authorization=f"Bearer {KEY}")).status == 200


async def test_where_no_key_is_asked_for_there_is_nothing_to_sign_in_to(router):
    reply = await get(router, "/ui/sign-in")
    assert (reply.status, reply.headers["location"]) == (303, "/ui")
    status, headers, _ = await post(router, "/ui/sign-in", {"key": "x", "next": "/ui/pool"})
    assert (status, headers["Location"]) == (303, "/ui/pool")
    assert "Set-Cookie" not in headers


@pytest.mark.parametrize("key", ["", "wrong", "of_" + "a" * 49, "%ED%B3%A4", "%00", "%E4"])
async def test_a_wrong_key_is_told_and_opens_nothing(locked, key):
    status, headers, text = await post(
        locked, "/ui/sign-in", f"key={key}", **{"Content-Type": FORM}
    )
    assert status == 401
    assert "Set-Cookie" not in headers
    assert 'role="alert"' in text


@pytest.mark.parametrize(
    "onward", ["https://evil.example", "//evil.example", "/uix", "/ui/\r\nX: y", "", "/v1/models"]
)
async def test_the_way_on_stays_on_the_page(locked, onward):
    status, headers, _ = await sign_in(locked, key=KEY, next=onward)
    assert (status, headers["Location"]) == (303, "/ui")


async def test_signing_out_takes_the_cookie_back(locked):
    _, headers, _ = await sign_in(locked, key=KEY)
    shown = headers["Set-Cookie"].partition(";")[0]
    status, headers, _ = await post(locked, "/ui/sign-out", {}, Cookie=shown)
    assert (status, headers["Location"]) == (303, "/ui/sign-in")
    assert "Max-Age=0" in headers["Set-Cookie"]


@pytest.mark.clients
async def test_a_person_signs_in_and_out_with_the_keyboard(locked, look):
    page = await look(f"{locked.root}/ui", allowed=[401])
    await page.wait_for_selector("input[name=key]:focus")  # comes a moment after the page
    await page.keyboard.type(KEY)
    await page.keyboard.press("Enter")
    await page.wait_for_selector("text=OPENFUSION_API_KEYS")
    assert await page.evaluate("document.cookie") == ""
    await page.click("text=Sign out")
    await page.wait_for_selector("input[name=key]")
    assert page.url.endswith("/ui/sign-in")
