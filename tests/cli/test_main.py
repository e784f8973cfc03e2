"""Ways to end, and that nothing is imported which is not needed."""

import json
import os
import subprocess
import sys

import click
import pytest

import openfusion_auto
from openfusion_auto.cli import main as main_module
from openfusion_auto.cli.main import COMMANDS, cli
from openfusion_auto.cli.output import Failure
from openfusion_auto.errors import BadRequest, ConfigError, NoCandidate

from .processes import environment

HEAVY = ("aiohttp", "numpy", "jsonschema", "pydantic", "rich", "prompt_toolkit", "markdown_it")


def end_with(monkeypatch, what):
    """Make one command end in a certain way."""

    def end(*_args, **_kwargs):
        raise what

    monkeypatch.setattr(cli, "main", end)


def test_help_of_no_command_imports_a_heavy_library():
    """All in one process: what the first of them imports would be there for the others too."""
    every = [[], *([name] for name in COMMANDS), ["pool", "list"], ["pool", "check"], ["stats", "reset"]]  # fmt: skip
    code = f"""
import contextlib, io, sys
from openfusion_auto.cli.main import main
for args in {every!r}:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = main([*args, "--help"])
    usage = out.getvalue().startswith(" ".join(["Usage: openfusion", *args]))
    print(args, code, usage, [m for m in {HEAVY!r} if m in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [f"{args} 0 True []" for args in every]


def test_the_table_says_what_each_command_says_of_itself():
    context = click.Context(cli)
    for name, said in COMMANDS.items():
        assert cli.get_command(context, name).help.split("\n")[0] == said


def test_no_sentence_of_a_group_is_cut_off(run):
    context = click.Context(cli)
    groups = [n for n in COMMANDS if isinstance(cli.get_command(context, n), click.Group)]
    assert "keys" in groups
    for name in groups:
        said = run(name, "--help").out.splitlines()[1:]
        assert [line for line in said if line.endswith("...")] == [], name


def test_the_group_lists_its_commands_to_programs_too():
    assert cli.list_commands(click.Context(cli)) == list(COMMANDS)


def test_help_lists_every_command_in_the_order_of_the_table(run):
    done = run("--help")
    rows = [line.split()[0] for line in done.out.splitlines() if line.startswith("  ")]
    assert [name for name in rows if name in COMMANDS] == list(COMMANDS)
    assert done.code == 0


def test_every_command_takes_json_config_and_help():
    context = click.Context(cli)
    alone = {"replay", "receipt", "completion"}
    commands = [cli.get_command(context, name) for name in COMMANDS if name not in alone]
    flat = [c for c in commands if not isinstance(c, click.Group)]
    flat += [c for g in commands if isinstance(g, click.Group) for c in g.commands.values()]
    for command in flat:
        names = {opt for p in command.params for opt in p.opts}
        assert {"--json", "--config"} <= names, command.name
    # These depend on their file alone: what somebody has configured must not change what others get.
    receipt = cli.get_command(context, "receipt").commands.values()
    for command in (cli.get_command(context, "replay"), *receipt):
        assert "--json" in {opt for p in command.params for opt in p.opts}, command.name


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["serv"], "Did you mean 'serve'?"),
        (["zzzz"], "No such command 'zzzz'."),
        (["route"], "Missing argument 'TEXT'"),
        (["route", "x", "--cost-quality", "11"], "--cost-quality"),
        (["route", "x", "--nope"], "--nope"),
        (["--nope"], "--nope"),
        (["ask", "x", "--mode", "both"], "'both'"),
        (["trace", "--limit", "0"], "--limit"),
    ],
)
def test_wrong_usage_ends_with_2_and_one_clear_message(run, args, said):
    done = run(*args)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err
    assert done.out == ""


def test_version_is_one_line(run):
    done = run("--version")
    assert done.code == 0
    assert done.out == f"openfusion {openfusion_auto.__version__}\n"


def test_every_problem_of_a_configuration_is_a_line_and_the_code_is_2(run, folder):
    (folder / "openfusion.toml").write_text("[auto]\ncost_qualty = 5\n[server]\nport = 99999\n")
    done = run("models")
    assert done.code == 2
    lines = done.err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("openfusion: openfusion.toml:") for line in lines)
    assert "cost_quality" in done.err


@pytest.mark.parametrize(
    ("end", "code", "said"),
    [
        (KeyboardInterrupt(), 130, ""),
        (click.Abort(), 130, ""),
        (ConfigError("a\nb"), 2, "openfusion: a\nopenfusion: b\n"),
        (BadRequest("too odd"), 2, "openfusion: too odd\n"),
        (NoCandidate("nobody"), 1, "openfusion: nobody\n"),
        (Failure("no luck"), 1, "openfusion: no luck\n"),
        (OSError(28, "No space left on device", "out"), 1, "No space left on device: out"),
        (OSError("odd"), 1, "openfusion: odd\n"),
        (SystemExit(1), 1, ""),
        (SystemExit("why"), 1, ""),
    ],
    ids=repr,
)
def test_every_way_to_end_has_its_code_and_no_traceback(run, monkeypatch, end, code, said):
    end_with(monkeypatch, end)
    done = run("models")
    assert done.code == code
    assert said in done.err
    if not said:
        assert done.err == ""


def test_a_module_without_a_command_is_no_command(monkeypatch):
    monkeypatch.setattr(main_module, "COMMANDS", {"output": "not one"})
    monkeypatch.setattr("openfusion_auto.cli.output.command", 1, raising=False)
    assert cli.get_command(click.Context(cli), "output") is None
    assert cli.get_command(click.Context(cli), "nope") is None


def test_a_reader_that_leaves_ends_it_quietly():
    script = (
        f"{sys.executable} -m openfusion_auto pool list --json | head -c 1; echo ${{PIPESTATUS[0]}}"
    )
    done = subprocess.run(
        ["bash", "-c", script], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert done.stdout in ("{1\n", "{0\n")  # 0 when the pipe took it all before the reader left


def test_a_reader_that_left_before_the_last_flush_is_no_error(monkeypatch):
    """In this process: what stdout stands for is a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as gone, monkeypatch.context() as patch:
        patch.setattr(cli, "main", lambda *_a, **_k: gone.write("x"))
        patch.setattr(sys, "stdout", gone)
        assert main_module.main(["models"]) == main_module.BROKEN_PIPE


def test_without_a_stdout_it_ends_as_it_would(monkeypatch):
    monkeypatch.setattr(main_module, "run", lambda _args: 1)
    monkeypatch.setattr(sys, "stdout", None)  # as `>&-` leaves it
    assert main_module.main([]) == 1


def test_a_closed_stdout_ends_it_quietly():
    code = (
        "import os, sys\nfrom openfusion_auto.cli.main import main\n"
        "r, w = os.pipe()\nos.close(r)\nos.dup2(w, 1)\n"
        "code = main(['--version'])\nprint(code, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stderr == "1\n"


def test_text_that_is_no_utf8_is_asked_and_shown_with_replacements(folder):
    done = subprocess.run(
        [sys.executable, "-m", "openfusion_auto", "ask", b"say a\xffb", "--dry-run"],
        env=environment(), capture_output=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "'say a\ufffdb'" in done.stdout.decode()


def test_ctrl_c_ends_with_130(folder):
    code = (
        "import signal, sys, threading, os, time\nfrom openfusion_auto.cli.main import main\n"
        "threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "sys.exit(main(['route', '-']))"
    )
    done = subprocess.Popen(
        [sys.executable, "-c", code], env=environment(), stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert done.wait(20) == 130
    assert b"Traceback" not in done.communicate()[1]


def test_json_is_ascii_on_stdout_and_people_read_stderr(run):
    done = run("route", "caf\u00e9", "--json")
    assert json.loads(done.out)["object"] == "openfusion.route"
    assert done.out.isascii()
    assert "decided as if" in done.err
