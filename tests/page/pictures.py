"""Pictures of the page for the documents, taken by the tests.

`OPENFUSION_TEST_PICTURES=docs/how-to pytest -m clients tests/page -k picture` writes them anew; without it a test takes its
picture all the same, throws it away, and holds the one in the documents to its size.
"""

import os
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "how-to"
MOST_BYTES = 120_000


async def picture(page, name, **options):
    """Take `name`.png of what the window shows."""
    png = await page.screenshot(animations="disabled", caret="hide", **options)
    wanted = os.environ.get("OPENFUSION_TEST_PICTURES")
    if wanted:
        Path(wanted, f"{name}.png").write_bytes(png)
    for found in (png, (FOLDER / f"{name}.png").read_bytes()):
        assert found.startswith(b"\x89PNG")
        assert len(found) < MOST_BYTES, len(found)
