"""One request at work, for the pictures of a trace and of the playground: a panel of the shipped pool, with a retry.

The upstream is the tests' own, so what it says and how long it takes are written here; all else is the page's.
"""

import asyncio
import json
import tempfile
from pathlib import Path

from tests.page.pictures import candidates
from tests.server.live import send, serving

# Name of the file: colours, width, height.
PICTURES = {
    "page-trace.png": ("light", 960, 780),
    "page-trace-what-if.png": ("light", 960, 780),
    "page-trace-calls.png": ("light", 960, 780),
    "page-playground.png": ("dark", 960, 900),
}
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


async def take(browser, folder):
    """Take all of them with a running browser."""
    with tempfile.TemporaryDirectory() as place:
        served = serving(Path(place), candidates=candidates(), store={"texts": True})
        async with served as router:
            await take_trace(router, browser, folder)
            await take_playground(router, browser, folder)


async def window(browser, name, url):
    """Open an address in the window of a picture."""
    scheme, width, height = PICTURES[name]
    page = await browser.new_page(
        viewport={"width": width, "height": height}, color_scheme=scheme, locale="en-GB"
    )
    await page.goto(url)
    return page


async def take_trace(router, browser, folder):
    """The trace: its head, what other settings would change, its calls."""
    url = f"{router.root}/ui/traces/{await panel(router)}?cost_quality=8"
    page = await window(browser, "page-trace.png", url)
    await page.screenshot(path=folder / "page-trace.png")
    for place in ("what-if", "calls"):
        await page.eval_on_selector(f"#{place}", "e => e.scrollIntoView()")
        await page.screenshot(path=folder / f"page-trace-{place}.png")
    await page.close()


async def take_playground(router, browser, folder):
    """The playground: priced, asked, answered."""
    page = await window(browser, "page-playground.png", f"{router.root}/ui/playground")
    script(router)
    await page.select_option("select[name=way]", "mode:panel")
    await page.fill("textarea", QUESTION)
    await page.wait_for_selector("#estimate:has-text('at worst')")
    await page.click("button[name=send]")
    await opening(router)
    await page.wait_for_selector("#state:has-text('Answered')")
    await page.wait_for_selector("#answer > :not(pre)")
    await page.screenshot(path=folder / "page-playground.png")
    await page.close()
