"""Answers in a file: what is found again, how it grows old, what goes first, and a file that cannot be used."""

import sqlite3
import stat

import pytest

from openfusion_auto.store.answers import AnswerFile


class Wall:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def wall():
    return Wall()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "answers.sqlite3"


def sizes(path):
    db = sqlite3.connect(path)
    try:
        return db.execute("SELECT COUNT(*), SUM(LENGTH(value)) FROM answers").fetchone()
    finally:
        db.close()


def test_another_process_finds_it_until_it_is_too_old(path, wall):
    AnswerFile(path, wall).put("k", b"\x00answer", ttl_s=10, most=100)
    other = AnswerFile(path, wall)
    assert (other.get("k"), other.get("x")) == (b"\x00answer", None)
    wall.now += 10
    assert other.get("k") is None
    other.put("new", b"n", ttl_s=10, most=100)
    assert sizes(path) == (1, 1)


def test_what_was_not_asked_for_for_longest_goes_first(path, wall):
    file = AnswerFile(path, wall)
    for key in "abc":
        file.put(key, b"1234", ttl_s=100, most=12)
        wall.now += 1
    assert file.get("a") == b"1234"
    wall.now += 1
    file.put("d", b"5678", ttl_s=100, most=12)
    assert [file.get(k) is not None for k in "abcd"] == [True, False, True, True]
    file.put("large", b"x" * 13, ttl_s=100, most=12)
    assert file.get("large") is None
    assert sizes(path) == (3, 12)


def test_the_file_is_the_owners_alone(path, wall):
    AnswerFile(path, wall).put("k", b"v", ttl_s=1, most=10)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_of_another_form_is_begun_anew_and_one_that_is_gone_too(path, wall):
    file = AnswerFile(path, wall)
    file.put("k", b"v", ttl_s=10, most=10)
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 9")
    db.close()
    assert file.get("k") is None
    file.put("k", b"w", ttl_s=10, most=10)
    assert file.get("k") == b"w"
    path.unlink()
    assert file.get("k") is None


def test_what_is_no_database_is_an_error_of_sqlite(path, wall):
    path.parent.mkdir()
    path.write_bytes(b"junk" * 1000)
    with pytest.raises(sqlite3.DatabaseError):
        AnswerFile(path, wall).get("k")
