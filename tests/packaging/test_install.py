"""`docs/how-to/deploy.md`, "As a command of your own": its commands, as they stand there, with the real tools."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from openfusion_auto import __version__
from tests.conftest import missing

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "how-to" / "deploy.md").read_text(encoding="utf-8")
SECTION = re.search(r"## As a command of your own\n(.*?)\n## ", PAGE, re.DOTALL)[1]
TYPED = [line for block in re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL) for line in block.splitlines()]  # fmt: skip
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_name_and_the_extras_are_the_project_s():
    assert set(re.findall(r"openfusion-[a-z]+", SECTION)) == {PROJECT["name"]}
    extras = {e for found in re.findall(r"\[([a-z,]+)\]'", SECTION) for e in found.split(",")}
    assert extras <= set(PROJECT["optional-dependencies"])
    assert len(TYPED) == 4


@pytest.mark.packaging
@pytest.mark.timeout(300)
@pytest.mark.parametrize("tool", ["pipx", "uv"])
def test_it_is_installed_runs_and_goes_again(tool, tmp_path):
    ours = Path(sys.executable).parent
    path = f"{tmp_path / 'bin'}{os.pathsep}{ours}{os.pathsep}{os.environ['PATH']}"
    if shutil.which(tool, path=path) is None:
        missing(f"{tool} is not installed")
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")} | {
        "PATH": path,
        "PIPX_HOME": str(tmp_path / "home"),
        "PIPX_BIN_DIR": str(tmp_path / "bin"),
        "PIPX_DEFAULT_PYTHON": sys.executable,
        "UV_TOOL_DIR": str(tmp_path / "home"),
        "UV_TOOL_BIN_DIR": str(tmp_path / "bin"),
        "UV_PYTHON": sys.executable,
    }
    if "PIP_FIND_LINKS" in env:  # uv does not ask pip where packages are
        env["UV_FIND_LINKS"] = env["PIP_FIND_LINKS"]
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("openfusion_auto", "candidates", "receipts", "adapters"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree / name)

    def run(*command):
        done = subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, check=False)  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    install, uninstall = (line for line in TYPED if line.startswith(tool))
    run("bash", "-c", install)
    program = tmp_path / "bin" / "openfusion"
    assert run(program, "--version").strip() == f"openfusion {__version__}"
    assert "risk" in run(program, "route", "Fix the failing test")
    run("bash", "-c", uninstall)
    assert not program.exists()
