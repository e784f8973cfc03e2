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


def test_a_price_that_rises_with_the_prompt_is_a_range(run, configured, folder):
    assert "A range" not in run("models").out
    pool = folder / "pool.toml"
    longer = "output = 2.0, long_context = [{ above_tokens = 9, input = 1, output = 3 }]"
    pool.write_text(pool.read_text().replace("output = 2.0", longer))
    shown = run("models").out
    assert "A range: longer prompts cost more" in shown
    row = next(line for line in shown.splitlines() if "coder-a" in line)
    assert "0.5-1" in row
    assert "2-3" in row
    assert "1 in, 3 out for prompts above 9 tokens" in run("pool", "list").out
