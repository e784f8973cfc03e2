"""`docs/tutorial.md`, as a reader does it: all its commands in order, with a real Codex, from a home that is empty."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agents.agents import PREFIX, Place, variants
from tests.agents.matrix import ROOT
from tests.agents.session import environment
from tests.conftest import missing

PAGE = ROOT / "docs" / "tutorial.md"
MADE_UP = "DRY RUN by openfusion_auto"
INSTALL, ROUTE, SERVE, ASK, CODEX, BACK = range(6)


def blocks() -> list[str]:
    """The page's commands for a shell, block by block."""
    return re.findall(
        r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


@pytest.fixture
def env(tmp_path) -> dict[str, str]:
    """A new user's environment: an empty home, `openfusion` and `codex` on the path, a port that is free."""
    codex = next(agent for agent in variants() if agent.name == "codex")
    prefix = Path(os.environ.get(PREFIX) or os.devnull)
    if not codex.program(prefix).exists():
        missing(f"{codex.package} {codex.version} is not there: set {PREFIX}=DIR")
    home, bin_ = tmp_path / "home", tmp_path / "bin"
    home.mkdir()
    bin_.mkdir()
    (bin_ / "codex").symlink_to(codex.program(prefix))
    ours = bin_ / "openfusion"
    ours.write_text(
        f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m openfusion_auto "$@"\n'
    )
    ours.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    known = environment(Place(prefix, home, home, ""), {"OPENFUSION_PORT": str(port)})
    return {**known, "PATH": f"{bin_}{os.pathsep}{known['PATH']}"}


def typed(block: str, env: dict[str, str]) -> str:
    """Type a block's lines one after the other; return all that was printed."""
    said = []
    for line in block.strip().splitlines():
        done = subprocess.run(
            ["bash", "-c", line], env=env, cwd=env["HOME"], stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        said.append(done.stdout + done.stderr)
    return "\n".join(said)


@pytest.fixture
def server(env) -> Iterator[subprocess.Popen[str]]:
    """The server, started as the page says; it is ready."""
    (command,) = blocks()[SERVE].strip().splitlines()
    process = subprocess.Popen(
        command.split(), env=env, cwd=env["HOME"], stderr=subprocess.PIPE, text=True
    )
    try:
        told = ""
        while "ready on" not in told:
            line = process.stderr.readline()
            assert line, f"it ended: {told}"
            told += line
        assert "DRY RUN" in told
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 0


def test_the_page_begins_as_the_readme_does():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    *made, activate = blocks()[INSTALL].strip().splitlines()
    assert all(line in readme for line in made)
    assert activate == ". .venv/bin/activate"
    assert len(blocks()) == BACK + 1


@pytest.mark.clients
@pytest.mark.timeout(240)
def test_all_commands_work_in_their_order(env, server):
    config = Path(env["HOME"]) / ".codex" / "config.toml"
    low, high = (typed(line, env) for line in blocks()[ROUTE].strip().splitlines())
    assert re.search(r"risk +low", low)
    assert re.search(r"risk +high", high)
    assert MADE_UP in typed(blocks()[ASK], env)
    shown = typed(blocks()[CODEX], env)
    assert MADE_UP in shown
    assert len(re.findall(r"\btr_[0-9a-f]+", shown)) >= 2  # what was asked by hand, and by Codex
    assert config.exists()
    typed(blocks()[BACK], env)
    assert not config.exists()
