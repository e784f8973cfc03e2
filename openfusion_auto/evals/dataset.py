"""Recorded outcomes: what many models did on the same tasks, and what it cost. One JSON object a line, plain or gzip.

    {"task_id", "source", "group", "prompt", "outcomes": {model: {"score": 0..1, "cost_usd" | "cost_proxy_usd"}}}

Sources are never mixed: their models, tasks and bills differ. A model of a source that has no cost, or outcomes for
less than `COVERED` of its tasks, is left out, and the report says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from openfusion_auto.errors import ConfigError
from openfusion_auto.evals.jsonl import objects

Matrix = npt.NDArray[np.float64]

MOST = 1e9  # a score or a cost [USD] above is a slip
COVERED = 0.8  # share of a source's tasks that a model must have outcomes for
MIN_TASKS, MIN_MODELS = 20, 2


@dataclass(frozen=True, eq=False)
class Source:
    """One source's tasks (n) and models (m). `score` 0..1 and `usd` are (n, m), NaN where nothing is recorded."""

    name: str
    models: tuple[str, ...]
    prompts: tuple[str, ...]
    groups: tuple[str, ...]
    score: Matrix
    usd: Matrix
    billed: float
    left_out: tuple[str, ...]

    @property
    def size(self) -> int:
        """How many tasks."""
        return len(self.prompts)


@dataclass(slots=True)
class _Row:
    prompt: str
    group: str
    outcomes: dict[str, tuple[float, float, bool]]  # model -> score, usd (NaN unknown), billed


def load(path: Path) -> tuple[Source, ...]:
    """Return the sources of a data set, by name.

    Raises:
        ConfigError: it cannot be read, a line is no task, or no source has enough tasks and models.
    """
    rows: dict[str, list[_Row]] = {}
    for where, task in objects(path):
        source, row = row_of(task, where)
        rows.setdefault(source, []).append(row)
    sources = tuple(s for s in (built(name, rows[name]) for name in sorted(rows)) if s is not None)
    if not sources:
        raise ConfigError(
            f"{path}: no source has {MIN_TASKS} tasks and {MIN_MODELS} models with scores and costs"
        )
    return sources


def row_of(task: Mapping[str, object], where: str) -> tuple[str, _Row]:
    """Return the source of a task, and what is needed of it.

    Raises:
        ConfigError: a field is not what it must be; the message names the place and the field, never the prompt.
    """
    source, prompt = (_text(task, field, where) for field in ("source", "prompt"))
    outcomes = task.get("outcomes")
    if not isinstance(outcomes, dict):
        raise ConfigError(f"{where}: outcomes must be an object")
    found: dict[str, tuple[float, float, bool]] = {}
    for model, outcome in outcomes.items():
        score = number_of(outcome, "score")
        if score is None or not 0 <= score <= 1:
            raise ConfigError(f"{where}: outcomes.{model}.score must be a number from 0 to 1")
        bill = number_of(outcome, "cost_usd")
        usd = number_of(outcome, "cost_proxy_usd") if bill is None else bill
        if usd is not None and usd >= 0:
            found[model] = (score, usd, bill is not None)
    group = task.get("group")
    name = group if isinstance(group, str) else str(task.get("task_id", where))
    return source, _Row(prompt, name, found)


def _text(task: Mapping[str, object], field: str, where: str) -> str:
    value = task.get(field)
    if not isinstance(value, str):
        raise ConfigError(f"{where}: {field} must be a text")
    return value


def number_of(outcome: object, field: str) -> float | None:
    """Return a number of an outcome that can be one, or None."""
    value = outcome.get(field) if isinstance(outcome, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MOST:
        return None
    return float(value)


def built(name: str, rows: list[_Row]) -> Source | None:
    """Return the source of some tasks; None when too little is left."""
    every = sorted({m for r in rows for m in r.outcomes})
    counts = {m: sum(m in r.outcomes for r in rows) for m in every}
    models = tuple(m for m in every if counts[m] >= COVERED * len(rows))
    kept = [r for r in rows if any(m in r.outcomes for m in models)]
    if len(kept) < MIN_TASKS or len(models) < MIN_MODELS:
        return None
    nothing = (math.nan, math.nan, False)
    table = [[r.outcomes.get(m, nothing) for m in models] for r in kept]
    cells = [cell for row in table for cell in row if not math.isnan(cell[0])]
    return Source(
        name=name,
        models=models,
        prompts=tuple(r.prompt for r in kept),
        groups=tuple(r.group for r in kept),
        score=np.array([[c[0] for c in row] for row in table]),
        usd=np.array([[c[1] for c in row] for row in table]),
        billed=round(sum(c[2] for c in cells) / len(cells), 4),
        left_out=tuple(m for m in every if m not in models),
    )


def restricted(source: Source, models: set[str]) -> Source | None:
    """Return a source with these models only; None when fewer than two are left."""
    at = np.flatnonzero([m in models for m in source.models])
    if len(at) < MIN_MODELS:
        return None
    rows = np.flatnonzero(~np.isnan(source.score[:, at]).all(axis=1))
    return replace(
        source,
        models=tuple(source.models[j] for j in at.tolist()),
        prompts=tuple(source.prompts[i] for i in rows.tolist()),
        groups=tuple(source.groups[i] for i in rows.tolist()),
        score=source.score[rows][:, at],
        usd=source.usd[rows][:, at],
        left_out=tuple(sorted({*source.left_out, *source.models} - models)),
    )
