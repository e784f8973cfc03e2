"""A public price list as a file: what kind it is, from which day, and what it says of each model."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Literal

from openfusion_auto.config.pool import as_date
from openfusion_auto.config.price_entry import Entry
from openfusion_auto.config.price_kinds import READERS, kind_of, usable
from openfusion_auto.errors import ConfigError

MOST_BYTES = 32 * 1024 * 1024  # the largest of the three is about 4 MB (2026)

_DAY_IN_NAME = re.compile(r"(?<![0-9])(20[0-9]{2}-[0-9]{2}-[0-9]{2})(?![0-9])")

DayFrom = Literal["given", "name of the file", "time of the file"]


@dataclass(frozen=True, slots=True)
class PriceList:
    """A price list that was read.

    Attributes:
        path: Where it is.
        kind: `models.dev`, `openrouter` or `litellm`.
        digest: `sha256:` of its bytes.
        source: What the caller calls it; empty = kind, digest and provider name it.
        as_of: The day they are from.
        as_of_from: How that day is known.
        entries: What it says, one for each model at each provider.
        left_out: How many rows were no model that a pool could name.
    """

    path: Path
    kind: str
    digest: str
    source: str
    as_of: str
    as_of_from: DayFrom
    entries: tuple[Entry, ...]
    left_out: int

    def source_of(self, entry: Entry) -> str:
        """Return what the pool will say the numbers of `entry` are from."""
        if self.source:
            return self.source
        at = "" if self.kind == entry.provider else f" {entry.provider}"
        return f"{self.kind}@{self.digest.removeprefix('sha256:')[:12]}{at}"


def read_prices(path: Path, *, source: str = "", as_of: str | None = None) -> PriceList:
    """Read a price list.

    Args:
        path: The file.
        source: What to call it in the pool; its kind, digest and provider when not given.
        as_of: The day its numbers are from; when not given the day in its name, else that of its last change.

    Raises:
        ConfigError: it cannot be read, or is none of the known lists.
    """
    raw = _bytes(path)
    data = _json(raw, path)
    kind = kind_of(data)
    if kind is None or not isinstance(data, dict):
        raise ConfigError(f"{path}: {_no_list(data)}")
    rows = list(READERS[kind](data))
    entries = tuple(row for row in rows if usable(row))
    if not entries:
        raise ConfigError(f"{path}: has the form of a {kind} list, but no model in it")
    digest = f"sha256:{sha256(raw).hexdigest()}"
    day, how = _day(path, as_of)
    return PriceList(path, kind, digest, source, day, how, entries, len(rows) - len(entries))


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    if len(raw) > MOST_BYTES:
        raise ConfigError(f"{path}: has more than {MOST_BYTES >> 20} MB; a price list has a few")
    return raw


def _json(raw: bytes, path: Path) -> object:
    try:
        parsed: object = json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 (byte {error.start})") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: is nested too deeply") from error
    except ValueError as error:
        page = " (it looks like a web page)" if raw.lstrip()[:1] == b"<" else ""
        raise ConfigError(f"{path}: is not JSON{page}: {error}") from error
    return parsed


def _no_list(data: object) -> str:
    """Say what was found instead of a price list, and what is read."""
    if isinstance(data, Mapping):
        names = ", ".join(json.dumps(str(name)[:30]) for name in list(data)[:4])
        found = f"an object with {names}" if names else "an empty object"
    else:
        found = "a list" if isinstance(data, list) else "a single value"
    return (
        f"is {found}, none of the lists that are read: api.json of models.dev (provider -> models), "
        'OpenRouter\'s /api/v1/models ({"data": [...]} with "pricing"), '
        'LiteLLM\'s model_prices_and_context_window.json (model -> "litellm_provider", ...)'
    )


def _day(path: Path, as_of: str | None) -> tuple[str, DayFrom]:
    """Return the day of the numbers: as told, by the file's name, or by the time it was last changed."""
    if as_of is not None:
        try:
            as_date(as_of)
        except ValueError as error:
            raise ConfigError(f"--as-of: {error}") from error
        return as_of, "given"
    for found in _DAY_IN_NAME.findall(path.name):
        try:
            as_date(found)
        except ValueError:
            continue
        return found, "name of the file"
    changed = datetime.fromtimestamp(path.stat().st_mtime, tz=UTC)
    return changed.date().isoformat(), "time of the file"
