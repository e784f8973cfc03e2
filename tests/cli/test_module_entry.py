"""`python -m openfusion_auto` is the command line."""

import subprocess
import sys

from .processes import environment


def test_the_package_runs_as_a_module_with_the_same_exit_codes():
    for args, code in ((["--version"], 0), (["nope"], 2)):
        done = subprocess.run(
            [sys.executable, "-m", "openfusion_auto", *args],
            env=environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == code
        assert "openfusion" in done.stdout + done.stderr
