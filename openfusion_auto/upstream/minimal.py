"""The smallest value that a JSON Schema allows: what a dry run calls tools and fills forms with."""

from __future__ import annotations

from collections.abc import Mapping

MAX_DEPTH = 32  # [levels] of a schema, so that one that refers to itself ends
MAX_NODES = 4096  # values of one made instance, and items or characters that a schema can demand of one value
MAX_NUMBER = 1e15  # bounds beyond it are not read: above 2^53 a float counts no more in ones
# So that no recipe starts to mend.
PREFERRED: Mapping[str, str | int] = {"verdict": "accept", "best": 1}
HINTS = {
    "properties": "object", "required": "object", "items": "array", "prefixItems": "array",
    "minimum": "number", "maximum": "number", "exclusiveMinimum": "number", "multipleOf": "number",
}  # fmt: skip
FORMATS = {
    "date": "2000-01-01", "date-time": "2000-01-01T00:00:00Z", "time": "00:00:00Z", "email": "dry@run.invalid",
    "uri": "http://run.invalid/", "uuid": "00000000-0000-0000-0000-000000000000", "ipv4": "127.0.0.1", "ipv6": "::1",
}  # fmt: skip


def minimal_instance(schema: object) -> object:
    """Return a small value valid for a JSON Schema (draft 2020-12); `verdict` and `best` are given when they may be.

    Read are types, required properties, enums, constants, bounds of numbers, strings and arrays, common formats,
    local references and `allOf`; of `anyOf` and `oneOf` the first. Not read: `pattern`, `not`, `if`, `uniqueItems`.
    A schema that wants more than `MAX_NODES` values or `MAX_DEPTH` levels gets null for the rest.
    """
    return _Minimal(as_mapping(schema)).value(schema, 0)


class _Minimal:
    """One walk over one schema; `left` bounds its work, since references can ask for 2^n values."""

    def __init__(self, root: Mapping[str, object]) -> None:
        self.root = root
        self.left = MAX_NODES

    def value(self, schema: object, depth: int) -> object:
        rules = self.resolve(as_mapping(schema), depth)
        if "const" in rules:
            return rules["const"]
        choices = as_list(rules.get("enum"))
        if choices:
            return choices[0]
        kind = _kind(rules)
        if kind == "object":
            return self.of_object(rules, depth + 1)
        if kind == "array":
            return self.of_array(rules, depth + 1)
        if kind in ("number", "integer"):
            return _number(rules, whole=kind == "integer")
        return {"boolean": True, "null": None}.get(kind, _string(rules))

    def resolve(self, rules: Mapping[str, object], depth: int) -> Mapping[str, object]:
        """Fold references, `allOf` and the first of `anyOf` and `oneOf` into one schema."""
        self.left -= 1
        if depth > MAX_DEPTH or self.left < 0:
            return {"type": "null"}
        folded = {k: v for k, v in rules.items() if k not in ("$ref", "allOf", "anyOf", "oneOf")}
        parts = [_pointed(self.root, rules["$ref"])] if "$ref" in rules else []
        parts += as_list(rules.get("allOf"))
        parts += as_list(rules.get("anyOf"))[:1] + as_list(rules.get("oneOf"))[:1]
        for part in parts:
            more = self.resolve(as_mapping(part), depth + 1)
            known = {**as_mapping(more.get("properties")), **as_mapping(folded.get("properties"))}
            required = [*as_list(folded.get("required")), *as_list(more.get("required"))]
            folded = {**more, **folded, "properties": known, "required": required}
            folded = {k: v for k, v in folded.items() if v or k not in ("properties", "required")}
        return folded

    def of_object(self, rules: Mapping[str, object], depth: int) -> dict[str, object]:
        known = as_mapping(rules.get("properties"))
        names = dict.fromkeys(str(name) for name in as_list(rules.get("required")))
        names |= dict.fromkeys(name for name in PREFERRED if name in known)
        rest = [name for name in known if name not in names]
        names |= dict.fromkeys(rest[: max(0, _count(rules, "minProperties") - len(names))])
        made: dict[str, object] = {}
        for name in names:
            wished = PREFERRED.get(name)
            schema = known.get(name)
            fits = wished is not None and _allows(self.resolve(as_mapping(schema), depth), wished)
            made[name] = wished if fits else self.value(schema, depth)
        return made

    def of_array(self, rules: Mapping[str, object], depth: int) -> list[object]:
        first = as_list(rules.get("prefixItems"))
        wanted = _count(rules, "minItems")
        schemas = [*first, *[rules.get("items")] * wanted][:wanted]
        return [self.value(schema, depth) for schema in schemas]


def _pointed(root: Mapping[str, object], reference: object) -> object:
    found: object = root
    for step in str(reference).removeprefix("#").split("/")[1:]:
        found = as_mapping(found).get(step.replace("~1", "/").replace("~0", "~"))
    return found


def _kind(rules: Mapping[str, object]) -> str:
    kind = rules.get("type")
    if isinstance(kind, list) and kind:
        kind = kind[0]
    if isinstance(kind, str):
        return kind
    return next((kind for key, kind in HINTS.items() if key in rules), "string")


def _allows(rules: Mapping[str, object], value: str | int) -> bool:
    if "enum" in rules or "const" in rules:
        return value in as_list(rules.get("enum")) or value == rules.get("const")
    if isinstance(value, str):
        return _kind(rules) == "string" and _fit(value, rules) == value
    return _kind(rules) in ("integer", "number") and _inside(
        value, rules, _bound(rules, "multipleOf") or 1
    )


def _bound(rules: Mapping[str, object], key: str) -> float | None:
    value = rules.get(key)
    usable = (
        isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MAX_NUMBER
    )
    return value if usable and isinstance(value, int | float) else None


def _count(rules: Mapping[str, object], key: str) -> int:
    return min(int(_bound(rules, key) or 0), MAX_NODES)


def _number(rules: Mapping[str, object], *, whole: bool) -> float:
    step = _bound(rules, "multipleOf") or (1 if whole else 0)
    floors = [n for key in ("minimum", "exclusiveMinimum") if (n := _bound(rules, key)) is not None]
    tops = [n for key in ("maximum", "exclusiveMaximum") if (n := _bound(rules, key)) is not None]
    tries: list[float] = [0, 1, -1, *floors, *tops]
    if step:
        # The first two multiples at or above a floor, and at or below a top: one is inside, if any is.
        tries += [(-(-n // step) + k) * step for n in floors for k in (0, 1)]
        tries += [(n // step - k) * step for n in tops for k in (0, 1)]
    elif floors and tops:
        tries.append((max(floors) + min(tops)) / 2)
    tries += [n + 1 for n in floors] + [n - 1 for n in tops]
    found = next((n for n in tries if _inside(n, rules, step)), 0)
    return int(found) if found == int(found) else found


def _inside(n: float, rules: Mapping[str, object], step: float) -> bool:
    low, high = _bound(rules, "minimum"), _bound(rules, "maximum")
    above, below = _bound(rules, "exclusiveMinimum"), _bound(rules, "exclusiveMaximum")
    return (
        (low is None or n >= low)
        and (high is None or n <= high)
        and (above is None or n > above)
        and (below is None or n < below)
        and (not step or n % step == 0)
    )


def _string(rules: Mapping[str, object]) -> str:
    return _fit(FORMATS.get(str(rules.get("format")), "dry-run"), rules)


def _fit(text: str, rules: Mapping[str, object]) -> str:
    longest = _bound(rules, "maxLength")
    text = text.ljust(_count(rules, "minLength"), "-")
    return text if longest is None else text[: max(0, int(longest))]


# --- narrowing ------------------------------------------------------------------------------------------------


def as_mapping(value: object) -> Mapping[str, object]:
    """Return a JSON object, or an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def as_list(value: object) -> list[object]:
    """Return a JSON array, or an empty one for anything else."""
    return value if isinstance(value, list) else []
