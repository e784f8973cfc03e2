"""The page's own files: what is in them, and how they are served."""

import re

import pytest

from openfusion_auto.page.files import STATIC
from openfusion_auto.page.render import TEMPLATES, static_url
from openfusion_auto.server.middleware import PAGE_FILES
from tests.page.asking import get

MOST_LINES = 300  # of JavaScript in all


def texts(folder, *ends):
    return {p.name: p.read_text(encoding="utf-8") for p in folder.iterdir() if p.suffix in ends}


def test_all_files_that_are_there_are_served_and_no_other():
    assert {p.name for p in STATIC.iterdir()} == set(PAGE_FILES)


def test_the_scripts_are_short_plain_and_make_no_code_or_markup_of_text():
    scripts = texts(STATIC, ".js")
    assert sum(len(text.splitlines()) for text in scripts.values()) < MOST_LINES
    for text in scripts.values():
        assert not re.findall(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text
        )
        assert "import " not in text


@pytest.mark.parametrize(("name", "text"), texts(TEMPLATES, ".html").items())
def test_no_template_holds_a_script_a_style_or_anything_from_elsewhere(name, text):
    assert not re.findall(r"\sstyle=|\son\w+=|javascript:|<style|\|\s*safe\b", text), name
    assert all(" src=" in tag for tag in re.findall(r"<script[^>]*>", text)), name
    assert not re.findall(r"""(?:src|href|action)=["'](?:https?:)?//""", text), name


def test_a_style_sheet_fetches_nothing():
    for text in texts(STATIC, ".css").values():
        assert not re.findall(r"url\(|@import", text)


def palettes():
    """The colours of the light and of the dark scheme, by name."""
    blocks = re.findall(
        r":root \{(.*?)\}", (STATIC / "page.css").read_text(encoding="utf-8"), re.DOTALL
    )
    return [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6});", block)) for block in blocks]


def light_of(colour):
    """Relative luminance, as WCAG 2.2 defines it."""
    digits = colour[1:] if len(colour) == 7 else "".join(c * 2 for c in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_every_text_stands_out_from_what_it_is_on(scheme):
    colours = palettes()[scheme]
    papers = ("paper", "raised", "sunk")
    pairs = [(ink, on) for ink in ("ink", "soft", "accent", "good", "warn", "bad") for on in papers]
    for ink, on in [*pairs, ("on-accent", "accent"), ("ink", "mark")]:
        low, high = sorted((light_of(colours[ink]), light_of(colours[on])))
        assert (high + 0.05) / (low + 0.05) >= 4.5, f"{ink} on {on}"


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("name", PAGE_FILES)
async def test_a_file_may_be_kept_where_its_address_says_which_one_it_is(router, name):
    reply = await get(router, static_url(name))
    assert (reply.status, reply.raw) == (200, (STATIC / name).read_bytes())
    assert "immutable" in reply.headers["cache-control"]
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert (await get(router, f"/ui/static/{name}")).headers["cache-control"] == "no-cache"


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(
    "path",
    ["/ui/static/..%2f..%2fmount.py", "/ui/static/%2e%2e/mount.py", "/ui/static/x", "/ui/static/"],
)
async def test_no_path_leads_out(router, path):
    reply = await get(router, path)
    assert reply.status == 404
    assert "import" not in reply.shown
