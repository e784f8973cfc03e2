"""The file is the owner's alone, survives a kill, and says plainly why it cannot be used."""

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from openfusion_auto.store import files
from openfusion_auto.store.files import Reading, connect, damage, file_in, identity, reason


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_dry_run_has_a_file_of_its_own(tmp_path):
    assert file_in(tmp_path, dry_run=True) != file_in(tmp_path, dry_run=False)


def test_folder_and_files_are_made_for_the_owner_alone(tmp_path):
    path = tmp_path / "a" / "b" / "s.sqlite3"
    with contextlib.closing(connect(path)) as db:
        db.execute("INSERT INTO resets (at) VALUES (1)")
        assert mode(path.parent) == 0o700
        names = sorted(p.name for p in path.parent.iterdir())
        assert names == ["s.sqlite3", "s.sqlite3-shm", "s.sqlite3-wal"]
        assert {mode(p) for p in path.parent.iterdir()} == {0o600}


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path):
    path = tmp_path / "s.sqlite3"
    path.touch(0o644)
    path.chmod(0o644)
    connect(path).close()
    assert mode(path) == 0o600


def test_it_writes_ahead_and_gives_room_back(tmp_path):
    with contextlib.closing(connect(tmp_path / "s.sqlite3")) as db:
        asked = {
            n: db.execute(f"PRAGMA {n}").fetchone()[0]
            for n in ("journal_mode", "synchronous", "auto_vacuum")
        }
    assert asked == {"journal_mode": "wal", "synchronous": 1, "auto_vacuum": 2}


class Busy:
    """A connection that is told so many times that the file is locked."""

    def __init__(self, times, code=sqlite3.SQLITE_BUSY):
        self.times, self.code, self.asked = times, code, 0

    def execute(self, _statement):
        self.asked += 1
        if self.asked > self.times:
            return self
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorcode = self.code
        raise error

    def fetchone(self):
        return ("wal",)


def test_a_file_that_another_is_just_making_is_tried_again_and_not_for_ever(monkeypatch):
    monkeypatch.setattr(files, "AGAIN_S", 0.0)
    soon, never, broken = Busy(3), Busy(10**6), Busy(10**6, sqlite3.SQLITE_CORRUPT)
    files.write_ahead(soon)
    for db in (never, broken):
        with pytest.raises(sqlite3.OperationalError):
            files.write_ahead(db)
    assert (soon.asked, never.asked, broken.asked) == (4, files.TRIES, 1)


def test_what_is_no_database_is_an_error_and_stays_as_it_is(tmp_path):
    path = tmp_path / "s.sqlite3"
    path.write_bytes(b"not a database, but long enough to be looked at" * 100)
    before = path.read_bytes()
    with pytest.raises(sqlite3.DatabaseError) as failed:
        connect(path)
    assert "not a database" in reason(failed.value)
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError) as failed:
        connect(tmp_path / "file" / "s.sqlite3")
    assert str(tmp_path) not in reason(failed.value)


def test_reasons_have_words():
    assert reason(OSError()) == "OSError"
    assert reason(OSError(28, "No space left on device", "path")) == "No space left on device"
    assert reason(sqlite3.OperationalError()) == "OperationalError"


def test_a_file_that_was_replaced_is_another(tmp_path):
    path = tmp_path / "s.sqlite3"
    assert identity(path) is None
    path.touch()
    first = identity(path)
    os.replace(path, tmp_path / "old")
    path.touch()
    assert identity(path) not in (None, first)


OTHER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("INSERT INTO resets (at) VALUES (1.0)")
db.close()
"""


def test_another_process_that_comes_and_goes_does_not_take_the_log_away(tmp_path):
    """What is written afterwards is in the file: nobody deleted the log under the connection that is open."""
    path = tmp_path / "s.sqlite3"
    with contextlib.closing(connect(path)) as db:
        connect(path).close()  # as who forgets does
        subprocess.run([sys.executable, "-c", OTHER, str(path)], check=True, timeout=60)
        db.execute("INSERT INTO resets (at) VALUES (2.0)")
        subprocess.run([sys.executable, "-c", OTHER, str(path)], check=True, timeout=60)
        assert (tmp_path / "s.sqlite3-wal").exists()
        with contextlib.closing(connect(path)) as again:
            found = again.execute("SELECT at FROM resets ORDER BY id").fetchall()
    assert found == [(1.0,), (2.0,), (1.0,)]


# -- readings share a connection ----------------------------------------------------------------------------------------

COUNT = "SELECT n FROM revision"


def test_readings_of_all_threads_share_one_connection(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(files, "connect", lambda *a, **k: opened.append(a) or connect(*a, **k))
    reading = Reading(tmp_path / "s.sqlite3")
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(reading.rows, [COUNT] * 20)) == [[(0,)]] * 20
    reading.close()
    assert len(opened) == 1
    assert [f.name for f in tmp_path.iterdir()] == ["s.sqlite3"]  # the log went into it


def test_a_reading_sees_what_others_write_and_a_file_that_took_the_place_of_another(tmp_path):
    path = tmp_path / "s.sqlite3"
    reading = Reading(path)
    assert reading.rows(COUNT) == [(0,)]
    with contextlib.closing(connect(path)) as db:
        db.execute("UPDATE revision SET n = 7")
    assert reading.rows("SELECT n FROM revision WHERE n = ?", [7]) == [(7,)]
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    assert reading.rows(COUNT) == [(0,)]
    reading.close()


def test_a_reading_that_fails_is_followed_by_one_of_a_new_connection(tmp_path):
    path = tmp_path / "s.sqlite3"
    reading = Reading(path)
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        reading.rows("SELECT 1 FROM nowhere")
    assert reading.rows(COUNT) == [(0,)]
    reading.close()


def test_damage_is_found_and_nothing_is_changed(tmp_path, monkeypatch):
    path = tmp_path / "state.sqlite3"
    connect(path).close()
    assert damage(path, lambda: False) is None
    content = bytearray(path.read_bytes())
    content[4096 * 2 : 4096 * 12] = b"\xa5" * 4096 * 10
    path.write_bytes(content)
    assert damage(path, lambda: False) == "database disk image is malformed"
    assert path.read_bytes() == content
    monkeypatch.setattr(files, "STEPS", 1)
    assert damage(path, lambda: True) is None  # it took too long to say
