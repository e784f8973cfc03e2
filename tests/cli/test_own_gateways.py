"""Our own server before scripted models: three, on loopback, with nothing of the user's; all gone afterwards."""

import asyncio

from openfusion_auto.cli.own_gateways import DIALECTS, own_gateways
from openfusion_auto.evals.compat.asking import ask
from openfusion_auto.evals.compat.outcome import Unknown


async def test_three_servers_come_and_go(monkeypatch, tmp_path):
    monkeypatch.setenv("OPENFUSION_API_KEYS", "sk-client")  # the user's, and none of their business
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    async with own_gateways() as targets:
        assert [t.behind for t in targets] == [frozenset({d}) for d in DIALECTS]
        for target in targets:
            assert target.base_url.startswith("http://127.0.0.1:")
            assert target.key is None
            assert (await ask(target, None, "/models", None)).status == 200
    for target in targets:
        try:
            await ask(target, None, "/models", None)
        except Unknown:
            continue
        raise AssertionError("it still listens")
    assert asyncio.all_tasks() == {asyncio.current_task()}
