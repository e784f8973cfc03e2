"""What is old goes, and what makes the file too large: traces first, the books last."""

import contextlib
from random import Random

import pytest

from openfusion_auto.store import retention as module
from openfusion_auto.store.files import connect
from openfusion_auto.store.retention import Limits, prune_large, prune_old, used_bytes
from openfusion_auto.store.writer import INSERT_LINE, INSERT_TRACE
from tests.store.samples import line, row

PUT_LIVE = "INSERT OR REPLACE INTO live (kind, key, at, value) VALUES (?, ?, ?, ?)"

NOW_S = 1_800_000_000.0
DAY_S = module.DAY_S


@pytest.fixture
def db(tmp_path):
    with contextlib.closing(connect(tmp_path / "s.sqlite3")) as made:
        yield made


def fill(db, count, *, size=0, step_s=1.0, seals=0, words=None):
    """Rows of every table, the newest now, `step_s` apart."""
    db.execute("BEGIN")
    for n in range(count):
        at = NOW_S - n * step_s
        kept = row(f"tr_{n}", at=at, document=n.to_bytes(4, "big") * (size // 4), words=words)
        db.execute(INSERT_TRACE, (*kept.head, *kept[1:]))
        db.execute(INSERT_LINE, line(f"tr_{n}", at=at))
        db.execute(PUT_LIVE, ("pin", f"s{n}", at, "{}"))
        db.execute("INSERT INTO resets (at) VALUES (?)", (at,))
    for n in range(seals):
        db.execute(PUT_LIVE, ("seal", f"seal{n:032}", NOW_S - n, '["relay","model"]'))
    db.execute("COMMIT")


def count(db, table, where="1"):
    return db.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()[0]


def test_what_was_spent_stays_however_little_is_kept(db):
    db.execute(PUT_LIVE, ("spending", "key:a", NOW_S - 99 * DAY_S, "[]"))
    prune_old(db, Limits(keep_s=1.0), NOW_S)
    assert count(db, "live", "kind = 'spending'") == 1


def test_what_is_older_than_it_may_be_goes_from_every_table(db):
    fill(db, 40, step_s=DAY_S)
    assert prune_old(db, Limits(keep_s=30 * DAY_S), NOW_S) == 4 * 9
    for table in ("traces", "ledger", "live", "resets"):
        assert count(db, table) == 31
        assert count(db, table, f"at < {NOW_S - 30 * DAY_S}") == 0
    assert prune_old(db, Limits(keep_s=30 * DAY_S), NOW_S) == 0


def test_more_than_a_chunk_goes_in_several(db, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 7)
    fill(db, 30)
    prune_old(db, Limits(keep_s=4.5), NOW_S)
    assert {count(db, t) for t in ("traces", "ledger", "live", "resets")} == {5}


def test_of_pins_and_seals_the_newest_stay(db, monkeypatch):
    monkeypatch.setattr(module, "NEWEST", {"pin": 3, "seal": 5})
    fill(db, 10, seals=10)
    prune_old(db, Limits(), NOW_S)
    assert {r[0] for r in db.execute("SELECT key FROM live WHERE kind = 'pin'")} == {
        "s0",
        "s1",
        "s2",
    }
    assert count(db, "live", "kind = 'seal'") == 5


def test_a_file_that_is_small_enough_is_left_alone(db):
    fill(db, 10)
    assert prune_large(db, Limits(max_bytes=10_000_000)) == 0
    assert count(db, "traces") == 10


def test_a_file_that_is_too_large_loses_its_oldest_traces_and_its_size(db, tmp_path):
    fill(db, 600, size=4_000)
    assert used_bytes(db) > 2_000_000
    assert prune_large(db, Limits(max_bytes=1_000_000)) > 0
    assert used_bytes(db) <= 950_000
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) < 1_000_000
    left = [r[0] for r in db.execute("SELECT id FROM traces ORDER BY at DESC")]
    assert left == [f"tr_{n}" for n in range(len(left))]
    assert len(left) >= 100
    assert count(db, "ledger") == 600


def test_words_go_with_their_traces_and_so_does_the_index_of_their_letters(db):
    fill(db, 300, words="".join(map(str, range(1500))))
    before, letters = used_bytes(db), "letters MATCH '\"123\"'"
    assert count(db, "letters", letters) == 300
    prune_large(db, Limits(max_bytes=before * 4 // 5))
    assert used_bytes(db) <= before * 4 // 5
    assert 0 < count(db, "letters", letters) == count(db, "traces") < 300


def test_what_waits_to_be_taken_out_of_the_index_costs_no_more_traces_and_no_books(db):
    """Crossing out makes the index larger, and with it the file, for as long as nothing is merged."""
    random = Random(1)
    for n in range(200):
        words = "".join(random.choices("abcdefghijklmnopqrstuvwxyz .,", k=3000))
        kept = row(f"tr_{n}", at=float(n), words=words)
        db.execute("BEGIN")
        db.execute(INSERT_TRACE, (*kept.head, *kept[1:]))
        db.execute(INSERT_LINE, line(kept.head.id))
        db.execute("COMMIT")
    before = used_bytes(db)
    prune_large(db, Limits(max_bytes=before // 2))
    assert before // 4 < used_bytes(db) <= before // 2
    assert count(db, "traces") > 60
    prune_large(db, Limits(max_bytes=before // 5))
    assert 0 < count(db, "traces") < 60
    assert count(db, "ledger") == 200


def test_what_else_is_in_the_file_makes_it_no_longer_work(db, monkeypatch):
    """Merging takes a second in a full file, whatever share of that the traces are."""
    merged = []
    monkeypatch.setattr(module, "merge_letters", merged.append)
    fill(db, 1000, seals=20_000, size=2000)
    before = used_bytes(db)
    prune_large(db, Limits(max_bytes=before))
    assert merged == []
    prune_large(db, Limits(max_bytes=before * 9 // 10))
    assert used_bytes(db) <= before * 9 // 10
    assert 200 < count(db, "traces") < 1000
    assert 1 < len(merged) <= 4


def test_what_was_deleted_is_taken_out_of_the_index_of_letters(db, monkeypatch):
    """There it is only crossed out at first; where that is all, it takes the room of everything else in time."""
    monkeypatch.setattr(module, "MERGED", 10)  # several steps
    db.execute("BEGIN")
    for n in range(400):
        kept = row(f"tr_{n}", at=float(n), words=f"{n * 7919:x} {n**9:x} " * 9)
        db.execute(INSERT_TRACE, (*kept.head, *kept[1:]))
    db.execute("COMMIT")

    def size():
        return db.execute("SELECT sum(length(block)) FROM letters_data").fetchone()[0]

    full = size()
    db.execute("DELETE FROM traces WHERE at < 360")
    assert size() > full
    module.merge_letters(db)
    assert size() < full / 4
    assert count(db, "letters", "letters MATCH '\"000\"'") <= count(db, "traces") == 40


def test_when_traces_are_gone_seals_go_and_the_books_go_last(db):
    fill(db, 300, size=40, seals=3000)
    small = used_bytes(db) // 3
    prune_large(db, Limits(max_bytes=small))
    assert count(db, "traces") == 0
    assert count(db, "live", "kind = 'seal'") < 3000
    assert count(db, "ledger") == 300
    prune_large(db, Limits(max_bytes=1))
    assert count(db, "ledger") == 0
