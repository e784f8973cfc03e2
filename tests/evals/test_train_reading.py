"""Training the reader on a few requests: what is learnt, stored and read again is the same."""

from __future__ import annotations

import json
from importlib.util import find_spec

import numpy as np
import pytest

from openfusion_auto.core import reading
from openfusion_auto.core.features import features_of
from openfusion_auto.evals.train_reading import Example, examples_of, facts_of, fit, frequent, main

# Looked for, not imported: each process that collects the tests would take seconds for it.
pytestmark = pytest.mark.skipif(
    find_spec("sklearn") is None, reason="scikit-learn is not installed"
)

DOCS = [
    "Update the README with badges",
    "Write the README section",
    "Mend a README typo",
    "Add a README table",
]
BUGS = [
    "Fix the crash in parser",
    "The parser has a crash",
    "Find the crash at startup",
    "Crash when the file is empty",
]


def row(text: str, kind: str, risk: str, complexity: str = "low") -> dict[str, object]:
    return {
        "messages": [{"role": "user", "content": text}],
        "kind": kind, "kind_also": [], "risk": risk, "complexity": complexity, "lang": "en",
    }  # fmt: skip


def rows() -> list[dict[str, object]]:
    others = [k for k in reading.NAMES["kind"] if k not in ("docs", "bugfix")]
    made = [row(t, "docs", "low") for t in DOCS] + [row(t, "bugfix", "high", "high") for t in BUGS]
    return made + [
        row(f"{k} something {k}", k, "medium", "medium") for k in others for _ in range(2)
    ]


@pytest.fixture(scope="module")
def trained() -> reading.Model:
    return fit([Example(r) for r in rows()])


def read(known: reading.Model, text: str) -> tuple[str, ...]:
    facts = facts_of([{"role": "user", "content": text}])
    scores = reading.judge(features_of(facts), known).scores
    return tuple(
        reading.NAMES[axis][int(np.argmax(scores[columns]))]
        for axis, columns in reading.AXES.items()
    )


def test_what_was_taught_is_read_in_new_sentences(trained):
    assert read(trained, "a README chapter") == ("docs", "low", "low")
    assert read(trained, "another crash of the parser") == ("bugfix", "high", "high")


def test_features_must_stand_in_enough_requests(trained):
    names = frequent([Example(r) for r in rows()])
    assert names == sorted(names)
    assert "readme" in names
    assert "badges" not in names
    assert set(trained.rows) <= set(names)


def test_a_request_of_more_weight_counts_more():
    contradicting = [
        row("Look at the zebra", "docs", "low"),
        row("Look at the zebra", "bugfix", "high"),
    ]
    for weights, want in (((9.0, 1.0), "docs"), ((1.0, 9.0), "bugfix")):
        examples = [Example(r) for r in rows()]
        examples += [Example(r, w) for r, w in zip(contradicting, weights, strict=True)] * 2
        assert read(fit(examples), "Look at the zebra")[0] == want


def test_stored_weights_are_read_again_nearly_as_they_were(tmp_path, capsys):
    source = tmp_path / "rows.jsonl"
    source.write_text("\n".join(json.dumps(r) for r in rows()) + "\n\n", encoding="utf-8")
    out = tmp_path / "reading.npz"
    assert main([str(source), "--more", str(source), "--times", "3", "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"{2 * len(rows())} requests, ")
    known = fit([*examples_of([source]), *examples_of([source], 3.0)])
    with np.load(out) as stored:
        names = stored["names"].tobytes().decode("utf-8").split("\n")
        weights = stored["weights"].astype(np.float32) * stored["scale"]
        assert names == list(known.rows)
        assert stored["weights"].dtype == np.int8
        assert np.abs(weights - known.weights).max() <= np.abs(known.weights).max() / 200
        assert np.allclose(stored["rarity"], known.rarity, rtol=1e-3)
        assert np.allclose(stored["bias"], known.bias)


def test_training_twice_gives_the_same_file(tmp_path):
    source = tmp_path / "rows.jsonl"
    source.write_text("\n".join(json.dumps(r) for r in rows()), encoding="utf-8")
    outs = [tmp_path / "a.npz", tmp_path / "b.npz"]
    for out in outs:
        main([str(source), "--out", str(out)])
    loaded = [dict(np.load(out)) for out in outs]
    assert all((loaded[0][key] == loaded[1][key]).all() for key in loaded[0])
