"""The labelled requests: legal labels, no doubles, nothing of the judge set in what is trained on."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict

import pytest

from openfusion_auto.core.types import KINDS, LEVELS
from openfusion_auto.evals.train_reading import facts_of
from tests.reading.labelled import CORPUS, HERE, JUDGE, asked_of, labelled

MOST_BYTES = 500_000
FILES = [*CORPUS, JUDGE]
HARMLESS = {"test", "docs", "explain", "aux", "chat"}
ALIKE = 0.5  # Jaccard similarity of word 3-grams from which two requests count as one


def whole(row) -> str:
    told = [m["content"] for m in row["messages"] if m["role"] == "user"]
    return "\n".join(
        t if isinstance(t, str) else " ".join(p.get("text", "") for p in t) for t in told
    )


def grams(text: str) -> frozenset[tuple[str, ...]]:
    words = re.findall(r"[\u2e80-\u9fff\uac00-\ud7af\uff00-\uffef]|[^\W_]+", text.lower())
    return frozenset(zip(words, words[1:], words[2:], strict=False)) or frozenset([tuple(words)])


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_each_line_is_a_request_with_legal_labels(path):
    for row in labelled(path.stem):
        assert list(row) == ["messages", "kind", "kind_also", "risk", "complexity", "lang"]
        assert row["kind"] in KINDS
        assert set(row["kind_also"]) <= set(KINDS)
        assert row["risk"] in LEVELS
        assert row["complexity"] in LEVELS
        assert row["kind"] not in HARMLESS or row["risk"] == "low"
        assert row["messages"][-1]["role"] in ("user", "tool")
        assert re.fullmatch(r"[a-z]{2}(-[A-Z]{2})?", row["lang"])
        assert asked_of(row)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_file_is_small_and_sorted(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert path.stat().st_size < MOST_BYTES
    assert lines == sorted(set(lines))


def test_no_request_stands_twice_and_none_of_the_judge_set_is_trained_on():
    at = defaultdict(list)
    seen: list[tuple[str, int]] = []
    for path in FILES:
        for row in labelled(path.stem):
            mine = grams(whole(row))
            shared = Counter(i for g in mine for i in at[g])
            for i, n in shared.items():
                assert n / (len(mine) + seen[i][1] - n) < ALIKE, (
                    path.stem,
                    whole(row)[:80],
                    seen[i][0],
                )
            for g in mine:
                at[g].append(len(seen))
            seen.append((whole(row)[:80], len(mine)))


def test_every_label_has_enough_requests():
    rows = [row for path in CORPUS for row in labelled(path.stem)]
    assert min(Counter(r["kind"] for r in rows).values()) > 250
    assert min(Counter(r["risk"] for r in rows).values()) > 1_500
    assert min(Counter(r["complexity"] for r in rows).values()) > 1_200
    assert len({r["lang"] for r in rows}) >= 15
    assert {r["kind"] for r in labelled("judge")} == set(KINDS)


def test_the_readme_states_the_counts():
    text = (HERE / "README.md").read_text(encoding="utf-8")
    stated = dict(re.findall(r"^\| `(\w+)\.jsonl` \| ([\d,]+) \|", text, re.MULTILINE))
    assert stated == {p.stem: f"{len(labelled(p.stem)):,}" for p in FILES}


def test_training_reads_what_the_reader_reads():
    row = next(r for r in labelled("judge") if len(r["messages"]) == 1)
    assert facts_of(row["messages"]).words
    assert json.dumps(row)
