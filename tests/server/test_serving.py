"""How a server begins to listen; its life is played in tests/cli/test_serve.py, as one of several in test_workers.py."""

import errno
import gc
import os
import socket
import sys

import pytest

from openfusion_auto.config.load import load
from openfusion_auto.errors import ConfigError, cannot_listen
from openfusion_auto.server.build import build
from openfusion_auto.server.serving import COLLECT_AT, SWITCH_S, serve, tuned


async def test_an_address_that_cannot_be_had_is_said_with_what_to_do(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = load(None, {"OPENFUSION_STATE_DIR": str(tmp_path)}, {"port": port}, tmp_path)
        with pytest.raises(
            ConfigError,
            match=rf"127.0.0.1:{port} \(address already in use\): is another openfusion running.*--port",
        ):
            await serve(build(settings, dry_run=True), settings, print)


def test_a_running_server_tunes_the_interpreter_and_leaves_it_as_it_was():
    thresholds, switch_s = gc.get_threshold(), sys.getswitchinterval()
    with pytest.raises(KeyError), tuned():
        assert gc.get_threshold() == COLLECT_AT
        assert COLLECT_AT[0] > thresholds[0]
        assert sys.getswitchinterval() == pytest.approx(SWITCH_S)
        assert switch_s > SWITCH_S
        raise KeyError
    assert gc.get_threshold() == thresholds
    assert sys.getswitchinterval() == pytest.approx(switch_s)


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.EACCES, "from 1024 on"),
        (errno.EADDRNOTAVAIL, "an address of this machine?"),
        (errno.EADDRINUSE, "another openfusion"),
    ],
)
def test_why_an_address_cannot_be_had_is_said_once_with_what_to_do(number, hint):
    long = f"error while attempting to bind on address ('::1', 80, 0, 0): {os.strerror(number).lower()}"
    said = cannot_listen("::1", 80, OSError(number, long)).message
    assert said.startswith(f"cannot listen on ::1:80 ({os.strerror(number).lower()}): ")
    assert hint in said
