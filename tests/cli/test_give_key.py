"""Asking for a key: whom, when, and what happens with what was typed."""

import stat

import click
import pytest

from openfusion_auto.cli import give_key
from openfusion_auto.cli.common import load_settings
from openfusion_auto.config import given


@pytest.fixture(autouse=True)
def _no_ring(monkeypatch):
    monkeypatch.setattr(given, "system_keyring", lambda: None)


@pytest.fixture
def person(monkeypatch):
    """Let a person be there, who types this."""

    def types(text):
        monkeypatch.setattr(give_key, "can_ask", lambda: True)
        monkeypatch.setattr(click, "prompt", lambda *_, **__: text)

    return types


def test_nobody_is_asked_in_a_pipe(run):
    assert not give_key.can_ask()
    assert give_key.offer(load_settings(None)) == "not asked"


def test_whoever_can_be_called_needs_no_key(configured, person):
    person("sk-1")
    assert give_key.offer(load_settings(None)) == "not asked"  # on this machine: without a key


def test_a_key_that_is_given_counts_for_every_later_command(person, run):
    person(" sk-1 ")
    settings = load_settings(None)
    assert give_key.offer(settings) == "given"
    later = load_settings(None)
    assert later.key("openrouter") == "sk-1"
    assert not later.unready
    assert "OPENROUTER_API_KEY is set for upstream openrouter (given-keys.json in the state folder)" in run("doctor").out  # fmt: skip
    path = given.path_in(settings.state_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "  ", "two words", "schlüssel", "a\x1b[2Jb"])
def test_what_is_no_key_is_not_kept(person, text):
    person(text)
    settings = load_settings(None)
    assert give_key.offer(settings) == "declined"
    assert not given.path_in(settings.state_path).exists()


def test_a_variable_that_goes_before_is_said(person, monkeypatch, capsys):
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-env")
    person("sk-1")
    settings = load_settings(None)
    assert give_key.ask(settings, settings.config.upstreams[0])
    assert "is set in environment, too: that one goes before" in capsys.readouterr().err


def test_a_keyring_is_named(person, monkeypatch, capsys):
    monkeypatch.setattr(given, "in_keyring", lambda *_: True)
    person("sk-1")
    settings = load_settings(None)
    assert give_key.ask(settings, settings.config.upstreams[0])
    assert "kept in the system keyring" in capsys.readouterr().err
    assert "sk-1" not in given.path_in(settings.state_path).read_text()
