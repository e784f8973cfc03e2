"""How strong a candidate is: several publishers' benchmarks as one log-odds number, each publisher capped.

A benchmark's score becomes the log-odds of its lower bound, and counts as the distance from the median of the pool's
models in that benchmark: an easy benchmark makes nobody strong. Then

    strength = base + sum(weight * distance) / (sum(weight) + missing)

over the publishers. `base` is what the middle of the pool solves. All benchmarks of one publisher together weigh at
most `SOURCE_CAP`; a publisher that measured others of the pool but not this model counts half, at distance 0; and no
distance is above `FAR`. So one source, wrong or bought, moves a candidate by a bounded amount (`most_by_one_source`).

`chance(strength, ease)` is the probability that such a candidate solves a task: 0 ease is a task like the benchmarks'.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from statistics import median

from openfusion_auto.core.types import Benchmark, Candidate, Kind, Pool

# How much a benchmark says about a kind of task: longest matching prefix of the name, then the kind.
RELEVANCE: dict[str, dict[str, float]] = {
    "swebench": {
        "bugfix": 1.0,
        "feature": 0.8,
        "refactor": 0.8,
        "test": 0.6,
        "review": 0.6,
        "": 0.4,
    },
    "swt_bench": {"test": 1.0, "bugfix": 0.8, "review": 0.6, "feature": 0.6, "": 0.4},
    "aider_polyglot": {"feature": 0.8, "refactor": 0.9, "bugfix": 0.6, "test": 0.6, "": 0.4},
    "livebench_coding": {"feature": 0.8, "test": 0.7, "refactor": 0.7, "": 0.4},
    "livebench_agentic_coding": {
        "bugfix": 0.8,
        "feature": 0.8,
        "ops": 1.0,
        "refactor": 0.7,
        "": 0.4,
    },
    "livebench_reasoning": {"review": 0.8, "explain": 0.8, "": 0.3},
    "livebench_language": {"docs": 1.0, "explain": 0.8, "chat": 1.0, "": 0.1},
    "livebench_if": {"docs": 0.8, "aux": 1.0, "chat": 0.8, "": 0.2},
    "gaia": {"ops": 0.6, "chat": 0.6, "explain": 0.5, "": 0.2},
    "": {"": 0.4},
}
SOURCE_CAP = 1.0  # weight of all benchmarks of one publisher together
MISSING = 0.5  # a publisher that left this model out counts so much of its weight, at distance 0
FAR = 3.0  # [log-odds] largest distance from the median that counts
HALF_LIFE_DAYS = 365.0  # a benchmark counts half when it is a year older than the pool's newest
UNKNOWN_N = 100  # sample size of a score whose source does not say it
BASE = 1.1  # [log-odds] of a pool without benchmarks: three of four tasks, as good models on public issue sets
EDGE = 0.005  # a share is kept this far from 0 and 1, so that its log-odds exist


@dataclass(frozen=True)
class Strengths:
    """One entry per candidate of a pool, for one kind of task.

    Attributes:
        logit: Strength [log-odds of solving a task of ease 0].
        percentile: Share of the pool's candidates that are weaker, ties by half, 0..1.
        headline: The most telling score [percent], None without any.
        source: What that score is and how many stand beside it, for people to read.
    """

    logit: tuple[float, ...]
    percentile: tuple[float, ...]
    headline: tuple[float | None, ...]
    source: tuple[str, ...]


def relevance(name: str, kind: str) -> float:
    """Return how much benchmark `name` says about tasks of `kind`, 0..1."""
    prefix = max((p for p in RELEVANCE if name.startswith(p)), key=len)
    row = RELEVANCE[prefix]
    return row.get(kind, row[""])


def lower_bound(score: float, n: int | None) -> float:
    """Return a score [percent] as a share 0..1, one standard error down."""
    share = min(1.0, max(0.0, score / 100))
    return max(0.0, share - math.sqrt(share * (1 - share) / (n or UNKNOWN_N)))


def logit(share: float) -> float:
    """Return the log-odds of a share, which is kept `EDGE` away from 0 and 1."""
    kept = min(1 - EDGE, max(EDGE, share))
    return math.log(kept / (1 - kept))


def chance(strength: float, ease: float) -> float:
    """Return the probability 0..1 that a candidate of `strength` solves a task of `ease` [both log-odds]."""
    return 1 / (1 + math.exp(-(strength + ease)))


def publisher(source: str) -> str:
    """Return who published a number: the source without its version and remarks."""
    return source.partition("@")[0].partition(" ")[0]


@lru_cache(maxsize=64)
def strengths(pool: Pool, kind: Kind) -> Strengths:
    """Return how strong each candidate of the pool is at `kind`. Remembered: a pool is a value that never changes."""
    told: list[dict[str, list[tuple[float, float]]]] = [{} for _ in pool.candidates]
    middles: dict[str, list[tuple[float, float]]] = {}
    newest = max((b.as_of for c in pool.candidates for b in c.benchmarks), default="")
    for rows in by_name(pool.candidates).values():
        bounds = [logit(lower_bound(b.score, b.n)) for _, b in rows]
        middle = median(bounds)
        for (i, b), bound in zip(rows, bounds, strict=True):
            weight = relevance(b.name, kind) * fresh(b.as_of, newest)
            distance = min(FAR, max(-FAR, bound - middle))
            told[i].setdefault(publisher(b.source), []).append((weight, distance))
            middles.setdefault(publisher(b.source), []).append((weight, middle))
    base = median(mean(rows) for rows in middles.values()) if middles else BASE
    most = {name: max(capped(t[name]) for t in told if name in t) for name in middles}
    logits = tuple(round(base + distance_of(t, most), 9) for t in told)
    heads = [headline(c, kind) for c in pool.candidates]
    return Strengths(
        logits, percentiles(logits), tuple(h[0] for h in heads), tuple(h[1] for h in heads)
    )


def by_name(candidates: Iterable[Candidate]) -> dict[str, list[tuple[int, Benchmark]]]:
    """Return every benchmark's scores with the row of their candidate, names in order."""
    found: dict[str, list[tuple[int, Benchmark]]] = {}
    for i, c in enumerate(candidates):
        for b in c.benchmarks:
            found.setdefault(b.name, []).append((i, b))
    return {name: found[name] for name in sorted(found)}


def fresh(as_of: str, newest: str) -> float:
    """Return how much a number of that day [ISO] counts beside the newest one, 0..1; 1 for an unreadable day."""
    then, now = day_of(as_of), day_of(newest)
    if then is None or now is None:
        return 1.0
    return float(0.5 ** (max(0.0, now - then) / HALF_LIFE_DAYS))


def day_of(iso: str) -> float | None:
    """Return a day of the calendar [ISO] as a number of days, right within two; None when it is none."""
    parts = iso.split("-")
    if len(parts) != 3 or not all(p.isdecimal() for p in parts):
        return None
    year, month, day = map(int, parts)
    return year * 365.25 + month * 30.44 + day


def mean(rows: list[tuple[float, float]]) -> float:
    """Return the mean of (weight, value) rows."""
    return sum(w * v for w, v in rows) / sum(w for w, _ in rows)


def capped(rows: list[tuple[float, float]]) -> float:
    """Return what all of one publisher's rows weigh together."""
    return min(SOURCE_CAP, sum(w for w, _ in rows))


def distance_of(told: Mapping[str, list[tuple[float, float]]], most: Mapping[str, float]) -> float:
    """Return a candidate's distance from the middle [log-odds]: the mean over the publishers of the pool.

    Args:
        told: `{publisher: [(weight, distance), ...]}` of this candidate.
        most: Each publisher's weight for the candidate that it measured most.
    """
    if not told:
        return 0.0
    whole = sum(capped(rows) for rows in told.values())
    absent = MISSING * sum(weight for name, weight in most.items() if name not in told)
    return sum(capped(rows) * mean(rows) for rows in told.values()) / (whole + absent)


def most_by_one_source(publishers: int) -> float:
    """Return how far one publisher of several equal ones can move a candidate against the others [log-odds].

    From one end to the other, with its share among the publishers that measured the candidate and half of the rest.
    """
    return 2 * FAR / (1 + MISSING * (publishers - 1))


def percentiles(values: tuple[float, ...]) -> tuple[float, ...]:
    """Return for each value the share of values below it, ties by half, 0..1."""
    ordered = sorted(values)
    below: dict[float, int] = {}
    for place, value in enumerate(ordered):
        below.setdefault(value, place)
    ties: dict[float, int] = {}
    for value in ordered:
        ties[value] = ties.get(value, 0) + 1
    return tuple(round((below[v] + ties[v] / 2) / len(values), 9) for v in values)


def headline(candidate: Candidate, kind: str) -> tuple[float | None, str]:
    """Return the most telling score of a candidate for `kind` [percent] and what it is, for people to read."""
    if not candidate.benchmarks:
        return None, "none published"
    best = max(candidate.benchmarks, key=lambda b: (relevance(b.name, kind), b.name))
    others = len(candidate.benchmarks) - 1
    return best.score, f"{best.name} {best.as_of}" + (f" and {others} more" if others else "")
