"""What tools came to: which results failed, which calls edit or run checks, and whether a model is stuck.

A model is stuck when what it tries fails the same way again and again. Agents look around between their tries, so
reading a file between two failing runs of the tests changes nothing.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from openfusion_auto.core.prompt import Message, ToolCall

STRUGGLE_RUN = (
    3  # the same failure so many times with nothing better between: the session's model is stuck
)
FAILED_EDITS = 2  # so many edits in a row, each followed by a failing run, say the same
FAILED_TRIES = 3  # as many, with whatever between, when the last failure was seen before
OUTCOMES = 24  # tool results looked at when the newest one failed
RESULT_HEAD = 500  # [characters] of a tool result that are read, besides its tail
RESULT_TAIL = 1_000
COMMAND_CHARS = (
    400  # [characters] of them that say whether a call is a check, where many are looked at
)
REMEMBERED = 256  # results whose error is kept in memory
ARGUMENT_CHARS = 1_500  # [characters] of a call's arguments that are looked at

Does = Literal["", "edit", "check", "look"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one tool call came to.

    `fingerprint` names the error (equal errors, equal names), "" when it went well. `does` says whether the call edits
    files, runs tests, a build or the like, or only looks (a search that finds nothing fails), "" for none of them.
    """

    tool: str
    ok: bool
    fingerprint: str = ""
    does: Does = ""


def is_result(message: Message) -> bool:
    """A tool's result, whatever role it came in; some clients write results into user messages."""
    if message.role == "tool" or message.tool_call_id is not None:
        return True
    return message.role == "user" and _TOLD_RESULT.match(message.text[:200]) is not None


# Cline's and Roo's results in the user role; Aider's own reflections on an edit or a test that failed.
_TOLD_RESULT = re.compile(
    r"\s*(?:\[[a-z_]+(?: for '[^'\n]{0,150}'?)?\] Result:|\[ERROR\] |The LLM did not conform to the edit format|"
    r"# \d+ SEARCH/REPLACE blocks? failed|# Fix any errors below|I ran this command:\s)"
)


_EXIT = re.compile(
    r"(?:exit(?:ed)?(?: with)?(?: code| status)?|exit_?code|return ?code|status)[\"']?\s*[:= ]\s*(-?\d{1,3})\b"
)
_COUNT_FAILED = re.compile(r"\b([1-9]\d{0,5}) (?:failed|failures?|failing|errors?)\b")
_ERROR_LINE = re.compile(
    r"^\W{0,4}(?:<?tool_use_error>?|error\b|errors?:|fatal\b|failed\b|failure\b|traceback \(most recent|"
    r"\w*(?:error|exception): |"
    r"panic: |command not found|no such file|permission denied|cannot |could not |unable to |invalid |not found)"
    r"|: (?:command not found|no such file or directory|permission denied)$|^e   \S",
    re.MULTILINE,
)
_START_CHARS = 160  # an error that does not stand in the first line counts only with an exit code or a traceback
# One of these stands in every result that the patterns can call failed.
_TROUBLE = (
    *("error", "exit", "code", "status", "fail", "fatal", "panic", "exception", "traceback"),
    *("not found", "no such", "denied", "cannot", "could not", "unable", "invalid", "\ne   "),
)
# "status: 204" is an HTTP status; exit codes end at 255, but nobody uses 200.
_HTTP_FINE, _HTTP_BAD = 200, 400
_VARIES = re.compile(r"0x[0-9a-f]+|[0-9a-f]{8}-[0-9a-f-]{27,}|\d+")


def read_outcome(tool: str, text: str, does: Does = "", *, failed: bool = False) -> Outcome:
    """Judge a tool's result by its exit code, else by a failed count, a traceback, or an error at its start.

    Args:
        tool: Name of the tool, "" when unknown.
        text: The result; its head and tail are read.
        does: What the call did.
        failed: The client says that it failed.
    """
    cut = len(text) > RESULT_HEAD + RESULT_TAIL
    seen = (text[:RESULT_HEAD] + "\n" + text[-RESULT_TAIL:] if cut else text).lower()
    trouble = failed or any(map(seen.__contains__, _TROUBLE))
    error = _error_of(seen, failed) if trouble else ""
    return Outcome(tool, not error, error, does)


@lru_cache(maxsize=REMEMBERED)
def _error_of(seen: str, told: bool) -> str:
    """Return the name of the error in a folded result, "" when it went well; `told`: its client says that it failed.

    Remembered, since every turn of a loop sends all results again.
    """
    return _fingerprint(seen) if told or _tells_failure(seen) else ""


def _tells_failure(seen: str) -> bool:
    """Whether a folded result says that it failed."""
    codes = _EXIT.findall(seen)
    if codes:
        code = int(codes[-1])
        return code != 0 and not _HTTP_FINE <= code < _HTTP_BAD
    start = seen.lstrip()[:_START_CHARS]
    return bool(
        _ERROR_LINE.match(start)
        or "traceback (most recent call last)" in seen
        or _COUNT_FAILED.search(seen[-400:])
        or "command not found" in start
        or '"is_error":true' in seen[:400].replace(" ", "")
    )


def _fingerprint(folded: str) -> str:
    """Name an error by the line that tells it, numbers and addresses left out: eight hexadecimal digits.

    How many tests failed belongs to it: fewer than before is another error.
    """
    lines = [line.strip() for line in folded.splitlines() if line.strip()]
    telling = next((x for x in reversed(lines) if _ERROR_LINE.search(x)), lines[0] if lines else "")
    plain = _VARIES.sub("#", telling[:200])
    counted = _COUNT_FAILED.findall(folded[-400:])
    named = f"{plain} {counted[-1]}" if counted else plain
    return f"{zlib.crc32(named.encode('utf-8', 'surrogatepass')):08x}"


# -- what a call does --------------------------------------------------------------------------------------------------

# Not lists of what is to do (TodoWrite, write_todos), what is typed into a running command (write_stdin), or memories.
_EDIT_NAMES = re.compile(
    r"\A(?!.*(?:todo|stdin|memor)).*(?:edit|write|patch|replace|create_file|insert)",
    re.IGNORECASE | re.DOTALL,
)
_EDIT_COMMANDS = re.compile(
    r"\*\*\* Begin Patch|apply_patch|\bsed\s+-i|\bgit\s+apply\b|\bpatch\s+-p\d"
)
_RUN_NAMES = re.compile(
    r"shell|bash|exec|run|command|terminal|test|process|cmd|powershell", re.IGNORECASE
)
# Tests, builds and checks, where a command begins. Others say little: grep ends with 1 when it finds nothing.
_CHECKS = re.compile(
    r"(?:^|[\"'`;&|(\[\n]\s*|\b(?:run|exec|npx|time|env|sudo|\w+=\S+)\s+)(?:\S*/)?(?:pytest|py\.test|tox|nox|jest|vitest|mocha|rspec|phpunit|ctest|tsc|mypy|pyright|ruff|"
    r"eslint|make|gradlew?|mvnw?|bazel|rake|go(?:\s+(?:test|build|vet))|(?:cargo|npm|pnpm|yarn|bun|deno|dotnet|swift|mix|"
    r"composer|zig|flutter|rails|npx|uv|poetry|manage\.py)(?:\s+run)?\s+[\w:-]*(?:test|build|check|lint|clippy|spec|jest)"
    r"[\w:-]*|python[\d.]*\s+(?:-m\s+\w+|\S+\.py)|node\s+\S+\.[cm]?js)(?:[\s\"'`;&|)\],]|$)",
    re.IGNORECASE,
)


# One of these stands in every command that the pattern above can match, and it is slow on long ones.
_CHECK_GATES = (
    "py", "tox", "nox", "jest", "vitest", "mocha", "rspec", "phpunit", "ctest", "tsc", "ruff", "eslint", "make",
    "gradle", "mvn", "bazel", "rake", "go ", "cargo", "npm", "yarn", "bun", "deno", "dotnet", "swift", "mix ",
    "composer", "zig", "flutter", "rails", "npx", "uv ", "poetry", "node",
)  # fmt: skip


def is_edit(name: str, arguments: str) -> bool:
    """Whether a tool call changes files."""
    return bool(_EDIT_NAMES.search(name) or _EDIT_COMMANDS.search(arguments))


def is_check(name: str, arguments: str) -> bool:
    """Whether a tool call runs tests, a build or the like."""
    if not _RUN_NAMES.search(name):
        return False
    if "test" in name.lower():
        return True
    # Arguments are JSON: an escaped line's end is one.
    gated = any(map(arguments.lower().__contains__, _CHECK_GATES))
    return gated and bool(_CHECKS.search(arguments.replace("\\n", "\n")))


# A command line that begins with looking: it fails where there is nothing to see.
_LOOKS = re.compile(
    r"[\"':\[]\s*(?:cd\s+\S+\s*&&\s*)?(?:[ef]?grep|rg|ls|cat|head|tail|find|fd|which|diff|stat|test|git\s+(?:grep|diff|show))\s"
)


@lru_cache(maxsize=REMEMBERED)
def what_it_does(name: str, arguments: str) -> Does:
    """Return whether a tool call edits files, runs a check, only looks, or none. Remembered, as `_error_of` is."""
    if is_edit(name, arguments):
        return "edit"
    if is_check(name, arguments):
        return "check"
    return "look" if _RUN_NAMES.search(name) and _LOOKS.search(arguments) else ""


# -- of a conversation -------------------------------------------------------------------------------------------------


def tried(messages: Sequence[Message], last: int) -> tuple[Outcome, ...]:
    """Return what the tool calls since the person's `last` words came to, oldest first, at most `OUTCOMES`.

    Those since the newest answer alone when they all went well: then nobody is stuck, whatever came before.
    """
    found: list[Message] = []
    i = len(messages) - 1
    while i > last and not (messages[i].role == "assistant" and (found or messages[i].tool_calls)):
        if is_result(messages[i]):
            found.append(messages[i])
        i -= 1
    if not found:
        return ()
    newest = found[:OUTCOMES]
    calls = {c.id: c for c in messages[i].tool_calls} if i > last else {}
    judged = _judged(newest, calls)
    if all(o.ok for o in judged):
        return judged
    calls = {c.id: c for m in messages[last + 1 :] for c in m.tool_calls}
    # What one answer called together has no order, and is one try: what failed counts as the newest, and once.
    outcomes = sorted(dict.fromkeys(_judged(newest, calls)), key=lambda o: not o.ok)
    alike, ended = 1, False
    together: set[Outcome] = set()
    for message in reversed(messages[last + 1 : max(i, last + 1)]):
        told_all = alike == STRUGGLE_RUN or (ended and len(outcomes) >= 2 * FAILED_EDITS)
        if told_all or len(outcomes) >= OUTCOMES:
            break
        if is_result(message):
            (older,) = _judged([message], calls)
            if older in together:
                continue
            together.add(older)
            outcomes.insert(0, older)
            alike += _repeats(older, outcomes[-1])
            ended = ended or _ends(older, outcomes[-1])
        elif message.role == "assistant":
            together.clear()
    return tuple(outcomes)


def _repeats(older: Outcome, newest: Outcome) -> bool:
    """Whether an older outcome is the newest one's failure."""
    return _line(older) == _line(newest) and older.fingerprint == newest.fingerprint


def _ends(older: Outcome, newest: Outcome) -> bool:
    """Whether an older outcome ends the newest one's row of failures: nothing before it matters."""
    if _line(older) != _line(newest):
        return False
    return older.ok or (newest.does != "check" and older.fingerprint != newest.fingerprint)


def _judged(found: Sequence[Message], calls: Mapping[str, ToolCall]) -> tuple[Outcome, ...]:
    """Return the outcomes of results, the newest of which comes first; the outcomes' order is time's."""
    outcomes = []
    for message in reversed(found):
        call = calls.get(message.tool_call_id or "")
        does: Does = "" if call is None else what_it_does(call.name, call.arguments[:COMMAND_CHARS])
        name = "" if call is None else call.name
        outcome = read_outcome(name, message.text, does, failed=message.failed)
        if call is not None and does == "look" and not outcome.ok:
            outcome = replace(outcome, fingerprint=_of_a_look(outcome, call.arguments))
        outcomes.append(outcome)
    return tuple(outcomes)


def _of_a_look(outcome: Outcome, arguments: str) -> str:
    """Name a look that failed by what was looked for, too: looking elsewhere is no second try."""
    told = f"{outcome.fingerprint} {arguments[:COMMAND_CHARS]}"
    return f"{zlib.crc32(told.encode('utf-8', 'surrogatepass')):08x}"


def struggle_of(outcomes: tuple[Outcome, ...]) -> str:
    """Return what says that a model is stuck, "" when nothing does or the newest result went well.

    The same failure of one doing (editing, checking, one look, else one tool) `STRUGGLE_RUN` times with no other
    result of it between; `FAILED_EDITS` edits in a row that were each followed by a failing run; or `FAILED_TRIES`
    failing checks in a row with edits before each, the last of which failed as one before it.
    """
    if not outcomes or outcomes[-1].ok:
        return ""
    newest = outcomes[-1]
    alike = [o for o in outcomes if _line(o) == _line(newest)][-STRUGGLE_RUN:]
    if len(alike) == STRUGGLE_RUN and len({(o.ok, o.fingerprint) for o in alike}) == 1:
        return f"the same error {STRUGGLE_RUN} times"
    tries = outcomes[-2 * FAILED_EDITS :]
    edits, runs = tries[0::2], tries[1::2]
    edited = all(o.ok and _edits(o) for o in edits)
    failed = all(not o.ok and o.does != "look" and not _edits(o) for o in runs)
    if len(tries) == 2 * FAILED_EDITS and edited and failed:
        return f"it still fails after {FAILED_EDITS} edits"
    return f"it still fails after {FAILED_TRIES} edits" if _keeps_failing(outcomes) else ""


def _keeps_failing(outcomes: tuple[Outcome, ...]) -> bool:
    """Whether the last `FAILED_TRIES` checks failed, with edits before each, and the last one as one before it."""
    errors: list[str] = []
    edited = True
    for o in reversed(outcomes):
        if o.does == "check":
            if o.ok or not edited:
                return False
            errors.append(o.fingerprint)
            edited = False
        edited = edited or (o.ok and _edits(o))
        if len(errors) == FAILED_TRIES and edited:
            return errors[0] in errors[1:]
    return False


def _line(outcome: Outcome) -> str:
    """Return what an outcome is compared with: others of the same doing, else of the same tool."""
    return outcome.does or outcome.tool


def _edits(outcome: Outcome) -> bool:
    return outcome.does == "edit" or bool(_EDIT_NAMES.search(outcome.tool))
