"""The pictures of a trace and of the playground in the documents: `python -m tests.page.scene` takes them anew.

One request at work: a panel of the shipped pool's models, with a retry. The upstream is the tests' own, so what it
says and how long it takes are written here; all else is the page's.
"""

import asyncio
import json
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path

from tests.page.conftest import FLAGS
from tests.server.live import send, serving

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "images"
MOST_BYTES = 120_000
PICTURES = ("page-trace.png", "page-trace-what-if.png", "page-trace-calls.png", "page-playground.png")  # fmt: skip

SHIPPED = Path(__file__).resolve().parents[2] / "candidates" / "default.toml"
QUESTION = (
    "Fix the race condition in src/auth/session.py: two refreshes at the same time log the user out. "
    "Production is affected, so keep the change small."
)
LOCK = """\
Both refreshes spend the same refresh token; the second one is refused and ends the session. Let the first do the work:

```python
async def refresh(self) -> Token:
    async with self._lock:
        if self._token.fresh:  # someone was faster
            return self._token
        self._token = await self._issuer.renew(self._token)
        return self._token
```

| Two refreshes | before | after |
|---|--:|--:|
| tokens spent | 2 | 1 |
| sessions ended | 1 | 0 |
"""
SINGLE_FLIGHT = """\
Keep **one** renewal in flight and let everybody await it:

```python
def refresh(self) -> Awaitable[Token]:
    if self._renewal is None:
        self._renewal = asyncio.ensure_future(self._renew())
    return asyncio.shield(self._renewal)
```

Reset `_renewal` when it is done, also when it failed.
"""
RETRY = """\
Catch the refusal of the second refresh and read the stored token again:

1. `refresh()` is refused with `invalid_grant`;
2. load the session anew;
3. go on if its token is newer, else log out.
"""
ANALYSIS = {
    "consensus": ["Both refreshes spend the same refresh token, and the second is refused."],
    "contradictions": [],
    "partial_coverage": [],
    "unique_insights": [{"answer": 2, "insight": "A failed renewal must be forgotten, or every later call fails too."}],
    "blind_spots": ["Several processes share the session store: a lock in one does not hold the others."],
}  # fmt: skip


def shipped():
    """The shipped pool's models behind the tests' own upstream."""
    found = tomllib.loads(SHIPPED.read_text())["candidates"]
    return [{**candidate, "upstream": "relay"} for candidate in found]


def script(router, *, failing=False):
    """What the upstream does: one call after the other ends; the first fails where wanted, and is tried again."""
    answers = (LOCK, SINGLE_FLIGHT, RETRY)
    gated = [f"gate:{i}:say:{text}" for i, text in enumerate(answers)]
    said = [f"gate:analysis:say:{json.dumps(ANALYSIS)}", 'gate:judge:say:{"best": 1, "why": "smallest", "defect": null}']  # fmt: skip
    router.up.script = [*(["F16"] if failing else []), *gated, *said]
    for name in ("0", "1", "2", "analysis", "judge"):
        router.up.gates.pop(name, None)


async def opening(router):
    """Let the calls end one after the other."""
    for name, wait_s in (("0", 0.5), ("1", 0.3), ("2", 0.4), ("analysis", 0.3), ("judge", 0.2)):
        await asyncio.sleep(wait_s)
        router.up.gates[name].set()


async def panel(router):
    """Ask, and return the id of the trace."""
    script(router, failing=True)
    body = {"model": "openfusion/auto", "messages": [{"role": "user", "content": QUESTION}],
            "openfusion": {"mode": "panel", "analysis": True}}  # fmt: skip
    reply, _ = await asyncio.gather(send(router, body), opening(router))
    assert reply.status == 200
    return reply.headers["x-openfusion-trace-id"]


# -- pictures ----------------------------------------------------------------------------------------------------------


async def take(open_window, folder):
    """Take all pictures; `open_window(url, scheme=, width=, height=)` gives a page."""
    with tempfile.TemporaryDirectory() as place:
        served = serving(Path(place), candidates=shipped(), store={"texts": True})
        async with served as router:
            await take_trace(router, open_window, folder)
            await take_playground(router, open_window, folder)


async def take_trace(router, open_window, folder):
    """The trace: its head, what other settings would change, its calls."""
    url = f"{router.root}/ui/traces/{await panel(router)}?cost_quality=8"
    page = await open_window(url, scheme="light", width=960, height=780)
    await page.screenshot(path=folder / "page-trace.png")
    for place in ("what-if", "calls"):
        await page.eval_on_selector(f"#{place}", "e => e.scrollIntoView()")
        await page.screenshot(path=folder / f"page-trace-{place}.png")


async def take_playground(router, open_window, folder):
    """The playground: priced, asked, answered."""
    page = await open_window(f"{router.root}/ui/playground", scheme="dark", width=960, height=900)
    script(router)
    await page.select_option("select[name=way]", "mode:panel")
    await page.fill("textarea", QUESTION)
    await page.wait_for_selector("#estimate:has-text('at worst')")
    await page.click("button[name=send]")
    await opening(router)
    await page.wait_for_selector("#state:has-text('Answered')")
    await page.wait_for_selector("#answer > :not(pre)")
    await page.screenshot(path=folder / "page-playground.png")


async def main():
    from playwright.async_api import async_playwright

    program = shutil.which("chromium")
    if program is None:
        sys.exit("the program 'chromium' is not installed")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=list(FLAGS))

        async def open_window(url, *, scheme, width, height):
            page = await browser.new_page(
                viewport={"width": width, "height": height}, color_scheme=scheme, locale="en-GB"
            )
            await page.goto(url)
            return page

        FOLDER.mkdir(exist_ok=True)
        await take(open_window, FOLDER)
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
