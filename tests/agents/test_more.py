"""The agents beyond the short form are set up for this machine only, and judged by the same rules."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.agents import agents, matrix
from tests.agents.agents import packages, variants
from tests.agents.matrix import MORE, Cell, cells, section, write
from tests.agents.more import everyone, more
from tests.agents.play import plan, read_chat
from tests.agents.say import DIALECTS
from tests.agents.session import Ended, place
from tests.agents.test_matrix import PAGE

URL = "http://127.0.0.1:9"
TODAY = matrix.dt.date(2026, 11, 21)
LABELS = [a.label for a in more()]
SHELL = {"commands": {"type": "array"}}


def ask(system, tools):
    named = [{"function": {"name": n, "parameters": {"properties": p}}} for n, p in tools.items()]
    said = [{"role": "system", "content": system}, {"role": "user", "content": "make hello.py"}]
    return plan(read_chat({"messages": said, "tools": named}))


@pytest.mark.parametrize("label", LABELS)
def test_each_is_told_of_the_router_and_of_nothing_else(label, tmp_path):
    agent = next(a for a in more() if a.label == label)
    with place(tmp_path, URL) as here:
        env = agent.settle(here)
        files = [p.read_text() for p in here.home.rglob("*") if p.is_file()]
        text = "\n".join([*env.values(), *files])
        assert text.count("http") == text.count(URL) == 1
        root = agent.variant.startswith("anthropic")
        assert (f"{URL}/v1" in text) is not root
        assert all(json.loads(f) for f in files)
        first = agent.command(here, "go", again=False)
        assert first[0] == str(agent.program(tmp_path))
        assert first[-1] == "go"
        if agent.resumes:
            assert set(first) < set(agent.command(here, "go", again=True))


def test_versions_are_pinned_and_no_label_stands_twice():
    npm, pypi = packages(more())
    assert len(npm) == len({a.name for a in more()})
    assert pypi == []
    assert all(p.rpartition("@")[2][0].isdigit() for p in npm)
    assert len({a.label for a in everyone()}) == len(everyone()) == len(variants()) + len(more())


@pytest.mark.parametrize("with_aider", [False, True])
def test_only_the_agents_asked_for_are_installed(with_aider, tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(agents.subprocess, "run", lambda command, **_: ran.append(command))
    chosen = variants()[-1:] if with_aider else more()[:1]
    agents.install(tmp_path, chosen)
    assert any("npm" in c for c in ran) is not with_aider
    assert any("venv" in c for c in ran) is with_aider
    assert ("aider-chat==0.86.2" if with_aider else "cline@3.0.65") in ran[-1]


def test_lines_for_a_tool_that_runs_several_come_in_a_list():
    (call,) = ask("", {"run_commands": SHELL}).calls
    (line,) = json.loads(call.arguments)["commands"]
    assert "hello.py" in line


def test_the_place_is_read_from_a_sentence_too():
    write_file = {"file_path": {}, "content": {}}
    system = "I'm currently working in the directory: /w/repo\nHere is"
    (call,) = ask(system, {"write_file": write_file}).calls
    assert json.loads(call.arguments)["file_path"] == "/w/repo/hello.py"


def test_keeping_memories_is_a_small_job_though_it_has_tools_and_the_task():
    assert ask("a memory extraction subagent", {"run_commands": SHELL}).step == "aux memory"


@pytest.mark.parametrize("resumes", [True, False])
def test_a_further_turn_is_asked_of_agents_that_resume(resumes, tmp_path, monkeypatch):
    asked = []

    class Quiet(agents.Agent):
        def settle(self, place):
            return {}

        def command(self, place, text, *, again):
            asked.append(again)
            return []

    class At:
        url = URL

        class upstream:  # noqa: N801 - stands for a value
            journal = ()

            @staticmethod
            def forget():
                """Nothing is kept."""

    monkeypatch.setattr(matrix, "run", lambda *_: Ended(0, "DONE"))
    monkeypatch.setattr(matrix, "judge", lambda *_: "")
    monkeypatch.setattr(matrix, "judge_again", lambda *_: "")
    agent = Quiet("quiet", "quiet", "1", resumes=resumes)
    assert matrix.play(Cell(agent, "simple", "chat"), tmp_path, At, follow_up=True) == ""
    assert asked == ([False, True] if resumes else [False])


def test_what_was_not_run_stays_in_the_page(tmp_path):
    file = Path(shutil.copy(PAGE, tmp_path))
    before = file.read_text(encoding="utf-8").partition(MORE)
    ran = {Cell(more()[0], "simple", "chat"): "exit code 1\noutput"}
    write(file, ran, follow_up=True, today=TODAY)
    head, _, tail = file.read_text(encoding="utf-8").partition(MORE)
    assert head == before[0]
    assert tail == section(ran, follow_up=True, today=TODAY)
    assert "**0 of 1 passed**" in tail
    assert "**fails**: exit code 1 |" in tail
    write(file, {Cell(variants()[0], "simple", "chat"): ""}, follow_up=True, today=TODAY)
    assert file.read_text(encoding="utf-8").partition(MORE)[2] == tail
    assert "**1 of 1 passed**" in file.read_text(encoding="utf-8").partition(MORE)[0]


def test_the_page_holds_every_agent_of_this_module_with_versions():
    text = PAGE.read_text(encoding="utf-8").partition(MORE)[2]
    todo = cells(more(), ("simple", "deep"), tuple(DIALECTS))
    for agent in more():
        assert f"| {agent.name} | `{agent.package}` | {agent.version} |" in text
        for script in ("simple", "deep"):
            assert f"| {agent.name} | {agent.variant or '-'} | `{script}` |" in text
    assert f"of {len(todo)} passed" in text
    assert text.count("| pass ") + text.count("**fails**") == len(todo)
