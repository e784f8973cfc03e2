"""A pytest inside a test: nothing of the outer one's workers and measuring reaches it."""

from __future__ import annotations

import os

OUTER = ("SLIPCOVER_", "PYTEST_XDIST_")


def inner_environment(**more: str) -> dict[str, str]:
    """Return this process's environment for a pytest that is started by a test."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OUTER)}
    return kept | more
