"""Edits that a program will apply: unified diffs, SEARCH/REPLACE blocks and `apply_patch`. Form alone is checked.

What a tool would refuse is found; what is written for a reader (a few lines with plus and minus, no file named) is
left alone. Sources: GNU diffutils manual, "Detailed Description of Unified Format"; aider's editblock format and the
same with Cline's marks; the grammar of `apply_patch` in Codex.
"""

from __future__ import annotations

import re

from openfusion_auto.core.checks.fences import fences

BEGIN, END = "*** Begin Patch", "*** End Patch"

# -- unified diff ------------------------------------------------------------------------------------------------------

_HUNK = re.compile(r"^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_NUMBERED = re.compile(r"^@@ *-?\d")
_OLD, _NEW = "--- ", "+++ "
_PLAIN_START = re.compile(r"^(?:diff --git |--- \S.*\n\+\+\+ \S)", re.MULTILINE)
# Of `git diff`: a change that needs no hunk.
_NO_HUNK = re.compile(
    r"^(?:rename (?:from|to)|copy (?:from|to)|similarity index|old mode|new mode|deleted file mode"
    r"|new file mode|Binary files|GIT binary patch)",
    re.MULTILINE,
)


def diff_findings(text: str) -> list[str]:
    """Return what is wrong with the unified diffs in an answer: in code blocks, or as the whole of it."""
    blocks = [f.body for f in fences(text) if _PLAIN_START.search(f.body)]
    if not blocks and _PLAIN_START.match(text.lstrip()):
        blocks = [text.strip()]
    return [f for block in blocks if BEGIN not in block for f in one_diff(block.splitlines())][:1]


def one_diff(lines: list[str]) -> list[str]:
    """Return the first thing wrong with a diff that names its files."""
    i, hunks, files = 0, 0, 0
    while i < len(lines):
        line = lines[i]
        if starts_file(lines, i):
            files += 1
            i += 2
        elif line.startswith("@@"):
            hunks += 1
            i, wrong = one_hunk(lines, i)
            if wrong:
                return [wrong]
        elif line[:1] in "+-" and line and files and hunks:
            return [f"a line of the diff is outside its hunk: the counts say so (line {i + 1})"]
        else:
            i += 1
    if not hunks and not _NO_HUNK.search("\n".join(lines)):
        return ["the diff has no hunk"]
    return []


def starts_file(lines: list[str], i: int) -> bool:
    """Whether the headers of a file stand here."""
    return lines[i].startswith(_OLD) and i + 1 < len(lines) and lines[i + 1].startswith(_NEW)


def one_hunk(lines: list[str], i: int) -> tuple[int, str]:
    """Return where the hunk that begins at `i` ends, and what is wrong with it."""
    head = _HUNK.match(lines[i])
    if head is None:
        if _NUMBERED.match(lines[i]):
            return i, f"the header of a hunk is not well-formed (line {i + 1})"
        return loose_hunk(lines, i + 1)
    old, new = (1 if n is None else int(n) for n in head.groups())
    start, i = i + 1, i + 1
    while (old or new) and i < len(lines):
        line = lines[i]
        if line.startswith("@@") or (starts_file(lines, i) and not (old and new)):
            break
        sign = line[:1] or " "  # an empty line of context may have lost its blank
        if sign not in "+- \\":
            return i, f"a line of a hunk has no sign before it (line {i + 1})"
        old -= sign in "- "
        new -= sign in "+ "
        i += 1
    if old or new:
        return i, f"a hunk's lines do not add up to the counts in its header (line {start})"
    while i < len(lines) and lines[i].startswith("\\"):
        i += 1
    return i, ""


def loose_hunk(lines: list[str], i: int) -> tuple[int, str]:
    """Return where a hunk without line numbers ends (aider's form), and what is wrong with it."""
    while i < len(lines) and not lines[i].startswith(("@@", "diff --git ")):
        if starts_file(lines, i):
            break
        if lines[i][:1] not in ("", "+", "-", " ", "\\"):
            return i, f"a line of a hunk has no sign before it (line {i + 1})"
        i += 1
    return i, ""


# -- SEARCH/REPLACE ----------------------------------------------------------------------------------------------------

_HEAD = re.compile(r"^(?:<{5,9}|(-{5,9})) ?SEARCH>?\s*$")
_DIVIDER = re.compile(r"^={5,9}\s*$")
_TAIL = re.compile(r"^(?:>{5,9}|\+{5,9}) ?REPLACE>?\s*$")
_FENCE = re.compile(r"^\s*(?:`{3,}|~{3,}|<source>)")
NAMED_WITHIN = 3  # [lines] above a block in which aider looks for the file's name


def search_findings(text: str) -> list[str]:
    """Return the first thing wrong with the SEARCH/REPLACE blocks in an answer."""
    lines = text.splitlines()
    inside = ""  # "", "search" or "replace"
    named = False
    for i, line in enumerate(lines):
        head = _HEAD.match(line)
        if head is not None:
            if inside:
                return [f"a SEARCH block begins inside another one (line {i + 1})"]
            # Cline's marks stand in a parameter beside the path.
            named = named or head[1] is not None or names_file(lines[max(0, i - NAMED_WITHIN) : i])
            if not named:
                return [f"a SEARCH block names no file (line {i + 1})"]
            inside = "search"
        elif _DIVIDER.match(line) and inside == "search":
            inside = "replace"
        elif _TAIL.match(line):
            if inside != "replace":
                said = "has no divider" if inside else "has no beginning"
                return [f"a SEARCH/REPLACE block {said} (line {i + 1})"]
            inside = ""
    return ["a SEARCH/REPLACE block has no end"] if inside else []


def names_file(above: list[str]) -> bool:
    """Whether one of the lines above a block may be a file's name."""
    return any(
        line.strip() and not _FENCE.match(line) and not _TAIL.match(line) for line in above
    ) or any("." in line.split("```")[-1] for line in above if _FENCE.match(line))


# -- apply_patch -------------------------------------------------------------------------------------------------------

_ADD, _DELETE, _UPDATE = "*** Add File: ", "*** Delete File: ", "*** Update File: "
_MOVE, _EOF = "*** Move to: ", "*** End of File"


def patch_findings(text: str, *, whole: bool = False) -> list[str]:
    """Return the first thing wrong with the `apply_patch` envelopes in a text.

    Args:
        text: An answer, or what a tool is given.
        whole: The text is given to a tool: it must hold an envelope.
    """
    lines = [line.rstrip() if line.startswith("***") else line for line in text.splitlines()]
    starts = [i for i, line in enumerate(lines) if line == BEGIN]
    if not starts:
        return [f"the patch does not begin with '{BEGIN}'"] if whole else []
    for start in starts:
        try:
            end = lines.index(END, start)
        except ValueError:
            return [f"the patch does not end with '{END}'"]
        wrong = one_patch(lines[start + 1 : end])
        if wrong:
            return [f"{wrong} (line {start + 1} and below)"]
    return []


def one_patch(lines: list[str]) -> str:
    """Return the first thing wrong between the marks of an envelope, or ""."""
    mode, count = "", 0
    for line in [
        *lines,
        _DELETE + ".",
    ]:  # the end of the last section is looked at like any other's
        if line.startswith((_ADD, _DELETE, _UPDATE)):
            if mode == _ADD and not count:
                return "a file is added without a line"
            mode, count = next(m for m in (_ADD, _DELETE, _UPDATE) if line.startswith(m)), 0
            continue
        wrong = one_line(line, mode, count)
        if wrong:
            return wrong
        count += 1
    return "" if len(lines) else "the patch is empty"


def one_line(line: str, mode: str, count: int) -> str:
    """Return what is wrong with a line inside a section, or ""."""
    if not mode:
        return "a line of the patch stands before any file" if line.strip() else ""
    if line.startswith(_MOVE):
        return "" if mode == _UPDATE and not count else "a move stands where none may be"
    if line.startswith("***") and line != _EOF:
        return "a mark of the patch is not known"
    if mode == _DELETE:
        return "a deleted file has lines" if line.strip() else ""
    if mode == _ADD:
        return "" if line.startswith("+") else "a line of an added file has no plus"
    if line.startswith("@@"):
        return "" if line == "@@" or line.startswith("@@ ") else "a hunk's mark is not well-formed"
    return (
        "" if line[:1] in ("", "+", "-", " ") or line == _EOF else "a line of a change has no sign"
    )
