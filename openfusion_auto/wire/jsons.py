"""JSON in and out: strict about what comes in, and with the places of a top-level object's members.

The standard library reads too much for a router: `NaN`, `1e400` (as infinity, which it would write back as the
invalid `Infinity`), UTF-16, thousands of nested arrays up to a `RecursionError`. A faster library reads too
little that is the same: it turns a long integer into a float. So: the standard library, with guards.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import pairwise, takewhile
from typing import NamedTuple, NoReturn

MAX_DEPTH = 200  # nested arrays and objects; agents' JSON Schemas stay below 40
MAX_DIGITS = 400  # of an integer; what is longer has no double either (largest: 309 digits)
# [characters] of a text in which neither can be reached: it is read without looking for them, as most of a stream is.
SHORT = 2 * min(MAX_DEPTH, MAX_DIGITS // 2)
# [tokens] of one call: ten times the widest window there is. More is a slip of the server's, and as money it would use
# up every budget.
MOST_TOKENS = 10**8
BOM = b"\xef\xbb\xbf"


class JsonError(ValueError):
    """Not JSON as it may come in; the message holds a reason and a place, never the text."""


class Member(NamedTuple):
    """Where one member of a top-level object stands: byte offsets of its key's quote, its value, its end."""

    key: str
    start: int
    value: int
    end: int


class Body(dict[str, object]):
    """A parsed JSON object that remembers where its members stand in the bytes it was read from.

    Attributes:
        members: In the order of the text; a key that stands twice has two.
    """

    members: tuple[Member, ...] = ()


def dumps(value: object) -> bytes:
    """Return compact UTF-8 JSON; lone surrogates, which UTF-8 cannot hold, make it all ASCII escapes.

    Raises:
        ValueError: a number that is not finite.
    """
    try:
        return _PLAIN.encode(value).encode()
    except UnicodeEncodeError:
        return _ASCII.encode(value).encode("ascii")


def loads(raw: bytes | bytearray) -> object:
    """Return the value of a JSON text in UTF-8; a byte order mark is tolerated.

    Raises:
        JsonError: anything else, a number that is not finite or too long, nesting over `MAX_DEPTH`.
    """
    return loads_text(decode(raw))


def loads_text(text: str) -> object:
    """Return the value of a JSON text. Raises `JsonError` as `loads` does."""
    value: object
    short = len(text) <= SHORT
    try:
        value, end = (_SHORT if short else _DECODER).raw_decode(text, _skip(text, 0))
    except (ValueError, RecursionError) as error:
        raise JsonError(_reason(error)) from None
    if end != len(text) and _skip(text, end) != len(text):
        raise JsonError(f"something follows the value at character {end}")
    if not short:
        _bound_depth(text, value)
    return value


def decode(raw: bytes | bytearray) -> str:
    """Return the text of UTF-8 bytes without a byte order mark; raises `JsonError` for other bytes."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise JsonError(f"not UTF-8 at byte {error.start}") from None
    return text.removeprefix("\ufeff")


def read_body(raw: bytes) -> Body | None:
    """Return a top-level object with the places of its members; None when the JSON is another value.

    Args:
        raw: UTF-8 without a byte order mark.

    Raises:
        JsonError: as `loads`.
    """
    text = decode(raw)
    body = Body()
    try:
        members = list(_scan(text, body))
    except _NotAnObject:
        loads_text(text)
        return None
    except (ValueError, RecursionError) as error:
        raise JsonError(_reason(error)) from None
    _bound_depth(text, body)
    body.members = _to_bytes(text, len(raw), members)
    return body


class _NotAnObject(Exception):
    """The text does not begin with `{`."""


def _scan(text: str, into: dict[str, object]) -> list[Member]:
    """Read the members of the object that is the whole text; offsets are those of characters."""
    found: list[Member] = []
    at = _skip(text, 0)
    if text[at : at + 1] != "{":
        raise _NotAnObject
    at = _skip(text, at + 1)
    more = text[at : at + 1] != "}"
    while more:
        start = at
        if text[at : at + 1] != '"':
            raise JsonError(f"expected a key in quotes at character {at}")
        key, at = _DECODER.raw_decode(text, at)
        at = _skip(text, at)
        if text[at : at + 1] != ":":
            raise JsonError(f"expected ':' at character {at}")
        value = _skip(text, at + 1)
        into[key], at = _DECODER.raw_decode(text, value)
        found.append(Member(key, start, value, at))
        at = _skip(text, at)
        more = text[at : at + 1] == ","
        if more:
            at = _skip(text, at + 1)
        elif text[at : at + 1] != "}":
            raise JsonError(f"expected ',' or '}}' at character {at}")
    if _skip(text, at + 1) != len(text):
        raise JsonError(f"something follows the object at character {at + 1}")
    return found


def _to_bytes(text: str, size: int, members: list[Member]) -> tuple[Member, ...]:
    """Turn character offsets into byte offsets, encoding all of the text but its longest stretch."""
    if len(text) == size or not members:
        return tuple(members)
    marks = sorted({0, len(text), *(place for m in members for place in m[1:])})
    longest = max(pairwise(marks), key=lambda pair: pair[1] - pair[0])[0]
    places = {0: 0, len(text): size}
    for low, high in takewhile(lambda pair: pair[0] != longest, pairwise(marks)):
        places[high] = places[low] + len(text[low:high].encode())
    for high, low in takewhile(lambda pair: pair[1] != longest, pairwise(reversed(marks))):
        places[low] = places[high] - len(text[low:high].encode())
    return tuple(Member(m.key, places[m.start], places[m.value], places[m.end]) for m in members)


def _bound_depth(text: str, value: object) -> None:
    # Nesting needs brackets: a text with few of them, like most answers, is not walked at all.
    if len(text) <= 2 * MAX_DEPTH or not (_many(text, "[") or _many(text, "{")):
        return
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH):
        if not level:
            return
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, _NESTING)
        ]
    if level:
        raise JsonError(f"nested deeper than {MAX_DEPTH}")


def _many(text: str, bracket: str) -> bool:
    """Whether half of what `MAX_DEPTH` needs is there; stops at it, where counting would read all of the text."""
    at = -1
    for _ in range(MAX_DEPTH // 2):
        at = text.find(bracket, at + 1)
        if at < 0:
            return False
    return True


def _skip(text: str, at: int) -> int:
    if text[at : at + 1] not in _SPACES:
        return at
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return f"nested deeper than {MAX_DEPTH}"
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos}"
    return str(error) if isinstance(error, JsonError) else "a number has too many digits"


def _finite(text: str) -> float:
    value = float(text)
    if value - value != 0.0:
        raise JsonError("a number is too large")
    return value


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise JsonError("a number has too many digits")
    return int(text)


def _no_constant(name: str) -> NoReturn:
    raise JsonError(f"{name} is not JSON")


def is_json(text: str) -> bool:
    """Return whether a text is JSON, whole."""
    try:
        loads_text(text)
    except JsonError:
        return False
    return True


def as_object(value: object) -> Mapping[str, object] | None:
    """Return `value` when it is a JSON object, else None."""
    return value if isinstance(value, dict) else None


def as_count(value: object) -> int | None:
    """Return a reported number of tokens, 0 when it is not given (null), None when it cannot be one."""
    if value is None:
        return 0
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS
    return value if fits and isinstance(value, int) else None


_NESTING = (dict, list)
_SPACES = frozenset(" \t\n\r")
_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder(parse_float=_finite, parse_int=_integer, parse_constant=_no_constant)
_SHORT = json.JSONDecoder(parse_float=_finite, parse_constant=_no_constant)
_PLAIN = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_ASCII = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True, allow_nan=False)
