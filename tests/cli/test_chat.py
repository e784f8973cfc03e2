"""A conversation line by line: turns, slash commands, Ctrl-C and the end."""

import asyncio
import builtins
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time

import pytest

from openfusion_auto.cli import chat
from openfusion_auto.upstream.reply import Reply

from .processes import environment

ARGS = ("chat", "--model", "coder-a")


def test_each_line_is_a_turn_of_one_conversation(run, configured, scripted):
    fake = scripted([Reply("first answer"), Reply("second answer")])
    done = run(*ARGS, stdin="one\n\ntwo\n")
    assert done.code == 0
    assert done.out == "first answer\nsecond answer\n"
    said = [m["content"] for m in json.loads(fake.calls[1].body)["messages"]]
    assert said == ["one", "first answer", "two"]
    assert done.err.count("vendor/coder | single |") == 2


def test_json_is_one_body_a_line(run, configured, scripted):
    scripted([Reply("a"), Reply("b")])
    done = run(*ARGS, "--json", stdin="one\ntwo\n")
    bodies = [json.loads(line) for line in done.out.splitlines()]
    assert [b["choices"][0]["message"]["content"] for b in bodies] == ["a", "b"]


def test_exit_ends_before_the_input_does(run, configured, scripted):
    fake = scripted([Reply("a")])
    assert run(*ARGS, stdin="one\n/exit\ntwo\n").code == 0
    assert len(fake.calls) == 1


def test_clear_forgets_what_was_said(run, configured, scripted):
    fake = scripted([Reply("a"), Reply("b")])
    run(*ARGS, stdin="one\n/clear\ntwo\n")
    assert [m["content"] for m in json.loads(fake.calls[1].body)["messages"]] == ["two"]


def test_why_shows_the_last_decision(run, configured, scripted):
    scripted([Reply("a")])
    done = run("chat", stdin="/why\nExplain recursion\n/why\n")
    assert "nothing has been decided yet" in done.err
    assert "explain" in done.out
    assert "coder-a" in done.out
    assert "sha256:" in done.out


def test_cost_sums_all_turns_and_an_unknown_price_makes_it_unknown(run, configured, scripted):
    scripted([Reply("a"), Reply("b"), Reply("c")])
    done = run(*ARGS, stdin="one\ntwo\n/cost\n")
    line = next(line for line in done.err.splitlines() if "turns" in line)
    assert line.startswith("$0.")
    assert " for 2 turns, 2 calls, " in line
    done = run("chat", "--model", "fast-b", stdin="one\n/cost\n")
    assert "unknown for 1 turns" in done.err


def test_a_dry_run_costs_nothing(run):
    done = run("chat", stdin="hello\n/cost\n")
    assert "nothing spent (dry run) for 1 turns" in done.err
    assert "DRY RUN: NO MODEL IS CALLED" in done.err


@pytest.mark.parametrize("line", ["/", "/nope", "/help"])
def test_an_unknown_slash_command_says_what_there_is(run, configured, scripted, line):
    fake = scripted([])
    assert "/why" in run(*ARGS, stdin=line + "\n").err
    assert fake.calls == []


def test_a_path_is_a_question(run, configured, scripted):
    fake = scripted([Reply("a"), Reply("b")])
    run(*ARGS, stdin="/etc/hosts is broken\n/tmp is full\n")
    assert len(fake.calls) == 2


def test_a_failed_turn_goes_on_and_makes_the_code_1_for_programs(run, configured, scripted):
    scripted([Reply(status=400, text="no")] * 2 + [Reply("fine")])
    done = run(*ARGS, stdin="one\ntwo\nthree\n")
    assert done.out == "fine\n"
    assert done.code == 1
    assert "Traceback" not in done.err


def test_a_person_gets_help_a_prompt_and_code_0(run, configured, scripted, monkeypatch):
    scripted([Reply(status=400, text="no")])
    lines = iter(["one", "/exit"])
    monkeypatch.setattr(builtins, "input", lambda prompt: next(lines))
    done = run(*ARGS, tty=True)
    assert done.code == 0
    assert "Ctrl-D ends" in done.err


def test_ctrl_c_at_the_prompt_drops_the_line_and_ctrl_d_ends(
    run, configured, scripted, monkeypatch
):
    scripted([Reply("a")])
    events = iter([KeyboardInterrupt(), "one", EOFError()])

    def read(_prompt):
        event = next(events)
        if isinstance(event, BaseException):
            raise event
        return event

    monkeypatch.setattr(builtins, "input", read)
    done = run(*ARGS, tty=True)
    assert done.code == 0
    assert done.out == "a\n"


def test_reading_lines_works_without_readline(monkeypatch):
    monkeypatch.setitem(sys.modules, "readline", None)
    monkeypatch.setattr(builtins, "input", lambda prompt: prompt)
    assert chat.prompting()() == "> "


def test_ctrl_c_stops_the_answer_and_the_conversation_goes_on(run, configured, scripted):
    fake = scripted(
        [Reply("one two three four five six seven eight nine", hang=True, cut_after=1), Reply("fine")],
        sleep=asyncio.sleep,
    )  # fmt: skip

    def interrupt():
        while not fake.open_now:
            time.sleep(0.01)
        time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    done = run(*ARGS, stdin="one\ntwo\n")
    thread.join()
    assert "stopped" in done.err
    assert done.out.endswith("fine\n")
    assert fake.open_now == 0
    assert [m["content"] for m in json.loads(fake.calls[1].body)["messages"]] == ["two"]


@pytest.fixture
def terminal():
    """A chat at a terminal of its own; gives the process and our end of the terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "openfusion_auto", "chat"], stdin=theirs, stdout=theirs,
        stderr=subprocess.PIPE, env=environment(), close_fds=True,
    )  # fmt: skip
    os.close(theirs)
    yield process, ours
    process.kill()
    process.communicate()
    os.close(ours)


def read_until(descriptor, pattern, got):
    """Return `got` and what follows, up to where it holds `pattern`."""
    while not re.search(pattern, got, re.DOTALL):
        assert select.select([descriptor], [], [], 20)[0], got
        got += os.read(descriptor, 4096)
    return got


def test_it_works_at_a_real_terminal(terminal):
    process, ours = terminal
    shown = read_until(ours, b"> ", b"")
    os.write(ours, b"hello\n")
    shown = read_until(ours, b"'hello'.*> ", shown)
    os.write(ours, b"\x04")
    assert process.wait(20) == 0
    assert b"DRY RUN by openfusion_auto" in shown
    assert b"DRY RUN: NO MODEL IS CALLED" in process.stderr.read()
