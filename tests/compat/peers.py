"""Other gateways, by the name that their registry knows: how each is installed, started before a model, and ended.

Each lives in a folder of its own, with an empty home; it is told to send nothing home, and ended by its process's id.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from openfusion_auto.core.prompt import Dialect

READY_S = 90.0  # [s] LiteLLM takes 10 to 30
ENDS_S = 10.0
KEY = "sk-nobody"  # what the scripted model would be shown; it asks for none
OPENAI: frozenset[Dialect] = frozenset({"chat", "responses"})
ANTHROPIC: frozenset[Dialect] = frozenset({"messages"})


@dataclass(frozen=True)
class Peer:
    """A gateway.

    Attributes:
        package: Its name in the registry, for the page.
        install: Puts the newest version into a folder; returns the version.
        command: The program for (folder, port, the model's URL up to /v1, the dialects behind).
        headers: What each request needs beside the usual, for (the model's URL, the dialects behind).
        about: How it was set up, for the page.
        env: What its process needs to know.
        key_env: The variable that gives it the key it asks clients for; "" when it asks for none.
    """

    name: str
    package: str
    about: str
    install: Callable[[Path], str]
    command: Callable[[Path, int, str, frozenset[Dialect]], Sequence[str]]
    headers: Callable[[str, frozenset[Dialect]], Mapping[str, str]] = lambda _url, _behind: {}
    env: Mapping[str, str] = field(default_factory=dict)
    key_env: str = ""


# -- LiteLLM ---------------------------------------------------------------------------------------------------------


def _install_litellm(folder: Path) -> str:
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "-q", "litellm[proxy]"]
    subprocess.run(pip, check=True)
    ask = "import importlib.metadata as m; print(m.version('litellm'))"
    shown = subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True)
    return shown.stdout.strip()


def _litellm(folder: Path, port: int, url: str, behind: frozenset[Dialect]) -> Sequence[str]:
    maker, base = ("openai", url) if behind == OPENAI else ("anthropic", url.removesuffix("/v1"))
    params = {"model": f"{maker}/scripted-model", "api_base": base, "api_key": KEY}
    config = {"model_list": [{"model_name": "scripted-model", "litellm_params": params}]}
    path = folder / f"{maker}.yaml"
    path.write_text(json.dumps(config))  # JSON is YAML
    program = str(folder / "venv" / "bin" / "litellm")
    return [program, "--config", str(path), "--host", "127.0.0.1", "--port", str(port)]


# -- Portkey ---------------------------------------------------------------------------------------------------------


# The one of its own lock file, which npm does not read; newer ones make each of its streams a 500:
# https://github.com/Portkey-AI/gateway/issues/1389 and pull request 1605.
HONO_SERVER = "1.13.5"


def _install_portkey(folder: Path) -> str:
    wanted = {
        "private": True,
        "dependencies": {"@portkey-ai/gateway": "latest"},
        "overrides": {"@hono/node-server": HONO_SERVER},
    }
    (folder / "package.json").write_text(json.dumps(wanted))
    npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
    subprocess.run([*npm, "--prefix", folder], check=True)
    manifest = folder / "node_modules" / "@portkey-ai" / "gateway" / "package.json"
    return str(json.loads(manifest.read_text())["version"])


def _portkey(folder: Path, port: int, _url: str, _behind: frozenset[Dialect]) -> Sequence[str]:
    server = folder / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    return ["node", str(server), "--headless", f"--port={port}"]


def _portkey_headers(url: str, behind: frozenset[Dialect]) -> Mapping[str, str]:
    provider = "openai" if behind == OPENAI else "anthropic"
    named = {"x-portkey-provider": provider, "x-portkey-custom-host": url}
    return {**named, "Authorization": f"Bearer {KEY}"}


PEERS: Sequence[Peer] = (
    Peer(
        "LiteLLM",
        "`litellm[proxy]`, PyPI",
        "`model_list` with one `openai/` or `anthropic/` model and its `api_base`; a master key, no database",
        _install_litellm,
        _litellm,
        env={"LITELLM_TELEMETRY": "False", "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        key_env="LITELLM_MASTER_KEY",
    ),
    Peer(
        "Portkey",
        "`@portkey-ai/gateway`, npm",
        "the headers `x-portkey-provider` and `x-portkey-custom-host`, as it has no file to configure; with "
        f"`@hono/node-server` {HONO_SERVER} as in its lock file: what npm takes makes its streams 500s (its issue 1389)",
        _install_portkey,
        _portkey,
        _portkey_headers,
    ),
)


# -- running one -----------------------------------------------------------------------------------------------------


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serving(
    peer: Peer, folder: Path, url: str, behind: frozenset[Dialect], key: str
) -> Iterator[str]:
    """Run an installed peer before a model at `url`; yields its address up to /v1. `key`: what it asks clients for.

    Raises:
        RuntimeError: it ends, or does not listen within `READY_S`; the message holds the end of its log.
    """
    port = free_port()
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "SYSTEMROOT")}
    asks = {peer.key_env: key} if peer.key_env else {}
    log = folder / f"log-{port}.txt"
    with log.open("wb") as out:
        process = subprocess.Popen(
            peer.command(folder, port, url, behind),
            cwd=folder,
            env={**kept, "HOME": str(folder), "DO_NOT_TRACK": "1", **peer.env, **asks},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for(process, port, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        end(process)


def wait_for(
    process: subprocess.Popen[bytes], port: int, log: Path, ready_s: float = READY_S
) -> None:
    """Return once a process listens on a port; see `serving` for the errors."""
    until = time.monotonic() + ready_s
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        time.sleep(0.1)
    tail = log.read_bytes()[-2000:].decode("utf-8", "replace")
    raise RuntimeError(f"{process.args!r} does not listen (exit {process.poll()}):\n{tail}")


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and what it started, by its id: kindly, then not."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(ENDS_S)
            return
