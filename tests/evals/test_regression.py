"""Worse than before: below the earlier interval, or a quarter dearer."""

from __future__ import annotations

import pytest

from openfusion_auto.evals.regression import regressions


def document(accuracy=0.8, usd=0.01):
    interval = {"low": 0.6, "high": 0.9}
    figures = {"contender": "auto", "accuracy": accuracy, "accuracy_interval": interval, "usd_per_correct": usd}  # fmt: skip
    return {"summary": {"contenders": [figures]}}


@pytest.mark.parametrize(
    ("accuracy", "usd", "says"),
    [
        (0.8, 0.01, []),
        (0.6, 0.0125, []),
        (0.59, 0.01, ["accuracy is 59.0%"]),
        (0.8, 0.0126, ["a right answer costs 0.012600 USD"]),
        (0.0, None, ["accuracy is 0.0%", "costs an unknown sum"]),
        (None, 0.01, ["was not measured in both"]),
    ],
)
def test_worse_is_told(accuracy, usd, says):
    found = regressions(document(), document(accuracy, usd))
    assert len(found) == len(says)
    assert all(a in b for a, b in zip(says, found, strict=True))
