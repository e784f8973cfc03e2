"""`openfusion keys`: made, listed, revoked; the key itself is shown once."""

import json
import stat
import urllib.error
import urllib.request

import pytest

from openfusion_auto.config.keyfile import digest_of, is_key

from .processes import environment, serving


def create(run, *args):
    done = run("keys", "create", *args, "--json")
    assert done.code == 0, done.err
    return done.json


def test_a_key_is_shown_once_alone_on_stdout(run, folder):
    done = run("keys", "create", "ci")
    text = done.out.strip()
    assert is_key(text)
    assert text not in done.err
    assert "no limits" in done.err
    file = folder / "state" / "keys.json"
    assert text not in file.read_text()
    assert json.loads(file.read_text())["keys"][0]["sha256"] == digest_of(text).hex()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    for args in (["keys", "list"], ["keys", "list", "--json"]):
        assert text not in run(*args).out
        assert digest_of(text).hex() not in run(*args).out


def test_all_that_was_asked_for_is_in_the_list(run):
    made = create(
        run, "ci", "--models", "openfusion/auto,openfusion/coder", "--models", "openfusion/fast", "--max-usd-per-day", "5",
        "--max-usd-per-month", "50.5", "--requests-per-minute", "60", "--tokens-per-minute", "90000", "--concurrent", "3",
        "--expires", "2099-01-31",
    )  # fmt: skip
    (row,) = run("keys", "list", "--json").json["data"]
    assert row == {k: v for k, v in made.items() if k != "key"}
    assert row["models"] == ["openfusion/auto", "openfusion/coder", "openfusion/fast"]
    assert (row["max_usd_per_day"], row["max_usd_per_month"]) == (5.0, 50.5)
    assert (row["requests_per_minute"], row["tokens_per_minute"], row["concurrent"]) == (
        60,
        90000,
        3,
    )
    assert (row["expires"], row["status"], row["used"]) == ("2099-02-01T00:00:00Z", "active", None)
    shown = run("keys", "list").out
    assert "60 requests/min, 90000 tokens/min, 3 at once, 5 USD/day, 50.5 USD/month" in shown
    assert (
        "models openfusion/auto openfusion/coder openfusion/fast, until 2099-02-01T00:00:00Z"
        in shown
    )
    assert "never" in shown


def test_an_empty_list_says_what_to_do(run):
    assert "openfusion keys create NAME" in run("keys", "list").out
    assert run("keys", "list", "--json").json == {"object": "list", "data": []}


def test_a_revoked_key_stays_in_the_list_and_its_name_is_free(run):
    first = create(run, "ci")
    assert "already" in run("keys", "create", "ci").err
    done = run("keys", "revoke", "ci")
    assert (done.code, done.out) == (0, f"revoked ci ({first['id']})\n")
    second = create(run, "ci")
    assert run("keys", "revoke", second["id"], "--json").json["status"] == "revoked"
    assert [r["status"] for r in run("keys", "list", "--json").json["data"]] == [
        "revoked",
        "revoked",
    ]
    assert run("keys", "revoke", "ci").code == 2


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["a b"], "name of a key"),
        (["a", "--models", "openfusion/fats"], "Did you mean openfusion/fast"),
        (["a", "--models", ""], "names none"),
        (["a", "--models", " , "], "names none"),
        (["a", "--expires", "soon"], "2027-01-31"),
        (["a", "--expires", "2020-01-01"], "over already"),
        (["a", "--concurrent", "0"], "concurrent"),
        (
            ["a", "--max-usd-per-day", "nan"],
            "Invalid value for '--max-usd-per-day': nan is not a finite number.",
        ),
        (["a", "--max-usd-per-day", "-1"], "Invalid value for '--max-usd-per-day'"),
        (["a", "--requests-per-minute", "1.5"], "requests-per-minute"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(run, folder, args, said):
    done = run("keys", "create", *args)
    assert done.code == 2
    assert said in done.err
    assert not (folder / "state").exists()


def test_a_broken_file_of_keys_is_named(run, folder):
    create(run, "ci")
    (folder / "state" / "keys.json").write_text("{")
    for args in (["list"], ["create", "b"], ["revoke", "ci"]):
        done = run("keys", *args)
        assert done.code == 2
        assert "keys.json" in done.err


def status_of(request):
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        refused.close()
        return refused.code


def test_a_server_lets_the_key_in_and_its_use_stands_in_the_list(run, folder):
    text = create(run, "ci", "--max-usd-per-day", "5")["key"]
    statuses = []
    with serving("--dry-run", env=environment(), cwd=folder) as (url, _, _):
        asked = json.dumps(
            {"model": "openfusion/auto", "messages": [{"role": "user", "content": "hi"}]}
        ).encode()
        for key in (text, "of_wrong"):
            request = urllib.request.Request(
                f"{url}/v1/chat/completions",
                asked,
                {"Content-Type": "application/json", "Authorization": f"Bearer {key}"},
            )
            statuses.append(status_of(request))
    assert statuses == [200, 401]
    (row,) = run("keys", "list", "--json").json["data"]
    assert row["used"]["requests"] == 1
    assert row["used"]["last"].endswith("Z")
    assert row["used"]["usd_today"] == 0.0  # a dry run costs nothing
    assert "1 requests, last 2" in run("keys", "list").out
