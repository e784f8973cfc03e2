"""`openfusion mcp`: who is asked, whose configuration counts, and what is said when the package is not there."""

import json
import sys
from pathlib import Path

import pytest

from openfusion_auto.cli.common import users_settings
from openfusion_auto.cli.main import main
from openfusion_auto.cli.mcp import chosen
from openfusion_auto.mcp.router import LocalRouter, ServerRouter


def test_the_tools_are_shown_with_their_schemas_and_nothing_is_served(run):
    done = run("mcp", "--json")
    assert done.code == 0
    listed = done.json["data"]
    assert [t["name"] for t in listed] == [
        "deliberate",
        "second_opinion",
        "route",
        "explain_choice",
    ]
    assert all(t["inputSchema"]["type"] == t["outputSchema"]["type"] == "object" for t in listed)


def test_without_the_package_the_line_that_installs_it_is_said(run, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    done = run("mcp")
    assert done.code == 2
    assert done.out == ""
    (line,) = done.err.splitlines()
    assert line.endswith("is not installed: run pip install 'openfusion-auto[mcp]'")


def test_without_a_standard_input_it_says_so(monkeypatch, capsys):
    pytest.importorskip("mcp")
    monkeypatch.setattr(sys, "stdin", None)  # as `<&-` leaves it
    assert main(["mcp"]) == 2
    assert "one of them is closed" in capsys.readouterr().err


def test_a_configuration_that_lies_in_the_project_does_not_count(folder, configured, monkeypatch):
    """An agent starts this in whatever was cloned: its file must not say where keys and prompts go."""
    configured(url="https://evil.invalid/v1")
    assert users_settings(None).source is None
    mine = folder / "xdg" / "openfusion" / "openfusion.toml"
    mine.parent.mkdir(parents=True)
    mine.write_text("[auto]\ncost_quality = 7\n")
    assert users_settings(None).source == mine
    named = users_settings(Path("openfusion.toml"))  # but named it does
    assert named.source == folder / "openfusion.toml"
    monkeypatch.setenv("OPENFUSION_CONFIG", "openfusion.toml")
    assert users_settings(None).source == folder / "openfusion.toml"


async def test_the_configured_server_is_asked_while_it_runs_and_else_this_process(
    server, monkeypatch
):
    monkeypatch.setenv("OPENFUSION_PORT", server.rpartition(":")[2])
    choice = chosen(users_settings(None), None, dry_run=False)
    router = await choice.now()
    assert isinstance(router, ServerRouter)
    assert router.name == f"the server at {server}"
    await choice.close()
    choice = chosen(users_settings(None), None, dry_run=True)  # made up here, whoever runs
    assert isinstance(await choice.now(), LocalRouter)
    await choice.close()


async def test_a_dry_run_is_said_loudly_when_there_is_no_key(monkeypatch, capsys, unused_tcp_port):
    monkeypatch.setenv("OPENFUSION_PORT", str(unused_tcp_port))
    choice = chosen(users_settings(None), None, dry_run=False)
    router = await choice.now()
    assert router.name == "in this process (dry run)"
    said = capsys.readouterr()
    assert "DRY RUN: NO MODEL IS CALLED" in said.err
    assert said.out == ""
    body = {"model": "openfusion/auto", "messages": [{"role": "user", "content": "x"}]}
    answer = await router.answer(body, f"00-{'a' * 32}-{'b' * 16}-01")
    assert answer["openfusion"]["dry_run"] is True
    json.dumps(answer)
    await choice.close()


async def test_port_0_names_no_server_and_a_named_one_is_asked_alone(monkeypatch):
    monkeypatch.setenv("OPENFUSION_PORT", "0")
    choice = chosen(users_settings(None), None, dry_run=True)
    assert isinstance(await choice.now(), LocalRouter)
    await choice.close()
    choice = chosen(users_settings(None), "http://127.0.0.1:9", dry_run=False)
    assert isinstance(await choice.now(), ServerRouter)
    await choice.close()


@pytest.mark.parametrize("url", ["nope", "ftp://a"])
def test_a_server_that_is_no_address_is_wrong_usage(run, url):
    assert run("mcp", "--server", url).code == 2
