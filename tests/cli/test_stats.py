"""What was measured and what it cost, read from the file while a server runs and while none does."""

import contextlib
import json
import sqlite3
import time
import urllib.request

import pytest

from openfusion_auto.core.lessons import Key, Tally
from openfusion_auto.core.types import Breaker, Stats
from openfusion_auto.store.retention import Limits
from openfusion_auto.store.sqlite import SqliteStore

from .processes import environment, serving

DAY_S = 86_400.0


@pytest.fixture
def path(folder):
    return folder / "state" / "state.sqlite3"


@pytest.fixture
def kept(path, configured):
    """A file with what a server would have left; a function that fills it."""
    from tests.store.samples import line

    now = time.time()
    store = SqliteStore(path, Limits(), time.time)
    store.keep(
        Stats, "coder-a", Stats(3.0, 1.0, 412.0, 3.0, 61.0, 2.0, 3.7, 3.0, now - 60, 0.5, 2.0), 0.0
    )
    store.keep(Stats, "gone-c", Stats(1.0, 0.0, at_s=now), 0.0)
    store.keep(Breaker, "fast-b", Breaker("open", 4, now + 40), 0.0)
    for project, candidate, tally in (
        ("0" * 16, "coder-a", Tally(2.0, 30.0, now, 20.0)),
        ("f" * 16, "gone-c", Tally(3.0, 0.0, now - 14 * DAY_S)),
    ):
        store.keep(Tally, str(Key(project, "bugfix", candidate)), tally, 0.0)
    for days, usd in ((0.5, 0.25), (3, 0.5), (20, 1.0)):
        store.enter(line(at=now - days * DAY_S, usd=usd))
    store.enter(line(at=now - 10 * DAY_S, candidate="fast-b", usd=None))
    store.enter(line(at=now - 10 * DAY_S, candidate="fast-b", usd=0.125))
    store.close()
    return path


def by_candidate(report):
    return {row["candidate"]: row for row in report["candidates"]}


def test_numbers_stand_with_weight_age_and_the_pools_own(run, kept):
    report = run("stats", "--json").json
    row = by_candidate(report)["coder-a"]
    halved = 0.5 ** (60 / 900)
    assert row["age_s"] == pytest.approx(60, abs=5)
    assert row["attempts"]["ok"] == pytest.approx(3 * halved, rel=0.01)
    assert row["availability"]["live"] == 0.75
    assert row["availability"]["prior"] == 0.95
    assert row["ttft_ms"]["live"] == 412
    assert row["ttft_ms"]["weight"] == pytest.approx(3 * halved, rel=0.01)
    assert (row["ttft_ms"]["prior"], row["tokens_per_s"]["prior"]) == (900, 60)
    assert 412 < row["ttft_ms"]["used"] < 900
    assert (row["bytes_per_token"]["live"], row["bytes_per_token"]["prior"]) == (3.7, 3.6)
    assert (row["cache_hit"]["live"], row["cache_hit"]["prior"]) == (0.5, 1.0)
    assert 0.5 < row["cache_hit"]["used"] < 1.0
    assert row["breaker"] is None


def test_what_was_never_measured_is_null_and_a_stranger_is_marked(run, kept):
    rows = by_candidate(run("stats", "--json").json)
    assert (rows["fast-b"]["age_s"], rows["fast-b"]["attempts"]) == (None, None)
    assert rows["fast-b"]["ttft_ms"] == {"live": None, "weight": 0.0, "prior": None, "used": None}
    assert rows["fast-b"]["breaker"]["phase"] == "open"
    assert rows["fast-b"]["breaker"]["open_for_s"] == pytest.approx(40, abs=5)
    assert (rows["gone-c"]["in_pool"], rows["coder-a"]["in_pool"]) == (False, True)


def test_money_by_window_unknown_is_null_and_counted(run, kept):
    spend = run("stats", "--json").json["spend"]
    sums = {name: {r["candidate"]: r["usd"] for r in w["candidates"]} for name, w in spend.items()}
    assert sums == {
        "24h": {"coder-a": 0.25}, "7d": {"coder-a": 0.75}, "30d": {"coder-a": 1.75, "fast-b": None},
    }  # fmt: skip
    fast = next(r for r in spend["30d"]["candidates"] if r["candidate"] == "fast-b")
    assert (fast["calls"], fast["unknown_calls"], fast["known_usd"]) == (2, 1, 0.125)
    assert (spend["30d"]["usd"], spend["30d"]["unknown_calls"]) == (None, 1)
    assert (spend["7d"]["usd"], spend["7d"]["calls"]) == (0.75, 2)


def test_lessons_stand_by_project_aged_and_with_the_lift_that_they_give(run, kept, configured):
    first, second = run("stats", "--json").json["learned"]
    assert (first["project"], first["kind"], first["candidate"]) == ("0" * 16, "bugfix", "coder-a")
    assert (first["good"], first["bad"]) == (
        pytest.approx(2, abs=0.01),
        pytest.approx(30, abs=0.01),
    )
    assert (second["good"], second["bad"]) == (pytest.approx(1.5, abs=0.01), 0)
    assert (first["lift"], second["lift"]) == (0, 0)  # learning is off
    configured(more="\n[learn]\nenabled = true\nmax_lift = 0.1\n")
    first, second = run("stats", "--json").json["learned"]
    assert (first["lift"], second["lift"]) == (-0.1, 0)  # below five signals, and not in the pool
    assert (first["due"], second["due"]) == (pytest.approx(20, abs=0.01), None)


def test_lessons_alone_are_forgotten(run, kept):
    done = run("stats", "reset", "--learned", "--yes", "--json")
    assert (done.json["learned"], done.json["forgotten"]) == (True, 2)
    report = run("stats", "--json").json
    assert report["learned"] == []
    assert by_candidate(report)["coder-a"]["attempts"]["ok"] > 0


def test_lessons_of_one_candidate_alone_are_not_a_thing(run, kept):
    done = run("stats", "reset", "--learned", "--candidate", "coder-a", "--yes")
    assert (done.code, "leave --candidate out" in done.err) == (2, True)


def test_people_read_tables(run, kept, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    done = run("stats")
    assert done.code == 0
    assert done.out.isascii()
    assert "412 x2.9 / 900" in done.out
    assert "gone-c *" in done.out
    assert "breaker of fast-b: open for another" in done.out
    assert "after 4 failures" in done.out
    assert "learned from outcomes, by project:" in done.out
    assert "cache of coder-a: 50% of the expected cached tokens were reported" in done.out
    assert "$0.1250 + 1 unknown" in done.out


def test_before_anything_was_kept_it_says_so(run, configured, path):
    done = run("stats")
    assert done.code == 0
    assert f"there is no {path}" in done.out
    report = run("stats", "--json").json
    assert report["spend"]["30d"]["calls"] == 0
    assert report["candidates"][0]["age_s"] is None
    assert not path.exists()


def test_dry_runs_have_a_file_of_their_own(run, kept):
    report = run("stats", "--json", "--dry-run").json
    assert report["dry_run"] is True
    assert report["file"].endswith("dry-run.sqlite3")
    assert report["spend"]["30d"]["calls"] == 0


def test_a_broken_file_is_a_failure_and_a_newer_one_a_matter_of_configuration(run, kept):
    with contextlib.closing(sqlite3.connect(kept)) as db, db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    done = run("stats")
    assert (done.code, "newer openfusion" in done.err) == (2, True)
    kept.write_bytes(b"rubbish" * 1000)
    done = run("stats")
    assert (done.code, "cannot be read: file is not a database" in done.err) == (1, True)


# -- forgetting -------------------------------------------------------------------------------------------------------


def measured(run):
    report = run("stats", "--json").json
    return {r["candidate"] for r in report["candidates"] if r["age_s"] is not None or r["breaker"]}


def test_one_candidate_is_forgotten_and_money_stays(run, kept):
    done = run("stats", "reset", "--candidate", "coder-a", "--yes")
    assert (done.code, done.out) == (
        0,
        "forgotten: what was measured of coder-a (1 had something)\n",
    )
    assert measured(run) == {"fast-b", "gone-c"}
    assert run("stats", "--json").json["spend"]["7d"]["usd"] == 0.75


def test_all_are_forgotten(run, kept):
    done = run("stats", "reset", "--yes", "--json")
    assert done.json == {
        "object": "openfusion.stats.reset",
        "candidate": None,
        "learned": False,
        "forgotten": 3,
    }
    assert measured(run) == set()


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, 0), ("n\n", 1, 3)])
def test_a_person_is_asked(run, kept, answer, code, left):
    done = run("stats", "reset", stdin=answer, tty=True)
    assert done.code == code
    assert "every candidate?" in done.err
    assert len(measured(run)) == left


def test_where_nobody_can_be_asked_yes_must_be_said(run, kept):
    done = run("stats", "reset")
    assert done.code == 2
    assert "--yes" in done.err
    assert len(measured(run)) == 3


def test_a_typo_is_refused_with_the_nearest(run, kept):
    done = run("stats", "reset", "--candidate", "coder-b", "--yes")
    assert done.code == 2
    assert "coder-a" in done.err


def test_forgetting_nothing_is_fine(run, configured):
    assert run("stats", "reset", "--yes", "--json").json["forgotten"] == 0


def test_options_before_the_word_reset_are_refused(run, kept):
    done = run("stats", "--dry-run", "reset", "--yes")
    assert done.code == 2
    assert "options go behind reset" in done.err


def test_a_file_that_cannot_be_written_is_a_failure(run, kept, monkeypatch):
    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(SqliteStore, "forget", full)
    done = run("stats", "reset", "--yes")
    assert (done.code, "disk is full" in done.err) == (1, True)


# -- beside a running server ------------------------------------------------------------------------------------------


def test_it_reads_and_forgets_while_a_server_runs(run, folder):
    body = {"model": "openfusion/auto", "messages": [{"role": "user", "content": "hello"}]}

    def ask(url, path="/v1/chat/completions"):
        request = urllib.request.Request(
            url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def ok():
        rows = run("stats", "--json").json["candidates"]
        return [r["attempts"]["ok"] for r in rows if r["attempts"]]

    def forgets(url):
        """It looks once a second, and decides then as one that measured nothing."""
        ends = time.monotonic() + 30
        while b'"live n=' in ask(url, "/debug/route"):
            assert time.monotonic() < ends
            time.sleep(0.05)

    def becomes(wanted):
        ends = time.monotonic() + 30
        while ok() != wanted:
            assert time.monotonic() < ends, ok()
            time.sleep(0.05)

    with serving("--dry-run", env=environment(), cwd=folder) as (url, _, _):
        ask(url)
        ask(url)
        becomes([pytest.approx(2, abs=0.1)])
        assert b'"live n=' in ask(url, "/debug/route")
        assert run("stats", "reset", "--yes").code == 0
        forgets(url)
        ask(url)
        becomes([pytest.approx(1, abs=0.1)])
        assert run("stats", "--json").json["spend"]["24h"]["calls"] == 3


def test_what_ask_spends_is_in_the_ledger_too(run, folder):
    assert run("ask", "hello", "--dry-run").code == 0
    spend = run("stats", "--json").json["spend"]["24h"]
    assert (spend["calls"], spend["usd"]) == (1, 0.0)


def test_a_server_that_is_killed_has_kept_what_was_older_than_a_moment(run, folder):
    body = {"model": "openfusion/auto", "messages": [{"role": "user", "content": "hello"}]}
    with serving("--dry-run", env=environment(), cwd=folder) as (url, _, process):
        request = urllib.request.Request(
            f"{url}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=10) as answer:
            name = answer.headers["x-openfusion-trace-id"]
        ends = time.monotonic() + 20
        while (
            run("stats", "--json").json["spend"]["24h"]["calls"] < 1
        ):  # read from the file, beside it
            assert time.monotonic() < ends
        process.kill()
        process.wait()
    assert run("stats", "--json").json["spend"]["24h"]["calls"] == 1
    with serving("--dry-run", env=environment(), cwd=folder) as (url, _, _):
        assert run("trace", name, "--server", url, "--json").json["trace_id"] == name
