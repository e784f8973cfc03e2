"""Make the reader's weights again: `python -m openfusion_auto.evals.train_reading --out reading.npz FILES`.

Each line of a file is a labelled request (`tests/reading/README.md`). The features are the reader's own. Three
multinomial logistic regressions are fitted with scikit-learn (extra `train`) and stored as whole numbers. Nothing here
runs when a request is served.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from openfusion_auto.core.facts import Facts, read_facts
from openfusion_auto.core.features import Features, features_of
from openfusion_auto.core.reading import AXES, NAMES, Model, looked_up
from openfusion_auto.wire.chat_request import parse_request

Matrix = npt.NDArray[np.float32]

SEEN = {"word": 2, "piece": 4}  # requests that a feature must stand in
STRENGTH = 5.0  # inverse of the ridge (scikit-learn's C)


class Example:
    """One labelled request: its features and labels; `weight` counts it more than once."""

    def __init__(self, row: dict[str, Any], weight: float = 1.0) -> None:
        self.facts = facts_of(row["messages"])
        self.features: Features = features_of(self.facts)
        self.labels = {axis: str(row[axis]) for axis in AXES}
        self.weight = weight


def facts_of(messages: Sequence[dict[str, Any]]) -> Facts:
    """Return what is read of a chat."""
    body = json.dumps({"model": "openfusion/auto", "messages": list(messages)})
    return read_facts(parse_request(body.encode()))


def examples_of(paths: Iterable[Path], weight: float = 1.0) -> list[Example]:
    """Read labelled requests."""
    return [
        Example(json.loads(line), weight)
        for path in paths
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip()
    ]


def fit(examples: Sequence[Example]) -> Model:
    """Fit the model on all features that are frequent enough."""
    return fitted(examples, frequent(examples))


def frequent(examples: Sequence[Example]) -> list[str]:
    """Return the names of features that stand in enough requests, sorted."""
    words: Counter[str] = Counter()
    pieces: Counter[str] = Counter()
    shapes: Counter[str] = Counter()
    for e in examples:
        words.update(e.features.words.keys())
        pieces.update(e.features.pieces().keys())
        shapes.update(e.features.shape.keys())
    kept = [n for n, c in words.items() if c >= SEEN["word"]]
    kept += [n for n, c in pieces.items() if c >= SEEN["piece"] and n not in words]
    return sorted({*kept, *shapes})


def fitted(examples: Sequence[Example], names: Sequence[str]) -> Model:
    """Return the model on these features."""
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression

    rows = {name: i for i, name in enumerate(names)}
    count = np.zeros(len(names))
    for e in examples:
        for name in {*e.features.words, *e.features.pieces(), *e.features.shape}:
            if name in rows:
                count[rows[name]] += 1
    rarity = (np.log((1 + len(examples)) / (1 + count)) + 1).astype(np.float32)
    weights, bias = np.zeros((len(names), 16), np.float32), np.zeros(16, np.float32)
    blank = Model(rows, rarity, weights, bias)
    found = [looked_up(e.features, blank) for e in examples]
    ends = np.cumsum([0, *(len(f[0]) for f in found)])
    x = csr_matrix(
        (np.concatenate([f[1] for f in found]), np.concatenate([f[0] for f in found]), ends),
        shape=(len(examples), len(names)),
    )
    for axis, columns in AXES.items():
        y = [NAMES[axis].index(e.labels[axis]) for e in examples]
        regression = LogisticRegression(C=STRENGTH, max_iter=300, tol=1e-3)
        regression.fit(x, y, sample_weight=[e.weight for e in examples])
        weights[:, columns] = regression.coef_.T
        bias[columns] = regression.intercept_
    return Model(rows, rarity, weights, bias)


def store(known: Model, path: Path) -> None:
    """Write a model as whole numbers of 8 bits with a scale per column."""
    scale = np.abs(known.weights).max(axis=0) / 127
    np.savez_compressed(
        path,
        names=np.frombuffer("\n".join(known.rows).encode("utf-8"), dtype=np.uint8),
        rarity=known.rarity.astype(np.float16),
        weights=np.round(known.weights / scale).astype(np.int8),
        scale=scale.astype(np.float32),
        bias=known.bias.astype(np.float32),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Fit on the files and write the weights."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "files", nargs="+", type=Path, help="labelled requests, one JSON object a line"
    )
    parser.add_argument(
        "--more", nargs="*", type=Path, default=[], help="files whose rows count --times"
    )
    parser.add_argument("--times", type=float, default=2.0)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args(argv)
    examples = [*examples_of(asked.files), *examples_of(asked.more, asked.times)]
    known = fit(examples)
    store(known, asked.out)
    size = math.ceil(asked.out.stat().st_size / 1000)
    sys.stdout.write(f"{len(examples)} requests, {len(known.rows)} features, {size} kB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
