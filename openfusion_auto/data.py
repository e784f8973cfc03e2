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


def reading_weights() -> tuple[list[str], Array, npt.NDArray[np.int8], Array, Array]:
    """Return names of features (n,), their rarity (n,), weights (n, 16), bias and scale (16,) of the reading.

    The weights are whole numbers in units of `scale`, which costs no accuracy and a quarter of the room.
    """
    with np.load(Path(__file__).resolve().parent / "core" / "reading.npz") as stored:
        names = stored["names"].tobytes().decode("utf-8").split("\n")
        rarity = stored["rarity"].astype(np.float32)
        return names, rarity, stored["weights"], stored["bias"], stored["scale"]
