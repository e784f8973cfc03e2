"""Who passes is judged strictly, nothing is left running, and the page holds what the code would run today."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path

import pytest

from tests.agents import agents, session
from tests.agents.agents import TASK, packages, variants
from tests.agents.matrix import MORE, Cell, cells, main, page
from tests.agents.play import SCRIPTS
from tests.agents.say import DIALECTS
from tests.agents.session import Ended, judge, judge_again, place, run
from tests.agents.upstream import Entry

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "clients.md"
CODEX = variants()[0]
GOOD = Ended(0, "...\nDONE\n")


def entries(*steps, body=None):
    return [Entry("chat", step, body or {}) for step in steps]


@pytest.fixture
def repo(tmp_path):
    (tmp_path / "hello.py").write_text("print(42)\n")
    return tmp_path


def test_a_run_passes_when_everything_is_as_it_should_be(repo):
    assert judge(CODEX, "simple", repo, GOOD, entries("aux title", "write", "done")) == ""
    assert judge(CODEX, "parallel", repo, GOOD, entries("list+write", "done")) == ""


@pytest.mark.parametrize(
    ("ended", "steps", "says"),
    [
        (Ended(None, "DONE"), ("write", "done"), "no end after"),
        (Ended(1, "DONE"), ("write", "done"), "exit code 1"),
        (Ended(0, TASK), ("write", "done"), "DONE was not shown"),
        (GOOD, ("write", "write", "done"), "another play"),
        (GOOD, ("refused", "write", "done"), "another play"),
        (GOOD, (), "the upstream played nothing"),
    ],
)
def test_a_run_fails_for_one_thing_that_is_wrong(repo, ended, steps, says):
    assert says in judge(CODEX, "simple", repo, ended, entries(*steps))


@pytest.mark.parametrize("code", ["print(43)", "print(4", None])
def test_a_run_fails_when_the_program_does_not_print_what_it_should(tmp_path, code):
    if code:
        (tmp_path / "hello.py").write_text(code)
    assert "hello.py" in judge(CODEX, "simple", tmp_path, GOOD, entries("write", "done"))


def test_a_follow_up_must_be_one_answer_that_knows_the_first_turn():
    known = {"messages": [{"role": "user", "content": TASK}]}
    assert judge_again(GOOD, entries("aux title", "done", body=known)) == ""
    assert "forgotten" in judge_again(GOOD, entries("done"))
    assert "another play" in judge_again(GOOD, entries("write", "done", body=known))
    assert "nothing" in judge_again(GOOD, [])
    assert "exit code 2" in judge_again(Ended(2, "DONE"), entries("done", body=known))


def test_an_agent_that_hangs_is_ended_and_so_is_what_it_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(session, "TIMEOUT_S", 0.5)
    daemon = "import subprocess as s; print(s.Popen(['sleep', '60'], start_new_session=True).pid, flush=True);"
    with place(tmp_path, "http://127.0.0.1:9") as here:
        env = session.environment(here, {})
        ended = run([sys.executable, "-c", daemon + "import time; time.sleep(60)"], here, env)
        assert ended.code is None
        assert session.left_behind(here.home) == [int(ended.output)]
    assert not here.home.exists()
    assert session.left_behind(here.home) == []


def test_an_agent_sees_nothing_of_the_developers_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/secret")
    with place(tmp_path, "http://127.0.0.1:9") as here:
        ended = run(["env"], here, session.environment(here, {"OWN": "1"}))
        assert "secret" not in ended.output
        assert f"HOME={here.home}" in ended.output.splitlines()
        log = ["git", "-C", str(here.repo), "log", "--format=%s"]
        assert subprocess.check_output(log, text=True) == "init\n"


def test_a_place_is_set_up_for_every_variant(tmp_path):
    for agent in variants():
        with place(tmp_path, "http://127.0.0.1:9") as here:
            env = agent.settle(here)
            files = [p.read_text() for p in here.home.rglob("*") if p.is_file()]
            assert any(here.url in text for text in [*env.values(), *files]), agent.label
            first, then = (agent.command(here, "go", again=again) for again in (False, True))
            assert first[0] == str(agent.program(tmp_path))
            assert set(first) < set(then)
            assert "go" in first


def test_versions_are_pinned_once():
    npm, pypi = packages()
    assert len(npm) == 3
    assert [p.partition("==")[0] for p in pypi] == ["aider-chat"]
    assert all(p.rpartition("@")[2][0].isdigit() for p in npm)


def test_the_page_holds_every_row_that_would_be_run_with_versions():
    text = PAGE.read_text(encoding="utf-8").partition(MORE)[0]
    todo = cells(variants(), tuple(SCRIPTS), tuple(DIALECTS))
    for agent in variants():
        assert f"| {agent.name} | `{agent.package}` | {agent.version} |" in text
        for script in agent.scripts:
            assert f"| {agent.name} | {agent.variant or '-'} | `{script}` |" in text
    assert f"of {len(todo)} passed" in text
    shown = text.count("| pass ") + text.count("**fails**")
    assert shown == len(todo)


def test_a_failure_stands_in_the_page_with_its_reason():
    results = {
        Cell(CODEX, "simple", "chat"): "exit code 1 | x\noutput",
        Cell(CODEX, "simple", "messages"): "",
    }
    text = page(results, follow_up=False, today=dt.date(2026, 11, 21))
    assert "| codex | no catalog | `simple` | **fails**: exit code 1 \\| x | pass |" in text
    assert "**1 of 2 passed**" in text
    assert "2026-11-21" in text


@pytest.mark.parametrize("prefix", ["", "empty"])
def test_the_command_says_what_is_missing(prefix, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OPENFUSION_TEST_AGENTS", str(tmp_path) if prefix else "")
    with pytest.raises(SystemExit) as ended:
        main(["--agents", "codex"])
    assert ended.value.code == 2
    assert ("not installed" if prefix else "set OPENFUSION_TEST_AGENTS") in capsys.readouterr().err


def test_aider_gets_an_interpreter_that_it_installs_on(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 12, 9))
    assert agents.python_for_aider() == sys.executable
    monkeypatch.setattr(sys, "version_info", (3, 14, 0))
    monkeypatch.setattr(agents.shutil, "which", {"python3.11": "/bin/python3.11"}.get)
    assert agents.python_for_aider() == "/bin/python3.11"
    monkeypatch.setattr(agents.shutil, "which", lambda _: None)
    with pytest.raises(FileNotFoundError, match="beside this one"):
        agents.python_for_aider()
