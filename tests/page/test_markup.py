"""Hostile Markdown becomes HTML that can do nothing."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openfusion_auto.page import markup
from openfusion_auto.page.markup import MARKDOWN_CHARS, SHOWN_CHARS, only_own, plain, to_html

PIECES = st.sampled_from([
    "<script>alert(1)</script>", "<svg onload=alert(1)>", "<img src=x onerror=alert(1)>", "<style>*{}</style>",
    "[x](javascript:alert(1))", "[x](JaVaScRiPt:alert(1))", "[x](java\tscript:a)", "[x](data:text/html,<script>)",
    "[x](vbscript:a)", "[x](//evil.example)", "[x](/ui/sign-out)", '[x](https://e.example "t")', "![p](https://e/x.png)",
    "![p](data:image/svg+xml,<svg>)", '<https://e.example/"onmouseover=a>', "<javascript:alert(1)>", "&lt;script&gt;",
    "&#x6A;avascript:", "[r]: javascript:alert(1)", "[r]", "```python\n", '```" onload=a\n', "```html\n<script>\n```", "`", "    code\n",
    "\x1b[31m", "\u202e", "\u2066", "\x00", "\r", "\ud800", "\n", "\n\n", "# ", "> ", "- ", "1. ", "| a | b |\n|--:|:-:|\n| 1 |",
    "**", "_", "~~", "|", "]", "(", ")", "<!--", "-->", '<a href="javascript:a">', "</div>", "<base href=//e>", 'style="x"',
])  # fmt: skip
TEXTS = st.lists(PIECES | st.text(max_size=8), max_size=25).map("".join)
LET = {"href", "title", "class", "dir", "rel", "target", "start"}


class Seen(HTMLParser):
    """What a browser would find in HTML."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.tags, self.links, self.text = [], [], ""
        self.feed(str(html))
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.links += [v for k, v in attrs if k == "href"]

    def handle_data(self, data):
        self.text += data

    def handle_comment(self, data):
        raise AssertionError(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


@given(TEXTS)
@settings(max_examples=150)
def test_only_harmless_tags_attributes_and_addresses_are_left(text):
    found = Seen(to_html(text))
    for tag, attributes in found.tags:
        assert tag in markup.TAGS
        assert set(attributes) <= LET
    for link in found.links:
        assert re.match(r"(https?://|mailto:)", link)
    assert not re.search(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", found.text
    )


@given(st.text())
@settings(max_examples=50)
def test_plain_text_stays_text(text):
    found = Seen(plain(text))
    assert [t for t, _ in found.tags] == ["pre"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("[x](javascript:alert(1))", "[x](javascript:alert(1))"),
        ("![p](data:image/png;base64,aa)", "![p](data:image/png;base64,aa)"),
        ("\x1b[31mred", "\u241b[31mred"),
        ("a\u202eb", "a[U+202E]b"),
    ],
)  # fmt: skip
def test_what_is_not_let_stays_to_be_read(text, shown):
    assert Seen(to_html(text)).text.strip() == shown


def test_a_picture_is_a_link_and_is_not_loaded():
    found = Seen(to_html("![a <b> chart](https://e.example/x.png?a=1&b=2)"))
    assert found.links == ["https://e.example/x.png?a=1&b=2"]
    assert found.text.strip() == "a <b> chart"
    assert "img" not in {t for t, _ in found.tags}


def test_links_open_elsewhere_and_tell_nobody_from_where():
    (_, attributes) = Seen(to_html("[x](https://e.example)")).tags[1]
    assert attributes["rel"] == "noopener noreferrer nofollow"
    assert attributes["target"] == "_blank"


def test_code_is_coloured_by_classes_and_stays_what_it_is():
    code = 'def f(x: int) -> str:\n    return "<b>"  # \u202e\n'
    found = Seen(to_html(f"```python\n{code}```"))
    assert "t-k" in {a.get("class") for _, a in found.tags}
    assert code.replace("\u202e", "[U+202E]") in found.text
    assert Seen(to_html("```brainfuck\n+++\n```")).text.strip() == "brainfuck+++"


def test_every_language_that_is_coloured_has_a_lexer():
    for name in markup.LANGUAGES:
        assert "x" in Seen(markup.coloured("x", name)).text


def test_headings_stand_under_the_pages_own_and_columns_keep_their_side():
    tags = [t for t, _ in Seen(to_html("# a\n## b\n### c\n#### d")).tags]
    assert tags == ["h3", "h4", "h5", "h6"]
    html = to_html("| a | b |\n|--:|:-:|\n| 1 | 2 |")
    assert 'class="right"' in html
    assert 'class="center"' in html
    assert "style" not in html


def test_a_class_that_is_not_ours_goes():
    assert only_own("span", "class", "t-k banner t-k2 x") == "t-k t-k2"
    assert only_own("div", "class", "banner") is None
    assert only_own("a", "title", "anything") == "anything"


# Shapes that readers of Markdown are known to be slow on; each takes some tenths of a second.
SLOW = {
    "brackets": "[" * MARKDOWN_CHARS, "quotes": ">" * MARKDOWN_CHARS,
    "deep lists": "".join(" " * (2 * i) + "- a\n" for i in range(160)),
    "a table": "|".join("a" * 100) + "\n" + "|".join("-" * 100) + "\n" + "|\n" * 14_000,
}  # fmt: skip


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", SLOW)
def test_text_made_to_take_long_ends_soon(name):
    assert len(to_html(SLOW[name])) < 10 * MARKDOWN_CHARS


@pytest.mark.parametrize("shape", ["{}", "```\n{}\n```", "```json\n{}\n```", "| a |\n|--|\n| {} |"])
def test_a_word_that_no_browser_breaks_in_time_gets_places_to_break(shape):
    html = to_html(shape.format("AV" * 15_000))
    assert html.count("<wbr>") == 59
    assert "AV" * 251 not in html


def test_what_is_not_shown_is_not_looked_through_either(monkeypatch):
    looked = []
    monkeypatch.setattr(markup, "seen", lambda text: looked.append(len(text)) or text)
    to_html("x" * (3 * SHOWN_CHARS))
    assert looked == [SHOWN_CHARS]


def test_what_is_too_long_for_markdown_is_plain_and_whole():
    line = "*a* <b>" * 150_000  # 1 MB on one line
    found = Seen(to_html(line))
    assert [t for t, _ in found.tags] == ["pre"]
    assert found.text == line


def test_beyond_the_bound_it_says_how_much_is_missing():
    found = Seen(plain("x" * (SHOWN_CHARS + 1234)))
    assert found.text.count("x") == SHOWN_CHARS
    assert "1,234 more characters are not shown" in found.text
