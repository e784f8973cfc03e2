"""A receipt as Markdown that a person can paste into an issue. It shows what is in the receipt and computes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from openfusion_auto.core.words import usd
from openfusion_auto.evals.summary import OUTCOMES

Document = Mapping[str, Any]
TITLES = {
    "eval": "Evaluation of Auto",
    "comparison": "Auto beside its baselines",
    "bench": "Benchmark of Auto",
    "request": "One request",
}
MOST_ROWS = 60  # lines of the table of runs; the receipt has all


def markdown(document: Document) -> str:
    """Return the report."""
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Document) -> Iterator[str]:
    made = document["made"]
    yield f"## {TITLES.get(document['kind'], 'Receipt')}"
    yield ""
    yield f"**{document['statement']}**" if document["dry_run"] else document["statement"]
    yield ""
    yield from _contenders(document)
    yield from _pairs(document)
    yield from _routing(document["summary"]["routing"])
    yield from _runs(document)
    yield "### What this rests on"
    yield ""
    yield f"Made {made['at']} by openfusion {made['openfusion']}, Python {made['python']}, {made['system']}."
    yield ""
    for name, value in sorted(document["digests"].items()):
        yield f"- {name}: `{value}`"
    yield f"- receipt: `{document['digest']}`"
    yield f"- receipt before it: `{document['prev'] or 'none'}`"
    signature = document["signature"]
    yield f"- signed by: `{signature['public_key']}`" if signature else "- not signed"
    yield ""
    yield "Check it again: `openfusion receipt verify FILE`, `openfusion receipt replay FILE`."


def _contenders(document: Document) -> Iterator[str]:
    figures = document["summary"]["contenders"]
    what = {c["name"]: c["what"] for c in document["contenders"]}
    head = (
        "who",
        "answered",
        "as expected",
        "right",
        "95 %",
        "cost",
        "a run",
        "per right one",
        "ms p50",
        "calls",
    )
    yield from table(
        head,
        (
            (
                f"{f['contender']}: {what[f['contender']]}",
                f"{f['answered']} of {f['runs']}",
                f"{f['checks']['passed']} of {f['checks']['of']}" if f["checks"]["of"] else "-",
                share(f["accuracy"]) if not document["dry_run"] else "not measured",
                interval(f["accuracy_interval"]),
                usd(f["usd"]),
                usd(f["usd_per_run"]),
                usd(f["usd_per_correct"])
                if f["grades"]["correct"] and f["accuracy"] is not None
                else "-",
                number(f["ms_p50"]),
                str(f["calls"]),
            )
            for f in figures
        ),
    )
    grades = [f["grades"] for f in figures]
    lost = {k: sum(g[k] for g in grades) for k in ("unparsed", "unanswered", "skipped")}
    if any(lost.values()):
        yield (
            f"Not counted as right: answers that their grader could not read ({lost['unparsed']}) and those that did "
            f"not come ({lost['unanswered']}). Not graded: {lost['skipped']}."
        )
        yield ""
    left_out = sum(f["not_run"] for f in figures)
    if left_out:
        asked = sum(f["runs"] for f in figures)
        yield f"Not asked: {left_out} of {asked}. The ceiling of money was reached, or a price is unknown."
        yield ""


def _pairs(document: Document) -> Iterator[str]:
    grading = document["grading"]
    if grading is None:
        return
    yield f"### Judged by {grading['what']}"
    yield ""
    yield "Blind, each pair twice with the places swapped. A win is one in both orders; else it is a tie."
    yield ""
    head = (
        "against",
        "won",
        "lost",
        "tie",
        "unparsed",
        "unanswered",
        "not judged",
        "share won",
        "95 %",
        "first place preferred",
    )
    yield from table(
        head,
        (
            (
                p["against"],
                *(str(p[k]) for k in OUTCOMES),
                share(p["win_share"]),
                interval(p["win_interval"]),
                share(p["first_share"]),
            )
            for p in document["summary"]["pairs"]
        ),
    )
    yield f"Judging cost {usd(grading['usd'])}."
    yield ""


def _routing(routing: Document) -> Iterator[str]:
    if not routing["decisions"]:
        return
    yield "### How Auto routed"
    yield ""
    yield (
        f"{routing['decisions']} decisions, {routing['distinct_plans']} different plans, "
        f"{routing['distinct_picks']} different first picks ({routing['pick_entropy_bits']:.2f} bits)."
    )
    yield ""
    for name in ("modes", "picks", "kinds"):
        shown = ", ".join(f"{k} {v}" for k, v in routing[name].items())
        yield f"- {name}: {shown or 'none'}"
    yield ""


def _runs(document: Document) -> Iterator[str]:
    runs = document["runs"]
    yield "### Case by case"
    yield ""
    head = ("case", "who", "read as", "mode", "answered by", "grade", "cost", "ms")
    yield from table(head, (_run(r) for r in runs[:MOST_ROWS]))
    if len(runs) > MOST_ROWS:
        yield f"{len(runs) - MOST_ROWS} more stand in the receipt."
        yield ""
    notes = [line for run in runs for line in _notes(run)]
    if notes:
        yield from notes
        yield ""


def _notes(run: Document) -> Iterator[str]:
    for check in run["checks"]:
        if not check["ok"]:
            wanted = " or ".join(check["wanted"])
            got = ", ".join(check["got"]) or "nothing"
            yield f"- {run['case']}: expected {check['of']} {wanted}, got {got}"
    who = f"{run['case']}, {run['contender']}"
    if run["outcome"] != "ok":
        yield f"- {who}: {run['outcome']} ({run['error'] or 'no code'})"
    for side in ("request", "answer"):
        excerpt = (run[side] or {}).get("excerpt")
        if excerpt:
            yield f"- {who}, {side}: {cell(excerpt)}"


def _run(run: Document) -> tuple[str, ...]:
    decision = run["decision"]
    task = decision["task"] if decision else None
    return (
        run["case"],
        run["contender"],
        f"{task['kind']}, {task['risk']} risk, {task['complexity']} complexity, {task['turn']}"
        if task
        else "-",
        run["mode"] or "-",
        run["answered_by"] or "-",
        run["grade"]["verdict"] if run["grade"] else "-",
        usd(run["usd"]),
        number(run["ms"]),
    )


def table(
    head: Sequence[str], rows: Iterator[tuple[str, ...]] | Sequence[tuple[str, ...]]
) -> Iterator[str]:
    """Yield a Markdown table and an empty line."""
    yield "| " + " | ".join(head) + " |"
    yield "|" + " --- |" * len(head)
    for row in rows:
        yield "| " + " | ".join(map(cell, row)) + " |"
    yield ""


def cell(text: str) -> str:
    """Return text that stays inside its cell, and says nothing but itself."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    for mark in ("\\", "|", "`", "<", "*", "[", "@", "#"):
        flat = flat.replace(mark, "\\" + mark)
    return flat


def share(value: float | None) -> str:
    """Return a share as per cent."""
    return "-" if value is None else f"{value:.1%}"


def interval(value: Mapping[str, float] | None) -> str:
    """Return an interval as per cent."""
    return "-" if value is None else f"{value['low']:.0%} to {value['high']:.0%}"


def number(value: float | None) -> str:
    """Return a time [ms]."""
    return "-" if value is None else f"{value:.0f}"
