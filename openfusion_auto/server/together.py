"""Metrics of several workers as one: each scrape tells the sum, whichever worker it comes to.

The workers count in files of one folder that their parent makes (the way of the Prometheus library,
`PROMETHEUS_MULTIPROC_DIR`), so that what a worker counted is not lost with it. What is a state is put there by each
worker once a second, and goes when its process does.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.metrics_core import InfoMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

Mode = Literal["livesum", "livemin", "livemostrecent"]
# States that are no sum over the workers: of those that are good or bad the worst, of those that all share the newest.
MODES: dict[str, Mode] = {
    "openfusion_breaker_state": "livemostrecent",
    "openfusion_store_ok": "livemin",
    "openfusion_config_ok": "livemin",
    "openfusion_config_loaded_timestamp_seconds": "livemin",
}


class Together:
    """This worker's part of the states, and all workers' metrics.

    Args:
        folder: Where the workers count.
        states: Tells this worker's states.
    """

    def __init__(self, folder: Path, states: Collector) -> None:
        self._folder, self._states = folder, states
        self._gauges: dict[str, Gauge] = {}
        self._counters: dict[str, Counter] = {}
        self._counted: dict[tuple[str, tuple[str, ...]], float] = {}
        self._here = Gauge(
            "openfusion_workers",
            "Processes that serve.",
            registry=None,
            multiprocess_mode="livesum",
        )
        self._restarts = Counter(
            "openfusion_worker_restarts", "Workers that died and were started again.", registry=None
        )

    def own(self) -> Iterator[Metric]:
        """Return what only several workers tell."""
        for metric in (*self._here.collect(), *self._restarts.collect()):
            metric.samples = [s for s in metric.samples if not s.name.endswith("_created")]
            yield metric

    def restarted(self) -> None:
        """Count that this process took the place of a worker that died."""
        self._restarts.inc()

    def registry(self, registry: CollectorRegistry) -> CollectorRegistry:
        """Return a registry with what all workers tell."""
        MultiProcessCollector(registry, str(self._folder))  # type: ignore[no-untyped-call] # the library's
        registry.register(Build(self._states))
        return registry

    def publish(self) -> None:
        """Put this worker's states where all see them."""
        self._here.set(1)
        for metric in self._states.collect():
            if metric.type == "gauge":
                self._set(metric)
            elif metric.type == "counter":
                self._count(metric)

    def _set(self, metric: Metric) -> None:
        for sample in metric.samples:
            gauge = self._gauges.get(metric.name)
            if gauge is None:
                gauge = self._gauges[metric.name] = Gauge(
                    metric.name,
                    metric.documentation,
                    tuple(sample.labels),
                    registry=None,
                    multiprocess_mode=MODES.get(metric.name, "livesum"),
                )
            (gauge.labels(**sample.labels) if sample.labels else gauge).set(sample.value)

    def _count(self, metric: Metric) -> None:
        for sample in metric.samples:
            counter = self._counters.get(metric.name)
            if counter is None:
                counter = self._counters[metric.name] = Counter(
                    metric.name, metric.documentation, tuple(sample.labels), registry=None
                )
            name = (metric.name, tuple(sample.labels.values()))
            more = sample.value - self._counted.get(name, 0.0)
            self._counted[name] = sample.value
            (counter.labels(**sample.labels) if sample.labels else counter).inc(max(0.0, more))


class Build:
    """The collector of what is the same in every worker: which version runs."""

    def __init__(self, states: Collector) -> None:
        self._states = states

    def collect(self) -> Iterator[Metric]:
        """Give it."""
        return (m for m in self._states.collect() if isinstance(m, InfoMetricFamily))
