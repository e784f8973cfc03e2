"""What is wrong with a configuration, in sentences that never quote a value which may be a secret."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from openfusion_auto.config.tomlfile import Loc

_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),
    (str, "a string"),
    (int, "a whole number"),
    (float, "a decimal number"),
    (list, "a list"),
    (dict, "a table"),
    (dt.date, "a date (write it in quotes)"),
)
_WANTED: Mapping[str, str] = {
    "bool_type": "true or false",
    "string_type": "a string",
    "int_type": "a whole number",
    "float_type": "a number",
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
}
_BOUNDS: Mapping[str, tuple[str, str]] = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}


def dotted(loc: Loc) -> str:
    """Return `upstreams[0].base_url` for `("upstreams", 0, "base_url")`."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{_quoted(part)}"
    return text.removeprefix(".")


def _quoted(key: str) -> str:
    """Return a key as TOML would need it written: odd ones in quotes, so that no line is forged."""
    return key if key and key.replace("-", "_").replace("_", "a").isalnum() else json.dumps(key)


def near(word: str, names: Iterable[str]) -> str:
    """Return ` (did you mean "name"?)` for the nearest of `names`, or an empty string."""
    found = get_close_matches(word.lower(), sorted(names), n=1, cutoff=0.6)
    return f' (did you mean "{found[0]}"?)' if found else ""


def keys_of(model: type[BaseModel]) -> dict[str, type[BaseModel] | None]:
    """Return the keys that `model` reads, each with the model of its value (or of its elements)."""
    return {
        info.alias or name: _inner(info.annotation) for name, info in model.model_fields.items()
    }


def leaves(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Return the dotted keys of all plain values of `model`; `upstreams[]` stands for an element."""
    found: list[str] = []
    for name, info in model.model_fields.items():
        key = f"{prefix}{info.alias or name}"
        inner = _inner(info.annotation)
        if inner is None:
            found.append(key)
        else:
            listed = isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)
            found += leaves(inner, f"{key}." if listed else f"{key}[].")
    return found


def describe(
    errors: Sequence[ErrorDetails], model: type[BaseModel], prefix: Callable[[Loc], str]
) -> list[str]:
    """Return one line for each error, the same line once.

    Args:
        errors: What pydantic found when it validated `model`.
        model: The root model; names near an unknown key come from it.
        prefix: Gives the start of a line for a location: where it stands and how it is called.
    """
    lines = [f"{prefix(e['loc'])}: {_sentence(e, model)}" for e in errors]
    return list(dict.fromkeys(lines))


def _sentence(error: ErrorDetails, model: type[BaseModel]) -> str:
    kind, value = error["type"], error["input"]
    context: Mapping[str, Any] = error.get("ctx", {})
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return "is not a known key" + _near_key(error["loc"], model)
    if kind == "finite_number":
        return "must be a finite number"
    if kind == "literal_error":
        return _choices(value, str(context["expected"]))
    if kind == "float_type" and type(value) is int:
        return "is too large"  # whole numbers stand where decimal ones do, but for this one
    if kind in _WANTED:
        return f"must be {_WANTED[kind]}, not {_type_name(value)}"
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        return f"must be {words} {context[key]:g}, got {_short(value)}"
    if kind == "string_too_short" and context["min_length"] == 1:
        return "must not be empty"
    if kind == "value_error":
        return str(context["error"])
    return error["msg"][:1].lower() + error["msg"][1:]


def _choices(value: object, expected: str) -> str:
    """Say what is allowed. `expected` is pydantic's list: `'a', 'b' or 'c'`."""
    names = [n.strip().strip("'") for n in expected.replace(" or ", ",").split(",")]
    hint = near(value, names) if isinstance(value, str) else ""
    return f"must be {'one of ' if len(names) > 1 else ''}{', '.join(names)}{hint}"


def _short(value: object) -> str:
    """Return a number so that it fits a line; only numbers have bounds, so no secret is shown."""
    text = str(value)
    return text if len(text) <= 24 else f"{text[:8]}... ({len(text)} digits)"


def _type_name(value: object) -> str:
    for kind, name in _TYPES:
        if isinstance(value, kind):
            return name
    return f"a {type(value).__name__}"


def _near_key(loc: Loc, model: type[BaseModel]) -> str:
    """Suggest a key of the same table, else the same key in another table."""
    wrong = str(loc[-1])
    node: type[BaseModel] | None = model
    for part in loc[:-1]:
        if node is not None and isinstance(part, str):
            node = keys_of(node).get(part)
    here = near(wrong, keys_of(node)) if node is not None else ""
    if here:
        return here
    same = [key for key in leaves(model) if key.rpartition(".")[2] == wrong]
    return f' (did you mean "{same[0]}"?)' if same else ""


def _inner(annotation: object) -> type[BaseModel] | None:
    """Return the model inside an annotation such as `tuple[Model, ...]` or `Model | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_inner(arg) for arg in get_args(annotation))
    return next((model for model in found if model is not None), None)
