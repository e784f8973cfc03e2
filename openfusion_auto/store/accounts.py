"""Accounts of several processes on one machine, in the store's file: one transaction looks at all accounts of a
request and changes them, by the rules of `core/limits.py`.

It answers what `runtime/shared.py` asks of Redis too (`runtime/shared_script.py` says what the fields are). Places and
money that a process has taken stand under its own name, with a lease: one that dies holds nothing when it is over. What
was spent is written to the live values as well, where it outlives everything else.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from openfusion_auto.core import limits
from openfusion_auto.core.limits import Account, Bucket, Limits, Refusal, Spending
from openfusion_auto.errors import StoreTooNew
from openfusion_auto.store.base import KINDS
from openfusion_auto.store.files import connect, identity, reason
from openfusion_auto.store.records import dumps

log = logging.getLogger(__name__)

Found = TypeVar("Found")
# [s] a request may wait for the others; a transaction takes less than a millisecond, and a batch of the writer some.
WAIT_S = 1.0
TURNS_KEPT_S = 30 * 24 * 3600.0
SESSION = "session:"  # accounts of these are not listed among the live values: they are many, and have no key


@dataclass(slots=True)
class Kept:
    """An account as the file has it: `run` and `held` by process; money by slot; buckets owe [parts], as of [ms]."""

    run: dict[str, int] = field(default_factory=dict)
    held: dict[str, int] = field(default_factory=dict)
    day: dict[str, int] = field(default_factory=dict)
    month: dict[str, int] = field(default_factory=dict)
    requests: tuple[int, int] = (0, 0)
    tokens: tuple[int, int] = (0, 0)
    uses: int = 0
    last_s: float = 0.0


class Asked(NamedTuple):
    """One account of a question: what it holds after the news, and its limits."""

    kept: Kept
    account: Account
    limits: Limits


def limit(scope: Mapping[str, Any], name: str) -> int | None:
    """Return a limit as it is asked about, -1 = none."""
    return None if scope[name] < 0 else int(scope[name])


def told(kept: Kept, scope: Mapping[str, Any], asked: Mapping[str, Any], now_ms: int) -> Asked:
    """Take in what a process tells of an account."""
    me = asked["me"]
    kept.run[me], kept.held[me] = scope["run"], scope["held"]
    for name, first in (("day", asked["first_day"]), ("month", asked["first_month"])):
        slots: dict[str, int] = getattr(kept, name)
        for slot, amount in scope[f"known_{name}"]:
            slots[str(slot)] = max(slots.get(str(slot), 0), amount)
        for slot, amount in scope[f"new_{name}"]:
            slots[str(slot)] = slots.get(str(slot), 0) + amount
        for slot in [s for s in slots if int(s) < first]:
            del slots[slot]
    kept.uses = max(kept.uses, scope["known_uses"]) + scope["uses"]
    kept.last_s = max(kept.last_s, scope["last_s"])
    bounds = Limits(*(limit(scope, name) for name in ("rpm", "tpm", "conc", "day", "month")))
    account = Account(
        owed(kept.requests, bounds.requests_per_minute, scope["requests"], now_ms),
        owed(kept.tokens, bounds.tokens_per_minute, scope["tokens"], now_ms),
        sum(kept.run.values()),
        sum(kept.held.values()),
        slots_of(kept.day),
        slots_of(kept.month),
    )
    return Asked(kept, account, bounds)


def owed(bucket: tuple[int, int], per_minute: int | None, more: int, now_ms: int) -> Bucket:
    """Return a bucket as of now, with what is to be added or given back."""
    now = limits.drained(Bucket(*bucket), per_minute or 0, now_ms)
    return now._replace(owed=max(0, now.owed + more * limits.MINUTE))


def slots_of(slots: Mapping[str, int]) -> limits.Slots:
    """Return money by slot, oldest first."""
    return tuple(sorted((int(slot), amount) for slot, amount in slots.items()))


def answer(op: str, count: int, me: str, asked: Sequence[Asked], now_ms: int) -> dict[str, Any]:
    """Do what is asked about some accounts, for all or for none, and return what the process is told of them."""
    refused = first_refusal(op, count, asked, now_ms)
    accounts = []
    for kept, account, bounds in asked:
        after = account
        if refused is None and op == "admit":
            after = limits.admit(account, bounds, count, now_ms)
            kept.run[me] += 1
        elif refused is None and op == "reserve":
            after = account._replace(held=account.held + count)
            kept.held[me] += count
        kept.requests, kept.tokens = after.requests, after.tokens
        accounts.append(
            {
                "run": after.running - kept.run[me],  # of the others
                "held": after.held - kept.held[me],
                "day": list(after.day),
                "month": list(after.month),
                "requests": after.requests.owed,
                "tokens": after.tokens.owed,
                "uses": kept.uses,
                "last_s": kept.last_s,
            }
        )
    return {"refused": refused or False, "scopes": accounts}


def first_refusal(op: str, count: int, asked: Sequence[Asked], now_ms: int) -> list[object] | None:
    """Return which account is against it, by what, and for how long [ms], -1 = for ever; None when all agree."""
    for index, (_, account, bounds) in enumerate(asked):
        if op == "admit":
            why: Refusal | None = limits.refusal(account, bounds, count, now_ms)
            if why is not None:
                return [index, why.limit, -1 if why.wait_ms is None else why.wait_ms]
        elif op == "reserve" and limits.reserve(account, bounds, count, now_ms // 1000) is None:
            return [index, "money", 0]
    return None


class FileAccounts:
    """See `runtime/shared.py:Accounts`. Works in a thread of its own, one question after the other."""

    keeps_spending = True

    def __init__(self, path: Path, wall: Callable[[], float], *, worker: bool = True) -> None:
        """Take accounts from the store's file.

        Args:
            path: The file.
            wall: Returns the seconds since 1970.
            worker: Others count there too, whether they have been seen or not.
        """
        self._path, self._wall, self._worker = path, wall, worker
        self.alone = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="accounts")
        self._db: sqlite3.Connection | None = None
        self._file: object = None
        self.up = True

    async def ask(self, names: Sequence[str], asked: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Ask about some accounts; None when the file does not answer."""
        return await self._try(partial(self._step, names, asked)) if self.up else None

    async def turn(self, name: str) -> int | None:
        """Count in the file; a list that nobody asked for in a month begins anew."""
        return await self._try(partial(self._count, name)) if self.up else None

    async def probe(self) -> None:
        """Look whether a file that did not answer does now."""
        if not self.up:
            await self._try(self._connected)

    async def close(self) -> None:
        """Let go."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown(wait=False)

    async def _try(self, work: Callable[[], Found]) -> Found | None:
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (sqlite3.Error, OSError, StoreTooNew) as error:
            if self.up:
                log.warning(
                    "%s does not answer (%s): each process counts for itself until it does",
                    self._path,
                    reason(error),
                )
            self.up = False
            return None
        if not self.up:
            self.up = True
            log.warning("%s answers again: limits are counted together", self._path)
        return found

    def _step(self, names: Sequence[str], asked: Mapping[str, Any]) -> Mapping[str, Any]:
        if not names and self._db is None:  # nobody has counted here
            return {"refused": False, "scopes": []}
        db = self._connected()
        now_ms = int(self._wall() * 1000)
        db.execute("BEGIN IMMEDIATE")
        try:
            alive = leases(db, asked["me"], now_ms, asked["lease_ms"])
            accounts = [
                told(kept_of(db, name, alive), scope, asked, now_ms)
                for name, scope in zip(names, asked["scopes"], strict=True)
            ]
            reply = answer(asked["op"], asked["count"], asked["me"], accounts, now_ms)
            for name, one in zip(names, accounts, strict=True):
                keep(db, name, one.kept, now_ms / 1000)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            self._disconnect()
            raise
        self.alone = not self._worker and alive == {asked["me"]}
        return reply

    def _count(self, name: str) -> int:
        db, now_s = self._connected(), self._wall()
        found = db.execute(
            "INSERT INTO turns (name, n, at) VALUES (?, 1, ?)"
            " ON CONFLICT (name) DO UPDATE SET n = n + 1, at = excluded.at RETURNING n",
            (name, now_s),
        ).fetchone()[0]
        if found == 1:  # a new list, now and then: the time to forget old ones
            db.execute("DELETE FROM turns WHERE at < ?", (now_s - TURNS_KEPT_S,))
        return int(found) - 1

    def _connected(self) -> sqlite3.Connection:
        """Return the connection; a new one when the file has been moved away or replaced."""
        if self._db is not None and self._file != identity(self._path):
            self._disconnect()
        if self._db is None:
            self._db = connect(self._path)
            self._file = identity(self._path)
            self._db.execute(f"PRAGMA busy_timeout = {int(WAIT_S * 1000)}").fetchone()
        return self._db

    def _disconnect(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()


def leases(db: sqlite3.Connection, me: str, now_ms: int, lease_ms: int) -> frozenset[str]:
    """Renew the lease of a process, and return who has one."""
    db.execute(
        "INSERT OR REPLACE INTO processes (id, until) VALUES (?, ?)", (me, now_ms + lease_ms)
    )
    db.execute("DELETE FROM processes WHERE until < ?", (now_ms,))
    return frozenset(name for (name,) in db.execute("SELECT id FROM processes"))


def kept_of(db: sqlite3.Connection, name: str, alive: frozenset[str]) -> Kept:
    """Return an account without what processes held that are gone."""
    row = db.execute("SELECT value FROM accounts WHERE name = ?", (name,)).fetchone()
    kept = read(name, row[0]) if row else Kept()
    for taken in (kept.run, kept.held):
        for gone in [process for process in taken if process not in alive]:
            del taken[gone]
    return kept


def read(name: str, text: str) -> Kept:
    """Return an account from its row; one that cannot be read counts as none.

    What this process knows of it stands in its place, as for an account that is new to the file.
    """
    try:
        return Kept(**json.loads(text))
    except (ValueError, TypeError):
        log.warning("the account %s cannot be read: it begins with what this process knows", name)
        return Kept()


def keep(db: sqlite3.Connection, name: str, kept: Kept, at_s: float) -> None:
    """Write an account, and what it spent among the live values."""
    db.execute(
        "INSERT OR REPLACE INTO accounts (name, at, value) VALUES (?, ?, ?)",
        (name, at_s, dumps(kept).decode()),
    )
    if not name.startswith(SESSION):
        spent = Spending(slots_of(kept.day), slots_of(kept.month), kept.uses, kept.last_s)
        db.execute(
            "INSERT OR REPLACE INTO live (kind, key, at, value) VALUES (?, ?, ?, ?)",
            (KINDS[Spending], name, at_s, dumps(spent).decode()),
        )
