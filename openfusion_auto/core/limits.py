"""Limits: how much a key, a session or the whole server may use. Reserve first, settle when it is known.

    what            reserved                       settled                  given back
    requests        1 on the way in                -                        by time, evenly over a minute
    tokens          the estimated input            what was really used     by time, evenly over a minute
    running         1 on the way in                -                        on the way out
    money           the worst case, before a call  what it really cost      when its slot leaves the window

All is counted in whole numbers (`UNITS` of a dollar, milliseconds, `MINUTE` parts of a request), so that no sum is
off by a cent after a million calls. An account that is over its limit admits nothing until enough has come back: a
call that costs more than its worst case overdraws once, by that call.

Sources: token bucket with borrowing as in RFC 2697 (single rate, burst = rate); the window is a sum of slots, so that
an account is a hundred numbers however many calls it saw.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

UNITS = 10**10  # of money in one USD: `cost.usd` rounds to ten decimals
MINUTE = 60_000  # [ms]

Limited = Literal["concurrent", "requests", "tokens"]
# (Number of the slot since 1970, money spent in it [units]), oldest first.
Slots = tuple[tuple[int, int], ...]


class Window(NamedTuple):
    """A sliding window of `span_s` [s], counted in slots of `slot_s` [s]; the slot that is half out counts whole."""

    span_s: int
    slot_s: int


DAY = Window(86_400, 3_600)
MONTH = Window(30 * 86_400, 86_400)


@dataclass(frozen=True, slots=True)
class Limits:
    """What an account may use; None = no limit. Money in `UNITS` of a dollar."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent: int | None = None
    per_day: int | None = None
    per_month: int | None = None

    @property
    def has_budget(self) -> bool:
        """Whether it limits money."""
        return self.per_day is not None or self.per_month is not None


NO_LIMITS = Limits()


class Bucket(NamedTuple):
    """What was taken at a rate and has not come back yet: `owed` [parts, `MINUTE` to one], as of `at_ms`."""

    owed: int = 0
    at_ms: int = 0


FULL = Bucket()


class Account(NamedTuple):
    """What an account has used.

    Attributes:
        requests, tokens: Its buckets.
        running: Requests that are being answered.
        held: Money that is reserved and not settled [units].
        day, month: Money that was spent, in the slots of `DAY` and `MONTH`.
    """

    requests: Bucket = FULL
    tokens: Bucket = FULL
    running: int = 0
    held: int = 0
    day: Slots = ()
    month: Slots = ()


NEW = Account()


class Spending(NamedTuple):
    """What outlives the process of an account: money by slot, requests served, the last one's end [s since 1970]."""

    day: Slots = ()
    month: Slots = ()
    requests: int = 0
    last_s: float = 0.0


class Refusal(NamedTuple):
    """Why a request may not come in: the limit, its size, and when to try again [ms]; None = never."""

    limit: Limited
    most: int
    wait_ms: int | None


class Room(NamedTuple):
    """What is left in a bucket of `most` a minute, and when it is full again [ms]."""

    most: int
    left: int
    full_ms: int


def to_units(usd: float) -> int:
    """Return money in whole units.

    Raises:
        ValueError: negative, or not finite.
    """
    if not 0 <= usd < float("inf"):
        raise ValueError(f"not an amount of money: {usd!r}")
    return round(usd * UNITS)


def to_usd(units: int) -> float:
    """Return money in USD."""
    return units / UNITS


# -- buckets ---------------------------------------------------------------------------------------------------------


def drained(bucket: Bucket, per_minute: int, now_ms: int) -> Bucket:
    """Return the bucket as of `now_ms`: `per_minute` parts have come back with every millisecond.

    A clock that goes back gives nothing back and takes nothing.
    """
    passed_ms = max(0, now_ms - bucket.at_ms)
    return Bucket(max(0, bucket.owed - passed_ms * per_minute), max(bucket.at_ms, now_ms))


def wait_ms(bucket: Bucket, per_minute: int, count: int, now_ms: int) -> int | None:
    """Return how long until `count` can be taken [ms], 0 = now; None when the bucket is too small for it ever."""
    if count > per_minute:
        return None
    over = drained(bucket, per_minute, now_ms).owed + (count - per_minute) * MINUTE
    return max(0, -(-over // per_minute))


def take(bucket: Bucket, per_minute: int, count: int, now_ms: int) -> Bucket:
    """Take `count`, whether it fits or not."""
    now = drained(bucket, per_minute, now_ms)
    return now._replace(owed=now.owed + count * MINUTE)


def give(bucket: Bucket, per_minute: int, count: int, now_ms: int) -> Bucket:
    """Give `count` back that was taken for nothing; a bucket is never more than full."""
    now = drained(bucket, per_minute, now_ms)
    return now._replace(owed=max(0, now.owed - count * MINUTE))


def room(bucket: Bucket, per_minute: int, now_ms: int) -> Room:
    """Return what is left in a bucket."""
    owed = drained(bucket, per_minute, now_ms).owed
    return Room(per_minute, max(0, (per_minute * MINUTE - owed) // MINUTE), -(-owed // per_minute))


# -- the way in and out ----------------------------------------------------------------------------------------------


def refusal(account: Account, limits: Limits, tokens: int, now_ms: int) -> Refusal | None:
    """Return why a request of `tokens` [estimated] may not come in now, or None when it may.

    When a slot is free again nobody knows: a second is a guess that keeps clients from hammering.
    """
    if limits.concurrent is not None and account.running >= limits.concurrent:
        return Refusal("concurrent", limits.concurrent, 1000)
    rates: tuple[tuple[Limited, Bucket, int | None, int], ...] = (
        ("tokens", account.tokens, limits.tokens_per_minute, tokens),
        ("requests", account.requests, limits.requests_per_minute, 1),
    )
    worst: Refusal | None = None
    for name, bucket, most, count in rates:
        if most is None:
            continue
        wait = wait_ms(bucket, most, count, now_ms)
        if wait is None:
            return Refusal(name, most, None)
        if wait and (worst is None or wait > (worst.wait_ms or 0)):
            worst = Refusal(name, most, wait)
    return worst


def admit(account: Account, limits: Limits, tokens: int, now_ms: int) -> Account:
    """Let a request in that `refusal` has nothing against."""
    rpm, tpm = limits.requests_per_minute, limits.tokens_per_minute
    return account._replace(
        requests=account.requests if rpm is None else take(account.requests, rpm, 1, now_ms),
        tokens=account.tokens if tpm is None else take(account.tokens, tpm, tokens, now_ms),
        running=account.running + 1,
    )


def leave(account: Account, limits: Limits, reserved: int, used: int, now_ms: int) -> Account:
    """Let a request out, however it ended: `reserved` tokens were taken, `used` is what they should have been.

    Raises:
        ValueError: nobody is in.
    """
    if account.running < 1:
        raise ValueError("more requests left than came in")
    tokens, tpm = account.tokens, limits.tokens_per_minute
    if tpm is not None and used > reserved:
        tokens = take(tokens, tpm, used - reserved, now_ms)
    elif tpm is not None:
        tokens = give(tokens, tpm, reserved - used, now_ms)
    return account._replace(tokens=tokens, running=account.running - 1)


# -- money -----------------------------------------------------------------------------------------------------------


def counting(slots: Slots, window: Window, now_s: int) -> Slots:
    """Return the slots of which some part lies in the window that ends now."""
    first = now_s // window.slot_s - window.span_s // window.slot_s
    if not slots or slots[0][0] >= first:
        return slots
    return tuple(s for s in slots if s[0] >= first)


def spent(slots: Slots, window: Window, now_s: int) -> int:
    """Return the money that was spent in the window that ends now [units]."""
    return sum(amount for _, amount in counting(slots, window, now_s))


def add(slots: Slots, window: Window, amount: int, now_s: int) -> Slots:
    """Return the slots with `amount` in the one of now; those that no longer count are dropped."""
    kept, number = counting(slots, window, now_s), now_s // window.slot_s
    if kept and kept[-1][0] >= number:  # or later: the clock went back
        return (*kept[:-1], (kept[-1][0], kept[-1][1] + amount))
    return (*kept, (number, amount))


def left(account: Account, limits: Limits, now_s: int) -> int | None:
    """Return the money that can still be reserved [units], None without a budget."""
    day, month = limits.per_day, limits.per_month
    if day is None and month is None:
        return None
    rests = [] if day is None else [day - spent(account.day, DAY, now_s)]
    rests += [] if month is None else [month - spent(account.month, MONTH, now_s)]
    return max(0, min(rests) - account.held)


def reserve(account: Account, limits: Limits, amount: int, now_s: int) -> Account | None:
    """Hold money for calls before they are made; None when it is not there. Nothing can always be held.

    Raises:
        ValueError: a negative amount.
    """
    if amount < 0:
        raise ValueError(f"a negative amount cannot be reserved: {amount}")
    rest = left(account, limits, now_s)
    if rest is not None and amount > rest:
        return None
    return account._replace(held=account.held + amount)


def settle(account: Account, held: int, cost: int, now_s: int) -> Account:
    """Book what calls really cost [units], and let go of what was held for them.

    Raises:
        ValueError: more is let go than is held, or a negative cost.
    """
    if cost < 0 or not 0 <= held <= account.held:
        raise ValueError(f"cannot settle {cost} for {held} of {account.held} held")
    if not cost:
        return release(account, held)
    return account._replace(
        held=account.held - held,
        day=add(account.day, DAY, cost, now_s),
        month=add(account.month, MONTH, cost, now_s),
    )


def release(account: Account, held: int) -> Account:
    """Let go of what was held for calls that cost nothing. Raises `ValueError` when it is more than is held."""
    if not 0 <= held <= account.held:
        raise ValueError(f"cannot release {held} of {account.held} held")
    return account._replace(held=account.held - held)


def frees_ms(account: Account, limits: Limits, amount: int, now_s: int) -> int | None:
    """Return when `amount` will fit if nothing more is spent [ms]: when old slots have left; None = never."""
    waits = [
        wait
        for budget, slots, window in (
            (limits.per_day, account.day, DAY),
            (limits.per_month, account.month, MONTH),
        )
        if budget is not None
        and (wait := _frees_s(slots, window, amount + account.held - budget, now_s)) != 0
    ]
    return None if None in waits else max((w for w in waits if w is not None), default=0) * 1000


def _frees_s(slots: Slots, window: Window, over: int, now_s: int) -> int | None:
    """Return when so much has left the window that the rest and `over` are not above 0 [s]; None = never."""
    rest = spent(slots, window, now_s) + over
    if rest <= 0:
        return 0
    for number, amount in counting(slots, window, now_s):
        rest -= amount
        if rest <= 0:
            return (number + window.span_s // window.slot_s + 1) * window.slot_s - now_s
    return None


def tightest(rooms: Iterable[Room]) -> Room | None:
    """Return the one with the smallest share left; of equals the first."""
    return min(rooms, key=lambda r: r.left / r.most, default=None)
