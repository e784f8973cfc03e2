"""The names a client may ask for."""

import json
import urllib.request


def test_the_listing_is_the_servers_own(run, server):
    with urllib.request.urlopen(f"{server}/v1/models", timeout=10) as answer:
        served = json.load(answer)["data"]
    assert run("models", "--json").json["data"] == served


def test_people_see_names_prices_windows_and_roles(run, configured):
    done = run("models")
    assert done.code == 0
    for name in ("openfusion/auto", "openfusion/fusion", "openfusion/coder", "openfusion/writer"):
        assert name in done.out
    row = next(line for line in done.out.splitlines() if "coder-a" in line)
    assert "0.5" in row
    assert "200,000" in row
    unknown = next(line for line in done.out.splitlines() if "fast-b" in line)
    assert unknown.count("unknown") == 2


def test_a_wide_terminal_shows_more(run, configured, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    assert "vendor/coder" in run("models").out
    monkeypatch.setenv("COLUMNS", "80")
    assert "vendor/coder" not in run("models").out


def test_plain_output_is_ascii_without_colours(run):
    done = run("models")
    assert done.out.isascii()
    assert "\x1b" not in done.out


def test_an_upstream_without_its_key_is_named(run, configured):
    configured(url="https://relay.invalid/v1")
    assert "upstream relay cannot be called: set RELAY_API_KEY" in run("models").err
