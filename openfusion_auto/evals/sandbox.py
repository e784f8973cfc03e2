"""Runs a model's code with tests behind it: another process, bounded, without environment, network or a way to fork.

This holds back accidents and clumsy code, and on Linux the network where the kernel lets anyone make a namespace. It is
no jail against an attacker: the files of the user can be read. So code runs only when somebody allows it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from openfusion_auto.errors import ConfigError

CHILD = Path(__file__).with_name("sandbox_child.py")
PASSED = "passed"  # the file that is there when the last test is behind: code may end itself with 0
OUTPUT_BYTES = 2_000  # [bytes] of what the tests say that are looked at, from the end
GRACE_S = 1.0  # [s] the processor's limit is above the clock's, so that the clock decides


@dataclass(frozen=True, slots=True)
class Ran:
    """How the tests ended. `detail` is one line without anything that the code printed but an exception's name."""

    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Limits of one run: memory [MB], a written file [MB]."""

    memory_mb: int = 512
    file_mb: int = 8

    def run(self, code: str, tests: str, *, timeout_s: float) -> Ran:
        """Run the code with the tests behind it; passed = it got to the end of them.

        Args:
            code: What the model wrote.
            tests: Plain Python behind it: assertions.
            timeout_s: Of the whole run [s].

        Raises:
            ConfigError: this system has no limits to set.
        """
        if os.name != "posix":
            raise ConfigError(
                "code can be run in bounds on POSIX systems only: leave out --allow-code"
            )
        with tempfile.TemporaryDirectory(prefix="openfusion-sandbox-") as folder:
            program = Path(folder) / "program.py"
            whole = f"{code}\n\n{tests}\n\nopen({PASSED!r}, 'x').close()\n"
            program.write_text(whole, encoding="utf-8", errors="replace")
            return self._run(Path(folder), program, timeout_s)

    def _run(self, folder: Path, program: Path, timeout_s: float) -> Ran:
        limits = (self.memory_mb, self.file_mb, int(timeout_s + GRACE_S) + 1)
        with (folder / "said").open("w+b") as said:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter, our own launcher
                [sys.executable, "-I", "-B", str(CHILD), *map(str, limits), str(program)],
                cwd=folder,
                env={
                    "PATH": os.defpath,
                    "LANG": "C.UTF-8",
                    "HOME": str(folder),
                    "TMPDIR": str(folder),
                },
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,
                close_fds=True,
            )
            try:
                code = process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                return Ran(False, f"not done after {timeout_s:g} s")
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if code == 0:
                done = (folder / PASSED).exists()
                return Ran(done, "the tests pass" if done else "it ended before its tests did")
            size = said.seek(0, os.SEEK_END)
            said.seek(max(0, size - OUTPUT_BYTES))
            return Ran(False, f"the tests fail: {failure(code, said.read())}")


def failure(code: int, said: bytes) -> str:
    """Return why a run failed: the signal, or the name of the last exception; never what was printed."""
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"ended by {signal.Signals(-code).name}"
    last = said.decode("utf-8", "replace").strip().rpartition("\n")[2].partition(":")[0]
    return last[:60] if last.replace(".", "").isidentifier() else f"exit code {code}"
