"""What an agent is about to do, read from its tool calls: commands and places that can hurt.

A task may sound harmless and still end in `git push --force`. The calls since the standing task are searched for a few
commands and places; what is found raises the risk, never lowers it. Commands are looked for where a tool takes a
command, places where it takes a path, so text that a tool writes into a file, searches for or prints is neither. What
is reported is the rule's own words or a path's end, never the rest of a command, which may hold a key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from openfusion_auto.core import signs
from openfusion_auto.core.lexicon import word_set
from openfusion_auto.core.shell import Command, commands_of
from openfusion_auto.core.types import Level

MOST_CALLS = 64  # of a session's newest calls that are looked at
# Calls whose signs are kept in memory: an agent's loop sends them again with every turn.
REMEMBERED = 1_024


class Danger(NamedTuple):
    """A sign in a tool call, how risky it makes the task at least, and what was found."""

    name: str
    risk: Level
    why: str


def dangers(calls: Sequence[tuple[str, str]]) -> tuple[Danger, ...]:
    """Return the signs in a session's newest tool calls (name, arguments): each name once, the riskiest of it."""
    found: dict[str, Danger] = {}
    for tool, arguments in calls[-MOST_CALLS:]:
        for danger in of_call(tool, arguments):
            known = found.get(danger.name)
            if known is None or (known.risk, danger.risk) == ("medium", "high"):
                found[danger.name] = danger
    return tuple(found.values())


@lru_cache(maxsize=REMEMBERED)
def of_call(tool: str, arguments: str) -> tuple[Danger, ...]:
    """Return the signs in one tool call. Bounded by what `facts.py` keeps of it; never raises."""
    reads = _READS.search(tool) is not None and _RUNS.search(tool) is None
    found: list[Danger] = []
    for key, value in fields_of(arguments):
        if key in _COMMANDS or (key == "query" and _DATABASE.search(tool)):
            found += in_line(value, sql=key in _STATEMENTS)
        elif key in _PATHS:
            found += in_path(value, reads=reads)
        elif (
            key == "" or key in _PATCHES
        ):  # no JSON, or a patch: a file's name stands in its headers
            for path in _PATCHED.findall(value):
                found += in_path(path.strip(), reads=False)
    return tuple(dict.fromkeys(found))


# -- arguments ---------------------------------------------------------------------------------------------------------

# Names of arguments as the clients' own tools have them (Claude Code, Codex, OpenCode, Goose, Cline, Qwen, Crush).
_COMMANDS = word_set("command cmd commands script chars keys sql statement statements")
_STATEMENTS = word_set("sql statement statements query")
_PATHS = word_set(
    "path file_path filepath filename file target_file notebook_path relative_path absolute_path paths files uri target"
)
_PATCHES = word_set("input patch diff patch_text")
_READS = re.compile(
    r"read|view|grep|glob|search|list|\bls\b|find|fetch|open_file|cat\b", re.IGNORECASE
)
_RUNS = re.compile(r"bash|shell|exec|run|command|terminal|edit|write|replace|patch", re.IGNORECASE)
_DATABASE = re.compile(r"sql|postgres|database|\bdb\b|query|execute", re.IGNORECASE)
_PATCHED = re.compile(
    r"^(?:\*\*\* (?:Update|Add|Delete) File: |\+\+\+ b/)(.{1,300})$", re.MULTILINE
)
# A key and its text, or list of texts, wherever it stands; what is inside a text is passed over. The end may be cut.
_TEXT = r'"((?:[^"\\]|\\.)*)(?:"|\\?$)'
_QUOTED = _TEXT.replace("((", "(?:(", 1)
_FIELD = re.compile(rf'"(\w{{1,40}})"\s*:\s*(?:{_TEXT}|\[((?:\s*{_QUOTED}\s*,?)*))', re.DOTALL)
_ITEM = re.compile(_TEXT, re.DOTALL)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": " ", "f": " "}


def fields_of(arguments: str) -> Iterator[tuple[str, str]]:
    """Yield the keys of a call's arguments that have a text, folded, with it; ("", all) when they are no JSON object.

    A list of texts is a command with its words: those with blanks are quoted.
    """
    if not arguments.lstrip().startswith("{"):
        yield "", arguments
        return
    for key, text, items in _FIELD.findall(arguments):
        if text or not items:
            yield key.lower(), decoded(text)
            continue
        words = [decoded(item) for item in _ITEM.findall(items)]
        joined = " ".join(
            w if w and _PLAIN.fullmatch(w) else "'" + w.replace("'", '"') + "'" for w in words
        )
        yield key.lower(), joined


_PLAIN = re.compile(r"[\w./\\:=@%+,~^-]+")


def decoded(text: str) -> str:
    """Return a JSON text without its escapes."""
    return _ESCAPE.sub(_unescaped, text) if "\\" in text else text


def _unescaped(found: re.Match[str]) -> str:
    code = found[1]
    return chr(int(code[1:], 16)) if len(code) == 5 else _ESCAPES.get(code, code)


# -- commands ----------------------------------------------------------------------------------------------------------

_DELETES = word_set("rm rmdir rd del erase remove-item ri unlink rimraf trash")


def in_line(line: str, *, sql: bool = False) -> Iterator[Danger]:
    """Yield the signs in a command line, or in SQL."""
    folded = line.lower()
    if not signs.TRIGGER.search(folded):
        return
    if sql or signs.CLIENTS.search(folded):
        if signs.LOSES_ROWS.search(folded):
            yield Danger("drops data", "high", "drops or overwrites rows")
        if signs.GIVES_RIGHTS.search(folded):
            yield Danger("changes rights", "high", "grants or revokes")
    if sql:
        return
    fetched = running = False
    for command in commands_of(line):
        yield from in_command(command)
        running = running or command.program in ("iex", "invoke-expression")
        if (command.piped and fetched and command.program in _INTERPRETERS) or (
            running and command.program in _FETCH
        ):
            yield Danger("runs what it downloads", "high", "a downloaded script")
        fetched = command.program in _FETCH


_FETCH = word_set("curl wget iwr irm invoke-webrequest invoke-restmethod")
_INTERPRETERS = word_set("bash sh zsh python python3 node perl ruby iex invoke-expression")


def in_command(command: Command) -> Iterator[Danger]:
    """Yield the signs in one simple command: what it does, and which places it writes to."""
    text = command.text.lower()
    for level, name, why, pattern in signs.COMMANDS if signs.TRIGGER.search(text) else ():
        if pattern.match(text):
            yield Danger(name, level, why)
    if command.program in _DELETES:
        yield from _deleting(command)
    for path in _written(command):
        yield from in_path(path, reads=False)
    if command.program in _SHOWING or (command.program, *command.words[:1]) == ("git", "add"):
        for word in command.words:
            yield from in_path(word.removeprefix("@"), reads=True)


def _deleting(command: Command) -> Iterator[Danger]:
    """Yield the sign of files deleted with everything below them, unless those are made again anyway."""
    flags = [w.lower() for w in command.words if w[:1] == "-" or _SWITCH.fullmatch(w)]
    paths = [
        w.replace("\\", "/").lower()
        for w in command.words
        if w[:1] != "-" and not _SWITCH.fullmatch(w)
    ]
    lost = [p for p in paths or ["*"] if ".." in p or not signs.MADE.search(p)]
    whole = command.program == "rimraf" or any(_WHOLE.match(f) for f in flags)
    if whole and lost:
        hard = any(_FORCED.match(f) for f in flags) or any(signs.FAR.match(p) for p in lost)
        yield Danger(
            "deletes files", "high" if hard else "medium", f"{command.program} with all below"
        )


_WHOLE = re.compile(r"-[a-z]*r|--recursive|/s$")
_FORCED = re.compile(r"-[a-z]*f|--force|/q$")
_SWITCH = re.compile(r"/[a-z]", re.IGNORECASE)
_SHOWING = word_set(
    "cat less more head tail bat type get-content gc curl scp base64 xxd strings nano vim vi"
)
_CHANGING = word_set(
    "tee cp mv rm ln install truncate set-content add-content out-file copy move nano vim vi del remove-item"
)


def _written(command: Command) -> Iterator[str]:
    """Yield the paths that a command writes to."""
    yield from command.writes
    words = command.words
    if command.program in _CHANGING and not any(
        signs.HARMLESS_PLACE.search(w.lower()) for w in words
    ):
        yield from words
        return
    in_place = command.program in ("sed", "perl") and any(re.match(r"-\w*i", w) for w in words)
    if in_place or (command.program == "git" and words[:1] in (("rm",), ("mv",))):
        yield from words[1:]


# -- places ------------------------------------------------------------------------------------------------------------


def in_path(path: str, *, reads: bool) -> Iterator[Danger]:
    """Yield the signs in a path; only secrets are one when the file is merely read."""
    folded = path.replace("\\", "/").lower().strip("\"' ")
    if signs.HARMLESS_PLACE.search(folded):
        return
    why = "/".join(folded.rsplit("/", 2)[-2:])[-60:]
    if signs.SECRETS.search(folded):
        yield Danger("secrets", "high", why)
    if reads:
        return
    if signs.ACCESS.search(folded):
        yield Danger("access control", "medium", why)
    if signs.MIGRATIONS.search(folded):
        yield Danger("migrations", "medium", why)
    if signs.PIPELINES.search(folded):
        yield Danger("pipelines", "medium", why)
