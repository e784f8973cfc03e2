"""Tell a person's words from what a harness wraps around them and from what was pasted between them.

A coding agent's user message may hold reminders, the environment, attached files, logs, stack traces and code. Only the
words say what is asked. Everything here is bounded: of a long text the head and the tail are read.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from openfusion_auto.core.lexicon import word_set

WINDOW_HEAD = 6_000  # [characters] read of a long text, besides its tail
WINDOW_TAIL = 4_000
# [characters] of a person's words that are kept; instructions stand first or last, details between.
WORDS_HEAD = 550
WORDS_TAIL = 300
PASTED_CHARS = 600  # [characters] of pasted code that are kept for naming what it is about
BLOCKS = 48  # tags looked at in one text
PARAGRAPHS_HEAD = 12  # paragraphs looked at in one text, besides its last ones
PARAGRAPHS_TAIL = 8
PARAGRAPHS_BETWEEN = 6  # of the others, those that begin and end as sentences do
LINE_CHARS = 120  # [characters] of a line that say what it is
LONG_PARAGRAPH = 6  # lines; of longer ones the first two and the last one decide

# Tags that a harness writes around its own text, as seen in Claude Code, Codex, OpenCode, Goose, Cline, Roo, Continue,
# Cursor, Copilot, Qwen and Gemini.
_ENVELOPE = word_set(
    "system-reminder system_reminder environment_context env environment environment_details info-msg "
    "user_instructions instructions user-memory memory context file files file_content file_contents attached_files "
    "attachments attachment documents document open_files additional_data ide_selection ide_opened_file "
    "ide_context editorcontext editor_context workspace_info workspaceinfo workspace_context project_context "
    "reminderinstructions reminder_instructions reminder local-command-stdout local-command-stderr "
    "local-command-caveat command-name command-message command-args command-contents bash-input bash-stdout "
    "bash-stderr task-notification permissions skills_instructions turn_aborted collaboration_mode "
    "custom_instructions rules git_status gitstatus directory_structure repo_map repomap final_file_content "
    "slow_task_reminder current_working_directory system_info subagent_notification available_skills "
    "persistent-memory session_context new-diagnostics tool_use_reminder terminal_state app-context "
    "current_datetime date plan_mode todo_list todos workspace"
)
# Tags around the person's own words: what stands inside is the message.
_WORDS = word_set(
    "task user_query userrequest user_request user_message user_input prompt query question feedback answer "
    "objective"
)
_OPEN = re.compile(r"<([A-Za-z][\w.-]{0,40})((?:\s[^<>]{0,300})?)>")

# From these lines on a text is the harness's. Aider repeats its edit format behind the task.
_CUTS = (
    "\n# *SEARCH/REPLACE block* Rules",
    "\n# File editing rules:",
    "\nTo suggest changes to a file you MUST return",
    "\n# task_progress",
    "\n--- Content from referenced files ---",
)
# A user message that begins so was written by a harness, whole (folded).
_HARNESS = (
    "i have *added these files to the chat*",
    "here are summaries of some files present in my git repo",
    "here are some read only files",
    "i switched to a new code base",
    "i committed the changes with git hash",
    "i spoke to you previously about a number of things",
    "this is the qwen code. we are setting up",
    "this is the gemini cli",
    "# agents.md instructions",
    "caveat: the messages below",
    "[request interrupted",
    "called the read tool with",
    "called the list tool with",
    "the user has attached",
    "this session is being continued from a previous conversation",
    "important: this context may or may not be relevant",
    "as you answer the user's questions, you can use the following context",
)
NEW_CODE_BASE = "i switched to a new code base"  # Aider: what stands before is its example

_FENCE = "```"
_LOG = re.compile(
    r"\s*(?:\[?\d{1,4}[:.\-/T]\d\d[\d:.,\-/TZ+ ]*|\d+\.\d+\.\d+\.\d+\s|\[\d+[./]\d+\]|\[?(?:INFO|WARN|WARNING|"
    r"DEBUG|ERROR"
    r"|TRACE|FATAL|NOTICE)\b[\]: ]|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d|(?:npm|yarn|pip|cargo) (?:ERR|WARN|error|warning)"
    r"|(?:Step|#)\d* ?\d+[/: ]\S|> Task :|\[\w+\] .*(?:ms|\.\.\.)|[\w./-]+ (?:PASSED|FAILED|ok|SKIPPED)\b|\d+ \d{5,})"
)
_TRACE = re.compile(
    r"\s*(?:at [\w$.<>\[\] ]+ ?\(|at \S+:\d|File \"|Traceback \(|goroutine \d|#\d+ +\S|E   |panic: |Caused by: |"
    r"--> \S+:\d|[\w.]*(?:Error|Exception|Warning)\b:? ?|error(?:\[\w+\])?: |thread '|stack backtrace|"
    r"\S+\.\w+:\d+(?::\d+)?:? |"
    r"\S+\(0x|/\S+:\d+ \+0x|[\w.]+\.\w+\(\)$|[\w.$/]+\([^)]*\)\s+\S+:\d+|\.\.\. \d+ more)"
)
_DIFF = re.compile(
    r"(?:\+\s{0,8}\S.*[^\w\s.]|\+\+\+ |--- \S|-\s{2,}\S|@@ |diff --git |index [0-9a-f]{7}|[+-]\t)"
)
_CODE = re.compile(
    r"\s*(?:(?:SELECT|INSERT|UPDATE|DELETE|ALTER|CREATE|DROP|WITH|FROM|WHERE|JOIN|GRANT|BEGIN|"
    r"COMMIT)\b[^a-z]{0,40}[\w*]"
    r"|(?:def|class|func|fn|function|public|private|static|import|from|const|let|var|return|package|use|struct|impl|"
    r"export|async|await|type|interface|enum|if|for|while|elif|except|resource|module|with|FROM|RUN|COPY)\b"
    r"(?:.*(?:[{;]|\):?)\s*$|.* :?= |.*=>| \w+:$|.* import )|(?:else|try|finally):$|import [\w.]+$"
    r"|[{}()\[\];]+\s*[,;]?$|#include|#!/|\$ \S|>>> |<\w+[ />]|//|/\*|\* @|[\w.\"']+\s*[:=]\s*[{\[\"(]"
    r"|[\w.]+\([^)]*\);?$|@\w+[.(]|\|)"
)
_BULLET = re.compile(r"\s*(?:[-*\u2022]|\d{1,2}[.)])\s+\S")
_SYMBOLS = "{}();=<>[]|\\"
SYMBOL_SHARE = 0.12  # of a line's characters; prose with a call or a quoted condition stays below


class Reading(NamedTuple):
    """A text taken apart.

    `words` are the person's, `code` the head of what was pasted as code, `marks` what kinds of paste were seen
    (`log`, `trace`, `diff`, `code`), `harness` whether the whole message was the harness's, `pasted` how many
    characters stood beside the words. `text` is all of it but the harness's blocks, bounded.
    """

    words: str
    code: str
    marks: frozenset[str]
    harness: bool
    pasted: int = 0
    text: str = ""


_EMPTY = Reading("", "", frozenset(), harness=True)


def read_text(text: str) -> Reading:
    """Take a user message's text apart. Never raises; reads a bounded part of a long text."""
    rest = strip_blocks(text).strip()
    if not rest or is_harness(rest):
        return _EMPTY
    if len(rest) > WINDOW_HEAD + WINDOW_TAIL:
        head, tail = rest[:WINDOW_HEAD], rest[-WINDOW_TAIL:]
        # Whole lines only: half a line may look like another kind of text.
        rest = (head.rpartition("\n")[0] or head) + "\n\n" + (tail.partition("\n")[2] or tail)
    whole = _cut(rest)
    rest = whole.replace("\r\n", "\n")
    if "\n" not in rest:
        return Reading(_bounded([rest]), "", frozenset(), harness=False, text=rest)
    marks: set[str] = set()
    code: list[str] = []
    words: list[str] = []
    plain = _lift_fences(rest, code, marks)
    for paragraph in _some_paragraphs(plain.split("\n\n")):
        _read_paragraph(paragraph, words, code, marks)
    if not words and not marks - {"code", "diff"}:
        words = [line for line in plain.split("\n", 3)[:2] if line.strip()]
    said = _bounded(words)
    pasted = max(0, len(rest) - sum(map(len, words)))
    return Reading(
        said,
        "\n".join(code)[:PASTED_CHARS],
        frozenset(marks),
        harness=False,
        pasted=pasted,
        text=whole,
    )


def is_harness(text: str) -> bool:
    """Whether a text, blocks stripped, was written by a harness as a whole."""
    return text[:80].lower().startswith(_HARNESS)


def strip_blocks(text: str) -> str:
    """Remove a harness's tagged blocks that begin a line; unwrap the ones around the person's words."""
    if "<" not in text:
        return text
    kept: list[str] = []
    start = at = 0
    for _ in range(BLOCKS):
        at = _next_tag(text, at)
        if at < 0:
            break
        found = _OPEN.match(text, at)
        tag = found.group(1).lower() if found else ""
        if found is None or (tag not in _ENVELOPE and tag not in _WORDS):
            at += 1
            continue
        close = text.find(f"</{found.group(1)}", found.end())
        if close < 0:
            at += 1
            continue
        end = text.find(">", close) + 1 or len(text)
        if tag in _WORDS:
            return text[found.end() : close]
        kept.append(text[start:at])
        start = at = end
    kept.append(text[start:])
    return "".join(kept)


def _next_tag(text: str, at: int) -> int:
    """Return where the next tag stands that begins a line or follows another block, or -1."""
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    if text.startswith("<", at) and (at == 0 or text[at - 1] in "> \t\r\n"):
        return at
    found = text.find("\n<", at)
    return found + 1 if found >= 0 else -1


def _cut(text: str) -> str:
    ends = [i for i in map(text.find, _CUTS) if i > 0]
    return text[: min(ends)] if ends else text


def _lift_fences(text: str, code: list[str], marks: set[str]) -> str:
    """Return `text` without fenced blocks; their heads go to `code`."""
    if _FENCE not in text:
        return text
    pieces = text.split(_FENCE)
    marks.add("code")
    for block in pieces[1::2]:
        code.append(block[:PASTED_CHARS])
        if _TRACE.match(block.lstrip()) or "Traceback (" in block:
            marks.add("trace")
    return "\n\n".join(pieces[0::2])


def _some_paragraphs(paragraphs: list[str]) -> list[str]:
    """Return the first and the last ones, and of those between the ones that look like sentences."""
    if len(paragraphs) <= PARAGRAPHS_HEAD + PARAGRAPHS_TAIL:
        return paragraphs
    between = paragraphs[PARAGRAPHS_HEAD:-PARAGRAPHS_TAIL]
    told = [p for p in between if p[:1].isupper() and p[-1:] in _SENTENCE_ENDS]
    return [
        *paragraphs[:PARAGRAPHS_HEAD],
        *told[:PARAGRAPHS_BETWEEN],
        *paragraphs[-PARAGRAPHS_TAIL:],
    ]


_SENTENCE_ENDS = ".?!:"


def _read_paragraph(paragraph: str, words: list[str], code: list[str], marks: set[str]) -> None:
    lines = paragraph.split("\n")
    if len(lines) > LONG_PARAGRAPH:
        kinds = {_line_kind(line) for line in (lines[1], lines[len(lines) // 2], lines[-2])}
        if "prose" not in kinds:
            marks.update(kinds)
            code.extend(lines[1:-1][:LONG_PARAGRAPH] if "code" in kinds or "diff" in kinds else ())
            lines = [lines[0], lines[-1]]
        else:
            lines = [*lines[: 2 * LONG_PARAGRAPH], *lines[2 * LONG_PARAGRAPH :][-LONG_PARAGRAPH:]]
    for line in lines:
        if not line or line.isspace():
            continue
        kind = _line_kind(line)
        if kind == "prose":
            words.append(line.strip())
        else:
            marks.add(kind)
            if kind in ("code", "diff"):
                code.append(line[:200])


def _line_kind(line: str) -> str:
    """Return what a line of a longer text is: prose, log, trace, diff or code."""
    head = line[:LINE_CHARS]
    if line[-1] in ".?!" and _begins_sentence(head):
        return "prose"
    if head[0] in " \t":
        bare = head.lstrip()
        if bare[:1] not in _INDENTED_BEGINS and not bare[:1].isdecimal():
            return "code"
        if not bare.startswith(_INDENTED_TRACE):
            return "prose" if _BULLET.match(head) else "code"
    elif head[-1] in "{};":
        return "diff" if _DIFF.match(head) else "code"
    found = _LINE.match(head)
    if found:
        return found.lastgroup or ""
    symbols = sum(map(head.count, _SYMBOLS))
    return "code" if symbols > SYMBOL_SHARE * len(head) + 1 else "prose"


def _begins_sentence(line: str) -> bool:
    """The quick way for what most lines of prose are: a capital, a small letter or blank, no sign of code."""
    return (
        line[0].isupper()
        and not line[1:2].isupper()
        and line.count(" ") > 1
        and ": " not in line[:40]
        and _SENTENCE_BREAKERS.isdisjoint(line)
    )


_SENTENCE_BREAKERS = frozenset("{}<>=;[]|")
_INDENTED_TRACE = ("at ", "File ", "-->", "#", "[", "|", "...", "E ", "Caused")
# What an indented trace or bullet begins with, unless with a number: most lines of code begin otherwise.
_INDENTED_BEGINS = frozenset({*(sign[0] for sign in _INDENTED_TRACE), *"-*\u2022"})
# The kinds of line in the order in which they are tried.
_LINE = re.compile(
    "|".join(
        f"(?P<{kind}>{pattern.pattern})"
        for kind, pattern in (("log", _LOG), ("trace", _TRACE), ("diff", _DIFF), ("code", _CODE))
    )
)


def _bounded(lines: list[str]) -> str:
    text = " ; ".join(lines)
    if len(text) <= WORDS_HEAD + WORDS_TAIL:
        return text
    return text[:WORDS_HEAD] + " ; " + text[-WORDS_TAIL:]
