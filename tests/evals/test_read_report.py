"""Figures over labelled requests."""

from __future__ import annotations

import json

import pytest

from openfusion_auto.errors import ConfigError
from openfusion_auto.evals.read_report import (
    Case,
    by_language,
    cases_of,
    confusion,
    figures,
    main,
    mode_of,
    report,
)

PLAIN = {"kind": "bugfix", "risk": "low", "complexity": "low", "mode": "single"}


def case(lang="en", also=(), wanted=(), got=()) -> Case:
    return Case(lang, also, {**PLAIN, **dict(wanted)}, {**PLAIN, **dict(got)})


def row(text="Thanks!", **labels) -> dict[str, object]:
    said = {"kind": "chat", "risk": "low", "complexity": "low", **labels}
    return {"messages": [{"role": "user", "content": text}], **said}


@pytest.fixture
def file(tmp_path):
    def write(*rows, name="a.jsonl"):
        path = tmp_path / name
        lines = [r if isinstance(r, str) else json.dumps(r) for r in rows]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("kind", "risk", "complexity", "mode"),
    [
        ("bugfix", "high", "high", "panel"),
        ("bugfix", "high", "low", "verify"),
        ("bugfix", "medium", "high", "verify"),
        ("bugfix", "medium", "medium", "single"),
        ("feature", "low", "high", "single"),
        ("aux", "high", "high", "single"),
        ("chat", "high", "high", "single"),
    ],
)
def test_the_mode_follows_from_kind_risk_and_complexity(kind, risk, complexity, mode):
    assert mode_of(kind, risk, complexity) == mode


def test_shares_count_what_is_right_and_a_kind_that_counts_too():
    cases = [
        case(),
        case(also=("feature",), got={"kind": "feature"}),
        case(got={"kind": "docs"}),
        case(wanted={"risk": "high", "mode": "verify"}, got={"complexity": "high"}),
        case(wanted={"risk": "high"}, got={"risk": "high", "mode": "panel"}),
    ]
    found = figures(cases)
    assert found == (5, 0.8, 0.8, 0.5, 0.8, 0.6)
    assert figures(cases[:1]).high_recall is None


def test_languages_are_apart_the_most_frequent_first():
    cases = [case("de"), case("en"), case("en", got={"risk": "high"}), case("cs")]
    told = by_language(cases)
    assert list(told) == ["en", "cs", "de"]
    assert (told["en"].n, told["en"].risk) == (2, 0.5)


def test_the_confusion_table_counts_labels_by_what_they_were_taken_for():
    cases = [case(), case(got={"kind": "docs"}), case(also=("ops",), got={"kind": "ops"})]
    assert confusion(cases, "kind") == {"bugfix": {"bugfix": 2, "docs": 1}}
    text = report(cases)
    assert "kind: labelled (rows) and read (columns)" in text
    assert [line.split() for line in text.splitlines() if line.startswith("bugfix")] == [
        ["bugfix", "2", "1", "0"]
    ]


def test_files_are_read_and_told(file, capsys):
    path = file(row(), "", row("Danke!", lang="de"))
    assert main([str(path)]) == 0
    text = capsys.readouterr().out
    assert text.splitlines()[1].split()[:2] == ["all", "2"]
    assert any(line.startswith("de") for line in text.splitlines())


def test_several_files_add_up_to_one_json_object(file, capsys):
    paths = [file(row()), file(row(kind="docs", kind_also=["chat"]), name="b.jsonl")]
    assert main([*map(str, paths), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["all"]["n"] == 2
    assert told["all"]["kind"] == 1.0
    assert told["all"]["high_recall"] is None
    assert told["languages"]["en"]["n"] == 2
    assert set(told["confusion"]) == {"kind", "risk", "complexity"}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not JSON"),
        ("[" * 20_000, "not JSON"),
        ("[]", "not an object"),
        (row(kind="fun"), "kind must be one of bugfix"),
        (row(risk=1), "risk must be one of low, medium, high"),
        ({**row(), "messages": "hi"}, "messages and kind_also must be lists"),
        (row(kind_also="docs"), "messages and kind_also must be lists"),
    ],
)
def test_a_line_that_is_no_labelled_request_is_named_without_its_text(file, capsys, line, says):
    path = file(row(), line)
    assert main([str(path)]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"a.jsonl:2: {says}")
    assert "Thanks" not in told
    with pytest.raises(ConfigError):
        cases_of([path])


def test_missing_and_empty_files_are_refused(file, tmp_path, capsys):
    assert main([str(tmp_path / "none.jsonl")]) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert main([str(file(""))]) == 2
    assert "no labelled request" in capsys.readouterr().err
