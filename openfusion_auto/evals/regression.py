"""Is a later receipt worse than an earlier one of the same tasks? Whoever asks has seen that they are the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Document = Mapping[str, Any]
DEARER = 1.25  # times as much for a right answer counts as worse: list prices alone move by less in a month


def regressions(before: Document, after: Document) -> list[str]:
    """Return in what Auto is worse now, one sentence each; also when the two cannot be compared.

    Accuracy is worse below the earlier 95 % interval: what chance alone brings once in forty times.
    """
    old, new = auto_of(before), auto_of(after)
    if old is None or new is None or old["accuracy"] is None or new["accuracy"] is None:
        return ["accuracy was not measured in both (a dry run, or nothing was graded)"]
    found = []
    low = old["accuracy_interval"]["low"]
    if new["accuracy"] < low:
        found.append(
            f"accuracy is {new['accuracy']:.1%}; it was {old['accuracy']:.1%}, and its interval begins at {low:.1%}"
        )
    paid, pays = old["usd_per_correct"], new["usd_per_correct"]
    if paid is not None and (pays is None or pays > paid * DEARER):
        shown = "an unknown sum" if pays is None else f"{pays:.6f} USD"
        found.append(f"a right answer costs {shown}; it was {paid:.6f} USD")
    return found


def auto_of(document: Document) -> Document | None:
    """Return Auto's figures."""
    return next((f for f in document["summary"]["contenders"] if f["contender"] == "auto"), None)
