"""Completion as a shell does it: bash reads the script and presses the key."""

import shlex
import subprocess
import sys

import pytest

from .processes import environment

PRESS = """
eval "$(openfusion completion bash)"
compopt() { echo "compopt $1 $2"; }  # a shell without a line to edit has none
press() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _openfusion_completion openfusion; echo "${COMPREPLY[@]}"; }
"""


@pytest.fixture
def bash(folder, tool):
    """Run lines in bash, where `openfusion` is ours; returns the lines that came."""
    programs = folder / "bin"
    programs.mkdir()
    shim = programs / "openfusion"
    shim.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m openfusion_auto "$@"\n')
    shim.chmod(0o755)
    path = f"{programs}:{environment()['PATH']}"

    def run(script):
        done = subprocess.run(
            [tool("bash"), "--norc", "-c", script], env=environment(PATH=path), cwd=folder,
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        assert done.stderr == ""
        return done.stdout.splitlines()

    return run


def test_bash_completes_commands_options_names_and_files(bash, configured):
    commands, options, models, clients, files = bash(
        PRESS
        + "press openfusion tr; press openfusion ask --mod; press openfusion ask --model coder;"
        + "press openfusion adapter install co; press openfusion receipt verify ./x"
    )[:5]
    assert commands == "trace"
    assert options == "--model --mode"
    assert models == "coder-a"
    assert clients == "codex continue"
    assert files == "compopt -o default"


@pytest.mark.parametrize(("shell", "says"), [("bash", "complete -o nosort -F"), ("zsh", "#compdef openfusion"), ("fish", "complete --no-files --command openfusion")])  # fmt: skip
def test_each_shell_gets_its_script(run, shell, says):
    done = run("completion", shell)
    assert done.code == 0
    assert says in done.out
    assert "_OPENFUSION_COMPLETE" in done.out


def test_another_shell_is_wrong_usage(run):
    done = run("completion", "tcsh")
    assert (done.code, "Invalid value for 'SHELL': 'tcsh' is not one of" in done.err) == (2, True)
