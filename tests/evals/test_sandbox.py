"""A model's code runs in bounds: nothing of our environment, no network, an end in any case, nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from openfusion_auto.errors import ConfigError
from openfusion_auto.evals import sandbox
from openfusion_auto.evals.sandbox import Ran, Sandbox, failure

LONG_S = 60.0  # patience on a busy machine


def run(code, tests="", *, timeout_s=LONG_S):
    return Sandbox().run(code, tests, timeout_s=timeout_s)


def test_tests_decide():
    assert run("def f(x):\n    return x + 1", "assert f(1) == 2") == Ran(True, "the tests pass")
    assert run("def f(x):\n    return x", "assert f(1) == 2") == Ran(
        False, "the tests fail: AssertionError"
    )


def test_code_that_ends_itself_has_not_passed():
    assert run("import sys\nsys.exit(0)", "assert False").detail == "it ended before its tests did"


def test_what_does_not_end_is_ended_with_all_that_it_started(tmp_path):
    marks = tmp_path / "pid"
    code = (
        f"import os\nopen({str(marks)!r}, 'w').write(str(os.getpid()))\nimport time\ntime.sleep(60)"
    )
    found = run(code, timeout_s=2.0)
    assert found == Ran(False, "not done after 2 s")
    if marks.exists():  # on a machine that is slow enough it had not begun
        with pytest.raises(ProcessLookupError):
            os.kill(int(marks.read_text()), 0)


def test_memory_and_files_are_bounded():
    assert run("x = bytearray(2 * 10**9)").detail == "the tests fail: MemoryError"
    assert run("open('big', 'wb').write(b'x' * 20_000_000)").detail == "the tests fail: OSError"


def test_nothing_of_our_environment_is_there(monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "sk-secret")
    tests = "import os\nassert 'SOME_API_KEY' not in os.environ\nassert len(os.environ) <= 5, os.environ"
    assert run("", tests).passed
    assert run("", "import sys\nassert sys.flags.isolated").passed


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has namespaces")
def test_the_network_is_another_where_the_kernel_lets_anyone_make_one():
    probe = "import ctypes, sys; sys.exit(ctypes.CDLL(None).unshare(0x50000000) != 0)"
    may = subprocess.run([sys.executable, "-c", probe], check=False).returncode == 0
    reaches = "import socket\ns = socket.socket()\ns.bind(('127.0.0.1', 0))\ns.listen()\n"
    reaches += "socket.create_connection(s.getsockname(), 5)"
    assert run(reaches).passed is not may


def test_what_the_code_prints_is_not_told():
    found = run("import sys\nprint('secret', file=sys.stderr)\nraise SystemExit('more secrets')")
    assert "secret" not in found.detail


def test_no_folder_is_left(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    run("open('left', 'w').write('x')")
    assert list(tmp_path.iterdir()) == []


def test_a_signal_is_named():
    assert failure(-9, b"") == "ended by SIGKILL"
    assert failure(1, b"Traceback\nValueError: something of the prompt") == "ValueError"
    assert failure(1, b"module.Error: x") == "module.Error"
    assert failure(3, b"any text at all") == "exit code 3"


def test_it_needs_a_system_with_limits(monkeypatch):
    monkeypatch.setattr(sandbox.os, "name", "nt")
    with pytest.raises(ConfigError, match="POSIX"):
        run("x = 1")


def test_the_launcher_stands_beside_its_module():
    assert Path(sandbox.__file__).with_name("sandbox_child.py").is_file()
