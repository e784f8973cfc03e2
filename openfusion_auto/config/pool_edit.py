"""New numbers put into a pool file's text; comments, order and everything else stay as they are.

What tomlkit proposes counts only when `tomllib` reads the wanted numbers in it and nothing else is different.
"""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Any

from openfusion_auto.config.tomlfile import line_numbers
from openfusion_auto.errors import ConfigError

Data = dict[str, Any]
Way = Callable[[str, int, str, object], str]


def edited(text: str, edits: Mapping[str, Mapping[Any, object]]) -> str:
    """Return `text` with other numbers.

    Args:
        text: A valid pool file.
        edits: Candidate's id -> key -> value; a table is given whole.

    Raises:
        ConfigError: the text is written in a way that cannot be edited safely.
    """
    places = {row["id"]: i for i, row in enumerate(tomllib.loads(text)["candidates"])}
    for name, values in edits.items():
        for key, value in values.items():
            text = _put(text, places[name], key, value)
    return text


def _put(text: str, index: int, key: str, value: object) -> str:
    """Return `text` with one value changed, by the first way that changes nothing else."""
    wanted: Data = copy.deepcopy(tomllib.loads(text))
    row = wanted["candidates"][index]
    had = key in row
    row[key] = value
    ways: tuple[Way, ...] = (_in_place,) if had else (_behind_model, _in_place)
    for way in ways:
        try:
            new = _line_ends_of(text, way(text, index, key, value))
            if tomllib.loads(new) == wanted:
                return new
        except Exception:  # noqa: BLE001, S112 - tomlkit's own errors have no common base; the next way is tried
            continue
    line = line_numbers(text).get(("candidates", index), 1)
    raise ConfigError(f"{line}: {key} is written in a way that cannot be edited safely")


def _line_ends_of(text: str, new: str) -> str:
    """Return `new` with the line ends that most lines of `text` have."""
    if text.count("\r\n") * 2 <= text.count("\n"):
        return new
    return re.sub(r"(?<!\r)\n", "\r\n", new)


def _in_place(text: str, index: int, key: str, value: object) -> str:
    """Let tomlkit set the value where it stands; an inline table is written anew, any other is changed key by key."""
    import tomlkit
    from tomlkit.items import InlineTable

    document: Any = tomlkit.parse(text)
    row = document["candidates"][index]
    there = row.get(key)
    if not isinstance(value, Mapping) or there is None or isinstance(there, InlineTable):
        row[key] = tomlkit.parse(f"x = {_written(value)}\n")["x"]
    else:
        for name in [name for name in there if name not in value]:
            del there[name]
        for name, part in value.items():
            there[name] = tomlkit.parse(f"x = {_written(part)}\n")["x"]
    return tomlkit.dumps(document)


def _behind_model(text: str, index: int, key: str, value: object) -> str:
    """Put a new key on the line behind `model`, which every candidate has."""
    number = line_numbers(text)[("candidates", index, "model")]
    lines = text.split("\n")
    lines.insert(number, f"{key} = {_written(value)}")
    return "\n".join(lines)


def _written(value: object) -> str:
    """Return a value as TOML; a price of 3.0 as 3, as people write it."""
    import tomli_w

    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{k} = {_written(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_written(v) for v in value) + "]"
    if isinstance(value, float) and value == int(value):
        return str(int(value))
    return tomli_w.dumps({"x": value}).removeprefix("x = ").rstrip("\n")
