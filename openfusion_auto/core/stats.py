"""Live numbers of a candidate: how they are gathered, forgotten, and blended with the pool's priors."""

from __future__ import annotations

from dataclasses import replace

from openfusion_auto.core.types import Stats

# [s] after a quarter of an hour a sample counts half: provider weather changes hourly.
HALF_LIFE_S = 900.0
# Prior for availability, as if 19 of 20 calls had worked (no public data; a mild default).
PRIOR_OK = 19.0
PRIOR_FAILED = 1.0
PRIOR_HITS = 2.0  # predictions of cached tokens that are taken as confirmed
LEAST = 1e-6  # of a sample: less is what rounding leaves of a difference
PRIOR_WEIGHT = 8.0  # samples that a published latency or throughput figure is worth


def share_left(stats: Stats, now_s: float) -> float:
    """Return the share of every weight that is left at `now_s` [s], 0..1."""
    age_s = now_s - stats.at_s
    return 1.0 if age_s <= 0 else 0.5 ** (age_s / HALF_LIFE_S)


def decayed(stats: Stats, now_s: float) -> Stats:
    """Return `stats` with every weight aged to `now_s` [s]."""
    keep = share_left(stats, now_s)
    if keep == 1.0:
        return stats
    return Stats(
        stats.ok * keep,
        stats.failed * keep,
        stats.ttft_ms,
        stats.ttft_weight * keep,
        stats.tokens_per_s,
        stats.tps_weight * keep,
        stats.bytes_per_token,
        stats.bpt_weight * keep,
        now_s,
        stats.cache_hit,
        stats.cache_weight * keep,
    )


def mean_with(mean: float, weight: float, value: float | None) -> tuple[float, float]:
    """Return the weighted mean and weight after one more sample; None is no sample."""
    if value is None:
        return mean, weight
    return (mean * weight + value) / (weight + 1), weight + 1


def succeeded(
    stats: Stats,
    now_s: float,
    *,
    ttft_ms: float | None = None,
    tokens_per_s: float | None = None,
    bytes_per_token: float | None = None,
    cache_hit: float | None = None,
) -> Stats:
    """Add a successful attempt with what was measured in it; None where it could not be."""
    old = decayed(stats, now_s)
    ttft, ttft_weight = mean_with(old.ttft_ms, old.ttft_weight, ttft_ms)
    tps, tps_weight = mean_with(old.tokens_per_s, old.tps_weight, tokens_per_s)
    bpt, bpt_weight = mean_with(old.bytes_per_token, old.bpt_weight, bytes_per_token)
    hit, hit_weight = mean_with(old.cache_hit, old.cache_weight, cache_hit)
    return Stats(
        old.ok + 1, old.failed, ttft, ttft_weight, tps, tps_weight, bpt, bpt_weight,
        max(now_s, old.at_s), hit, hit_weight,
    )  # fmt: skip


def waited(stats: Stats, now_s: float, ttft_ms: float) -> Stats:
    """Add a call that was cut without a first token after `ttft_ms` [ms]: it would have taken at least that."""
    old = decayed(stats, now_s)
    mean, weight = mean_with(old.ttft_ms, old.ttft_weight, ttft_ms)
    return replace(old, ttft_ms=mean, ttft_weight=weight, at_s=max(now_s, old.at_s))


def failed(stats: Stats, now_s: float) -> Stats:
    """Add an attempt that failed by the candidate's or its provider's fault."""
    old = decayed(stats, now_s)
    return replace(old, failed=old.failed + 1, at_s=max(now_s, old.at_s))


def merged(one: Stats, other: Stats) -> Stats:
    """Return what both together saw; the later of their moments counts."""
    return _combined(one, other, 1.0)


def minus(whole: Stats, part: Stats) -> Stats:
    """Return what `whole` saw that `part` did not: `merged` with `part` it is `whole` again."""
    return _combined(whole, part, -1.0)


def _combined(one: Stats, other: Stats, sign: float) -> Stats:
    """Return sums and differences: counts add up, and means by their weights."""
    now_s = max(one.at_s, other.at_s)
    a, b = decayed(one, now_s), decayed(other, now_s)

    def mean(
        first: float, weight: float, second: float, other_weight: float
    ) -> tuple[float, float]:
        total = max(0.0, weight + sign * other_weight)
        if total <= LEAST:
            return 0.0, 0.0
        return max(0.0, first * weight + sign * second * other_weight) / total, total

    ttft, ttft_weight = mean(a.ttft_ms, a.ttft_weight, b.ttft_ms, b.ttft_weight)
    tps, tps_weight = mean(a.tokens_per_s, a.tps_weight, b.tokens_per_s, b.tps_weight)
    bpt, bpt_weight = mean(a.bytes_per_token, a.bpt_weight, b.bytes_per_token, b.bpt_weight)
    hit, hit_weight = mean(a.cache_hit, a.cache_weight, b.cache_hit, b.cache_weight)
    return Stats(
        max(0.0, a.ok + sign * b.ok), max(0.0, a.failed + sign * b.failed), ttft, ttft_weight, tps, tps_weight,
        bpt, bpt_weight, now_s, hit, hit_weight,
    )  # fmt: skip


def confirmed(stats: Stats) -> float:
    """Return which share of predicted cached tokens comes true, 0..1: live on a prior that believes them."""
    share = (stats.cache_hit * stats.cache_weight + PRIOR_HITS) / (stats.cache_weight + PRIOR_HITS)
    return min(1.0, max(0.0, share))


def availability(stats: Stats | None, share: float = 1.0) -> float:
    """Return the expected success rate 0..1: live counts, of which `share` is left, on a mild prior (Beta mean)."""
    ok, bad = (stats.ok * share, stats.failed * share) if stats else (0.0, 0.0)
    return (ok + PRIOR_OK) / (ok + bad + PRIOR_OK + PRIOR_FAILED)


def blend(mean: float, weight: float, prior: float | None) -> float | None:
    """Return the live mean pulled to the prior by sample size; None when neither is known."""
    if prior is None:
        return mean if weight >= 1 else None
    return (mean * weight + prior * PRIOR_WEIGHT) / (weight + PRIOR_WEIGHT)
