"""The figures of an evaluation, from its records alone: whoever has the receipt gets the same ones."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from openfusion_auto.core import cost
from openfusion_auto.core.digest import plain
from openfusion_auto.evals.metrics import wilson

Record = Mapping[str, Any]
Json = dict[str, object]
VERDICTS = ("correct", "wrong", "unparsed", "unanswered", "skipped")
# Of Auto against a baseline.
OUTCOMES = ("won", "lost", "tie", "unparsed", "unanswered", "not_judged")
DIGITS = 10


def summary(
    runs: Sequence[Record], grading: Record | None, contenders: Sequence[str], *, dry_run: bool
) -> Json:
    """Return all figures of a receipt.

    Args:
        runs: Its records.
        grading: The pairs that a model judged, or None.
        contenders: Names, in their order.
        dry_run: Answers are made up: no figure of quality is given.
    """
    by_name = {name: [r for r in runs if r["contender"] == name] for name in contenders}
    pairs = [] if grading is None else grading["pairs"]
    return {
        "contenders": [figures(name, of, dry_run=dry_run) for name, of in by_name.items()],
        "routing": routing(by_name.get("auto", [])),
        "pairs": [versus(name, pairs) for name in contenders if name != "auto"] if grading else [],
        "usd": total([*(r["usd"] for r in runs), *([grading["usd"]] if grading else [])]),
        "grading_usd": grading["usd"] if grading else None,
        "passed": passed(runs),
    }


def figures(name: str, runs: Sequence[Record], *, dry_run: bool) -> Json:
    """Return the figures of one contender; money is None when a price is unknown, quality in a dry run."""
    answered = [r for r in runs if r["outcome"] == "ok"]
    verdicts = Counter(r["grade"]["verdict"] for r in runs if r["grade"] is not None)
    correct = verdicts["correct"]
    # What cannot be read, and what did not come, is not right either; what was not judged says nothing.
    of = sum(verdicts.values()) - verdicts["skipped"]
    usd = total([r["usd"] for r in runs])
    checks = [c["ok"] for r in runs for c in r["checks"]]
    interval = wilson(correct, of)
    measured = of > 0 and not dry_run
    times = sorted(r["ms"] for r in answered)
    left_out = sum(r["outcome"] == "not_run" for r in runs)
    return {
        "contender": name,
        "runs": len(runs),
        "answered": len(answered),
        "unanswered": sum(r["outcome"] not in ("ok", "not_run") for r in runs),
        "not_run": left_out,
        "checks": {"passed": sum(checks), "of": len(checks)},
        "grades": {v: verdicts[v] for v in VERDICTS},
        "accuracy": round(correct / of, DIGITS) if measured else None,
        "accuracy_interval": plain(interval) if measured and interval else None,
        "usd": usd,
        "usd_per_run": each(usd, len(runs) - left_out),
        "usd_per_correct": each(usd, correct) if measured else None,
        "ms_p50": percentile(times, 0.5),
        "ms_p95": percentile(times, 0.95),
        "calls": sum(len(r["attempts"]) for r in runs),
        "input_tokens": sum(r["usage"]["input"] for r in runs),
        "output_tokens": sum(r["usage"]["output"] for r in runs),
        "modes": counted(r["mode"] for r in runs),
        "models": counted(r["answered_by"] for r in runs),
    }


def routing(runs: Sequence[Record]) -> Json:
    """Return how differently Auto routed: distinct plans, first picks and modes, and the entropy of picks [bits]."""
    decided = [r["decision"] for r in runs if r["decision"] is not None]
    firsts = Counter(d["plan"]["steps"][0]["candidates"][0] for d in decided if d["plan"]["steps"])
    plans = {tuple((s["phase"], s["candidates"][0]) for s in d["plan"]["steps"]) for d in decided}
    n = sum(firsts.values())
    entropy = -sum(c / n * math.log2(c / n) for c in firsts.values())
    return {
        "decisions": len(decided),
        "distinct_plans": len(plans),
        "distinct_picks": len(firsts),
        "picks": counted(firsts.elements()),
        "pick_entropy_bits": round(abs(entropy), 6),
        "modes": counted(d["mode"] for d in decided),
        "kinds": counted(d["task"]["kind"] for d in decided),
    }


def versus(name: str, pairs: Sequence[Record]) -> Json:
    """Return how Auto did against one baseline; ties and what could not be judged stand beside the share of wins."""
    own = [p for p in pairs if p["against"] == name]
    found = Counter(p["outcome"] for p in own)
    decided = found["won"] + found["lost"]
    said = [r["said"] for p in own for r in p["rounds"] if r["said"] in ("first", "second")]
    interval = wilson(found["won"], decided)
    return {
        "against": name,
        "pairs": len(own),
        **{o: found[o] for o in OUTCOMES},
        "win_share": round(found["won"] / decided, DIGITS) if decided else None,
        "win_interval": plain(interval) if interval else None,
        "first_share": round(said.count("first") / len(said), DIGITS) if said else None,
    }


def passed(runs: Sequence[Record]) -> bool:
    """Whether every request that was made was answered, at least one was, and Auto decided as was expected."""
    return any(r["outcome"] == "ok" for r in runs) and all(
        r["outcome"] in ("ok", "not_run") and all(c["ok"] for c in r["checks"]) for r in runs
    )


def total(parts: Sequence[float | None]) -> float | None:
    """Return a sum of money; None as soon as one part is unknown."""
    return cost.total(list(parts))


def each(usd: float | None, count: int) -> float | None:
    """Return money for each of a count; None when there is none or the money is unknown."""
    return None if usd is None or count == 0 else round(usd / count, DIGITS)


def percentile(rising: Sequence[float], share: float) -> float | None:
    """Return the smallest value that at least that share of the values does not exceed; None of nothing."""
    return rising[max(0, math.ceil(share * len(rising)) - 1)] if rising else None


def counted(names: Any) -> dict[str, int]:  # noqa: ANN401 - any names, None for nobody
    """Return how often each name stands there, by name."""
    found = Counter("nobody" if n is None else str(n) for n in names)
    return dict(sorted(found.items()))
