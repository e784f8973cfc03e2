"""The table of kinds: complete, findable, without contradictions."""

from __future__ import annotations

import pytest

from openfusion_auto.core.lexicon import UNSPACED, split_term
from openfusion_auto.core.signals import (
    AMBIGUOUS_HEADS,
    COMMANDS,
    HEAD_VERBS,
    HEADS,
    INDEX,
    LOCAL_COMMANDS,
    NEUTRAL_PAIRS,
    ONLY_FOR,
    SIGNALS,
)
from openfusion_auto.core.types import KINDS
from openfusion_auto.core.wording import find_hits, tokenise


def terms():
    return [(s, t.strip()) for s in SIGNALS for t in s.terms.split(",")]


def test_axes_are_kinds_risk_or_complexity():
    assert {s.axis for s in SIGNALS} == {*KINDS, "risk", "complexity"} - {"aux"}


def test_every_signal_has_points_and_lower_case_terms():
    assert all(s.points for s in SIGNALS)
    assert [t for _, t in terms() if t != t.lower() or not t] == []


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda s: f"{s.axis}-{s.name}-{s.points}")
def test_every_term_fires_its_signal(signal):
    for term in (t.strip() for t in signal.terms.split(",")):
        text = term if term[0] >= UNSPACED else " ".join(split_term(term)).replace("*", "")
        hit = find_hits(tokenise(text), text).get(signal.axis, {}).get(signal.group)
        assert hit is not None, term
        assert abs(hit.points) >= abs(signal.points), term


def test_every_instruction_leads_to_its_kinds():
    for kind, points, verbs in HEADS:
        for verb in verbs.split():
            assert (kind, points) in HEAD_VERBS[verb]


def test_ambiguous_verbs_and_commands_are_instructions():
    assert set(HEAD_VERBS) >= AMBIGUOUS_HEADS
    assert COMMANDS > LOCAL_COMMANDS


def test_rules_for_one_kind_name_signals_and_kinds():
    assert set(ONLY_FOR.values()) <= set(KINDS)
    known = {f"{s.axis}.{s.name}" for s in SIGNALS}
    assert set(ONLY_FOR) <= known


def test_harmless_phrases_have_at_least_two_words():
    assert all(first and second for first, second in NEUTRAL_PAIRS)


def test_stems_do_not_swallow_common_words():
    harmless = "author authored aesthetic borrow cobra argon distribution permissive unification installation patiently"
    for word in harmless.split():
        text = f"the {word} page"
        hits = find_hits(tokenise(text), text)
        assert not any(
            h.points >= 3.0 for axis in ("risk", "ops") for h in hits.get(axis, {}).values()
        ), word


def test_the_index_covers_all_tables():
    assert len(INDEX.words) > 800
    assert len(INDEX.anywhere) > 150
