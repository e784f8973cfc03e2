"""Small made-up sets of recorded outcomes with known answers, for the tests of replay."""

from __future__ import annotations

import gzip
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from openfusion_auto.evals import metrics, replay
from openfusion_auto.evals.dataset import Source

EASY = "Rename the label on the settings page, task"
HARD = "Find the deadlock between the kernel threads, task"


def source(count: int = 60, *, seed: int = 0, name: str = "made") -> Source:
    """Two models: the cheap one solves easy words only, the strong one everything, at ten times the price."""
    rng = np.random.default_rng(seed)
    easy = np.arange(count) % 2 == 0
    cheap = np.where(easy, 1.0, 0.0)
    strong = np.ones(count)
    idle = rng.integers(0, 2, count).astype(float)
    return Source(
        name=name,
        models=("cheap", "idle", "strong"),
        prompts=tuple(f"{EASY if e else HARD} {i}" for i, e in enumerate(easy)),
        groups=tuple(f"g{i // 2}" for i in range(count)),
        score=np.stack([cheap, idle, strong], axis=1),
        usd=np.tile([0.01, 0.12, 0.10], (count, 1)),
        billed=1.0,
        left_out=(),
    )


def lines(made: Source) -> list[str]:
    """The same as lines of a data set."""
    return [
        json.dumps(
            {
                "task_id": f"t{i}",
                "source": made.name,
                "group": made.groups[i],
                "prompt": made.prompts[i],
                "outcomes": {
                    m: {"score": float(made.score[i, j]), "cost_usd": float(made.usd[i, j])}
                    for j, m in enumerate(made.models)
                },
            }
        )
        for i in range(made.size)
    ]


def write(made: Source, path: Path) -> Path:
    """Write a data set, packed when its name says so."""
    text = "\n".join(lines(made)) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def coarsen(patch: pytest.MonkeyPatch) -> None:
    """Let a replay play few settings and draw few samples: for tests that do not judge its figures."""
    patch.setattr(replay, "KNOB", replay.SETTINGS)
    patch.setattr(replay, "RATES", (0.0, 0.1, 10.0))
    patch.setattr(replay, "FRONT_STEPS", 10)
    patch.setattr(metrics, "bootstrap", partial(metrics.bootstrap, resamples=10))
