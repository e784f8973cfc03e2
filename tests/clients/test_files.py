"""Somebody else's file: read, replaced in one step, left whole when that fails."""

from __future__ import annotations

import os
import stat
import threading

import pytest

from openfusion_auto.clients import files
from openfusion_auto.clients.files import Content, decode, newline_of, read, remove, write
from openfusion_auto.errors import ConfigError


def test_nothing_there_is_none_and_a_folder_is_a_clear_message(tmp_path):
    assert read(tmp_path / "no") is None
    with pytest.raises(ConfigError, match=r"cannot be read \(Is a directory\)"):
        read(tmp_path)


@pytest.mark.parametrize("raw", [b"", b"a\r\nb", b"\xef\xbb\xbfa = 1\n", "größe".encode()])
def test_text_goes_back_to_the_same_bytes(raw):
    assert decode(raw).encode() == raw
    assert not decode(raw).text.startswith("\ufeff")


def test_what_is_no_utf8_names_its_line():
    with pytest.raises(ConfigError, match=r"^3: is not UTF-8"):
        decode(b"\xef\xbb\xbfa\nb\n\xff")


@pytest.mark.parametrize(
    ("text", "nl"),
    [
        ("", "\n"),
        ("a\nb\n", "\n"),
        ("a\r\nb\r\n", "\r\n"),
        ("a\r\nb\r\nc\n", "\r\n"),
        ("a\r\nb\nc\n", "\n"),
    ],
)
def test_the_line_end_is_that_of_most_lines(text, nl):
    assert newline_of(text) == nl


def test_a_new_file_is_private_and_its_folders_are_made(tmp_path):
    path = tmp_path / "a" / "b" / "c.toml"
    assert files.missing_folders(path) == (tmp_path / "a", tmp_path / "a" / "b")
    write(path, b"x", None)
    assert path.read_bytes() == b"x"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert files.missing_folders(path) == ()


def test_the_mode_stays_and_no_other_file_is_left(tmp_path):
    path = tmp_path / "c"
    path.write_bytes(b"old")
    path.chmod(0o644)
    write(path, b"new", b"old")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


def test_a_link_to_nothing_gets_its_file(tmp_path):
    link, real = tmp_path / "link", tmp_path / "dots" / "real"
    link.symlink_to(real)
    write(link, b"x", None)
    assert link.is_symlink()
    assert real.read_bytes() == b"x"


def test_a_file_that_changed_meanwhile_is_not_overwritten(tmp_path):
    path = tmp_path / "c"
    path.write_bytes(b"theirs")
    for act in (lambda: write(path, b"ours", b"old"), lambda: remove(path, b"old")):
        with pytest.raises(ConfigError, match="run it again"):
            act()
        assert path.read_bytes() == b"theirs"
    assert [p.name for p in tmp_path.iterdir()] == ["c"]
    remove(path, b"theirs")
    assert not path.exists()


def test_a_failure_on_the_way_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "c"
    path.write_bytes(b"old")

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write(path, b"new", b"old")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


def test_a_folder_that_takes_no_file_is_said_by_the_files_own_name(tmp_path, monkeypatch):
    def denied(**named):
        raise PermissionError(13, "Permission denied", f"{named['dir']}/{named['prefix']}x.tmp")

    monkeypatch.setattr(files.tempfile, "mkstemp", denied)
    path = tmp_path / "config.toml"
    with pytest.raises(PermissionError) as refused:
        files.write(path, b"x", None)
    assert refused.value.filename == str(path)


def test_only_empty_folders_go(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "mine").write_text("x")
    files.remove_empty([tmp_path / "a", tmp_path / "a" / "b", tmp_path / "gone"])
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["mine"]


def test_one_run_waits_for_the_other(tmp_path):
    order = []
    inside, go_on = threading.Event(), threading.Event()

    def first():
        with files.locked(tmp_path):
            inside.set()
            go_on.wait(10)
            order.append("first")

    def second():
        inside.wait(10)
        go_on.set()
        with files.locked(tmp_path):
            order.append("second")

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert order == ["first", "second"]


def test_where_there_is_no_flock_nothing_is_locked(tmp_path, monkeypatch):
    monkeypatch.setattr(files.sys, "platform", "win32")
    with files.locked(tmp_path):
        assert list(tmp_path.iterdir()) == []


def test_content_says_whether_it_has_a_mark():
    assert Content("x", bom=True).encode() == b"\xef\xbb\xbfx"
