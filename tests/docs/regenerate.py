"""What the documents quote, made anew: `python -m tests.docs.regenerate` writes it, a test compares it."""

from __future__ import annotations

import html
import io
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Console

from openfusion_auto.cli.route_view import show
from tests.docs import failures

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PICTURE = ROOT / "docs" / "images" / "route.svg"
FAILURES = ROOT / "docs" / "reference" / "failures.md"
TEXT = "Add a --dry-run flag to the import command"
CALL = "import sys; from openfusion_auto.cli.main import main; sys.exit(main(sys.argv[1:]))"


def bare_environment(home: str) -> dict[str, str]:
    """Return an environment without settings or keys of whoever runs this: the built-in defaults, 80 columns."""
    kept = {
        k: v for k, v in os.environ.items() if k in ("PATH", "SYSTEMROOT", "LANG", "VIRTUAL_ENV")
    }
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "PYTHONUTF8": "1",
        "HOME": home,
        "XDG_CONFIG_HOME": home,
        "OPENFUSION_STATE_DIR": home,
        "COLUMNS": "80",
        "TERM": "dumb",
    }


def decided() -> dict[str, object]:
    """Return the decision that `openfusion route` comes to with the built-in defaults."""
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, "-c", CALL, "route", TEXT, "--json"],
            cwd=home,
            env=bare_environment(home),
            capture_output=True,
            encoding="utf-8",
            check=True,
        )
    return dict(json.loads(done.stdout)["decision"])


def terminal(decision: dict[str, object]) -> Console:
    """Return a terminal of 92 columns, with colours, in which a decision has been shown."""
    wide = Console(
        record=True, file=io.StringIO(), force_terminal=True, width=92, color_system="truecolor",
        highlight=False, markup=False, emoji=False, legacy_windows=False,
    )  # fmt: skip
    show(decision, wide)
    return wide


def route_picture() -> str:
    """Return what `openfusion route` prints in a terminal, as SVG; fonts are the reader's own."""
    drawn = terminal(decided()).export_svg(title=f'openfusion route "{TEXT}"', unique_id="route")
    drawn = re.sub(r"\s*@font-face \{.*?\}", "", drawn, flags=re.DOTALL)
    return drawn.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, monospace")


def words_in(picture: str) -> list[str]:
    """Return the words of a terminal's picture, in reading order; blocks of colour are none."""
    texts = re.findall(r"<text [^>]*>(.*?)</text>", picture, flags=re.DOTALL)
    return re.findall(r"[^\s█]+", html.unescape(" ".join(texts)).replace("\xa0", " "))


def latest_change() -> str:
    """Return what the newest entry of the changelog begins with, before its lists."""
    text = (ROOT / "docs" / "changelog.md").read_text(encoding="utf-8")
    entry = re.split(r"^## ", text, flags=re.MULTILINE)[1]
    title, lead = re.split(r"^### ", entry, flags=re.MULTILINE)[0].split("\n", 1)
    return f"**{title.strip()}.** {lead.strip()}"


Made = Mapping[str, Callable[[], str]]
QUOTED: Mapping[Path, Made] = {
    README: {"changelog": latest_change},
    FAILURES: {"contract": failures.contract, "played": failures.played},
}


def between(text: str, mark: str) -> str:
    """Return what stands between `<!-- mark -->` and `<!-- /mark -->`.

    Raises:
        ValueError: the marks are not there exactly once.
    """
    found = re.findall(rf"<!-- {mark} -->\n(.*?)<!-- /{mark} -->", text, flags=re.DOTALL)
    if len(found) != 1:
        raise ValueError(f"the page has {len(found)} blocks {mark!r}, wanted one")
    return str(found[0])


def filled(text: str, made: Made) -> str:
    """Return a page with all its marked blocks made anew."""
    for mark, make in made.items():
        old = between(text, mark)
        text = text.replace(
            f"<!-- {mark} -->\n{old}<!-- /{mark} -->",
            f"<!-- {mark} -->\n{make()}\n<!-- /{mark} -->",
        )
    return text


if __name__ == "__main__":
    for page, parts in QUOTED.items():
        page.write_text(filled(page.read_text(encoding="utf-8"), parts), encoding="utf-8")
    PICTURE.write_text(route_picture(), encoding="utf-8")
