"""How a server begins to listen; its life is played in tests/cli/test_serve.py, as one of several in test_workers.py."""

import socket

import pytest

from openfusion_auto.config.load import load
from openfusion_auto.errors import ConfigError
from openfusion_auto.server.build import build
from openfusion_auto.server.serving import serve


async def test_an_address_that_cannot_be_had_is_said_with_what_to_do(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = load(None, {"OPENFUSION_STATE_DIR": str(tmp_path)}, {"port": port}, tmp_path)
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port}.*--port"):
            await serve(build(settings, dry_run=True), settings, print)
