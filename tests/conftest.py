"""What holds for every test: no network beyond this machine, no settings of the developer's, one set of examples."""

from __future__ import annotations

import gc
import ipaddress
import os
import shutil
import signal
import socket
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.internal.conjecture import providers

# `pytest` plays the same examples on every machine; `pytest --hypothesis-profile=dev` looks for new ones.
# Examples are not timed: other work on the machine must not fail a test.
settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    max_examples=30,  # the same ones each time: more of them find little that these do not
    # A failure is told as it was found. To shrink one takes up to five minutes; the end of a test's minute, which falls
    # into it, is shown as a FlakyStrategyDefinition and hides what failed. `dev` shrinks.
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "dev", deadline=None, max_examples=500, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ci")

# Hypothesis also draws constants that it finds in the modules of the project. Which are imported by now depends on the
# tests that ran before in this process, so a test would play other examples in each run: it gets none of these.
providers._get_local_constants = lambda: NO_CONSTANTS
NO_CONSTANTS = providers.Constants()


# A shell has what it starts in the background ignore Ctrl-C, and so would all that the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# -- collecting ---------------------------------------------------------------------------------------------------------

gc.disable()  # until all is collected: twelve thousand tests are no garbage, and are looked through again and again


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Turn the collector of garbage on behind the collection of tests, and let it pass over all that stays."""
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


# -- no network -----------------------------------------------------------------------------------------------------


class NetworkBlocked(OSError):
    """A test reached for an address beyond this machine."""


class Guard:
    """Lets sockets reach loopback only, and remembers who tried more.

    Remembering matters: code under test turns an `OSError` into its own, and the test might pass.
    """

    def __init__(self) -> None:
        self.blocked: list[str] = []
        self._connect = socket.socket.connect
        self._connect_ex = socket.socket.connect_ex
        self._sendto = socket.socket.sendto
        self._getaddrinfo = socket.getaddrinfo

    def check(self, host: object) -> None:
        """Raise unless `host` is this machine (an address, `localhost`, or nothing: the wildcard of a bind)."""
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        if name in (None, "", "localhost") or is_loopback(str(name)):
            return
        self.blocked.append(str(name))
        raise NetworkBlocked(f"tests may reach this machine only, not {name!r}")

    def check_address(self, family: int, address: object) -> None:
        """Raise unless a socket address is on this machine."""
        if family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple):
            self.check(address[0])

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Put the guard in front of every way out that Python code has."""
        guard = self

        def connect(sock: socket.socket, address: object) -> None:
            guard.check_address(sock.family, address)
            guard._connect(sock, address)

        def connect_ex(sock: socket.socket, address: object) -> int:
            guard.check_address(sock.family, address)
            return guard._connect_ex(sock, address)

        def sendto(sock: socket.socket, data: bytes, *rest: object) -> int:
            guard.check_address(sock.family, rest[-1])
            return guard._sendto(sock, data, *rest)

        def getaddrinfo(host: object, *args: object, **kwargs: object) -> object:
            if not is_number(host):
                guard.check(host)
            return guard._getaddrinfo(host, *args, **kwargs)

        patch.setattr(socket.socket, "connect", connect)
        patch.setattr(socket.socket, "connect_ex", connect_ex)
        patch.setattr(socket.socket, "sendto", sendto)
        patch.setattr(socket, "getaddrinfo", getaddrinfo)


def is_loopback(host: str) -> bool:
    """Whether an address literal is 127.0.0.0/8, ::1, or the former written as IPv6."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def is_number(host: object) -> bool:
    """Whether a host is an address literal: looking it up asks nobody."""
    try:
        ipaddress.ip_address(str(host).partition("%")[0])
    except ValueError:
        return False
    return True


GUARD = Guard()


@pytest.fixture(scope="session", autouse=True)
def _guarded_network() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        GUARD.install(patch)
        yield


@pytest.fixture(autouse=True)
def _no_network_was_tried() -> Iterator[None]:
    before = len(GUARD.blocked)
    yield
    tried = GUARD.blocked[before:]
    del GUARD.blocked[before:]
    if tried:
        pytest.fail(f"the test reached for {', '.join(tried)}; serve it on 127.0.0.1 instead")


@pytest.fixture
def network_guard() -> Guard:
    """Return the guard, for tests of the guard itself."""
    return GUARD


# -- none of the developer's settings --------------------------------------------------------------------------------


@pytest.fixture(scope="session", autouse=True)
def _own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep configuration, keys and state of whoever runs the tests out of them, and of their subprocesses."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in tuple(os.environ):
            if is_personal(name):
                patch.delenv(name)
        patch.setenv("OPENFUSION_STATE_DIR", str(home / "state"))
        patch.setenv("XDG_CONFIG_HOME", str(home / "config"))
        yield


def is_personal(name: str) -> bool:
    """Whether an environment variable holds a setting, a key or a way around the network guard."""
    if name.startswith("OPENFUSION_"):
        return not name.startswith("OPENFUSION_TEST_")
    return name.endswith("_API_KEY") or name.lower().endswith("_proxy")


# -- tools that a machine may lack -----------------------------------------------------------------------------------


def missing(what: str) -> None:
    """End a test whose tool is not there: CI must have every tool, elsewhere the test is skipped."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}; in CI every test runs")
    pytest.skip(what)


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """Return a lookup of programs: `tool("node")` is its path, or the test ends as `missing` says."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            missing(f"the program {name!r} is not installed")
        return str(path)

    return find


@pytest.fixture
def npm_package() -> Callable[[str], Path]:
    """Return a lookup of npm packages under the prefix in `OPENFUSION_TEST_NPM`; see `missing`."""

    def find(name: str) -> Path:
        prefix = os.environ.get("OPENFUSION_TEST_NPM", "")
        path = Path(prefix) / "node_modules" / name
        if not prefix or not path.is_dir():
            missing(
                f"the npm package {name!r} is not there: npm install --prefix DIR {name}, "
                "and set OPENFUSION_TEST_NPM=DIR"
            )
        return path

    return find
