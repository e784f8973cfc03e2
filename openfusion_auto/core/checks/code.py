"""Code blocks that say which language they are: whether they parse.

Python by `ast`, JSON by the standard reader, others by a grammar where that is installed (`grammars.py`).

A block may be a fragment, shown to a reader: what is cut on purpose (an ellipsis, an `else` without its `if`, a session
of the interpreter) is left alone.
"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings

from openfusion_auto.core.checks.fences import Fence, fences
from openfusion_auto.core.checks.grammars import LANGUAGES, grammar_break
from openfusion_auto.core.checks.jsons import is_json

MAX_CODE = 40_000  # [characters] of an answer's blocks that are parsed: about 50 ms, and no answer waits for more
MAX_BLOCKS = 20
_PYTHON = ("python", "py", "python3")
_READ = frozenset({*_PYTHON, "json", *LANGUAGES})
# Where a line begins: `^\s*` would look at all blank lines below from each of them, which is quadratic.
_ELIDED = re.compile(
    r"\.\.\.|…|^[^\S\n]*(?:#|//) *(?:rest|existing|other|same|unchanged)\b",
    re.MULTILINE | re.IGNORECASE,
)
_FRAGMENT = re.compile(r"\s*(?:elif|else|except|finally|case)\b")
_SESSION = re.compile(
    r"^[^\S\n]*(?:>>> |In \[\d+\]|\$ |%\w|!\w|<{5,9} SEARCH|@@ |[+-] ?\w.*\n[+-])", re.MULTILINE
)
_SIGNATURE = re.compile(r"\s*(?:async +)?(?:def|class)\b[^\n]*+\s*+\Z")
_BLANKS = re.compile(r"<[A-Za-z][\w -]*>|\{\{|\{%")  # placeholders of a template
# Newer than the oldest Python that this runs on: type statements and parameters, exceptions without brackets.
_NEWER = re.compile(
    r"^[^\S\n]*(?:type \w+|(?:async )?def \w+\[|class \w+\[|except\*? [\w.]+, )|\bt[\"']",
    re.MULTILINE,
)
# Python 2; quotes inside f-strings since 3.12.
_NOT_OURS = ("Missing parentheses in call to", "f-string")

_QUOTE = re.compile(r"[:(‘\"]| '")


def code_findings(text: str) -> list[str]:
    """Return one sentence for the first code block that says its language and does not parse."""
    room = MAX_CODE
    for fence in fences(text)[:MAX_BLOCKS]:
        if not fence.closed or fence.language not in _READ or len(fence.body) > room:
            continue
        room -= len(fence.body)
        if fence.language in _PYTHON and (wrong := python_break(fence.body)):
            return [f"a block of Python does not parse: {wrong}"]
        if fence.language == "json" and not json_holds(fence):
            return ["a block of JSON does not parse"]
        if wrong := grammar_break(fence.language, fence.body):
            return [wrong]
    return []


def python_break(code: str) -> str:
    """Return why a block of Python does not parse, or "" when it does or is a fragment on purpose."""
    problem = parse_problem(textwrap.dedent(code))
    if not problem or problem.startswith(_NOT_OURS):
        return ""
    if any(p.search(code) for p in (_ELIDED, _SESSION, _BLANKS, _NEWER)):
        return ""
    return "" if _FRAGMENT.match(code) or _SIGNATURE.fullmatch(code) else problem


def parse_problem(code: str) -> str:
    """Return the parser's own words, with the line, or ""; never any of the code."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(code)
    except SyntaxError as error:
        # Some messages quote the code: their words end where the quote begins.
        return f"{_QUOTE.split(error.msg, maxsplit=1)[0].strip()} (line {error.lineno})"
    except (ValueError, RecursionError, MemoryError):
        return "it cannot be read"
    return ""


def json_holds(fence: Fence) -> bool:
    """Whether a block of JSON is one document, one a line, or a fragment on purpose."""
    body = fence.body.strip()
    if not body or is_json(body) or _ELIDED.search(body) or _BLANKS.search(body):
        return True
    if re.search(r"^[^\S\n]*(?://|/\*|#)|[,{\[\d\"] *(?://|/\*)", body, re.MULTILINE):
        return True  # comments: another language under that name, and its readers know
    if re.match(r'"[^"\n]*"\s*:', body):
        return is_json("{" + body.rstrip(",") + "}")
    rows = [line for line in body.splitlines() if line.strip()]
    return len(rows) > 1 and all(is_json(row) for row in rows)
