"""`openfusion eval`: Auto on cases, held against what they expect."""

from __future__ import annotations

import json
import re

import pytest
from jsonschema import Draft202012Validator

from openfusion_auto.data import data_root
from openfusion_auto.upstream.reply import Reply

from .conftest import POOL

CASES = """\
schema = 1
[[cases]]
id = "greet"
prompt = "Write the docs of hello()."
expect = { kind = ["docs"], mode = ["single"] }
grade = { by = "contains", any = ["hello"] }
"""


@pytest.fixture
def cases(folder):
    (folder / "cases.toml").write_text(CASES)
    return "cases.toml"


def test_ours_are_decided_as_they_expect(run):
    result = run("eval", "--dry-run", "--json")
    assert result.code == 0, result.err
    schema = json.loads((data_root() / "receipts/schemas/receipt.schema.json").read_text())
    assert list(Draft202012Validator(schema).iter_errors(result.json)) == []
    assert (result.json["kind"], result.json["prev"]) == ("eval", None)
    assert [c["name"] for c in result.json["contenders"]] == ["auto"]


def test_own_cases_stand_beside_ours_and_receipts_are_chained(run, cases):
    one = run("eval", "--dry-run", "--json", "--cases", cases, "--cases", "shipped")
    assert one.json["cases"][0]["id"] == "greet"
    two = run("eval", "--dry-run", "--json", "--cases", cases)
    assert two.json["prev"] == one.json["digest"]
    assert run("receipt", "verify").code == 0


def test_a_decision_that_is_not_the_expected_one_is_a_finding(run, folder):
    (folder / "cases.toml").write_text(CASES.replace('"docs"', '"ops"'))
    result = run("eval", "--dry-run", "--cases", "cases.toml")
    assert result.code == 1
    assert "greet: expected kind ops, got docs" in result.out
    assert "decided otherwise than its case expects" in result.err


def test_a_request_that_fails_is_a_finding_and_still_a_receipt(run, cases, configured, scripted):
    scripted(lambda body: Reply("no", status=400))
    result = run("eval", "--cases", cases)
    assert result.code == 1
    assert "greet, auto: error" in result.out
    assert "receipt: " in result.err


def test_excerpts_stand_there_only_when_asked_for(run, cases, configured, scripted):
    scripted(lambda body: Reply("hello there, this is long"))
    assert "hello there" not in run("eval", "--cases", cases, "--json").out
    kept = run("eval", "--cases", cases, "--json", "--excerpts", "11").json["runs"][0]
    assert (kept["answer"]["excerpt"], kept["request"]["excerpt"]) == ("hello there", "Write the d")


def test_what_is_spent_is_booked_and_has_a_ceiling(run, cases, configured, scripted, folder):
    fake = scripted(lambda body: Reply("hello"))
    result = run("eval", "--cases", cases, "--repeat", "3", "--max-usd", "5", "--json")
    outcomes = [r["outcome"] for r in result.json["runs"]]
    assert outcomes == ["ok", "not_run", "not_run"], "its price is unknown: it may be any"
    assert len(fake.calls) == 1
    assert (folder / "state" / "state.sqlite3").is_file()


def test_an_evaluation_without_room_for_one_request_is_no_success(run, cases, configured, scripted):
    fake = scripted(lambda body: Reply("hello"))
    result = run("eval", "--cases", cases, "--max-usd", "0")
    assert (result.code, fake.calls) == (1, [])
    assert "nothing was asked: --max-usd left no room" in result.err
    assert "Not asked: 1 of 1." in result.out


def test_a_receipt_can_be_signed(run, cases):
    public = run("receipt", "key", "own.pem").out.strip()
    result = run("eval", "--dry-run", "--cases", cases, "--sign", "own.pem", "--out", "r.json")
    assert result.code == 0
    assert run("receipt", "verify", "r.json", "--key", public).code == 0
    assert run("receipt", "verify", "r.json", "--key", "other").code == 1


def test_a_wrong_case_is_said_with_its_line(run, folder):
    (folder / "cases.toml").write_text(CASES.replace("prompt", "promt"))
    result = run("eval", "--dry-run", "--cases", "cases.toml")
    assert result.code == 2
    assert "cases.toml:4" in result.err


def test_a_folder_that_cannot_be_written_costs_a_warning_not_the_receipt(run, cases, folder, monkeypatch):  # fmt: skip
    (folder / "file").write_text("")
    monkeypatch.setenv("OPENFUSION_STATE_DIR", str(folder / "file"))
    result = run("eval", "--dry-run", "--cases", cases, "--json")
    assert result.code == 0
    assert result.json["kind"] == "eval"
    assert "the receipt was not kept" in result.err


@pytest.mark.parametrize(("dry", "said"), [(False, r"no receipt was made; \$0\.0\d+ was spent on what had ended"), (True, r"nothing was spent \(dry run\)")])  # fmt: skip
def test_ctrl_c_says_what_was_spent(run, cases, configured, scripted, monkeypatch, dry, said):
    configured(pool=POOL.partition("\n\n")[0])  # whose price is known
    scripted([Reply("Retry-After")] * 3)
    seen = []

    def stop(_bar, what):
        seen.append(what)
        raise KeyboardInterrupt

    monkeypatch.setattr("openfusion_auto.cli.progress.Progress.step", stop)
    done = run("eval", "--cases", cases, *(["--dry-run"] if dry else []))
    assert (done.code, done.out, len(seen)) == (130, "", 1)
    assert re.search(said, done.err)


def test_what_would_be_found_out_too_late_is_said_before_anything_is_asked(run, cases, folder):
    missing = run("eval", "--dry-run", "--cases", cases, "--out", "no/such/folder.json")
    assert (missing.code, missing.out) == (2, "")
    assert "the folder" in missing.err
    assert "is not there; make it first" in missing.err
    (folder / "bad.jsonl").write_text(
        '{"id": "odd", "messages": [{"role": "nobody", "content": "x"}]}'
    )
    bad = run("eval", "--dry-run", "--cases", "bad.jsonl")
    assert (bad.code, bad.out) == (2, "")
    assert "case odd: " in bad.err


def test_no_model_is_paid_for_a_receipt_that_cannot_be_kept(run, cases, folder, configured, scripted, monkeypatch):  # fmt: skip
    configured()
    asked = scripted([])
    (folder / "file").write_text("")
    monkeypatch.setenv("OPENFUSION_STATE_DIR", str(folder / "file"))
    result = run("eval", "--cases", cases)
    assert (result.code, result.out, asked.calls) == (2, "", [])
    assert "cannot be written to" in result.err
    assert "set OPENFUSION_STATE_DIR" in result.err


def test_a_receipt_that_its_file_does_not_take_is_kept_with_the_others(run, cases, folder):
    (folder / "taken").mkdir()
    result = run("eval", "--dry-run", "--cases", cases, "--out", "taken")
    assert result.code == 2  # click's own: it is a folder
    (folder / "full").symlink_to("/dev/full")
    result = run("eval", "--dry-run", "--cases", cases, "--out", "full")
    assert result.code == 0
    assert "kept with the others instead" in result.err
    assert "no receipts yet" not in run("receipt", "list").out


def test_progress_is_shown_where_a_person_looks(run, cases, monkeypatch):
    assert "1/1" not in run("eval", "--dry-run", "--cases", cases).err
    monkeypatch.setattr("openfusion_auto.cli.progress.is_watched", lambda: True)
    assert "1/1  greet  auto" in run("eval", "--dry-run", "--cases", cases).err
    judged = run("compare", "--dry-run", "--cases", cases, "--baseline", "cheapest", "--grade").err
    assert "2/3  greet  cheapest" in judged
    assert "3/3  greet  cheapest" in judged
