"""Keys that were typed in: where they lie, for which address, and what happens when that place fails."""

import json
import stat
import sys
import types

import pytest

from openfusion_auto.config import given
from openfusion_auto.errors import ConfigError

NAME, URL, KEY = "RELAY_API_KEY", "https://relay.example/v1", "sk-relay-123"


class Ring:
    """A system keyring in memory, with the three calls that are used."""

    def __init__(self, priority=5):
        self.priority, self.kept, self.broken = priority, {}, False

    def set_password(self, service, user, key):
        self.check()
        self.kept[service, user] = key

    def get_password(self, service, user):
        self.check()
        return self.kept.get((service, user))

    def delete_password(self, service, user):
        self.check()
        del self.kept[service, user]

    def check(self):
        if self.broken:
            raise OSError("locked")


@pytest.fixture
def ring(monkeypatch):
    made = Ring()
    module = types.SimpleNamespace(get_keyring=lambda: made)
    monkeypatch.setitem(sys.modules, "keyring", module)
    return made


@pytest.fixture
def no_ring(monkeypatch):
    monkeypatch.setitem(sys.modules, "keyring", None)


def test_without_a_keyring_the_owner_alone_can_read_the_key(tmp_path, no_ring):
    path = given.path_in(tmp_path)
    assert given.load_given(path) == ()
    assert given.give(path, NAME, URL, KEY) == "file"
    (row,) = given.load_given(path)
    assert (row.name, row.address) == (NAME, "https://relay.example:443")
    assert given.value_of(row) == KEY
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_with_one_the_file_says_where_and_holds_no_key(tmp_path, ring):
    path = given.path_in(tmp_path)
    assert given.give(path, NAME, URL, KEY) == "keyring"
    assert KEY not in path.read_text()
    (row,) = given.load_given(path)
    assert given.value_of(row) == KEY
    ring.broken = True
    assert given.value_of(row) is None


@pytest.mark.parametrize("fault", ["weak", "broken", "forgetful"])
def test_a_keyring_that_does_not_protect_or_work_is_none(tmp_path, ring, fault):
    ring.priority = 0.5 if fault == "weak" else 5
    ring.broken = fault == "broken"
    if fault == "forgetful":
        ring.get_password = lambda *_: None
    path = given.path_in(tmp_path)
    assert given.give(path, NAME, URL, KEY) == "file"
    assert given.value_of(given.load_given(path)[0]) == KEY


def test_a_key_replaces_the_one_for_the_same_address_alone(tmp_path, no_ring):
    path = given.path_in(tmp_path)
    for url, key in ((URL, "a"), ("https://other.example", "b"), (URL + "/x", "c")):
        given.give(path, NAME, url, key)
    assert [(r.address, r.key) for r in given.load_given(path)] == [
        ("https://other.example:443", "b"),
        ("https://relay.example:443", "c"),
    ]


def test_a_forgotten_key_is_gone_from_file_and_keyring(tmp_path, ring):
    path = given.path_in(tmp_path)
    assert given.forget(path, NAME) == 0
    assert not path.exists()
    given.give(path, NAME, URL, KEY)
    given.give(path, "OTHER", URL, "x")
    assert given.forget(path, NAME) == 1
    assert list(ring.kept.values()) == ["x"]
    assert [r.name for r in given.load_given(path)] == ["OTHER"]
    ring.broken = True  # it is not used any more, whatever the keyring says
    assert given.forget(path, "OTHER") == 1


def test_a_keyring_that_is_not_there_any_more_gives_nothing(tmp_path, ring, monkeypatch):
    path = given.path_in(tmp_path)
    given.give(path, NAME, URL, KEY)
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert given.value_of(given.load_given(path)[0]) is None
    assert given.forget(path, NAME) == 1


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"schema": 2, "keys": []}', '{"schema": 1, "keys": [{"name": 1}]}',
     '{"schema": 1, "keys": [{"name": "A", "address": 3, "place": "file"}]}', "[" * 4000],
)  # fmt: skip
def test_a_damaged_list_is_said_and_not_quoted(tmp_path, text):
    path = given.path_in(tmp_path)
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="is no list of given keys"):
        given.load_given(path)


def test_another_programs_rights_to_the_file_are_refused(tmp_path, no_ring):
    path = given.path_in(tmp_path)
    given.give(path, NAME, URL, KEY)
    path.chmod(0o622)
    with pytest.raises(ConfigError, match="chmod 600"):
        given.load_given(path)
    assert json.loads(path.read_text())["schema"] == 1
