"""`openfusion receipt`: list, show, verify, replay, sign, and a receipt of what a server answered."""

from __future__ import annotations

import json
import shutil

import pytest

from openfusion_auto.upstream.reply import Reply
from tests.evals import samples


@pytest.fixture
def sample(folder):
    """A golden receipt in the working folder."""
    return shutil.copy(samples.FOLDER / "comparison.json", folder / "c.json")


def test_an_empty_list_says_how_to_begin(run):
    assert "compare --dry-run" in run("receipt", "list").out
    assert run("receipt", "list", "--json").json == {"object": "list", "data": []}


def test_without_a_receipt_there_is_nothing_to_check_and_that_is_said(run):
    result = run("receipt", "verify")
    assert result.code == 0
    assert "no receipts yet" in result.out
    assert "whole" not in result.out


def test_an_empty_key_trusts_nobody(run, sample):
    result = run("receipt", "verify", sample, "--key", "")
    assert result.code == 1
    assert "is not signed" in result.out


def test_receipts_are_listed_with_when_what_and_digest(run):
    run("compare", "--dry-run", "--baseline", "cheapest")
    (row,) = run("receipt", "list", "--json").json["data"]
    assert (row["number"], row["kind"], row["dry_run"]) == (1, "comparison", True)
    shown = run("receipt", "list").out
    assert "comparison  dry run" in shown
    assert row["digest"][:19] in shown
    assert run("receipt", "show", "last").out.startswith("## Auto beside its baselines")
    assert run("receipt", "show", row["digest"], "--json").json["digest"] == row["digest"]


def test_a_whole_receipt_is_said_to_be_so(run, sample):
    result = run("receipt", "verify", sample)
    assert (result.code, result.out) == (0, f"{sample}: whole\n")
    assert run("receipt", "verify", sample, "--json").json["ok"] is True


def test_a_changed_one_is_told_with_the_place(run, sample, folder):
    text = (folder / "c.json").read_text()
    (folder / "c.json").write_text(text.replace('"won": 1', '"won": 2'))
    result = run("receipt", "verify", sample)
    assert result.code == 1
    assert "/summary/pairs/1/won: is not what the records come to" in result.out
    found = run("receipt", "verify", sample, "--json").json["files"][0]["findings"]
    assert {f["rule"] for f in found} == {"seal", "summary"}


def test_a_receipt_taken_out_of_the_folder_is_found(run, folder):
    (folder / "cases.toml").write_text('schema = 1\n[[cases]]\nid = "a"\nprompt = "Say hello."\n')
    for _ in range(3):
        run("eval", "--dry-run", "--json", "--cases", "cases.toml")
    assert run("receipt", "verify").code == 0
    next((folder / "state" / "receipts").glob("000002-*")).unlink()
    result = run("receipt", "verify")
    assert result.code == 1
    assert "chain: 1 finding\n" in result.out


def test_decisions_are_replayed_from_the_receipt_alone(run, sample):
    result = run("receipt", "replay", sample)
    assert result.code == 0
    assert "6 of 6 decisions are the same, bit for bit" in result.out
    rows = run("receipt", "replay", sample, "--json").json["decisions"]
    assert all(r["same"] and r["recorded"] == r["found"] for r in rows)


def test_a_decision_that_is_another_is_a_finding(run, sample, folder):
    text = (folder / "c.json").read_text()
    (folder / "c.json").write_text(text.replace('"openfusion": "0.1.0"', '"openfusion": "0.0.9"').replace('"mode": "verify", "plan"', '"mode": "panel", "plan"').replace('"cost_quality": 0,', '"cost_quality": 1,'))  # fmt: skip
    result = run("receipt", "replay", sample)
    assert result.code == 1
    assert "DIFFERS" in result.out
    assert "/runs/0/decision/" in result.out
    assert "of version 0.0.9" in result.err


def test_another_pool_or_configuration_is_told_term_by_term(run, sample, configured):
    shown = run("receipt", "replay", sample, "--pool", "pool.toml", "--config", "openfusion.toml")
    assert shown.code == 0
    assert "days  auto: differs" in shown.out
    assert "verifier-a: ranked 1 -> out" in shown.out
    assert "6 of 6 decisions would differ" in shown.out
    rows = run("receipt", "replay", sample, "--config", "openfusion.toml", "--json").json[
        "decisions"
    ]
    terms = next(c for c in rows[0]["candidates"] if c["candidate"] == "coder-a")["terms"]
    assert {"name", "raw", "value", "weight", "points"} == set(terms[0])


def test_the_same_pool_differs_in_nothing(run, configured, scripted):
    scripted(lambda body: Reply("ok"))
    run("eval", "--json", "--out", "r.json")
    shown = run("receipt", "replay", "r.json", "--pool", "pool.toml")
    assert "0 of 10 decisions would differ" in shown.out


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'{"pool": 1, "runs": []}'])
def test_what_is_no_receipt_is_refused_in_a_sentence(run, folder, data):
    (folder / "x.json").write_bytes(data)
    for command in ("verify", "replay", "show"):
        result = run("receipt", command, "x.json")
        assert result.code == 1
        assert "Traceback" not in result.err
    assert run("receipt", "verify", "nowhere.json").code == 2


def test_a_receipt_is_signed_in_its_file_when_it_is_whole(run, sample, folder):
    public = run("receipt", "key", "own.pem", "--json").json["public_key"]
    signed = run("receipt", "sign", sample, "own.pem", "--json")
    assert (signed.code, signed.json["signature"]["public_key"]) == (0, public)
    assert json.loads((folder / "c.json").read_bytes())["signature"]["public_key"] == public
    assert run("receipt", "verify", sample, "--key", public).code == 0
    (folder / "c.json").write_bytes((folder / "c.json").read_bytes().replace(b"days", b"year"))
    refused = run("receipt", "sign", sample, "own.pem")
    assert refused.code == 1
    assert "is not whole" in refused.err


def test_what_was_answered_becomes_a_receipt_by_its_trace(run, configured, scripted, folder):
    scripted(lambda body: Reply("ok"))
    trace = run("ask", "fix the bug in the parser").err.split()[-1]
    result = run("receipt", "make", trace, "--out", "r.json", "--json")
    assert result.code == 0, result.err
    document = json.loads((folder / "r.json").read_bytes())
    assert result.json == {"file": "r.json", "digest": document["digest"]}
    assert (document["kind"], document["runs"][0]["trace"]) == ("request", trace)
    assert run("receipt", "verify", "r.json").code == 0
    assert "1 of 1 decisions are the same" in run("receipt", "replay", "r.json").out
    assert "parser" not in json.dumps(document["runs"][0]["request"])


def test_a_decision_over_models_outside_the_pool_is_replayed_from_its_trace(run, configured, scripted, folder):  # fmt: skip
    configured(more='\n[[upstreams]]\nname = "any"\nbase_url = "http://127.0.0.1:9/v1"\noffers = ["any_model"]\n')  # fmt: skip
    scripted(lambda body: Reply("ok"))
    for model in ("coder-a,vendor/else", "vendor/else"):
        trace = run("ask", "fix the bug in the parser", "--model", model).err.split()[-1]
        # The pool of the file may change: what was decided over stands in the trace.
        pool = folder / "pool.toml"
        pool.write_text(pool.read_text().replace("72.0", "73.0"))
        assert run("receipt", "make", trace, "--out", "r.json", "--json").code == 0
        document = json.loads((folder / "r.json").read_bytes())
        listed = sorted(c["id"] for c in document["pool"]["candidates"])
        assert listed == sorted(model.split(","))
        assert run("receipt", "verify", "r.json").out == "r.json: whole\n"
        assert "1 of 1 decisions are the same" in run("receipt", "replay", "r.json").out
        pool.write_text(pool.read_text().replace("73.0", "72.0"))


def test_a_trace_that_nobody_knows_or_of_another_pool_makes_no_receipt(run, configured, scripted, folder):  # fmt: skip
    scripted(lambda body: Reply("ok"))
    assert "is not in the store" in run("receipt", "make", "tr_0").err
    trace = run("ask", "fix the bug").err.split()[-1]
    (folder / "pool.toml").write_text((folder / "pool.toml").read_text().replace("72.0", "73.0"))
    result = run("receipt", "make", trace)
    assert result.code == 1
    assert "was decided with the pool sha256:" in result.err
