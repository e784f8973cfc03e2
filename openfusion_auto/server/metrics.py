"""What `GET /metrics` tells: what happened, counted as Prometheus reads it. Names: docs/reference/metrics.md.

Counted once a request, from its finished trace; what is a state (breakers, streams, the store) is read when somebody
asks. A label is a candidate of the pool or a word of ours, never a client's text: the number of series is bounded.
"""

from __future__ import annotations

import platform
from collections import Counter as Counts
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)

from openfusion_auto import __version__
from openfusion_auto.core.own import NONE_OWN, OwnModels
from openfusion_auto.core.types import Breaker, Candidate, Pool
from openfusion_auto.errors import FusionError, UpstreamRejected
from openfusion_auto.runtime.names import known_names
from openfusion_auto.runtime.trace import Attempt, Trace
from openfusion_auto.server.together import Together
from openfusion_auto.store.base import Status

Kind = TypeVar("Kind", bound=MetricWrapperBase)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OTHER = "other"  # a model outside the pool, or a name that nobody knows
NONE = "none"  # the request ended before a mode was chosen
KEPT = "kept"  # it got an answer of the response cache: no call, so its times are no mode's
PHASES = ("closed", "half_open", "open")
# [s] from a refusal at once to the longest call that a default configuration allows (timeouts.total_s).
DURATIONS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 900)
# [s] of first tokens: agents wait for them, so the steps are finer and end sooner.
FIRSTS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 20, 60)


def error_codes(kind: type[FusionError] = FusionError) -> frozenset[str]:
    """Return the codes of our errors. What an upstream calls its own is not among them."""
    own = {kind.default_code} if kind.default_code else set()
    return frozenset(own).union(*(error_codes(k) for k in kind.__subclasses__()))


@dataclass(frozen=True, slots=True)
class Look:
    """Where states are read when somebody asks.

    Attributes:
        pool: The candidates of now.
        breakers: Those that hold something, by candidate.
        streams: How many streams are open.
        store: How the store is.
        refused: Refusals by kind of account and limit.
        config: When the configuration was read [s since 1970], whether it is the newest, and how reading it again went.
        own: The operator's own models.
    """

    pool: Callable[[], Pool]
    breakers: Callable[[], Mapping[str, Breaker]]
    streams: Callable[[], int]
    store: Callable[[], Status]
    refused: Callable[[], Counts[tuple[str, str]]]
    config: Callable[[], tuple[float, bool, Counts[str]]]
    own: Callable[[], OwnModels] = lambda: NONE_OWN


class States:
    """The collector of what is a state."""

    def __init__(self, look: Look) -> None:
        self._look = look

    def collect(self) -> Iterator[Metric]:
        """Read every state."""
        look = self._look
        yield InfoMetricFamily(
            "openfusion_build",
            "The version that runs.",
            {"version": __version__, "python": platform.python_version()},
        )
        breakers = GaugeMetricFamily(
            "openfusion_breaker_state",
            "1 for the state a candidate's breaker is in.",
            labels=("candidate", "state"),
        )
        known = look.breakers()
        for candidate in look.pool().candidates:
            breaker = known.get(candidate.id)
            for phase in PHASES:
                now = breaker.phase if breaker else "closed"
                breakers.add_metric((candidate.id, phase), float(now == phase))
        yield breakers
        yield GaugeMetricFamily(
            "openfusion_streams_in_flight", "Streams that are open to clients.", look.streams()
        )
        kept = look.store()
        yield GaugeMetricFamily(
            "openfusion_store_queue", "Things that wait to be written.", kept.waiting
        )
        yield GaugeMetricFamily(
            "openfusion_store_ok",
            "1 when what is learnt is kept as configured.",
            float(kept.problem is None),
        )
        yield CounterMetricFamily(
            "openfusion_store_dropped", "Things that were not kept.", kept.dropped
        )
        refused = CounterMetricFamily(
            "openfusion_limits_refused",
            "Requests that a limit refused.",
            labels=("account", "limit"),
        )
        for labels, count in look.refused().items():
            refused.add_metric(labels, count)
        yield refused
        yield from configuration(*look.config())


def configuration(at_s: float, newest: bool, reloads: Mapping[str, int]) -> Iterator[Metric]:
    """Tell how the configuration is."""
    yield GaugeMetricFamily(
        "openfusion_config_loaded_timestamp_seconds", "When the configuration was read.", at_s
    )
    yield GaugeMetricFamily(
        "openfusion_config_ok", "1 unless a newer configuration cannot be taken.", float(newest)
    )
    counted = CounterMetricFamily(
        "openfusion_config_reloads", "Configurations read again.", labels=("result",)
    )
    for result in ("ok", "error"):
        counted.add_metric((result,), reloads.get(result, 0))
    yield counted


class Plain(CollectorRegistry):
    """A registry without the series `*_created`, which nobody reads in this format."""

    def collect(self) -> Iterator[Metric]:
        """Give every metric."""
        for metric in super().collect():
            metric.samples = [s for s in metric.samples if not s.name.endswith("_created")]
            yield metric


class Series(Generic[Kind]):
    """The series of one metric, each looked up by its labels once: the library checks them anew every time."""

    def __init__(self, metric: Kind) -> None:
        self._metric = metric
        self._known: dict[tuple[str, ...], Kind] = {}

    def at(self, *labels: str) -> Kind:
        """Return the series of some labels."""
        found = self._known.get(labels)
        if found is None:
            found = self._known[labels] = self._metric.labels(*labels)
        return found


class Metrics:
    """Counts finished traces.

    Attributes:
        registry: All metrics of one server; nothing is registered globally.
    """

    def __init__(self, look: Look, folder: Path | None = None) -> None:
        """Count what `look` does not tell; in `folder` together with other workers."""
        self.registry = Plain()
        self._look = look
        states = States(look)
        self.together = Together(folder, states) if folder is not None else None
        self._codes = error_codes() | {"ok", "cancelled", "error"}
        self._pool: Pool | None = None
        self._ids: frozenset[str] = frozenset()
        self._names: dict[str, str] = {}
        self._requests = self._counter(
            "requests", "Requests that were traced.", "surface", "model", "mode", "outcome"
        )
        self._http = self._counter("http_requests", "Answers over HTTP.", "route", "status")
        self._duration = self._histogram(
            "request_duration_seconds", "Whole requests.", DURATIONS, "surface", "mode"
        )
        self._first = self._histogram(
            "time_to_first_token_seconds",
            "From a streamed request to the first piece of its answer.",
            FIRSTS,
            "surface",
            "mode",
        )
        self._attempts = self._counter(
            "attempts", "Upstream calls.", "candidate", "phase", "status"
        )
        self._call = self._histogram(
            "upstream_latency_seconds", "Whole upstream calls.", DURATIONS, "candidate"
        )
        self._retries = self._counter("retries", "Calls to a candidate once more.", "candidate")
        self._fallbacks = self._counter(
            "fallbacks", "Candidates asked in place of another.", "phase"
        )
        self._tokens = self._counter(
            "tokens", "Tokens; cached ones are not in input.", "candidate", "kind"
        )
        self._usd = self._counter(
            "usd", "What calls cost, as billed or at the pool's prices.", "candidate"
        )
        self._unpriced = self._counter(
            "unpriced_calls", "Calls with tokens whose price is unknown.", "candidate"
        )
        self.registry.register(states)

    def _counter(self, name: str, says: str, *labels: str) -> Series[Counter]:
        return Series(Counter(f"openfusion_{name}", says, labels, registry=self.registry))

    def _histogram(
        self, name: str, says: str, steps: Iterable[float], *labels: str
    ) -> Series[Histogram]:
        return Series(
            Histogram(
                f"openfusion_{name}", says, labels, buckets=tuple(steps), registry=self.registry
            )
        )

    def text(self) -> bytes:
        """Return all metrics in Prometheus's text format; of several workers those of all."""
        if self.together is None:
            return generate_latest(self.registry)
        self.together.publish()
        return generate_latest(self.together.registry(Plain()))

    def answered(self, route: str, status: int) -> None:
        """Count an answer over HTTP; `route` is a pattern of ours."""
        self._http.at(route, str(status)).inc()

    def observe(self, trace: Trace) -> None:
        """Count a finished request."""
        surface = trace.surface or trace.dialect
        mode = KEPT if trace.cached else trace.mode or NONE
        outcome = trace.outcome
        self._requests.at(surface, self._model(trace.requested_model), mode, outcome).inc()
        if trace.ms is not None:
            self._duration.at(surface, mode).observe(trace.ms / 1000)
        first_ms = first_token_ms(trace) if trace.stream else None
        if first_ms is not None:
            self._first.at(surface, mode).observe(first_ms / 1000)
        for call in trace.attempts:
            self._observe_call(call)
        self._observe_repeats(trace)

    def _observe_call(self, call: Attempt) -> None:
        who = self.candidate(call.candidate)
        status = call.error or call.status
        if status not in self._codes:
            status = UpstreamRejected.default_code or "error"
        self._attempts.at(who, call.phase, status).inc()
        if call.ms is not None:
            self._call.at(who).observe(call.ms / 1000)
        used = call.usage
        if used is None:
            return
        kinds = (
            ("input", used.input - used.cached),
            ("cached", used.cached),
            ("output", used.output),
        )
        for kind, count in kinds:
            self._tokens.at(who, kind).inc(max(0, count))
        if call.usd is None:
            self._unpriced.at(who).inc()
        else:
            self._usd.at(who).inc(max(0.0, call.usd))

    def _observe_repeats(self, trace: Trace) -> None:
        """Count retries and fallbacks: in each phase every step has one call, on one candidate; more is either."""
        calls = Counts((a.phase, a.candidate) for a in trace.attempts)
        for (_, candidate), count in calls.items():
            if count > 1:
                self._retries.at(self.candidate(candidate)).inc(count - 1)
        steps = Counts(s.phase for s in trace.decision.plan.steps) if trace.decision else Counts()
        for phase, tried in Counts(phase for phase, _ in calls).items():
            if tried > max(1, steps[phase]):
                self._fallbacks.at(phase).inc(tried - max(1, steps[phase]))

    def _learn(self) -> None:
        """Know the names of the pool that counts now."""
        pool = self._look.pool()
        if pool is self._pool:
            return
        self._pool = pool
        self._ids = frozenset(c.id for c in pool.candidates)
        models: dict[str, list[Candidate]] = {}
        for candidate in pool.candidates:
            models.setdefault(candidate.model, []).append(candidate)
        # A model that several candidates serve is none of them.
        self._names = {m: found[0].id if len(found) == 1 else m for m, found in models.items()}
        self._names |= {name: name for name in known_names(pool, self._look.own())}

    def candidate(self, name: str) -> str:
        """Return a candidate of the pool by id, one word for all others."""
        self._learn()
        return name if name in self._ids else OTHER

    def _model(self, name: str) -> str:
        self._learn()
        return self._names.get(name, OTHER)


def first_token_ms(trace: Trace) -> float | None:
    """Return when the first piece of the answer came [ms since the request]; None when none did, or nobody knows."""
    for call in reversed(trace.attempts):
        if (call.candidate, call.phase) == (trace.answered_by, trace.answered_phase):
            return None if call.ttft_ms is None else call.at_ms + call.ttft_ms
    return None
