"""Faults with real agents: the short form of the matrix runs here, and the grid says who mended what."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pytest

from tests.agents.agents import PREFIX
from tests.agents.fault_matrix import (
    BEGIN,
    END,
    EVERY,
    Cell,
    Ran,
    agents,
    cells,
    grid,
    main,
    play,
    section,
    summary,
    write,
)
from tests.agents.matrix import stack
from tests.agents.say import DIALECTS
from tests.conftest import missing

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "failures.md"
AGENTS = {a.name: a for a in agents()}
# Each agent, each kind of fault, every place where a stream may break; the slow agents least.
SHORT = {
    ("codex", "responses"): ("429", "empty", "cut@text"),
    ("claude-code", "messages"): ("503", "fail@first", "cut@bare"),
    ("opencode", "chat"): ("eof@call", "fail@bare"),
    ("aider", "chat"): ("fail@text",),
}


@pytest.mark.clients
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "dialect"), SHORT)
def test_an_agent_ends_with_the_task_done_whatever_fails_once(name, dialect):
    agent = AGENTS[name]
    prefix = Path(os.environ.get(PREFIX) or os.devnull)
    if not agent.program(prefix).exists():
        missing(
            f"{agent.package} {agent.version} is not there: set {PREFIX}=DIR "
            "and run python -m tests.agents.matrix --install"
        )
    known = {f.name: f for f in EVERY}
    with stack(dialect) as at:
        ran = {f: play(Cell(agent, known[f], dialect), prefix, at) for f in SHORT[(name, dialect)]}
    assert {f: r.wrong for f, r in ran.items() if r.wrong} == {}
    # Before a byte of text is out, the agent is told nothing.
    told = {f for f, r in ran.items() if r.told}
    assert told == {f for f in ran if f.endswith(("@text", "@call"))}


def test_the_short_form_has_every_kind_and_every_place():
    short = {name for faults in SHORT.values() for name in faults}
    every = [f for f in EVERY if f.name in short]
    assert {f.kind for f in every} == {f.kind for f in EVERY}
    assert {f.place for f in every} == {f.place for f in EVERY}


def test_who_has_no_tools_breaks_inside_no_call():
    todo = cells(agents(), EVERY, ["chat"])
    assert len(todo) == 4 * len(EVERY) - 6
    assert {c.fault.place for c in todo if c.agent.name == "aider"} == {"", "first", "text"}


def results():
    done, again, bad = Ran(""), Ran("", 1), Ran("exit code 1\noutput")
    fault, other = EVERY[0], EVERY[-1]
    codex, aider = AGENTS["codex"], AGENTS["aider"]
    return {
        Cell(codex, fault, "chat"): done,
        Cell(codex, fault, "messages"): again,
        Cell(aider, fault, "chat"): done,
        Cell(aider, fault, "messages"): done,
        Cell(codex, other, "chat"): bad,
        Cell(codex, other, "messages"): bad,
    }


def test_the_grid_has_a_word_for_all_upstreams_or_one_for_each():
    lines = grid(results()).splitlines()
    assert [line.split("  ")[-1].strip() for line in lines[2:]] == ["done", "-"]
    assert "done again" in lines[2]
    assert "FAILS" in lines[3]
    assert not [line for line in lines if line != line.rstrip()]
    assert summary(results()) == (
        "6 runs: 4 ended with the task done (3 mended unseen, 1 after the agent asked again), 2 failed"
    )


def test_the_part_is_put_between_its_marks(tmp_path):
    file = tmp_path / "page.md"
    file.write_text(f"head\n{BEGIN}what was there\n{END}tail\n")
    write(file, section(results(), dt.date(2026, 11, 26)))
    text = file.read_text()
    assert text.startswith("head\n")
    assert text.endswith("tail\n")
    assert "what was there" not in text
    assert "| codex | aider |" in text
    assert "on 2026-11-26" in text


def test_the_page_has_every_row_and_nothing_failed():
    text = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    total = len(cells(agents(), EVERY, list(DIALECTS)))
    assert f"**{total} runs: {total} ended with the task done" in text
    assert "FAILS" not in text
    for agent in agents():
        assert f"{agent.name} {agent.version}" in text


def test_the_command_says_what_is_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(PREFIX, str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        main(["--agents", "codex"])
    assert ended.value.code == 2
    assert "not installed" in capsys.readouterr().err
