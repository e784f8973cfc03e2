"""Values to JSON and back, by the fields they have: a file of another version reads as far as it can be read.

A field that a stored value lacks takes its default, or what it says of values from before it was there (`before` in
its metadata); one that this version does not know is passed over. Dataclasses
are objects, named tuples are lists (`layout` says in which order), so that an encoder in C does nearly all the work.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import cache
from operator import attrgetter
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from openfusion_auto.core.lessons import Tally
from openfusion_auto.core.limits import Spending
from openfusion_auto.core.types import Breaker, Pin, Stats
from openfusion_auto.store.base import AnyLive, Maker

try:
    import orjson  # of the extra `fast`: half the time, most of which goes into floats
except ImportError:
    orjson = None  # type: ignore[assignment] # asked for where it is used

Value = TypeVar("Value")
# Class name of a named tuple -> its fields when it was written.
Layout = Mapping[str, Sequence[str]]
Reader = Callable[[Any, Layout], Any]
# Fields that hold a moment on the writer's clock; they are kept as seconds since 1970. A test looks for new ones.
TIMES: Mapping[type, tuple[str, ...]] = {
    Stats: ("at_s",),
    Breaker: ("until_s",),
    Pin: ("expires_s",),
    Maker: (),
    Spending: (),  # seconds since 1970 in memory too
    Tally: ("at_s",),
}


class Unreadable(ValueError):
    """What is stored is not what this version can read."""


def moved(value: AnyLive, by_s: float) -> AnyLive:
    """Return a live value with its moments moved by so many seconds."""
    names = TIMES[type(value)]
    if not names or isinstance(value, Maker | Spending):
        return value
    later = replace(value, **{name: getattr(value, name) + by_s for name in names})
    if isinstance(later, Pin):
        caches = tuple(k._replace(until_s=k.until_s + by_s) for k in later.caches)
        return replace(later, caches=caches)
    return later


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
        return cast("Value", _reader(cast("Any", kind))(data, layout or {}))
    except (TypeError, KeyError, ValueError, AttributeError, IndexError):
        raise Unreadable(f"not a {kind.__name__} of this version") from None


@cache
def _fields(kind: type) -> Callable[[object], dict[str, object]]:
    names = tuple(f.name for f in fields(kind))
    values = attrgetter(*names) if len(names) > 1 else lambda value: (getattr(value, names[0]),)
    return lambda value: dict(zip(names, values(value), strict=True))


def _known(value: object) -> object:
    """Return what an encoder does not know as what it knows; called for each of them."""
    if isinstance(value, tuple):
        return list(value)  # orjson takes plain tuples only; a hundred of them in a trace
    if is_dataclass(value) and not isinstance(value, type):
        return _fields(type(value))(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not stored")


@cache
def _reader(hint: Any) -> Reader:  # noqa: ANN401 - a type as it is written
    """Return what reads a value of a type from parsed JSON; made once a type, since files hold many of each."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        inner = _reader(next(a for a in args if a is not NoneType))
        return lambda data, layout: None if data is None else inner(data, layout)
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        each = _reader(args[0])
        return lambda data, layout: tuple([each(d, layout) for d in _list(data)])
    if origin is tuple:
        readers = [_reader(a) for a in args]
        return lambda data, layout: tuple(
            [read(d, layout) for read, d in zip(readers, _list(data), strict=True)]
        )
    if origin is list:
        each = _reader(args[0])
        return lambda data, layout: [each(d, layout) for d in _list(data)]
    if isinstance(origin, type) and issubclass(origin, Mapping):
        each = _reader(args[1])
        return lambda data, layout: {str(k): each(v, layout) for k, v in data.items()}
    if isinstance(hint, type) and is_dataclass(hint):
        return _dataclass_reader(hint)
    if isinstance(hint, type) and issubclass(hint, tuple):
        return _named_tuple_reader(hint)
    return _plain_reader(hint)


def _dataclass_reader(hint: type) -> Reader:
    hints = get_type_hints(hint)
    readers = {f.name: _reader(hints[f.name]) for f in fields(hint) if f.init}
    before = {f.name: f.metadata["before"] for f in fields(hint) if "before" in f.metadata}

    def read_fields(data: Any, layout: Layout) -> Any:  # noqa: ANN401 - JSON as it comes
        if not isinstance(data, dict):
            raise TypeError("not an object")
        known = {n: read(data[n], layout) for n, read in readers.items() if n in data}
        return hint(**(before | known if before else known))

    return read_fields


def _named_tuple_reader(hint: Any) -> Reader:  # noqa: ANN401 - a named tuple's class
    hints, own = get_type_hints(hint), hint._fields
    readers = {name: _reader(hints[name]) for name in own}
    ordered = list(readers.values())

    def read_items(data: Any, layout: Layout) -> Any:  # noqa: ANN401 - JSON as it comes
        if isinstance(data, dict):  # as `digest.plain` writes it
            return hint(**{n: read(data[n], layout) for n, read in readers.items() if n in data})
        names = layout.get(hint.__name__)
        if names is None or (*names,) == own:
            return hint(*[read(d, layout) for read, d in zip(ordered, _list(data), strict=False)])
        written = dict(zip(names, _list(data), strict=False))
        return hint(**{n: read(written[n], layout) for n, read in readers.items() if n in written})

    return read_items


def _list(data: Any) -> list[Any]:  # noqa: ANN401 - JSON as it comes
    if not isinstance(data, list):
        raise TypeError("not a list")
    return data


def _plain_reader(hint: Any) -> Reader:  # noqa: ANN401 - a type as it is written
    """Return what reads a text, number or truth value and refuses another kind; a whole number stands for a float."""
    if hint not in (str, int, float, bool):
        return lambda data, _: data

    def read_plain(data: Any, _: Layout) -> Any:  # noqa: ANN401 - JSON as it comes
        if type(data) is hint:
            return data
        if hint is float and type(data) is int:
            return float(data)
        raise TypeError(f"not a {hint.__name__}")

    return read_plain
