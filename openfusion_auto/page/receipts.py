"""`/ui/receipts`: the receipts of the state folder: listed, checked again, and two of them beside each other."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web
from jinja2 import UndefinedError

from openfusion_auto.core.whatif import difference
from openfusion_auto.errors import BadRequest, ConfigError, Forbidden, NotFound
from openfusion_auto.evals.shelf import Kept, Shelf, read_bytes, read_document
from openfusion_auto.evals.verify import BROKEN, Finding, verify
from openfusion_auto.page.render import render
from openfusion_auto.server import traces
from openfusion_auto.server.keys import PAGE

Document = Mapping[str, Any]
PAGE_ROWS = 50
MOST_RUNS = 200  # of a receipt that are shown; the file has all
UNSHOWN = (*BROKEN, UndefinedError)  # what a damaged part comes to in a template


class Row(NamedTuple):
    """One receipt in the list; `findings` is None while it was not checked."""

    number: int
    kind: str
    at: str
    dry_run: bool
    digest: str
    findings: Sequence[Finding] | None


async def page(request: web.Request) -> web.Response:
    """`GET /ui/receipts`: the newest first; `before` a number goes on, `check=1` checks those that are shown."""
    shelf = shelf_of(request)
    before, check = request.query.get("before", ""), request.query.get("check") == "1"
    kept = [k for k in reversed(shelf.kept()) if not before or k.number < number_of(before)]
    some = kept[:PAGE_ROWS]
    rows = await asyncio.to_thread(lambda: [row_of(k, check=check) for k in some])
    chain = await asyncio.to_thread(chain_of, shelf) if check else []
    return render(
        request,
        "receipts.html",
        here="receipts",
        title="Receipts",
        rows=rows,
        chain=chain,
        checked=check,
        older=some[-1].number if len(kept) > PAGE_ROWS else None,
    )


async def one(request: web.Request) -> web.Response:
    """`GET /ui/receipts/{number}`: what it says, and whether that is what was written."""
    path = path_of(request, request.match_info["number"])
    data = await asyncio.to_thread(read_bytes, path)
    findings = await asyncio.to_thread(verify, data)
    document = await asyncio.to_thread(read_document, path)
    view = partial(
        render,
        request,
        "receipt.html",
        here="receipts",
        title=f"Receipt {request.match_info['number']}",
        number=number_of(request.match_info["number"]),
        findings=findings,
    )
    try:
        return view(shown=shown(document))
    except UNSHOWN:
        if not findings:  # then it is the page that is wrong
            raise
        return view(shown=None)


async def diff(request: web.Request) -> web.Response:
    """`GET /ui/receipts/diff`: `of`, twice: the numbers of two receipts."""
    numbers = request.query.getall("of", [])
    if len(numbers) != 2 or numbers[0] == numbers[1]:
        raise BadRequest("Choose two receipts to compare.", param="of")
    paths = [path_of(request, number) for number in sorted(numbers, key=number_of)]
    old, new = [await asyncio.to_thread(read_document, path) for path in paths]
    try:
        pairs = await asyncio.to_thread(compared, old, new)
        return render(
            request,
            "receipt_diff.html",
            here="receipts",
            title="Two receipts",
            numbers=sorted(map(number_of, numbers)),
            sides=[shown(old), shown(new)],
            pairs=pairs,
            same=sum(pair["same"] for pair in pairs),
            others=sum(pair["pick"][0] != pair["pick"][1] for pair in pairs),
        )
    except UNSHOWN:
        raise BadRequest("One of them is damaged; check it first.", param="of") from None


def shelf_of(request: web.Request) -> Shelf:
    """Return the folder of receipts, which is the operator's. Raises `Forbidden` for who sees its own traces alone."""
    if traces.owner(request) is not None:
        raise Forbidden("Receipts are the operator's: sign in with a key of OPENFUSION_API_KEYS.")
    return Shelf(request.app[PAGE].receipts)


def number_of(text: str) -> int:
    """Return the number of a receipt. Raises `NotFound` when it is none."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise NotFound("A receipt has a number.")
    return int(text)


def path_of(request: web.Request, number: str) -> Path:
    """Return the file of a receipt. Raises `NotFound` when there is none of that number."""
    wanted = number_of(number)
    found = [k.path for k in shelf_of(request).kept() if k.number == wanted]
    if not found:
        raise NotFound(f"There is no receipt {wanted}.")
    return found[0]


def chain_of(shelf: Shelf) -> list[Finding]:
    """Return where the chain is broken; a file that cannot be read breaks it."""
    try:
        return shelf.chain()
    except ConfigError as error:
        return [Finding("chain", "file", error.message)]


def row_of(kept: Kept, *, check: bool) -> Row:
    """Return a receipt as a line of the list; one that is damaged has blanks."""
    try:
        document = read_document(kept.path)
        findings = verify(read_bytes(kept.path)) if check else None
    except ConfigError as error:
        return Row(kept.number, "", "", False, "", [Finding("file", kept.path.name, error.message)])
    made = document.get("made")
    at = made.get("at") if isinstance(made, dict) else ""
    dry = document.get("dry_run") is True
    kind, digest = document.get("kind"), document.get("digest")
    return Row(kept.number, str(kind or ""), str(at), dry, str(digest or ""), findings)


class Shown(NamedTuple):
    """What a receipt says, as it is shown."""

    document: Document
    made: Document
    contenders: Sequence[Document]
    runs: Sequence[Document]
    more: int
    usd: float | None


def shown(document: Document) -> Shown | None:
    """Return what a receipt says; None when it is too damaged to be read."""
    try:
        runs = document["runs"]
        what = {c["name"]: c["what"] for c in document["contenders"]}
        figures = [{**f, "what": what[f["contender"]]} for f in document["summary"]["contenders"]]
        names = ("case", "contender", "mode", "answered_by", "outcome", "usd", "ms", "decision")
        rows = [{name: run[name] for name in names} for run in runs[:MOST_RUNS]]
        made = {name: document["made"][name] for name in ("at", "openfusion", "python", "system")}
        total = document["summary"]["usd"]
        return Shown(document, made, figures, rows, max(0, len(runs) - MOST_RUNS), total)
    except BROKEN:
        return None


def compared(old: Document, new: Document) -> list[dict[str, Any]]:
    """Return every decision that both have, by case and contender, with what differs."""
    before = {(run["case"], run["contender"]): run for run in old["runs"]}
    rows = []
    for run in new["runs"]:
        earlier = before.get((run["case"], run["contender"]))
        if earlier is None or earlier["decision"] is None or run["decision"] is None:
            continue
        found = difference(earlier["decision"], run["decision"])
        rows.append(
            {
                "case": run["case"],
                "contender": run["contender"],
                **found,
                "usd": [earlier["usd"], run["usd"]],
                "answered_by": [earlier["answered_by"], run["answered_by"]],
            }
        )
    return rows
