"""What recorded outcomes taught: how easy a task's words sound, and who does better on such words than elsewhere.

An `Experience` is two linear readings of hashed words and word pairs. One says how much easier or harder a task is
than the recorded ones on average [log-odds of success], for all candidates alike. The other says by how much one
candidate's chance lies above or below what its strength and that ease predict [share]. Both shrink to nothing where the
words told nothing on held-out tasks (`evals/learn.py` fits and checks them), and no lift is above `MOST_LIFT`.

No text is kept: a word is one of `BUCKETS` numbers.
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

BUCKETS = 8192
MOST_CHARS = 6_000  # [characters] of a task that are looked at, head and tail
MOST_EASE = 4.0  # [log-odds]
MOST_LIFT = 0.35  # [share] that experience may add to or take from a candidate's chance
_WORD = re.compile(r"\w+|[^\w\s]")


class Lesson(NamedTuple):
    """What experience says of one task: its ease [log-odds] and each candidate's lift [share]."""

    ease: float
    lifts: tuple[tuple[str, float], ...]


@dataclass(frozen=True, eq=False)
class Experience:
    """Fitted weights.

    Attributes:
        ease: Weight of each bucket for the mean chance of success [share], (BUCKETS,).
        slope: By what a predicted mean is stretched on the log-odds scale.
        mean: Mean chance of success over the recorded tasks and candidates.
        candidates: Ids that have lifts.
        lifts: Weights of their lifts [share], (BUCKETS, candidates).
        tasks: How many recorded tasks stand behind it.
    """

    ease: Vector
    slope: float
    mean: float
    candidates: tuple[str, ...]
    lifts: Vector
    tasks: int

    def of(self, text: str) -> Lesson:
        """Return what is known of a task with these words."""
        places, values = hashed(text)
        share = self.mean + float(self.ease[places] @ values)
        raised = (self.lifts[places].T @ values).tolist() if self.candidates else []
        lifts = tuple(
            (c, round(max(-MOST_LIFT, min(MOST_LIFT, v)), 6))
            for c, v in zip(self.candidates, raised, strict=True)
        )
        return Lesson(ease_of(share, self.mean, self.slope), lifts)


def ease_of(share: float, mean: float, slope: float) -> float:
    """Return the ease [log-odds] of a task whose predicted mean success is `share`, `mean` being ordinary."""
    kept = min(0.97, max(0.03, share))
    usual = min(0.97, max(0.03, mean))
    gap = math.log(kept / (1 - kept)) - math.log(usual / (1 - usual))
    return round(max(-MOST_EASE, min(MOST_EASE, slope * gap)), 6)


def hashed(text: str) -> tuple[npt.NDArray[np.int64], Vector]:
    """Return a text as (buckets, values): words and word pairs, counts damped, the whole of length 1."""
    if len(text) > MOST_CHARS:
        text = text[: MOST_CHARS // 2] + " " + text[-MOST_CHARS // 2 :]
    words = _WORD.findall(text.lower())
    counts = Counter(map(bucket, words))
    counts.update(bucket(f"{a} {b}") for a, b in pairwise(words))
    if not counts:
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    places = np.fromiter(counts, dtype=np.int64, count=len(counts))
    values = 1.0 + np.log(np.fromiter(counts.values(), dtype=np.float64, count=len(counts)))
    return places, values / math.sqrt(float(values @ values))


@lru_cache(maxsize=65_536)
def bucket(word: str) -> int:
    """Return the number of a word or word pair."""
    return zlib.crc32(word.encode("utf-8", "surrogatepass")) % BUCKETS
