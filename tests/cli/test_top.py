"""Watching a running server: one look, a screen that follows, and what is said when there is none."""

import json
import urllib.request

import pytest

from .terminal import at_terminal

STATUS = {
    "object": "openfusion.status", "version": "9.9", "dry_run": False, "candidates": 2, "breakers": {},
    "spend": {"window_s": 86400.0, "usd": 0.0, "known_usd": 0.0, "calls": 0, "unknown_calls": 0},
}  # fmt: skip


def ask(server, text="Explain recursion"):
    body = {"model": "openfusion/auto", "messages": [{"role": "user", "content": text}]}
    request = urllib.request.Request(
        f"{server}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.headers["x-openfusion-trace-id"]


def test_one_look_goes_into_a_pipe(run, server):
    asked = ask(server)
    done = run("top", "--server", server)
    assert done.code == 0
    assert done.out.startswith("openfusion ")
    assert "dry run: nothing is spent" in done.out
    assert "no candidate rests" in done.out
    assert asked in done.out
    assert done.out.isascii()
    assert run("top", "--server", server, "--once").out.splitlines()[0] == done.out.splitlines()[0]
    told = run("top", "--server", server, "--json").json
    assert told["object"] == "openfusion.top"
    assert told["requests"][0]["trace_id"] == asked
    assert told["status"]["object"] == "openfusion.status"


def test_without_a_server_it_says_so_in_one_line(run):
    done = run("top", "--server", "http://127.0.0.1:9")
    assert done.code == 1
    assert done.out == ""
    assert done.err.startswith("openfusion: no server answers at http://127.0.0.1:9")
    assert len(done.err.splitlines()) == 1


def test_a_server_with_keys_gets_the_first_one(run, canned, monkeypatch):
    canned.replies["/v1/status"] = (200, json.dumps(STATUS).encode())
    canned.replies["/v1/traces?limit=100"] = (200, b'{"data": []}')
    monkeypatch.setenv("OPENFUSION_API_KEYS", "of_one,of_two")
    done = run("top", "--server", canned.url)
    assert "nothing has been asked yet" in done.out
    assert [headers["Authorization"] for _, _, headers in canned.seen] == ["Bearer of_one"] * 2
    assert "of_one" not in done.out + done.err


@pytest.mark.parametrize("status", [{}, {**STATUS, "spend": 3}, {**STATUS, "breakers": [1]}])
def test_an_answer_that_is_none_of_ours_is_said(run, canned, status):
    canned.replies["/v1/status"] = (200, json.dumps(status).encode())
    canned.replies["/v1/traces?limit=100"] = (200, b'{"data": []}')
    done = run("top", "--server", canned.url)
    assert done.code == 1
    assert "is not one that this version can show" in done.err


@pytest.mark.parametrize("key", ["jq", "\x03"])
def test_a_screen_follows_and_a_key_ends_it(server, key):
    with at_terminal("top", "--server", server, "--every", "0.2", columns=120) as person:
        person.until(rb"\x1b\[\?1049h.*q: end")
        asked = ask(server)
        person.until(asked.encode())
        person.type(key)
        assert person.wait() == 0
    assert b"\x1b[?1049l" in person.seen  # what was on the screen before is there again
    assert b"Traceback" not in person.seen


def test_a_server_that_goes_away_is_waited_for(canned):
    canned.replies["/v1/status"] = (200, json.dumps(STATUS).encode())
    canned.replies["/v1/traces?limit=100"] = (200, b'{"data": []}')
    with at_terminal("top", "--server", canned.url, "--every", "0.2") as person:
        person.until(b"nothing has been asked yet")
        del canned.replies["/v1/status"]
        person.until(b"looking again")
        canned.replies["/v1/status"] = (
            200,
            json.dumps({**STATUS, "breakers": {"a": "open"}}).encode(),
        )
        person.until(b"resting: .*open.*q: end")
        person.type("q")
        assert person.wait() == 0
