"""The commands of `openfusion chat`: lines that begin with a slash and a known word."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import click

from openfusion_auto.cli import output
from openfusion_auto.errors import ConfigError, ModelNotFound
from openfusion_auto.wire.options import PRESETS

if TYPE_CHECKING:
    from openfusion_auto.cli.talk import Talk
    from openfusion_auto.runtime.trace import Attempt

ALONE = re.compile(r"/[a-z]*")  # a word alone: "/etc/hosts is broken" is a question
OFF = "off"
FORGET = "forget"


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation and what carries it; `config` and `dry_run` are what the command line says."""

    talk: Talk
    runner: asyncio.Runner
    config: Path | None = None
    dry_run: bool = False

    def words(self) -> Mapping[str, Iterable[str]]:
        """Return the commands, each with what may stand behind it."""
        from openfusion_auto.runtime.names import known_names

        keys = (u.api_key_env for u in self.talk.settings.config.upstreams if u.api_key_env)
        behind: Mapping[str, Iterable[str]] = {
            "/preset": (*PRESETS, OFF),
            "/models": known_names(self.talk.settings.pool, self.talk.engine.own),
            "/key": sorted(set(keys)),
        }
        return {name: behind.get(name, ()) for name in (*COMMANDS, "/exit")}


def is_command(line: str) -> bool:
    """Whether a line is a command: a known word in front or one that is nearly so, or any word alone behind a slash."""
    name = line.partition(" ")[0]
    return name in COMMANDS or ALONE.fullmatch(line) is not None or nearest(name) is not None


def nearest(name: str) -> str | None:
    """Return the command that was meant by a word behind a slash, so that a slip is not sent to a model."""
    if not name.startswith("/"):
        return None
    return next(iter(get_close_matches(name[:40], (*COMMANDS, "/exit"), n=1, cutoff=0.8)), None)


def obey(chat: Chat, line: str) -> None:
    """Carry out a command; an unknown one is answered with the nearest, else with what there is."""
    name, _, rest = line.partition(" ")
    done, near = COMMANDS.get(name), nearest(name)
    if done is None and near is not None:
        output.problem(f"there is no command {name[:40]}. Did you mean {near}?")
    elif done is None:
        usage(chat, "")
    else:
        done[0](chat, rest.strip())


def usage(_chat: Chat, _rest: str) -> None:
    """Say what there is."""
    for name, (_, argument, said) in COMMANDS.items():
        output.note(f"{f'{name} {argument}':<20} {said}")
    output.note(f"{'/exit':<20} end; so does Ctrl-D")
    output.note(
        "Enter sends; Alt-Enter, or a backslash before Enter, begins a new line. Ctrl-C stops an answer."
    )


def clear(chat: Chat, _rest: str) -> None:
    """Forget the conversation; what was spent stays counted."""
    chat.talk.restart()
    output.note("a new conversation begins")


def why(chat: Chat, _rest: str) -> None:
    """Show how the last turn was decided."""
    traces = chat.talk.traces
    decision = traces[-1].decision if traces else None
    if decision is None:
        output.note("nothing has been decided yet")
        return
    from openfusion_auto.cli.route_view import show
    from openfusion_auto.core.explain import decision_json

    show(decision_json(decision), output.console())


def cost(chat: Chat, _rest: str) -> None:
    """Show what the turns cost together; one unknown price makes the sum unknown."""
    from openfusion_auto.core.cost import total

    traces = chat.talk.traces
    tokens = sum(t.usage().input + t.usage().output for t in traces)
    calls = sum(len(t.attempts) for t in traces)
    dry = bool(traces) and all(t.dry_run for t in traces)
    money = "nothing spent (dry run)" if dry else output.usd(total([t.usd() for t in traces]))
    made = (
        output.many(len(traces), "turn"),
        output.many(calls, "call"),
        output.many(tokens, "token"),
    )
    output.note(f"{money} for {', '.join(made)}")


def tokens(chat: Chat, _rest: str) -> None:
    """Show the tokens of each model: read, of these cached, and written; `~` marks sums with counts from bytes."""
    calls = [a for t in chat.talk.traces for a in t.attempts if a.usage is not None]
    if not calls:
        output.note("no tokens have been used yet")
        return
    from openfusion_auto.cli.trace_view import new_table

    names = ("model", "calls", "in", "cached", "out")
    table = new_table(names, names[1:])
    for model in dict.fromkeys(a.model for a in calls):
        table.add_row(output.clean(model), *sums([a for a in calls if a.model == model]))
    output.console().print(table)


def sums(calls: list[Attempt]) -> list[str]:
    """Return the cells of some calls together."""
    used = [a.usage for a in calls if a.usage is not None]
    mark = "~" if any(a.estimated for a in calls) else ""
    found = (sum(u.input for u in used), sum(u.cached for u in used), sum(u.output for u in used))
    return [str(len(calls)), *(mark + output.count(n) for n in found)]


def models(chat: Chat, rest: str) -> None:
    """List the names that can be asked for, or ask for one from now on."""
    talk = chat.talk
    if not rest:
        from openfusion_auto.cli.models import show

        show(talk.settings)
        output.note(f"asked is {talk.model}; /models NAME asks another")
        return
    from openfusion_auto.core.prompt import Options
    from openfusion_auto.runtime.names import wanted

    try:
        wanted(rest, Options(), talk.settings.pool, talk.engine.means.offers, talk.engine.own)
    except ModelNotFound as error:
        output.problem(error.message)
        return
    talk.model = rest
    output.note(f"asked is {rest} from now on")


def preset(chat: Chat, rest: str) -> None:
    """Choose one word for several options, or none."""
    options = chat.talk.options
    if rest and rest != OFF and rest not in PRESETS:
        output.problem(f"there is no preset {rest[:40]!r}: {', '.join(PRESETS)}, {OFF}")
        return
    if rest == OFF:
        options.pop("preset", None)
    elif rest:
        options["preset"] = rest
    output.note(f"preset: {options.get('preset', OFF)}  (there are {', '.join(PRESETS)}, {OFF})")


def key(chat: Chat, rest: str) -> None:
    """Say which keys there are; ask for one, or forget it."""
    from openfusion_auto.cli import give_key

    settings = chat.talk.settings
    name, _, action = rest.partition(" ")
    known = {u.api_key_env: u for u in settings.config.upstreams if u.api_key_env}
    if not name:
        for variable, upstream in known.items():
            place = settings.key_places.get(variable)
            output.note(f"{variable}  upstream {upstream.name}: {place or 'not set'}")
        output.note("/key NAME asks for one, /key NAME forget removes what was typed in")
    elif name not in known or action not in ("", FORGET):
        # Not quoted: somebody may have typed the key itself.
        output.problem(
            f"/key takes the name of a variable ({', '.join(known)}); the key is asked for, unseen"
        )
    elif action == FORGET:
        from openfusion_auto.config import given

        count = given.forget(given.path_in(settings.state_path), name)
        output.note(f"{name}: forgotten" if count else f"{name}: none was typed in")
        anew(chat)
    elif not give_key.can_ask():
        output.problem("a key is asked for at a terminal only")
    else:
        with contextlib.suppress(click.Abort):  # Ctrl-C: back to the prompt
            if give_key.ask(settings, known[name]):
                anew(chat)


def anew(chat: Chat) -> None:
    """Go on with the configuration as it is now; with a broken one as before."""
    from openfusion_auto.cli.common import load_settings, start_engine
    from openfusion_auto.cli.talk import Place

    try:
        settings = load_settings(chat.config)
    except ConfigError as error:
        output.problem(f"the configuration stays as it was: {error.message}")
        return
    place = Place(settings, start_engine(settings, asked=chat.dry_run))
    chat.runner.run(chat.talk.move(place))


def save(chat: Chat, rest: str) -> None:
    """Write the conversation as Markdown into a new file."""
    talk = chat.talk
    if not talk.messages:
        output.note("nothing has been said yet")
        return
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    path = Path(rest or f"openfusion-chat-{stamp}.md")
    said = "\n".join(f"## {m['role']}\n\n{output.clean(m['content'])}\n" for m in talk.messages)
    try:
        path = path.expanduser()
        write_new(path, said)
    except (OSError, ValueError, RuntimeError) as error:  # also no such home, a NUL in the name
        why = getattr(error, "strerror", None) or error
        output.problem(f"{path}: {why}; nothing was written")
        return
    said = output.many(len(talk.messages), "message")
    output.note(f"{said} in {path}")


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet, for its owner's eyes: whole, or not at all.

    Raises:
        OSError, ValueError: it is there, or cannot be written.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        # Models can write halves of pairs, which no file can hold.
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


# What it is called -> what it does, what may stand behind it, what is said of it.
COMMANDS: Mapping[str, tuple[Callable[[Chat, str], None], str, str]] = {
    "/why": (why, "", "how the last turn was decided"),
    "/cost": (cost, "", "what was spent"),
    "/tokens": (tokens, "", "what each model read and wrote"),
    "/models": (models, "[NAME]", "the names there are, or ask one of them"),
    "/preset": (preset, "[NAME]", f"{', '.join(PRESETS)} or {OFF}"),
    "/key": (key, "[NAME]", "which keys are set, give or forget one"),
    "/save": (save, "[FILE]", "write the conversation into a new file"),
    "/clear": (clear, "", "start anew"),
    "/help": (usage, "", "this list"),
}
