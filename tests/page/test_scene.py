"""The pictures of a trace and of the playground, taken from the page at work."""

import pytest

from tests.page import scene

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.clients]


async def test_the_pictures_can_be_taken_and_are_small(look, tmp_path):
    await scene.take(look, tmp_path)
    for name in scene.PICTURES:
        for folder in (tmp_path, scene.FOLDER):
            png = (folder / name).read_bytes()
            assert png.startswith(b"\x89PNG")
            assert len(png) < scene.MOST_BYTES, name
