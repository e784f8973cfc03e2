"""What is offered for a word that has begun; and nothing when something is broken."""

import click

from openfusion_auto.cli import complete


def offered(find, begun="", **params):
    ctx = click.Context(click.Command("x"))
    ctx.params = params
    return [(item.type, item.value) for item in find(ctx, None, begun)]


def words(find, begun="", **params):
    return [value for _, value in offered(find, begun, **params)]


def test_names_of_the_pool_begin_as_was_typed(configured):
    found = words(complete.models, "openfusion/")
    assert found[:2] == ["openfusion/auto", "openfusion/fusion"]
    assert {"openfusion/coder", "openfusion/fast"} <= set(found)
    assert words(complete.candidates) == ["coder-a", "fast-b"]
    assert words(complete.candidates, "f") == ["fast-b"]
    assert words(complete.contenders, "c") == ["cheapest", "coder", "coder-a"]
    assert "verifier" in words(complete.roles)


def test_a_model_of_ones_own_is_offered(configured):
    configured(more='[[models]]\nname = "mine"\ncandidates = ["coder-a"]\n')
    assert words(complete.models, "mi") == ["mine"]


def test_the_configuration_that_was_named_counts(configured, folder):
    (folder / "other.toml").write_text('[pool]\nfile = "local"\n')
    assert "coder-a" not in words(complete.candidates, config=folder / "other.toml")


def test_clients_and_shipped_pools_need_no_configuration():
    assert {"codex", "aider"} <= set(words(complete.clients))
    assert words(complete.pools, "l") == ["local"]


def test_with_mcp_those_clients_are_offered_that_can_use_tools():
    assert "codex" in words(complete.clients, mcp=True)
    assert "aider" not in words(complete.clients, mcp=True)


def test_what_is_broken_offers_nothing_and_says_nothing(folder, capsys):
    (folder / "openfusion.toml").write_text("nonsense = [")
    for find in (
        complete.models,
        complete.candidates,
        complete.contenders,
        complete.roles,
        complete.traces,
    ):
        assert words(find) == []
    assert capsys.readouterr() == ("", "")


def test_traces_come_from_a_server_on_this_machine_alone(configured, canned, monkeypatch):
    monkeypatch.setenv("OPENFUSION_API_KEYS", "of_secret")
    canned.replies["/v1/traces?limit=50"] = (
        200,
        b'{"data": [{"trace_id": "tr_a"}, {"trace_id": "x"}]}',
    )
    assert words(complete.traces, "tr", server=canned.url) == ["tr_a"]
    assert (
        words(complete.traces, server="http://192.0.2.1") == []
    )  # the guard of the tests would fail this one
    assert words(complete.traces, server="http://127.0.0.1:9") == []
    canned.replies["/v1/traces?limit=50"] = (200, b'{"data": 3}')
    assert words(complete.traces, server=canned.url) == []


def test_receipts_of_the_state_folder_else_files(folder):
    assert offered(complete.receipts, "x") == [("file", "x")]
    shelf = folder / "state" / "receipts"
    shelf.mkdir(parents=True)
    for name in ("000001-eval-0123456789ab.json", "000002-bench-abcdef012345.json", "stray.json"):
        (shelf / name).touch()
    assert words(complete.receipts) == ["last", "abcdef012345", "0123456789ab"]
    assert words(complete.receipts, "01") == ["0123456789ab"]
    assert offered(complete.receipts, "./") == [("file", "./")]
