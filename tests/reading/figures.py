"""The figures in `docs/explanation/reading.md`, made anew: `python -m tests.reading.figures` writes them, a test compares.

To be run after `openfusion_auto/core/reading.npz` has changed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from openfusion_auto.core.reading import model
from openfusion_auto.evals.read_report import Figures, by_language, cases_of, figures
from tests.reading.labelled import HERE, JUDGE
from tests.reading.test_metamorphic import LANGUAGES, ORDERS, STYLES, TRANSLATIONS, said, same

PAGE = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "reading.md"
BLOCK = re.compile(r"(<!-- figures -->\n)(.*?)(<!-- /figures -->)", re.DOTALL)
DAY = re.compile(r"\d{4}-\d\d-\d\d")


def share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def row(name: str, values: Sequence[object]) -> str:
    return f"| {name} | " + " | ".join(map(str, values)) + " |"


def quality() -> list[str]:
    """Return the table of the judge set, whole and by language; languages with few requests in one line."""
    cases = cases_of([JUDGE])
    few = [c for c in cases if sum(o.lang == c.lang for o in cases) < 5]
    told: dict[str, Figures] = {"all": figures(cases)}
    told.update({lang: f for lang, f in by_language(cases).items() if f.n >= 5})
    told[", ".join(sorted({c.lang for c in few}))] = figures(few)
    head = [
        "| language | requests | kind | risk | recall of high risk | complexity | mode |",
        "| --- " * 7 + "|",
    ]
    return head + [row(name, [f.n, *map(share, f[1:])]) for name, f in told.items()]


def changes() -> list[str]:
    """Return the table of what changes a reading how seldom."""
    lines = ["| what is changed | kind | risk | complexity |", "| --- | --- | --- | --- |"]

    def add(name: str, pairs: list[tuple[tuple[str, str, str], tuple[str, str, str]]]) -> None:
        lines.append(row(name, [share(v) for v in same(pairs).values()]))

    for style, changed in STYLES.items():
        add(style, [(said(text), said(changed(text))) for text in ORDERS])
    pairs = json.loads((HERE / "synonyms.json").read_text(encoding="utf-8"))
    add("synonyms", [(said(a), said(b)) for a, b in pairs])
    for lang in LANGUAGES:
        add(f"said in {lang}", [(said(r["en"]), said(r[lang])) for r in TRANSLATIONS])
    return lines


def block(day: str) -> str:
    """Return the figures as Markdown."""
    trivial = json.loads((HERE / "trivial.json").read_text(encoding="utf-8"))
    low = sum(said(text)[1] == "low" for text in trivial)
    return "\n".join([
        f"Measured {day} with the shipped weights ({len(model().rows):,} features) on `tests/reading/judge.jsonl`:",
        "", *quality(), "",
        "Share of cases in which a reading stays what it was:",
        "", *changes(), "",
        f"Of {len(trivial)} sentences with scary words used trivially, {low} are read as low risk.", "",
    ])  # fmt: skip


def filled(text: str, day: str) -> str:
    """Return the page with its figures made anew."""
    return BLOCK.sub(lambda found: found[1] + block(day) + found[3], text, count=1)


if __name__ == "__main__":
    today = datetime.now(UTC).date().isoformat()
    PAGE.write_text(filled(PAGE.read_text("utf-8"), today), encoding="utf-8")
