"""`openfusion completion`: what a shell reads to complete commands, options and names."""

from __future__ import annotations

import click

PROGRAM = "openfusion"
VARIABLE = "_OPENFUSION_COMPLETE"  # in which click tells the program that a key was pressed


@click.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")), metavar="SHELL")
def command(shell: str) -> None:
    """Print what makes a shell complete commands, options and names.

    Put the line of your shell into its start file: bash (4.4 or newer): eval "$(openfusion completion bash)";
    zsh: eval "$(openfusion completion zsh)"; fish: openfusion completion fish | source. Completed are commands,
    options, models, clients, receipts, and the newest traces of a server on this machine.
    """
    from click.shell_completion import get_completion_class

    from openfusion_auto.cli.main import cli

    kind = get_completion_class(shell)
    if kind is None:  # click knows all three
        raise click.UsageError(f"this version of click cannot complete in {shell}")
    click.echo(kind(cli, {}, PROGRAM, VARIABLE).source())
