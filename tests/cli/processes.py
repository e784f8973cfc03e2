"""The command line as a process of its own."""

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

import openfusion_auto

PACKAGE = str(Path(openfusion_auto.__file__).resolve().parents[1])
READY = re.compile(r"^openfusion \S+ ready on (http://\S+) \(openfusion/auto, (.+)\)$")


def environment(**more):
    """The environment of a process that can import this package."""
    return {**os.environ, "PYTHONPATH": PACKAGE, **more}


def start_process(*args, env=None, program=("-m", "openfusion_auto"), **kwargs):
    return subprocess.Popen(
        [sys.executable, *program, *args],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
        env=env or environment(), **kwargs,
    )  # fmt: skip


@contextmanager
def serving(*args, env=None, cwd=None, **more):
    """A server as a process of its own; gives (address, what its line said, process)."""
    process = start_process("serve", "--port", "0", *args, env=env, cwd=cwd, **more)
    try:
        lines = []
        for line in process.stderr:
            lines.append(line.rstrip("\n"))
            found = READY.match(lines[-1])
            if found:
                yield found[1], lines, process
                break
        else:
            pytest.fail(f"the server ended before it was ready: {lines}")
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        process.communicate()
