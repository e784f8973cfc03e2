"""The model behind kind, risk and complexity: a linear one, whose every contribution can be named.

Each axis is a multinomial logistic regression on the features of `features.py`. Words and pieces are weighted by how
rare they are, each block scaled to length 1, so a long request says no more than a short one. The weights are data
(`reading.npz`), with how they were made in `docs/explanation/reading.md`; `evals/train_reading.py` makes them again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from openfusion_auto.core.features import Features
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
    """Weights. `rows` finds a feature's row; `rarity` is (n,), `weights` (n, 16), `bias` (16,), columns as `AXES`."""

    rows: Mapping[str, int]
    rarity: Vector
    weights: Vector
    bias: Vector


class Judged(NamedTuple):
    """Log-odds of every class, (16,), and what each feature added to them, (features, 16), with the word it shows."""

    scores: Vector
    parts: Vector
    words: list[str]


@lru_cache(maxsize=1)
def model() -> Model:
    """Return the shipped model."""
    names, rarity, weights, bias = reading_weights()
    return Model({name: i for i, name in enumerate(names)}, rarity, weights, bias)


def judge(found: Features, known: Model) -> Judged:
    """Weigh the features. Words that nobody has seen say nothing by themselves, their pieces do."""
    rows, values, words = looked_up(found, known)
    if not rows:
        return Judged(known.bias, np.zeros((0, 16), dtype=np.float32), [])
    parts = known.weights[rows] * np.array(values, dtype=np.float32)[:, None]
    return Judged(known.bias + parts.sum(axis=0), parts, words)


def looked_up(found: Features, known: Model) -> tuple[list[int], list[float], list[str]]:
    """Return the rows of the features that the model knows, their values, and the words that show them.

    A word that the model never met is shown by its known pieces: it may be a name or a key, and evidence is stored.
    """
    rows: list[int] = []
    values: list[float] = []
    words: list[str] = []
    for block in (found.words, found.pieces):
        here = [
            (row, name, word)
            for name, word in block.items()
            if (row := known.rows.get(name)) is not None
        ]
        weights = [float(known.rarity[row]) for row, _, _ in here]
        length = math.sqrt(sum(w * w for w in weights)) or 1.0
        rows += [row for row, _, _ in here]
        values += [w / length for w in weights]
        plain = block is found.words
        words += [w if plain or met(w, known) else f"…{name.strip('<>')}…" for _, name, w in here]
    for name, value in found.shape.items():
        if (row := known.rows.get(name)) is not None:
            rows.append(row)
            values.append(value)
            words.append(name[1:])
    return rows, values, words


def met(word: str, known: Model) -> bool:
    """Whether a word stood in the requests that the model was trained on, as a word or in code."""
    return word in known.rows or f"c:{word}" in known.rows


def evidence(judged: Judged, axis: str, chosen: int) -> list[Evidence]:
    """Return what spoke most for and against a class of an axis, against the mean of the axis's classes."""
    if not judged.words:
        return []
    here = judged.parts[:, AXES[axis]]
    places: dict[str, int] = {}
    at = [places.setdefault(word, len(places)) for word in judged.words]
    told = np.bincount(at, weights=here[:, chosen] - here.mean(axis=1), minlength=len(places))
    most = np.argsort(-np.abs(told), kind="stable")[:MOST_NOTES].tolist()
    words, name = list(places), f"{axis}.{NAMES[axis][chosen]}"
    return [
        Evidence(name, round(float(told[i]), 2), words[i]) for i in most if abs(told[i]) >= LEAST
    ]
