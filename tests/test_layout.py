"""The shape of the repository: names at the top, sizes, a test module for each module, nothing left over."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "openfusion_auto"

TOP = {
    "pyproject.toml", "README.md", "LICENSE", "openfusion_auto", "candidates", "receipts", "adapters", "tests", "docs",
}  # fmt: skip
MADE = {"build", "dist", "openfusion.toml"}  # may lie about, git ignores them
MAX_MODULE = 450  # [lines]
MAX_FUNCTION = 60  # [lines]

# Longer ones, each with the reason why splitting it would not help a reader.
LONG_MODULES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {}

# Modules without a test module of their own name: where they are tested, and why there.
TESTED_IN: dict[str, tuple[str, str]] = {
    "openfusion_auto/errors.py": ("tests/test_surface.py", "public surface, judged as one tree"),
    "openfusion_auto/store/base.py": (
        "tests/store/test_sqlite.py",
        "a protocol, held by both that implement it",
    ),
    "openfusion_auto/core/words.py": (
        "tests/cli/test_output.py",
        "the terminal's words, asked for by its own name",
    ),
    "openfusion_auto/core/measured.py": (
        "tests/cli/test_stats.py",
        "what the command prints, all of it",
    ),
    "openfusion_auto/core/worth.py": (
        "tests/cli/test_pool_front.py",
        "what the command prints, all of it",
    ),
    "openfusion_auto/evals/front_chart.py": (
        "tests/cli/test_pool_front.py",
        "what the command draws, all of it",
    ),
    "openfusion_auto/core/signs.py": (
        "tests/core/test_actions.py",
        "patterns only, held by the calls that they find",
    ),
    "openfusion_auto/upstream/base.py": (
        "tests/upstream/test_fake.py",
        "protocols, held by what implements them",
    ),
    "openfusion_auto/upstream/dry_run.py": (
        "tests/upstream/test_fake.py",
        "what a dry run says is asked of the fake",
    ),
    "openfusion_auto/upstream/reply.py": (
        "tests/upstream/test_fake.py",
        "the unit of the fake's scripts, played there",
    ),
    "openfusion_auto/runtime/attempt.py": (
        "tests/server/test_faults.py",
        "each failure is played over real sockets",
    ),
    "openfusion_auto/runtime/sending.py": (
        "tests/server/test_portable.py",
        "what is sent is read by who gets it",
    ),
    "openfusion_auto/runtime/engine.py": (
        "tests/server/test_chat.py",
        "the whole way is tested from its outer end",
    ),
    "openfusion_auto/runtime/judging.py": (
        "tests/server/test_info.py",
        "what is decided is asked of the debug route",
    ),
    "openfusion_auto/server/surface.py": (
        "tests/server/test_chat.py",
        "the surfaces are tested by what they answer",
    ),
    "openfusion_auto/runtime/stream.py": (
        "tests/server/test_chat.py",
        "what a client gets is read by a client",
    ),
    "openfusion_auto/server/middleware.py": (
        "tests/server/test_gate.py",
        "the gate is tested by who knocks",
    ),
    "openfusion_auto/server/app.py": (
        "tests/server/test_info.py",
        "routes are held by asking them",
    ),
    "openfusion_auto/runtime/shared_script.py": (
        "tests/runtime/test_shared.py",
        "Lua, held against the same rules in Python",
    ),
    "openfusion_auto/cli/evaluate.py": (
        "tests/cli/test_eval.py",
        "what three commands share is held by the simplest of them",
    ),
    "openfusion_auto/cli/receipt_of.py": (
        "tests/cli/test_receipt.py",
        "one subcommand, asked on the command line",
    ),
    "openfusion_auto/evals/sandbox_child.py": (
        "tests/evals/test_sandbox.py",
        "a process of its own, seen by what its program can do",
    ),
    "openfusion_auto/cli/pool_common.py": (
        "tests/cli/test_pool.py",
        "which pool is meant shows in each command about it",
    ),
    "openfusion_auto/cli/pool_update_view.py": (
        "tests/cli/test_pool_update.py",
        "what is shown is read off the command's output",
    ),
    "openfusion_auto/evals/compat/chat.py": (
        "tests/evals/compat/test_probes.py",
        "each form is held by what breaks it",
    ),
    "openfusion_auto/evals/compat/responses.py": (
        "tests/evals/compat/test_probes.py",
        "each form is held by what breaks it",
    ),
    "openfusion_auto/evals/compat/messages.py": (
        "tests/evals/compat/test_probes.py",
        "each form is held by what breaks it",
    ),
    "openfusion_auto/evals/compat/render.py": (
        "tests/evals/compat/test_probes.py",
        "what it writes is read by the probes",
    ),
    "openfusion_auto/evals/compat/script.py": (
        "tests/evals/compat/test_probes.py",
        "what it says is heard by the probes",
    ),
    "openfusion_auto/evals/compat/scripted.py": (
        "tests/evals/compat/test_probes.py",
        "the server that the probes ask",
    ),
    "openfusion_auto/server/keys.py": (
        "tests/server/test_chat.py",
        "types only, filled by every server test",
    ),
}

SOURCES = sorted(p for p in PACKAGE.rglob("*.py"))
MODULES = [p for p in SOURCES if p.name not in ("__init__.py", "__main__.py")]
FOLDERS = ("openfusion_auto", "candidates", "receipts", "adapters", "tests", "docs", ".ci")
TEXTS = [
    *(ROOT / name for name in ("README.md", "pyproject.toml", "LICENSE")),
    *sorted(
        p
        for folder in FOLDERS
        for p in (ROOT / folder).rglob("*")
        if p.is_file() and "__pycache__" not in p.parts and not p.name.startswith(".")
    ),
]


def short(path: Path) -> str:
    """Return a path from the root, with slashes."""
    return path.relative_to(ROOT).as_posix()


def functions(tree: ast.AST, prefix: str = "") -> list[tuple[str, ast.AST]]:
    """Return every function with its dotted name, those inside classes and functions too."""
    found: list[tuple[str, ast.AST]] = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.append((prefix + node.name, node))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found += functions(node, f"{prefix}{node.name}.")
    return found


def test_the_top_level_holds_exactly_its_nine_names():
    there = {p.name for p in ROOT.iterdir() if not p.name.startswith(".")}
    assert {n for n in there - MADE if not n.endswith(".egg-info")} == TOP


@pytest.mark.parametrize("path", SOURCES, ids=short)
def test_a_module_is_short_enough_to_read(path):
    count = len(path.read_text(encoding="utf-8").splitlines())
    if short(path) in LONG_MODULES:
        assert count > MAX_MODULE, "no longer long: take it off the list"
    else:
        assert count <= MAX_MODULE


@pytest.mark.parametrize("path", SOURCES, ids=short)
def test_functions_fit_a_screen(path):
    for name, node in functions(ast.parse(path.read_text(encoding="utf-8"))):
        length = (node.end_lineno or 0) - node.lineno + 1
        full = f"{short(path)}:{name}"
        if full in LONG_FUNCTIONS:
            assert length > MAX_FUNCTION, f"{full} is no longer long: take it off the list"
        else:
            assert length <= MAX_FUNCTION, f"{full} has {length} lines"


def test_exceptions_name_what_exists():
    known = {short(p) for p in SOURCES}
    named = {
        f"{short(p)}:{n}"
        for p in SOURCES
        for n, _ in functions(ast.parse(p.read_text(encoding="utf-8")))
    }
    assert set(LONG_MODULES) <= known
    assert set(LONG_FUNCTIONS) <= named
    assert set(TESTED_IN) <= known


@pytest.mark.parametrize("path", MODULES, ids=short)
def test_a_module_has_its_test_module(path):
    folder = ROOT / "tests" / path.parent.relative_to(PACKAGE)
    own = [*folder.glob(f"test_{path.stem}.py"), *folder.glob(f"test_{path.stem}_*.py")]
    if short(path) not in TESTED_IN:
        assert own, f"no {short(folder)}/test_{path.stem}.py"
        return
    where, reason = TESTED_IN[short(path)]
    assert not folder.joinpath(f"test_{path.stem}.py").exists(), "has its own: take it off the list"
    assert len(reason.split()) > 3
    assert "def test_" in (ROOT / where).read_text(encoding="utf-8")


def test_nothing_is_left_to_do_in_a_comment():
    mark = re.compile(
        r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]) + r")\b"
    )
    for path in SOURCES + sorted((ROOT / "tests").rglob("*.py")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            comment = line.partition("#")[2]
            assert not mark.search(comment), f"{short(path)}:{number}: {line.strip()}"


def test_no_file_names_a_folder_of_this_machine():
    here = [str(ROOT), str(Path.home())]
    own = re.compile(r"(?:^|[\s\"'`(=])/(?:home|Users|root|work|mnt|private)/\w")
    for path in TEXTS:
        text = path.read_text(encoding="utf-8", errors="replace")
        if len(here[1]) > len("/root"):
            assert here[1] not in text, short(path)
        assert here[0] + "/" not in text, short(path)
        if path.suffix in (".md", ".toml") or path.parent.name == ".ci":
            for number, line in enumerate(text.splitlines(), 1):
                assert not own.search(line), f"{short(path)}:{number}: {line.strip()}"


def test_every_text_ends_with_one_newline_and_has_no_tab_or_trailing_blank():
    for path in TEXTS:
        if path.suffix not in (".py", ".md", ".toml") or path.stat().st_size == 0:
            continue
        text = path.read_text(encoding="utf-8")
        assert text.endswith("\n"), short(path)
        assert not text.endswith("\n\n"), short(path)
        assert not [n for n, line in enumerate(text.splitlines(), 1) if line != line.rstrip()], (
            short(path)
        )


def test_only_the_clock_and_the_adapter_of_sockets_are_excused_from_the_bans():
    excused = {
        short(p)
        for p in SOURCES
        for line in p.read_text(encoding="utf-8").splitlines()
        if "noqa" in line and "TID251" in line
    }
    assert excused <= {"openfusion_auto/runtime/clock.py", "openfusion_auto/upstream/http.py"}


def test_every_suppression_names_its_code_and_a_reason():
    codes = re.compile(
        r"# (?:noqa: [A-Z]+\d+(?:, ?[A-Z]+\d+)*|type: ignore\[[\w-]+(?:, ?[\w-]+)*\])(.*)"
    )
    for path in SOURCES:
        above = ""
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if "# noqa" in line or "# type: ignore" in line:
                found = codes.search(line)
                assert found, f"{short(path)}:{number}: without a code: {line.strip()}"
                reason = found[1].strip(" -#") or above.partition("#")[2]
                assert len(reason.split()) > 1, f"{short(path)}:{number}: without a reason"
            above = line
