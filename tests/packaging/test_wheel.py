"""What is in the wheel, name by name, and that it runs where it is installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

from openfusion_auto import __version__

ROOT = Path(__file__).resolve().parent.parent.parent
NAME = f"openfusion_auto-{__version__}"

# Data that ships, file by file: a new one is added here on purpose, a user's file never by accident.
DATA = {
    "openfusion_auto/_data/adapters/aider/adapter.toml",
    "openfusion_auto/_data/adapters/aider/metadata.json",
    "openfusion_auto/_data/adapters/aider/template.yml",
    "openfusion_auto/_data/adapters/claude-code/adapter.toml",
    "openfusion_auto/_data/adapters/claude-code/template.json",
    "openfusion_auto/_data/adapters/claude-code-mcp/adapter.toml",
    "openfusion_auto/_data/adapters/claude-code-mcp/template.json",
    "openfusion_auto/_data/adapters/cline/adapter.toml",
    "openfusion_auto/_data/adapters/cline/template.json",
    "openfusion_auto/_data/adapters/cline-mcp/adapter.toml",
    "openfusion_auto/_data/adapters/cline-mcp/template.json",
    "openfusion_auto/_data/adapters/codex/adapter.toml",
    "openfusion_auto/_data/adapters/codex/template.toml",
    "openfusion_auto/_data/adapters/codex-mcp/adapter.toml",
    "openfusion_auto/_data/adapters/codex-mcp/template.toml",
    "openfusion_auto/_data/adapters/continue/adapter.toml",
    "openfusion_auto/_data/adapters/continue/template.yaml",
    "openfusion_auto/_data/adapters/crush/adapter.toml",
    "openfusion_auto/_data/adapters/crush/template.sh",
    "openfusion_auto/_data/adapters/goose/adapter.toml",
    "openfusion_auto/_data/adapters/goose/template.json",
    "openfusion_auto/_data/adapters/kilo/adapter.toml",
    "openfusion_auto/_data/adapters/kilo/template.json",
    "openfusion_auto/_data/adapters/litellm/adapter.toml",
    "openfusion_auto/_data/adapters/litellm/template.yaml",
    "openfusion_auto/_data/adapters/opencode/adapter.toml",
    "openfusion_auto/_data/adapters/opencode/template.json",
    "openfusion_auto/_data/adapters/opencode-mcp/adapter.toml",
    "openfusion_auto/_data/adapters/opencode-mcp/template.json",
    "openfusion_auto/_data/adapters/pi/adapter.toml",
    "openfusion_auto/_data/adapters/pi/template.json",
    "openfusion_auto/_data/adapters/qwen-code/adapter.toml",
    "openfusion_auto/_data/adapters/qwen-code/template.json",
    "openfusion_auto/_data/candidates/default.toml",
    "openfusion_auto/_data/candidates/local.toml",
    "openfusion_auto/_data/receipts/cases/coding-agent.toml",
    "openfusion_auto/_data/receipts/cases/tools.toml",
    "openfusion_auto/_data/receipts/schemas/decision.schema.json",
    "openfusion_auto/_data/receipts/schemas/pool.schema.json",
    "openfusion_auto/_data/receipts/schemas/receipt.schema.json",
    "openfusion_auto/_data/receipts/schemas/trace.schema.json",
    "openfusion_auto/core/reading.npz",
    "openfusion_auto/py.typed",
}
DIST_INFO = {
    f"{NAME}.dist-info/{name}"
    for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
}
# A user's own files, which git ignores or has never seen.
STRAY = (
    "receipts/local/mine.json",
    "receipts/mine.json",
    "receipts/cases/mine.toml",
    "candidates/mine.toml",
    "adapters/mine.toml",
    "openfusion.toml",
    ".env",
)

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(300)]


def run(command, cwd, **env):
    done = subprocess.run(
        [str(c) for c in command],
        cwd=cwd,
        # What is installed is meant, not what the caller's path points at.
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Return a copy of the sources with a user's own files in it, as a checkout in use has them."""
    tree = tmp_path_factory.mktemp("source") / "tree"
    tree.mkdir()
    unwanted = shutil.ignore_patterns("__pycache__", "*.pyc", "node_modules")
    for name in ("openfusion_auto", "candidates", "receipts", "adapters", "tests", "docs"):
        shutil.copytree(ROOT / name, tree / name, ignore=unwanted)
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, tree / name)
    for name in STRAY:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("private")
    return tree


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", out, source], out)
    (made,) = out.iterdir()
    return made


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Return the `bin` folder of a fresh environment with the wheel in it; dependencies are this environment's."""
    home = tmp_path_factory.mktemp("env") / "venv"
    run([sys.executable, "-m", "venv", home], home.parent)
    scripts = home / ("Scripts" if os.name == "nt" else "bin")
    pip = [scripts / "python", "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    run([*pip, "--no-deps", "--no-index", wheel], home.parent)
    packages = run(
        [scripts / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], home
    )
    # A plain path: the .pth files of that folder, among them an editable install's, are not read.
    Path(packages.strip(), "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return scripts


def test_the_wheel_holds_the_package_its_data_and_nothing_else(wheel, source):
    package = source / "openfusion_auto"
    page = [p for name in ("templates", "static") for p in (package / "page" / name).iterdir()]
    modules = {str(p.relative_to(source).as_posix()) for p in [*package.rglob("*.py"), *page]}
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
    assert len(names) == len(set(names))
    assert set(names) == modules | DATA | DIST_INFO


def test_no_file_of_a_user_and_no_test_is_in_the_wheel(wheel):
    with zipfile.ZipFile(wheel) as opened:
        assert not [n for n in opened.namelist() if "mine" in n or "tests/" in n or ".env" in n]
        assert not [n for n in opened.namelist() if opened.read(n) == b"private"]


def test_the_wheel_says_what_it_is(wheel):
    with zipfile.ZipFile(wheel) as opened:
        said = opened.read(f"{NAME}.dist-info/METADATA").decode()
        points = opened.read(f"{NAME}.dist-info/entry_points.txt").decode()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"Version: {project['version']}" in said
    assert "License-Expression: MIT" in said
    assert (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[0] in said
    assert "openfusion = openfusion_auto.cli.main:main" in points


def test_the_installed_package_is_the_wheel_not_the_checkout(installed, tmp_path):
    where = run(
        [installed / "python", "-c", "import openfusion_auto as o; print(o.__file__)"], tmp_path
    )
    assert Path(where.strip()).is_relative_to(installed.parent)


def test_the_installed_data_is_found(installed, tmp_path):
    code = (
        "from openfusion_auto import load_pool, shipped_pool\n"
        "for name in ('default', 'local'):\n"
        "    path = shipped_pool(name)\n"
        "    print(path, len(load_pool(path).candidates))"
    )
    lines = run([installed / "python", "-c", code], tmp_path).splitlines()
    assert len(lines) == 2
    for line in lines:
        path, count = line.rsplit(" ", 1)
        assert Path(path).is_relative_to(installed.parent)
        assert int(count) >= 1


def test_the_installed_adapters_are_found(installed, tmp_path):
    said = json.loads(run([installed / "openfusion", "adapter", "codex", "--json"], tmp_path))
    assert said["start"] == "codex"
    listed = json.loads(run([installed / "openfusion", "adapter", "list", "--json"], tmp_path))
    assert len(listed["data"]) == 12


def test_the_installed_command_shows_its_help(installed, tmp_path):
    said = run([installed / "openfusion", "--help"], tmp_path)
    assert "route" in said
    assert "serve" in said


def test_the_installed_command_routes(installed, tmp_path):
    said = json.loads(run([installed / "openfusion", "route", "hi", "--json"], tmp_path))
    assert said["object"] == "openfusion.route"
    assert said["decision"]["digest"].startswith("sha256:")
    assert said["decision"]["plan"]["steps"]
