"""Spending by account in `usage.json` of the state folder: written whole, in one step, at most once a second.

A process that is killed loses the last second. Two servers on one state folder overwrite each other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from openfusion_auto.config import private
from openfusion_auto.core.limits import Slots, Spending
from openfusion_auto.errors import ConfigError

FILE = "usage.json"
SCHEMA = 1


class SpendFile:
    """Keeps spending; see `runtime/limits.py:SpendLog`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._kept: dict[str, Spending] = {}

    def load(self) -> Mapping[str, Spending]:
        """Return what is kept, by account; {} when there is no file.

        Raises:
            ConfigError: the file cannot be read or understood. Nobody's budget begins anew in silence.
        """
        raw = private.read(self.path)
        if raw is None:
            return {}
        try:
            found = json.loads(raw)
            if found["schema"] != SCHEMA:
                raise ValueError(found["schema"])
            self._kept = {str(name): row_of(value) for name, value in found["accounts"].items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise ConfigError(
                f"{self.path}: is no file of spending of this version; move it away to begin with nothing spent"
            ) from None
        return dict(self._kept)

    def save(self, changed: Mapping[str, Spending]) -> None:
        """Keep what changed and write all of it. Raises `ConfigError` when it cannot be written."""
        self._kept.update(changed)
        accounts = {name: spending._asdict() for name, spending in sorted(self._kept.items())}
        private.write(self.path, json.dumps({"schema": SCHEMA, "accounts": accounts}).encode())


def row_of(value: Mapping[str, object]) -> Spending:
    """Return one account. Raises `ValueError`, `KeyError` or `TypeError` when it is none."""
    requests, last_s = value["requests"], value["last_s"]
    if type(requests) is not int or not isinstance(last_s, int | float):
        raise TypeError("not a count, or not a moment")
    return Spending(slots_of(value["day"]), slots_of(value["month"]), requests, float(last_s))


def slots_of(value: object) -> Slots:
    """Return slots. Raises `ValueError` or `TypeError` when they are none."""
    if not isinstance(value, list):
        raise TypeError("no list of slots")
    found = tuple((number, amount) for number, amount in value)
    if any(type(n) is not int or type(a) is not int or a < 0 for n, a in found):
        raise ValueError("a slot is two whole numbers")
    return found
