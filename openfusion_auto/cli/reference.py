"""`docs/reference/cli.md`, made from the commands themselves: `python -m openfusion_auto.cli.reference`.

A test compares the file with `render()`, so the two cannot drift apart.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from openfusion_auto.cli import output
from openfusion_auto.cli.main import COMMANDS, cli

HEAD = """\
# Command line

<!-- Made by `python -m openfusion_auto.cli.reference`; a test compares. -->

Every command has `--help`, and all but `completion` have `--json` (data on stdout, what is said about it on stderr).
Where stdout is no terminal, text is plain ASCII without colours; `NO_COLOR` takes the colours away on a terminal too.
Long work shows a bar on stderr, where that is a terminal.

| exit code | meaning |
| --- | --- |
| 0 | Fine |
| 1 | A finding or a failure: no candidate could serve, a check failed, no server answers |
| 2 | Usage or configuration: one line a problem on stderr. Also: `init` would overwrite a file |
| 130 | Ended by Ctrl-C |

Settings come from the configuration file and the environment, see [configuration](config.md).

| command | what it does |
| --- | --- |
"""


def render() -> str:
    """Return the whole page."""
    context = click.Context(cli, info_name="openfusion")
    rows = [f"| [`{n}`](#openfusion-{n}) | {said} |" for n, said in COMMANDS.items()]
    parts = [HEAD + "\n".join(rows) + "\n"]
    for name, command in named(cli, context):
        parts += sections(command, f"openfusion {name}")
    return "\n".join(parts)


def sections(command: click.Command, path: str) -> Iterator[str]:
    """Yield the section of a command, then those of its own commands."""
    context = click.Context(command, info_name=path)
    lines = [f"## {path}", "", inspect.cleandoc(command.help or ""), ""]
    if isinstance(command, click.Group):
        if command.invoke_without_command:
            lines += usage(command, context, path)
        yield "\n".join(lines)
        for name, inner in named(command, context):
            yield from sections(inner, f"{path} {name}")
        return
    yield "\n".join([*lines, *usage(command, context, path)])


def usage(command: click.Command, context: click.Context, path: str) -> list[str]:
    """Return the lines that say how a command is called."""
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    words = [p.metavar or (p.name or "").upper() for p in arguments]
    lines = ["```", " ".join([path, "[OPTIONS]", *words]), "```", ""]
    options = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    if options:
        lines += ["| option | meaning |", "| --- | --- |"]
        lines += [*(option(p, context) for p in options), ""]
    return lines


def named(group: click.Group, context: click.Context) -> list[tuple[str, click.Command]]:
    """Return the commands of a group by name."""
    names = group.list_commands(context)
    return [(name, found) for name in names if (found := group.get_command(context, name))]


def option(param: click.Option, context: click.Context) -> str:
    """Return the table row of an option."""
    names = "/".join([*param.opts[:1], *param.secondary_opts])
    also = "".join(f", `{name}`" for name in param.opts[1:])
    value = "" if param.is_flag else " " + placeholder(param)
    default = param.get_default(context) if param.show_default else None
    if isinstance(default, tuple):
        default = " ".join(map(str, default))
    ends = f" Default: `{default}`." if default is not None else ""
    return f"| `{names}{value}`{also} | {param.help}{ends} |"


def placeholder(param: click.Option) -> str:
    """Return what stands for an option's value."""
    if isinstance(param.type, click.Choice):
        # In a table a bar would begin a new cell.
        return ", ".join(str(choice) for choice in param.type.choices)
    return param.metavar or param.type.name.upper()


if __name__ == "__main__":
    output.emit(render(), newline=False)
