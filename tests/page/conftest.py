"""A browser that looks at the page: Debian's Chromium, driven by Playwright. One for all tests of a process.

What a test opens must stay clean: it fails when the browser logs an error, a script throws, or the content security
policy stops anything. All tests of the page run in the session's event loop (`SESSION_LOOP`), as the browser does.
"""

import asyncio
import contextlib
import re
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from openfusion_auto.page.mount import HEADERS
from tests.conftest import missing
from tests.server.live import serving

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
# The browser logs one for every answer that is not good, also where a test asks for such a one.
STATUS = re.compile(r"the server responded with a status of (\d+)")


@pytest.fixture(scope="session")
def chromium():
    """The path of the browser; see `missing`."""
    import shutil

    path = shutil.which("chromium")
    if path is None:
        missing("the program 'chromium' is not installed")
    return path


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium):
    """The browser; its profile is a fresh one that goes with it."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield running
        await running.close()


@dataclass
class Watch:
    """What went wrong in the browser while a test looked. `allowed` are statuses that the test asks for."""

    wrong: list[str] = field(default_factory=list)
    allowed: set[int] = field(default_factory=set)

    def heard(self, message):
        found = STATUS.search(message.text)
        if found and int(found[1]) in self.allowed:
            return
        if message.type in ("error", "warning"):
            self.wrong.append(f"{message.type}: {message.text}")


@pytest_asyncio.fixture(loop_scope="session")
async def look(browser):
    """A function that opens a fresh window: `page = await look(url, scheme="dark", width=390)`.

    Further keywords are Playwright's for a context. The test fails when anything was logged; `page.watch.allowed`
    takes statuses such as 404 that it asks for.
    """
    watch = Watch()
    async with contextlib.AsyncExitStack() as stack:

        async def open_window(url, *, scheme="light", width=1200, height=800, allowed=(), **more):
            context = await browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme, **more
            )
            stack.push_async_callback(context.close)
            page = await context.new_page()
            page.set_default_timeout(30_000)  # a busy machine takes its time
            watch.allowed |= set(allowed)
            page.watch = watch
            page.on("console", watch.heard)
            page.on("pageerror", lambda error: watch.wrong.append(f"thrown: {error}"))
            answer = await page.goto(url)
            assert answer.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]
            return page

        yield open_window
        await asyncio.sleep(0)  # let what was logged last arrive
    assert watch.wrong == []


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def router(tmp_path_factory):
    """A running router without keys; all tests of a module share it."""
    async with serving(tmp_path_factory.mktemp("page")) as running:
        yield running
