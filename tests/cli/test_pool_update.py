"""A price list beside the pool: what is shown, what is written, and what is refused."""

import copy
import json
import tomllib

import pytest

from openfusion_auto.config.load import shipped_pool
from openfusion_auto.config.pool import load_pool
from openfusion_auto.data import data_root
from tests.support.price_lists import LITELLM, MODELS_DEV, OPENROUTER

from .conftest import POOL

HEAD = "# our pool\n\n"


@pytest.fixture
def there(folder):
    """A pool and three price lists of one day."""
    (folder / "pool.toml").write_text(HEAD + POOL)
    for name, data in (("openrouter", OPENROUTER), ("models", MODELS_DEV), ("litellm", LITELLM)):
        (folder / f"{name}-2026-11-01.json").write_text(json.dumps(data))
    return folder


@pytest.fixture
def update(run, there):
    def call(*args, prices="openrouter-2026-11-01.json", pool="pool.toml"):
        return run("pool", "update", "--from", prices, "--pool", pool, *args)

    return call


def row(text, name="coder-a"):
    return next(r for r in tomllib.loads(text)["candidates"] if r["id"] == name)


def test_without_write_it_only_shows_and_says_1(update, there):
    done = update()
    assert done.code == 1
    assert (there / "pool.toml").read_text() == HEAD + POOL
    for part in (
        "openrouter, 6 models, sha256:",
        "as of 2026-11-01 (name of the file)",
        "input                          0.5 -> 0.6        +20.0 %",
        "input_above_272000         unknown -> 1.2",
        "max_output_tokens           32,000 -> 65,536     +104.8 %",
        "[vendor, 2026-07-02] -> [openrouter@",
        "also offers reasoning, vision",
        "no_entry  fast-b: no vendor/fast",
        "8 numbers of 1 candidate would change, 1 not in the list",
        "Nothing was written: --write does it.",
    ):
        assert part in done.out, part
    assert not done.err


def test_write_changes_only_its_lines_and_keeps_a_backup(update, there):
    (there / "pool.toml").chmod(0o640)
    done = update("--write")
    assert done.code == 0
    assert "Written: pool.toml; what it was before is in " in done.out
    after = (there / "pool.toml").read_text()
    table = row(after)["price_usd_per_mtok"]
    digest = table.pop("source").removeprefix("openrouter@")
    assert digest.endswith(" (cache_write from vendor, 2026-07-02)")
    assert table == {
        "input": 0.6,
        "output": 2.4,
        "cache_read": 0.06,
        "cache_write": 0.6,
        "long_context": [
            {"above_tokens": 272_000, "input": 1.2, "output": 3.6, "cache_read": 0.06}
        ],
        "as_of": "2026-11-01",
    }
    assert row(after)["max_output_tokens"] == 65_536
    before = (HEAD + POOL).splitlines()
    assert len([1 for a, b in zip(after.splitlines(), before, strict=True) if a != b]) == 3
    assert (there / "pool.toml.bak").read_text() == HEAD + POOL
    for name in ("pool.toml", "pool.toml.bak"):
        assert (there / name).stat().st_mode & 0o777 == 0o640
    assert load_pool(there / "pool.toml").get("coder-a").price.input == 0.6
    again = update("--write")
    assert (again.code, again.out.splitlines()[-1]) == (
        0,
        "Nothing was written: there is nothing to take.",
    )
    assert update().code == 0


def test_an_earlier_backup_is_not_overwritten(update, there):
    (there / "pool.toml.bak").write_text("mine")
    update("--write")
    assert (there / "pool.toml.bak").read_text() == "mine"
    assert (there / "pool.toml.bak-2").read_text() == HEAD + POOL


def test_a_link_is_followed_and_its_target_written(update, there):
    (there / "real").mkdir()
    (there / "pool.toml").rename(there / "real" / "p.toml")
    (there / "pool.toml").symlink_to(there / "real" / "p.toml")
    assert update("--write").code == 0
    assert (there / "pool.toml").is_symlink()
    assert row((there / "real" / "p.toml").read_text())["max_output_tokens"] == 65_536
    assert (there / "real" / "p.toml.bak").exists()


def test_a_jump_waits_until_it_is_accepted(update, there):
    dear = copy.deepcopy(OPENROUTER)
    dear["data"][0]["pricing"]["prompt"] = "0.0006"
    (there / "dear.json").write_text(json.dumps(dear))
    shown = update(prices="dear.json")
    assert "  ! input                          0.5 -> 600        +119900.0 %" in shown.out
    assert "moved by more than 3 times: --accept-jumps takes it" in shown.out
    held = update("--write", prices="dear.json")
    assert held.code == 1
    after = row((there / "pool.toml").read_text())
    assert after["price_usd_per_mtok"]["input"] == 0.5
    assert after["max_output_tokens"] == 65_536
    assert update("--write", "--accept-jumps", prices="dear.json").code == 0
    assert row((there / "pool.toml").read_text())["price_usd_per_mtok"]["input"] == 600


def test_json_holds_all_of_it(update):
    done = update("--json", "--source", "our list", "--as-of", "2026-10")
    assert done.code == 1
    told = done.json
    assert told["list"]["kind"] == "openrouter"
    assert told["list"]["as_of_from"] == "given"
    first = told["changes"][0]
    assert first == {
        "candidate": "coder-a", "field": "input", "old": 0.5, "new": 0.6, "entry": "openrouter/vendor/coder",
        "old_source": "vendor", "old_as_of": "2026-07-02",
        "new_source": "our list (cache_write from vendor, 2026-07-02)", "held": "",
    }  # fmt: skip
    assert (told["written"], told["backup"]) == (None, None)
    assert {n["rule"] for n in told["notes"]} == {"entry", "offers", "no_entry"}
    written = update("--json", "--write").json
    assert written["written"] == "pool.toml"
    assert written["backup"].endswith("pool.toml.bak")


@pytest.mark.parametrize(
    ("prices", "pairs", "value"),
    [
        ("models-2026-11-01.json", "relay=openrouter", 2.5),
        ("litellm-2026-11-01.json", "relay=openrouter", 0.6),
    ],
)
def test_the_other_lists_with_a_provider(update, there, prices, pairs, value):
    assert update("--write", "--accept-jumps", "--provider", pairs, prices=prices).code == 0
    table = row((there / "pool.toml").read_text())["price_usd_per_mtok"]
    assert table["input"] == value
    assert table["source"].split(" (")[0].endswith(" openrouter")


def test_several_providers_are_not_chosen_between(update, there):
    done = update(prices="models-2026-11-01.json")
    assert (
        "ambiguous coder-a: vendor/coder has different numbers at several: openrouter/vendor/coder, vendor/coder"
        in done.out
    )
    assert done.code == 0


def test_a_shipped_pool_is_only_copied(run, there):
    before = shipped_pool("default").read_bytes()
    listed = json.dumps(
        {
            "data": [
                {
                    "id": "openai/gpt-5-mini",
                    "pricing": {"prompt": "0.0000003", "completion": "0.000002"},
                }
            ]
        }
    )
    (there / "l.json").write_text(listed)
    call = ("pool", "update", "--from", "l.json", "--pool", "default", "--write")
    refused = run(*call)
    assert refused.code == 2
    assert "is a shipped pool" in refused.err
    assert "--to FILE" in refused.err
    assert run(*call, "--to", "mine.toml").code == 0
    assert shipped_pool("default").read_bytes() == before
    assert load_pool(there / "mine.toml").get("gpt-5-mini").price.input == 0.3
    again = run(*call, "--to", "mine.toml")
    assert again.code == 2
    assert "is there already" in again.err


def test_a_copy_is_written_though_nothing_changed(update, there):
    (there / "l.json").write_text(json.dumps({"data": [{"id": "x/y", "pricing": {}}]}))
    assert update("--write", "--to", "copy.toml", prices="l.json").code == 0
    assert (there / "copy.toml").read_text() == HEAD + POOL


def test_prices_of_this_machine_stay(update, there):
    text = POOL.replace(
        'source = "vendor", as_of = "2026-07-02" }\ncontext',
        'source = "runs on this machine", as_of = "2026-07-02" }\ncontext',
    )
    (there / "pool.toml").write_text(text)
    done = update("--write")
    assert "local     coder-a: runs on this machine: left alone" in done.out
    assert (there / "pool.toml").read_text() == text


def test_equal_prices_are_renewed_when_asked(update, there):
    update("--write")
    shown = update("--renew", "--source", "list of december", "--as-of", "2026-11-10")
    assert "as_of             2026-11-01 -> 2026-11-10" in shown.out
    assert (
        update("--renew", "--write", "--source", "list of december", "--as-of", "2026-11-10").code
        == 0
    )
    table = row((there / "pool.toml").read_text())["price_usd_per_mtok"]
    assert (table["as_of"], table["source"]) == (
        "2026-11-10",
        "list of december (cache_write from vendor, 2026-07-02)",
    )


def test_an_older_list_is_said_and_not_taken(update, there):
    done = update("--as-of", "2026-06-01", "--write")
    assert done.code == 1
    assert "the list is from 2026-06-01, the pool's price from 2026-07-02: not taken" in done.out
    assert (there / "pool.toml").read_text() == HEAD + POOL


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--to", "x.toml"], "--to needs --write"),
        (["--source", ""], "--source must be"),
        (["--source", "two\nlines"], "--source must be"),
        (["--source", "x" * 101], "--source must be"),
        (["--as-of", "tomorrow"], "--as-of: must be a date"),
        (["--as-of", "2999-01-01"], "is in the future"),
        (["--as-of", "2999-01"], "is in the future"),
        (["--provider", "relay"], "must be UPSTREAM=PROVIDER"),
        (["--provider", "relay=opnrouter"], 'did you mean "openrouter"?'),
    ],
)
def test_wrong_use_is_named(update, there, args, said):
    done = update(*args)
    assert done.code == 2
    assert said in done.err
    assert (there / "pool.toml").read_text() == HEAD + POOL


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", b"{}", b"[" * 100_000, b"\xff", b'{"\\ud800": {"models": {"\\ud800": {}}}}'],
)
def test_a_hostile_list_is_one_line_and_2(update, there, content):
    (there / "l.json").write_bytes(content)
    done = update(prices="l.json")
    assert done.code == 2
    assert done.err.startswith("openfusion: l.json: ")
    assert len(done.err.splitlines()) == 1


def test_a_text_that_cannot_be_edited_safely_is_left(update, there, monkeypatch):
    monkeypatch.setattr("tomlkit.dumps", lambda _: "schema = 2\n")
    done = update("--write")
    assert done.code == 2
    assert (
        done.err
        == "openfusion: pool.toml:4: price_usd_per_mtok is written in a way that cannot be edited safely\n"
    )
    assert (there / "pool.toml").read_text() == HEAD + POOL
    assert not (there / "pool.toml.bak").exists()


def test_names_of_a_list_do_not_drive_the_terminal(update, there):
    listed = copy.deepcopy(OPENROUTER)
    listed["data"][0]["expiration_date"] = "\x1b[2J2026"
    (there / "l.json").write_text(json.dumps(listed))
    assert "\x1b" not in update(prices="l.json").out


def test_without_a_pool_the_configured_one_is_meant(run, configured, there):
    configured()
    (there / "pool.toml").write_text(POOL)
    done = run("pool", "update", "--from", "openrouter-2026-11-01.json", "--json")
    assert [c["candidate"] for c in done.json["changes"]] == ["coder-a"] * 8


def test_the_how_to_shows_what_comes_out(update, there):
    (there / "pool.toml").write_text(POOL)
    page = (data_root() / "docs" / "how-to" / "keep-prices-current.md").read_text(encoding="utf-8")
    shown = page.partition("```text\n")[2].partition("```")[0]
    assert update().out == shown
