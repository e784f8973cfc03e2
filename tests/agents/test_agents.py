"""The short form of the matrix: each agent, as npm and PyPI have it, does the task once through a router."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.agents.agents import PREFIX, variants
from tests.agents.matrix import Cell, play, stack
from tests.conftest import missing

SHORT = (
    ("codex (no catalog)", "chat"),
    ("codex (no catalog)", "responses"),
    ("claude-code", "chat"),
    ("claude-code", "messages"),
    ("opencode (openai-compatible)", "chat"),
    ("aider (diff)", "chat"),
)


@pytest.mark.clients
@pytest.mark.timeout(240)
@pytest.mark.parametrize(("label", "dialect"), SHORT)
def test_an_agent_does_the_task_and_goes_on_in_the_same_session(label, dialect):
    agent = next(a for a in variants() if a.label == label)
    prefix = Path(os.environ.get(PREFIX) or os.devnull)
    if not agent.program(prefix).exists():
        missing(
            f"{agent.package} {agent.version} is not there: set {PREFIX}=DIR "
            "and run python -m tests.agents.matrix --install"
        )
    with stack(dialect) as at:
        assert play(Cell(agent, "simple", dialect), prefix, at, follow_up=True) == ""
        assert {entry.dialect for entry in at.upstream.journal} == {dialect}
