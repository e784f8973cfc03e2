"""Which programs a shell line runs, with which words. Tolerant: reads POSIX shells, PowerShell and cmd alike.

`commands_of` splits a line into its simple commands and looks into what is run indirectly (`bash -lc "..."`, `ssh`,
`sudo`, `xargs`, `docker exec`). Text that is only an argument (`git commit -m "..."`, `echo "..."`) stays one word of
its command, and the body of a here-document that goes into a file is left out, so words in them run nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from openfusion_auto.core.lexicon import word_set

DEPTH = 4  # shells inside shells that are followed
COMMANDS = 200  # of one line that are looked at


class Command(NamedTuple):
    """A simple command: the program's bare name, lower case, all words after it, and where its output goes to."""

    program: str
    words: tuple[str, ...]
    writes: tuple[str, ...] = ()
    piped: bool = False

    @property
    def text(self) -> str:
        """The program and its words, one blank between."""
        return " ".join((self.program, *self.words))


SHELLS = frozenset({"bash", "sh", "zsh", "dash", "ksh", "fish", "pwsh", "powershell", "cmd"})
_RUNS_ITS_INPUT = SHELLS | {"ssh"}
# Words before a program that change nothing in what it does: which of their options take a value.
_WRAPPERS = {
    **dict.fromkeys(
        word_set(
            "! { ( & then do else if while time nohup exec command builtin setsid start doas watch"
        )
    ),
    "sudo": word_set("-u -g -h -D"),
    "env": word_set("-u -C"),
    "nice": word_set("-n"),
    "timeout": word_set("-s -k"),
    "stdbuf": word_set("-i -o -e"),
    "xargs": word_set("-n -P -L -I -d -E -s"),
}
# Programs that run the rest of their words elsewhere: how many bare words stand before it ("docker exec NAME ls").
_ELSEWHERE = {
    **dict.fromkeys(
        (
            "ssh",
            "docker exec",
            "podman exec",
            "docker-compose exec",
            "docker compose exec",
            "kubectl exec",
        ),
        1,
    ),
    **dict.fromkeys(
        ("wsl", "eval", "poetry run", "uv run", "pipenv run", "bundle exec", "npx", "heroku run"), 0
    ),
}
_ELSEWHERE_PROGRAMS = frozenset(name.split()[0] for name in _ELSEWHERE)
_VALUED = word_set("-u -e -w -n -c --user --env --workdir --namespace --container")
_VALUED_SSH = word_set("-p -l -o -i -F -J -c -b -D -L -R -W")
# The next piece of a line: an operator, a redirection, or a word whose parts may be quoted.
_PIECE = re.compile(
    r"(?P<comment>(?<!\S)\#[^\n]*)|(?P<space>(?:[ \t\r]|\\\n|`\n)+)|(?P<here><<-?\s*(?P<q>['\"]?)(?P<tag>\w+)(?P=q))"
    r"|(?P<into>(?:\d|&)?>>?\|?(?:&\d)?)|(?P<op>&&|\|\||\|&|[;|&\n()]|\$\(|`)"
    r"|(?P<word>(?:'[^']*'?|\"(?:\\.|[^\"\\])*\"?|\\(?!\n).|\$\{[^}]*\}?|[^\s;|&()<>`'\"\\\n$]|\$(?!\()|<)+)",
    re.DOTALL,
)
_QUOTED = re.compile(r"'([^']*)'?|\"((?:\\.|[^\"\\])*)\"?|([^'\"]+)", re.DOTALL)
_ASSIGNED = re.compile(r"(?:\$env:)?\w+=", re.IGNORECASE)


def commands_of(line: str, depth: int = DEPTH) -> Iterator[Command]:
    """Yield the simple commands of a shell line, those inside other shells too. Never raises."""
    for count, (words, writes, piped) in enumerate(_split(line)):
        if count >= COMMANDS:
            return
        command = _command(words, writes, piped=piped)
        if command is None:
            continue
        yield command
        inner = _inner(command)
        if inner and depth:
            yield from commands_of(inner, depth - 1)


class _Run(NamedTuple):
    words: list[str]
    writes: tuple[str, ...]
    piped: bool


def _split(line: str) -> Iterator[_Run]:
    """Yield the words of each simple command, unquoted, and the files that it writes to."""
    words: list[str] = []
    writes: list[str] = []
    piped = target = False
    bodies: list[
        tuple[str, bool]
    ] = []  # here-documents that begin on the next line: end, whether a shell runs it
    at = 0
    while at < len(line):
        found = _PIECE.match(line, at)
        if found is None:
            at += 1
            continue
        at = found.end()
        match found.lastgroup:
            case "word":
                (writes if target else words).append(unquoted(found[0]))
                target = False
            case "into":
                target = "&" not in found[0][1:]
            case "here" | "tag" | "q":
                bodies.append((found["tag"], not _RUNS_ITS_INPUT.isdisjoint(map(base, words))))
            case "op":
                yield _Run(words, tuple(writes), piped)
                words, writes, piped, target = [], [], found[0] in ("|", "|&"), False
                if found[0] == "\n":
                    at = _past(line, at, bodies)
            case _:
                pass
    yield _Run(words, tuple(writes), piped)


def _past(line: str, at: int, bodies: list[tuple[str, bool]]) -> int:
    """Return where reading goes on behind a line break: behind here-documents that nothing runs."""
    while bodies:
        tag, run = bodies.pop(0)
        if run:
            continue
        end = re.compile(rf"^[ \t]*{re.escape(tag)}[ \t\r]*$", re.MULTILINE).search(line, at)
        at = end.end() if end else len(line)
    return at


def unquoted(word: str) -> str:
    """Return a word without its quotes."""
    if "'" not in word and '"' not in word:
        return word
    return "".join(
        single or re.sub(r'\\(["\\$`])', r"\1", double) or bare
        for single, double, bare in _QUOTED.findall(word)
    )


@lru_cache(maxsize=1_024)
def base(program: str) -> str:
    """Return a program's bare name: no folder, no `.exe`, lower case."""
    name = re.split(r"[/\\]", program)[-1].lower()
    return name.removesuffix(".exe").removesuffix(".cmd")


def _command(words: list[str], writes: tuple[str, ...], *, piped: bool) -> Command | None:
    """Return a command without assignments and wrappers before it; None when nothing runs."""
    at, wrapped = 0, False
    while at < len(words):
        word = words[at]
        if base(word) in _WRAPPERS:
            wrapped = True
        elif wrapped and word in _VALUED and base(words[at - 1]) != "xargs":
            at += 1
        elif not (
            _ASSIGNED.match(word) or (wrapped and (word.startswith("-") or word[:1].isdigit()))
        ):
            return Command(base(word), tuple(words[at + 1 :]), writes, piped)
        at += 1
    return Command("", (), writes, piped) if writes else None


def _inner(command: Command) -> str:
    """Return the line that a command runs elsewhere or by another shell, "" when it runs none."""
    words = command.words
    if command.program in SHELLS:
        for i, word in enumerate(words):
            if re.fullmatch(r"-[a-z]*c|-command|/[ck]", word.lower()):
                return " ".join(words[i + 1 :])
        return ""
    for many in (2, 1, 0) if command.program in _ELSEWHERE_PROGRAMS else ():
        skip = _ELSEWHERE.get(" ".join((command.program, *words[:many])))
        if skip is not None:
            return " ".join(
                _rest(words[many:], skip, _VALUED_SSH if command.program == "ssh" else _VALUED)
            )
    return ""


def _rest(words: tuple[str, ...], skip: int, valued: frozenset[str]) -> tuple[str, ...]:
    """Return the words behind options and `skip` bare words; all behind `--` where that stands."""
    if "--" in words:
        return words[words.index("--") + 1 :]
    at = 0
    while at < len(words) and (words[at].startswith("-") or skip):
        if words[at].startswith("-"):
            at += 2 if words[at] in valued and skip else 1
        else:
            skip -= 1
            at += 1
    return words[at:]
