"""The model behind kind, risk and complexity: a linear one, whose every contribution can be named.

Each axis is a multinomial logistic regression on the features of `features.py`. Words and pieces are weighted by how
rare they are, each block scaled to length 1, so a long request says no more than a short one. The weights are data
(`reading.npz`), with how they were made in `docs/explanation/reading.md`; `evals/train_reading.py` makes them again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from openfusion_auto.core.features import WORDS_REMEMBERED, Features, pieces_of
from openfusion_auto.core.types import KINDS, LEVELS, Evidence
from openfusion_auto.data import reading_weights

Vector = npt.NDArray[np.float32]

AXES: Mapping[str, slice] = {
    "kind": slice(0, 10),
    "risk": slice(10, 13),
    "complexity": slice(13, 16),
}
NAMES: Mapping[str, tuple[str, ...]] = {"kind": KINDS, "risk": LEVELS, "complexity": LEVELS}
LEAST = 0.05  # [log-odds] contributions below are not worth a line
MOST_NOTES = 4  # lines of evidence for one axis


@dataclass(frozen=True, eq=False)
class Model:
    """Weights. `rows` finds a feature's row; `rarity` is (n,), `weights` (n, 16), `bias` (16,), columns as `AXES`.

    `weights` are kept in units of `scale` (16,), as they are stored: whole numbers take a quarter of the memory.
    """

    rows: Mapping[str, int]
    rarity: Vector
    weights: npt.NDArray[np.float32 | np.int8]
    bias: Vector
    scale: Vector = field(default_factory=lambda: np.ones(16, dtype=np.float32))


class Judged(NamedTuple):
    """Log-odds of every class, 16 of them, and the features found: their values (features,) and weights (features, 16).

    `weights` are in units of the model's scale. `words` are the different words that show features; `at` (features,)
    says which of them shows each.
    """

    scores: tuple[float, ...]
    values: Vector
    weights: Vector
    words: tuple[str, ...]
    at: npt.NDArray[np.intp]

    def best(self, axis: str, more: Mapping[int, float] = {}) -> int:
        """Return the class of an axis with the highest log-odds, with `more` added to some; the first among equals."""
        odds = list(self.scores[AXES[axis]])
        for at, added in more.items():
            odds[at] += added
        return odds.index(max(odds))


@lru_cache(maxsize=1)
def model() -> Model:
    """Return the shipped model."""
    names, rarity, weights, bias, scale = reading_weights()
    return Model({name: i for i, name in enumerate(names)}, rarity, weights, bias, scale)


def judge(found: Features, known: Model) -> Judged:
    """Weigh the features. Words that nobody has seen say nothing by themselves, their pieces do."""
    rows, values, words = looked_up(found, known)
    weights = known.weights.take(rows, axis=0).astype(np.float32)
    scores = known.bias + (values @ weights) * known.scale
    places: dict[str, int] = {}
    at = np.array([places.setdefault(word, len(places)) for word in words], dtype=np.intp)
    return Judged(tuple(scores.tolist()), values, weights, tuple(places), at)


def looked_up(found: Features, known: Model) -> tuple[npt.NDArray[np.intp], Vector, list[str]]:
    """Return the rows of the features that the model knows, their values, and the words that show them."""
    row_of = known.rows.get
    words = {row: w for name, w in found.words.items() if (row := row_of(name)) is not None}
    pieces: dict[int, str] = {}
    for word in reversed(found.cut):  # the first word that holds a piece shows it
        pieces.update(known_pieces(word, known))
    shape = [(row, v, n[1:]) for n, v in found.shape.items() if (row := row_of(n)) is not None]
    rows = np.array([*words, *pieces, *[row for row, _, _ in shape]], dtype=np.intp)
    values = known.rarity.take(rows)
    split, end = len(words), len(words) + len(pieces)
    for block in (values[:split], values[split:end]):
        if len(block):
            np.divide(block, math.sqrt(block @ block), out=block)
    values[end:] = [value for _, value, _ in shape]
    return rows, values, [*words.values(), *pieces.values(), *[name for _, _, name in shape]]


@lru_cache(maxsize=WORDS_REMEMBERED)
def known_pieces(word: str, known: Model) -> tuple[tuple[int, str], ...]:
    """Return the rows of a word's pieces that the model knows, and what shows each.

    A word that the model never met is shown by its known pieces: it may be a name or a key, and evidence is stored.
    """
    met = word in known.rows or f"c:{word}" in known.rows
    return tuple(
        (row, word if met else f"…{piece.strip('<>')}…")
        for piece in dict.fromkeys(pieces_of(word))
        if (row := known.rows.get(piece)) is not None
    )


@lru_cache(maxsize=1_024)
def contrast(known: Model, chosen: tuple[tuple[str, int], ...]) -> Vector:
    """Return what sets chosen classes apart from the mean of their axes' classes, (16, chosen), for stored weights."""
    apart = np.zeros((16, len(chosen)), dtype=np.float32)
    for k, (axis, at) in enumerate(chosen):
        part = AXES[axis]
        apart[part, k] = -1.0 / (part.stop - part.start)
        apart[part.start + at, k] += 1.0
    found: Vector = apart * known.scale[:, None]
    return found


def evidence(
    judged: Judged, known: Model, chosen: tuple[tuple[str, int], ...]
) -> dict[str, list[Evidence]]:
    """Return by axis what spoke most for and against its chosen class, against the mean of the axis's classes."""
    if not judged.words:
        return {}
    apart = judged.values[:, None] * (judged.weights @ contrast(known, chosen))
    notes: dict[str, list[Evidence]] = {}
    for k, (axis, at) in enumerate(chosen):
        told = np.bincount(judged.at, weights=apart[:, k]).tolist()
        strength = list(map(abs, told))
        most = sorted(range(len(told)), key=strength.__getitem__, reverse=True)[:MOST_NOTES]
        name = f"{axis}.{NAMES[axis][at]}"
        notes[axis] = [
            Evidence(name, round(told[i], 2), judged.words[i]) for i in most if strength[i] >= LEAST
        ]
    return notes
