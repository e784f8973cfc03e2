"""One model of a public price list, and the rules by which its numbers are believed.

A price list is written for many purposes: 0 stands for free, for "in your plan" and for "nobody filled this in", -1 for
"it depends". What cannot be told apart is not taken, and `notes` says so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from openfusion_auto.core.price import RATES, LongPrice

MODEL_NAME = re.compile(r"[\x21-\x7e]{1,200}")  # what a pool can hold

Tier = tuple[object, Mapping[str, object]]  # from how many tokens on, and the prices there

_NUMBER = re.compile(r"-?(?:[0-9]{1,20}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,3})?")
_MOST_TOKENS = 10**9  # a window above is a slip
_TOO_MUCH = 1e9  # [USD] whatever the unit, no price
_DIGITS = 9  # significant ones that are kept: a list's 0.08333333333333334 is a third of something


@dataclass(frozen=True, slots=True)
class Entry:
    """What a price list says of one model at one provider. None = not said, or not believed.

    Attributes:
        provider: Who sells it, as the list names them.
        id: The model's name there, without a leading `provider/` of the list.
        price: Part -> USD per 1,000,000 tokens; empty when the list has no usable price.
        long_context: What longer prompts cost, by length.
        context_tokens: Window [tokens].
        priced_tokens: Longest prompt whose price is known [tokens], when longer ones have another.
        input_tokens: Longest prompt [tokens], when the list says that instead of the window.
        max_output_tokens: Longest answer [tokens].
        offers: Ability -> whether it has it; one that the list does not speak of is absent.
        notes: What a person should know before taking the numbers.
    """

    provider: str
    id: str
    price: Mapping[str, float] = field(default_factory=dict)
    long_context: tuple[LongPrice, ...] = ()
    context_tokens: int | None = None
    priced_tokens: int | None = None
    input_tokens: int | None = None
    max_output_tokens: int | None = None
    offers: Mapping[str, bool] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """How messages name it."""
        return f"{self.provider}/{self.id}"

    @property
    def numbers(self) -> tuple[object, ...]:
        """What an update takes from it."""
        parts = tuple(self.price.get(part) for part in RATES)
        return (
            *parts,
            self.long_context,
            self.context_tokens,
            self.priced_tokens,
            self.input_tokens,
            self.max_output_tokens,
        )


def number(value: object) -> float | None:
    """Return a JSON number, or a number in a string, when it is finite; else None."""
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            return None
    elif isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:  # an integer of more than 308 digits
        return None
    return found if math.isfinite(found) else None


def tokens(value: object) -> int | None:
    """Return a number of tokens; None when it is not said (null, absent, 0) or cannot be one."""
    found = number(value)
    if found is None or not 1 <= found <= _MOST_TOKENS or found != int(found):
        return None
    return int(found)


def believed(
    raw: Mapping[str, object], per_mtok: float, *, free: bool = False, embeds: bool = False
) -> tuple[dict[str, float], list[str]]:
    """Return the prices of `raw` that can be believed [USD per 1M tokens], and what is said about the others.

    Args:
        raw: Part (`RATES`) -> what the list says.
        per_mtok: What turns the list's unit into USD per 1M tokens.
        free: The list says by the model's name that it costs nothing.
        embeds: An embedding model: it has no output to pay for.
    """
    notes: list[str] = []
    found: dict[str, float] = {}
    for part in RATES:
        value = number(raw.get(part))
        if value is not None and 0 <= value < _TOO_MUCH:
            found[part] = float(f"{value * per_mtok:.{_DIGITS}g}")
        elif value is not None and value < 0:
            notes.append(f"{part} is listed as {value:g}: the price varies")
        elif raw.get(part) is not None:
            notes.append(f"{part} is no number")
    if "input" not in found or "output" not in found:
        if found:
            notes.append("input and output are not both known: no price is taken")
        return {}, notes
    if free and not found["input"] and not found["output"]:
        return {"input": 0.0, "output": 0.0}, notes
    if not found["input"] or not (found["output"] or embeds):
        zero = "input and output are" if not found["output"] else "input is"
        zero = "output is" if found["input"] else zero
        notes.append(f"{zero} listed as 0: free, in a plan, or not filled in; no price is taken")
        return {}, notes
    return _with_cache(found, notes), notes


def _with_cache(found: dict[str, float], notes: list[str]) -> dict[str, float]:
    """Drop cache prices that would not stand instead of `input`, and say why."""
    if found.get("cache_read") == 0:
        notes.append("cache_read is listed as 0: free or not filled in; not taken")
        del found["cache_read"]
    elif found.get("cache_read", 0.0) > found["input"]:
        notes.append(f"cache_read {found.pop('cache_read'):g} is above input: not taken")
    if found.get("cache_write") == 0:
        del found["cache_write"]  # how lists write "writing costs what input costs"
    elif found.get("cache_write", found["input"]) < found["input"]:
        write = found.pop("cache_write")
        notes.append(f"cache_write {write:g} is below input, so a charge on top of it: not taken")
    return found


class Longer(NamedTuple):
    """What a list says of longer prompts: prices by length, notes, and up to which length all is known [tokens]."""

    prices: tuple[LongPrice, ...]
    notes: tuple[str, ...]
    known_tokens: int | None


def tiers(rows: Iterable[Tier], per_mtok: float, *, embeds: bool = False) -> Longer:
    """Return the prices for longer prompts that can be believed, and up to which length [tokens] all is known."""
    prices: dict[int, LongPrice] = {}
    notes: list[str] = []
    unknown: list[int] = []
    for above, parts in rows:
        length = tokens(above)
        told = {part: number(parts.get(part)) for part in ("input", "output")}
        shown = [
            f"{v * per_mtok:.{_DIGITS}g} {p}" for p, v in told.items() if v is not None and v >= 0
        ]
        if length is None:
            continue
        found, said = believed(parts, per_mtok, embeds=embeds)
        price = LongPrice(length, **found) if found else None
        if price is None or prices.setdefault(length, price) != price:
            unknown.append(length)
            what = ", ".join(shown) or "another price"
            notes.append(f"above {length:,} prompt tokens: {what}; not taken")
        else:
            notes += [f"above {length:,} prompt tokens: {note}" for note in said]
    first = min(unknown, default=None)
    taken = tuple(prices[n] for n in sorted(prices) if first is None or n < first)
    return Longer(taken, tuple(notes), first)


def table(value: object) -> Mapping[str, object]:
    """Return an object of a JSON document; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def words(value: object) -> tuple[str, ...]:
    """Return the strings of a JSON list."""
    return tuple(x for x in value if isinstance(x, str)) if isinstance(value, list) else ()
