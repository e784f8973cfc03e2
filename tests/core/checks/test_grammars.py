"""Blocks that need a grammar: what is said, what is let be, and that without the extra nothing is."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core.checks import grammars
from openfusion_auto.core.checks.code import code_findings
from openfusion_auto.core.checks.grammars import LANGUAGES, grammar_break, is_shown, parser
from tests.conftest import missing

BROKEN = "function f() {\n  secret(1;\n}"


@pytest.fixture
def there():
    if not all(parser(language) for language in LANGUAGES.values()):
        missing("a grammar is not there: pip install 'openfusion-auto[checks]'")


def test_the_language_and_the_line_are_told_and_none_of_the_code(there):
    assert code_findings(f"```js\n{BROKEN}\n```") == [
        "a block of JavaScript does not parse (line 2)"
    ]


@pytest.mark.parametrize("tag", LANGUAGES)
def test_every_tag_has_a_grammar_that_tells_right_from_wrong(there, tag):
    assert grammar_break(tag, "f(1)\ng((2)") != ""
    assert grammar_break(tag, "") == ""


@pytest.mark.parametrize("absent", [ImportError, AttributeError, ValueError])
def test_without_its_grammar_a_block_is_not_judged(monkeypatch, absent):
    def gone(name):
        raise absent(name)

    parser.cache_clear()
    monkeypatch.setattr(grammars.importlib, "import_module", gone)
    try:
        assert grammar_break("js", BROKEN) == ""
        assert code_findings(f"```ts\n{BROKEN}\n```") == []
    finally:
        parser.cache_clear()


def test_python_json_and_unknown_tags_are_not_its_matter():
    assert [grammar_break(tag, BROKEN) for tag in ("python", "json", "", "kotlin")] == [""] * 4


@pytest.mark.parametrize(
    "code", ["x\n" + "[({" * 13_000, '"a":[\n<' * 5_500, "x\n" + "\n" * 39_000 + "("]
)
def test_a_block_that_was_made_to_be_slow_is_read_in_little_time(there, code):
    began = time.process_time()
    grammar_break("js", code)
    assert time.process_time() - began < 1.0


def test_only_what_can_be_tried_as_a_fragment_is_judged(there):
    code = "function f() {\n" + "  g([1, {a: (b) => c}]);\n" * 380
    assert grammar_break("js", code).startswith("a block of JavaScript")
    assert grammar_break("js", code + code) == ""


@pytest.mark.parametrize("code", ["x\n" + "\n" * 9_000 + "y", "<your " * 1_600])
def test_looking_for_what_is_shown_takes_no_longer_than_the_code_is_long(code):
    began = time.process_time()
    assert not is_shown(code)
    assert time.process_time() - began < 0.2


@given(st.sampled_from(sorted(LANGUAGES)), st.text(max_size=80))
def test_no_code_raises_and_no_finding_has_a_newline(tag, code):
    assert "\n" not in grammar_break(tag, code + "\n" + code)
