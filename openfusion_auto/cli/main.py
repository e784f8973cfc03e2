"""The command line: which commands there are, and what every way to end means.

Commands are loaded when they are called: `openfusion --help` imports none of them, and a command's own `--help`
none of the libraries it works with. A command is the attribute `command` of the module of its name.

Exit codes: 0 fine, 1 a finding or a failure, 2 usage or configuration, 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence

import click

from openfusion_auto import __version__
from openfusion_auto.cli import output
from openfusion_auto.errors import FusionError

# Name -> what `openfusion --help` says of it; a test holds these against the commands' own words.
COMMANDS: Mapping[str, str] = {
    "init": "Write a commented openfusion.toml.",
    "models": "List the names a client may ask for.",
    "route": "Show how a request would be decided, and why.",
    "serve": "Run the router until it is told to stop.",
    "chat": "Talk to the router in the terminal.",
    "ask": "Ask one question and print the answer.",
    "pool": "Look at the candidate models and their numbers.",
    "doctor": "Check configuration, keys, pool, port and folders.",
    "compat": "Probe gateways: do their answers have the form that clients read?",
    "keys": "Make and revoke the keys that clients show.",
    "trace": "Show what was recorded of requests.",
    "top": "Watch the requests of a running server.",
    "stats": "Show what was measured of each candidate, and what calls cost.",
    "eval": "Ask Auto every case and write a receipt of it.",
    "compare": "Ask Auto and its baselines the same and write a receipt of it.",
    "bench": "Measure accuracy, cost of a right answer and latency on TASKS.",
    "receipt": "Show, check and replay receipts.",
    "replay": "Play routing policies over recorded outcomes and compare them.",
    "completion": "Print what makes a shell complete commands, options and names.",
    "adapter": "Set up a coding agent to use the router, and undo it.",
    "mcp": "Serve the router's judgement as tools to an agent, over MCP.",
    "codex": "Switch Codex between the router and what it had before.",
}
INTERRUPTED = 130  # 128 + SIGINT, as shells count
BROKEN_PIPE = 1  # as Python and click do when the reader of stdout has left


class Commands(click.Group):
    """A group that imports a command only when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names, in the order of the table."""
        return list(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        """Import and return a command; None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        found = importlib.import_module(f"openfusion_auto.cli.{cmd_name}").command
        return found if isinstance(found, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that `args` begin with; an unknown one is named with the nearest."""
        if args[0] in COMMANDS or args[0].startswith("-"):
            return super().resolve_command(ctx, args)
        from difflib import get_close_matches  # only for the message

        near = get_close_matches(args[0][:40], COMMANDS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise click.UsageError(f"No such command {output.clean(args[0][:40])!r}.{hint}", ctx)

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the list from the table, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def print_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    """Print the version and end."""
    if wanted and not ctx.resilient_parsing:
        click.echo(f"openfusion {__version__}")
        ctx.exit()


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 fine, 1 a finding or a failure, 2 usage or configuration.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=print_version,
    help="Print the version.",
)
def cli() -> None:
    """A local router for coding agents: one address, one model name, and the reasons."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line.

    Args:
        argv: The arguments; None = those of the process.

    Returns:
        The exit code. A user's mistake is one line a problem on stderr, never a traceback.
    """
    output.tolerate_any_text()
    try:
        code = run(list(argv) if argv is not None else sys.argv[1:])
        if sys.stdout is not None:  # closed by who started us
            sys.stdout.flush()
    except BrokenPipeError:
        # What is still buffered would fail again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        output.problem(
            f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
        )
        return 1
    return code


def run(args: list[str]) -> int:
    """Run `args` and turn every foreseen end into its exit code."""
    try:
        code = cli.main(args, prog_name="openfusion", standalone_mode=False)
    except SystemExit as end:  # click's own way out when the reader of stdout has left
        return end.code if isinstance(end.code, int) else 1
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except FusionError as error:
        for line in error.message.splitlines():
            output.problem(line)
        return output.exit_code(error)
    return code if isinstance(code, int) else 0
