"""Gateway keys: their text, their file, what is kept of them and what is not."""

import json
import math
import stat
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfusion_auto.config import keyfile
from openfusion_auto.config.keyfile import (
    BODY_CHARS,
    CHECK_CHARS,
    Key,
    Wish,
    base62,
    create,
    digest_of,
    end_of,
    is_key,
    load_keys,
    moment,
    new_key,
    path_in,
    revoke,
    save_keys,
    seconds,
)
from openfusion_auto.core.limits import NO_LIMITS, UNITS, Limits
from openfusion_auto.errors import ConfigError

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z


@pytest.fixture
def path(tmp_path):
    return path_in(tmp_path)


# -- the text of a key


def test_a_key_has_256_random_bits_and_a_checksum():
    keys = {new_key() for _ in range(200)}
    assert len(keys) == 200
    assert all(len(k) == 52 and k.startswith("of_") and is_key(k) for k in keys)
    assert 62**BODY_CHARS > 2**256
    assert 62**CHECK_CHARS > 2**32
    used = set("".join(k[3:-CHECK_CHARS] for k in keys))
    assert len(used) == 62


@given(st.integers(3, 51), st.sampled_from(keyfile.ALPHABET))
def test_one_wrong_character_makes_it_no_key(at, letter):
    key = keyfile.PREFIX + "a" * BODY_CHARS
    key += keyfile.checksum(key)
    wrong = key[:at] + letter + key[at + 1 :]
    assert is_key(wrong) == (wrong == key)


@pytest.mark.parametrize("text", ["", "of_", "of_" + "ä" * 49, "sk-" + "a" * 49, pytest.param(new_key() + "\n", id="a newline")])  # fmt: skip
def test_other_texts_are_no_keys(text):
    assert not is_key(text)


@given(st.integers(0, 62**6 - 1))
def test_base62_keeps_the_number(number):
    text = base62(number, 6)
    back = 0
    for letter in text:
        back = back * 62 + keyfile.ALPHABET.index(letter)
    assert (len(text), back) == (6, number)


def test_any_text_has_a_digest_and_different_ones_differ():
    texts = ["", "ключ", "caf\udce9", "a", "a "]
    assert len({digest_of(t) for t in texts}) == len(texts)


# -- moments


def test_a_date_counts_to_its_end_and_a_moment_as_it_is():
    assert end_of("2027-01-31") == "2027-02-01T00:00:00Z"
    assert end_of("2027-01-31T10:00:00+02:00") == "2027-01-31T08:00:00Z"
    assert seconds(moment(NOW)) == NOW


@pytest.mark.parametrize("text", ["2027-02-30", "tomorrow", "2027-01-31T10:00:00", "", "20270131x"])
def test_what_is_no_date_is_refused(text):
    with pytest.raises(ValueError):
        end_of(text)


# -- the file


def test_without_a_file_there_are_no_keys(path):
    assert load_keys(path) == ()


def test_a_key_is_kept_as_a_hash_in_a_file_of_the_owners(path):
    key, text = create(path, Wish("ci", models=("coder-a",), max_usd_per_day=1.5), NOW)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    kept = path.read_text()
    assert text not in kept
    assert text[7:20] not in kept
    assert load_keys(path) == (key,)
    assert key.sha256 == digest_of(text).hex()
    assert (key.name, key.models, key.created, key.hint) == (
        "ci",
        ("coder-a",),
        "2027-01-15T08:00:00Z",
        text[:7],
    )
    assert key.limits() == Limits(per_day=3 * UNITS // 2)


def test_all_limits_survive_the_file_and_none_is_no_limit(path):
    wish = Wish("all", ("a", "b"), "2027-02-01T00:00:00Z", 1, 2, 3, 4.0, 5.5)
    create(path, wish, NOW)
    create(path, Wish("none"), NOW)
    full, bare = load_keys(path)
    assert full.limits() == Limits(1, 2, 3, 4 * UNITS, 55 * UNITS // 10)
    assert (full.models, full.expires) == (("a", "b"), "2027-02-01T00:00:00Z")
    assert bare.limits() == NO_LIMITS
    assert set(json.loads(path.read_text())["keys"][1]) == {
        "id",
        "name",
        "sha256",
        "hint",
        "created",
    }


def test_a_key_expires_and_is_revoked(path):
    key, _ = create(path, Wish("a", expires=moment(NOW + 10)), NOW)
    assert [key.status(NOW + s) for s in (0, 9.9, 10)] == ["active", "active", "expired"]
    gone = revoke(path, "a", NOW)
    assert gone.status(NOW) == "revoked"
    assert load_keys(path) == (gone,)  # it stays in the file


def test_a_name_is_free_again_when_its_key_is_not_valid_any_more(path):
    create(path, Wish("a"), NOW)
    with pytest.raises(ConfigError, match="already"):
        create(path, Wish("a"), NOW)
    first = revoke(path, "a", NOW)
    second, _ = create(path, Wish("a"), NOW)
    assert [k.id for k in load_keys(path)] == [first.id, second.id]
    assert revoke(path, second.id, NOW).id == second.id
    for gone in ("a", second.id, "nobody"):
        with pytest.raises(ConfigError, match="no key"):
            revoke(path, gone, NOW)


@pytest.mark.parametrize("name", ["", "a b", "-a", "a" * 65, "a/b", "ключ", "a\n"])
def test_odd_names_are_refused(path, name):
    with pytest.raises(ConfigError, match="name of a key"):
        create(path, Wish(name), NOW)
    assert not path.exists()


def test_two_who_create_at_once_both_have_their_key(path):
    threads = [
        threading.Thread(target=lambda n=n: create(path, Wish(f"k{n}"), NOW)) for n in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {k.name for k in load_keys(path)} == {f"k{n}" for n in range(12)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sha256": "x"}, "sha256"),
        ({"surplus": 1}, "surplus"),
        ({"requests_per_minute": 0}, "requests_per_minute"),
        ({"requests_per_minute": 1.5}, "requests_per_minute"),
        ({"max_usd_per_day": math.inf}, "max_usd_per_day"),
        ({"max_usd_per_day": "1"}, "max_usd_per_day"),
        ({"models": "a"}, "models"),
        ({"expires": "soon"}, "no file of keys"),
        ({"name": None}, "name"),
    ],
)
def test_a_file_with_a_mistake_is_refused_with_the_place(path, change, said):
    create(path, Wish("a"), NOW)
    data = json.loads(path.read_text())
    data["keys"][0] |= change
    path.write_text(json.dumps(data))
    with pytest.raises(ConfigError, match=said):
        load_keys(path)


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"[" * 100_000, b'{"schema":2,"keys":[]}', b"\xff", b"null"]
)
def test_what_is_no_file_of_keys_is_refused(path, raw):
    path.write_bytes(raw)
    with pytest.raises(ConfigError, match=r"keys\.json"):
        load_keys(path)


def test_a_mistake_is_told_without_quoting_what_stands_there(path):
    save_keys(path, [])
    path.write_text('{"schema": 1, "keys": [{"id": "of_secret", "name": 5}]}')
    with pytest.raises(ConfigError) as refused:
        load_keys(path)
    assert "of_secret" not in refused.value.message


def test_a_limit_out_of_range_is_refused_before_anything_is_written(path):
    with pytest.raises(ConfigError, match="max_usd_per_day"):
        create(path, Wish("a", max_usd_per_day=-1.0), NOW)
    assert not path.exists()


def test_a_key_says_nothing_of_itself_that_opens_a_door(path):
    key, text = create(path, Wish("a"), NOW)
    assert isinstance(key, Key)
    assert text[8:] not in repr(key)
