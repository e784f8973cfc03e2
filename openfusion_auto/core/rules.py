"""The operator's own rules: words, expressions and paths that move a reading before anything is decided.

A `Rule` fires when any of its keywords, patterns or paths is found. It may set the kind, bound risk and complexity,
prefer a role (its candidates rank higher, nobody is shut out) and ask for a mode. Rules are applied in their order, a
later one on what an earlier one left; each that fires stands in the evidence with what it found.

Looked at is a bounded part of a request: the person's words of the standing task, and for paths also the newest tool
calls and the names of attached files. Calls that a client makes for itself are left alone. Nothing here can hang:
expressions run on `pattern.py`'s machine, globs and keywords on loops that never go back further than one star.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from typing import NamedTuple, TypeVar

from openfusion_auto.core.facts import Facts
from openfusion_auto.core.pattern import Machine, compiled
from openfusion_auto.core.prompt import ModeName, Prompt
from openfusion_auto.core.types import LEVELS, Evidence, Forced, Kind, Level, RoleName, Task

SHOWN = 60  # [characters] of what was found that stand in the evidence, at most
MOST_CHARS = 2_000  # [characters] of a person's words that are searched; `facts.py` keeps fewer
MOST_PATHS = 200  # file names looked at in one request
PATH_CHARS = 300  # [characters] of one
UNSPACED = "\u2e80"  # from here on (CJK, kana, Hangul) words are not told apart by spaces

Item = TypeVar("Item")
Piece = TypeVar("Piece")


class Span(NamedTuple):
    """Where a level has to lie: a reading outside is moved to the nearer end."""

    least: Level
    most: Level

    def of(self, level: Level) -> Level:
        """Return the level, moved inside where it is not."""
        place = min(LEVELS.index(self.most), max(LEVELS.index(self.least), LEVELS.index(level)))
        return LEVELS[place]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, compiled: when it fires, and what it moves. None = leaves that as it is.

    `keywords` are folded, `paths` are globs as `glob` makes them.
    """

    name: str
    keywords: tuple[str, ...] = ()
    patterns: tuple[Machine, ...] = ()
    paths: tuple[tuple[str, ...], ...] = ()
    prefer: RoleName | None = None
    risk: Span | None = None
    complexity: Span | None = None
    mode: ModeName | None = None
    kind: Kind | None = None
    why: str = ""


class Matter(NamedTuple):
    """What rules look at: a person's words, the same folded, and file names (folded, cut at their slashes)."""

    words: str
    folded: str
    paths: tuple[tuple[str, ...], ...]


def rule(
    name: str,
    *,
    keywords: Iterable[str] = (),
    patterns: Iterable[str] = (),
    paths: Iterable[str] = (),
    prefer: RoleName | None = None,
    risk: Span | None = None,
    complexity: Span | None = None,
    mode: ModeName | None = None,
    kind: Kind | None = None,
    why: str = "",
) -> Rule:
    """Compile a rule.

    Raises:
        pattern.Refused: a pattern is not valid, or cannot be searched in linear time.
    """
    return Rule(
        name,
        tuple(folded_words(k) for k in keywords),
        tuple(compiled(p) for p in patterns),
        tuple(glob(p) for p in paths),
        prefer,
        risk,
        complexity,
        mode,
        kind,
        why,
    )


def folded_words(text: str) -> str:
    """Return a text folded, with one blank between words."""
    return " ".join(text.casefold().split())


def applied(rules: Sequence[Rule], task: Task, facts: Facts, prompt: Prompt) -> Task:
    """Return the task as the rules that fire leave it."""
    if not rules or task.kind == "aux" or task.turn == "aux":
        return task
    matter = matter_of(facts, prompt, with_paths=any(r.paths for r in rules))
    for one in rules:
        found = fires(one, matter)
        if found is not None:
            task = moved(task, one, found)
    return task


def moved(task: Task, by: Rule, found: str) -> Task:
    """Return the task as a rule that fired leaves it, with the evidence."""
    told = " ".join(found.split())[:SHOWN] + (f" ({by.why})" if by.why else "")
    forced = task.forced
    if by.mode is not None and task.turn == "user":
        forced = Forced(by.mode, f"rule {by.name} asks for it")
    return replace(
        task,
        kind=by.kind or task.kind,
        risk=by.risk.of(task.risk) if by.risk else task.risk,
        complexity=by.complexity.of(task.complexity) if by.complexity else task.complexity,
        prefer=by.prefer or task.prefer,
        forced=forced,
        evidence=(*task.evidence, Evidence(f"rule.{by.name}", 0.0, told)),
    )


def fires(one: Rule, matter: Matter) -> str | None:
    """Return what made a rule fire, None when nothing did."""
    for keyword in one.keywords:
        if has_words(matter.folded, keyword):
            return keyword
    for machine in one.patterns:
        span = searched(machine, matter.words)
        if span is not None:
            return matter.words[slice(*span)]
    for wanted in one.paths:
        literals, ending = hints(wanted)
        for path in matter.paths:
            if not path[-1].endswith(ending) or any(part not in path for part in literals):
                continue
            if is_under(path, wanted):
                return "/".join(path)[-SHOWN:]
    return None


@lru_cache(maxsize=2048)
def searched(machine: Machine, words: str) -> tuple[int, int] | None:
    """Search words. Remembered, since an agent's loop asks with one standing task again and again."""
    return machine.search(words)


def has_words(text: str, wanted: str) -> bool:
    """Whether a folded text holds words as whole words; where a script has no blanks, anywhere."""
    at = text.find(wanted)
    while at >= 0:
        end = at + len(wanted)
        if is_apart(text[at - 1 : at], wanted[0]) and is_apart(text[end : end + 1], wanted[-1]):
            return True
        at = text.find(wanted, at + 1)
    return False


def is_apart(neighbour: str, own: str) -> bool:
    """Whether a word ends between its own character and its neighbour."""
    return not (is_letter(neighbour) and is_letter(own)) or own >= UNSPACED or neighbour >= UNSPACED


def is_letter(char: str) -> bool:
    """Whether a character belongs to a word."""
    return char.isalnum() or char == "_"


# -- paths -----------------------------------------------------------------------------------------------------------


def matter_of(facts: Facts, prompt: Prompt, *, with_paths: bool) -> Matter:
    """Return what the rules look at of a request."""
    words = facts.words[:MOST_CHARS]
    paths: tuple[tuple[str, ...], ...] = ()
    if with_paths:
        # Arguments are JSON: a backslash stands twice in a Windows path, and once before an n that ends a line.
        told = "\n".join(arguments for _, arguments in facts.calls)
        calls = _ESCAPE.sub(lambda m: "/" if m[0] in ("\\\\", "\\/") else " ", told)
        names = chain(attached(prompt), _PATH.findall(words), reversed(_ARGUMENT.findall(calls)))
        found = dict.fromkeys(cut_path(n) for n, _ in zip(names, range(MOST_PATHS), strict=False))
        paths = tuple(p for p in found if p)
    # Lines of a person's words are joined so; a phrase may go over a line's end.
    return Matter(words, folded_words(words.replace(" ; ", " ")), paths)


_ESCAPE = re.compile(r"\\[\\/\"bfnrt]")
_ARGUMENT = re.compile(r"[^\s\"'`<>|;,(){}=]+")  # brackets stay: Next.js has files called [id].tsx
# In a sentence: something with a slash in it, a name with an ending, or one that is known to have none.
_PATH = re.compile(
    r"[^\s\"'`<>|;,(){}=]*[/\\.][^\s\"'`<>|;,(){}=]*|\b(?:Make|Docker|Jenkins|Rake|Gem|Proc|Pip)file\b"
)
_LINE = re.compile(r"(?::\d+)+$")  # src/a.py:12:4


def cut_path(name: str) -> tuple[str, ...]:
    """Return a file name as its parts, folded, without what a sentence leaves at its ends; () when nothing is left."""
    plain = name[-PATH_CHARS:].casefold().replace("\\", "/").strip("@:!?*").rstrip(".")
    return tuple(part for part in _LINE.sub("", plain).split("/") if part not in ("", "."))


def attached(prompt: Prompt) -> list[str]:
    """Return the names of the files attached to the person's messages, the newest message first."""
    found: list[str] = []
    for message in reversed(prompt.messages):
        if message.role != "user":
            continue
        for part in message.parts:
            if part.kind in ("file", "image") and part.raw is not None:
                found += [n for n in map(part.raw.get, NAMES) if isinstance(n, str)]
                inner = part.raw.get("file")
                if isinstance(inner, dict):
                    found += [n for n in map(inner.get, NAMES) if isinstance(n, str)]
        if len(found) >= MOST_PATHS:
            break
    return found


NAMES = ("filename", "title", "name", "path")  # where the dialects and clients put a file's name


def glob(written: str) -> tuple[str, ...]:
    """Return a glob as its parts, folded: `*` and `?` inside a part, `**` for any number of parts.

    It is looked for at the end of a path, from any folder on: `*.sql` is any such file, `db/*.sql` one in a folder
    `db` wherever that is; `db/` is everything under such a folder. A leading slash changes nothing.
    """
    parts = [p for p in written.casefold().replace("\\", "/").split("/") if p not in ("", ".")]
    if parts and written.endswith(("/", "\\")):
        parts.append("**")
    return tuple(parts)


@lru_cache(maxsize=2048)
def hints(wanted: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """Return what every path that a glob means has: parts, and how its last part ends. Cheap to look for first."""
    literals = tuple(part for part in wanted if not {"*", "?"} & set(part))
    ending = wanted[-1].replace("?", "*").rpartition("*")[2] if wanted[-1] != "**" else ""
    return literals, ending


def is_under(path: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether a path's end, from some folder on, is what a glob means."""
    return spans(("**", *wanted), path, "**", lambda part, name: spans(part, name, "*", same_char))


def same_char(wanted: str, char: str) -> bool:
    """Whether a glob's character means this one."""
    return wanted in ("?", char)


def spans(
    pattern: Sequence[Piece], items: Sequence[Item], star: str, fits: Callable[[Piece, Item], bool]
) -> bool:
    """Whether a pattern means a whole sequence; pieces equal to `star` mean any number of items.

    Goes back to the last star alone, which is enough, so it takes at most the product of the lengths.
    """
    at = 0
    piece = 0
    last_star, resume = -1, 0
    while at < len(items):
        if piece < len(pattern) and pattern[piece] == star:
            last_star, resume = piece, at
            piece += 1
        elif piece < len(pattern) and fits(pattern[piece], items[at]):
            piece += 1
            at += 1
        elif last_star >= 0:
            resume += 1
            piece, at = last_star + 1, resume
        else:
            return False
    return all(p == star for p in pattern[piece:])
