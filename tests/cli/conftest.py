"""A command line in this process with its own folder and a clean environment, and a server to talk to."""

import http.server
import io
import json
import os
import sys
import threading
from typing import NamedTuple

import pytest

from openfusion_auto.cli.main import main
from openfusion_auto.upstream.fake import FakeUpstream

from .processes import PACKAGE, serving

CONFIG = """\
[[upstreams]]
name = "relay"
base_url = "{url}"
api_key_env = "RELAY_API_KEY"

[pool]
file = "pool.toml"

[auto]
cost_quality = 3
"""
POOL = """\
schema = 1
[[candidates]]
id = "coder-a"
upstream = "relay"
model = "vendor/coder"
roles = ["coder", "reasoner", "verifier"]
price_usd_per_mtok = { input = 0.5, output = 2.0, cache_read = 0.05, cache_write = 0.6, source = "vendor", as_of = "2026-07-02" }
context_tokens = 200000
max_output_tokens = 32000
offers = ["tools", "json_schema"]
cost_usd_per_task = { value = 0.21, source = "run", as_of = "2026-07" }
benchmarks = [ { name = "swebench_verified_openhands", score = 72.0, n = 500, source = "index", as_of = "2026-07-02" } ]
performance = { ttft_ms_p50 = 900, tokens_per_s_p50 = 60, source = "vendor", as_of = "2026-07-02" }

[[candidates]]
id = "fast-b"
upstream = "relay"
model = "vendor/fast"
roles = ["fast", "writer"]
"""


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


class Stdin(io.TextIOWrapper):
    """Standard input with given text; a terminal when asked to be one."""

    def __init__(self, text, tty=False):
        super().__init__(io.BytesIO(text.encode()), encoding="utf-8")
        self.tty = tty

    def isatty(self):
        return self.tty


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder of its own, and nothing of the user's environment."""
    for name in list(os.environ):
        if name.startswith(("OPENFUSION_", "OPENROUTER_", "RELAY_")) or name in (
            "NO_COLOR", "FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE",
        ):  # fmt: skip
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("OPENFUSION_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys, monkeypatch):
    """Run one command line here."""

    def call(*args, stdin="", tty=False):
        monkeypatch.setattr(sys, "stdin", Stdin(stdin, tty))
        capsys.readouterr()
        code = main([str(a) for a in args])
        out, err = capsys.readouterr()
        return Result(code, out, err)

    return call


@pytest.fixture
def configured(folder):
    """An `openfusion.toml` with one upstream and two candidates; returns what writes it for another address."""

    def write(url="http://127.0.0.1:9/v1", pool=POOL, more=""):
        (folder / "openfusion.toml").write_text(CONFIG.format(url=url) + more)
        (folder / "pool.toml").write_text(pool)

    write()
    return write


@pytest.fixture
def scripted(monkeypatch):
    """Let every upstream of the next engines play a script."""

    def play(script, **kwargs):
        fake = FakeUpstream(script, **kwargs)

        def build(config, _key_of, _way_of, *, dry_run):
            return {u.name: fake for u in config.upstreams}

        monkeypatch.setattr("openfusion_auto.server.build.build_upstreams", build)
        monkeypatch.setenv("RELAY_API_KEY", "sk-relay")
        monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or")
        return fake

    return play


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The address of a dry-run server that all tests of one run share."""
    empty = tmp_path_factory.mktemp("server")
    clean = {
        k: v for k, v in os.environ.items() if not k.startswith(("OPENFUSION_", "OPENROUTER_"))
    }
    state = {"OPENFUSION_STATE_DIR": str(empty / "state")}
    env = {**clean, **state, "PYTHONPATH": PACKAGE, "XDG_CONFIG_HOME": str(empty)}
    with serving("--dry-run", env=env, cwd=empty) as (url, _, _):
        yield url


@pytest.fixture
def canned():
    """A tiny HTTP server; `canned.replies[path] = (status, body)`, requests stand in `canned.seen`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            here.seen.append((self.command, self.path, dict(self.headers)))
            status, body = here.replies.get(self.path, (404, b"{}"))
            self.send_response(status)
            if status in (301, 302):
                self.send_header("Location", body.decode())
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.do_GET()

        def log_message(self, *args):
            pass

    here = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    here.daemon_threads = True
    here.replies, here.seen = {}, []
    here.url = f"http://127.0.0.1:{here.server_port}"
    thread = threading.Thread(target=here.serve_forever, args=(0.02,))
    thread.start()
    yield here
    here.shutdown()
    thread.join()
    here.server_close()
