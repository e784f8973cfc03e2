"""The documents against the code: links, names, commands, configurations, programs, quoted output and numbers."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tomllib
from functools import cache

import pytest

import openfusion_auto
from openfusion_auto.cli.main import main
from openfusion_auto.config.load import load, shipped_pool
from openfusion_auto.config.pool import load_pool
from openfusion_auto.core import breaker, cost
from openfusion_auto.core.prompt import Options
from openfusion_auto.evals.cases import load_cases
from openfusion_auto.runtime.names import check_ids, known_names, wanted
from openfusion_auto.wire.chat_request import parse_request
from tests.docs.regenerate import (
    CALL,
    PICTURE,
    QUOTED,
    README,
    ROOT,
    bare_environment,
    between,
    route_picture,
    words_in,
)
from tests.support.price_lists import OPENROUTER

PAGES = [README, *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "adapters").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
SHELLS = ("sh", "bash", "console")
START = re.compile(r"^(?:\$ )?(?:\.venv/bin/)?openfusion (.+)$")
# Commands that say 1 on a bare machine: no server runs, no key is set.
MAY_FIND = ("trace", "top", "doctor")
# Nor is anything current there: a price list differs from the pool.
DIFFERS = ("pool", "update")


def short(path):
    return path.relative_to(ROOT).as_posix()


def text_of(path):
    return path.read_text(encoding="utf-8")


CASES = """schema = 1
[[cases]]
id = "hello"
prompt = "Say hello."
"""


def blocks(path, *languages):
    return [body for language, body in FENCE.findall(text_of(path)) if language in languages]


def prose(path):
    return FENCE.sub("", text_of(path))


# -- links and names -------------------------------------------------------------------------------------------------


def anchor(heading):
    """Return the anchor that the forges make of a heading."""
    kept = re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", heading).strip().lower())
    return kept.replace(" ", "-")


@pytest.mark.parametrize("path", PAGES, ids=short)
def test_internal_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if re.match(r"https?://", target):
            continue
        name, _, part = target.partition("#")
        goal = (path.parent / name).resolve() if name else path
        assert goal.exists(), f"{short(path)} -> {target}"
        assert goal.is_relative_to(ROOT)
        if part:
            headings = re.findall(r"^#+ (.+)$", prose(goal), flags=re.MULTILINE)
            assert part in [anchor(h) for h in headings], f"{short(path)} -> {target}"


@cache
def names_in(path):
    """Return the names a module defines: functions, classes, constants, methods and fields of classes."""
    found = set()

    def walk(node, prefix):
        for child in node.body:
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(prefix + child.name)
            if isinstance(child, ast.ClassDef):
                walk(child, f"{prefix}{child.name}.")
            for target in getattr(child, "targets", [getattr(child, "target", None)]):
                if isinstance(target, ast.Name):
                    found.add(prefix + target.id)

    walk(ast.parse(text_of(path)), "")
    return found


def home_of(mentioned):
    """Return the file that a document means: from the root, or from the package."""
    return next(
        (f for f in (ROOT / mentioned, ROOT / "openfusion_auto" / mentioned) if f.is_file()), None
    )


@pytest.mark.parametrize("path", PAGES, ids=short)
def test_files_and_names_that_are_mentioned_exist(path):
    for mentioned, name in re.findall(r"`((?:[\w.]+/)*\w+\.py)(?::([\w.]+))?[^`]*`", prose(path)):
        if "/" not in mentioned and not name and home_of(mentioned) is None:
            continue  # a file of the reader's own, in an example
        found = home_of(mentioned)
        assert found, f"{short(path)}: {mentioned} does not exist"
        if name:
            assert name in names_in(found), f"{short(path)}: {mentioned} has no {name}"


def test_the_architecture_page_names_what_it_walks_through():
    named = re.findall(r"`[\w/]+\.py:[\w.]+`", text_of(ROOT / "docs" / "architecture.md"))
    assert len(set(named)) >= 30


def test_every_page_is_in_the_index():
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / t).resolve() for t in re.findall(r"\]\(([^)#\s]+)", text_of(index))}
    missing = {short(p) for p in (ROOT / "docs").rglob("*.md") if p != index} - {
        short(p) for p in linked
    }
    assert missing == set()


# -- what is quoted --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "mark"), [(page, mark) for page, made in QUOTED.items() for mark in made]
)
def test_what_a_page_quotes_is_what_comes_out(page, mark):
    quoted = between(text_of(page), mark).strip("\n")
    assert quoted == QUOTED[page][mark](), "run: python -m tests.docs.regenerate"


def test_a_page_without_its_marks_is_refused():
    with pytest.raises(ValueError, match="0 blocks 'played'"):
        between("nothing", "played")


def test_the_picture_of_a_route_shows_what_is_printed_now():
    # Its words, not its bytes: how a terminal is drawn is the library's affair.
    drawn = PICTURE.read_text(encoding="utf-8")
    assert words_in(drawn) == words_in(route_picture()), "run: python -m tests.docs.regenerate"
    assert "digest" in words_in(drawn)
    assert set(re.findall(r"https?://[^\s\"]+", drawn)) <= {
        "http://www.w3.org/2000/svg",
        "https://www.textualize.io",
    }


def test_the_layers_drawn_are_the_layers_held():
    contracts = tomllib.loads(text_of(ROOT / "pyproject.toml"))["tool"]["importlinter"]["contracts"]
    (held,) = (c["layers"] for c in contracts if c["type"] == "layers")
    page = text_of(ROOT / "docs" / "architecture.md").split("## Layers")[1].split("## ")[0]
    drawn = [
        re.split(r"\s{2,}", line.strip())[0] for line in page.splitlines() if line[:4] == "    "
    ]
    assert drawn == held


def test_the_changelog_begins_with_this_version():
    first = re.search(r"^## (\S+)", text_of(ROOT / "docs" / "changelog.md"), flags=re.MULTILINE)
    assert first
    assert first[1] == openfusion_auto.__version__


def test_contributing_names_every_mark():
    options = tomllib.loads(text_of(ROOT / "pyproject.toml"))["tool"]["pytest"]["ini_options"]
    page = text_of(ROOT / "docs" / "contributing.md")
    assert [m for m in options["markers"] if f"`{m.split(':')[0]}`" not in page] == []


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "decisions").glob("*.md")), ids=short)
def test_a_decision_record_has_its_parts(path):
    text = text_of(path)
    assert text.startswith(f"# {path.name[:4]}: ")
    assert re.search(
        r"^2026-\d\d-\d\d, (accepted|superseded by \[\d{4}\]\(.+\))\.$", text, flags=re.MULTILINE
    )
    parts = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    assert parts == ["Context", "Decision", "Consequences", "What would change our mind"]


def test_decision_numbers_are_used_once():
    numbers = [p.name[:4] for p in sorted((ROOT / "docs" / "decisions").glob("*.md"))]
    assert numbers == [f"{n:04d}" for n in range(1, len(numbers) + 1)]


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("docs/decisions/0004-breaker-fails-open.md", f"open it for {breaker.OPEN_S:.0f} seconds"),
        (
            "docs/decisions/0006-price-and-effort.md",
            "bounded to {} .. {}".format(*cost.EFFORT_BOUNDS),
        ),
        ("docs/decisions/0006-price-and-effort.md", f"{cost.TASK_FRESH_INPUT:,} fresh"),
        ("docs/decisions/0006-price-and-effort.md", f"{cost.TASK_CACHED_INPUT:,} cached"),
        ("docs/decisions/0006-price-and-effort.md", f"{cost.TASK_OUTPUT:,} output"),
    ],
)
def test_numbers_in_the_records_are_those_of_the_code(page, said):
    assert said in " ".join(text_of(ROOT / page).split())


def test_the_breaker_opens_after_the_failures_that_the_record_says():
    words = {2: "two", 3: "three", 4: "four", 5: "five"}
    page = text_of(ROOT / "docs" / "decisions" / "0004-breaker-fails-open.md")
    assert f"{words[breaker.FAILURES_TO_OPEN]} failures in a row" in " ".join(page.split())


# -- what is to be typed ---------------------------------------------------------------------------------------------


def commands():
    """Return what the pages tell people to type, each command once, called by the first page that has it."""
    found = {}
    for path in PAGES:
        for block in blocks(path, *SHELLS):
            for line in block.splitlines():
                if match := START.match(line.strip()):
                    arguments = tuple(shlex.split(match[1], comments=True))
                    found.setdefault(arguments, f"{path.name}: {match[1][:60]}")
    return [pytest.param(arguments, id=name) for arguments, name in found.items()]


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return str(sock.getsockname()[1])


def start(arguments, home):
    return subprocess.Popen(
        [sys.executable, "-c", CALL, *arguments],
        cwd=home,
        env=bare_environment(str(home)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def put_down(arguments, home):
    """Write the files that a command of the docs reads: a price list, and a pool of one's own."""
    for option, text in (
        ("--from", json.dumps(OPENROUTER)),
        ("--pool", text_of(shipped_pool("default"))),
    ):
        name = arguments[arguments.index(option) + 1] if option in arguments else "default"
        if name != "default":  # a shipped pool is there
            (home / name).write_text(text, encoding="utf-8")
    (home / "receipt.json").write_bytes((ROOT / "receipts/samples/comparison.json").read_bytes())
    (home / "cases.toml").write_text(CASES, encoding="utf-8")


SERVING = [p for p in commands() if p.values[0][0] == "serve"]
OTHERS = [p for p in commands() if p.values[0][0] != "serve"]


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """This process as on a bare machine: see `bare_environment`; nothing on standard input."""
    for name in os.environ:
        monkeypatch.delenv(name)
    for name, value in bare_environment(str(tmp_path)).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    with open(os.devnull, encoding="utf-8") as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        yield tmp_path


@pytest.mark.parametrize("arguments", SERVING)
def test_a_server_as_in_the_docs_starts(arguments, tmp_path):
    put_down(arguments, tmp_path)
    with start([*arguments, "--port", "0"], tmp_path) as process:
        seen = []
        for line in process.stderr:
            seen.append(line)
            if "ready on http://127.0.0.1:" in line:
                process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, "".join(seen)
    assert any("ready on" in line for line in seen), "".join(seen)


@pytest.mark.parametrize("arguments", OTHERS)
def test_a_command_in_the_docs_runs(arguments, bare, capsys):
    put_down(arguments, bare)
    code = main(list(arguments))
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    finds = arguments[0] in MAY_FIND or arguments[:2] == DIFFERS
    allowed = (0, 1) if finds else (0,)
    assert code in allowed, out + err
    assert out + err


def test_the_docs_hold_commands():
    assert len(SERVING) >= 2
    assert len(OTHERS) >= 20


def marked_line(mark):
    block = text_of(README).partition(f"<!-- {mark} -->")[2]
    (line,) = FENCE.search(block)[2].splitlines()
    return line


def test_the_run_line_of_the_readme_shows_a_routed_answer(tool, tmp_path):
    """The line as it stands, but for the installing (done already) and the port (may be taken)."""
    installing = "python3 -m venv .venv && .venv/bin/pip install -q -e . && "
    line = marked_line("run-command")
    assert line.startswith(installing)
    assert "content-type: application/json" in line
    port = free_port()
    line = line.removeprefix(installing).replace("8787", port)
    line = line.replace("openfusion serve", f"openfusion serve --port {port}")
    scripts = tmp_path / ".venv" / "bin"
    scripts.mkdir(parents=True)
    (scripts / "openfusion").write_text(f"#!{sys.executable}\n{CALL}\n")
    (scripts / "openfusion").chmod(0o755)
    tool("curl")
    done = subprocess.run(
        [tool("bash"), "-c", line + "; wait"],
        cwd=tmp_path,
        env=bare_environment(str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    answer = json.loads(done.stdout)
    assert answer["choices"][0]["message"]["content"]
    assert answer["openfusion"]["task"]["turn"] == "user"
    assert answer["openfusion"]["dry_run"] is True
    assert "DRY RUN" in done.stderr


def test_the_test_line_of_the_readme_installs_and_checks():
    first, second, third = marked_line("test-command").split(" && ")
    assert first == "python3 -m venv .venv"
    assert second == ".venv/bin/pip install -q -e '.[dev]'"
    assert third.split() == [".venv/bin/python", "tests/check.py"]


# -- what is to be copied --------------------------------------------------------------------------------------------


def fenced(*languages):
    return [
        pytest.param(path, body, id=f"{short(path)}-{n}")
        for path in PAGES
        for n, body in enumerate(blocks(path, *languages))
        if path.parent.name != "reference"  # those have tests of their own
    ]


@pytest.mark.parametrize(("path", "body"), fenced("json"))
def test_json_in_the_docs_is_json(path, body):
    assert json.loads(body)


@pytest.mark.parametrize(("path", "body"), fenced("toml"))
def test_toml_in_the_docs_is_a_configuration_or_a_pool(path, body, tmp_path):
    file = tmp_path / "openfusion.toml"
    file.write_text(body)
    if "[[candidates]]" in body:
        assert load_pool(file).candidates
        return
    if "[[cases]]" in body:
        assert load_cases(file)
        return
    for other in blocks(path, "toml"):
        if "[[candidates]]" in other:
            (tmp_path / "pool.toml").write_text(other)
    settings = load(None, {}, {}, tmp_path)
    assert settings.source == file
    assert settings.pool.candidates


@pytest.mark.parametrize(("path", "body"), fenced("python"))
def test_programs_in_the_docs_run(path, body, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", body],
        cwd=tmp_path,
        env=bare_environment(str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_docs_hold_programs_and_configurations():
    assert len(fenced("python")) >= 2
    assert len(fenced("toml")) >= 3
    assert len(fenced("json")) >= 3


def test_the_request_in_the_readme_is_accepted():
    (body,) = (b for b in blocks(README, "json") if '"openfusion"' in b)
    prompt = parse_request(body.encode())
    asked = json.loads(body)["openfusion"]
    assert prompt.options == Options(**{**asked, "candidates": tuple(asked["candidates"])})
    check_ids(prompt.options, load_pool(shipped_pool("default")))


def test_options_named_in_the_readme_are_those_that_are_read():
    section = text_of(README).split("## Options in a request")[1].split("## ")[0]
    known = set(Options.__dataclass_fields__) - {
        "fan",
        "each",
        "hosts",
        "searching",
        "tiers",
        "us_only",
    }  # of other fields
    assert {
        name for name in known if f'"{name}"' not in section and f"`{name}`" not in section
    } == set()


def test_every_model_name_in_the_readme_is_served():
    pool = load_pool(shipped_pool("default"))
    section = text_of(README).split("## Models one may name")[1].split("## ")[0]
    rows = re.findall(r"^\| (`openfusion/.+?) \|", section, flags=re.MULTILINE)
    named = [n for row in rows for n in re.findall(r"`([^`]+)`", row)]
    full = [n if n.startswith("openfusion/") else f"openfusion/{n}" for n in named]
    virtual = [n for n in known_names(pool) if n.startswith("openfusion/")]
    assert full == virtual
    assert all(wanted(n, Options(), pool, {}) for n in full)


def test_a_key_in_the_environment_is_not_in_the_docs():
    keys = [v for k, v in os.environ.items() if k.endswith(("_KEY", "_TOKEN")) and len(v) > 15]
    assert [short(p) for p in PAGES if any(key in text_of(p) for key in keys)] == []
