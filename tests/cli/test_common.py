"""The rule for dry runs, and what is said before anything is answered."""

import pytest

from openfusion_auto.cli.common import (
    announce_state,
    is_dry_run,
    load_settings,
    missing_keys,
    notices,
)


def test_without_file_and_key_everything_is_a_dry_run():
    settings = load_settings(None)
    assert is_dry_run(settings, asked=False)
    lines = notices(settings, dry_run=True, asked=False)
    assert lines == [
        "*** DRY RUN: NO MODEL IS CALLED, ANSWERS ARE MADE UP. To leave it: set OPENROUTER_API_KEY. ***"
    ]


def test_with_a_key_nothing_is_made_up_unless_asked(monkeypatch):
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-1")
    settings = load_settings(None)
    assert not is_dry_run(settings, asked=False)
    assert is_dry_run(settings, asked=True)
    assert notices(settings, dry_run=False, asked=False) == []
    (line,) = notices(settings, dry_run=True, asked=True)
    assert "To leave it: leave out --dry-run." in line


def test_a_key_that_cannot_be_one_is_said_even_where_answers_are_made_up(monkeypatch):
    monkeypatch.setenv("OPENROUTER_API_KEY", "k\u00e4y")
    first, _loud = notices(load_settings(None), dry_run=True, asked=False)
    assert "OPENROUTER_API_KEY holds characters that no key has" in first


@pytest.mark.parametrize("text", ["nan", "inf", "-inf"])
def test_a_number_that_is_none_is_refused_by_its_option(run, text):
    for line in (
        ("route", "hi", "--cost-quality", text),
        ("eval", "--dry-run", "--max-usd", text),
        ("doctor", "--timeout", text),
    ):
        done = run(*line)
        assert (done.code, f"Invalid value for '{line[-2]}'" in done.err) == (2, True), line


def test_a_file_without_any_key_is_never_answered_with_made_up_answers(configured, capsys):
    configured(url="https://relay.invalid/v1")
    settings = load_settings(None)
    assert not is_dry_run(settings, asked=False)
    announce_state(settings, dry_run=False, asked=False)
    err = capsys.readouterr().err
    assert "upstream relay cannot be called: set RELAY_API_KEY" in err
    assert "NO UPSTREAM CAN BE CALLED" in err


def test_warnings_of_the_settings_are_said(configured):
    settings = load_settings(None)
    assert notices(settings, dry_run=False, asked=False) == [
        "warning: RELAY_API_KEY is not set: upstream relay is called without a key"
    ]
    assert missing_keys(settings) == []


def test_flags_win_over_the_file_by_their_command_line_names(configured):
    settings = load_settings(None, workers=3, port=None)
    assert settings.config.server.workers == 3
    assert settings.origin["server.workers"] == "flag:--workers"


@pytest.mark.parametrize("name", ["openfusion.toml", "other.toml"])
def test_the_named_file_is_the_one_that_is_read(configured, folder, name):
    (folder / "openfusion.toml").rename(folder / "x.toml")
    (folder / "x.toml").rename(folder / name)
    settings = load_settings(folder / name)
    assert settings.source == folder / name
