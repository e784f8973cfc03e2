"""The page in the docs is what the commands say."""

import re
import subprocess
import sys
from pathlib import Path

import click

from openfusion_auto.cli.main import COMMANDS, cli
from openfusion_auto.cli.reference import option, render

from .processes import environment

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"


def test_the_page_is_made_from_the_commands():
    assert PAGE.read_text() == render(), (
        "run: python -m openfusion_auto.cli.reference > docs/reference/cli.md"
    )


def test_the_module_prints_the_page():
    done = subprocess.run(
        [sys.executable, "-m", "openfusion_auto.cli.reference"],
        env=environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == render()


def test_every_command_and_every_option_stands_on_the_page():
    page = render()
    context = click.Context(cli)
    for name in COMMANDS:
        assert f"\n## openfusion {name}\n" in page
        command = cli.get_command(context, name)
        inner = list(command.commands.values()) if isinstance(command, click.Group) else [command]
        for param in (p for c in inner for p in c.params if isinstance(p, click.Option)):
            there = re.search(rf"`{param.opts[0]}[ /`]", page) is not None
            assert there is not param.hidden


def test_an_option_shows_its_values_and_its_default():
    command = click.Command(
        "x",
        params=[
            click.Option(["--mode"], type=click.Choice(["a", "b"]), help="Which."),
            click.Option(["--n"], type=int, default=3, show_default=True, help="How many."),
            click.Option(["--on/--off"], help="Whether."),
            click.Option(["--two"], nargs=2, default=(1, 2), show_default=True, help="Both."),
        ],
    )
    context = click.Context(command)
    rows = [option(p, context) for p in command.params]
    assert rows[0] == "| `--mode a, b` | Which. |"
    assert rows[1] == "| `--n INTEGER` | How many. Default: `3`. |"
    assert rows[2] == "| `--on/--off` | Whether. |"
    assert rows[3] == "| `--two INTEGER` | Both. Default: `1 2`. |"


def test_no_table_is_empty():
    assert "| --- | --- |\n\n" not in render()
