"""What is forgotten: numbers and lessons of one candidate, of all, or all lessons alone; both stores say the same."""

import pytest

from openfusion_auto.core.lessons import PROJECT_CHARS, Key, Tally
from openfusion_auto.core.types import Pin, Stats
from openfusion_auto.store.base import KINDS, LEARNED
from openfusion_auto.store.memory import MemoryStore, candidate_of, is_forgotten
from openfusion_auto.store.retention import Limits
from openfusion_auto.store.sqlite import FORGET, SqliteStore

from .samples import PIN, STATS, TALLY, Wall

# Ids with what keys are cut at, and one that another ends with.
IDS = ("coder-a", "a", "a/b:c", "x:a")


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    found = (
        MemoryStore()
        if request.param == "memory"
        else SqliteStore(tmp_path / "state.sqlite3", Limits(), Wall())
    )
    for id_ in IDS:
        for project in ("0" * PROJECT_CHARS, "f" * PROJECT_CHARS):
            found.keep(Tally, str(Key(project, "bugfix", id_)), TALLY, 0.0)
    found.keep(Stats, "coder-a", STATS, 0.0)
    found.keep(Stats, "other", STATS, 0.0)
    found.keep(Pin, "s", PIN, 0.0)
    yield found
    found.close()


def left(store, kind):
    return sorted(key for key, _ in store.load(kind, 0.0))


@pytest.mark.parametrize("id_", IDS)
def test_of_one_candidate_goes_what_is_its_own(store, id_):
    assert store.forget(id_) == 1
    assert {candidate_of("tally", k) for k in left(store, Tally)} == set(IDS) - {id_}
    assert left(store, Stats) == ["other"] if id_ == "coder-a" else ["coder-a", "other"]


def test_of_all_goes_everything_but_sessions(store):
    assert store.forget(None) == len({*IDS, "other"})
    assert (left(store, Tally), left(store, Stats), left(store, Pin)) == ([], [], ["s"])


def test_lessons_alone_can_go(store):
    assert store.forget(LEARNED) == len(IDS)
    assert (left(store, Tally), left(store, Stats)) == ([], ["coder-a", "other"])


def test_lessons_come_back_as_they_were(store):
    assert all(tally == TALLY for _, tally in store.load(Tally, 0.0))


def test_what_waits_to_be_written_is_forgotten_by_the_same_rule():
    key = str(Key("0" * PROJECT_CHARS, "bugfix", "a"))
    assert is_forgotten("tally", key, ("a",))
    assert is_forgotten("tally", key, (LEARNED,))
    assert is_forgotten("stats", "a", (None,))
    assert not is_forgotten("stats", "a", (LEARNED,))
    assert not is_forgotten("pin", "a", (None, "a", LEARNED))
    assert not is_forgotten("tally", key, ("bugfix", "x:a"))


def test_the_query_cuts_keys_as_the_code_does():
    assert f"substr(key, {PROJECT_CHARS + 2})" in FORGET
    assert f"'{LEARNED}'" in FORGET
    assert f"'{KINDS[Tally]}'" in FORGET
