"""Golden receipts, one for each mode and each failure: `python -m tests.evals.samples` writes them, a test compares.

Engine, clock, ids, pool and answers are fixed, so the same code gives the same bytes anywhere.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest import mock

from openfusion_auto.core.types import Policy, Preferences
from openfusion_auto.evals import judge, receipt, signing
from openfusion_auto.evals.cases import Case
from openfusion_auto.evals.contenders import contender, contenders
from openfusion_auto.evals.redecide import pool_of
from openfusion_auto.evals.report import markdown
from openfusion_auto.evals.runner import How, run_all
from openfusion_auto.evals.seal import rendered
from openfusion_auto.upstream.reply import Reply
from tests.support.pools import EVEN, FOUR
from tests.support.rig import EPOCH_S, Rig

FOLDER = Path(__file__).resolve().parents[2] / "receipts" / "samples"
POOL = pool_of(receipt.pool_content(FOUR))
EVEN_POOL = pool_of(receipt.pool_content(EVEN))
MADE = receipt.Made(EPOCH_S, None, "0.1.0", "3.11.0", "Linux", "2.0.0", "3.14.0")
KEY = bytes(range(32))  # of the signed sample; a secret to nobody

DAYS = Case.model_validate(
    {
        "id": "days",
        "prompt": "How many days does a leap year have?",
        "grade": {"by": "numeric", "answer": "366"},
    }
)
FIX = Case.model_validate(
    {
        "id": "fix",
        "prompt": "Fix the race in the payment ledger: two writers lose an update.",
        "expect": {"kind": ["bugfix"]},
        "grade": {"by": "contains", "any": ["lock", "transaction"]},
    }
)
VERIFY = Case.model_validate({**FIX.model_dump(by_alias=True), "id": "checked", "mode": "verify"})
PANEL = Case.model_validate({**FIX.model_dump(by_alias=True), "id": "together", "mode": "panel"})


def origin(pool=POOL, *, dry_run=False):
    """What a receipt says of a configuration."""
    digests = (f"sha256:{n * 64}" for n in "ab")
    return receipt.Origin("sample.toml", pool, *digests, dry_run=dry_run)


def answering(body) -> Reply:
    """An upstream that knows: the judge picks, the verifier accepts, the rest answer by what is asked."""
    said = "\n".join(str(m.get("content")) for m in body["messages"])
    if '"winner"' in said:
        first = said.partition("First answer:")[2]
        right = first.find("366") < first.find("365") if "365" in said else None
        winner = {True: "first", False: "second", None: "tie"}[right]
        return Reply(json.dumps({"winner": winner}))
    if "Answer with one JSON object" in said:
        return Reply('{"verdict": "accept", "best": 1, "findings": [], "defect": null}')
    if "leap year" in said:
        return Reply("It has 365." if body["model"] == "vendor/fast-a" else "It has 366.")
    return Reply(f"Take a lock, says {body['model']}.")


def made(
    kind="eval",
    *,
    cases=(DAYS,),
    baselines=(),
    script: Callable | None = answering,
    pool=POOL,
    policy=None,
    grade=False,
    how=None,
    dry_run=False,
):
    """A receipt of an evaluation in memory."""
    rig = Rig(script, pool=pool, policy=policy or Policy())
    rig.engine.dry_run = dry_run
    clock = replace(rig.clock, chance=lambda: 0.5)
    rig.engine.means = replace(rig.engine.means, clock=clock)
    how, who = how or How(), contenders(baselines, pool, {})
    ids = itertools.count(1)

    async def play():
        runs = await run_all(rig.engine, cases, who, how)
        grader = judge.Grader(rig.engine, contender(pool.candidates[-1].id, pool, {}))
        return runs, await judge.compared(grader, runs, 1) if grade else None

    with mock.patch("secrets.token_hex", lambda n: f"{next(ids):0{2 * n}x}"):
        runs, grading = asyncio.run(play())
    return receipt.evaluation(
        kind, MADE, origin(pool, dry_run=dry_run), cases, who, how, runs, grading
    )


def signed():
    """A receipt with a signature by a key that everybody knows."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return signing.signed(made(), Ed25519PrivateKey.from_private_bytes(KEY))


def failing(_body) -> Reply:
    return Reply("busy", status=503)


def falling_back(body) -> Reply:
    """The cheapest two are down."""
    down = body["model"] in ("vendor/fast-a", "vendor/coder-a")
    return failing(body) if down else answering(body)


SAMPLES: dict[str, Callable[[], dict]] = {
    "single": made,
    "verify": lambda: made(cases=(VERIFY,)),
    "panel": lambda: made(cases=(PANEL,), pool=EVEN_POOL),
    "comparison": lambda: made(
        "comparison",
        cases=(DAYS, FIX),
        baselines=("strongest", "fast-a"),
        grade=True,
        policy=Policy(cost_quality=0),
    ),
    "bench": lambda: made("bench", how=How(repeat=3)),
    "dry-run": lambda: made("comparison", baselines=("cheapest",), script=None, dry_run=True),
    "signed": signed,
    "excerpts": lambda: made(how=How(excerpt=80)),
    "failed-fallback": lambda: made(script=falling_back, policy=Policy(cost_quality=10)),
    "failed-upstream": lambda: made(script=failing),
    "failed-nobody": lambda: made(policy=Policy(preferences=Preferences(max_input_price=0.01))),
    "failed-budget": lambda: made(policy=Policy(max_usd=1e-7)),
    "failed-ceiling": lambda: made(cases=(DAYS, FIX), how=How(max_usd=1e-9)),
}


def files() -> dict[str, bytes]:
    """All samples, by the name of their file."""
    found = {}
    for name, make in SAMPLES.items():
        document = make()
        found[f"{name}.json"] = rendered(document)
        found[f"{name}.md"] = markdown(document).encode()
    return found


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.*"):
        old.unlink()
    for name, data in files().items():
        (FOLDER / name).write_bytes(data)
