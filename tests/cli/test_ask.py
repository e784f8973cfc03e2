"""One question, one answer: what goes where, and how it ends when there is none."""

import asyncio
import io
import json
import os
import signal
import subprocess
import sys

import pytest

from openfusion_auto.cli import ask
from openfusion_auto.upstream.reply import Reply

from .processes import environment, start_process


def test_the_answer_goes_to_stdout_and_the_cost_line_to_stderr(run, configured, scripted):
    scripted([Reply("forty-two")])
    done = run("ask", "how many?", "--model", "coder-a")
    assert done.code == 0
    assert done.out == "forty-two\n"
    assert "vendor/coder | single | $0." in done.err
    assert "tr_" in done.err


@pytest.mark.parametrize("text", ["ends with a line\n", "does not"])
def test_the_last_line_is_always_ended_and_never_twice(run, configured, scripted, text):
    scripted([Reply(text)])
    assert run("ask", "x", "--model", "coder-a").out == text.rstrip("\n") + "\n"


def test_whole_and_streamed_answers_read_the_same(run, configured, scripted):
    said = "one two three four five six seven eight"
    scripted([Reply(said), Reply(said)])
    streamed = run("ask", "x", "--model", "coder-a").out
    assert run("ask", "x", "--model", "coder-a", "--no-stream").out == streamed


def test_json_is_the_body_that_a_client_gets(run, configured, scripted):
    scripted([Reply("forty-two")])
    body = run("ask", "x", "--model", "coder-a", "--json").json
    assert body["choices"][0]["message"]["content"] == "forty-two"
    assert body["model"] == "vendor/coder"
    assert body["openfusion"]["trace_id"].startswith("tr_")


def test_an_estimate_says_each_modes_price_and_calls_nothing(run, configured, scripted):
    scripted([])
    done = run("ask", "fix the failing test", "--estimate")
    assert done.code == 0
    assert "tokens in" in done.out
    assert [line for line in done.out.splitlines() if line.startswith("  * single  1 call   $0.")]
    assert "unknown at worst" in done.out  # a fallback of this pool has no price
    said = run("ask", "fix the failing test", "--estimate", "--json").json
    assert said["object"] == "openfusion.estimate"
    assert done.out.startswith(f"{said['mode']} with {said['candidate']}, ")


def test_an_escape_sequence_of_a_model_does_not_reach_the_terminal(run, configured, scripted):
    scripted([Reply("a\x1b]0;evil\x07b"), Reply("a\x1b[2Jb")])
    assert run("ask", "x", "--model", "coder-a").out == "a]0;evilb\n"
    assert run("ask", "x", "--model", "coder-a", "--no-stream").out == "a[2Jb\n"


def test_what_is_piped_in_stands_behind_the_question(run, configured, scripted):
    fake = scripted([Reply("ok")] * 3)
    run("ask", "explain", "--model", "coder-a", stdin="def f(): pass\n")
    run("ask", "-", "--model", "coder-a", stdin="all of it")
    run("ask", "--model", "coder-a", stdin="all of it too")
    sent = [json.loads(c.body)["messages"][-1]["content"] for c in fake.calls]
    assert sent == ["explain\n\ndef f(): pass\n", "all of it", "all of it too"]


def test_a_terminal_is_not_read(run, configured, scripted):
    fake = scripted([Reply("ok")])
    run("ask", "explain", "--model", "coder-a", stdin="typed later", tty=True)
    assert json.loads(fake.calls[0].body)["messages"][-1]["content"] == "explain"


@pytest.mark.parametrize("text", ["", "  ", "-"])
def test_nothing_to_ask_is_wrong_usage(run, text):
    done = run("ask", text, stdin=" \n")
    assert done.code == 2
    assert "nothing to ask" in done.err


def test_at_a_terminal_a_text_is_needed(run):
    done = run("ask", stdin="typed later", tty=True)
    assert done.code == 2
    assert "nothing to ask" in done.err


def test_ctrl_c_says_what_it_has_cost(run, configured, scripted, monkeypatch):
    scripted([Reply("one two three", hang=True)], sleep=asyncio.sleep)

    async def stop(talk, _question):
        asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGINT)
        await talk.stream("x", print)

    monkeypatch.setattr("openfusion_auto.cli.answer_view.print_stream", stop)
    done = run("ask", "x", "--model", "coder-a")
    assert done.code == 130
    assert "stopped | vendor/coder | single | $0.0000 | " in done.err


def test_a_chosen_mode_is_taken(run, configured, scripted):
    verdict = '{"verdict": "accept", "findings": []}'
    scripted(lambda body: Reply(verdict if "verdict" in json.dumps(body) else "done"))
    done = run("ask", "Fix the race in the login", "--mode", "verify", "--json")
    assert done.json["openfusion"]["mode"] == "verify"


def test_a_failed_answer_is_said_with_who_failed_and_ends_with_1(run, configured, scripted):
    scripted([Reply(status=400, text="no")] * 9)
    done = run("ask", "x", "--model", "coder-a")
    assert done.code == 1
    assert done.out == ""
    first, call, last = done.err.splitlines()
    assert first.startswith("openfusion: ")
    assert call.startswith("  coder-a at relay: ")
    assert last.startswith("failed | ")


def test_an_answer_that_breaks_off_keeps_what_came_and_ends_with_1(run, configured, scripted):
    scripted([Reply("one two three four five six seven eight nine ten", cut_after=2)] * 9)
    done = run("ask", "x", "--model", "coder-a")
    assert done.code == 1
    assert done.out.startswith("one two")
    assert done.out.endswith("\n")


def test_an_unknown_model_is_code_2_with_a_near_name(run, configured, scripted):
    scripted([])
    done = run("ask", "x", "--model", "coder-b")
    assert done.code == 2
    assert "Did you mean coder-a" in done.err


def test_without_key_or_file_it_says_loudly_that_it_makes_things_up(run):
    done = run("ask", "hello")
    assert done.code == 0
    assert "DRY RUN: NO MODEL IS CALLED" in done.err
    assert "set OPENROUTER_API_KEY" in done.err
    assert done.out.startswith("DRY RUN")


def test_with_a_file_and_no_key_it_fails_instead_of_making_things_up(run, configured):
    configured(url="https://relay.invalid/v1")
    done = run("ask", "hello")
    assert done.code == 1
    assert done.out == ""
    assert "set RELAY_API_KEY" in done.err


def test_a_dry_run_can_be_asked_for_in_spite_of_a_key(run, configured, monkeypatch):
    monkeypatch.setenv("RELAY_API_KEY", "sk-1")
    done = run("ask", "hello", "--dry-run")
    assert done.out.startswith("DRY RUN")
    assert "leave out --dry-run" in done.err


def test_a_socket_as_standard_input_is_not_waited_for(folder):
    import socket

    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = subprocess.run(
            [sys.executable, "-m", "openfusion_auto", "ask", "hello"], stdin=theirs,
            env=environment(), capture_output=True, timeout=20, check=False,
        )  # fmt: skip
    assert done.returncode == 0
    assert done.stdout.startswith(b"DRY RUN")


def test_a_silent_pipe_is_waited_for_and_says_so(monkeypatch, capsys):
    monkeypatch.setattr(ask, "PATIENCE_S", 0.01)
    reading, writing = os.pipe()
    with open(reading) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert ask.is_piped()
        assert "waiting for standard input" in capsys.readouterr().err
        os.write(writing, b"x")
        assert ask.is_piped()
        assert capsys.readouterr().err == ""
        os.close(writing)


def test_a_file_is_read_and_a_device_is_not(monkeypatch, folder):
    (folder / "x").write_text("y")
    with open(folder / "x") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert ask.is_piped()
    with open(os.devnull) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert not ask.is_piped()
    monkeypatch.setattr(sys, "stdin", None)
    assert not ask.is_piped()
    monkeypatch.setattr(sys, "stdin", io.StringIO("z"))
    assert ask.is_piped()


def test_it_works_as_a_process_of_its_own(folder):
    process = start_process("ask", "hello", "--dry-run", "--json", cwd=folder)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert json.loads(out)["openfusion"]["dry_run"] is True
    assert "DRY RUN" in err
