"""Decides again what a receipt says was decided, from the receipt alone; or with another pool or policy, and compares.

The receipt holds what a decision is a function of: task, state, policy, and the pool. The text of the request is not
in it, so rules and reader of another configuration are not asked again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from openfusion_auto.core.decide import decide
from openfusion_auto.core.digest import digest, plain
from openfusion_auto.core.explain import decision_json
from openfusion_auto.core.types import Candidate, Policy, Pool, State, Task
from openfusion_auto.core.whatif import difference
from openfusion_auto.evals.seal import differing
from openfusion_auto.store.records import Unreadable, read

Json = dict[str, object]
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Replayed:
    """One decision made again: the digest that is written down, the one that came now, and where they differ."""

    run: int
    case: str
    contender: str
    recorded: str | None
    found: str
    differs: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether it is the same decision, bit for bit."""
        return not self.differs


def pool_of(content: Document) -> Pool:
    """Return the pool that a receipt holds, with the digest of what it holds.

    Raises:
        Unreadable: it is none that this version can read.
    """
    rows = content.get("candidates")
    if not isinstance(rows, list):
        raise Unreadable("no pool")
    candidates = tuple(sorted((read(Candidate, row) for row in rows), key=lambda c: c.id))
    return Pool(candidates, digest({"schema": content.get("schema"), "candidates": candidates}))


def inputs_of(run: Document) -> tuple[Task, State, Policy]:
    """Return what a run's decision was made of.

    Raises:
        Unreadable: it is not there, or none that this version can read.
    """
    inputs = run.get("inputs")
    if not isinstance(inputs, Mapping):
        raise Unreadable("no inputs")
    return (
        read(Task, inputs.get("task")),
        read(State, inputs.get("state")),
        read(Policy, inputs.get("policy")),
    )


def again(run: Document, pool: Pool) -> Json:
    """Return a run's decision, made again, as JSON.

    Raises:
        Unreadable: its inputs cannot be read.
    """
    task, state, policy = inputs_of(run)
    with np.errstate(all="ignore"):  # a stranger's numbers may be any
        made = decision_json(decide(task, pool, state, policy))
    return plain(made)  # type: ignore[return-value] # an object stays one


def replay(document: Document) -> Iterator[Replayed]:
    """Yield every decision of a receipt, made again.

    Raises:
        Unreadable: pool or inputs cannot be read.
    """
    pool = pool_of(document["pool"])
    for index, run in enumerate(document["runs"]):
        if run["decision"] is None:
            continue
        found = again(run, pool)
        places = differing(run["decision"], found, f"/runs/{index}/decision")
        yield Replayed(
            index,
            str(run["case"]),
            str(run["contender"]),
            run["decision"].get("digest"),
            str(found["digest"]),
            tuple(places),
        )


# --- with another pool or policy ------------------------------------------------------------------------------


def changed(document: Document, pool: Pool | None, policy: Policy | None) -> list[Json]:
    """Return for each decision what would differ with another pool or policy; None leaves that as it was.

    Raises:
        Unreadable: pool or inputs cannot be read.
    """
    before = pool_of(document["pool"])
    rows = []
    for run in document["runs"]:
        if run["decision"] is None:
            continue
        task, state, own = inputs_of(run)
        made = decide(task, pool or before, state, policy or own)
        rows.append(
            {
                "case": run["case"],
                "contender": run["contender"],
                **difference(run["decision"], decision_json(made)),
            }
        )
    return rows
