"""What of the security list is held by the program as a whole: its files, its command line, its types, its dependencies."""

import asyncio
import json
import os
import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import pytest_asyncio

from openfusion_auto.page.routes import ROUTES
from tests.server.live import GOOD, check_refusal, raw, replies, request, send, serving, written

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = "<script src=//evil.example/x.js></script><img onerror=alert(1)>"
CANARY = "sk-canary-8f3a1c5e7b9d2046"
PATHS = (
    "/",
    "/health",
    "/ready",
    "/metrics",
    "/v1/models",
    "/v1/traces",
    "/v1/keys/me",
    "/v1/status",
    "/nothing",
)
HTML = "text/html,application/xhtml+xml,*/*"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def router(tmp_path_factory):
    async with serving(tmp_path_factory.mktemp("held")) as running:
        running.folder = tmp_path_factory.getbasetemp()
        yield running


async def first(running, data):
    (reply,) = replies(await raw(running, data, quiet_s=30.0))
    return reply


# -- files and processes ---------------------------------------------------------------------------------------------


async def test_s43_what_a_server_writes_is_its_owners_alone(tmp_path):
    before = os.umask(0o000)  # the widest that a user may have set
    try:
        async with serving(tmp_path) as running:
            assert (await send(running, GOOD)).status == 200
    finally:
        os.umask(before)
    state = tmp_path / "state"
    made = [state, *state.rglob("*")]
    assert len(made) > 1
    for path in made:
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path.name


@pytest.mark.slow
@pytest.mark.parametrize("mode", [0o600, 0o644])
async def test_s44_a_file_of_keys_that_others_may_read_is_said(tmp_path, mode):
    (tmp_path / ".env").write_text(f"RELAY_API_KEY={CANARY}\n")
    (tmp_path / ".env").chmod(mode)
    async with serve(tmp_path) as (address, _, said):
        assert address
        assert (".env" in said() and "read" in said()) == (mode == 0o644)
        assert CANARY not in said()


@pytest.mark.slow
async def test_s46_the_command_line_of_a_server_holds_no_key(tmp_path):
    async with serve(tmp_path, RELAY_API_KEY=CANARY) as (_, pid, said):
        shown = subprocess.run(
            ["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=True
        ).stdout
        assert "serve" in shown
        assert CANARY not in shown + said()
    listed = subprocess.run(
        [sys.executable, "-m", "openfusion_auto", "serve", "--help"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    named = re.findall(r"--[\w-]*(?:key|token|secret|password)[\w-]*", listed)
    assert named == ["--insecure-no-keys"]  # takes no value


class serve:  # noqa: N801 - reads as a statement
    """Run `openfusion serve` as a process; gives (its address, its process id, what it said so far)."""

    def __init__(self, folder, **env):
        self.config = written(folder, "http://127.0.0.1:9/v1", [entry()], {})
        self.folder = folder
        kept = {k: v for k, v in os.environ.items() if not k.endswith("_API_KEY")}
        state = str(folder / "state")
        self.env = {**kept, "PYTHONPATH": str(ROOT), "OPENFUSION_STATE_DIR": state, **env}

    async def __aenter__(self):
        self.log = (self.folder / "said").open("w+")
        arguments = ["serve", "--json", "--port", "0", "--config", str(self.config)]
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "openfusion_auto", *arguments,
            cwd=self.folder, env=self.env, stdout=subprocess.PIPE, stderr=self.log,
        )  # fmt: skip
        line = await asyncio.wait_for(self.process.stdout.readline(), 50)
        return json.loads(line)["url"], self.process.pid, (self.folder / "said").read_text

    async def __aexit__(self, *_):
        self.process.terminate()
        await self.process.communicate()
        self.log.close()


def entry():
    return {"id": "coder-a", "upstream": "relay", "model": "vendor/coder-a"}


# -- what a browser would make of the API; for the page see tests/page ----------------------------------------------------

OUTSIDE = (
    "/static/../../etc/passwd", "/static/%2e%2e/%2e%2e/etc/passwd", "/static/..%2f..%2fetc%2fpasswd", "/static/..%5c..%5cx",
    "/static/%252e%252e%252fetc%252fpasswd", "/static//etc/passwd", "/static/\\..\\..\\etc\\passwd", "/traces/../../etc/passwd",
    "/traces/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/v1/traces/..%2f..%2f..%2fetc%2fpasswd", "/v1/traces/%252e%252e%252fetc%252fpasswd",
    "/v1/traces/%c0%ae%c0%ae%c0%afetc%c0%afpasswd", "/v1/traces/..;/..;/etc/passwd", "/v1/traces/file:%2f%2f%2fetc%2fpasswd",
)  # fmt: skip


@pytest.mark.parametrize("path", OUTSIDE)
async def test_s50_no_path_leads_out_of_what_is_served(router, path):
    reply = await first(router, request("GET", path))
    assert reply.status in (400, 404)
    check_refusal(reply)
    assert "root:" not in reply.shown


async def everything(router):
    """Ask every path, with what a hostile model and a hostile client say in it."""
    body = {
        **GOOD,
        "messages": [{"role": "user", "content": f"[[tool:{'x' * 8} {{}}]] {SCRIPT}"}],
        "user": SCRIPT,
        "tools": [{"type": "function", "function": {"name": "x" * 8, "description": SCRIPT}}],
    }
    said = {**GOOD, "messages": [{"role": "user", "content": f"[[say:{SCRIPT}]] go"}]}
    found = [await send(router, body), await send(router, said)]
    found.append(await send(router, {**GOOD, "model": SCRIPT}))
    trace = found[0].headers["x-openfusion-trace-id"]
    for path in (*PATHS, f"/v1/traces/{trace}", "/debug/route"):
        method = "POST" if path == "/debug/route" else "GET"
        found.append(
            await send(
                router, body if method == "POST" else None, method=method, path=f"/..{path}",
                headers={} if path == "/" else {"Accept": HTML},  # there it leads a browser to the page
            )
        )  # fmt: skip
    return found


async def test_s54_from_the_root_a_browser_is_led_to_our_own_page_and_told_nothing(router):
    reply = await send(router, None, method="GET", path="/../", headers={"Accept": HTML})
    assert (reply.status, reply.headers["location"], reply.raw) == (303, "/ui", b"")


async def test_s51_what_a_model_or_client_says_comes_as_json_never_as_a_page(router):
    for reply in await everything(router):
        if SCRIPT in reply.shown:
            assert reply.kind == "application/json"
            assert SCRIPT not in "".join(f"{k}{v}" for k, v in reply.headers.items())


async def test_s51_on_the_page_it_is_text(router):
    await everything(router)
    listed = await send(router, None, method="GET", path="/traces")
    traces = [f"/ui/traces/{row['trace_id']}" for row in listed.body["data"][:3]]
    views = [r.path for r in ROUTES if r.method == "GET" and "{" not in r.path]
    for path in (*views, *traces):
        reply = await send(router, None, method="GET", path=f"/..{path}")
        assert SCRIPT not in reply.shown, path
        assert "<script src=//" not in reply.shown, path
        assert "default-src 'none'; script-src 'self'" in reply.headers["content-security-policy"]


async def test_s53_no_type_is_left_to_be_guessed(router):
    stream = await send(router, {**GOOD, "stream": True})
    assert stream.kind == "text/event-stream"
    kinds = {reply.kind for reply in await everything(router) if reply.status != 303}
    assert kinds == {
        "application/json",
        "text/plain",
    }  # the latter are the metrics, whose words are ours


async def test_s54_no_answer_outside_the_page_is_one_whatever_is_accepted(router):
    for reply in await everything(router):
        if reply.status == 303:  # a browser at / is led to the page, without a word
            assert reply.raw == b""
            continue
        assert reply.kind in ("application/json", "text/plain")
        assert "<html" not in reply.shown.lower()
        if reply.kind == "text/plain":
            assert "<script" not in reply.shown


async def test_s55_no_answer_names_another_host_or_a_script(router):
    for reply in await everything(router):
        assert reply.headers.get("location") in (None, "/ui")
        assert "link" not in reply.headers
        assert "refresh" not in reply.headers


# -- what it is made of ----------------------------------------------------------------------------------------------


async def test_s62_dependencies_are_few_and_have_bounds():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    # The card's six and what each of them or of the page is built on; four are the page's, two of which come with rich.
    # One is the chat's: with what it needs 1.2 MB of wheels, loaded at a terminal alone.
    assert len(project["dependencies"]) <= 18
    assert all(re.fullmatch(r"[\w.-]+>=[\d.]+", d) for d in project["dependencies"])
