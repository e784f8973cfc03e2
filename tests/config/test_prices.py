"""A price list as a file: its kind, its day, and what is said of files that are none."""

import hashlib
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openfusion_auto.config import prices
from openfusion_auto.config.prices import read_prices
from openfusion_auto.errors import ConfigError
from tests.support.price_lists import LISTS, OPENROUTER


@pytest.fixture
def file(tmp_path):
    def write(content, name="list.json"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    return write


@pytest.mark.parametrize("kind", LISTS)
def test_the_kind_and_the_digest_are_said(file, kind):
    path = file(LISTS[kind])
    found = read_prices(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (found.kind, found.digest) == (kind, f"sha256:{digest}")
    at = "" if kind == "openrouter" else f" {found.entries[0].provider}"
    assert found.source_of(found.entries[0]) == f"{kind}@{digest[:12]}{at}"


def test_a_named_source_stands_as_it_is(file):
    found = read_prices(file(OPENROUTER), source="our list")
    assert found.source_of(found.entries[0]) == "our list"


def test_the_day_is_the_given_one_then_that_of_the_name_then_that_of_the_file(file):
    path = file(OPENROUTER, "openrouter-2026-07-02.json")
    os.utime(path, (1_767_225_600, 1_767_225_600))
    given_day = read_prices(path, as_of="2026-08")
    assert (given_day.as_of, given_day.as_of_from) == ("2026-08", "given")
    named = read_prices(path)
    assert (named.as_of, named.as_of_from) == ("2026-07-02", "name of the file")
    plain = file(OPENROUTER, "build-12026-07-021-2026-99-99.json")
    os.utime(plain, (1_767_225_600, 1_767_225_600))
    changed = read_prices(plain)
    assert (changed.as_of, changed.as_of_from) == ("2026-01-01", "time of the file")


def test_a_day_that_is_none_is_refused(file):
    with pytest.raises(ConfigError, match="--as-of: must be a date"):
        read_prices(file(OPENROUTER), as_of="yesterday")


def test_rows_that_no_pool_could_name_are_counted(file):
    rows = [*OPENROUTER["data"], {"id": "two words", "pricing": {}}]
    assert read_prices(file({"data": rows})).left_out == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not JSON"),
        (b"<!DOCTYPE html><html>", "it looks like a web page"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[]", "is a list, none of the lists"),
        (b"{}", "is an empty object"),
        (b"7", "is a single value"),
        (b"1" * 5000, "is not JSON"),
        (b'{"error": {"message": "no auth"}}', 'an object with "error"'),
        (b'{"\\u001b[2J": {}}', "none of the lists"),
        (b'{"p": {"models": {}}}', "no model in it"),
    ],
)
def test_what_is_no_list_is_refused_in_one_line(file, content, said):
    with pytest.raises(ConfigError, match=said) as caught:
        read_prices(file(content))
    assert "\n" not in caught.value.message
    assert "\x1b" not in caught.value.message


def test_a_byte_order_mark_says_nothing(file):
    assert read_prices(file(b"\xef\xbb\xbf" + json.dumps(OPENROUTER).encode())).kind == "openrouter"


def test_a_huge_file_is_not_read_to_its_end(file, monkeypatch):
    monkeypatch.setattr(prices, "MOST_BYTES", 100)
    with pytest.raises(ConfigError, match="has more than"):
        read_prices(file(OPENROUTER))


@pytest.mark.parametrize("name", ["gone.json", "."])
def test_what_cannot_be_read_is_said(tmp_path, name):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_prices(tmp_path / name)


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_a_list_or_an_error_of_ours(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError):
        read_prices(path)
