"""Which key and headers an address gets."""

import asyncio
import io
from pathlib import Path

import click
import pytest
from aiohttp import web
from rich.console import Console

from openfusion_auto.cli import probing
from openfusion_auto.config.load import load
from openfusion_auto.evals.compat import run as running
from openfusion_auto.evals.compat.asking import Target
from openfusion_auto.evals.compat.outcome import Result, Unknown
from openfusion_auto.evals.compat.probes import Probe
from openfusion_auto.evals.compat.run import Column

AT = "http://127.0.0.1:8787"


def settings(folder, **env):
    return load(None, {"OPENFUSION_STATE_DIR": str(folder / "state"), **env}, {}, Path.cwd())


def test_an_upstream_gets_its_own_key_and_headers(folder, configured):
    configured(
        more='[[upstreams]]\nname = "b"\nbase_url = "http://127.0.0.1:7/v1"\nextra_headers = { "X-Team" = "t" }\n'
    )
    both = settings(folder, RELAY_API_KEY="sk-relay")
    assert probing.configured_for("http://127.0.0.1:9/v1", both) == ({}, "sk-relay")
    assert probing.configured_for("http://127.0.0.1:7/v1", both) == ({"X-Team": "t"}, None)
    assert probing.configured_for("https://127.0.0.1:9/v1", both) == ({}, None)


def test_our_own_server_gets_a_client_key_and_nobody_else_does(folder):
    ours = settings(folder, OPENFUSION_API_KEYS="sk-client,sk-other")
    assert probing.configured_for(f"{AT}/v1", ours) == ({}, "sk-client")
    assert probing.configured_for(AT, ours) == ({}, "sk-client")
    assert probing.configured_for("http://127.0.0.1:8788/v1", ours) == ({}, None)


def test_a_key_that_cannot_stand_in_a_header_is_not_sent(folder, configured, monkeypatch):
    broken = settings(folder, RELAY_API_KEY="sk-\nrelay")
    assert probing.configured_for("http://127.0.0.1:9/v1", broken)[1] is None
    monkeypatch.setenv("A_KEY", "sk-\u00fc")
    with pytest.raises(click.UsageError, match="cannot stand in a header") as found:
        probing.target_of(AT, broken, key_env="A_KEY")
    assert "sk-" not in found.value.message


def test_a_named_key_stands_for_the_configured_one(folder, configured, monkeypatch):
    monkeypatch.setenv("A_KEY", "sk-a")
    target = probing.target_of(
        "http://127.0.0.1:9/v1/",
        settings(folder, RELAY_API_KEY="sk-relay"),
        key_env="A_KEY",
        model="m",
    )
    assert (target.name, target.key, target.model) == ("http://127.0.0.1:9/v1", "sk-a", "m")


async def test_whoever_is_silent_is_waited_for_once_and_as_long_as_a_probe(monkeypatch):
    now = most = 0

    async def silent(_target, timeout_s):
        nonlocal now, most
        now, most = now + 1, max(most, now + 1)
        await asyncio.sleep(timeout_s)
        now -= 1
        raise Unknown("no answer")

    monkeypatch.setattr(running, "listed", silent)
    targets = [Target("a", AT), Target("b", AT), Target("named", AT, "m")]
    found = await probing.with_models(targets, 0.01)
    assert [t.model for t in found] == ["unknown", "unknown", "m"]
    assert most == 2


async def test_a_gateway_at_an_address_of_ipv6_is_asked_and_a_broken_tls_is_nobody(folder):
    async def reply(_request):
        return web.json_response({"object": "list", "data": [{"object": "model", "id": "only"}]})

    app = web.Application()
    app.router.add_get("/v1/models", reply)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "::1", 0).start()
        at = f"[::1]:{runner.addresses[0][1]}/v1"
        plain = probing.target_of(f"http://{at}", settings(folder))
        secure = probing.target_of(f"https://{at}", settings(folder))
        found = await probing.with_models([plain, secure], 10.0)
    finally:
        await runner.cleanup()
    assert [t.model for t in found] == ["only", "unknown"]


def test_a_person_gets_a_table_that_fits_and_a_pipe_gets_markdown(capsys, monkeypatch):
    found = Column(
        Target("one, two", AT, "m"), [Result("any: a", "pass"), Result("chat: b", "fail", "bad")]
    )
    probes = [Probe("any", "a", "", None), Probe("chat", "b", "", None)]
    out = io.StringIO()
    probing.show_table(
        probes,
        [found],
        Console(file=out, width=40, color_system=None),
    )
    words = [line.replace("|", " ").split() for line in out.getvalue().splitlines()]
    assert [w for w in words if w and w[0][0].isalpha()] == [
        ["probe", "one,", "two"],
        ["any", "a", "pass"],
        ["chat", "b", "FAIL"],
    ]
    assert max(map(len, out.getvalue().splitlines())) <= 40
    with pytest.raises(click.exceptions.Exit) as end:
        probing.show(probes, [found], as_json=False)
    assert end.value.exit_code == 1
    assert "| chat | b     | **FAIL** |" in capsys.readouterr().out


def test_a_gateway_is_asked_by_the_proxy_that_an_upstream_there_is_called_by(folder, configured):
    configured(
        more='[[upstreams]]\nname = "b"\nbase_url = "https://b.invalid/v1"\nproxy_env = ""\n'
    )
    found = settings(folder, HTTPS_PROXY="http://u:hidden@p:1")
    assert probing.target_of(AT, found).way.proxy is None
    assert probing.target_of("https://b.invalid/v1", found).way.proxy is None
    target = probing.target_of("https://a.invalid/v1", found)
    assert target.way.proxy.address == "p:1"
    assert "hidden" not in repr(target)
