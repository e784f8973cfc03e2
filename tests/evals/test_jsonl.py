"""One JSON object a line: what is read, and what is said of a file that is not so."""

from __future__ import annotations

import gzip
import json

import pytest

from openfusion_auto.errors import ConfigError
from openfusion_auto.evals import jsonl
from openfusion_auto.evals.jsonl import objects


@pytest.fixture
def file(tmp_path):
    def write(data: bytes):
        path = tmp_path / "a.jsonl"
        path.write_bytes(data)
        return path

    return write


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_objects_come_with_the_number_of_their_line(file, pack):
    path = file(pack(b'\xef\xbb\xbf{"a": 1}\r\n\n  \n{"b": 2}'))
    assert list(objects(path)) == [("a.jsonl:1", {"a": 1}), ("a.jsonl:4", {"b": 2})]


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\x0b"])
def test_what_ends_a_line_elsewhere_does_not_inside_a_text(file, mark):
    text = json.dumps({"a": f"x{mark}y"}, ensure_ascii=mark == "\x0b")
    assert list(objects(file(text.encode()))) == [("a.jsonl:1", {"a": f"x{mark}y"})]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b'{}\n{"secret"', "a.jsonl:2: not JSON"),
        (b"[" * 50_000, "a.jsonl:1: not JSON"),
        (b"\n3", "a.jsonl:2: not an object"),
        (b'{}\n{"a": "\xff"}', "a.jsonl:2: not UTF-8"),
        (b"y" * 101, "a.jsonl:1: this line or the whole is too large"),
        (b"{}\n" * 51, "a.jsonl:51: this line or the whole is too large"),
        (gzip.compress(b"{}\n" * 40, mtime=0)[:-12], "cannot be read"),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_without_its_text(file, monkeypatch, data, says):
    monkeypatch.setattr(jsonl, "MOST_LINE", 100 if not data.startswith(b"[") else 100_000)
    monkeypatch.setattr(jsonl, "MOST_BYTES", 150 if not data.startswith(b"[") else 100_000)
    path = file(data)
    with pytest.raises(ConfigError, match=says) as refused:
        list(objects(path))
    assert "secret" not in str(refused.value)


def test_a_file_that_is_not_there_is_said_once(tmp_path):
    with pytest.raises(ConfigError) as refused:
        list(objects(tmp_path / "no.jsonl"))
    assert (
        refused.value.message
        == f"{tmp_path / 'no.jsonl'}: cannot be read (No such file or directory)"
    )
