"""Every agent, in every variant, with every script, through the router, over upstreams that speak one dialect each.

    python -m tests.agents.matrix --install                                  installs the agents first
    python -m tests.agents.matrix --follow-up --write docs/reference/clients.md

The agents stand under $OPENFUSION_TEST_AGENTS. For each dialect one upstream and one router run, side by side.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import openfusion_auto
from tests.agents.agents import AGAIN, PREFIX, TASK, Agent, install, variants
from tests.agents.more import everyone
from tests.agents.play import SCRIPTS
from tests.agents.say import DIALECTS
from tests.agents.session import environment, judge, judge_again, place, run
from tests.agents.upstream import ScriptedUpstream

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """\
[[upstreams]]
name = "relay"
base_url = "{url}"
api_key_env = "AGENTS_UPSTREAM_KEY"
dialect = "{dialect}"

[pool]
file = "pool.toml"
"""
CANDIDATE = """\
[[candidates]]
id = "{id}"
upstream = "relay"
model = "vendor/{id}"
roles = ["coder"]
price_usd_per_mtok = {{ input = {price}, output = 2.0, source = "made up", as_of = "2026-11-01" }}
context_tokens = 200000
max_output_tokens = 32000
offers = ["tools", "vision", "reasoning", "json_schema"]
"""
POOL = "schema = 1\n\n" + "\n".join(
    CANDIDATE.format(id=i, price=p) for i, p in (("coder-a", 0.5), ("coder-b", 0.6))
)


class Cell(NamedTuple):
    """One run: which agent, script and upstream."""

    agent: Agent
    script: str
    dialect: str


@dataclass(frozen=True)
class Stack:
    """An upstream of one dialect with a router before it, at `url` (without `/v1`)."""

    upstream: ScriptedUpstream
    url: str


@contextlib.contextmanager
def stack(dialect: str) -> Iterator[Stack]:
    """Run an upstream that speaks one dialect alone, and `serve` before it, on free ports."""
    with (
        tempfile.TemporaryDirectory(prefix="openfusion-router-") as name,
        ScriptedUpstream(dialect) as upstream,
    ):
        folder = Path(name)
        config = folder / "openfusion.toml"
        config.write_text(CONFIG.format(url=upstream.url, dialect=dialect), encoding="utf-8")
        (folder / "pool.toml").write_text(POOL, encoding="utf-8")
        own = {"AGENTS_UPSTREAM_KEY": "sk-upstream", "OPENFUSION_STATE_DIR": str(folder / "state")}
        serve = ["serve", "--json", "--port", "0", "--config", str(config)]
        with (folder / "complaints").open("w+", encoding="utf-8") as complaints:
            process = subprocess.Popen(
                [sys.executable, "-m", "openfusion_auto", *serve],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), **own},
                stdout=subprocess.PIPE,
                stderr=complaints,
                text=True,
            )
            try:
                yield Stack(upstream, address_of(process, folder / "complaints"))
            finally:
                process.terminate()
                process.communicate(timeout=20)


def address_of(process: subprocess.Popen[str], complaints: Path) -> str:
    """Wait for the router to say where it listens.

    Raises:
        RuntimeError: It ended instead.
    """
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise RuntimeError(f"the router did not start: {complaints.read_text()[-2000:]}")
    return str(json.loads(line)["url"])


def play(cell: Cell, prefix: Path, at: Stack, *, follow_up: bool) -> str:
    """Run one cell; return what is wrong, with the end of what the agent printed, or nothing."""
    agent, script = cell.agent, cell.script
    at.upstream.forget()
    with place(prefix, at.url) as here:
        env = environment(here, agent.settle(here))
        ended = run(agent.command(here, f"{TASK} [[script:{script}]]", again=False), here, env)
        wrong = judge(agent, script, here.repo, ended, at.upstream.journal)
        if not wrong and follow_up and agent.resumes:
            at.upstream.forget()
            ended = run(agent.command(here, AGAIN, again=True), here, env)
            wrong = judge_again(ended, at.upstream.journal)
    return f"{wrong}\n{ended.output[-1500:]}" if wrong else ""


def cells(agents: Sequence[Agent], scripts: Sequence[str], dialects: Sequence[str]) -> list[Cell]:
    """Return what is to be run."""
    return [Cell(a, s, d) for a in agents for s in a.scripts if s in scripts for d in dialects]


def run_all(todo: Sequence[Cell], prefix: Path, *, follow_up: bool) -> dict[Cell, str]:
    """Run cells, the dialects side by side; return what was wrong with each, empty for a pass."""

    def one_dialect(dialect: str) -> dict[Cell, str]:
        found = {}
        with stack(dialect) as at:
            for cell in (c for c in todo if c.dialect == dialect):
                found[cell] = play(cell, prefix, at, follow_up=follow_up)
                head = f"{cell.agent.label:<30} {cell.script:<9} {dialect:<10}"
                print(f"{head} {found[cell] or 'pass'}", flush=True)
        return found

    dialects = sorted({c.dialect for c in todo})
    with ThreadPoolExecutor(max(1, len(dialects))) as pool:
        return {c: wrong for part in pool.map(one_dialect, dialects) for c, wrong in part.items()}


# -- the page ---------------------------------------------------------------------------------------------------------

PAGE = """\
# Coding agents

The programs themselves, as npm and PyPI have them, were run headless through the router, each in an empty home and a fresh
repository. The upstream is scripted and speaks one dialect alone; anything else is a 404 there. Made by

    python -m tests.agents.matrix {flags}--write docs/reference/clients.md

on {date} with openfusion_auto {version}: **{passed} of {total} passed**.

| Agent | Package | Version |
|---|---|---|
{versions}

## Matrix

{table}

## What a pass is

The task: make `hello.py` so that running it prints 42, then say DONE. A run passes when the program prints 42, the agent ends with
exit code 0 and shows DONE, and the upstream was asked for exactly the turns of the script: nothing refused, nothing
repeated.{follow_up}

| Script | What the model does |
|---|---|
| `simple` | writes the file with the agent's own tool, says DONE |
| `deep` | lists the folder, writes the file, runs it, says DONE: three turns with tools |
| `parallel` | lists the folder and writes the file in one turn, says DONE |
| `reason` | as `simple`, each turn with reasoning before it |

Aider has no tools: it gets an edit in its format, so only `simple` and `reason` differ. Codex with a catalog offers `apply_patch`, a tool
that takes free text; without one it has a shell. OpenCode's variants are the libraries it can speak with, one for each dialect. The router
runs with two candidates and the mode `auto`.

The prefix with the agents is named by `OPENFUSION_TEST_AGENTS`; `--install` fills it. `pytest -m clients tests/agents` plays a short form,
which CI runs too.
"""
FOLLOW_UP = """ Then the same session is
resumed with a second prompt: one answer, over a history that holds the first."""


MORE = "\n## More agents\n"
SECTION = """
Beyond the short form, run by hand with the same command and the same rules, `--agents {names} --scripts {scripts}`:
on {date} with openfusion_auto {version}, **{passed} of {total} passed**.

| Agent | Package | Version |
|---|---|---|
{versions}

{table}

The variants of Qwen Code and pi are the dialects they speak. `@aaif/goose` counts by itself: the program it brings says 1.34.0.
Qwen Code ends with a call of its own over the whole history, to keep memories; it is left out of the turns.{follow_up}

Not explained: now and then Goose resumes with a history that lacks its first tool call, and the upstream plays the last step again (2 of 20
tries through the router on 2026-11-21, chat only and messages only; 0 of 20 without it). Where the upstream speaks chat the router
passes on the history as Goose sent it.

| Not in the table | Why |
|---|---|
{absent}
"""
ABSENT = {
    "a further turn with Cline 3.0.65": "`--id` resumes in a terminal only: interactive mode requires a TTY",
    "Crush": "its package fetches the program from elsewhere when it is installed; not tried",
}


def table(results: Mapping[Cell, str]) -> str:
    """Return the matrix: a row for each agent, variant and script, a column for each upstream."""
    dialects = [d for d in DIALECTS if any(c.dialect == d for c in results)]
    rows = dict.fromkeys((c.agent, c.script) for c in results)
    head = ["Agent", "Variant", "Script", *(f"{d} only" for d in dialects)]
    lines = [head, ["---"] * len(head)]
    for agent, script in rows:
        wrong = [results[Cell(agent, script, d)].partition("\n")[0] for d in dialects]
        shown = [f"**fails**: {w}".replace("|", "\\|") if w else "pass" for w in wrong]
        lines.append([agent.name, agent.variant or "-", f"`{script}`", *shown])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def page(results: Mapping[Cell, str], *, follow_up: bool, today: dt.date) -> str:
    """Return the page for the documents."""
    agents = {(c.agent.name, c.agent.package, c.agent.version) for c in results}
    return PAGE.format(
        flags="--follow-up " if follow_up else "",
        date=today.isoformat(),
        version=openfusion_auto.__version__,
        passed=sum(not wrong for wrong in results.values()),
        total=len(results),
        versions="\n".join(
            f"| {name} | `{pkg}` | {version} |" for name, pkg, version in sorted(agents)
        ),
        table=table(results),
        follow_up=FOLLOW_UP if follow_up else "",
    )


def section(results: Mapping[Cell, str], *, follow_up: bool, today: dt.date) -> str:
    """Return the part of the page for the agents beyond the short form."""
    agents = {(c.agent.name, c.agent.package, c.agent.version) for c in results}
    return SECTION.format(
        names=" ".join(dict.fromkeys(c.agent.name for c in results)),
        scripts=" ".join(dict.fromkeys(c.script for c in results)),
        date=today.isoformat(),
        version=openfusion_auto.__version__,
        passed=sum(not wrong for wrong in results.values()),
        total=len(results),
        versions="\n".join(f"| {n} | `{pkg}` | {version} |" for n, pkg, version in sorted(agents)),
        table=table(results),
        absent="\n".join(f"| {what} | {why} |" for what, why in ABSENT.items()),
        follow_up=FOLLOW_UP if follow_up else "",
    )


def write(file: Path, results: Mapping[Cell, str], *, follow_up: bool, today: dt.date) -> None:
    """Write the page; a part of it that nothing was run for stays as it is in the file."""
    short = set(variants())
    first, rest = (
        {cell: wrong for cell, wrong in results.items() if (cell.agent in short) is there}
        for there in (True, False)
    )
    head, _, tail = (file.read_text(encoding="utf-8") if file.exists() else "").partition(MORE)
    head = page(first, follow_up=follow_up, today=today) if first else head
    tail = section(rest, follow_up=follow_up, today=today) if rest else tail
    file.write_text(head + (MORE + tail if tail else ""), encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is asked for; 0 when all of it passed."""
    names = list(dict.fromkeys(a.name for a in everyone()))
    short = list(dict.fromkeys(a.name for a in variants()))
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--install", action="store_true", help="install these agents first")
    parser.add_argument("--agents", nargs="+", choices=names, default=short)
    parser.add_argument("--scripts", nargs="+", choices=list(SCRIPTS), default=list(SCRIPTS))
    parser.add_argument("--upstreams", nargs="+", choices=list(DIALECTS), default=list(DIALECTS))
    parser.add_argument("--follow-up", action="store_true", help="a second turn in the session")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page")
    asked = parser.parse_args(argv)
    if not os.environ.get(PREFIX):
        parser.error(f"set {PREFIX} to a folder where the agents are, or are to be installed")
    prefix = Path(os.environ[PREFIX])
    agents = [a for a in everyone() if a.name in asked.agents]
    if asked.install:
        install(prefix, agents)
    absent = sorted({a.name for a in agents if not a.program(prefix).exists()})
    if absent:
        parser.error(f"not installed under {prefix}: {', '.join(absent)}; use --install")
    todo = cells(agents, asked.scripts, asked.upstreams)
    results = run_all(todo, prefix, follow_up=asked.follow_up)
    in_order = {cell: results[cell] for cell in todo}
    failed = sum(map(bool, results.values()))
    print(f"\n{table(in_order)}\n\n{len(results) - failed} passed, {failed} failed")
    if asked.write:
        today = dt.datetime.now(tz=dt.UTC).date()
        write(asked.write, in_order, follow_up=asked.follow_up, today=today)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
