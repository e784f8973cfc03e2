"""What is remembered of a file."""

from __future__ import annotations

import json
import stat

import pytest

from openfusion_auto.clients import record
from openfusion_auto.clients.plan import Change, Item
from openfusion_auto.clients.record import Record
from openfusion_auto.clients.spec import Values
from openfusion_auto.clients.splice import Splice
from openfusion_auto.errors import ConfigError


@pytest.fixture
def known(tmp_path):
    return Record(
        client="codex",
        file=str(tmp_path / "config.toml"),
        values=Values(model="m", context=5, command="/o f", args=("mcp", "--x"), env=("A",)),
        installed=record.digest(b"new"),
        existed=True,
        folders=("/a",),
        changes=(Change(("a", Item("id", "x")), {"id": "x", "n": 1}, had=True, raw="'old'"),),
        splices=(Splice("a\r\n", "é\n"),),
    )


def test_it_reads_back_as_it_was_written(known, tmp_path):
    path = record.save(tmp_path, known, b"old \xff bytes")
    assert path.read_bytes() == b"old \xff bytes"
    assert record.load(tmp_path, "codex", tmp_path / "config.toml") == known
    for file in (tmp_path / "adapters").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_files_and_clients_have_their_own(known, tmp_path):
    record.save(tmp_path, known, b"")
    assert record.load(tmp_path, "codex", tmp_path / "other.toml") is None
    assert record.load(tmp_path, "aider", tmp_path / "config.toml") is None


def test_a_link_and_its_file_are_one(known, tmp_path):
    (tmp_path / "config.toml").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "config.toml")
    record.save(tmp_path, known, b"")
    assert record.load(tmp_path, "codex", tmp_path / "link") == known


def test_a_backup_that_was_left_open_is_closed(known, tmp_path):
    path = record.save(tmp_path, known, b"one")
    path.chmod(0o644)
    record.save(tmp_path, known, b"two")
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_forgetting_keeps_the_backup_only_when_asked(known, tmp_path):
    file = tmp_path / "config.toml"
    path = record.save(tmp_path, known, b"one")
    record.drop(tmp_path, "codex", file, keep_backup=True)
    assert path.exists()
    assert record.load(tmp_path, "codex", file) is None
    record.drop(tmp_path, "codex", file, keep_backup=False)
    assert not path.exists()


@pytest.mark.parametrize(
    "broken", ["", "{", "[]", '{"schema": 2}', '{"schema": 1}', '{"schema": 1, "values": 1}']
)
def test_a_record_that_cannot_be_read_says_where_the_backup_is(known, tmp_path, broken):
    record.save(tmp_path, known, b"old")
    (path,) = (tmp_path / "adapters").glob("*.json")
    path.write_text(broken)
    with pytest.raises(ConfigError, match=r"codex-.*\.backup"):
        record.load(tmp_path, "codex", tmp_path / "config.toml")


def test_it_holds_its_schema(known, tmp_path):
    record.save(tmp_path, known, b"old")
    (path,) = (tmp_path / "adapters").glob("*.json")
    assert json.loads(path.read_text())["schema"] == record.SCHEMA == 1
