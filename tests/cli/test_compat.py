"""`openfusion compat` on the command line: whom it asks, with which key, how it ends. The probes are tested in evals."""

import os

import pytest

from openfusion_auto.cli import compat
from openfusion_auto.evals.compat.probes import PROBES

from .processes import PACKAGE, serving


@pytest.fixture
def keys(canned):
    """The keys that a server without any path was shown."""

    def shown():
        heads = [{k.lower(): v for k, v in h.items()} for _, _, h in canned.seen]
        return {h.get("authorization", h.get("x-api-key", "none")) for h in heads}

    return shown


def test_over_ourselves_everything_passes_that_can(run):
    done = run("compat", "--json")
    assert done.code == 0
    assert [g["name"] for g in done.json["gateways"]] == [
        "openfusion, chat behind", "openfusion, responses behind", "openfusion, messages behind",
    ]  # fmt: skip
    for gateway in done.json["gateways"]:
        assert len(gateway["probes"]) == len(PROBES)
        others = {p["probe"] for p in gateway["probes"] if p["outcome"] != "pass"}
        assert len(others) == 2
        assert all(name.endswith("unknown fields") for name in others)


def test_a_running_server_is_probed_by_its_address(run, folder):
    # One of its own: what is asked of a server stays in its statistics, and others share `server`.
    env = {**os.environ, "PYTHONPATH": PACKAGE}
    with serving("--dry-run", env=env, cwd=folder) as (url, _, _):
        done = run("compat", "--url", f"dry={url}/v1", "--json")
    (gateway,) = done.json["gateways"]
    assert (gateway["name"], gateway["model"]) == ("dry", "openfusion/auto")
    # Made-up answers have the form, and say something else than a model that was asked to repeat a word.
    outcomes = {p["probe"]: p["outcome"] for p in gateway["probes"]}
    assert "fail" not in outcomes.values()
    assert (
        outcomes["any: models"] == outcomes["chat: errors"] == outcomes["messages: usage"] == "pass"
    )
    assert outcomes["chat: characters"] == "unknown"
    assert done.code == 0


def test_a_dead_address_is_a_failure(run):
    done = run("compat", "--url", "http://127.0.0.1:9/v1")
    assert done.code == 1
    assert "unknown: no connection (every probe)" in done.out
    assert "nothing passes; is the address right" in done.err


def test_several_gateways_are_one_matrix(run, canned):
    done = run(
        "compat", "--url", f"a={canned.url}/v1", "--url", f"b={canned.url}/v2", "--model", "m"
    )
    assert done.code == 1
    head = done.out.splitlines()[0]
    assert [c.strip() for c in head.strip("|").split("|")] == ["API", "Probe", "a", "b"]
    assert "- a: not offered: status 404 (every probe)" in done.out


def test_a_key_that_is_named_goes_to_its_gateway_alone(run, canned, keys, monkeypatch):
    monkeypatch.setenv("A_KEY", "sk-a")
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or")
    urls = ["--url", f"a={canned.url}/v1", "--url", "b=http://127.0.0.1:9/v1", "--model", "m"]
    run("compat", *urls, "--key-env", "a=A_KEY")
    assert keys() == {"Bearer sk-a", "sk-a"}
    canned.seen.clear()
    run("compat", *urls, "--key-env", "b=A_KEY")
    assert keys() == {"none"}


def test_a_key_goes_only_to_the_address_it_was_configured_for(
    run, configured, canned, keys, monkeypatch
):
    configured(url=f"{canned.url}/v1")
    monkeypatch.setenv("RELAY_API_KEY", "sk-relay")
    run("compat", "--url", f"{canned.url}/v1", "--model", "m")
    assert keys() == {"Bearer sk-relay", "sk-relay"}
    canned.seen.clear()
    for other in (
        f"{canned.url}/v1/x",
        canned.url,
        canned.url.replace("127.0.0.1", "localhost") + "/v1",
    ):
        done = run("compat", "--url", other, "--model", "m")
        assert keys() == {"none"}
        assert "sk-relay" not in done.out + done.err


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--model", "m"], "for a gateway that --url names"),
        (["--url", "ftp://x/v1"], "must start with http://"),
        (["--url", "http://sk-secret@x/v1"], "must not hold a user name or password"),
        (["--url", "a=http://x/v1", "--url", "a=http://y/v1"], "have one name"),
        (["--url", "http://x/v1", "--key-env", "NOT_SET"], "NOT_SET is not set"),
        (["--url", "http://x/v1", "--key-env", "sk-secret"], "the name of a variable, not a key"),
        (
            ["--url", "a=http://x", "--url", "b=http://y", "--key-env", "HOME"],
            "say whose key it is",
        ),
        (["--url", "http://x/v1", "--model", "a", "--model", "b"], "two things about all gateways"),
        (["--url", "http://x/v1", "--timeout", "0"], "not in the range"),
    ],
)
def test_usage(run, args, says):
    done = run("compat", *args)
    assert done.code == 2
    assert says in " ".join(done.err.split())
    assert "sk-secret" not in done.err


def test_a_model_must_be_named_where_there_is_a_choice(run, canned):
    url = ["--url", f"{canned.url}/v1"]
    done = run("compat", *url)
    assert done.code == 2
    assert "it lists none" in " ".join(done.err.split())
    canned.replies["/v1/models"] = (
        200,
        b'{"data": [{"id": "a\\u001b[2J\\nError: x"}, {"id": "b"}]}',
    )
    done = run("compat", *url)
    assert done.code == 2
    assert "it lists a[2J Error: x, b" in " ".join(done.err.split())
    assert "\nError: x" not in done.err


def test_a_refused_key_is_said_as_such(run, canned):
    canned.replies["/v1/models"] = (
        401,
        b'{"error": {"code": "invalid_api_key", "message": "sk-secret"}}',
    )
    done = run("compat", "--url", f"{canned.url}/v1")
    assert done.code == 1
    assert (
        "unknown: refused, the key or its limits: status 401 (invalid_api_key) (any: models)"
        in done.out
    )
    assert "sk-secret" not in done.out + done.err


def test_an_address_may_hold_an_equals_sign():
    assert compat.name_of("http://x/a=b") == ("http://x/a=b", "http://x/a=b")
    assert compat.name_of("n=http://x/a=b") == ("n", "http://x/a=b")
