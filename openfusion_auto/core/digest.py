"""Content digests: one canonical form of a value, the same bytes in every process and on every machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache

CANONICAL = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
)
EXACT = 2.0**53  # above, a float is not every integer (IEEE 754)


def plain(value: object) -> object:
    """Return `value` as JSON types: dataclasses and named tuples as objects, sets sorted, sequences as lists.

    A float without a fraction becomes an int: 5 and 5.0 are one number, also to who reads a digest's input back. A
    field marked `sparse` in its metadata is left out while it has its default: what was written before it was there,
    and what does without it, keeps its digest.
    """
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < EXACT else value
    if value is None or isinstance(value, str | bool | int):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        always, sparse = _fields(type(value))
        told = {name: plain(getattr(value, name)) for name in always}
        for name, default in sparse:
            if (said := getattr(value, name)) != default:
                told[name] = plain(said)
        return told
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {name: plain(getattr(value, name)) for name in value._fields}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(v) for v in value), key=repr)
    msg = f"{type(value).__name__} has no canonical form"
    raise TypeError(msg)


@cache
def _fields(kind: type) -> tuple[tuple[str, ...], tuple[tuple[str, object], ...]]:
    """Return the fields of a dataclass that are always told, and the sparse ones with their defaults."""
    sparse = tuple((f.name, f.default) for f in fields(kind) if f.metadata.get("sparse"))
    left = dict(sparse)
    return tuple(f.name for f in fields(kind) if f.name not in left), sparse


def canonical(value: object) -> bytes:
    """Return the canonical JSON of `value`: sorted keys, no spaces, ASCII, finite numbers only.

    Raises:
        TypeError: a type without a canonical form.
        ValueError: a number that is not finite.

    Source: the idea of RFC 8785 (JCS), with Python's shortest form for floats with a fraction.
    """
    return CANONICAL.encode(plain(value)).encode("ascii")


def digest(value: object) -> str:
    """Return `sha256:<hex>` of the canonical form."""
    return digest_of_plain(plain(value))


def digest_of_plain(value: object) -> str:
    """Return the digest of what `plain` returned: the same as `digest`, without the walk."""
    return "sha256:" + hashlib.sha256(CANONICAL.encode(value).encode("ascii")).hexdigest()
