"""Golden receipts: made again byte for byte, valid by the schema that ships, without what was asked and answered."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator

from openfusion_auto.data import data_root
from openfusion_auto.evals import receipt
from tests.evals import samples

SCHEMA = json.loads((data_root() / "receipts/schemas/receipt.schema.json").read_text())


@pytest.fixture(scope="module")
def made():
    return samples.files()


def test_golden_receipts_are_made_again_byte_for_byte(made):
    kept = {p.name: p.read_bytes() for p in samples.FOLDER.iterdir()}
    assert sorted(made) == sorted(kept)
    for name, data in made.items():
        assert data == kept[name], f"{name}: if that is wanted, run python -m tests.evals.samples"


def test_there_is_one_for_each_mode_and_kind(made):
    documents = [json.loads(d) for n, d in made.items() if n.endswith(".json")]
    assert {r["mode"] for d in documents for r in d["runs"]} == {"single", "verify", "panel", None}
    assert {d["kind"] for d in documents} == {"eval", "comparison", "bench"}
    outcomes = {(r["outcome"], r["error"]) for d in documents for r in d["runs"]}
    assert {("ok", None), ("not_run", "max_usd"), ("error", "budget_exceeded")} <= outcomes


def test_the_schema_is_one_and_holds_every_sample(made):
    Draft202012Validator.check_schema(SCHEMA)
    for name, data in made.items():
        if name.endswith(".json"):
            assert list(Draft202012Validator(SCHEMA).iter_errors(json.loads(data))) == [], name


@pytest.mark.parametrize("name", ["decision", "trace"])
def test_the_schemas_say_the_same_of_what_they_share(name):
    own = json.loads((data_root() / f"receipts/schemas/{name}.schema.json").read_text())
    Draft202012Validator.check_schema(own)
    apart = {"attempt"} if name == "trace" else set()  # a trace says more of a call
    assert {k: SCHEMA["$defs"][k] for k in set(own["$defs"]) - apart} == {
        k: v for k, v in own["$defs"].items() if k not in apart
    }
    if name == "decision":
        assert own.items() >= {k: v for k, v in SCHEMA["$defs"]["decision"].items() if k != "description"}.items()  # fmt: skip


def test_texts_stand_in_a_receipt_only_when_asked_for(made):
    assert b"leap year" not in made["single.json"]
    assert b"It has 366" not in made["single.json"]
    assert b"leap year" in made["excerpts.json"]
    run = json.loads(made["single.json"])["runs"][0]
    assert set(run["request"]) == set(run["answer"]) == {"sha256", "bytes"}


def test_a_dry_run_says_that_it_proves_orchestration_only(made):
    document = json.loads(made["dry-run.json"])
    assert document["dry_run"] is True
    assert "It says nothing about quality." in document["statement"]
    assert all(f["accuracy"] is None for f in document["summary"]["contenders"])
    text = made["dry-run.md"].decode()
    assert document["statement"] in text
    assert "not measured" in text


def test_a_receipt_of_a_request_keeps_its_decision_and_no_session():
    run = json.loads(samples.files()["single.json"])["runs"][0]
    assert run["inputs"]["task"]["options"]["session"] is None


def test_what_is_made_says_when_and_with_what():
    shown = receipt.Made(0.0).json()
    assert shown["at"] == "1970-01-01T00:00:00+00:00"
    assert set(shown) == {"at", "openfusion", "python", "system", "numpy", "aiohttp"}
