"""`openfusion receipt`: list, show, check, replay and sign receipts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openfusion_auto.cli import complete, evaluate, output
from openfusion_auto.cli.common import config_option, json_option, load_settings

if TYPE_CHECKING:
    from openfusion_auto.evals.shelf import Shelf
    from openfusion_auto.evals.verify import Finding

Document = Mapping[str, Any]
FILE = "FILE"  # a path, a number, the beginning of a digest, or `last`


NONE_YET = "no receipts yet; openfusion compare --dry-run writes one"


@click.group()
def command() -> None:
    """Show, check and replay receipts.

    Receipts are written by `eval`, `compare`, `bench` and `receipt make`. FILE is a path, or one of the state
    folder's: its number, the beginning of its digest, or `last`.
    """


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the receipts of the state folder."""
    from openfusion_auto.evals.shelf import read_document

    rows = []
    for number, path in shelf().kept():
        found = read_document(path)
        made = found.get("made")
        rows.append(
            {
                "number": number,
                "kind": found.get("kind"),
                "at": made.get("at") if isinstance(made, dict) else None,
                "dry_run": found.get("dry_run"),
                "digest": found.get("digest"),
                "file": str(path),
            }
        )
    if as_json:
        output.data({"object": "list", "data": rows})
        return
    for row in rows:
        dry = "dry run" if row["dry_run"] else "real"
        mark = output.text_of(row, "digest")[:19]
        output.emit(
            f"{row['number']:>6}  {output.text_of(row, 'at'):<25}  {output.text_of(row, 'kind'):<10}  {dry:<7}  {mark}"
        )
    if not rows:
        output.emit(NONE_YET)


@command.command()
@click.argument("file", metavar=FILE, shell_complete=complete.receipts)
@json_option
def show(file: str, as_json: bool) -> None:
    """Print a receipt as Markdown, or with --json as it is. Does not check it."""
    from openfusion_auto.evals.shelf import read_bytes

    path = shelf().find(file)
    if as_json:
        output.emit(read_bytes(path).decode("utf-8", "replace"), newline=False)
        return
    try:
        evaluate.show(document_of(path))
    except (KeyError, TypeError, AttributeError, ValueError):
        raise output.Failure(
            f"{path}: is not a receipt that can be shown; see it with --json"
        ) from None


@command.command()
@click.argument("file", metavar=f"[{FILE}]", required=False, shell_complete=complete.receipts)
@json_option
@click.option("--key", metavar="PUBLIC", help="The public key (base64) that must have signed it.")
def verify(file: str | None, as_json: bool, key: str | None) -> None:
    """Recompute every digest, decision and sum of a receipt.

    Without FILE all receipts of the state folder, and whether each names the one before it. Says where something is
    not as it was written. Exit code 1 then.
    """
    from openfusion_auto.evals.shelf import read_bytes
    from openfusion_auto.evals.verify import verify as check

    own = shelf()
    paths = [own.find(file)] if file is not None else [k.path for k in own.kept()]
    if not paths and not as_json:
        output.emit(NONE_YET)
        return
    found = {str(path): check(read_bytes(path), key) for path in paths}
    if file is None:
        found["chain"] = own.chain()
    report(found, as_json=as_json)
    if any(found.values()):
        raise click.exceptions.Exit(1)


@command.command()
@click.argument("file", metavar=FILE, shell_complete=complete.receipts)
@json_option
@click.option("--pool", metavar="FILE", help="With this pool instead: a file, or a shipped one.")
@click.option("--config", type=click.Path(path_type=Path), metavar="PATH",
              help="With the pool and the policy of this configuration instead.")  # fmt: skip
def replay(file: str, as_json: bool, pool: str | None, config: Path | None) -> None:
    """Make every decision of a receipt again, from the receipt alone.

    Exit code 1 when one is not the same, bit for bit. With --pool or --config: what would differ, term by term. The
    text of requests is not in a receipt, so rules of another configuration are not applied.
    """
    path = shelf().find(file)
    document = document_of(path)
    try:
        if pool is None and config is None:
            same(document, as_json=as_json)
        else:
            other(document, pool, config, as_json=as_json)
    except (LookupError, TypeError, AttributeError, ArithmeticError, ValueError):
        raise output.Failure(
            f"{path}: is not a receipt that can be replayed; see receipt verify"
        ) from None


@command.command(short_help="Make a receipt of a request, by its trace.")
@click.argument("trace_id", metavar="TRACE", shell_complete=complete.traces)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write it there."
)
@json_option
@config_option
def make(trace_id: str, out: Path | None, as_json: bool, config: Path | None) -> None:
    """Make a receipt of a request that was served, by the id of its trace.

    It must be in the store, and the pool must be the one that it was decided with.
    """
    from openfusion_auto.cli import receipt_of

    path = receipt_of.make(trace_id, out, load_settings(config))
    if as_json:
        output.data({"file": str(path), "digest": document_of(path).get("digest")})
    output.note(f"receipt: {path}")


@command.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), metavar=FILE)
@json_option
def key(file: Path, as_json: bool) -> None:
    """Make a private key for signing, and print its public key."""
    from openfusion_auto.evals.signing import create_key

    public = create_key(file.expanduser())
    if as_json:
        output.data({"file": str(file), "public_key": public})
    else:
        output.emit(public)


@command.command()
@click.argument("file", metavar=FILE, shell_complete=complete.receipts)
@click.argument("key_file", type=click.Path(path_type=Path, dir_okay=False), metavar="KEY")
@json_option
def sign(file: str, key_file: Path, as_json: bool) -> None:
    """Sign a receipt that is whole, in its file."""
    from openfusion_auto.config import private
    from openfusion_auto.evals.seal import rendered
    from openfusion_auto.evals.shelf import read_bytes
    from openfusion_auto.evals.signing import load_key, signed
    from openfusion_auto.evals.verify import verify as check

    path = shelf().find(file)
    if check(read_bytes(path)):
        raise output.Failure(f"{path}: is not whole, and is not signed; see receipt verify")
    document = signed(document_of(path), load_key(key_file.expanduser()))
    private.write(path, rendered(document))
    if as_json:
        output.data({"file": str(path), "signature": document["signature"]})
    output.note(f"signed: {path}")


def shelf() -> Shelf:
    """Return the receipts of the state folder."""
    from openfusion_auto.config.paths import state_path
    from openfusion_auto.evals.shelf import FOLDER, Shelf

    return Shelf(state_path(os.environ) / FOLDER)


def document_of(path: Path) -> Document:
    """Return what a file says.

    Raises:
        ConfigError: it cannot be read.
    """
    from openfusion_auto.evals.shelf import read_document

    return read_document(path)


def report(found: Mapping[str, list[Finding]], *, as_json: bool) -> None:
    """Print what was found in each file."""
    if as_json:
        files = [
            {"file": name, "ok": not rows, "findings": [r._asdict() for r in rows]}
            for name, rows in found.items()
        ]
        output.data(
            {"object": "openfusion.verification", "ok": not any(found.values()), "files": files}
        )
        return
    for name, rows in found.items():
        output.emit(f"{name}: {'whole' if not rows else output.many(len(rows), 'finding')}")
        for row in rows:
            output.emit(f"  {row.rule:<10} {row.where}: {row.detail}")


def same(document: Document, *, as_json: bool) -> None:
    """Print whether each decision is what it was; ends with 1 when one is not."""
    from dataclasses import asdict

    from openfusion_auto import __version__
    from openfusion_auto.evals.redecide import replay as again

    rows = list(again(document))
    if as_json:
        shown = [{**asdict(r), "same": r.same} for r in rows]
        output.data({"object": "openfusion.receipt_replay", "decisions": shown})
    else:
        for row in rows:
            output.emit(
                f"{'same   ' if row.same else 'DIFFERS'}  {row.case}  {row.contender}  {row.found}"
            )
            for place in row.differs:
                output.emit(f"         {place}")
        output.emit(
            f"{sum(r.same for r in rows)} of {len(rows)} decisions are the same, bit for bit"
        )
    if not all(r.same for r in rows):
        made = document["made"]["openfusion"]
        if made != __version__:
            output.problem(
                f"the receipt is of version {made}, this is {__version__}: it may decide otherwise"
            )
        raise click.exceptions.Exit(1)


def other(document: Document, pool: str | None, config: Path | None, *, as_json: bool) -> None:
    """Print what would differ with another pool or configuration."""
    from openfusion_auto.cli.pool_common import choose
    from openfusion_auto.evals.redecide import changed

    settings = load_settings(config) if config is not None else None
    chosen = choose(pool, None).pool if pool is not None else None
    if settings is not None and chosen is None:
        chosen = settings.pool
    rows = changed(document, chosen, settings.policy if settings else None)
    if as_json:
        output.data({"object": "openfusion.receipt_difference", "decisions": rows})
        return
    for row in rows:
        for line in told(row):
            output.emit(line)
    output.emit(f"{sum(not r['same'] for r in rows)} of {len(rows)} decisions would differ")


def told(row: Document) -> list[str]:
    """Return one decision's differences, for people."""
    lines = [f"{row['case']}  {row['contender']}: {'the same' if row['same'] else 'differs'}"]
    lines += [
        f"  {name}: {row[name][0]} -> {row[name][1]}"
        for name in ("pick", "mode", "expected_usd", "worst_case_usd")
        if row[name][0] != row[name][1]
    ]
    for found in row["candidates"]:
        before, after = found["total"]
        place = "ranked {} -> {}".format(*(r or "out" for r in found["rank"]))
        lines.append(f"  {found['candidate']}: {place}, total {points(before)} -> {points(after)}")
        if found["rejected"][0] != found["rejected"][1]:
            lines.append(
                "    rejected by: {} -> {}".format(*(r or "none" for r in found["rejected"]))
            )
        lines += [
            f"    {t['name']}: {points(t['points'][0])} -> {points(t['points'][1])} points "
            f"(value {points(t['value'][0])} -> {points(t['value'][1])}, "
            f"weight {points(t['weight'][0])} -> {points(t['weight'][1])})"
            for t in found["terms"]
        ]
    return lines


def points(value: float | None) -> str:
    """Return a figure of a term."""
    return "none" if value is None else f"{value:.4f}"
