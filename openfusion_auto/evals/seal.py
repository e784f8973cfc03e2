"""A document that anyone can check: one form of its bytes, a digest for every part, one digest over all of them.

A *seal* is the digest of one object or list at most `DEPTH` levels down; what stands in a part that has a seal of its
own is not covered twice. So a change is found in the part where it is. The document's digest covers the list of seals.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from openfusion_auto.core.digest import digest_of_plain

LINE = json.JSONEncoder(sort_keys=True, ensure_ascii=True, allow_nan=False)
DEPTH = 4  # [levels] to which parts have seals of their own: /runs/3/attempts/0
UNSEALED = ("seals", "digest", "signature")  # members that are made of the others


def sealed(content: Mapping[str, object]) -> dict[str, object]:
    """Return a document with its seals and its digest, not signed. `content` is what `digest.plain` returns."""
    seals = seals_of(content)
    return {**content, "seals": seals, "digest": digest_of_plain(seals), "signature": None}


def seals_of(document: object) -> dict[str, str]:
    """Return JSON pointer -> digest of every part, by what the document (of `digest.plain`) says now."""
    content = {k: v for k, v in _mapping(document).items() if k not in UNSEALED}
    return {path: digest_of_plain(own) for path, own in parts(content, "", 0)}


def parts(value: object, path: str, depth: int) -> Iterator[tuple[str, object]]:
    """Yield each part with its place; inner parts are replaced by an empty one of their kind."""
    if depth >= DEPTH:
        yield path, value
    elif isinstance(value, dict):
        yield path, {k: _shell(v) for k, v in value.items()}
        for key, inner in value.items():
            if isinstance(inner, dict | list):
                yield from parts(inner, f"{path}/{escaped(key)}", depth + 1)
    elif isinstance(value, list):
        yield path, [_shell(v) for v in value]
        for index, inner in enumerate(value):
            if isinstance(inner, dict | list):
                yield from parts(inner, f"{path}/{index}", depth + 1)


def broken_seals(document: Mapping[str, object]) -> list[str]:
    """Return the places whose seal is not the one that is written down, and those where one is missing or too many."""
    written, found = _mapping(document.get("seals")), seals_of(document)
    return sorted(p for p in {*written, *found} if written.get(p) != found.get(p))


def differing(written: object, made: object, path: str = "") -> Iterator[str]:
    """Yield the places where two JSON values differ, as deep as they can be told apart.

    A whole number and the same number as a float are one; true and 1 are not.
    """
    if isinstance(written, dict) and isinstance(made, dict):
        for key in sorted({*written, *made}):
            here = f"{path}/{escaped(key)}"
            if key in written and key in made:
                yield from differing(written[key], made[key], here)
            else:
                yield here
    elif isinstance(written, list) and isinstance(made, list):
        for index, (one, other) in enumerate(zip(written, made, strict=False)):
            yield from differing(one, other, f"{path}/{index}")
        if len(written) != len(made):
            yield f"{path}/{min(len(written), len(made))}"
    elif written != made or isinstance(written, bool) != isinstance(made, bool):
        yield path


def rendered(document: object) -> bytes:
    """Return the bytes of a document's file: sorted members, one line for what holds no other part, ASCII."""
    return (_laid_out(document, "") + "\n").encode("ascii")


def first_difference(given: bytes, wanted: bytes) -> str | None:
    """Say where bytes begin to differ, as line and column from 1; None when they are the same."""
    if given == wanted:
        return None
    limit = min(len(given), len(wanted))
    at = next((i for i in range(limit) if given[i] != wanted[i]), limit)
    line, column = given.count(b"\n", 0, at) + 1, at - given.rfind(b"\n", 0, at)
    return f"line {line}, column {column}"


def escaped(key: str) -> str:
    """Return a member's name as a JSON pointer has it (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def _shell(value: object) -> object:
    return type(value)() if isinstance(value, dict | list) else value


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _laid_out(value: object, indent: str) -> str:
    inner = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(inner, list) or not any(isinstance(v, dict | list) for v in inner):
        return LINE.encode(value)
    deeper = indent + " "
    if isinstance(value, dict):
        lines = [f"{LINE.encode(k)}: {_laid_out(value[k], deeper)}" for k in sorted(value)]
    else:
        lines = [_laid_out(v, deeper) for v in inner]
    opens, closes = "{}" if isinstance(value, dict) else "[]"
    body = f",\n{deeper}".join(lines)
    return f"{opens}\n{deeper}{body}\n{indent}{closes}"
