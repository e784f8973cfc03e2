"""What is printed: escaped, shown instead of obeyed, and numbers as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from markupsafe import Markup, escape

from openfusion_auto.page import render
from openfusion_auto.page.render import breakable, environment, finalize, seen


def shown(text, **values):
    return environment().from_string(text).render(**values)


@given(st.text())
def test_any_text_is_encoded_and_holds_nothing_that_moves_or_hides(text):
    found = seen(text)
    found.encode()
    assert not any(c in render.DIRECTIONS for c in found)
    assert not any((c < " " and c not in "\n\t") or "\x7f" <= c <= "\x9f" for c in found)


def test_what_hides_is_shown_by_name():
    assert seen("a\u202eb\x1b[31mc\x00\x85") == "a[U+202E]b␛[31mc␀␡"
    assert seen("\ud800") == "?"


@pytest.mark.timeout(5)  # each word tried from each of its letters took 1.5 s a million
def test_words_that_are_nearly_too_long_do_not_hold_the_event_loop():
    text = ("a" * 999 + " ") * 10_000
    assert finalize(text).startswith(text[:20_000])
    text = ("a" * 500 + " ") * 20_000
    assert breakable(text) == text


def test_a_long_word_can_be_broken_and_loses_nothing():
    assert breakable("a<b " * 1000) == escape("a<b " * 1000)
    shown = breakable("<" * 1200)
    assert [piece.count("&lt;") for piece in shown.split("<wbr>")] == [500, 500, 200]
    assert breakable("") == ""


def test_what_is_too_long_is_cut_and_that_is_said():
    assert finalize("a " * 10_000) == "a " * 10_000
    assert finalize("a " * 500_000) == "a " * 10_000 + " [and 980,000 characters more]"
    assert finalize("b " + "a" * 1_000) == "b " + "a" * 1_000
    assert finalize("a" * 1_000_000 + " b") == "a" * 1_000 + " [and 999,000 letters more] b"


@pytest.mark.parametrize(
    "hostile",
    ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "<svg onload=alert(1)>", "'&"],
)
def test_whatever_is_printed_is_escaped(hostile):
    found = shown('<i title="{{ x }}">{{ x }}</i>', x=hostile)
    assert found.count("<") == 2
    assert found.count('"') == 2


def test_what_is_unknown_is_a_dash_and_what_is_missing_an_error():
    assert shown("{{ x }}", x=None) == "–"
    assert finalize(Markup("<b>")) == "<b>"
    with pytest.raises(UndefinedError):
        shown("{{ y }}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ 999.4 | ms }} {{ 1234 | ms }} {{ 120000 | ms }} {{ none | ms }}", "999 ms 1.2 s 2.0 min –"),
        ("{{ 0.000017 | money }} {{ -0.5 | money }} {{ 12.5 | money }}", "$0.000017 -$0.500000 $12.5000"),
        ("{{ none | money }} {{ none | usd }}", "unknown unknown"),
        ("{{ 0.256 | share }} {{ none | share }}", "26% –"),
        ("{{ 1234.5 | number(1) }} {{ none | number }}", "1,234.5 –"),
        ("{{ tenth(1.25) }} {{ thousandth(0.5) }} {{ plain('x') }}", "1.2 0.500 x"),
        ("{{ 0 | iso }} {{ 0 | clock_time }}", "1970-01-01T00:00:00.000+00:00 1970-01-01 00:00:00"),
        ("{{ 3e11 | iso }}{{ 3e11 | clock_time }} {{ -1 | clock_time }}", "– –"),
    ],
)  # fmt: skip
def test_numbers_read_alike_everywhere(text, said):
    assert shown(text) == said
