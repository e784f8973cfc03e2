"""The guards that all other tests stand on."""

from __future__ import annotations

import os
import socket
import sys

import pytest
from hypothesis import settings
from hypothesis.internal.conjecture.providers import HypothesisProvider

from openfusion_auto.core.decide import decide
from tests.conftest import NetworkBlocked, is_loopback, missing
from tests.support.inner import inner_environment


@pytest.fixture
def blocked(network_guard):
    """Take back what a test tried on purpose, so that it is not failed for it."""
    tried: list[str] = []
    yield tried
    assert network_guard.blocked == tried
    network_guard.blocked.clear()


def test_connecting_beyond_this_machine_is_an_error(blocked):
    with socket.socket() as sock, pytest.raises(NetworkBlocked):
        sock.connect(("192.0.2.1", 80))
    with socket.socket() as sock, pytest.raises(NetworkBlocked):
        sock.connect_ex(("192.0.2.1", 80))
    with socket.socket(type=socket.SOCK_DGRAM) as sock, pytest.raises(NetworkBlocked):
        sock.sendto(b"x", ("192.0.2.1", 53))
    blocked += ["192.0.2.1"] * 3


def test_looking_up_a_name_is_an_error(blocked):
    with pytest.raises(NetworkBlocked):
        socket.getaddrinfo("example.com", 443)
    blocked.append("example.com")


async def test_asyncio_is_blocked_too(blocked):
    import asyncio

    with pytest.raises(NetworkBlocked):
        await asyncio.open_connection("192.0.2.1", 80)
    blocked.append("192.0.2.1")


def test_a_swallowed_attempt_still_fails_the_test(pytester_run):
    out = pytester_run(
        """
        import socket
        def test_swallows():
            try:
                socket.socket().connect(("192.0.2.1", 80))
            except OSError:
                pass
        """
    )
    assert "1 error" in out
    assert "the test reached for 192.0.2.1" in out


def test_loopback_is_open():
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        accepted, _ = server.accept()
        accepted.close()
        assert client.getpeername()[0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("::1%lo", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("::", False),
        ("localhost.example.com", False),
    ],
)
def test_what_counts_as_loopback(host, answer):
    assert is_loopback(host) is answer


def test_settings_of_the_developer_are_out_of_the_environment():
    mine = {n for n in os.environ if n.startswith("OPENFUSION_")}
    assert {n for n in mine if not n.startswith("OPENFUSION_TEST_")} == {"OPENFUSION_STATE_DIR"}
    assert not [n for n in os.environ if n.endswith("_API_KEY")]


def test_examples_are_the_same_everywhere(request):
    if request.config.getoption("--hypothesis-profile"):
        pytest.skip("a profile was chosen on the command line")
    assert settings.default.derandomize
    assert settings.default.max_examples == 30


def test_examples_do_not_depend_on_what_was_imported_before():
    assert decide.__module__ in sys.modules  # its constants would be drawn
    assert not [*HypothesisProvider(None)._local_constants]


def test_a_missing_tool_fails_in_ci_and_is_skipped_elsewhere(monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no such tool"):
        missing("no such tool")
    monkeypatch.setenv("CI", "")
    with pytest.raises(pytest.skip.Exception, match="no such tool"):
        missing("no such tool")


def test_a_tool_that_is_there_is_found(tool, monkeypatch):
    assert tool("git").endswith("git")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="'of-no-such-program' is not installed"):
        tool("of-no-such-program")


def test_an_npm_package_is_looked_up_under_its_prefix(npm_package, monkeypatch, tmp_path):
    (tmp_path / "node_modules" / "openai").mkdir(parents=True)
    monkeypatch.setenv("OPENFUSION_TEST_NPM", str(tmp_path))
    assert npm_package("openai") == tmp_path / "node_modules" / "openai"
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="npm install"):
        npm_package("other")


@pytest.fixture
def pytester_run(tmp_path):
    """Return a function that runs a test file under this conftest in its own process and gives pytest's output."""
    import subprocess
    import sys
    import textwrap
    from pathlib import Path

    root = Path(__file__).resolve().parent.parent

    def run(source: str) -> str:
        (tmp_path / "test_inner.py").write_text(textwrap.dedent(source))
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:cacheprovider",
                "-p",
                "tests.conftest",
                "--rootdir",
                str(tmp_path),
                "test_inner.py",
            ],
            cwd=tmp_path,
            env=inner_environment(PYTHONPATH=str(root)),
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout + done.stderr

    return run


def test_garbage_is_collected_again_while_tests_run(pytester_run):
    # In a process of its own: a test of the server lets go of what was passed over.
    out = pytester_run(
        """
        import gc
        def test_it_is_on():
            assert gc.isenabled()
            assert gc.get_freeze_count() > 10_000
        """
    )
    assert "1 passed" in out
