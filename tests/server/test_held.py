"""Keys that were given on the page: for what lacks one, at the address it had, and in no other place."""

import copy
import pickle

import pytest
import tomli_w

from openfusion_auto.config.load import load
from openfusion_auto.server.held import HeldKeys, Lack, lacks
from tests.server.conftest import candidate

AWAY = "https://models.example/v1"


def read(folder, *ups, take_keys=True, env=None):
    rows = [f'[[upstreams]]\nname = "{n}"\nbase_url = "{url}"\napi_key_env = "{var}"\n' for n, url, var in ups]  # fmt: skip
    path = folder / "openfusion.toml"
    more = f'[page]\ntake_keys = {str(take_keys).lower()}\n[pool]\nfile = "pool.toml"\n'
    path.write_text("\n".join([*rows, more]))
    pool = {"schema": 1, "candidates": [{**candidate(), "upstream": "a"}]}
    (folder / "pool.toml").write_text(tomli_w.dumps(pool))
    env = {"OPENFUSION_STATE_DIR": str(folder / "state"), **(env or {})}
    return load(path, env, {}, folder)


@pytest.fixture
def held():
    return HeldKeys()


def test_what_lacks_a_key_is_ready_once_one_is_held(held, tmp_path):
    settings = read(tmp_path, ("a", AWAY, "A_KEY"), ("b", AWAY, "B_KEY"), env={"B_KEY": "sk-b"})
    (lack,) = held.lacks(settings)
    assert lack == Lack("a", "A_KEY", "https://models.example:443", held=False, why_not=None)
    assert "a" in settings.unready
    held.hold(lack, "sk-given")
    now = held.over(settings)
    assert (now.key("a"), now.key("b"), dict(now.unready)) == ("sk-given", "sk-b", {})
    assert held.lacks(now) == [lack._replace(held=True)]
    assert settings.key("a") is None
    held.hold(lack, "")
    assert held.over(settings).key("a") is None


def test_the_environment_goes_before(held, tmp_path):
    (lack,) = held.lacks(read(tmp_path, ("a", AWAY, "A_KEY")))
    held.hold(lack, "sk-given")
    later = held.over(read(tmp_path, ("a", AWAY, "A_KEY"), env={"A_KEY": "sk-env"}))
    assert later.key("a") == "sk-env"
    assert held.lacks(later) == []


def test_a_key_goes_to_no_other_address(held, tmp_path):
    (lack,) = held.lacks(read(tmp_path, ("a", AWAY, "A_KEY")))
    held.hold(lack, "sk-given")
    moved = held.over(read(tmp_path, ("a", "https://elsewhere.example/v1", "A_KEY")))
    assert moved.key("a") is None
    both = ("a", AWAY, "A_KEY"), ("b", "https://elsewhere.example/v1", "A_KEY")
    shared = held.over(read(tmp_path, *both))
    assert (shared.key("a"), shared.key("b")) == (None, None)
    assert all("several addresses" in row.why_not for row in held.lacks(shared))


def test_where_no_more_keys_are_taken_those_that_were_are_forgotten(held, tmp_path):
    settings = read(tmp_path, ("a", AWAY, "A_KEY"))
    held.hold(held.lacks(settings)[0], "sk-given")
    assert held.over(read(tmp_path, ("a", AWAY, "A_KEY"), take_keys=False)).key("a") is None
    assert held.over(settings).key("a") is None


@pytest.mark.parametrize("wrong", ["two words", "schlüssel", "line\nend", "k" * 4097])
def test_what_is_no_key_is_not_held(held, tmp_path, wrong):
    settings = read(tmp_path, ("a", AWAY, "A_KEY"))
    with pytest.raises(ValueError, match="nothing is kept") as refused:
        held.hold(lacks(settings)[0], wrong)
    assert wrong not in str(refused.value)
    assert held.over(settings).key("a") is None


def test_nothing_prints_or_copies_a_key(held, tmp_path):
    settings = read(tmp_path, ("a", AWAY, "A_KEY"))
    held.hold(lacks(settings)[0], "sk-given")
    now = held.after(lambda: settings)()
    for thing in (held, now, now._secrets):
        assert "sk-given" not in repr(thing)
    assert "sk-given" not in str(now.public())
    for copied in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not written"):
            copied(held)
