"""Code blocks in languages that only a grammar can read: whether they parse. Needs the extra `checks` (tree-sitter).

Without the extra nothing is judged. A block may be a fragment (members of a class, an object's fields, a signature):
it holds where it parses as such. What is cut on purpose is left alone.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple, Protocol


class Node(Protocol):
    """A node of a syntax tree, as far as it is looked at."""

    has_error: bool
    is_error: bool
    is_missing: bool
    children: list[Node]
    start_point: tuple[int, int]


class Language(NamedTuple):
    """A language: its name, where its grammar is, and in what its fragments stand (`%s` is the fragment)."""

    name: str
    module: str
    grammar: str = "language"
    within: tuple[str, ...] = ()


_BRACES = ("(%s)", "class A {\n%s\n}", "x = {\n%s\n}", "switch (x) {\n%s\n}")
_JS = Language("JavaScript", "tree_sitter_javascript", within=_BRACES)
_TS = Language(
    "TypeScript", "tree_sitter_typescript", "language_typescript", (*_BRACES, "type A = {\n%s\n}")
)
_TSX = _TS._replace(grammar="language_tsx")
_GO = Language(
    "Go",
    "tree_sitter_go",
    within=("func f() {\n%s\n}", "type A struct {\n%s\n}", "type A interface {\n%s\n}"),
)
_RUST = Language(
    "Rust",
    "tree_sitter_rust",
    within=("fn f() {\n%s\n}", "impl A {\n%s\n}", "struct A {\n%s\n}", "match x {\n%s\n}"),
)
_JAVA = Language(
    "Java",
    "tree_sitter_java",
    within=("class A {\n%s\n}", "interface A {\n%s\n}", "enum A {\n%s\n}"),
)
_RUBY = Language("Ruby", "tree_sitter_ruby")
LANGUAGES = {
    **dict.fromkeys(("javascript", "js", "mjs", "cjs", "jsx"), _JS),
    **dict.fromkeys(("typescript", "ts"), _TS),
    "tsx": _TSX,
    **dict.fromkeys(("go", "golang"), _GO),
    **dict.fromkeys(("rust", "rs"), _RUST),
    "java": _JAVA,
    **dict.fromkeys(("ruby", "rb"), _RUBY),
}
# [characters] of code that is tried as a fragment: each frame is a parse more, and what a model wrote to be slow takes
# 300 ms at this size. Longer code that does not parse is not judged.
MOST_FRAGMENT = 10_000
_ALSO = {_JS: _TSX}  # blocks of JavaScript are often TypeScript
# A session, a line that shows what one above comes to, options in brackets, a remark in the place of a value.
_SHOWN = re.compile(
    r"^> ?|^[^\S\n]*(?:(?://|#) *)?=>|^[A-Z]\w* \{$|\[, ?\w|[(:=,] */\*[^*]*\*/ *[),;]",
    re.MULTILINE,
)
# Cut on purpose, or a template: three dots that spread nothing, a remark that says so, a blank to fill in.
_CUT = re.compile(
    r"\.\.\.(?![\w$\[({])|…|^[^\S\n]*(?:#|//|/\*) *(?:rest|existing|other|same|unchanged)\b|\{\{|\{%"
    r"|<[a-z]\w*(?:-\w+)+>|<your\b[^>\n]{0,80}>|[:=(,] *<[a-z]\w*(?:\[\])?> *[,;)\n]"
    r"|^[+-] ?\w.*\n[+-]|^\$ |^<{5,9} SEARCH|^@@ ",
    re.MULTILINE | re.IGNORECASE,
)


def grammar_break(tag: str, code: str) -> str:
    """Return the sentence for a block that does not parse in the language of its tag, or "" when it does, is a
    fragment, or cannot be judged here; never any of the code."""
    language = LANGUAGES.get(tag)
    parse = None if language is None else parser(language)
    if language is None or parse is None or "\n" not in code.strip():
        return ""  # one line is shown rather than run: a signature, a call with its options
    root = parse(code)
    if not root.has_error or len(code) > MOST_FRAGMENT:
        return ""
    if is_shown(code) or is_fragment(language, code):
        return ""
    return f"a block of {language.name} does not parse (line {first_line(root)})"


def is_shown(code: str) -> bool:
    """Whether code is cut on purpose, or no program but a session of one."""
    return bool(_SHOWN.search(code) or _CUT.search(code))


def is_fragment(language: Language, code: str) -> bool:
    """Whether code parses as a part of something, or in the language that it may be as well."""
    also = _ALSO.get(language)
    read = [(parser(language), language.within)]
    if also is not None:
        read.append((parser(also), ("%s", *also.within)))
    return any(
        not parse(frame % code).has_error for parse, frames in read if parse for frame in frames
    )


@cache
def parser(language: Language) -> Callable[[str], Node] | None:
    """Return what parses a language; None where its grammar is not installed."""
    try:
        tree_sitter = importlib.import_module("tree_sitter")
        grammar = getattr(importlib.import_module(language.module), language.grammar)()
        own = tree_sitter.Parser(tree_sitter.Language(grammar))
    except (ImportError, AttributeError, ValueError, TypeError):  # absent, or of another version
        return None

    def parse(code: str) -> Node:
        root: Node = own.parse(f"{code}\n".encode("utf-8", "replace")).root_node
        return root

    return parse


def first_line(root: Node) -> int:
    """Return the line of the first thing that does not parse, from 1."""
    return min((n.start_point[0] for n in broken(root)), default=0) + 1


def broken(node: Node) -> Iterator[Node]:
    """Yield the nodes that stand for what does not parse."""
    open_: list[Node] = [node]
    while open_:
        found = open_.pop()
        if found.is_error or found.is_missing:
            yield found
        elif found.has_error:
            open_ += found.children
