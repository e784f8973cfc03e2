"""What a model wrote, as HTML that can do nothing: Markdown without HTML, sanitised, its code coloured by classes.

Three fences, each enough by itself: the parser takes no HTML and no address but `http`, `https` and `mailto`; the
sanitiser lets a list of tags and attributes through; the page's policy runs no script and loads nothing from elsewhere.
Pictures are not loaded: they become links. What is too long to be read as Markdown stays plain text.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping, Sequence
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock, table
from markdown_it.token import Token
from markupsafe import Markup, escape
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

from openfusion_auto.page.render import breakable, seen

# [characters] read as Markdown: a second at worst, for text made to take long.
MARKDOWN_CHARS = 40_000
SHOWN_CHARS = 2_000_000  # [characters] shown at all
COLOURED_CHARS = 12_000  # [characters] of code that are coloured, of all blocks of one text
TABLE_CELLS = 10_000  # that a table may have at most; the parser fills up short rows
MAX_DEPTH = 20  # of lists and quotes inside each other
# Languages that are coloured: what answers are written in. Others stay plain, so no odd lexer reads hostile text; Java
# and Lua too, whose lexers take seconds for a few thousand characters made for that.
LANGUAGES = {
    "bash", "c", "c++", "cpp", "cs", "csharp", "css", "diff", "docker", "dockerfile", "go", "html", "ini", "javascript",
    "js", "json", "jsx", "kotlin", "make", "php", "powershell", "py", "python", "rb", "ruby", "rs", "rust", "sh",
    "shell", "sql", "swift", "toml", "ts", "tsx", "typescript", "xml", "yaml", "yml", "zsh",
}  # fmt: skip
SCHEMES = ("http", "https", "mailto")
TAGS = {
    "a", "blockquote", "br", "code", "div", "em", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s", "span",
    "strong", "table", "tbody", "td", "th", "thead", "tr", "ul", "wbr",
}  # fmt: skip
ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}}
OWN_CLASS = re.compile(r"(t-[a-z0-9]{1,4}|code|lang|wide|plain|right|center|picture)")
CLASSED = ("div", "pre", "span", "td", "th", "a")
HEADINGS = {"h1": "h3", "h2": "h4", "h3": "h5"}  # the page's own stand above them


def to_html(text: str) -> Markup:
    """Return Markdown as safe HTML; text that is too long for that as it is."""
    if len(text) > MARKDOWN_CHARS:
        return plain(text)
    text = seen(text.replace("\r\n", "\n"))
    return Markup(sanitised(parser().render(text)))  # noqa: S704 - sanitised in this line


def plain(text: str) -> Markup:
    """Return text as it is, cut after `SHOWN_CHARS`, which is said."""
    left = len(text) - SHOWN_CHARS
    # Cut first: it holds the interpreter, 0.1 s a million.
    text = seen(text[:SHOWN_CHARS].replace("\r\n", "\n"))
    shown = Markup('<pre class="plain">{}</pre>').format(breakable(text))
    if left <= 0:
        return shown
    return shown + Markup("<p>{} more characters are not shown.</p>").format(f"{left:,}")


def sanitised(html: str) -> str:
    """Return HTML with what is in our lists and nothing else."""
    return nh3.clean(
        html,
        tags=TAGS,
        attributes={**ATTRIBUTES, **{t: ATTRIBUTES.get(t, set()) | {"class"} for t in CLASSED}},
        attribute_filter=only_own,
        url_schemes=set(SCHEMES),
        link_rel="noopener noreferrer nofollow",
        set_tag_attribute_values={
            "a": {"target": "_blank"},
            **{t: {"dir": "auto"} for t in ("p", "li", "td", "th", "blockquote")},
        },
        strip_comments=True,
        generic_attribute_prefixes=set(),
    )


def only_own(_tag: str, name: str, value: str) -> str | None:
    """Let no class through but our own; a text has no say in how the page looks."""
    if name != "class":
        return value
    return " ".join(c for c in value.split() if OWN_CLASS.fullmatch(c)) or None


@cache
def parser() -> MarkdownIt:
    """Return the parser: CommonMark with tables and strikethrough."""
    made = MarkdownIt("commonmark", {"html": False, "linkify": False, "maxNesting": MAX_DEPTH})
    made.enable(["table", "strikethrough"])
    made.block.ruler.at("table", small_table, {"alt": ["paragraph", "reference"]})
    made.validateLink = is_let  # type: ignore[method-assign] # as its documentation says
    made.core.ruler.push("page", on_page)
    made.add_render_rule("text", words)
    made.add_render_rule("fence", fence)
    made.add_render_rule("code_block", fence)
    made.add_render_rule("image", picture)
    return made


def is_let(url: str) -> bool:
    """Whether an address may stand in a link: absolute, and of a kind that runs nothing; what is not stays text."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme.lower() in SCHEMES and bool(parts.netloc or parts.scheme == "mailto")


def small_table(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """Read a table, unless it could have too many cells: then it stays text."""
    columns = (
        state.src[state.bMarks[start + 1] : state.eMarks[start + 1]].count("|") + 1
        if start + 2 <= end
        else 1
    )
    return columns * (end - start) <= TABLE_CELLS and table(state, start, end, silent)


def on_page(state: Any) -> None:  # noqa: ANN401 - the parser's own state
    """Fit the tokens into the page: headings under its own, columns by class (a style would be shut out)."""
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = HEADINGS.get(token.tag, "h6")
        style = str(token.attrs.pop("style", ""))
        side = style.removeprefix("text-align:")
        if side in ("right", "center"):
            token.attrs["class"] = side


def words(_self: object, tokens: Sequence[Token], at: int, _options: object, _env: object) -> str:
    """Return text, its long words breakable."""
    return str(breakable(tokens[at].content))


def fence(
    _self: object, tokens: Sequence[Token], at: int, _options: object, env: MutableMapping[str, int]
) -> str:
    """Return a block of code: coloured where its language is one of ours and there has not been too much of it."""
    token = tokens[at]
    named = (token.info.split() or [""])[0]
    env["coloured"] = env.get("coloured", 0) + len(token.content)
    short = env["coloured"] <= COLOURED_CHARS
    body = coloured(token.content, named.lower()) if short else str(breakable(token.content))
    label = f'<span class="lang">{escape(named[:20])}</span>' if named else ""
    return f'<div class="code">{label}<pre><code>{body}</code></pre></div>\n'


def coloured(code: str, language: str) -> str:
    """Return code as HTML, with a class for each kind of word where the language is one of ours."""
    if language not in LANGUAGES:
        return str(breakable(code))
    name = "yaml" if language == "yml" else language  # before 2.21, Pygments knows one of them
    return highlight(code, get_lexer_by_name(name, stripnl=False), formatter())


@cache
def formatter() -> HtmlFormatter[str]:
    """Return what writes coloured code: spans with classes, no style."""
    return HtmlFormatter(nowrap=True, classprefix="t-")


def picture(_self: object, tokens: Sequence[Token], at: int, _options: object, _env: object) -> str:
    """Return a picture as a link to it: nobody else's server hears that the answer is read."""
    token = tokens[at]
    alt = escape(token.content or "picture")
    return f'<a class="picture" href="{escape(str(token.attrs.get("src", "")))}">{alt}</a>'
