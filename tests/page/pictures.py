"""The pictures of the page in the documents: `python -m tests.page.pictures` takes them anew, with the shipped pool.

What is shown was never asked: the traces are made by the decision's own code, their tokens and times are drawn by lot.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

from openfusion_auto.config.load import shipped_pool
from openfusion_auto.config.pool import load_pool
from openfusion_auto.core.types import Breaker, Stats
from tests.page.conftest import FLAGS
from tests.page.recorded import fill, traces
from tests.server.live import serving

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "images"
MOST_BYTES = 120_000
# Name of the file: address, colours, width, height.
PICTURES = {
    "page-live.png": ("/ui", "light", 1100, 720),
    "page-live-phone.png": ("/ui", "dark", 390, 720),
    "page-traces.png": ("/ui/traces?kind=bugfix", "dark", 1100, 480),
    "page-pool.png": ("/ui/pool", "light", 1100, 860),
    "page-receipts.png": ("/ui/receipts?check=1", "light", 1100, 400),
}
# An afternoon with an agent: many edits, a title now and then, a panel when somebody asks for one.
KINDS = ("feature",) * 4 + ("bugfix",) * 4 + ("refactor", "test", "test", "docs", "ops", "aux")
MODES = ("auto",) * 19 + ("panel",)


def candidates():
    """The shipped pool as a file has it, at the upstream that is served here."""
    shipped = tomllib.loads(shipped_pool("default").read_text(encoding="utf-8"))
    return [{**c, "upstream": "relay"} for c in shipped["candidates"]]


def make_receipts(state):
    """Write receipts as a user would."""
    env = {**os.environ, "OPENFUSION_STATE_DIR": str(state), "PYTHONPATH": str(ROOT)}
    for command in ("compare", "eval", "compare"):
        subprocess.run(
            [sys.executable, "-m", "openfusion_auto", command, "--dry-run"],
            cwd=state, env=env, check=True, capture_output=True,
        )  # fmt: skip


async def take(browser, folder, names=tuple(PICTURES)):
    """Take the pictures of these names with a running browser."""
    with tempfile.TemporaryDirectory() as place:
        here = Path(place)
        began_s = time.time() - 120 * 11.0
        pool = load_pool(shipped_pool("default"))
        made = traces(120, began_s=began_s, step_s=11.0, pool=pool, kinds=KINDS, modes=MODES)
        fill(here / "state", made)
        if "page-receipts.png" in names:
            await asyncio.to_thread(make_receipts, here / "state")
        async with serving(here, candidates=candidates()) as running:
            live = running.engine.means.live
            for number, c in enumerate(running.engine.means.pool.candidates):
                live._stats[c.id] = Stats(
                    9.0 + number, number % 3 / 2, 310.0 + 90 * number, 6.0, 38.0 + 11 * number, 6.0,
                    at_s=live.now_s(),
                )  # fmt: skip
            live._breakers["kimi-k2.6"] = Breaker("open", 3, live.now_s() + 20)
            for name in names:
                await shoot(browser, running.root, name, folder / name)


async def shoot(browser, root, name, path):
    """Take one picture."""
    address, scheme, width, height = PICTURES[name]
    context = await browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, locale="en-GB"
    )
    page = await context.new_page()
    await page.goto(root + address)
    await page.screenshot(path=path)
    await context.close()


async def main():
    from playwright.async_api import async_playwright

    program = shutil.which("chromium")
    if program is None:
        sys.exit("the program 'chromium' is not installed")
    from tests.page import scene  # takes its models from here

    FOLDER.mkdir(exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        await take(browser, FOLDER)
        await scene.take(browser, FOLDER)
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
