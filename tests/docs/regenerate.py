"""What the documents quote, made anew: `python -m tests.docs.regenerate` writes it, a test compares it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.docs import failures

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
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


def route_output() -> str:
    """Return the fenced block with a real `openfusion route`, as a person sees it when piped."""
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, "-c", CALL, "route", TEXT],
            cwd=home,
            env=bare_environment(home),
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=True,
        )
    shown = "\n".join(line.rstrip() for line in done.stdout.strip("\n").splitlines())
    return f'```console\n$ openfusion route "{TEXT}"\n{shown}\n```'


def latest_change() -> str:
    """Return the newest entry of the changelog, its headings as bold lines."""
    text = (ROOT / "docs" / "changelog.md").read_text(encoding="utf-8")
    entry = re.split(r"^## ", text, flags=re.MULTILINE)[1].strip()
    title, rest = entry.split("\n", 1)
    return f"**{title.strip()}**\n\n" + re.sub(
        r"^### (.+)$", r"*\1*", rest.strip(), flags=re.MULTILINE
    )


Made = Mapping[str, Callable[[], str]]
MADE: Made = {"route-output": route_output, "changelog": latest_change}
QUOTED: Mapping[Path, Made] = {
    README: MADE,
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
