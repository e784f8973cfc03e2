"""The scripted upstream fails as a prompt asks, so often, where it is asked, in each dialect; small jobs are spared."""

from __future__ import annotations

import http.client
import json
from collections import Counter
from urllib.parse import urlsplit

import pytest

from tests.agents import faults
from tests.agents.agents import TASK
from tests.agents.faults import BREAKS, PLACES, Fault, asked, part
from tests.agents.say import DIALECTS
from tests.agents.test_upstream import BODIES
from tests.agents.upstream import ScriptedUpstream

MIDDLES = [Fault(kind, place) for kind in ("cut", "eof", "fail") for place in PLACES[1:]]


def post(up, dialect, mark, *, stream=True, words=TASK):
    """Ask; returns (status, headers, all bytes that came, whether they ended as they should)."""
    said = [{"role": "user", "content": f"{words} {mark}"}]
    field = "input" if dialect == "responses" else "messages"
    body = json.dumps({**BODIES[dialect], field: said, "model": "m", "stream": stream})
    line = http.client.HTTPConnection("127.0.0.1", urlsplit(up.url).port, timeout=10)
    try:
        line.request("POST", DIALECTS[dialect].path, body)
        answer = line.getresponse()
        try:
            return answer.status, answer.headers, answer.read(), True
        except (http.client.IncompleteRead, ConnectionError) as cut:
            return answer.status, answer.headers, getattr(cut, "partial", b""), False
    finally:
        line.close()


def parts(raw):
    """Count what the events say: pieces of text and of calls."""
    events = []
    for block in raw.decode().split("\n\n"):
        lines = dict(line.partition(": ")[::2] for line in block.splitlines())
        if "data" in lines:
            said = lines["data"]
            events.append((lines.get("event"), said if said == "[DONE]" else json.loads(said)))
    return Counter(part(*e) for e in events if "error" not in e[1]), events


def test_a_mark_says_kind_place_times_and_key_and_what_is_none_is_left_alone():
    text = "a [[fault:cut@call:2:k.1]] b [[fault:503:1:x]] [[fault:what:1:y]] [[fault:999:1:z]]"
    assert asked(text) == [(Fault("cut", "call"), 2, "k.1"), (Fault("503"), 1, "x")]
    assert asked(Fault("eof", "text").mark("k", 3)) == [(Fault("eof", "text"), 3, "k")]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("fault", MIDDLES, ids=lambda f: f.name)
def test_a_stream_breaks_where_it_should_and_is_whole_the_next_time(dialect, fault):
    with ScriptedUpstream(dialect) as up:
        _, _, raw, ended = post(up, dialect, fault.mark("k"))
        assert ended == (fault.kind != "cut")
        said, events = parts(raw)
        assert bool(said["text"]) == (fault.place in ("text", "call"))
        assert bool(said["call"]) == (fault.place in ("call", "bare"))
        assert (faults.SAID in json.dumps(events[-1][1])) == (fault.kind == "fail")
        whole, events = parts(post(up, dialect, fault.mark("k"))[2])
        assert whole["call"] > said["call"]
        assert bool(whole["text"]) == (fault.place != "bare")
        assert [e.fault for e in up.journal] == [fault.name, ""]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("kind", ["503", "429ra", "ctx", "302"])
def test_a_status_comes_as_often_as_it_is_asked_for(dialect, kind):
    with ScriptedUpstream(dialect) as up:
        seen = [post(up, dialect, Fault(kind).mark("k", 2)) for _ in range(3)]
    assert [s[0] for s in seen] == [Fault(kind).status] * 2 + [200]
    assert seen[0][1].get("Retry-After") == ("1" if kind == "429ra" else None)
    assert (faults.TOO_LONG[dialect] in seen[0][2].decode()) == (kind == "ctx")


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("stream", [True, False])
def test_an_empty_answer_says_nothing_and_a_broken_call_is_no_json(dialect, stream):
    with ScriptedUpstream(dialect) as up:
        empty = post(up, dialect, Fault("empty").mark("k"), stream=stream)[2].decode()
        page = post(up, dialect, Fault("html").mark("p"), stream=stream)
        bad = post(up, dialect, Fault("badjson").mark("b"))[2]
    assert "I will" not in empty
    assert "write" not in empty
    assert page[1]["Content-Type"] == "text/html"
    _, events = parts(bad)
    pieces = [json.dumps(e[1]) for e in events if part(*e) == "call"]
    assert pieces
    assert "print(42)" not in "".join(pieces)


@pytest.mark.parametrize("kind", BREAKS)
def test_a_whole_answer_breaks_too_and_a_head_may_never_come(kind, monkeypatch):
    monkeypatch.setattr("tests.agents.upstream.HANG_S", 0.5)
    with ScriptedUpstream("chat") as up:
        _, _, raw, ended = post(up, "chat", Fault(kind).mark("k"), stream=False)
        assert ended == (kind in ("eof", "fail"))
        assert (b"error" in raw) == (kind == "fail")
        if kind in ("cut", "hang"):
            with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
                post(up, "chat", Fault(kind, "head").mark("h"))


def test_small_jobs_and_answers_without_calls_are_spared_where_a_call_should_break():
    with ScriptedUpstream("chat") as up:
        title = post(up, "chat", Fault("503").mark("k"), words="Make a title for this chat")
        assert title[0] == 200
        assert [e.fault for e in up.journal] == [""]


def test_what_has_no_such_place_is_a_mistake_of_the_caller():
    with pytest.raises(LookupError, match="cut@call"):
        faults.broken(Fault("cut", "call"), [(None, {"choices": [{"delta": {"content": "a"}}]})])


def test_an_upstream_that_is_well_never_fails():
    with ScriptedUpstream("chat", well=True) as up:
        assert post(up, "chat", Fault("503").mark("k"))[0] == 200
