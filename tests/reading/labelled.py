"""The labelled requests of this folder."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
CORPUS = sorted(HERE.glob("corpus_*.jsonl"))
JUDGE = HERE / "judge.jsonl"


@cache
def labelled(name: str) -> tuple[dict[str, object], ...]:
    """Return the rows of a file, by its name without ending."""
    lines = (HERE / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(json.loads(line) for line in lines)


def asked_of(row: dict[str, object]) -> str:
    """Return the last words of a person."""
    messages = [m for m in row["messages"] if m["role"] == "user"]
    content = messages[-1]["content"]
    return content if isinstance(content, str) else " ".join(p.get("text", "") for p in content)
