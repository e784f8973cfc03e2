"""The page as a whole: its addresses, its headers, what is loaded when, and errors as pages."""

import subprocess
import sys
from pathlib import Path

import pytest

from openfusion_auto.page.mount import HEADERS
from openfusion_auto.page.routes import ROUTES
from tests.page.asking import get, post

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROOT = Path(__file__).resolve().parents[2]


async def test_mounting_loads_neither_templates_nor_views():
    code = (
        "import sys; import openfusion_auto.page.mount; "
        "print([m for m in sys.modules if m in ('jinja2', 'nh3', 'markdown_it', 'pygments')"
        " or m.startswith('openfusion_auto.evals')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


async def test_every_answer_shuts_out_scripts_frames_and_guessing(router):
    paths = [r.path for r in ROUTES if r.method == "GET" and "{" not in r.path]
    for path in [*paths, "/ui/static/page.css", "/ui/static/none", "/ui/nothing"]:
        reply = await get(router, path)
        assert reply.status in (200, 303, 400, 404), path
        for name, value in HEADERS.items():
            if name != "Cache-Control":
                assert reply.headers[name.lower()] == value, path


async def test_an_unknown_view_is_a_page_that_says_so(router):
    reply = await get(router, "/ui/nothing")
    assert (reply.status, reply.kind) == (404, "text/html")
    assert "no such view" in reply.shown


async def test_what_is_not_taken_is_a_page_too(router):
    status, headers, text = await post(router, "/ui/static/page.css", {})
    assert (status, headers["Allow"]) == (405, "GET,HEAD")
    assert "<h1>" in text


@pytest.mark.parametrize(
    ("accept", "status"),
    [("text/html,application/xhtml+xml,*/*;q=0.8", 303), ("*/*", 200), ("application/json", 200)],
)
async def test_a_browser_is_led_to_the_page_and_programs_are_not(router, accept, status):
    async with router.http.get(
        f"{router.root}/", headers={"Accept": accept}, allow_redirects=False
    ) as r:
        assert (r.status, r.headers.get("Location")) == (status, {303: "/ui"}.get(status))


@pytest.mark.parametrize("origin", [None, "http://localhost:1", "null", "https://evil.example"])
async def test_only_the_page_itself_changes_something(router, origin):
    async with router.http.post(
        f"{router.root}/ui/sign-out", data={}, headers={"Origin": origin} if origin else {}
    ) as r:
        assert r.status == 403
