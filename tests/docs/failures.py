"""The tables of `docs/reference/failures.md`, from those that the tests hold the router to."""

from __future__ import annotations

from tests.agents.say import DIALECTS
from tests.server.failures import CASES, PHASES, Case, said

HEAD = ["fault", "asked again", "then", "booked", *DIALECTS]


def contract() -> str:
    """Return a table for each phase: what the router does about each fault, and what a client of each dialect gets."""
    return "\n\n".join(
        f"### {phase[0].upper()}{phase[1:]}\n\n{table(list(cases))}"
        for phase, cases in PHASES.items()
    )


def table(cases: list[Case]) -> str:
    """Return one phase's table."""
    rows = [HEAD, ["---"] * len(HEAD), *map(row, cases)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


def row(case: Case) -> list[str]:
    """Return one fault's row."""
    return [
        case.what,
        asked_again(case),
        "the client is told" if case.told else "next candidate",
        booked_as(case),
        *(gets(case, dialect) for dialect in DIALECTS),
    ]


def asked_again(case: Case) -> str:
    """Return how often the same candidate is asked again."""
    if case.tries == case.tries_alone:
        return "no" if case.tries == 1 else "once"
    return "once if alone"


def gets(case: Case, dialect: str) -> str:
    """Return what a client gets when nobody else can answer."""
    if dialect == case.but:
        return "-"
    status, *words = said(dialect, case)
    names = " ".join(f"`{word}`" for word in words if word)
    after = f", `Retry-After: {case.retry_after}`" if case.retry_after else ""
    return f"{EVENTS[dialect]}: {names}" if case.told else f"{status} {names}{after}"


EVENTS = {
    "chat": '`data: {"error": …}`',
    "responses": "`response.failed`",
    "messages": "`event: error`",
}


def played() -> str:
    """Return how much of it the tests play."""
    runs = 2 * sum(len(c.forms) * (len(DIALECTS) - bool(c.but)) for c in CASES)
    return f"{len(CASES)} faults in {len(PHASES)} phases, {runs} requests."


def booked_as(case):
    """Return what the books hold of a failed call."""
    if case.reported:
        return "as told"
    return "what came" if case.booked else "nothing"
