"""What a person sees: commands in tmux, which is a terminal like theirs; its screen is read, not the bytes that drew it."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest

from .processes import environment
from .terminal import count, relay, within

COLUMNS, ROWS = 70, 40


class Screen:
    """A shell in tmux."""

    def __init__(self, tmux, folder):
        self.tmux = [tmux, "-S", str(folder / "tmux"), "-f", "/dev/null"]
        env = environment(
            RELAY_API_KEY="sk-relay", PS1="$ ", TERM="xterm-256color", LC_ALL="C.UTF-8"
        )
        size = ["-x", str(COLUMNS), "-y", str(ROWS)]
        self.do("new-session", "-d", *size, "-c", str(folder), "sh", env=env)

    def do(self, *args, env=None):
        done = subprocess.run(
            [*self.tmux, *args], env=env, capture_output=True, text=True, check=True, timeout=20
        )
        return done.stdout

    def type(self, text, *keys):
        self.do("send-keys", "-l", text)
        self.do("send-keys", *(keys or ("Enter",)))

    def shown(self):
        return self.do("capture-pane", "-p", "-S", "-500")

    def until(self, *texts):
        """Wait until the screen shows all of these; returns it."""
        assert within(30, lambda: all(text in self.shown() for text in texts)), self.shown()
        return self.shown()


@pytest.fixture
def screen(tool, folder):
    made = Screen(tool("tmux"), folder)
    yield made
    made.do("kill-server")


def openfusion(*args):
    return shlex.join([sys.executable, "-m", "openfusion_auto", *args])


def test_a_conversation_its_commands_a_pipe_and_a_stopped_answer(screen, configured):
    answers = {"vendor/coder": ["# A title\n\n", "- **one**\n", "- two\n\n", "the ", "last"]}
    with relay(answers) as upstream:
        configured(upstream.url)
        screen.type(openfusion("chat", "--model", "coder-a"))
        screen.until("Ctrl-D ends.")
        screen.type("tell me")
        seen = screen.until("the last", "vendor/coder | single |")
        for line in ("A title", "one", "two", "the last"):
            assert seen.count(line) == 1, seen  # what is drawn while it streams leaves nothing
        assert "**" not in seen
        screen.type("/cost")
        screen.until("for 1 turn, 1 call")
        screen.type("/why")
        screen.until("worst case $")
        upstream.answers["vendor/coder"] = count()
        screen.type("count")
        screen.until("word 9")
        screen.do("send-keys", "C-c")
        seen = screen.until("stopped | vendor/coder | single | ~$0.0")
        assert within(20, lambda: upstream.left)
        assert seen.count("word 0 word 1 ") == 1, seen
        screen.do("send-keys", "C-d")
        upstream.answers["vendor/coder"] = ["from a pipe"]
        screen.type(
            f"echo 'one shot' | {openfusion('ask', '--model', 'coder-a')} | tr a-z A-Z; echo done=$?"
        )
        screen.until("FROM A PIPE", "done=0")
        assert upstream.bodies[-1]["messages"][-1]["content"].strip() == "one shot"
