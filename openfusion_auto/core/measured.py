"""What was measured of a candidate beside what the pool says, and what a decision takes of both, as JSON."""

from __future__ import annotations

from openfusion_auto.core import breaker, stats
from openfusion_auto.core.tokens import BYTES_PER_TOKEN
from openfusion_auto.core.types import Breaker, Candidate, Stats


def candidate_row(
    candidate_id: str,
    candidate: Candidate | None,
    known: Stats | None,
    broken: Breaker | None,
    now_s: float,
) -> dict[str, object]:
    """Return what was measured of one candidate; null where nothing was. `now_s` is on the clock of `known` [s]."""
    now = stats.decayed(known, now_s) if known else None
    prior = candidate.performance if candidate else None
    ttft, tps = (prior.ttft_ms_p50, prior.tokens_per_s_p50) if prior else (None, None)
    worked = now.ok / (now.ok + now.failed) if now and now.ok + now.failed > 0 else None
    return {
        "candidate": candidate_id,
        "model": candidate.model if candidate else None,
        "in_pool": candidate is not None,
        "age_s": round(max(0.0, now_s - known.at_s), 3) if known else None,
        "attempts": {"ok": round(now.ok, 3), "failed": round(now.failed, 3)} if now else None,
        "availability": number(
            worked, now.ok + now.failed if now else 0.0, stats.availability(None), stats.availability(now)
        ),
        "ttft_ms": beside_prior(now.ttft_ms if now else 0.0, now.ttft_weight if now else 0.0, ttft),
        "tokens_per_s": beside_prior(now.tokens_per_s if now else 0.0, now.tps_weight if now else 0.0, tps),
        "bytes_per_token": beside_prior(
            now.bytes_per_token if now else 0.0, now.bpt_weight if now else 0.0, BYTES_PER_TOKEN
        ),
        "cache_hit": number(
            now.cache_hit if now and now.cache_weight > 0 else None, now.cache_weight if now else 0.0,
            1.0, stats.confirmed(now) if now else 1.0,
        ),
        "breaker": breaker_row(broken, now_s),
    }  # fmt: skip


def beside_prior(mean: float, weight: float, prior: float | None) -> dict[str, object]:
    """Return a measured mean beside the pool's number, and what a decision takes of both."""
    return number(mean if weight > 0 else None, weight, prior, stats.blend(mean, weight, prior))


def number(
    live: float | None, weight: float, prior: float | None, used: float | None
) -> dict[str, object]:
    """Return a measured number: what was seen, in how many decayed samples, what was expected, what counts."""
    return {
        "live": None if live is None else round(live, 4),
        "weight": round(weight, 3),
        "prior": prior,
        "used": None if used is None else round(used, 4),
    }


def breaker_row(broken: Breaker | None, now_s: float) -> dict[str, object] | None:
    """Return a breaker that holds something."""
    if broken is None:
        return None
    phase = breaker.phase(broken, now_s)
    left_s = round(broken.until_s - now_s, 1) if phase == "open" else 0.0
    return {"phase": phase, "failures": broken.failures, "open_for_s": left_s}
