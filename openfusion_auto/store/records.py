"""Values to JSON and back, by the fields they have: a file of another version reads as far as it can be read.

A field that a stored value lacks takes its default; one that this version does not know is passed over. Dataclasses
are objects, named tuples are lists (`layout` says in which order), so that an encoder in C does nearly all the work.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import cache
from operator import attrgetter
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from openfusion_auto.core.types import Breaker, Pin, Stats
from openfusion_auto.store.base import AnyLive, Maker

try:
    import orjson  # of the extra `fast`: half the time, most of which goes into floats
except ImportError:
    orjson = None  # type: ignore[assignment] # asked for where it is used

Value = TypeVar("Value")
Layout = Mapping[
    str, Sequence[str]
]  # class name of a named tuple -> its fields when it was written
# Fields that hold a moment on the writer's clock; they are kept as seconds since 1970. A test looks for new ones.
TIMES: Mapping[type, tuple[str, ...]] = {
    Stats: ("at_s",),
    Breaker: ("until_s",),
    Pin: ("warm_until_s", "expires_s"),
    Maker: (),
}


class Unreadable(ValueError):
    """What is stored is not what this version can read."""


def moved(value: AnyLive, by_s: float) -> AnyLive:
    """Return a live value with its moments moved by so many seconds."""
    names = TIMES[type(value)]
    if not names or isinstance(value, Maker):
        return value
    return replace(value, **{name: getattr(value, name) + by_s for name in names})


def dumps(value: object) -> bytes:
    """Return JSON of dataclasses, named tuples, mappings and what JSON has anyway, in ASCII or UTF-8."""
    if orjson is not None:
        try:
            return orjson.dumps(value, default=_known)
        except (TypeError, ValueError):
            pass  # half of a surrogate pair, an integer over 64 bits: the slower one takes them
    return json.dumps(value, default=_known, separators=(",", ":")).encode("ascii")


def loads(kind: type[Value], text: str | bytes) -> Value:
    """Return a value of a type from what `dumps` made of one, by this version or another.

    Raises:
        Unreadable: not JSON, or of another shape.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise Unreadable("not JSON") from None
    return read(kind, data)


def read(kind: type[Value], data: object, layout: Layout | None = None) -> Value:
    """Return a value of a type from parsed JSON.

    Raises:
        Unreadable: of another shape.
    """
    try:
        return _read(kind, data, layout or {})  # type: ignore[no-any-return] # by the type that was asked for
    except (TypeError, KeyError, ValueError, AttributeError, IndexError):
        raise Unreadable(f"not a {kind.__name__} of this version") from None


@cache
def _fields(kind: type) -> Callable[[object], dict[str, object]]:
    names = tuple(f.name for f in fields(kind))
    values = attrgetter(*names) if len(names) > 1 else lambda value: (getattr(value, names[0]),)
    return lambda value: dict(zip(names, values(value), strict=True))


def _known(value: object) -> object:
    """Return what an encoder does not know as what it knows; called for each of them."""
    if is_dataclass(value) and not isinstance(value, type):
        return _fields(type(value))(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple):
        return list(value)  # orjson takes plain tuples only
    raise TypeError(f"{type(value).__name__} is not stored")


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _read(hint: Any, data: Any, layout: Layout) -> Any:  # noqa: ANN401 - a type as it is written, JSON as it comes
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if data is None:
            return None
        return _read(next(a for a in args if a is not NoneType), data, layout)
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        return tuple(_read(args[0], each, layout) for each in _list(data))
    if origin is tuple:
        return tuple(_read(a, each, layout) for a, each in zip(args, _list(data), strict=True))
    if origin is list:
        return [_read(args[0], each, layout) for each in _list(data)]
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {str(k): _read(args[1], v, layout) for k, v in data.items()}
    if isinstance(hint, type) and is_dataclass(hint):
        if not isinstance(data, dict):
            raise TypeError("not an object")
        known = [f.name for f in fields(hint) if f.init and f.name in data]
        return hint(**{name: _read(_hints(hint)[name], data[name], layout) for name in known})
    if isinstance(hint, type) and issubclass(hint, tuple):
        return _named_tuple(hint, _list(data), layout)
    return _plain(hint, data)


def _named_tuple(hint: Any, data: list[Any], layout: Layout) -> Any:  # noqa: ANN401 - a named tuple's class and one
    written = dict(zip(layout.get(hint.__name__, hint._fields), data, strict=False))
    hints = _hints(hint)
    return hint(**{n: _read(hints[n], written[n], layout) for n in hint._fields if n in written})


def _list(data: Any) -> list[Any]:  # noqa: ANN401 - JSON as it comes
    if not isinstance(data, list):
        raise TypeError("not a list")
    return data


def _plain(hint: Any, data: Any) -> Any:  # noqa: ANN401 - a type as it is written, JSON as it comes
    """Return a text, number or truth value; another kind than the field's is refused, int stands for float."""
    if hint is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if hint in (str, int, float, bool) and type(data) is not hint:
        raise TypeError(f"not a {hint.__name__}")
    return data
