"""Limits and budgets of several processes as one: `Counters` whose truth is in Redis, or in the store's file.

    admit, reserve   one step there looks at all accounts and changes them at once; a refusal changes none
    leave, settle    noted here and sent at once by `keep_up`, which nobody waits for

Each process keeps, of every account it uses, the last that it was told plus what happened here since. It decides by
that alone while nobody answers, so a request never fails for it: then each process may use what was left when it
last heard, so N processes overspend by at most N - 1 times that.

What a process has running and holds is kept there under its own name, whole and not as a sum of changes, with a
lease: a process that dies holds nothing for longer than `LEASE_S`, one that was cut off is right again with its next
word. What was spent is sent as a change, with what was known before: a Redis that lost its data learns it again.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, Protocol

from openfusion_auto.core.limits import (
    DAY,
    MINUTE,
    MONTH,
    NEW,
    NO_LIMITS,
    Account,
    Bucket,
    Limited,
    Limits,
    Refusal,
    Slots,
    Window,
    counting,
    drained,
)
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.limits import SESSION, MemoryCounters, Scope
from openfusion_auto.runtime.session import session_hash
from openfusion_auto.store.base import Store

log = logging.getLogger(__name__)
LEASE_S = 15.0
REFRESH_S = 1.0  # [s] between two looks at what the others did
GATHER_S = 0.05  # [s] what nobody else waits for is told together
BATCH = 100  # accounts in one step

Op = Literal["admit", "reserve", "sync"]


class Accounts(Protocol):
    """Where accounts are counted together: `shared_script.py:RedisAccounts`, `store/accounts.py:FileAccounts`."""

    @property
    def up(self) -> bool:
        """Whether it answers; while it does not, nobody asks but `probe`."""
        ...

    @property
    def alone(self) -> bool:
        """Whether no other process counts there: then this one decides by itself, and tells afterwards."""
        ...

    @property
    def keeps_spending(self) -> bool:
        """Whether what was spent is kept there for good; else each process keeps it in its own store too."""
        ...

    async def ask(self, names: Sequence[str], asked: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Ask about some accounts in one step; None when there is no answer."""
        ...

    async def turn(self, name: str) -> int | None:
        """Return the next number of a list that takes turns, from 0, and count on; None when there is no answer."""
        ...

    async def probe(self) -> None:
        """Look whether it answers again."""
        ...

    async def close(self) -> None:
        """Let go."""
        ...


@dataclass(slots=True)
class Share:
    """What this process has of an account: `run` and `held` now; the rest is new since Redis was last told."""

    limits: Limits = NO_LIMITS
    run: int = 0
    held: int = 0
    requests: int = 0
    tokens: int = 0
    uses: int = 0
    day: dict[int, int] = field(default_factory=dict)
    month: dict[int, int] = field(default_factory=dict)
    known: Account = NEW
    known_uses: int = 0

    def news(self) -> Share:
        """Take what is new out."""
        taken = Share(
            self.limits, 0, 0, self.requests, self.tokens, self.uses, self.day, self.month
        )
        self.requests = self.tokens = self.uses = 0
        self.day, self.month = {}, {}
        return taken

    def put_back(self, taken: Share) -> None:
        """Put back what could not be told."""
        self.requests += taken.requests
        self.tokens += taken.tokens
        self.uses += taken.uses
        for mine, theirs in ((self.day, taken.day), (self.month, taken.month)):
            for slot, amount in theirs.items():
                mine[slot] = mine.get(slot, 0) + amount


class SharedCounters(MemoryCounters):
    """See `Counters`, and above."""

    def __init__(self, accounts: Accounts, clock: Clock, store: Store) -> None:
        super().__init__(clock, store)
        self.there = accounts
        self._me = secrets.token_hex(8)
        self._shares: dict[str, Share] = {}
        self._dirty: set[str] = set()
        self._wake = asyncio.Event()
        # One question at a time: what a process has running is told whole, and must arrive in order.
        self._lock = asyncio.Lock()
        self._asking = 0  # requests whose question, or wait for one, is not over

    def _share(self, scope: Scope) -> Share:
        found = self._shares.get(scope.name)
        if found is None:
            found = self._shares[scope.name] = Share(
                known=self._get(scope.name), known_uses=self._uses.get(scope.name, (0, 0.0))[0]
            )
        found.limits = scope.limits
        return found

    def _touch(self, name: str) -> None:
        self._dirty.add(name)
        self._wake.set()

    async def admit(self, scopes: Sequence[Scope], count: int) -> tuple[Scope, Refusal] | None:
        """See `Counters`."""
        shares = [self._share(s) for s in scopes]
        if any(s.limits != NO_LIMITS for s in scopes):
            reply = await self._decided_there("admit", scopes, count)
            if reply is not None:
                return self._refused(reply, scopes)
        refused = await super().admit(scopes, count)
        if refused is None:
            for scope, share in zip(scopes, shares, strict=True):
                share.run += 1
                share.requests += scope.limits.requests_per_minute is not None
                share.tokens += count if scope.limits.tokens_per_minute is not None else 0
                self._touch(scope.name)
        return refused

    async def _decided_there(
        self, op: Op, scopes: Sequence[Scope], count: int
    ) -> Mapping[str, object] | None:
        """Return what is decided where others may be asking too; None: it is decided here, at once, without a wait.

        Who is alone decides here, but behind those whose question is still on its way: what they are given is not
        counted here yet.
        """
        if self.there.alone and not self._asking:
            return None
        self._asking += 1
        try:
            async with self._lock:
                return None if self.there.alone else await self._ask(op, scopes, count)
        finally:
            self._asking -= 1

    def _refused(
        self, reply: Mapping[str, object], scopes: Sequence[Scope]
    ) -> tuple[Scope, Refusal] | None:
        said = reply["refused"]
        if not isinstance(said, list):
            return None
        index, name, wait_ms = said
        scope = scopes[index]
        limits = scope.limits
        sizes: Mapping[Limited, int | None] = {
            "concurrent": limits.concurrent,
            "requests": limits.requests_per_minute,
            "tokens": limits.tokens_per_minute,
        }
        limit: Limited = name
        return scope, Refusal(limit, sizes[limit] or 0, None if wait_ms < 0 else int(wait_ms))

    def leave(self, scopes: Sequence[Scope], reserved: int, used: int) -> None:
        """See `Counters`."""
        super().leave(scopes, reserved, used)
        for scope in scopes:
            share = self._share(scope)
            share.run -= 1
            share.uses += 1
            if scope.limits.tokens_per_minute is not None:
                share.tokens += used - reserved
            self._touch(scope.name)

    async def reserve(self, scopes: Sequence[Scope], amount: int) -> bool:
        """See `Counters`."""
        shares = [self._share(s) for s in scopes]
        if any(s.limits.has_budget for s in scopes):
            reply = await self._decided_there("reserve", scopes, amount)
            if reply is not None:
                return not reply["refused"]
        if not await super().reserve(scopes, amount):
            return False
        for scope, share in zip(scopes, shares, strict=True):
            share.held += amount
            self._touch(scope.name)
        return True

    def settle(self, scopes: Sequence[Scope], held: int, cost: int) -> None:
        """See `Counters`."""
        super().settle(scopes, held, cost)
        now_s = self._now_s()
        for scope in scopes:
            share = self._share(scope)
            share.held -= held
            if cost:
                for slots, window in ((share.day, DAY), (share.month, MONTH)):
                    slot = now_s // window.slot_s
                    slots[slot] = slots.get(slot, 0) + cost
            self._touch(scope.name)

    def waiting(self) -> set[str]:
        """Return the accounts of which not all is told yet."""
        return set(self._dirty)

    def _keep(self, name: str) -> None:
        if not self.there.keeps_spending:
            super()._keep(name)

    async def keep_up(self) -> None:
        """Tell what happened here as it happens, and hear what happened elsewhere each second; for ever."""
        while True:
            try:
                async with asyncio.timeout(REFRESH_S):
                    await self._wake.wait()
            except TimeoutError:
                await self.there.probe()
                due = self._due()
            else:
                if self.there.alone:
                    await self._clock.sleep(GATHER_S)
                due = set(self._dirty)
            self._wake.clear()
            if not self.there.up:
                await self._clock.sleep(REFRESH_S)
                await self.there.probe()
                self._wake.set()
                continue
            try:
                await self.sync(due)
            except Exception:  # a defect of ours must not end what keeps the accounts together
                log.exception("the accounts could not be told; they are told again")
                await self._clock.sleep(REFRESH_S)

    def _due(self) -> set[str]:
        """Return the accounts to tell and hear about each second: who is alone hears nothing, and repeats nothing."""
        if not self.there.alone:
            return set(self._shares)
        return self._dirty | {
            name for name, share in self._shares.items() if share.run or share.held
        }

    async def sync(self, names: set[str]) -> None:
        """Tell and hear about some accounts; with none, that this process lives."""
        ordered = sorted(names)
        for start in range(0, max(1, len(ordered)), BATCH):
            async with self._lock:
                some = [n for n in ordered[start : start + BATCH] if n in self._shares]
                scopes = [Scope(n, self._shares[n].limits, "") for n in some]
                if await self._ask("sync", scopes, 0) is None:
                    return

    async def _ask(
        self, op: Op, scopes: Sequence[Scope], count: int
    ) -> Mapping[str, object] | None:
        """Ask in one step about some accounts, and take over what is said; None when there is no answer."""
        if not self.there.up:
            return None
        names = [s.name for s in scopes]
        shares = [self._share(s) for s in scopes]
        taken = [share.news() for share in shares]
        self._dirty.difference_update(names)
        now_s = self._now_s()
        asked = {
            "me": self._me,
            "lease_ms": int(LEASE_S * 1000),
            "op": op,
            "count": count,
            "first_day": first(DAY, now_s),
            "first_month": first(MONTH, now_s),
            "scopes": [
                {
                    **told(share, new, now_s),
                    **self._owed(name, new),
                    "last_s": self._uses.get(name, (0, 0.0))[1],
                }
                for name, share, new in zip(names, shares, taken, strict=True)
            ],
        }
        # A client that leaves meanwhile does not end the question: what was told must not be told twice.
        question = asyncio.ensure_future(
            self.there.ask([name_there(name) for name in names], asked)
        )
        try:
            reply = await asyncio.shield(question)
        except asyncio.CancelledError:
            question.add_done_callback(partial(self._left_alone, names, taken))
            raise
        except Exception:
            self._not_told(names, taken)
            raise
        if reply is None:
            self._not_told(names, taken)
            return None
        done = not reply["refused"]
        for name, share, said in zip(names, shares, reply["scopes"] or [], strict=True):
            share.run += done and op == "admit"
            share.held += count if done and op == "reserve" else 0
            self._take_over(name, share, said)
        return reply

    def _not_told(self, names: Sequence[str], taken: Sequence[Share]) -> None:
        for name, new in zip(names, taken, strict=True):
            self._shares.setdefault(name, Share(new.limits)).put_back(new)
            self._touch(name)

    def _left_alone(
        self,
        names: Sequence[str],
        taken: Sequence[Share],
        question: asyncio.Future[Mapping[str, Any] | None],
    ) -> None:
        """See to a question whose client has left: what it was given is given back with the next word."""
        if question.cancelled() or question.exception() or question.result() is None:
            self._not_told(names, taken)
        for name in names:
            self._touch(name)

    def _owed(self, name: str, new: Share) -> dict[str, int]:
        """Return what is to be added to the buckets: of a long outage what has not come back by time since."""
        account, now_ms = self._get(name), self._now_ms()
        rates = (
            ("requests", account.requests, new.limits.requests_per_minute, new.requests),
            ("tokens", account.tokens, new.limits.tokens_per_minute, new.tokens),
        )
        return {
            kind: min(count, -(-drained(bucket, most, now_ms).owed // MINUTE)) if most else 0
            for kind, bucket, most, count in rates
        }

    def _take_over(self, name: str, share: Share, said: Mapping[str, object]) -> None:
        """Make what Redis said, and what happened here since, this process's view of an account."""
        now_ms = self._now_ms()
        known = Account(day=slots_of(said["day"]), month=slots_of(said["month"]))
        share.known = known
        share.known_uses = int(str(said["uses"]))
        owed = [
            max(0, int(str(said[kind])) + new * MINUTE)
            for kind, new in (("requests", share.requests), ("tokens", share.tokens))
        ]
        account = Account(
            Bucket(owed[0], now_ms),
            Bucket(owed[1], now_ms),
            int(str(said["run"])) + share.run,
            int(str(said["held"])) + share.held,
            with_new(known.day, share.day),
            with_new(known.month, share.month),
        )
        before = self.spending(name)
        last_s = max(before.last_s, float(str(said["last_s"])))
        self._put(name, account)
        if not name.startswith(SESSION):
            self._uses[name] = (share.known_uses + share.uses, last_s)
            if self.spending(name) != before:
                self._keep(name)
        idle = not (share.run or share.held or share.day or share.tokens or share.requests)
        if idle and name.startswith(SESSION):  # thousands of them; the next request hears anew
            self._shares.pop(name, None)


def name_there(name: str) -> str:
    """Return an account's name in Redis: the id that a client gave its session stays here."""
    return SESSION + session_hash(name) if name.startswith(SESSION) else name


def first(window: Window, now_s: int) -> int:
    """Return the oldest slot of which some part lies in the window."""
    return now_s // window.slot_s - window.span_s // window.slot_s


def told(share: Share, new: Share, now_s: int) -> dict[str, object]:
    """Return an account as the script takes it."""
    bounds = share.limits
    limits = {
        "rpm": bounds.requests_per_minute,
        "tpm": bounds.tokens_per_minute,
        "conc": bounds.concurrent,
        "day": bounds.per_day,
        "month": bounds.per_month,
    }
    return {
        **{name: -1 if most is None else most for name, most in limits.items()},
        "uses": new.uses,
        "known_uses": share.known_uses,
        "run": share.run,
        "held": share.held,
        "known_day": counting(share.known.day, DAY, now_s),
        "known_month": counting(share.known.month, MONTH, now_s),
        "new_day": list(new.day.items()),
        "new_month": list(new.month.items()),
    }


def slots_of(said: object) -> Slots:
    """Return money by slot from what the script says: pairs of texts, {} for none."""
    pairs = said if isinstance(said, list) else []
    return tuple(sorted((int(slot), int(amount)) for slot, amount in pairs))


def with_new(slots: Slots, new: Mapping[int, int]) -> Slots:
    """Return money by slot with what was spent since."""
    found = dict(slots)
    for slot, amount in new.items():
        found[slot] = found.get(slot, 0) + amount
    return tuple(sorted(found.items()))
