"""The pictures of a trace and of the playground in the documents, taken from the page at work."""

import asyncio

import pytest
import pytest_asyncio

from tests.page import scene
from tests.page.pictures import picture
from tests.server.live import serving

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.clients]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def router(tmp_path_factory):
    """A router with the shipped pool's models that keeps words."""
    folder = tmp_path_factory.mktemp("scene")
    async with serving(folder, candidates=scene.shipped(), store={"texts": True}) as running:
        yield running


async def test_pictures_of_a_trace(router, look):
    name = await scene.panel(router)
    page = await look(f"{router.root}/ui/traces/{name}?cost_quality=8", width=960, height=780)
    await picture(page, "page-trace")
    for place in ("what-if", "calls"):
        await page.eval_on_selector(f"#{place}", "e => e.scrollIntoView()")
        await picture(page, f"page-trace-{place}")


async def test_picture_of_the_playground(router, look):
    page = await look(f"{router.root}/ui/playground", width=960, height=760, scheme="dark")
    scene.script(router)
    await page.select_option("select[name=way]", "mode:panel")
    await page.fill("textarea", scene.QUESTION)
    await page.wait_for_selector("#estimate:has-text('at worst')")
    await page.click("button[name=send]")
    opening = asyncio.ensure_future(scene.opening(router))
    await page.wait_for_selector("#state:has-text('Answered')")
    await page.wait_for_selector("#answer table, #answer ol, #answer .code")
    await picture(page, "page-playground")
    await opening
