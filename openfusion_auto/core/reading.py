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

    def weights_of(self, rows: npt.NDArray[np.intp]) -> Vector:
        """Return the weights of some features, (rows, 16)."""
        return self.weights[rows].astype(np.float32) * self.scale


class Judged(NamedTuple):
    """Log-odds of every class, (16,), and the features found: their values and weights, (features,), (features, 16).

    `words` are the different words that show features; `at` (features,) says which of them shows each.
    """

    scores: Vector
    values: Vector
    weights: Vector
    words: tuple[str, ...]
    at: npt.NDArray[np.intp]


@lru_cache(maxsize=1)
def model() -> Model:
    """Return the shipped model."""
    names, rarity, weights, bias, scale = reading_weights()
    return Model({name: i for i, name in enumerate(names)}, rarity, weights, bias, scale)


def judge(found: Features, known: Model) -> Judged:
    """Weigh the features. Words that nobody has seen say nothing by themselves, their pieces do."""
    rows, values, words = looked_up(found, known)
    places: dict[str, int] = {}
    at = [places.setdefault(word, len(places)) for word in words]
    weighed = np.array(values, dtype=np.float32)
    weights = known.weights_of(np.array(rows, dtype=np.intp))
    scores = known.bias + weighed @ weights
    return Judged(scores, weighed, weights, tuple(places), np.array(at, dtype=np.intp))


def looked_up(found: Features, known: Model) -> tuple[list[int], list[float], list[str]]:
    """Return the rows of the features that the model knows, their values, and the words that show them."""
    row_of = known.rows.get
    words = {row: w for name, w in found.words.items() if (row := row_of(name)) is not None}
    pieces: dict[int, str] = {}
    for word in found.cut:
        for row, shown in known_pieces(word, known):
            if row not in pieces:
                pieces[row] = shown
    shape = [(row, v, n[1:]) for n, v in found.shape.items() if (row := row_of(n)) is not None]
    return (
        [*words, *pieces, *(row for row, _, _ in shape)],
        [*scaled(words, known), *scaled(pieces, known), *(value for _, value, _ in shape)],
        [*words.values(), *pieces.values(), *(name for _, _, name in shape)],
    )


def scaled(rows: Mapping[int, str], known: Model) -> list[float]:
    """Return how rare features are, the whole of length 1."""
    rarity = known.rarity[list(rows)].astype(np.float64)
    length = math.sqrt(float(rarity @ rarity)) or 1.0
    values: list[float] = (rarity / length).tolist()
    return values


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


def evidence(judged: Judged, axis: str, chosen: int) -> list[Evidence]:
    """Return what spoke most for and against a class of an axis, against the mean of the axis's classes."""
    if not judged.words:
        return []
    part = judged.weights[:, AXES[axis]]
    apart = judged.values * (part[:, chosen] - part.mean(axis=1))
    told = np.bincount(judged.at, weights=apart).round(2).tolist()
    most = sorted(range(len(told)), key=lambda i: -abs(told[i]))[:MOST_NOTES]
    name = f"{axis}.{NAMES[axis][chosen]}"
    return [Evidence(name, told[i], judged.words[i]) for i in most if abs(told[i]) >= LEAST]
