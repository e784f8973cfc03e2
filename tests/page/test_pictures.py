"""The pictures in the documents are taken by this: small, of the size that is said, and each of them shown somewhere."""

import re
import struct

import pytest

from tests.page.pictures import FOLDER, MOST_BYTES, PICTURES, ROOT, take

PAGE = ROOT / "docs" / "how-to" / "page.md"


def size_of(path):
    """Width and height of a PNG [pixels], from its head."""
    return struct.unpack(">II", path.read_bytes()[16:24])


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_small_and_as_large_as_is_said(name):
    path = FOLDER / name
    assert path.stat().st_size < MOST_BYTES
    assert size_of(path) == PICTURES[name][2:]


def test_the_documents_show_all_of_them_and_no_other():
    shown = re.findall(r"\.\./images/(page-[\w-]+\.png)", PAGE.read_text(encoding="utf-8"))
    assert sorted(shown) == sorted(PICTURES) == sorted(p.name for p in FOLDER.glob("page-*.png"))


@pytest.mark.clients
@pytest.mark.asyncio(loop_scope="session")
async def test_they_can_be_taken_anew(browser, tmp_path):
    await take(browser, tmp_path, names=["page-live.png"])
    path = tmp_path / "page-live.png"
    assert size_of(path) == PICTURES["page-live.png"][2:]
    assert 20_000 < path.stat().st_size < MOST_BYTES
