"""Real agents with the router's MCP server as `openfusion adapter install AGENT --mcp` sets it up: they ask the panel."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.agents.agents import PREFIX, Agent, ClaudeCode, Codex, Place, variants
from tests.agents.matrix import ROOT, stack
from tests.agents.play import ASK_PANEL, OPINION
from tests.agents.session import environment, place, problem, run
from tests.conftest import missing

TASK = f"Ask the panel about the ledger and repeat what it says, then say DONE. {ASK_PANEL}"
AGENTS = ("claude-code", "codex")  # OpenCode does it too; it takes as long as both
ALLOWED = "mcp__openfusion__deliberate"
PLAYED = ["deliberate", "member", "member", "analysis", "done"]


def agent_of(name: str) -> tuple[Agent, Path]:
    """Return an agent in its first variant, and where it is installed."""
    agent = next(a for a in variants() if a.name == name)
    prefix = Path(os.environ.get(PREFIX) or os.devnull)
    if not agent.program(prefix).exists():
        missing(f"{agent.package} {agent.version} is not there: set {PREFIX}=DIR")
    if find_spec("mcp") is None:
        missing("the package mcp is not there: pip install 'openfusion-auto[mcp]'")
    return agent, prefix


def with_tools(here: Place, agent: Agent, env: dict[str, str]) -> None:
    """Set the tools up as a user would; the agent's server is the one that it uses for models too."""
    bin_ = here.home / "bin"
    bin_.mkdir()
    starter = bin_ / "openfusion"
    starter.write_text(
        f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m openfusion_auto "$@"\n',
        encoding="utf-8",
    )
    starter.chmod(0o755)
    own = {**env, "PATH": f"{bin_}{os.pathsep}{env['PATH']}"}
    install = ["adapter", "install", agent.name, "--mcp", "--url", here.url]
    subprocess.run([str(starter), *install], env=own, cwd=here.home, check=True, timeout=60)


@pytest.mark.clients
@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_asks_the_panel_and_gets_its_answer(name):
    agent, prefix = agent_of(name)
    with stack("chat") as at, place(prefix, at.url) as here:
        env = environment(here, agent.settle(here))
        with_tools(here, agent, env)
        command = agent.command(here, TASK, again=False)
        if isinstance(agent, ClaudeCode):
            command += ["--allowedTools", ALLOWED]
        if isinstance(agent, Codex):  # `exec` asks its model before the tools are there
            file = here.home / ".codex" / "config.toml"
            text = file.read_text(encoding="utf-8")
            waiting = "startup_timeout_sec = 30\nrequired = true"
            file.write_text(text.replace("startup_timeout_sec = 30", waiting), encoding="utf-8")
        ended = run(command, here, env)
        steps = [entry.step for entry in at.upstream.journal if not entry.step.startswith("aux")]
        assert problem(ended) == "", (steps, ended.output[-3000:])
        assert OPINION in ended.output
        assert steps == ["search"] * isinstance(agent, ClaudeCode) + PLAYED
