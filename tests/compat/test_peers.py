"""How a peer is run, with a small server in its place."""

import contextlib
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.compat.peers import ANTHROPIC, OPENAI, PEERS, Peer, end, serving, wait_for

LISTENS = """
import os, socket, sys, time
s = socket.socket(); s.bind(("127.0.0.1", int(sys.argv[1]))); s.listen()
print(os.environ.get("ASKS"), os.environ.get("OPENAI_API_KEY"), os.environ["HOME"], flush=True)
time.sleep(60)
"""


def peer(program):
    def command(_folder, port, _url, _behind):
        return [sys.executable, "-c", program, str(port)]

    return Peer("it", "it", "", lambda _folder: "1", command, key_env="ASKS")


def test_it_is_started_with_an_empty_home_and_its_key_and_ended(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mine")
    with serving(peer(LISTENS), tmp_path, "http://x/v1", OPENAI, "sk-1") as url:
        port = int(url.split(":")[2].split("/")[0])
        socket.create_connection(("127.0.0.1", port)).close()
        (log,) = tmp_path.glob("log-*")
    assert log.read_text().split() == ["sk-1", "None", str(tmp_path)]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_one_that_ends_says_what_it_said(tmp_path):
    gone = peer("import sys; sys.exit('no master key')")
    with (
        pytest.raises(RuntimeError, match=r"exit 1\):\nno master key"),
        serving(gone, tmp_path, "", OPENAI, ""),
    ):
        pass


def test_one_that_does_not_listen_is_not_waited_for_long(tmp_path):
    log = tmp_path / "log"
    log.write_text("thinking")
    with contextlib.closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))  # nobody else gets the port, and nobody listens on it
        process = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True
        )
        began = time.monotonic()
        with pytest.raises(RuntimeError, match="thinking"):
            wait_for(process, held.getsockname()[1], log, ready_s=0.3)
        end(process)
    assert process.poll() is not None
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("behind", [OPENAI, ANTHROPIC], ids=["openai", "anthropic"])
@pytest.mark.parametrize("which", PEERS, ids=lambda p: p.name)
def test_its_command_stays_on_this_machine_and_in_its_folder(which, behind, tmp_path):
    url = "http://127.0.0.1:9/v1"
    command = which.command(tmp_path, 1234, url, behind)
    assert "1234" in " ".join(command)
    assert any(Path(part).is_relative_to(tmp_path) for part in command)
    told = " ".join(
        [*which.headers(url, behind).values(), *(p.read_text() for p in tmp_path.iterdir())]
    )
    assert "http://127.0.0.1:9" in told
