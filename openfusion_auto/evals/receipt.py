"""A receipt: the records of an evaluation or of one request, with everything that is needed to check them again."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Literal

import numpy as np

from openfusion_auto import __version__
from openfusion_auto.config.load import Settings
from openfusion_auto.config.pool import POOL_SCHEMA
from openfusion_auto.core.digest import digest, plain
from openfusion_auto.core.types import Pool
from openfusion_auto.evals.cases import Case, listing
from openfusion_auto.evals.contenders import Contender
from openfusion_auto.evals.runner import How, Run, recorded
from openfusion_auto.evals.seal import sealed
from openfusion_auto.evals.summary import summary
from openfusion_auto.runtime.trace import Trace

Json = dict[str, object]
Kind = Literal["eval", "comparison", "bench", "request"]

OBJECT = "openfusion.receipt"
RECEIPT_SCHEMA = 1
SERVED = "served"  # the contender and the case of a receipt about one request
DRY_RUN = (
    "DRY RUN: no model was called and every answer is made up. This proves that reading, deciding, calling, booking "
    "and grading work together. It says nothing about quality."
)
REAL = "The models named in the attempts were called. Figures hold for these cases on that day, in their intervals."


@dataclass(frozen=True, slots=True)
class Made:
    """When [s since 1970] and with what a receipt is made; `prev` is the digest of the one before it, or None."""

    at: float
    prev: str | None = None
    openfusion: str = __version__
    python: str = platform.python_version()
    system: str = platform.system()
    numpy: str = np.__version__
    aiohttp: str = ""

    def json(self) -> Json:
        """Return it as it stands in a receipt."""
        return {
            "at": datetime.fromtimestamp(self.at, UTC).isoformat(timespec="seconds"),
            "openfusion": self.openfusion,
            "python": self.python,
            "system": self.system,
            "numpy": self.numpy,
            "aiohttp": self.aiohttp or version("aiohttp"),
        }


@dataclass(frozen=True, slots=True)
class Origin:
    """The configuration behind a receipt, as digests: config, pool and rules. `source` is the name of its file."""

    source: str
    pool: Pool
    config: str
    rules: str
    dry_run: bool


def origin_of(settings: Settings, *, dry_run: bool) -> Origin:
    """Return what a receipt says of a configuration; nothing that it keeps secret goes into the digest."""
    rules = [rule.model_dump(mode="json") for rule in settings.config.rules]
    source = settings.source.name if settings.source else "built-in"
    return Origin(source, settings.pool, digest(settings.public()), digest(rules), dry_run)


def evaluation(
    kind: Kind,
    made: Made,
    origin: Origin,
    cases: Sequence[Case],
    contenders: Sequence[Contender],
    how: How,
    runs: Sequence[Run],
    grading: Json | None,
) -> Json:
    """Return the receipt of an evaluation, sealed."""
    listed: list[Json] = listing(cases)
    names = [c.name for c in contenders]
    settings = {
        "parallel": how.parallel,
        "repeat": how.repeat,
        "max_usd": how.max_usd,
        "excerpt": how.excerpt,
        "code_was_run": how.sandbox is not None,
    }
    records = [r.record for r in runs]
    shown: list[Json] = [
        {"name": c.name, "model": c.model, "what": c.what, "options": dict(c.options)}
        for c in contenders
    ]
    return whole(kind, made, origin, listed, shown, settings, records, grading, names)


def of_request(made: Made, origin: Origin, trace: Trace) -> Json:
    """Return the receipt of one request that was served, sealed. What was asked is not kept, so it has no digest."""
    record: Json = {
        "case": SERVED,
        "contender": SERVED,
        "repeat": 0,
        "request": None,
        "answer": None,
        "tools": [],
        **recorded(trace),
        "checks": [],
        "grade": None,
    }
    shown: Json = {
        "name": SERVED,
        "model": trace.requested_model,
        "what": "one request",
        "options": {},
    }
    return whole("request", made, origin, [], [shown], {}, [record], None, [SERVED])


def whole(
    kind: Kind,
    made: Made,
    origin: Origin,
    cases: Sequence[Json],
    contenders: Sequence[Json],
    settings: Mapping[str, object],
    records: Sequence[Json],
    grading: Json | None,
    names: Sequence[str],
) -> Json:
    """Return a receipt of these parts, sealed."""
    content: Json = {
        "object": OBJECT,
        "schema": RECEIPT_SCHEMA,
        "kind": kind,
        "prev": made.prev,
        "made": made.json(),
        "dry_run": origin.dry_run,
        "statement": statement(dry_run=origin.dry_run),
        "config": {"source": origin.source},
        "digests": {
            "config": origin.config,
            "pool": origin.pool.digest,
            "rules": origin.rules,
            "cases": digest(list(cases)),
        },
        "settings": dict(settings),
        "cases": list(cases),
        "contenders": list(contenders),
        "pool": pool_content(origin.pool),
        "runs": list(records),
        "grading": grading,
    }
    content = plain(content)  # type: ignore[assignment] # an object stays one
    figures = summary(content["runs"], content["grading"], names, dry_run=origin.dry_run)  # type: ignore[arg-type] # JSON as it was made
    return sealed({**content, "summary": plain(figures)})


def pool_content(pool: Pool) -> Json:
    """Return a pool as its digest covers it."""
    return {"schema": POOL_SCHEMA, "candidates": [plain(c) for c in pool.candidates]}


def statement(*, dry_run: bool) -> str:
    """Return what a receipt says of itself."""
    return DRY_RUN if dry_run else REAL


def digest_of(document: Mapping[str, Any]) -> str | None:
    """Return the digest that a receipt carries."""
    found = document.get("digest")
    return found if isinstance(found, str) else None
