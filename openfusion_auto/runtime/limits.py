"""Who may use how much, while requests run: `core/limits.py` with accounts, a clock and errors.

    enter     on the way in: rates and the cap, all accounts or none          -> 429, 503
    left_usd  for the decision: it goes down to what fits (panel, verify, single, a cheaper single)
    reserve   the worst case of what was decided, before the first call       -> 429 when nothing fits
    cover     more, for a retry or a fallback that the plan did not count
    close     on the way out, however that came: what was really used

A request counts for its key, for the server and, as to money, for its session. `Counters` is what another process
could share (Redis): what may be refused is awaited there, what must not fail on the way out is not.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from openfusion_auto.core import limits, tokens
from openfusion_auto.core.limits import NEW, NO_LIMITS, Account, Limits, Refusal, Room, Spending
from openfusion_auto.core.prompt import Prompt
from openfusion_auto.core.words import sum_of
from openfusion_auto.errors import FusionError, Overloaded, QuotaExceeded, RateLimited
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.trace import Trace
from openfusion_auto.store.base import Store

SERVER, SESSION = "server", "session:"
MAX_SESSIONS = 20_000  # accounts of sessions; the one unused for longest goes first
WALL = 0.0  # [s since 1970] at which the clock stood at 0 that accounts are counted by
NO_RETRY = {"x-should-retry": "false"}  # the official SDKs of OpenAI and Anthropic heed it


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks: a gateway key.

    Attributes:
        id: Names its account; stable, no part of the key.
        name: What people call it.
        limits: What it may use.
        models: What it may ask for; () = everything.
        expires: Until when it counts, ISO 8601 in UTC; None = for ever.
        own: It sees its own traces only; the operator's keys (OPENFUSION_API_KEYS) see all.
    """

    id: str
    name: str
    limits: Limits = NO_LIMITS
    models: tuple[str, ...] = ()
    expires: str | None = None
    own: bool = False


class Scope(NamedTuple):
    """One account that a request counts for: its name, its limits, and how an error calls it."""

    name: str
    limits: Limits
    says: str

    def kind(self) -> Literal["key", "server", "session"]:
        """Return what kind of account it is: a word that holds no name."""
        if self.name.startswith(SESSION):
            return "session"
        return "server" if self.name == SERVER else "key"

    def budget(self) -> str:
        """Return its budget in words."""
        day, month = self.limits.per_day, self.limits.per_month
        unit = "session" if self.name.startswith(SESSION) else "month"
        parts = [
            f"{limits.to_usd(most):g} USD a {span}"
            for most, span in ((day, "day"), (month, unit))
            if most is not None
        ]
        return ", ".join(parts)


class Counters(Protocol):
    """The accounts. A call is for all scopes or for none.

    Attributes:
        refused: How often requests were refused, by kind of account (`key`, `server`, `session`) and limit.
    """

    refused: Counter[tuple[str, str]]

    async def admit(self, scopes: Sequence[Scope], count: int) -> tuple[Scope, Refusal] | None:
        """Let a request of `count` tokens in, or return who refuses it, and why."""
        ...

    def leave(self, scopes: Sequence[Scope], reserved: int, used: int) -> None:
        """Let a request out."""
        ...

    def left(self, scopes: Sequence[Scope]) -> tuple[Scope, int] | None:
        """Return who has the least money left, and how much [units]; None when nobody has a budget."""
        ...

    async def reserve(self, scopes: Sequence[Scope], amount: int) -> bool:
        """Hold money, or return False."""
        ...

    def settle(self, scopes: Sequence[Scope], held: int, cost: int) -> None:
        """Book what was spent, let go of what was held."""
        ...

    def frees_s(self, scope: Scope) -> float | None:
        """Return when there will be money again [s]; None = not by itself."""
        ...

    def rooms(self, scopes: Sequence[Scope]) -> tuple[Room | None, Room | None]:
        """Return what is left of requests and of tokens where least is; None without a limit."""
        ...

    def spending(self, name: str) -> Spending:
        """Return what an account has spent."""
        ...


class MemoryCounters:
    """The accounts of one process; what they spent is in a store, but for sessions."""

    def __init__(self, clock: Clock, store: Store) -> None:
        self._clock = clock
        self.refused: Counter[tuple[str, str]] = Counter()
        self._store = store
        kept = store.load(Spending, WALL)
        self._uses = {name: (s.requests, s.last_s) for name, s in kept}
        self._accounts: OrderedDict[str, Account] = OrderedDict(
            (name, Account(day=s.day, month=s.month)) for name, s in kept
        )
        self._sessions = 0

    def _now_ms(self) -> int:
        return int(self._clock.now() * 1000)

    def _now_s(self) -> int:
        return int(self._clock.wall())

    def _get(self, name: str) -> Account:
        return self._accounts.get(name, NEW)

    def _put(self, name: str, account: Account) -> None:
        if name not in self._accounts and name.startswith(SESSION):
            self._sessions += 1
        self._accounts[name] = account
        if name.startswith(SESSION):
            self._accounts.move_to_end(name)
            if self._sessions > MAX_SESSIONS:
                self._forget_a_session()

    def _forget_a_session(self) -> None:
        old = next(n for n, a in self._accounts.items() if n.startswith(SESSION) and not a.held)
        del self._accounts[old]
        self._sessions -= 1

    async def admit(self, scopes: Sequence[Scope], count: int) -> tuple[Scope, Refusal] | None:
        """See `Counters`."""
        now_ms = self._now_ms()
        for scope in scopes:
            why = limits.refusal(self._get(scope.name), scope.limits, count, now_ms)
            if why is not None:
                return scope, why
        for scope in scopes:
            account = self._get(scope.name)
            self._put(scope.name, limits.admit(account, scope.limits, count, now_ms))
        return None

    def leave(self, scopes: Sequence[Scope], reserved: int, used: int) -> None:
        """See `Counters`."""
        now_ms, wall_s = self._now_ms(), self._clock.wall()
        for scope in scopes:
            account = self._get(scope.name)
            self._uses[scope.name] = (self._uses.get(scope.name, (0, 0.0))[0] + 1, wall_s)
            self._put(scope.name, limits.leave(account, scope.limits, reserved, used, now_ms))

    def left(self, scopes: Sequence[Scope]) -> tuple[Scope, int] | None:
        """See `Counters`."""
        now_s = self._now_s()
        found = [(limits.left(self._get(s.name), s.limits, now_s), s) for s in scopes]
        known = [(rest, scope) for rest, scope in found if rest is not None]
        if not known:
            return None
        rest, scope = min(known, key=lambda pair: pair[0])
        return scope, rest

    async def reserve(self, scopes: Sequence[Scope], amount: int) -> bool:
        """See `Counters`."""
        now_s = self._now_s()
        held = [(s, limits.reserve(self._get(s.name), s.limits, amount, now_s)) for s in scopes]
        if any(account is None for _, account in held):
            return False
        for scope, account in held:
            if account is not None:
                self._put(scope.name, account)
        return True

    def settle(self, scopes: Sequence[Scope], held: int, cost: int) -> None:
        """See `Counters`."""
        now_s = self._now_s()
        for scope in scopes:
            self._put(scope.name, limits.settle(self._get(scope.name), held, cost, now_s))
            if not scope.name.startswith(SESSION):
                self._keep(scope.name)

    def _keep(self, name: str) -> None:
        self._store.keep(Spending, name, self.spending(name), WALL)

    def frees_s(self, scope: Scope) -> float | None:
        """See `Counters`."""
        wait = limits.frees_ms(self._get(scope.name), scope.limits, 1, self._now_s())
        return None if wait is None else wait / 1000

    def rooms(self, scopes: Sequence[Scope]) -> tuple[Room | None, Room | None]:
        """See `Counters`."""
        now_ms = self._now_ms()
        requests, used = [], []
        for scope in scopes:
            account, bounds = self._get(scope.name), scope.limits
            if bounds.requests_per_minute is not None:
                requests.append(limits.room(account.requests, bounds.requests_per_minute, now_ms))
            if bounds.tokens_per_minute is not None:
                used.append(limits.room(account.tokens, bounds.tokens_per_minute, now_ms))
        return limits.tightest(requests), limits.tightest(used)

    def spending(self, name: str) -> Spending:
        """See `Counters`."""
        account = self._get(name)
        return Spending(account.day, account.month, *self._uses.get(name, (0, 0.0)))

    def running(self, name: str) -> int:
        """Return how many requests of an account are being answered."""
        return self._get(name).running

    def held(self, name: str) -> int:
        """Return the money that is held of an account [units]."""
        return self._get(name).held


class Allowance:
    """What one request may use. Made by `Limiter.enter`, given up by `close`, which may be called again."""

    def __init__(
        self, counters: Counters, scopes: tuple[Scope, ...], *, owner: str, session: int | None
    ) -> None:
        self._counters = counters
        self._scopes = scopes
        self._payers = scopes
        self._rated = any(
            s.limits.requests_per_minute or s.limits.tokens_per_minute for s in scopes
        )
        self._owner = owner
        self._session = session
        self._reserved_tokens = 0
        self._held = 0
        # Members of a panel ask for more at once, and where accounts are shared each waits for the answer.
        self._lock = asyncio.Lock()
        self._entered = False

    async def enter(self, prompt: Prompt) -> None:
        """Take a place for a request; its tokens are estimated only where they are limited.

        Raises:
            RateLimited: a rate of its key or of the server, or too many of its key at once.
            Overloaded: too many at once for the server.
        """
        counted = any(s.limits.tokens_per_minute for s in self._scopes)
        count = tokens.input_tokens(prompt) if counted else 0
        refused = await self._counters.admit(self._scopes, count)
        if refused is not None:
            self._counters.refused[refused[0].kind(), refused[1].limit] += 1
            error = refusal_error(*refused)
            error.headers = {**self.headers(), **error.headers}
            raise error
        self._reserved_tokens, self._entered = count, True

    def left_usd(self, session_key: str) -> float | None:
        """Return what the request may cost [USD], None without a budget; from now on its session pays too."""
        if self._session is not None:
            name = f"{SESSION}{self._owner}:{session_key}"
            payer = Scope(name, Limits(per_month=self._session), "this session")
            self._payers = (*self._scopes, payer)
        found = self._counters.left(self._payers)
        return None if found is None else limits.to_usd(found[1])

    async def reserve(self, worst_usd: float | None, own_max_usd: float | None) -> None:
        """Hold what was decided.

        Args:
            worst_usd: Its worst case [USD]; None when nothing fits what `left_usd` said.
            own_max_usd: The ceiling that the request or the operator set besides [USD].

        Raises:
            QuotaExceeded: the budgets are why nothing could be decided, or somebody else was quicker.
        """
        if worst_usd is not None and await self.cover(worst_usd):
            return
        found = self._counters.left(self._payers)
        if found is None:
            return
        scope, rest = found
        quicker = worst_usd is not None
        if quicker or own_max_usd is None or limits.to_usd(rest) < own_max_usd:
            raise self._exhausted(scope, rest)

    async def cover(self, usd: float) -> bool:
        """Hold at least `usd` [USD] in all; False when that is not there, and then what is held stays held."""
        wanted = limits.to_units(usd)
        async with self._lock:
            if wanted <= self._held:
                return True
            if not await self._counters.reserve(self._payers, wanted - self._held):
                return False
            self._held = wanted
        return True

    def close(self, trace: Trace) -> None:
        """Book what the request used and give its place up. Calls without a known price cost what is known."""
        if not self._entered:
            return
        self._entered = False
        usage = trace.usage()
        cost = sum(limits.to_units(a.known_usd) for a in trace.attempts)
        used = usage.input + usage.output
        if any(a.status == "cancelled" and a.usage is None for a in trace.attempts):
            used += self._reserved_tokens  # it was read, as far as anybody knows
        self._counters.leave(self._scopes, self._reserved_tokens, used)
        self._counters.settle(self._payers, self._held, cost)
        self._held = 0

    def headers(self) -> dict[str, str]:
        """Return the headers in which OpenAI's API tells what is left of its rates."""
        told: dict[str, str] = {}
        if not self._rated:
            return told
        for kind, room in zip(
            ("requests", "tokens"), self._counters.rooms(self._scopes), strict=True
        ):
            if room is not None:
                told[f"x-ratelimit-limit-{kind}"] = str(room.most)
                told[f"x-ratelimit-remaining-{kind}"] = str(room.left)
                told[f"x-ratelimit-reset-{kind}"] = duration(room.full_ms)
        return told

    def _exhausted(self, scope: Scope, rest: int) -> QuotaExceeded:
        self._counters.refused[scope.kind(), "usd"] += 1
        error = QuotaExceeded(
            f"You exceeded your current quota: {scope.says} has {sum_of(limits.to_usd(rest))} left of "
            f"{scope.budget()}, and no model with a known price that can serve this request costs less at "
            "worst. A shorter request or a lower max_tokens may fit.",
            # When anything at all is there again; how much is needed depends on the request.
            retry_after_s=None if rest else self._counters.frees_s(scope),
        )
        error.headers = NO_RETRY
        return error


class Limiter:
    """Gives every request its allowance.

    Args:
        counters: The accounts.
        server: What all clients together may use.
        session: What one session may cost [units]; None = no limit.
    """

    def __init__(self, counters: Counters, server: Limits, session: int | None) -> None:
        self.counters = counters
        self.server = server
        self.session = session

    @property
    def has_budget(self) -> bool:
        """Whether money is limited, whoever asks; what a session may cost is counted in memory alone."""
        return self.server.has_budget

    def scopes(self, client: Client | None) -> tuple[Scope, ...]:
        """Return the accounts that count for a client."""
        found: tuple[Scope, ...] = ()
        if client is not None:
            found += (Scope(client.id, client.limits, f"the key {client.name!r}"),)
        if self.server != NO_LIMITS:
            found += (Scope(SERVER, self.server, "this server"),)
        return found

    def allowance(self, client: Client | None) -> Allowance | None:
        """Return what a client may use, without coming in; None when nothing is limited and nobody counted."""
        scopes = self.scopes(client)
        if not scopes and self.session is None:
            return None
        owner = client.id if client else ""
        return Allowance(self.counters, scopes, owner=owner, session=self.session)

    async def enter(self, client: Client | None, prompt: Prompt) -> Allowance | None:
        """Let a request in; see `Allowance.enter` for what is raised."""
        allowance = self.allowance(client)
        if allowance is not None:
            await allowance.enter(prompt)
        return allowance


def refusal_error(scope: Scope, why: Refusal) -> FusionError:
    """Return the error for a request that may not come in."""
    wait_s = None if why.wait_ms is None else why.wait_ms / 1000
    if why.limit == "concurrent" and scope.name == SERVER:
        return Overloaded(
            f"The server answers {why.most} requests already (limits.max_concurrent); try again in a moment.",
            retry_after_s=wait_s,
        )
    unit = {"concurrent": "requests at once"}.get(why.limit, f"{why.limit} per minute")
    said = f"Rate limit reached for {scope.says}: {why.most} {unit}."
    if wait_s is None:
        error = RateLimited(f"{said} This request alone is larger: make it shorter.")
        error.headers = NO_RETRY
        return error
    return RateLimited(f"{said} Please try again in {duration(why.wait_ms)}.", retry_after_s=wait_s)


def duration(ms: int | None) -> str:
    """Return a time as OpenAI's headers write it: `120ms`, `1.5s`, `6m0s`, `1h2m3s`."""
    ms = ms or 0
    if ms < 1000:
        return f"{ms}ms"
    minutes, rest_ms = divmod(ms, 60_000)
    if not minutes:
        return f"{rest_ms / 1000:g}s"
    hours, minutes = divmod(minutes, 60)
    return f"{f'{hours}h' if hours else ''}{minutes}m{-(-rest_ms // 1000)}s"


def spent_usd(spending: Spending, now_s: float) -> tuple[float, float]:
    """Return what was spent in the last day and in the last 30 days [USD]."""
    at = int(now_s)
    return (
        limits.to_usd(limits.spent(spending.day, limits.DAY, at)),
        limits.to_usd(limits.spent(spending.month, limits.MONTH, at)),
    )
