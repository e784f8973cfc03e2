"""A conversation line by line: turns, slash commands, Ctrl-C and the end; in pipes and at a real terminal."""

import asyncio
import io
import json
import os
import re
import signal
import stat
import sys
import threading
import time

import pytest

from openfusion_auto.cli import chat, slash
from openfusion_auto.cli.common import load_settings
from openfusion_auto.cli.slash import COMMANDS
from openfusion_auto.upstream.reply import Reply

from .terminal import PROMPT, at_terminal, count, relay, within

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
    assert "unknown for 1 turn," in done.err


def test_a_dry_run_costs_nothing(run):
    done = run("chat", stdin="hello\n/cost\n")
    assert "nothing spent (dry run) for 1 turn," in done.err
    assert "DRY RUN: NO MODEL IS CALLED" in done.err


@pytest.mark.parametrize("line", ["/", "/nope", "/help"])
def test_an_unknown_slash_command_says_what_there_is(run, configured, scripted, line):
    fake = scripted([])
    said = run(*ARGS, stdin=line + "\n").err
    assert all(name in said for name in COMMANDS)
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


@pytest.fixture
def typed(monkeypatch):
    """Let a person type these lines; an exception in their place is raised."""

    def play(*events):
        left = iter([*events, EOFError()])

        def read():
            event = next(left)
            if isinstance(event, BaseException):
                raise event
            return event

        monkeypatch.setattr(chat, "typing", lambda _chat, keep: read)

    return play


def test_a_failed_turn_of_a_person_is_no_failure_of_the_program(run, configured, scripted, typed):
    scripted([Reply(status=400, text="no")])
    typed("one", "/exit", "two")
    assert run(*ARGS, tty=True).code == 0


def test_ctrl_c_at_the_prompt_drops_the_line_and_ctrl_d_ends(run, configured, scripted, typed):
    scripted([Reply("a")])
    typed(KeyboardInterrupt(), "one")
    done = run(*ARGS, tty=True)
    assert done.code == 0
    assert done.out == "a\n"


def test_ctrl_c_in_a_command_drops_the_command_alone(run, configured, scripted, typed, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    fake = scripted([Reply("a"), Reply("b")])
    monkeypatch.setattr(slash, "write_new", stopped)
    typed("one", "/save x.md", "two")
    assert run(*ARGS, tty=True).code == 0
    assert len(json.loads(fake.calls[1].body)["messages"]) == 3


def test_ctrl_c_ends_the_wait_for_a_pipe(run, configured, monkeypatch):
    def stopped():
        raise KeyboardInterrupt

    monkeypatch.setattr(chat, "piped", stopped)
    assert run(*ARGS).code == 130


def test_bytes_that_are_no_text_do_not_end_it(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff one\r\n"), "utf-8"))
    assert chat.piped() == "\ufffd one\r\n"
    monkeypatch.setattr(sys, "stdin", None)  # as `<&-` leaves it
    with pytest.raises(EOFError):
        chat.piped()


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
    assert "stopped | vendor/coder | single | ~$0." in done.err
    assert done.out.endswith("fine\n")
    assert fake.open_now == 0
    assert [m["content"] for m in json.loads(fake.calls[1].body)["messages"]] == ["two"]


def test_a_first_run_asks_for_a_key_unseen_and_goes_on_as_a_dry_run_without_one(folder):
    with at_terminal("chat") as person:
        person.until(b"Paste it here.*not shown.*: ")
        person.type("\r")
        person.until(b"DRY RUN: NO MODEL IS CALLED.*" + PROMPT)
        person.type("dropped\x03")
        person.until(PROMPT)
        person.type("hello\r")
        person.until(b"'hello'.*nothing spent .dry run.*" + PROMPT)
        person.type("/key sk-or-typed-here\r")
        person.until(b"takes the name of a variable.*" + PROMPT)
        person.type("/key OPENROUTER_API_KEY\r")
        person.until(b"not shown.*: ")
        person.type("sk-or-secret\r")
        person.until(b"given-keys.json, which only you can read.*" + PROMPT)
        person.type("/key\r")
        person.until(b"upstream openrouter: given-keys.json in the state folder.*" + PROMPT)
        person.type("\x04")
        assert person.wait() == 0
    assert b"sk-or-secret" not in person.seen
    kept = folder / "state" / "given-keys.json"
    assert "sk-or-secret" in kept.read_text()
    history = folder / "state" / "chat-history"
    assert [stat.S_IMODE(p.stat().st_mode) for p in (kept, history)] == [0o600, 0o600]
    assert "+hello" in history.read_text()
    assert "/key" not in history.read_text()
    settings = load_settings(None)
    assert settings.key("openrouter") == "sk-or-secret"
    assert not settings.unready


HOSTILE = "# A title\n\n**bold** \x1b]0;evil\x07 [here](http://x.invalid/y) \x9b31m \u202etxt\n\n"


def test_an_answer_is_markdown_a_panel_is_told_and_ctrl_c_cuts_it_at_the_upstream(
    configured, folder
):
    answers = {"vendor/coder": [HOSTILE, "- one\n", "- two\n\n", "the last"], "vendor/fast": 500}
    with relay(answers) as upstream:
        configured(upstream.url)
        with at_terminal(*ARGS, columns=40, NO_COLOR="1") as person:
            person.until(PROMPT)
            person.type("first\x1b\rsecond\\\rthird\r")  # Alt-Enter, then a backslash before Enter
            shown = person.until(rb"vendor/coder \| single \|.*" + PROMPT).decode()
            assert upstream.bodies[0]["messages"][-1]["content"] == "first\nsecond\nthird"
            looks_right(shown)
            person.type("/models openfusion/fusion\rboth\r")
            told = person.until(rb"vendor/coder \| panel \|.*" + PROMPT)
            assert re.search(rb"member: coder-a answered after .*, \$0.0", told)
            assert b"member: fast-b is out after" in told
            person.type("/models coder-a\r")
            person.until(b"asked is coder-a from now on.*" + PROMPT)
            upstream.answers["vendor/coder"] = count()
            person.type("count\r")
            person.until(b"word 9")
            person.type("\x03")
            stopped = person.until(rb"stopped \| vendor/coder \| single \| ~\$0.0.*" + PROMPT)
            assert b"Traceback" not in stopped
            assert within(20, lambda: upstream.left)  # it would count for five minutes
            person.type("/tokens\r/save talk.md\r")
            person.until(b"4 messages in talk.md.*" + PROMPT)
            person.type("\x04")
            assert person.wait() == 0
    assert re.search(rb"vendor/coder +\d ", person.seen)
    saved = (folder / "talk.md").read_text()
    assert saved.startswith("## user\n\nfirst\nsecond\nthird\n\n## assistant\n\n# A title")
    assert "\x1b" not in saved


def looks_right(shown):
    """The answer HOSTILE is Markdown without colours, and drives nothing."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert "A title" in text
    assert "# A title" not in text
    assert "**" not in text
    assert "(http://x.invalid/y)" in re.sub(r"\s+", "", text)
    assert not re.search(r"\x1b\[([0-9;]*;)?(3[0-8]|4[0-8]|9[0-7])[;m]", shown)  # NO_COLOR
    for foreign in ("\x1b]0;evil", "\x07", "\x9b", "\u202e", "\x1b[31m"):
        assert foreign not in shown


def test_in_a_pipe_nothing_is_asked(run):
    done = run("chat", stdin="hello\n/key\n/key OPENROUTER_API_KEY\n")
    assert done.code == 0
    assert "not shown" not in done.err
    assert "OPENROUTER_API_KEY  upstream openrouter: not set" in done.err
    assert "a key is asked for at a terminal only" in done.err
