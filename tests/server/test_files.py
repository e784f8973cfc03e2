"""The bound of open files is raised as far as it may be, and nothing breaks where it may not."""

import subprocess
import sys

import pytest

from openfusion_auto.server import files

resource = pytest.importorskip("resource")


def in_a_process(soft):
    """Return what `allow_connections` makes of a soft bound, in a process of its own."""
    code = (
        "import resource; from openfusion_auto.server.files import allow_connections; "
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]; "
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, hard)); "
        "print(allow_connections(), resource.getrlimit(resource.RLIMIT_NOFILE)[0], hard)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [int(n) for n in out.stdout.split()]


def test_a_low_bound_is_raised_and_the_hard_one_is_kept():
    told, now, hard = in_a_process(64)
    assert told == now
    assert now == (files.WANTED if hard == resource.RLIM_INFINITY else min(files.WANTED, hard))


@pytest.mark.parametrize("soft", [10**6, resource.RLIM_INFINITY])
def test_a_bound_that_is_high_enough_stays(monkeypatch, soft):
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (soft, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", lambda *_args: pytest.fail("changed"))
    assert files.allow_connections() == (None if soft == resource.RLIM_INFINITY else soft)


@pytest.mark.parametrize(
    ("bound", "clients"), [(None, None), (4, 1), (64, 16), (1024, 480), (files.WANTED, 32_736)]
)
def test_each_client_has_room_for_an_upstream_and_the_server_for_itself(bound, clients):
    assert files.most_clients(bound) == clients


def test_a_system_that_refuses_leaves_it_as_it_was(monkeypatch):
    def refuse(*_args):
        raise ValueError

    monkeypatch.setattr(resource, "getrlimit", lambda _which: (256, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert files.allow_connections() == 256


def test_a_system_without_such_a_bound_has_none(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    assert files.allow_connections() is None
