"""Where the shipped data files (pools, schemas, adapters) are."""

from __future__ import annotations

from pathlib import Path


def data_root() -> Path:
    """Return the folder that holds `candidates/`, `receipts/` and `adapters/`.

    In an installed wheel they are inside the package (`_data`), in a checkout (also an editable install)
    beside it.
    """
    package = Path(__file__).resolve().parent
    inside = package / "_data"
    return inside if inside.is_dir() else package.parent
