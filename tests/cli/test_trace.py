"""What a running server recorded, listed and one by one."""

import json
import urllib.request

import pytest


@pytest.fixture
def asked(server):
    """The id of a request that the server has just answered."""
    body = {
        "model": "openfusion/auto",
        "messages": [{"role": "user", "content": "Explain recursion"}],
    }
    request = urllib.request.Request(
        f"{server}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.headers["x-openfusion-trace-id"]


def test_the_newest_request_is_listed_first(run, server, asked):
    done = run("trace", "--server", server, "--json", "--limit", "1")
    assert done.code == 0
    assert [row["trace_id"] for row in done.json["data"]] == [asked]
    listed = run("trace", "--server", server)
    assert asked in listed.out.splitlines()[1]
    assert "dry run" in listed.out
    assert listed.out.isascii()


def test_one_request_is_shown_with_task_calls_and_reasons(run, server, asked):
    done = run("trace", asked, "--server", server)
    recorded = run("trace", asked, "--server", server, "--json").json
    assert done.code == 0
    assert asked in done.out
    assert f"read as {recorded['task']['kind']}" in done.out
    call = recorded["attempts"][0]
    assert call["candidate"] in done.out
    assert str(call["usage"]["input"]) in done.out
    assert " ".join(recorded["decision"]["reasons"][0].split()[:4]) in done.out


def test_an_unknown_id_is_a_failure_in_one_line(run, server):
    done = run("trace", "tr_no/../x", "--server", server)
    assert done.code == 1
    assert "No trace with this id" in done.err


def test_an_id_that_is_no_text_is_an_unknown_one(run, server):
    done = run("trace", "\udcff", "--server", server)
    assert (done.code, "No trace with this id" in done.err) == (1, True)


def test_without_a_server_it_says_how_to_start_one(run, monkeypatch):
    monkeypatch.setenv("OPENFUSION_PORT", "9")
    done = run("trace")
    assert done.code == 1
    assert "no server answers at http://127.0.0.1:9" in done.err
    assert "openfusion serve" in done.err


def test_without_a_server_what_ask_has_left_is_shown(run, monkeypatch):
    monkeypatch.setenv("OPENFUSION_PORT", "9")
    name = run("ask", "Explain recursion", "--dry-run").err.split(" | ")[-1].strip()
    assert name.startswith("tr_")
    listed = run("trace", "--json")
    assert [row["trace_id"] for row in listed.json["data"]] == [name]
    assert "no server answers at http://127.0.0.1:9; this is from " in listed.err
    assert name in run("trace").out
    one = run("trace", name)
    assert (one.code, "read as explain" in one.out) == (0, True)
    for other in (("trace", "tr_other"), ("trace", "--server", "http://127.0.0.1:9")):
        done = run(*other)
        assert (done.code, done.out, "start one with" in done.err) == (1, "", True)


def test_a_server_without_requests_says_so(run, canned):
    canned.replies["/v1/traces?limit=20"] = (200, b'{"object": "list", "data": []}')
    assert run("trace", "--server", canned.url).out == "nothing has been asked yet\n"


def test_the_key_of_the_environment_is_shown_to_the_server(run, canned, monkeypatch):
    monkeypatch.setenv("OPENFUSION_API_KEYS", "k1,k2")
    canned.replies["/v1/traces?limit=20"] = (200, b'{"object": "list", "data": []}')
    run("trace", "--server", canned.url)
    assert canned.seen[0][2]["Authorization"] == "Bearer k1"


@pytest.mark.parametrize("answer", [{}, {"data": [{}]}])
def test_a_list_of_another_version_is_a_failure_not_a_traceback(run, canned, answer):
    canned.replies["/v1/traces?limit=20"] = (200, json.dumps(answer).encode())
    done = run("trace", "--server", canned.url)
    assert done.code == 1
    assert "--json" in done.err


def test_a_time_that_cannot_be_is_a_dash(run, canned):
    answer = {"data": [{"at": 1e300, "trace_id": "x"}]}
    canned.replies["/v1/traces?limit=20"] = (200, json.dumps(answer).encode())
    assert run("trace", "--server", canned.url).out.splitlines()[1].split()[:2] == ["-", "x"]


def test_a_trace_of_another_version_is_a_failure_not_a_traceback(run, canned):
    canned.replies["/v1/traces/tr_1"] = (200, b'{"at": 1}')
    assert run("trace", "tr_1", "--server", canned.url).code == 1
