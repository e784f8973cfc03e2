"""What a price list would change in a pool. Nothing is written here, see `pool_edit.py`.

A price and its source are one thing: either a candidate's whole price is taken, with its new source and date, or none
of it. A part that the list does not know keeps its number, and the new source says where that one is from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Literal

from openfusion_auto.config.pool import LOCAL_SOURCE, Finding, as_date, check_pool
from openfusion_auto.config.price_entry import Entry
from openfusion_auto.config.price_match import Index, Match
from openfusion_auto.config.prices import PriceList
from openfusion_auto.core.cost import known_rates
from openfusion_auto.core.types import Candidate, Pool, Price

MAY_BE_KEPT = ("cache_read", "cache_write", "long_context")  # parts that many lists do not have
JUMP = 3.0  # a price that moved by more deserves a look: a slip of the unit is 10, 1000 or 1e6
SAME = 1e-6  # relative difference that is rounding

Held = Literal["", "jump", "odd", "older"]
Key = Literal["price_usd_per_mtok", "context_tokens", "max_output_tokens"]

# Findings of `check_pool` that an update must not bring in unseen.
_ODD = frozenset({"price_outlier", "price_zero", "output_over_context"})
_WINDOWS: Mapping[str, Key] = {
    "context_tokens": "context_tokens",
    "max_output_tokens": "max_output_tokens",
}
_KEPT = re.compile(r"(?P<base>.*?) \((?P<kept>(?:cache_|long_)\w+.* from .*)\)")


@dataclass(frozen=True, slots=True)
class Change:
    """One number that would change.

    Attributes:
        candidate: Its id.
        field: `input`, `output`, `cache_read`, `cache_write` [USD per 1M tokens], each also with `_above_N` for
            prompts of more than N tokens, `context_tokens`, `max_output_tokens` [tokens], or `as_of` when only source
            and date are renewed.
        old: None = not known.
        new: The number of the list.
        entry: Who says so.
        old_source: Where the old number is from; empty where the pool does not say.
        old_as_of: Of which day it is.
        new_source: Where the new one is from; empty where the pool has no place for it.
        held: Why it waits: `jump`, `odd` (the pool's own check would complain), `older` than what is there.
    """

    candidate: str
    field: str
    old: float | str | None
    new: float | str
    entry: str
    old_source: str = ""
    old_as_of: str = ""
    new_source: str = ""
    held: Held = ""


@dataclass(frozen=True, slots=True)
class Note:
    """Something that a person should know: `rule` names it, `near` are names that the list has instead."""

    candidate: str
    rule: Literal[
        "no_entry", "ambiguous", "local", "no_price", "entry", "offers", "odd", "older", "provider"
    ]
    detail: str
    near: tuple[str, ...] = ()


@dataclass
class Update:
    """The whole outcome. `edits` is candidate -> key -> new value, without what is held."""

    changes: list[Change] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    edits: dict[str, dict[Key, object]] = field(default_factory=dict)

    @property
    def held(self) -> list[Change]:
        """The changes that wait."""
        return [c for c in self.changes if c.held]


@dataclass(frozen=True, slots=True)
class Wish:
    """How an update is asked for."""

    prices: PriceList
    today: date
    providers: Mapping[str, str]
    accept_jumps: bool = False
    renew: bool = False


def plan_update(pool: Pool, wish: Wish) -> Update:
    """Return what the list would change in the pool, candidate by candidate."""
    index = Index(wish.prices.entries)
    update = Update()
    for candidate in pool.candidates:
        if candidate.price is not None and candidate.price.source == LOCAL_SOURCE:
            update.notes.append(Note(candidate.id, "local", f"{LOCAL_SOURCE}: left alone"))
            continue
        match = index.find(candidate, wish.providers)
        if match.entry is None:
            update.notes.append(_unmatched(candidate, match))
        else:
            said = _foreign(candidate, match.entry) if match.others else []
            _consider(update, candidate, match.entry, wish, said)
    return update


def _foreign(candidate: Candidate, entry: Entry) -> list[Note]:
    detail = f"{entry.provider} alone has that name; is it the upstream {candidate.upstream}?"
    return [Note(candidate.id, "provider", detail)]


def _unmatched(candidate: Candidate, match: Match) -> Note:
    if len(match.rivals) == 1:
        detail = (
            f"{match.rivals[0]} stands there several times with different numbers: none is taken"
        )
        return Note(candidate.id, "ambiguous", detail, match.rivals)
    if match.rivals:
        shown = ", ".join(match.rivals[:8]) + (", ..." if len(match.rivals) > 8 else "")
        detail = f"{candidate.model} has different numbers at several: {shown}"
        return Note(candidate.id, "ambiguous", detail, match.rivals)
    at = f" at provider {match.provider}" if match.provider else ""
    return Note(candidate.id, "no_entry", f"no {candidate.model}{at}", match.near)


def _consider(
    update: Update, candidate: Candidate, entry: Entry, wish: Wish, said: list[Note]
) -> None:
    """Add what one entry means for one candidate."""
    said += [Note(candidate.id, "entry", f"{entry.name}: {text}") for text in entry.notes]
    said += _offers(candidate, entry)
    price = _new_price(candidate, entry, wish.prices)
    if price is None:
        said.append(Note(candidate.id, "no_price", f"{entry.name} has no usable price"))
    changed = [*_price_changes(candidate, entry, price, wish), *_window_changes(candidate, entry)]
    if not changed:
        update.same += [candidate.id] if price is not None else []
        update.notes += said
        return
    held, why = _held(candidate, changed, price, wish)
    update.notes += [*said, *why]
    update.changes += [replace(c, held=held.get(_key(c), "")) for c in changed]
    edits = update.edits.setdefault(candidate.id, {})
    for change in changed:
        if _key(change) not in held:
            edits[_key(change)] = _table(price) if price and _is_price(change) else change.new


def _is_price(change: Change) -> bool:
    return _key(change) == "price_usd_per_mtok"


def _key(change: Change) -> Key:
    """Return the key of the pool that a change belongs to."""
    return _WINDOWS.get(change.field, "price_usd_per_mtok")


def _new_price(candidate: Candidate, entry: Entry, prices: PriceList) -> Price | None:
    """Return the price as it would stand in the pool; None when the list has none."""
    if not entry.price:
        return None
    old = candidate.price
    parts: dict[str, Any] = dict(entry.price)
    if entry.long_context:
        parts["long_context"] = entry.long_context
    kept = [p for p in MAY_BE_KEPT if p not in parts and getattr(old, p, None) not in (None, ())]
    source = prices.source_of(entry)
    if kept and old is not None:
        parts |= {part: getattr(old, part) for part in kept}
        source += f" ({_origin(kept, old)})"
    return Price(**parts, source=source, as_of=prices.as_of)


def _origin(kept: Sequence[str], old: Price) -> str:
    """Say where kept parts are from; a part that was kept before keeps its first origin."""
    told = _KEPT.fullmatch(old.source)
    if told and all(part in told["kept"] for part in kept):
        return told["kept"]
    return f"{' and '.join(kept)} from {old.source}, {old.as_of}"


def _table(price: Price) -> dict[str, object]:
    """Return a price as the pool file holds it."""
    longer = [{"above_tokens": p.above_tokens, **known_rates(p)} for p in price.long_context]
    parts = {**known_rates(price), **({"long_context": longer} if longer else {})}
    return {**parts, "source": price.source, "as_of": price.as_of}


def _numbers(price: Price | None) -> dict[str, float]:
    """Return the numbers of a price by name, those for longer prompts with their length."""
    if price is None:
        return {}
    found = known_rates(price)
    for longer in price.long_context:
        above = f"_above_{longer.above_tokens}"
        found |= {f"{part}{above}": usd for part, usd in known_rates(longer).items()}
    return found


def _price_changes(
    candidate: Candidate, entry: Entry, new: Price | None, wish: Wish
) -> Iterator[Change]:
    if new is None:
        return
    old = candidate.price
    origin = (old.source, old.as_of) if old is not None else ("", "")
    told = (*origin, new.source)
    before = _numbers(old)
    differ = [
        Change(candidate.id, name, before.get(name), now, entry.name, *told)
        for name, now in _numbers(new).items()
        if not _same(before.get(name), now)
    ]
    yield from differ
    if not differ and wish.renew and old is not None and (new.source, new.as_of) != origin:
        yield Change(candidate.id, "as_of", old.as_of, new.as_of, entry.name, *told)


def _window_changes(candidate: Candidate, entry: Entry) -> Iterator[Change]:
    for name, old, new in (
        ("context_tokens", candidate.context_tokens, _window(candidate.context_tokens, entry)),
        ("max_output_tokens", candidate.max_output_tokens, entry.max_output_tokens),
    ):
        if new is not None and new != old:
            yield Change(candidate.id, name, old, new, entry.name)


def _window(old: int | None, entry: Entry) -> int | None:
    """Return the window to take [tokens]; None = leave what is there.

    The window ends where nobody says the price, or a budget would book too little; one that reaches beyond already was
    somebody's decision. A longest prompt is a lower bound of a window: better than none.
    """
    window = entry.context_tokens
    if window is None and old is None:
        window = entry.input_tokens
    known = entry.priced_tokens
    if window is None or known is None or (old is not None and old > known):
        return window
    return min(window, known)


def _same(old: float | None, new: float) -> bool:
    return old is not None and abs(new - old) <= SAME * max(abs(new), abs(old))


def _held(
    candidate: Candidate, changes: list[Change], price: Price | None, wish: Wish
) -> tuple[dict[Key, Held], list[Note]]:
    """Return what must wait and why, and what is said about it."""
    old = candidate.price
    keys = {_key(c) for c in changes}
    if old is not None and as_date(wish.prices.as_of) < as_date(old.as_of):
        detail = (
            f"the list is from {wish.prices.as_of}, the pool's price from {old.as_of}: not taken"
        )
        return dict.fromkeys(keys, "older"), [Note(candidate.id, "older", detail)]
    if wish.accept_jumps:
        return {}, []
    held: dict[Key, Held] = {_key(c): "jump" for c in changes if _jumps(c)}
    odd = _new_findings(candidate, changes, price, wish.today)
    for finding in odd:
        windows = finding.rule == "output_over_context"
        for key in keys:
            if (key in _WINDOWS) == windows:
                held.setdefault(key, "odd")
    if "price_usd_per_mtok" in held and price is not None and price.long_context:
        longest = price.long_context[0].above_tokens
        if any(c.field == "context_tokens" and _above(c.new, longest) for c in changes):
            held.setdefault("context_tokens", held["price_usd_per_mtok"])  # or they had no price
    return held, [Note(candidate.id, "odd", finding.detail) for finding in odd]


def _above(value: float | str, limit: int) -> bool:
    return not isinstance(value, str) and value > limit


def _jumps(change: Change) -> bool:
    """Whether a number moved by more than `JUMP` times, in either direction; new ones do not jump."""
    old, new = change.old, change.new
    if not isinstance(old, int | float) or not isinstance(new, int | float):
        return False
    low, high = sorted((old, new))
    return high > low * JUMP


def _new_findings(
    candidate: Candidate, changes: list[Change], price: Price | None, today: date
) -> list[Finding]:
    """Return what `pool check` would find wrong then and does not now."""
    numbers = {c.field: c.new for c in changes if not _is_price(c)}
    after = replace(
        candidate,
        price=price if any(_is_price(c) for c in changes) else candidate.price,
        context_tokens=numbers.get("context_tokens", candidate.context_tokens),  # type: ignore[arg-type]  # a count
        max_output_tokens=numbers.get("max_output_tokens", candidate.max_output_tokens),  # type: ignore[arg-type]  # a count
    )
    before, now = (
        [f for f in check_pool(Pool((c,)), today) if f.rule in _ODD] for c in (candidate, after)
    )
    return [finding for finding in now if finding not in before]


def _offers(candidate: Candidate, entry: Entry) -> Iterator[Note]:
    """Yield where list and pool disagree on abilities; those stay a person's decision."""
    more = [o for o, has in entry.offers.items() if has and o not in candidate.offers]
    less = [o for o, has in entry.offers.items() if not has and o in candidate.offers]
    if more:
        yield Note(candidate.id, "offers", f"{entry.name} also offers {', '.join(sorted(more))}")
    if less:
        yield Note(candidate.id, "offers", f"{entry.name} does not offer {', '.join(sorted(less))}")
