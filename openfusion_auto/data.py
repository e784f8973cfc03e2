"""Where the shipped data files (pools, schemas, adapters) are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


def data_root() -> Path:
    """Return the folder that holds `candidates/`, `receipts/` and `adapters/`.

    In an installed wheel they are inside the package (`_data`), in a checkout (also an editable install)
    beside it.
    """
    package = Path(__file__).resolve().parent
    inside = package / "_data"
    return inside if inside.is_dir() else package.parent


def reading_weights() -> tuple[list[str], Array, Array, Array]:
    """Return the reader's weights: names of the features (n,), their rarity (n,), weights (n, 16), bias (16,).

    They are stored as whole numbers with a scale per column, which costs no accuracy and a quarter of the room.
    """
    with np.load(Path(__file__).resolve().parent / "core" / "reading.npz") as stored:
        names = stored["names"].tobytes().decode("utf-8").split("\n")
        weights = stored["weights"].astype(np.float32) * stored["scale"]
        return names, stored["rarity"].astype(np.float32), weights, stored["bias"]
