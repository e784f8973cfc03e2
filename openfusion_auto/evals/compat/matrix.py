"""Found results as a matrix: JSON for programs, Markdown for people."""

from __future__ import annotations

from collections.abc import Sequence

from openfusion_auto.evals.compat.outcome import Outcome
from openfusion_auto.evals.compat.probes import Probe
from openfusion_auto.evals.compat.run import Column
from openfusion_auto.evals.compat.speech import Json

CELLS: dict[Outcome, str] = {
    "pass": "pass",
    "fail": "**FAIL**",
    "not offered": "not offered",
    "unknown": "unknown",
}
WORTH_A_REASON: Sequence[Outcome] = ("fail", "unknown", "not offered")


def as_json(probes: Sequence[Probe], columns: Sequence[Column]) -> Json:
    """Return `{"ok", "gateways": [{name, url, model, ok, probes: [{probe, outcome, why}]}]}`."""
    gateways = [
        {
            "name": c.target.name,
            "url": c.target.base_url,
            "model": c.target.model,
            "ok": c.sound,
            "probes": [
                {"probe": p.id, "about": p.about, "outcome": r.outcome, "why": r.why or None}
                for p, r in zip(probes, c.results, strict=True)
            ],
        }
        for c in columns
    ]
    return {
        "object": "openfusion.compat",
        "ok": all(c.sound for c in columns),
        "gateways": gateways,
    }


def table(probes: Sequence[Probe], columns: Sequence[Column]) -> str:
    """Return the matrix as a table of Markdown: a row a probe, a column a gateway; readable as it stands."""
    rows = [["API", "Probe", *(cell(c.target.name) for c in columns)]]
    for i, probe in enumerate(probes):
        rows.append([probe.group, probe.name, *(CELLS[c.results[i].outcome] for c in columns)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    return "\n".join("| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows)


def reasons(columns: Sequence[Column], outcomes: Sequence[Outcome] = WORTH_A_REASON) -> str:
    """Return why probes did not pass, a line for each gateway and reason, "" when all did."""
    lines = []
    for column in columns:
        whys: dict[tuple[Outcome, str], list[str]] = {}
        for r in column.results:
            if r.outcome in outcomes:
                whys.setdefault((r.outcome, r.why), []).append(r.probe)
        for (outcome, why), probes in whys.items():
            which = "every probe" if len(probes) == len(column.results) > 1 else ", ".join(probes)
            lines.append(f"- {cell(column.target.name)}: {outcome}: {cell(why)} ({which})")
    return "\n".join(lines)


def cell(text: str) -> str:
    """Return foreign text that cannot end its cell or its line."""
    return " ".join(text.replace("|", "/").split())
