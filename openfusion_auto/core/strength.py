"""How strong a candidate is: several publishers' benchmarks as one log-odds number, each publisher capped.

A benchmark's score becomes the log-odds of its lower bound, and counts as the distance from the median of the pool's
models in that benchmark by that publisher: an easy benchmark makes nobody strong. Then

    strength = base + sum(weight * distance) / (sum(weight) + missing)

over the publishers. `base` is what the middle of the pool solves. All benchmarks of one publisher together weigh at
most `SOURCE_CAP`; a publisher that measured others of the pool but not this model counts half, at distance 0; and no
distance is above `FAR`. Nothing that one publisher says (scores, names, dates) enters what another one's numbers are
worth. So one source, wrong or bought, moves a candidate by a bounded amount (`tests/core/test_strength.py` holds it).

`chance(strength, ease)` is the probability that such a candidate solves a task: 0 ease is a task like the benchmarks'.
"""

from __future__ import annotations

import math
import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from statistics import median

from openfusion_auto.core.types import Benchmark, Candidate, Kind, Pool

EMBEDDING = "embedding"  # the role of models that make vectors

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
HALF_LIFE_DAYS = 365.0  # a benchmark counts half when it is a year older than the pool's prices
MOST_HALVINGS = 10.0  # then a number counts a thousandth, and no less
UNKNOWN_N = 100  # sample size of a score whose source does not say it
BASE = 1.1  # [log-odds] of a pool without benchmarks: three of four tasks, as good models on public issue sets
_DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
EDGE = 0.005  # a share is kept this far from 0 and 1, so that its log-odds exist


@dataclass(frozen=True)
class Strengths:
    """One entry per candidate of a pool, for one kind of task.

    Attributes:
        logit: Strength [log-odds of solving a task of ease 0].
        percentile: Share of the pool's candidates that are weaker, ties by half, 0..1; 0 for who makes embeddings.
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


# Of one candidate: publisher -> (weight, distance from the median) of each of its benchmarks.
Told = dict[str, list[tuple[float, float]]]


@lru_cache(maxsize=64)
def strengths(pool: Pool, kind: Kind) -> Strengths:
    """Return how strong each candidate of the pool is at `kind`. Remembered: a pool is a value that never changes."""
    told, middles = gathered(pool, kind)
    base = median(mean(rows) for rows in middles.values()) if middles else BASE
    most = heaviest(told)
    logits = tuple(round(base + distance_of(t, most), 9) for t in told)
    heads = [headline(c, kind) for c in pool.candidates]
    talks = [not is_embedding(c) for c in pool.candidates]
    among = iter(percentiles(tuple(value for value, t in zip(logits, talks, strict=True) if t)))
    shares = tuple(next(among) if t else 0.0 for t in talks)
    return Strengths(logits, shares, tuple(h[0] for h in heads), tuple(h[1] for h in heads))


def is_embedding(c: Candidate) -> bool:
    """Whether a candidate makes vectors and holds no conversation: it is no measure for those that do."""
    return EMBEDDING in c.roles or c.offers == ("embeddings",)


def strongest(pool: Pool, unready: Container[str] = ()) -> Candidate | None:
    """Return the candidate that is best at mending bugs (what benchmarks measure); the first by id of equal ones.

    Args:
        pool: The candidates.
        unready: Names of upstreams that cannot be called.
    """
    strength = strengths(pool, "bugfix").logit
    ready = [
        i
        for i, c in enumerate(pool.candidates)
        if c.upstream not in unready and not is_embedding(c)
    ]
    return pool.candidates[max(ready, key=lambda i: (strength[i], -i))] if ready else None


def gathered(pool: Pool, kind: Kind) -> tuple[list[Told], Told]:
    """Return what publishers say of each candidate, and what the middle of the pool solves there [log-odds]."""
    told: list[Told] = [{} for _ in pool.candidates]
    middles: Told = {}
    # The day of the pool is that of its newest price: a publisher that dates itself ahead makes no other one old.
    talkers = (c for c in pool.candidates if not is_embedding(c))
    today = max((c.price.as_of for c in talkers if c.price is not None), default="")
    for (who, _), rows in measured(pool.candidates).items():
        bounds = [logit(lower_bound(b.score, b.n)) for _, b in rows]
        middle = median(bounds)
        for (i, b), bound in zip(rows, bounds, strict=True):
            weight = relevance(b.name, kind) * fresh(b.as_of, today)
            distance = min(FAR, max(-FAR, bound - middle))
            told[i].setdefault(who, []).append((weight, distance))
            middles.setdefault(who, []).append((weight, middle))
    return told, middles


def heaviest(told: Iterable[Told]) -> dict[str, float]:
    """Return each publisher's weight for the candidate that it measured most."""
    most: dict[str, float] = {}
    for by in told:
        for who, rows in by.items():
            most[who] = max(capped(rows), most.get(who, 0.0))
    return most


def measured(
    candidates: Iterable[Candidate],
) -> dict[tuple[str, str], list[tuple[int, Benchmark]]]:
    """Return the scores of each benchmark of each publisher with the row of their candidate, both names in order."""
    found: dict[tuple[str, str], list[tuple[int, Benchmark]]] = {}
    for i, c in enumerate(candidates):
        for b in c.benchmarks:
            found.setdefault((publisher(b.source), b.name), []).append((i, b))
    return {key: found[key] for key in sorted(found)}


def fresh(as_of: str, today: str) -> float:
    """Return how much a number of that day [ISO] counts `today`, 0..1; 1 for a day to come or an unreadable one."""
    then, now = day_number(as_of), day_number(today)
    if then is None or now is None:
        return 1.0
    return float(0.5 ** min(MOST_HALVINGS, max(0, now - then) / HALF_LIFE_DAYS))


def day_number(iso: str) -> int | None:
    """Return the number of a day written `2026-07-02`, counted from year 0 (Gregorian); None if it is none.

    Source: Zeller's count, the year beginning in March so that leap days stand at its end.
    """
    found = _DAY.fullmatch(iso)
    if found is None:
        return None
    year, month, day = (int(part) for part in found.groups())
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    year, month = (year, month - 3) if month > 2 else (year - 1, month + 9)
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * month + 2) // 5 + day


def mean(rows: list[tuple[float, float]]) -> float:
    """Return the mean of (weight, value) rows."""
    return sum(w * v for w, v in rows) / sum(w for w, _ in rows)


def capped(rows: list[tuple[float, float]]) -> float:
    """Return what all of one publisher's rows weigh together."""
    return min(SOURCE_CAP, sum(w for w, _ in rows))


def distance_of(told: Told, most: Mapping[str, float]) -> float:
    """Return a candidate's distance from the middle [log-odds]: the mean over the publishers of the pool.

    Args:
        told: What they say of this candidate.
        most: Each publisher's weight for the candidate that it measured most (`heaviest`).
    """
    if not told:
        return 0.0
    return sum(capped(rows) * mean(rows) for rows in told.values()) / weight_of(told, most)


def weight_of(told: Told, most: Mapping[str, float]) -> float:
    """Return what the publishers of `most` weigh together for a candidate, whether they measured it or not."""
    return sum(capped(told[p]) if p in told else MISSING * weight for p, weight in most.items())


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
