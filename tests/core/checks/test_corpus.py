"""The corpus: no check finds anything in a sound answer, and the page's figures are those of today's code."""

from __future__ import annotations

import pytest

from openfusion_auto.core.checks import CHECKS, findings, refuses
from openfusion_auto.core.checks.grammars import LANGUAGES, parser
from tests.conftest import missing
from tests.core.checks.corpus import BLOCK, GRAMMAR, PAGE, filled, found, samples

THERE = all(parser(language) for language in LANGUAGES.values())
EVERY = [s for s in samples() if THERE or s.check != GRAMMAR]
NAMES = [*CHECKS, GRAMMAR, "refusal"]


@pytest.fixture(autouse=True)
def _grammars(request):
    """The page's table and the blocks of other languages need the extra `checks`."""
    asked = request.node.callspec.params.get("check") if hasattr(request.node, "callspec") else None
    if not THERE and (
        asked == GRAMMAR or request.function is test_the_page_has_the_figures_of_the_code
    ):
        missing("a grammar is not there: pip install 'openfusion-auto[checks]'")


@pytest.mark.parametrize("check", NAMES)
def test_nothing_is_found_in_a_sound_answer(check):
    sound = [s for s in EVERY if s.check == check and not s.broken]
    assert len(sound) >= 10
    assert [s.name for s in sound if found(s)] == []


@pytest.mark.parametrize("check", NAMES)
def test_most_broken_answers_are_found(check):
    broken = [s for s in EVERY if s.check == check and s.broken]
    missed = [s.name for s in broken if not found(s)]
    assert len(broken) >= 7
    assert len(missed) <= 0.2 * len(broken), missed


def test_a_sound_answer_of_one_check_is_sound_for_all():
    plain = [s for s in EVERY if not s.broken and s.check != "refusal"]
    wrong = [(s.name, findings(s.prompt, s.answer)) for s in plain if findings(s.prompt, s.answer)]
    assert wrong == []
    assert not [s.name for s in plain if refuses(s.answer.text)]


def test_the_page_has_the_figures_of_the_code():
    page = PAGE.read_text("utf-8")
    assert BLOCK.search(page)
    assert filled(page) == page, "run: python -m tests.core.checks.corpus"


def test_the_page_names_every_check():
    page = PAGE.read_text("utf-8")
    assert all(f"\n| {name} | " in page for name in NAMES)
