"""What recorded outcomes taught, in a file: arrays of numbers in `.npz` form, never a pickle, with source and date.

`openfusion replay --save-experience FILE` writes it, `[auto] experience = "FILE"` reads it.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from openfusion_auto.core.experience import BUCKETS, Experience
from openfusion_auto.errors import ConfigError

READ = (2, 3)  # schemas
SCHEMA = 3  # 2: the form of a text is read, too; 3: what such tasks cost
MOST_BYTES = 50_000_000  # [bytes] of the file, and of what it unpacks to
MOST_CANDIDATES = 500
_BEFORE_3 = ("about", "ease", "lifts")
_ARRAYS = (*_BEFORE_3, "effort")


@dataclass(frozen=True, slots=True)
class Kept:
    """An experience, what it was learned from, and when it was saved."""

    experience: Experience
    source: str
    as_of: str


def save_experience(experience: Experience, path: Path, *, source: str, as_of: str) -> None:
    """Write an experience; a file that is there is replaced at once, or not at all.

    Args:
        experience: What was learned.
        path: The file.
        source: What it was learned from.
        as_of: The day, as YYYY-MM-DD.

    Raises:
        OSError: it cannot be written.
    """
    about = {
        "schema": SCHEMA,
        "source": source,
        "as_of": as_of,
        "buckets": BUCKETS,
        "slope": experience.slope,
        "mean": experience.mean,
        "level": experience.level,
        "tasks": experience.tasks,
        "candidates": list(experience.candidates),
    }
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as file:
            np.savez_compressed(
                file,
                about=np.frombuffer(json.dumps(about).encode(), dtype=np.uint8),
                ease=experience.ease,
                lifts=experience.lifts,
                effort=experience.effort,
            )
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def load_experience(path: Path, *, shown: str = "") -> Kept:
    """Read an experience.

    Args:
        path: The file.
        shown: How messages name it; the path when empty.

    Raises:
        ConfigError: it is not there, too large, not such a file, of another version, or holds numbers that cannot be.
    """
    name = shown or str(path)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigError(f"{name}: is larger than {MOST_BYTES // 1_000_000} MB")
        return _checked(_arrays(path, name), name)
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read ({error.strerror})") from error


def _arrays(path: Path, name: str) -> dict[str, npt.NDArray[Any]]:
    """Return the file's arrays; what it unpacks to is looked at before it is unpacked."""
    try:
        with zipfile.ZipFile(path) as packed:
            sizes = {i.filename: i.file_size for i in packed.infolist()}
        if set(sizes) not in ({f"{a}.npy" for a in _ARRAYS}, {f"{a}.npy" for a in _BEFORE_3}):
            raise _other(name)
        if sum(sizes.values()) > MOST_BYTES:
            raise ConfigError(f"{name}: unpacks to more than {MOST_BYTES // 1_000_000} MB")
        with np.load(path, allow_pickle=False) as kept:
            return {a: kept[a] for a in kept.files}
    except (zipfile.BadZipFile, ValueError, EOFError, KeyError) as error:
        raise _other(name) from error


def _checked(arrays: dict[str, npt.NDArray[Any]], name: str) -> Kept:
    """Return what the arrays mean."""
    try:
        about = json.loads(arrays["about"].tobytes())
        schema, buckets = about["schema"], about["buckets"]
        candidates = tuple(str(c) for c in about["candidates"])
        slope, mean, level = (float(about.get(n, 0.0)) for n in ("slope", "mean", "level"))
        tasks, source, as_of = int(about["tasks"]), str(about["source"]), str(about["as_of"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _other(name) from error
    if schema not in READ or buckets != BUCKETS:
        raise ConfigError(
            f"{name}: is of another version (schema {schema!r}, {buckets!r} buckets; this one reads schema {SCHEMA}, "
            f"{BUCKETS} buckets): save it again with openfusion replay --save-experience"
        )
    if schema == 2:  # nothing was said of what tasks cost
        arrays = {**arrays, "effort": np.zeros(BUCKETS)}
    if "effort" not in arrays:
        raise _other(name)
    ease, lifts, effort = arrays["ease"], arrays["lifts"], arrays["effort"]
    if (
        {ease.shape, effort.shape} != {(BUCKETS,)}
        or lifts.shape != (BUCKETS, len(candidates))
        or len(candidates) > MOST_CANDIDATES
        or {a.dtype.kind for a in (ease, lifts, effort)} != {"f"}
    ):
        raise _other(name)
    ease, lifts, effort = (a.astype(np.float64) for a in (ease, lifts, effort))
    if not all(np.isfinite(a).all() for a in (ease, lifts, effort, (slope, mean, level))):
        raise ConfigError(f"{name}: holds numbers that are not finite")
    try:
        dt.date.fromisoformat(as_of)
    except ValueError:
        raise ConfigError(
            f"{name}: says no date (YYYY-MM-DD) of what it was learned from"
        ) from None
    found = Experience(ease, slope, mean, candidates, lifts, tasks, effort, level)
    return Kept(found, source, as_of)


def _other(name: str) -> ConfigError:
    return ConfigError(f"{name}: is not an experience saved by openfusion replay --save-experience")
