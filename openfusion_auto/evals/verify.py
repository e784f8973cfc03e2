"""Is a receipt what it was when it was made, and does everything in it add up? Every finding says where.

Looked at, in this order: the bytes, the schema, the seals and the digest over them, the signature, the pool and its
digest, every decision (made again from its inputs), the price of every call, the sums, the figures.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from openfusion_auto.core import cost
from openfusion_auto.core.digest import digest, plain
from openfusion_auto.core.prompt import Usage
from openfusion_auto.core.types import Pool
from openfusion_auto.data import data_root
from openfusion_auto.evals import judge, redecide, seal, signing
from openfusion_auto.evals.receipt import OBJECT, RECEIPT_SCHEMA, statement
from openfusion_auto.evals.summary import summary, total
from openfusion_auto.store.records import read
from openfusion_auto.wire.jsons import JsonError, loads

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

Document = Mapping[str, Any]
MOST = 50  # findings that are told; one change can break many sums
BROKEN = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)


class Finding(NamedTuple):
    """What is wrong, and where: a JSON pointer, or line and column of the file. `rule` is a stable code."""

    rule: str
    where: str
    detail: str


def verify(data: bytes, trusted: str | None = None) -> list[Finding]:
    """Return what is wrong with a receipt's file; nothing, when it is whole.

    Args:
        data: The bytes of the file.
        trusted: The public key that must have signed it, base64; None: a signature must only be right.
    """
    try:
        document = plain(loads(data))
        wanted = seal.rendered(document)
    except (JsonError, *BROKEN) as error:
        why = str(error) if isinstance(error, JsonError) else "it cannot be read"
        return [Finding("not_json", "file", why)]
    if not isinstance(document, dict):
        return [Finding("not_a_receipt", "/", "is not a JSON object")]
    known = (document.get("object"), document.get("schema"))
    if known != (OBJECT, RECEIPT_SCHEMA):
        return [Finding("not_a_receipt", "/", f"is not {OBJECT} of schema {RECEIPT_SCHEMA}")]
    found = [
        *form(data, wanted),
        *schema(document),
        *seals(document),
        *signature(document, trusted),
    ]
    try:
        found += contents(document)
    except BROKEN:
        found.append(Finding("unreadable", "/", "its parts are not what a receipt's are"))
    return list(dict.fromkeys(found))[:MOST]


def form(data: bytes, wanted: bytes) -> Iterator[Finding]:
    """Yield where the bytes are not the ones that this document is written as."""
    place = seal.first_difference(data, wanted)
    if place is not None:
        yield Finding("form", place, "the bytes are not as they were written")


def schema(document: Document) -> Iterator[Finding]:
    """Yield where the document is not valid by its JSON Schema."""
    for error in validator().iter_errors(document):
        where = "/" + "/".join(seal.escaped(str(p)) for p in error.absolute_path)
        yield Finding("schema", where, f"breaks {error.validator}")


@lru_cache(maxsize=1)
def validator() -> Validator:
    """Return what checks a document against the schema of receipts."""
    from jsonschema import Draft202012Validator  # takes 0.2 s to import

    path = data_root() / "receipts" / "schemas" / "receipt.schema.json"
    return Draft202012Validator(json.loads(path.read_text(encoding="utf-8")))


def seals(document: Document) -> Iterator[Finding]:
    """Yield the parts that are not what was sealed."""
    for place in seal.broken_seals(document):
        yield Finding("seal", place or "/", "is not what was sealed")
    if document.get("digest") != digest(document.get("seals")):
        yield Finding("digest", "/digest", "is not the digest of the seals")


def signature(document: Document, trusted: str | None) -> Iterator[Finding]:
    """Yield what is wrong with the signature."""
    problem = signing.problem(document, trusted)
    if problem is not None:
        yield Finding("signature", "/signature", problem)


def contents(document: Document) -> Iterator[Finding]:
    """Yield what does not follow from the rest: statement, digests, decisions, money, figures."""
    if document["statement"] != statement(dry_run=document["dry_run"]):
        yield Finding("statement", "/statement", "is not what such a receipt says")
    if document["digests"]["cases"] != digest(document["cases"]):
        yield Finding("digest", "/digests/cases", "is not the digest of the cases")
    pool = redecide.pool_of(document["pool"])
    if pool.digest != document["digests"]["pool"]:
        yield Finding("digest", "/digests/pool", "is not the digest of the pool that is there")
    for index, run in enumerate(document["runs"]):
        here = f"/runs/{index}"
        yield from decision(run, pool, here)
        yield from money(run, pool, here, dry=document["dry_run"])
    grading = document["grading"]
    if grading is not None:
        yield from grades(grading, pool, dry=document["dry_run"])
    names = [c["name"] for c in document["contenders"]]
    made = summary(document["runs"], grading, names, dry_run=document["dry_run"])
    for place in seal.differing(document["summary"], plain(made), "/summary"):
        yield Finding("summary", place, "is not what the records come to")


def decision(run: Document, pool: Pool, here: str) -> Iterator[Finding]:
    """Yield where a decision is not the one that its inputs lead to."""
    if run["decision"] is None:
        return
    found = redecide.again(run, pool)
    for place in seal.differing(run["decision"], found, f"{here}/decision"):
        yield Finding("decision", place, "is not what is decided from the inputs")


def money(run: Document, pool: Pool, here: str, *, dry: bool) -> Iterator[Finding]:
    """Yield where a call's price or the sum over calls is wrong.

    What an upstream searched is billed beside the tokens that a receipt holds: such a call may be unknown or dearer.
    """
    used = Usage()
    task = ((run.get("inputs") or {}).get("task")) or {}
    apart = bool(task.get("options", {}).get("searching") or task.get("needs", {}).get("web"))
    for index, attempt in enumerate(run["attempts"]):
        usage = None if attempt["usage"] is None else read(Usage, attempt["usage"])
        candidate = pool.get(attempt["candidate"])
        price = candidate.price if candidate else None
        usd = None if usage is None or price is None else 0 if dry else cost.usd(price, usage)
        usd = usd and cost.times(usd, attempt.get("times", 1.0))
        # Nothing here says what was billed, by whom it was.
        apart_too = apart or (attempt.get("billed", False) and not dry)
        if plain(usd) != attempt["usd"] and not apart_too:
            yield Finding("money", f"{here}/attempts/{index}/usd", f"comes to {usd}")
        used += usage or Usage()
    if used != read(Usage, run["usage"]):
        yield Finding("money", f"{here}/usage", "is not the sum of the attempts")
    spent = total([a["usd"] for a in run["attempts"] if a["usage"] is not None])
    if plain(spent) != run["usd"]:
        yield Finding("money", f"{here}/usd", f"the attempts come to {spent}")


def grades(grading: Document, pool: Pool, *, dry: bool) -> Iterator[Finding]:
    """Yield where a judged pair is not what its rounds come to."""
    for index, pair in enumerate(grading["pairs"]):
        here = f"/grading/pairs/{index}"
        for number, judged in enumerate(pair["rounds"]):
            yield from money(judged, pool, f"{here}/rounds/{number}", dry=dry)
        made = judge.outcome(pair["rounds"]) if pair["rounds"] else "unanswered or not_judged"
        if pair["outcome"] not in made.split(" or "):
            yield Finding("grading", f"{here}/outcome", f"the rounds come to {made}")
        if plain(total([r["usd"] for r in pair["rounds"]])) != pair["usd"]:
            yield Finding("money", f"{here}/usd", "is not the sum of the rounds")
    if plain(total([p["usd"] for p in grading["pairs"]])) != grading["usd"]:
        yield Finding("money", "/grading/usd", "is not the sum of the pairs")
