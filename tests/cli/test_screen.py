"""What a person sees: commands in tmux, which is a terminal like theirs; its screen is read, not the bytes that drew it."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time

import pytest

from .processes import environment
from .terminal import relay

POOL_OF_ONE = """\
schema = 1
[[candidates]]
id = "coder-a"
upstream = "relay"
model = "vendor/coder"
roles = ["coder"]
price_usd_per_mtok = { input = 1.0, output = 4.0, source = "test", as_of = "2026-11-01" }
context_tokens = 200000
"""
COLUMNS, ROWS = 70, 40


class Screen:
    """A shell in tmux."""

    def __init__(self, tmux, folder):
        self.tmux = [tmux, "-S", str(folder / "tmux"), "-f", "/dev/null"]
        env = environment(RELAY_KEY="sk-relay", PS1="$ ", TERM="xterm-256color", LC_ALL="C.UTF-8")
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
        end_s = time.monotonic() + 30
        while not all(text in (seen := self.shown()) for text in texts):
            assert time.monotonic() < end_s, (texts, seen)
            time.sleep(0.05)
        return seen


@pytest.fixture
def screen(tool, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENFUSION_STATE_DIR", str(tmp_path / "state"))
    made = Screen(tool("tmux"), tmp_path)
    yield made
    made.do("kill-server")


def openfusion(*args):
    return shlex.join([sys.executable, "-m", "openfusion_auto", *args])


def test_a_conversation_its_commands_a_pipe_and_a_stopped_answer(screen, tmp_path):
    answers = {"vendor/coder": ["# A title\n\n", "- **one**\n", "- two\n\n", "the ", "last"]}
    with relay(answers) as upstream:
        (tmp_path / "pool.toml").write_text(POOL_OF_ONE)
        (tmp_path / "openfusion.toml").write_text(
            f'[[upstreams]]\nname = "relay"\nbase_url = "{upstream.url}"\napi_key_env = "RELAY_KEY"\n'
            '[pool]\nfile = "pool.toml"\n'
        )
        screen.type(openfusion("chat"))
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
        upstream.answers["vendor/coder"] = (f"word {i} " for i in range(10_000))
        screen.type("count")
        screen.until("word 9")
        screen.do("send-keys", "C-c")
        seen = screen.until("stopped | vendor/coder | single | ~$0.0")
        end_s = time.monotonic() + 20
        while not upstream.left and time.monotonic() < end_s:
            time.sleep(0.01)
        assert upstream.left, "the upstream still writes"
        assert seen.count("word 0 word 1 ") == 1, seen
        screen.do("send-keys", "C-d")
        upstream.answers["vendor/coder"] = ["from a pipe"]
        screen.type(f"echo 'one shot' | {openfusion('ask')} | tr a-z A-Z; echo done=$?")
        screen.until("FROM A PIPE", "done=0")
        assert upstream.bodies[-1]["messages"][-1]["content"].strip() == "one shot"
