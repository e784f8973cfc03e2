"""Writes `docs/reference/compat.md`: the probes of `openfusion compat` over ourselves and over other gateways.

    python -m tests.compat.matrix

Installs the newest version of each peer by its name into a temporary folder (`--keep FOLDER` for one that stays),
starts it before a scripted model, probes it and ends it; some minutes, most of them for installing. Not part of the
checks: a test holds our own columns only.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime as dt
import secrets
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from openfusion_auto import __version__
from openfusion_auto.cli.own_gateways import own_gateways
from openfusion_auto.core.prompt import Dialect
from openfusion_auto.evals.compat import matrix
from openfusion_auto.evals.compat.asking import Target
from openfusion_auto.evals.compat.probes import PROBES
from openfusion_auto.evals.compat.run import Column, run
from openfusion_auto.evals.compat.script import MODEL
from openfusion_auto.evals.compat.scripted import Scripted
from tests.compat.peers import ANTHROPIC, OPENAI, PEERS, Peer, serving

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "compat.md"
BEHIND: Mapping[str, frozenset[Dialect]] = {"OpenAI": OPENAI, "Anthropic": ANTHROPIC}
AT_ONCE = 2  # probes, so that a slow gateway is not told from one that is asked for too much


async def own_columns() -> list[Column]:
    """Return what the probes find at our own server."""
    async with own_gateways() as targets:
        return await run(targets)


async def peer_columns(peer: Peer, folder: Path) -> list[Column]:
    """Return what they find at an installed peer, before each kind of model."""
    found: list[Column] = []
    key = f"sk-{secrets.token_hex(32)}"
    for kind, behind in BEHIND.items():
        async with Scripted(behind) as model:
            with contextlib.ExitStack() as stack:
                url = await asyncio.to_thread(
                    stack.enter_context, serving(peer, folder, model.url, behind, key)
                )
                headers = peer.headers(model.url, behind)
                target = Target(
                    f"{peer.name}, {kind} behind",
                    url,
                    MODEL,
                    key if peer.key_env else None,
                    headers,
                    behind,
                )
                found += await run([target], at_once=AT_ONCE)
    return found


def rows_of(page: str) -> dict[str, list[str]]:
    """Return the columns of a page's matrix: name -> cells."""
    part = page.partition("## Matrix\n")[2].partition("\n## ")[0]
    lines = [li for li in part.splitlines() if li.startswith("|") and not li.startswith("| --")]
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines]
    head, *body = cells
    return {name: [row[i] for row in body] for i, name in enumerate(head)}


def written(columns: Sequence[Column], versions: Mapping[str, str], today: str) -> str:
    """Return the page."""
    about = {p.name: p.about for p in PEERS}
    packages = {p.name: p.package for p in PEERS}
    gateways = [
        f"| openfusion | this repository | {versions['openfusion']} | `[[upstreams]]` with one `dialect`, nothing else |"
    ]
    gateways += [
        f"| {n} | {packages[n]} | {v} | {about[n]} |" for n, v in versions.items() if n in packages
    ]
    asks = [f"| {p.group} | {p.name} | {p.about} |" for p in PROBES]
    return PAGE_TEXT.format(
        today=today,
        gateways="\n".join(gateways),
        matrix=matrix.table(PROBES, columns),
        reasons=matrix.reasons(columns),
        asks="\n".join(asks),
    )


PAGE_TEXT = """\
# What gateways make of the three APIs

`openfusion compat` asks the same of every gateway and looks at the answers as a client would. Behind each stands the same scripted
model, on this machine: what it says is known, so what comes out can be held against it. Made by

    python -m tests.compat.matrix

on {today}. Every gateway was the newest that its registry had on that day, installed by name and configured as little as it allows; a
setting that we do not know may turn a FAIL into a pass. Try your own: `openfusion compat --url http://127.0.0.1:4000/v1 --model NAME`.

| Gateway | Package | Version | Set up by |
| --- | --- | --- | --- |
{gateways}

*chat*, *responses* or *messages behind*: the model speaks this API alone. *OpenAI behind*: Chat Completions and Responses. *Anthropic
behind*: Messages.

## Matrix

{matrix}

**pass**: the answer has the form that the API's reference gives it, and says what the model said. **FAIL**: it has another form, or
something else comes than the model said; many a client bears some of it. **not offered**: the gateway refuses it, or there is no such
path. **unknown**: it cannot be told from here.

A gateway that refuses with a 500 what it does not do gets a FAIL: clients try a 500 again.

## Why not

{reasons}

## What is asked

| API | Probe | A pass is |
| --- | --- | --- |
{asks}

With a scripted model, "what the model said" is meant literally: the text, the tokens in and out, and in streams the arguments of a
tool call character for character (they hold odd spaces and escapes, as models write them). Answers with characters beyond ASCII leave
the model in pieces of 1, 3, 5 and 7 bytes.

What departs from a reference and is no more than a habit (an event without a name, usage on the last chunk instead of one behind it) is held against
one probe, *stream* or *usage*, and not against every one that streams. The probes stand in `openfusion_auto/evals/compat/probes.py`, the model in
`openfusion_auto/evals/compat/scripted.py`. `openfusion doctor --wire` asks the same of our own server, and compares bytes where both
sides speak one API.
"""


def main(argv: Sequence[str]) -> int:
    """Make the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--keep", type=Path, help="install into this folder, and use what is there")
    parser.add_argument("--print", action="store_true", help="print the page instead of writing it")
    given = parser.parse_args(argv)
    versions = {"openfusion": __version__}
    columns = asyncio.run(own_columns())
    with tempfile.TemporaryDirectory(prefix="compat-") as temporary:
        base = given.keep or Path(temporary)
        for peer in PEERS:
            folder = base / peer.name.lower()
            folder.mkdir(parents=True, exist_ok=True)
            print(f"{peer.name}: installing {peer.package}", file=sys.stderr)
            versions[peer.name] = peer.install(folder)
            print(f"{peer.name} {versions[peer.name]}: probing", file=sys.stderr)
            columns += asyncio.run(peer_columns(peer, folder))
    page = written(columns, versions, dt.datetime.now(tz=dt.UTC).date().isoformat())
    if given.print:
        print(page)
    else:
        PAGE.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
