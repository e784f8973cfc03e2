"""What is typed: several lines, what is kept of it, what is completed."""

import asyncio
import stat
import sys

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.document import Document
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from openfusion_auto.cli import keyboard
from openfusion_auto.cli.keyboard import Keyboard, Slashes

WORDS = {"/preset": ("quality", "fast", "off"), "/cost": (), "/clear": ()}


def typed(monkeypatch, keys, state=None):
    """Return what is read when these keys are pressed."""
    monkeypatch.setattr(keyboard, "terminal", DummyOutput)
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        pipe.send_text(keys)
        return asyncio.run(Keyboard(lambda: WORDS, state).read())


@pytest.mark.parametrize(
    ("keys", "text"),
    [("one\r", "one"), ("one\x1b\rtwo\r", "one\ntwo"), ("one\\\rtwo\r", "one\ntwo"),
     ("a\\\\\r\r", "a\\\n"), ("\x1b[200~one\ntwo\x1b[201~\r", "one\ntwo"), ("/pre\t\r", "/preset")],
)  # fmt: skip
def test_enter_sends_and_what_begins_a_new_line_does_not(monkeypatch, keys, text):
    assert typed(monkeypatch, keys) == text


@pytest.mark.parametrize(("key", "error"), [("\x04", EOFError), ("\x03", KeyboardInterrupt)])
def test_ctrl_d_and_ctrl_c_are_told(monkeypatch, key, error):
    with pytest.raises(error):
        typed(monkeypatch, key)


@pytest.mark.parametrize(("term", "left_to_it"), [("dumb", True), ("xterm", False)])
def test_a_dumb_terminal_is_left_to_the_package_which_writes_no_escapes_then(
    monkeypatch, term, left_to_it
):
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(keyboard, "create_output", lambda stdout: stdout)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert (keyboard.terminal() is None) is left_to_it


def test_what_was_typed_is_kept_for_its_owner_and_no_key(monkeypatch, tmp_path):
    state = tmp_path / "state"
    typed(monkeypatch, "first\r", state)
    typed(monkeypatch, "/key sk-1\r", state)
    assert typed(monkeypatch, "\x1b[A\r", state) == "first"
    path = state / keyboard.FILE
    assert "sk-1" not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_what_cannot_be_kept_counts_all_the_same(tmp_path):
    history = keyboard.history_in(tmp_path)
    history.store_string("half a pair \udcff")
    assert "half a pair \ufffd" in (tmp_path / keyboard.FILE).read_text()
    (tmp_path / keyboard.FILE).unlink()
    (tmp_path / keyboard.FILE).mkdir()
    history.store_string("more")


def test_a_history_that_others_could_read_is_closed(tmp_path):
    path = tmp_path / keyboard.FILE
    path.write_text("")
    path.chmod(0o644)
    keyboard.history_in(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_where_nothing_can_be_kept_it_says_so_and_goes_on(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert isinstance(keyboard.history_in(tmp_path / "file"), InMemoryHistory)
    assert "no history is kept" in capsys.readouterr().err


def test_a_history_that_has_grown_too_long_loses_its_older_half(tmp_path, monkeypatch):
    monkeypatch.setattr(keyboard, "MAX_BYTES", 1000)
    path = tmp_path / keyboard.FILE
    path.write_text("".join(f"\n# 2026\n+entry {i}\n" for i in range(100)))
    history = keyboard.history_in(tmp_path)
    left = list(history.load_history_strings())
    assert left[0] == "entry 99"
    assert 10 < len(left) < 50
    path.write_bytes(b"x" * 2000)
    assert list(keyboard.history_in(tmp_path).load_history_strings()) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [("/c", ["/cost", "/clear"]), ("/preset ", ["quality", "fast", "off"]), ("/preset f", ["fast"]),
     ("/cost x", []), ("why", []), ("", []), ("/c\n", []), ("/nope x", [])],
)  # fmt: skip
def test_commands_and_the_word_behind_them_are_completed(text, found):
    completed = Slashes(lambda: WORDS).get_completions(Document(text), None)
    assert [c.text for c in completed] == found
