"""Where a secret is found, who goes before whom, and which address a given key is for."""

import pytest

from openfusion_auto.config import given
from openfusion_auto.config.schema import Config
from openfusion_auto.config.sealed import find_secrets

URL = "https://relay.example/v1"


def config(*urls):
    rows = [
        {"name": f"u{i}", "base_url": url, "api_key_env": "RELAY_API_KEY"}
        for i, url in enumerate(urls)
    ]
    return Config.model_validate({"upstreams": rows})


@pytest.fixture(autouse=True)
def _given(tmp_path, monkeypatch):
    monkeypatch.setattr(given, "system_keyring", lambda: None)
    given.give(given.path_in(tmp_path), "RELAY_API_KEY", URL, "sk-given")


def look(tmp_path, *urls, folder=None, **env):
    found = find_secrets(folder, config(*urls or (URL,)), env, tmp_path)
    return found.sealed.get("RELAY_API_KEY"), found.places.get("RELAY_API_KEY"), found.warnings


def test_environment_goes_before_dotenv_and_dotenv_before_what_was_given(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    assert look(tmp_path, folder=folder) == ("sk-given", "given-keys.json in the state folder", ())
    (folder / ".env").write_text("RELAY_API_KEY=sk-dotenv")
    (folder / ".env").chmod(0o600)
    assert look(tmp_path, folder=folder) == ("sk-dotenv", ".env", ())
    found = look(tmp_path, folder=folder, RELAY_API_KEY="sk-env")
    assert found == ("sk-env", "environment", ())
    assert look(tmp_path, RELAY_API_KEY=" ")[0] == "sk-given"


@pytest.mark.parametrize(
    "urls",
    [("https://evil.example/v1",), ("http://relay.example/v1",), ("https://relay.example:8443/v1",),
     (URL, "https://evil.example/v1")],
)  # fmt: skip
def test_a_given_key_goes_to_the_address_that_it_was_given_for_alone(tmp_path, urls):
    key, place, (why,) = look(tmp_path, *urls)
    assert (key, place) == (None, None)
    assert why.startswith("RELAY_API_KEY was given for https://relay.example:443; it is not sent")


def test_the_path_behind_an_address_does_not_matter(tmp_path):
    assert look(tmp_path, "https://relay.example/other", URL)[0] == "sk-given"


def test_a_keyring_that_keeps_its_key_is_said(tmp_path, monkeypatch):
    row = given.Given("RELAY_API_KEY", given.origin_of(URL), "keyring")
    given.edit(given.path_in(tmp_path), lambda _: (row,))
    key, _, (why,) = look(tmp_path)
    assert key is None
    assert "the system keyring does not give RELAY_API_KEY out" in why


def test_one_that_gives_it_is_named(tmp_path, monkeypatch):
    row = given.Given("RELAY_API_KEY", given.origin_of(URL), "keyring")
    given.edit(given.path_in(tmp_path), lambda _: (row,))
    monkeypatch.setattr("openfusion_auto.config.sealed.value_of", lambda _: "sk-ring")
    assert look(tmp_path) == ("sk-ring", "system keyring", ())


def test_typed_keys_that_others_can_read_are_said(tmp_path):
    path = given.path_in(tmp_path)
    path.chmod(0o644)
    assert look(tmp_path)[2] == (f"{path} can be read by other users; run: chmod 600 {path}",)
    given.forget(path, "RELAY_API_KEY")
    path.chmod(0o644)  # holds none any more
    assert look(tmp_path)[2] == ()
