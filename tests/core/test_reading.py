"""The linear model: what it weighs, and that its evidence adds up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.core import reading
from openfusion_auto.core.facts import Facts
from openfusion_auto.core.features import Features, features_of
from openfusion_auto.core.types import KINDS, LEVELS
from tests.reading.labelled import asked_of, labelled

TEXTS = st.sampled_from([asked_of(row) for row in labelled("judge")]) | st.text(max_size=80)


def made(rows: dict[str, dict[int, float]], rarity: float = 1.0) -> reading.Model:
    weights = np.zeros((len(rows), 16), dtype=np.float32)
    for i, row in enumerate(rows.values()):
        for column, weight in row.items():
            weights[i, column] = weight
    bias = np.arange(16, dtype=np.float32) / 100
    return reading.Model(
        {n: i for i, n in enumerate(rows)}, np.full(len(rows), rarity, np.float32), weights, bias
    )


def test_the_axes_cover_all_columns_once_in_the_order_of_their_names():
    columns = [i for part in reading.AXES.values() for i in range(part.start, part.stop)]
    assert columns == list(range(16))
    assert reading.NAMES["kind"] == KINDS
    assert reading.NAMES["risk"] == reading.NAMES["complexity"] == LEVELS


def test_the_shipped_model_has_a_weight_for_each_feature_and_is_loaded_once():
    known = reading.model()
    assert known is reading.model()
    assert known.weights.shape == (len(known.rows), 16)
    assert known.rarity.shape == (len(known.rows),)
    assert np.isfinite(known.weights).all()
    assert (known.rarity >= 1.0).all()
    assert {name[:1] for name in known.rows} >= {"#", "+", "^", "<"}


def test_each_block_has_length_one_however_many_words_there_are():
    known = made({"a": {0: 1.0}, "b": {0: 1.0}, "<a>": {0: 2.0}, "#question": {0: 1.0}})
    found = Features({"a": "a", "b": "b", "new": "new"}, ("a",), {"#question": 0.7})
    rows, values, words = reading.looked_up(found, known)
    assert rows.tolist() == [0, 1, 2, 3]
    assert values == pytest.approx([0.5**0.5, 0.5**0.5, 1.0, 0.7])
    assert words == ["a", "b", "a", "question"]
    judged = reading.judge(found, known)
    assert judged.scores[0] == pytest.approx(2 * 0.5**0.5 + 2.0 + 0.7, rel=1e-5)


def test_rare_features_weigh_more():
    known = made({"a": {}, "b": {}})
    known.rarity[1] = 3.0
    _, values, _ = reading.looked_up(Features({"a": "a", "b": "b"}, (), {}), known)
    assert values == pytest.approx([1 / 10**0.5, 3 / 10**0.5])


def test_without_a_known_feature_the_bias_decides_and_nothing_is_evidence():
    known = made({"a": {0: 1.0}})
    judged = reading.judge(Features({"x": "x"}, ("x",), {}), known)
    assert judged.scores == tuple(known.bias.tolist())
    assert reading.evidence(judged, known, (("kind", 0), ("risk", 1))) == {}


def test_the_best_class_is_the_first_of_the_highest_log_odds_with_what_is_added():
    judged = reading.judge(Features({"a": "a"}, (), {}), made({"a": {10: 1.0, 12: 0.5}}))
    assert judged.best("risk") == 0
    assert judged.best("risk", {2: 0.6}) == 2
    assert judged.best("kind") == 9  # by its bias
    even = reading.judge(Features({"a": "a"}, (), {}), made({"a": {10: 0.02, 11: 0.01}}))
    assert even.best("risk", {1: -1.0}) == 0


def test_evidence_joins_what_one_word_said_and_is_ordered_by_strength():
    known = made({"a": {10: -1.0}, "b": {10: 1.0}, "<b>": {10: 1.0}, "c": {10: 0.01}})
    found = Features({"a": "a", "b": "b", "c": "c"}, ("b",), {})
    told = reading.evidence(reading.judge(found, known), known, (("risk", 0),))["risk"]
    assert [e.why for e in told] == ["b", "a"]
    assert {e.signal for e in told} == {"risk.low"}
    assert told[0].points > 0 > told[1].points


def test_a_word_that_was_never_met_is_shown_by_its_pieces():
    known = made({"<hu": {0: 1.0}, "c:met": {}, "met": {}, "<me": {0: 1.0}})
    found = Features({}, ("hunter2", "met"), {})
    assert sorted(reading.looked_up(found, known)[2]) == ["met", "met", "…hu…"]


@given(TEXTS)
def test_scores_are_the_bias_and_all_parts(text):
    known = reading.model()
    judged = reading.judge(features_of(Facts("user", text)), known)
    parts = judged.weights * known.scale * judged.values[:, None]
    assert np.allclose(judged.scores, known.bias + parts.sum(axis=0), atol=1e-4)
    assert len(judged.at) == len(judged.weights) == len(judged.values)
    assert set(judged.at.tolist()) == set(range(len(judged.words)))


@given(TEXTS, st.sampled_from(sorted(reading.AXES)))
def test_evidence_is_bounded_and_never_tiny(text, axis):
    known = reading.model()
    judged = reading.judge(features_of(Facts("user", text)), known)
    told = reading.evidence(judged, known, ((axis, 1),)).get(axis, [])
    assert len(told) <= reading.MOST_NOTES
    assert all(abs(e.points) >= reading.LEAST - 0.005 for e in told)
    assert len({e.why for e in told}) == len(told)


@given(TEXTS)
def test_evidence_is_what_sets_a_class_apart_from_the_mean_of_its_axis(text):
    known = reading.model()
    judged = reading.judge(features_of(Facts("user", text)), known)
    together = reading.evidence(judged, known, (("kind", 3), ("risk", 2)))
    alone = [reading.evidence(judged, known, (one,)) for one in (("kind", 3), ("risk", 2))]
    assert together == alone[0] | alone[1]
    parts = judged.weights * known.scale * judged.values[:, None]
    apart = parts[:, 12] - parts[:, 10:13].mean(axis=1)
    for note in together.get("risk", []):
        own = apart[judged.at == judged.words.index(note.why)].sum()
        assert note.points == pytest.approx(own, abs=0.006)
