"""`openfusion route`: the decision for a text, without calling anything."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from openfusion_auto.cli import complete, output
from openfusion_auto.cli.common import (
    FiniteRange,
    announce_state,
    config_option,
    is_dry_run,
    json_option,
    load_settings,
    local_engine,
    read_stdin,
    readable,
    server_option,
)
from openfusion_auto.cli.remote import ask_server, server_of

if TYPE_CHECKING:
    from openfusion_auto.config.load import Settings

MODEL = "openfusion/auto"
# What --tools stands for: one tool is what makes a request need tool support, how many there are changes nothing.
SAMPLE_TOOL = {
    "type": "function",
    "function": {
        "name": "read_file",
        "description": "Read a file.",
        "parameters": {"type": "object", "properties": {"path": {"type": "string"}}},
    },
}


@click.command()
@click.argument("text")
@json_option
@click.option(
    "--cost-quality",
    type=FiniteRange(0, 10),
    metavar="X",
    help="0 = quality first .. 10 = cheapest first, for this question.",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME",
    shell_complete=complete.models,
    help="What the client puts in `model`: a name that `openfusion models` lists, several with commas (a panel), or "
    "an object with a strategy as JSON. Given several times: the first that answers. [default: openfusion/auto]",
)
@click.option("--tools", is_flag=True, help="As if the client offered tools, as coding agents do.")
@click.option("--session", metavar="ID", help="As part of this session (only a server knows any).")
@click.option("--system", metavar="TEXT", help="A system prompt before the text.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Decide as if every candidate could be called, whether its key is set or not. On by itself when there is "
    "neither a configuration file nor a key.",
)
@server_option
@config_option
def command(
    text: str,
    as_json: bool,
    cost_quality: float | None,
    models: tuple[str, ...],
    tools: bool,
    session: str | None,
    system: str | None,
    dry_run: bool,
    server: str | None,
    config: Path | None,
) -> None:
    """Show how a request would be decided, and why.

    TEXT is what the user says; "-" reads it from standard input. Nothing is called. Decided in this process, or with
    --server by a running one, which knows its sessions and live numbers. --json prints what POST /debug/route answers.
    Exit code 1 when no candidate could serve.
    """
    asked = read_stdin() if text == "-" else readable(text)
    if not asked.strip():
        raise click.UsageError("there is nothing to decide: the text is empty")
    settings = load_settings(config)
    body = request_body(
        asked,
        options={"cost_quality": cost_quality, "session": session},
        system=system,
        tools=tools,
        model=model_of(models),
    )
    if server is not None:
        if dry_run:
            raise click.UsageError("--dry-run decides here, --server there: name one of them")
        answer = ask_server(server_of(settings, server), "/debug/route", body)
    else:
        answer = decide_here(settings, body, dry_run=dry_run)
    finish(answer, as_json=as_json)


def model_of(given: tuple[str, ...]) -> object:
    """Return what stands in `model`: one name, several in their order, or an object that is written as JSON.

    Raises:
        click.BadParameter: it begins like an object and is none.
    """
    if len(given) != 1:
        return list(given) or MODEL
    if not given[0].lstrip().startswith("{"):
        return given[0]
    try:
        found = json.loads(given[0])
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise click.BadParameter("is not a JSON object", param_hint="--model")
    return found


def request_body(
    text: str,
    *,
    options: Mapping[str, object],
    system: str | None,
    tools: bool,
    model: object = MODEL,
) -> dict[str, object]:
    """Return the chat request that the command line describes; options that are None are left out."""
    messages = [{"role": "system", "content": system}] if system is not None else []
    messages.append({"role": "user", "content": text})
    body: dict[str, object] = {"model": model, "messages": messages}
    chosen = {name: value for name, value in options.items() if value is not None}
    if tools:
        body["tools"] = [SAMPLE_TOOL]
    if chosen:
        body["openfusion"] = chosen
    return body


def decide_here(
    settings: Settings, body: Mapping[str, object], *, dry_run: bool = False
) -> dict[str, object]:
    """Return what `/debug/route` of a fresh server would answer."""
    from openfusion_auto.core.explain import decision_json
    from openfusion_auto.runtime.judging import Incoming
    from openfusion_auto.wire.chat_request import parse_request

    dry = is_dry_run(settings, asked=dry_run)
    if dry:
        why = "--dry-run" if dry_run else "no key is set"
        output.problem(f"{why}: decided as if every candidate could be called")
    else:
        announce_state(settings, dry_run=False, asked=False)
    prompt = parse_request(json.dumps(body).encode())
    judged = local_engine(settings, dry_run=dry).judge(Incoming(prompt, {}))
    return {"object": "openfusion.route", "decision": decision_json(judged.decision)}


def finish(answer: Mapping[str, Any], *, as_json: bool) -> None:
    """Print the decision; end with 1 when it plans nothing."""
    from openfusion_auto.cli import route_view

    if as_json:
        output.data(answer)
    try:
        decision = answer["decision"]
        planned = bool(decision["plan"]["steps"])
        if not as_json:
            route_view.show(decision, output.console())
    except (KeyError, TypeError, IndexError, AttributeError, ValueError):
        raise output.Failure(
            "the server's answer is not one that this version can show; see it with --json"
        ) from None
    if not planned:
        output.problem("no candidate can serve this request")
        raise click.exceptions.Exit(1)
