"""Live numbers of a candidate as values 0..1: throughput, latency, availability, blended with what is published."""

from __future__ import annotations

from openfusion_auto.core import stats
from openfusion_auto.core.types import Candidate, Performance, Stats

Live = tuple[float | None, str]  # a number, None when nobody knows it, and where it comes from

TTFT_HALF_MS = 2500.0  # [ms] latency value 0.5; a person notices a wait of some seconds
TPS_HALF = 60.0  # [tokens/s] throughput value 0.5
NO_FIGURES = Performance()
UNKNOWN = 0.5  # value of a latency or throughput nobody knows
UNSEEN = round(stats.availability(None), 6)  # of a candidate that has not been called yet


def speed_value(tokens_per_s: float | None) -> float:
    """Return the value of an output rate, 0..1."""
    return UNKNOWN if tokens_per_s is None else tokens_per_s / (tokens_per_s + TPS_HALF)


def wait_value(ttft_ms: float | None) -> float:
    """Return the value of a time to the first token, 0..1."""
    return UNKNOWN if ttft_ms is None else TTFT_HALF_MS / (ttft_ms + TTFT_HALF_MS)


def up_value(share: float) -> float:
    """Return the value of an availability: half of all calls failing is worth nothing."""
    return min(1.0, max(0.0, share * 2 - 1))


def live(known: Stats | None, prior: float | None, what: str) -> Live:
    """Return a live number (`ttft` or `tps`) blended with its prior, and where it comes from."""
    mean, weight = 0.0, 0.0
    if known is not None:
        mean, weight = (
            (known.ttft_ms, known.ttft_weight)
            if what == "ttft"
            else (known.tokens_per_s, known.tps_weight)
        )
    value = blended(mean, weight, prior)
    if value is None:
        return None, "unknown"
    return value, f"live n={weight:.1f}" if weight >= 1 else "pool"


def blended(mean: float, weight: float, prior: float | None) -> float | None:
    """Return a live mean blended with its prior, as it is shown: to three digits."""
    value = stats.blend(mean, weight, prior)
    return None if value is None else round(value, 3)


def live_values(known: Stats, now_s: float, candidate: Candidate) -> tuple[float, float, float]:
    """Return the values of throughput, latency and availability; the terms of `score.py` show the numbers behind."""
    share = stats.share_left(known, now_s)
    prior = candidate.performance or NO_FIGURES
    tps = blended(known.tokens_per_s, known.tps_weight * share, prior.tokens_per_s_p50)
    ttft = blended(known.ttft_ms, known.ttft_weight * share, prior.ttft_ms_p50)
    up = round(stats.availability(known, share), 6)
    return speed_value(tps), wait_value(ttft), up_value(up)
