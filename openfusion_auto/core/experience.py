"""What recorded outcomes taught: how easy and how dear a task's words sound, and who does better on such words.

An `Experience` is three linear readings of hashed words, word pairs and the form of a text (length, digits, code and so
on). One says how much easier or harder a task is than the recorded ones on average [log-odds of success], one how much
dearer [log of cost], both for all candidates alike. The third says by how much one candidate's chance lies above or
below what its strength and that ease predict [share]. Each shrinks to nothing where the words told nothing on held-out
tasks (`evals/learn.py` fits and checks them), and no lift is above `MOST_LIFT`.

No text is kept: a word is one of `BUCKETS` numbers.
"""

from __future__ import annotations

import hashlib
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
MOST_EFFORT = (
    4.0  # times an ordinary task's cost that a task may be taken for; at least a fourth of it
)
FORM_SHARE = 0.4  # of a text's squared length that its form makes up, the rest is words
_WORD = re.compile(r"\w+|[^\w\s]")
_CODE = re.compile(r"```|\bdef |\bclass |#include|;\n")
_CHOICE = re.compile(r"(?:^|\n)\(?[A-D][).:]")
_FORMULA = re.compile(r"\$|\\frac|\\\(|=")


class Lesson(NamedTuple):
    """What experience says of one task: its ease [log-odds], each candidate's lift [share], and its effort.

    Effort is its cost over that of an ordinary recorded task, whoever does it.
    """

    ease: float
    lifts: tuple[tuple[str, float], ...]
    effort: float = 1.0


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
        effort: Weight of each bucket for what a task costs [log], (BUCKETS,).
        level: What is taken from that, so that recorded tasks cost 1 on average [log].
    """

    ease: Vector
    slope: float
    mean: float
    candidates: tuple[str, ...]
    lifts: Vector
    tasks: int
    effort: Vector
    level: float

    def digest(self) -> str:
        """Return a name of the content: the same weights have the same, in any process."""
        numbers = (self.slope, self.mean, self.candidates, self.tasks, self.level)
        made = hashlib.sha256(repr(numbers).encode())
        for weights in (self.ease, self.lifts, self.effort):
            made.update(np.ascontiguousarray(weights).tobytes())
        return made.hexdigest()

    def of(self, text: str) -> Lesson:
        """Return what is known of a task with these words."""
        places, values = hashed(text)
        share = self.mean + float(self.ease[places] @ values)
        raised = (self.lifts[places].T @ values).tolist() if self.candidates else []
        lifts = tuple(
            (c, round(max(-MOST_LIFT, min(MOST_LIFT, v)), 6))
            for c, v in zip(self.candidates, raised, strict=True)
        )
        effort = effort_of(float(self.effort[places] @ values) - self.level)
        return Lesson(ease_of(share, self.mean, self.slope), lifts, effort)


def ease_of(share: float, mean: float, slope: float) -> float:
    """Return the ease [log-odds] of a task whose predicted mean success is `share`, `mean` being ordinary."""
    kept = min(0.97, max(0.03, share))
    usual = min(0.97, max(0.03, mean))
    gap = math.log(kept / (1 - kept)) - math.log(usual / (1 - usual))
    return round(max(-MOST_EASE, min(MOST_EASE, slope * gap)), 6)


def effort_of(dearer: float) -> float:
    """Return a task's cost over an ordinary one's, bounded, by its logarithm."""
    most = math.log(MOST_EFFORT)
    return round(math.exp(max(-most, min(most, dearer))), 6)


def hashed(text: str) -> tuple[npt.NDArray[np.int64], Vector]:
    """Return a text as (buckets, values): words and word pairs, counts damped, and form; the whole of length 1."""
    form = form_of(text)
    if len(text) > MOST_CHARS:
        text = text[: MOST_CHARS // 2] + " " + text[-MOST_CHARS // 2 :]
    words = _WORD.findall(text.lower())
    counts = Counter(map(bucket, words))
    counts.update(bucket(f"{a} {b}") for a, b in pairwise(words))
    if not counts:
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    value = {place: 1.0 + math.log(count) for place, count in counts.items()}
    size = math.sqrt(sum(v * v for v in value.values()) * FORM_SHARE / (1 - FORM_SHARE) / len(form))
    for name in form:
        value[bucket(name)] = value.get(bucket(name), 0.0) + size
    places = np.fromiter(value, dtype=np.int64, count=len(value))
    values = np.fromiter(value.values(), dtype=np.float64, count=len(value))
    return places, values / math.sqrt(float(values @ values))


def form_of(text: str) -> tuple[str, ...]:
    """Return what a text looks like, whatever its words: how long, how much of it digits and signs, code, choices.

    The words of a set of recorded tasks hardly repeat in the next task; its form does.
    """
    size, octaves = max(1, len(text)), int(2 * math.log2(len(text) + 1))
    digits = sum(map(str.isdigit, text)) / size
    capitals = sum(map(str.isupper, text)) / size
    signs = 1 - (sum(map(str.isalnum, text)) + sum(map(str.isspace, text))) / size
    return (
        # Two neighbouring steps of length, so that texts of nearly the same length have one in common.
        f"#length {octaves}",
        f"#length {octaves + 1}",
        f"#lines {int(2 * math.log2(text.count(chr(10)) + 1))}",
        f"#digits {int(math.log2(256 * digits + 1))}",
        f"#capitals {int(math.log2(256 * capitals + 1))}",
        f"#signs {int(20 * signs)}",
        f"#code {_CODE.search(text) is not None}",
        f"#choices {_CHOICE.search(text) is not None}",
        f"#formula {_FORMULA.search(text) is not None}",
        f"#question {text.rstrip().endswith('?')}",
    )


@lru_cache(maxsize=65_536)
def bucket(word: str) -> int:
    """Return the number of a word or word pair."""
    return zlib.crc32(word.encode("utf-8", "surrogatepass")) % BUCKETS
