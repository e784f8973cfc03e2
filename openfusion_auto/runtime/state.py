"""Live state of one process: statistics, breakers, session pins. The one place where they change."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import replace
from typing import Any, NamedTuple

from openfusion_auto.core import breaker, stats
from openfusion_auto.core.cost import CACHE_MIN
from openfusion_auto.core.lessons import Tally
from openfusion_auto.core.limits import Spending
from openfusion_auto.core.prompt import Usage
from openfusion_auto.core.types import Breaker, Cached, Candidate, Pin, Pool, State, Stats
from openfusion_auto.errors import FusionError, UpstreamMisfit
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.session import session_hash
from openfusion_auto.store.base import KINDS, AnyLive, LiveStore, Maker
from openfusion_auto.store.memory import MemoryStore, is_forgotten

MAX_SEALS = 100_000  # signatures and encrypted items remembered, by hash
MAX_PINS = 20_000  # sessions remembered; the one unused for longest goes first


MAX_TALLIES = 20_000  # of projects, kinds and candidates; the one that has learned nothing for longest goes first
MAX_CACHES = 4  # candidates of one session whose caches are remembered
MAX_WANTS = 64  # of one candidate; the oldest goes
WANT_S = 3600.0  # [s] a want is held to: models change, and one client's odd request must not bind all for ever


class CacheRule(NamedTuple):
    """How an upstream caches prompts: for so long [s], from so many tokens on."""

    ttl_s: float
    min_tokens: int


class Kept(NamedTuple):
    """What a process starts from."""

    stats: dict[str, Stats]
    breakers: dict[str, Breaker]
    pins: OrderedDict[str, Pin]
    makers: OrderedDict[str, Maker]
    tallies: OrderedDict[str, Tally]


def restore(store: LiveStore, clock: Clock, *, pin_ttl_s: float, max_cache_ttl_s: float) -> Kept:
    """Return what earlier processes left, on this one's clock.

    A wall clock that was set back meanwhile must not make anything last longer than it ever may; a probe that was out
    when its process ended will never come back.
    """
    now, epoch_s = clock.now(), clock.epoch_s()
    pins = (
        (
            name,
            replace(
                pin,
                caches=tuple(
                    k._replace(until_s=min(k.until_s, now + max_cache_ttl_s)) for k in pin.caches
                ),
                expires_s=min(pin.expires_s, now + pin_ttl_s),
            ),
        )
        for name, pin in store.load(Pin, epoch_s)
    )
    return Kept(
        stats={k: replace(s, at_s=min(s.at_s, now)) for k, s in store.load(Stats, epoch_s)},
        breakers={
            k: replace(b, probing=False, until_s=min(b.until_s, now + breaker.MAX_OPEN_S))
            for k, b in store.load(Breaker, epoch_s)
        },
        pins=OrderedDict([(k, p) for k, p in pins if p.expires_s >= now][-MAX_PINS:]),
        makers=OrderedDict(store.load(Maker, epoch_s)[-MAX_SEALS:]),
        tallies=OrderedDict(
            (k, replace(t, at_s=min(t.at_s, now)))
            for k, t in store.load(Tally, epoch_s)[-MAX_TALLIES:]
        ),
    )


def seal_of(opaque: str) -> str:
    """Return the name of something sealed: a hash, so that nothing of it is kept."""
    return hashlib.sha256(opaque.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class LiveState:
    """Mutable, but only here; a decision sees an immutable `State` taken by `snapshot`."""

    def __init__(
        self,
        clock: Clock,
        unready: Mapping[str, str],
        *,
        pin_ttl_s: float,
        cache_ttl_s: float,
        caches: Mapping[str, CacheRule] | None = None,
        store: LiveStore | None = None,
    ) -> None:
        """Start from what `store` kept; every change is given to it, and written behind."""
        self._clock = clock
        self._store: LiveStore = store if store is not None else MemoryStore()
        self.configure(unready, pin_ttl_s=pin_ttl_s, cache_ttl_s=cache_ttl_s, caches=caches)
        longest_s = max(self._cache_ttl.values())
        kept = restore(self._store, clock, pin_ttl_s=pin_ttl_s, max_cache_ttl_s=longest_s)
        self._stats, self._breakers = kept.stats, kept.breakers
        self._pins, self._makers = kept.pins, kept.makers  # by hash of the session, of the seal
        self._tallies = kept.tallies

    def snapshot(self, session: str | None) -> State:
        """Return everything a decision for `session` depends on, read at one moment."""
        now = self._clock.now()
        pin = self._pins.get(session_hash(session)) if session else None
        if pin is not None and now > pin.expires_s:
            pin = None
        return State(
            now,
            dict(self._stats),
            dict(self._breakers),
            pin,
            self._unready,
            self._cache_min,
            self._cache_ttl,
        )

    @property
    def tallies(self) -> Mapping[str, Tally]:
        """What was learned, by `lessons.Key` as a text."""
        return self._tallies

    def now_s(self) -> float:
        """Return the clock's reading [s]."""
        return self._clock.now()

    def keep_tally(self, key: str, tally: Tally) -> None:
        """Keep what was learned; of too much the oldest goes."""
        self._tallies[key] = tally
        self._tallies.move_to_end(key)
        self._store.keep(Tally, key, tally, self._clock.epoch_s())
        while len(self._tallies) > MAX_TALLIES:
            self._tallies.popitem(last=False)

    def lacks(self, session: str, opaque: str | None) -> bool:
        """Whether nothing is known of a session, or nobody knows who made what is sealed."""
        if opaque is not None and seal_of(opaque) not in self._makers:
            return True
        return session_hash(session) not in self._pins

    def bytes_per_token(self, candidate_id: str) -> float | None:
        """Return the measured prompt bytes per input token, once it is known."""
        known = self._stats.get(candidate_id)
        return known.bytes_per_token if known and known.bpt_weight >= 1 else None

    def may_call(self, candidate_id: str) -> bool:
        """Whether the breaker lets a call out now."""
        known = self._breakers.get(candidate_id)
        return known is None or breaker.admits(known, self._clock.now())

    def started(self, candidate_id: str) -> None:
        """A call goes out."""
        known = self._breakers.get(candidate_id)
        if known is not None:
            self._breakers[candidate_id] = breaker.start(known, self._clock.now())

    def succeeded(
        self,
        candidate_id: str,
        *,
        ttft_ms: float | None,
        tokens_per_s: float | None,
        bytes_per_token: float | None,
        cache_hit: float | None = None,
    ) -> None:
        """A call brought an answer."""
        now, epoch_s = self._clock.now(), self._clock.epoch_s()
        before = self._stats.get(candidate_id)
        sample, whole = (
            stats.succeeded(
                known,
                now,
                ttft_ms=ttft_ms,
                tokens_per_s=tokens_per_s,
                bytes_per_token=bytes_per_token,
                cache_hit=cache_hit,
            )
            for known in (Stats(at_s=now), before or Stats(at_s=now))
        )
        self._stats[candidate_id] = whole
        self._store.measure(candidate_id, sample, whole, epoch_s)
        if self._breakers.pop(candidate_id, None) is not None:
            self._store.keep(Breaker, candidate_id, None, epoch_s)

    def failed(self, candidate_id: str, error: FusionError) -> None:
        """A call failed. Not held against the candidate: what the client or the operator did wrong, and a slip of the
        model's in an answer that came.
        """
        slip = isinstance(error, UpstreamMisfit)
        outage = error.scope in ("candidate", "provider") and error.status not in (
            400,
            404,
            413,
            422,
        )
        if slip or not outage:
            self.released(candidate_id)
            return
        now, epoch_s = self._clock.now(), self._clock.epoch_s()
        known = self._stats.get(candidate_id, Stats(at_s=now))
        self._stats[candidate_id] = whole = stats.failed(known, now)
        self._store.measure(candidate_id, stats.failed(Stats(at_s=now), now), whole, epoch_s)
        broken = breaker.fail(self._breakers.get(candidate_id, Breaker()), now)
        self._breakers[candidate_id] = broken
        self._store.keep(Breaker, candidate_id, broken, epoch_s)

    def wants(self, candidate_id: str) -> frozenset[str]:
        """Return how a candidate has wanted requests otherwise of late; see `wire/refused.py`."""
        kept = self._wants.get(candidate_id)
        if kept is None:
            return frozenset()
        now = self._clock.now()
        return frozenset(want for want, until_s in kept.items() if now < until_s)

    def learn_want(self, candidate_id: str, want: str) -> None:
        """Remember how a candidate wants requests otherwise."""
        kept = self._wants.setdefault(candidate_id, {})
        kept.pop(want, None)
        kept[want] = self._clock.now() + WANT_S
        while len(kept) > MAX_WANTS:
            del kept[next(iter(kept))]

    def waited(self, candidate_id: str, ttft_ms: float) -> None:
        """A call was cut for another one, without a first token after so long [ms]."""
        now = self._clock.now()
        known = self._stats.get(candidate_id, Stats(at_s=now))
        self._stats[candidate_id] = whole = stats.waited(known, now, ttft_ms)
        sample = stats.waited(Stats(at_s=now), now, ttft_ms)
        self._store.measure(candidate_id, sample, whole, self._clock.epoch_s())

    def released(self, candidate_id: str) -> None:
        """A call ended without a verdict (the client left)."""
        known = self._breakers.get(candidate_id)
        if known is not None:
            self._breakers[candidate_id] = breaker.release(known)

    def pin(
        self, session: str, candidate: Candidate, usage: Usage | None, *, escalated: bool = False
    ) -> None:
        """Keep the session on the candidate that answered, with what is now warm in its provider's cache.

        The whole prompt and the answer are the next turn's prefix; without a cached rate there is no cache to
        speak of. What earlier candidates of the session have cached is kept, for a way back.
        """
        now = self._clock.now()
        name = session_hash(session)
        old = self._pins.get(name)
        others = [k for k in old.caches if k.candidate != candidate.id] if old else []
        caches = candidate.price is not None and candidate.price.cache_read is not None
        warm = (usage.input + usage.output) if usage and caches else 0
        rule = self._cache_rules.get(candidate.upstream, self._cache_rule)
        if warm >= rule.min_tokens:
            others.append(Cached(candidate.id, warm, now + rule.ttl_s))
        pinned = Pin(
            candidate.id,
            tuple(k for k in others if k.until_s > now)[-MAX_CACHES:],
            (old.turns if old else 0) + 1,
            now + self._pin_ttl_s,
            escalated,
        )
        self._pins[name] = pinned
        self._pins.move_to_end(name)
        self._store.keep(Pin, name, pinned, self._clock.epoch_s())
        while len(self._pins) > MAX_PINS:
            self._pins.popitem(last=False)

    def first_seen(self, opaque: Iterable[str], maker: Candidate) -> None:
        """Tag what is sealed in an answer with who made it; what has a tag keeps it.

        Only answers are tagged. What first shows up in a request may be anybody's (another process answered, this
        one was started anew), and a wrong guess would make every further request of the session a 400.
        """
        for text in opaque:
            seal = seal_of(text)
            if seal not in self._makers:
                made = Maker(maker.upstream, maker.model)
                self._makers[seal] = made
                self._store.keep(Maker, seal, made, self._clock.epoch_s())
        while len(self._makers) > MAX_SEALS:
            self._makers.popitem(last=False)

    def disown(self, opaque: Iterable[str]) -> None:
        """Forget who made what is sealed: the one that did no longer takes it, so it is nobody's."""
        for seal in map(seal_of, opaque):
            if self._makers.pop(seal, None) is not None:
                self._store.keep(Maker, seal, None, self._clock.epoch_s())

    def is_foreign(self, opaque: Iterable[str], candidate: Candidate) -> bool:
        """Whether something sealed was made elsewhere, or nobody knows where."""
        own = (candidate.upstream, candidate.model)
        return any(self._makers.get(seal_of(text)) != own for text in opaque)

    def makers(self, opaque: Iterable[str], pool: Pool) -> tuple[str, ...]:
        """Return the candidates that made the last of `opaque` whose maker is known; () when there is none to go by.

        The last, because a compacted history stands for everything before it, older ones included.
        """
        known = [self._makers.get(seal_of(text)) for text in opaque]
        last = next((maker for maker in reversed(known) if maker is not None), None)
        return tuple(c.id for c in pool.candidates if (c.upstream, c.model) == last)

    def forget(self, candidate_id: str | None, *, is_gone: bool = False) -> None:
        """Forget what was measured and learned of a candidate, or of all (None); `LEARNED`: all that was learned.

        `is_gone`: where others see it too it is gone already, and may have begun anew there.
        """
        known = {*self._stats, *self._breakers}
        for name in (*self._wants,) if candidate_id is None else (candidate_id,):
            self._wants.pop(name, None)
        forgotten: list[tuple[type, MutableMapping[str, Any], str]] = [
            (kind, kept, key)
            for kind, kept in ((Stats, self._stats), (Breaker, self._breakers))
            for key in (known if candidate_id is None else known & {candidate_id})
        ]
        forgotten += [
            (Tally, self._tallies, key)
            for key in self._tallies
            if is_forgotten(KINDS[Tally], key, (candidate_id,))
        ]
        for kind, kept, key in forgotten:
            kept.pop(key, None)
            if not is_gone:
                self._store.keep(kind, key, None, 0.0)

    def adopt(self, kind: type, key: str, value: AnyLive | None) -> AnyLive | None:
        """Take over what another process learnt; returns what is true now, for this process's own file.

        Statistics are what the other saw and this one did not, and are added; of tallies the later counts, of the rest
        the last word.
        """
        match value:
            case None:
                kept: Mapping[type, MutableMapping[str, Any]] = {
                    Stats: self._stats,
                    Breaker: self._breakers,
                    Tally: self._tallies,
                    Maker: self._makers,
                }
                kept.get(kind, {}).pop(key, None)
            case Stats():
                value = self._stats[key] = stats.merged(self._stats.get(key, Stats()), value)
            case Breaker():
                value = self._breakers[key] = replace(value, probing=False)
            case Pin():
                known_pin = self._pins.get(key, value)
                value = self._pins[key] = max(value, known_pin, key=lambda pin: pin.expires_s)
                self._pins.move_to_end(key)
            case Maker():
                self._makers.setdefault(key, value)
            case Tally():
                known = self._tallies.get(key, value)
                value = self._tallies[key] = max(known, value, key=lambda tally: tally.at_s)
                self._tallies.move_to_end(key)
            case Spending():
                pass  # of accounts, which are counted elsewhere
        self._bound()
        return value

    def _bound(self) -> None:
        """Let the oldest go of what is too much."""
        while len(self._pins) > MAX_PINS:
            self._pins.popitem(last=False)
        while len(self._makers) > MAX_SEALS:
            self._makers.popitem(last=False)
        while len(self._tallies) > MAX_TALLIES:
            self._tallies.popitem(last=False)

    def configure(
        self,
        unready: Mapping[str, str],
        *,
        pin_ttl_s: float,
        cache_ttl_s: float,
        caches: Mapping[str, CacheRule] | None = None,
    ) -> None:
        """Go by this configuration from now on; what is known stays, but for what models want: they may be others."""
        # Candidate -> want -> until when [s]; learned anew by each process.
        self._wants: dict[str, dict[str, float]] = {}
        self._unready = dict(unready)
        self._pin_ttl_s = pin_ttl_s
        self._cache_rule = CacheRule(cache_ttl_s, CACHE_MIN)
        self._cache_rules = dict(caches or {})
        self._cache_min = {name: rule.min_tokens for name, rule in self._cache_rules.items()}
        self._cache_ttl = {"": cache_ttl_s}
        self._cache_ttl |= {name: rule.ttl_s for name, rule in self._cache_rules.items()}

    def breakers(self) -> dict[str, Breaker]:
        """Return the breakers that hold something, with their phase of now."""
        now = self._clock.now()
        return {k: replace(b, phase=breaker.phase(b, now)) for k, b in self._breakers.items()}
