"""The decision for a text, here and at a server."""

import json
import urllib.request

import pytest

from openfusion_auto.cli.route import request_body


def post(server, body):
    request = urllib.request.Request(
        f"{server}/debug/route", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def test_the_json_is_the_body_that_a_fresh_server_answers(run, server):
    here = run("route", "Rename a variable", "--json")
    assert here.code == 0
    body = request_body("Rename a variable", options={}, system=None, tools=False)
    assert {**here.json["decision"]} == post(server, body)["decision"]
    assert here.json["object"] == "openfusion.route"


def test_a_server_decides_when_it_is_named(run, server):
    there = run("route", "Rename a variable", "--json", "--server", server)
    here = run("route", "Rename a variable", "--json")
    assert there.json == here.json
    assert there.err == ""


def test_what_the_server_refuses_is_one_line(run, server):
    done = run("route", "x", "--session", "s" * 10_000, "--server", server)
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert "session" in done.err


def test_what_is_refused_here_is_one_line_too(run):
    done = run("route", "x", "--session", "s" * 10_000)
    assert done.code == 2
    assert "openfusion.session" in done.err
    assert "Traceback" not in done.err


def test_a_server_that_is_not_there_is_a_failure(run):
    done = run("route", "x", "--server", "http://127.0.0.1:9")
    assert done.code == 1
    assert "openfusion serve" in done.err


@pytest.mark.parametrize("answer", [{}, {"decision": None}, {"decision": {"plan": {"steps": [1]}}}])
def test_an_answer_of_another_version_is_a_failure_not_a_traceback(run, canned, answer):
    canned.replies["/debug/route"] = (200, json.dumps(answer).encode())
    done = run("route", "x", "--server", canned.url)
    assert done.code == 1
    assert "--json" in done.err


def test_the_text_may_come_from_standard_input(run):
    piped = run("route", "-", "--json", stdin="Fix the failing test").json
    assert piped == run("route", "Fix the failing test", "--json").json


def test_the_options_change_the_request(run):
    cheap = run("route", "Fix the race in the scheduler", "--json", "--cost-quality", "10").json
    good = run("route", "Fix the race in the scheduler", "--json", "--cost-quality", "0").json
    assert cheap["decision"]["cost_quality"] == 10
    first = [d["decision"]["ranking"][0] for d in (cheap, good)]
    assert first[0]["expected_usd"] < first[1]["expected_usd"]


def test_tools_are_a_need_and_a_system_prompt_counts_as_input(run, configured):
    plain = run("route", "Explain it", "--json").json["decision"]
    tools = run("route", "Explain it", "--json", "--tools", "--system", "You are " + "x" * 999).json
    needs = tools["decision"]["task"]["needs"]
    assert needs["tools"] is True
    assert plain["task"]["needs"]["tools"] is False
    assert needs["input_tokens"] > plain["task"]["needs"]["input_tokens"]
    assert [r["candidate"] for r in tools["decision"]["rejected"]] == ["fast-b"]


def test_when_nobody_can_serve_the_code_is_1_and_the_rules_are_shown(run, configured):
    configured(url="https://relay.invalid/v1")
    done = run("route", "Explain it")
    assert done.code == 1
    assert "upstream_not_ready" in done.out
    assert "set RELAY_API_KEY" in done.out
    assert "no candidate can serve" in done.err
    assert run("route", "Explain it", "--json").json["decision"]["ranking"] == []


def test_without_a_key_it_says_that_it_decides_as_if(run):
    done = run("route", "Explain it")
    assert done.code == 0
    assert "no key is set" in done.err
    assert "no key is set" not in done.out


def test_without_a_key_a_dry_run_still_decides(run, configured):
    configured(url="https://relay.invalid/v1")
    done = run("route", "hello")
    assert done.code == 1
    assert "to try it without a key: --dry-run" in done.err
    done = run("route", "hello", "--dry-run")
    assert done.code == 0
    assert done.err == "openfusion: --dry-run: decided as if every candidate could be called\n"
    assert run("route", "hello", "--dry-run", "--server", "http://127.0.0.1:9").code == 2


def steps(answer):
    return [(s["phase"], s["candidates"][0]) for s in answer.json["decision"]["plan"]["steps"]]


def test_a_model_is_decided_as_a_client_that_names_it_would_see(run, server):
    (alone,) = run("route", "Explain it", "--json", "--model", "gpt-5.5").json["decision"][
        "ranking"
    ]
    assert alone["candidate"] == "gpt-5.5"
    panel = run("route", "Explain it", "--json", "--model", "sonnet-5,gpt-5.5")
    assert [p for p, _ in steps(panel)][:2] == ["member", "member"]
    assert {c for p, c in steps(panel) if p == "member"} == {"sonnet-5", "gpt-5.5"}
    assert run("route", "Explain it", "--json", "--model", "sonnet-5,gpt-5.5", "--server", server).json == panel.json  # fmt: skip
    order = run("route", "Explain it", "--json", "--model", "gpt-5.5", "--model", "sonnet-5")
    assert order.json["decision"]["plan"]["steps"][0]["candidates"] == ["gpt-5.5", "sonnet-5"]
    named = '{"strategy": "best_of", "models": ["sonnet-5", "gpt-5.5"]}'
    assert steps(run("route", "Explain it", "--json", "--model", named))[0][0] == "member"


def test_a_model_of_ones_own_is_shown_with_its_way(run, configured):
    configured(
        more='\n[[models]]\nname = "team/careful"\ncandidates = ["coder-a", "fast-b"]\nfanout = 3\n'
    )
    done = run("route", "Explain it", "--dry-run", "--model", "team/careful")
    assert done.code == 0
    assert "team/careful asks for it" in done.out


def test_a_model_that_is_not_there_or_no_object_is_one_line(run):
    done = run("route", "Explain it", "--model", "sonnet-6")
    assert (done.code, done.err.splitlines()[-1].count("Did you mean sonnet-5")) == (2, 1)
    done = run("route", "Explain it", "--model", "{oops")
    assert (done.code, "is not a JSON object" in done.err) == (2, True)


@pytest.mark.parametrize("text", ["", " \n", "-"])
def test_nothing_to_decide_is_wrong_usage(run, text):
    done = run("route", "--dry-run", text, stdin="  ")
    assert (done.code, done.out) == (2, "")
    assert "there is nothing to decide" in done.err
