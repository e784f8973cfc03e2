"""Each fault is found by the probes that the table names, and by no other; a gateway without one passes all."""

import asyncio

import pytest
from aiohttp import web

from openfusion_auto.evals.compat.asking import Target
from openfusion_auto.evals.compat.outcome import NotOffered, Unknown, Wrong
from openfusion_auto.evals.compat.probes import PROBES, refused
from openfusion_auto.evals.compat.run import run
from openfusion_auto.evals.compat.script import MODEL
from openfusion_auto.evals.compat.scripted import Scripted

from .broken import ALL, Broken

SHORT_S = 0.4  # [s] for who hangs on purpose


async def found(server, probes=PROBES, *, timeout_s=20.0, scripted=True):
    """Return probe -> result."""
    behind = server.speaks if scripted else None
    target = Target("it", server.url, MODEL, behind=behind)
    (column,) = await run([target], probes, timeout_s=timeout_s, at_once=16)
    return {r.probe: r for r in column.results}


async def test_a_right_gateway_passes_every_probe():
    async with Scripted() as server:
        results = await found(server)
    assert {r.outcome for r in results.values()} == {"pass"}
    assert len(results) == len(PROBES) == 32


@pytest.mark.parametrize("fault", ALL, ids=lambda f: f"{f.dialect}: {f.name}")
async def test_a_fault_is_found_by_its_probes(fault):
    probes = [p for p in PROBES if p.group == fault.dialect]
    async with Broken(fault) as server:
        results = await found(server, probes, timeout_s=SHORT_S if fault.name == "silence" else 20)
    failed = {r.probe for r in results.values() if r.outcome == "fail"}
    assert failed == fault.finds, {r.probe: r.why for r in results.values()}
    assert all("sk-secret" not in r.why for r in results.values())


def test_every_probe_of_an_answer_has_a_fault_that_only_it_and_its_kin_find():
    """No row of the matrix is there that nothing can make fail."""
    caught = set().union(*(f.finds for f in ALL))
    assert {p.id for p in PROBES} - caught == {"any: models", "messages: count tokens"}


@pytest.mark.parametrize(
    ("path", "answer", "probe"),
    [
        ("/v1/models", {"data": [{"id": "a", "object": "model"}]}, "any: models"),
        ("/v1/models", {"object": "list", "data": []}, "any: models"),
        ("/v1/models", {"object": "list", "data": [{"object": "model"}]}, "any: models"),
        ("/v1/models", {"object": "list", "data": ["a"]}, "any: models"),
        ("/v1/messages/count_tokens", {"input_tokens": 7}, "messages: count tokens"),
        ("/v1/messages/count_tokens", {"input_tokens": "7"}, "messages: count tokens"),
        ("/v1/messages/count_tokens", {"tokens": 7}, "messages: count tokens"),
    ],
)
async def test_what_has_no_dialect_is_held_to_its_form(path, answer, probe):
    async def handler(_request):
        return web.json_response(answer)

    assert (await asked_of(path, handler, probe)).outcome == "fail"


async def asked_of(path, handler, probe, timeout_s=5.0):
    """Return what one probe finds at a server with one path."""
    app = web.Application()
    app.router.add_route("*", path, handler)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        target = Target("it", f"http://127.0.0.1:{runner.addresses[0][1]}/v1", MODEL)
        rows = [p for p in PROBES if p.id == probe]
        (column,) = await run([target], rows, timeout_s=timeout_s)
        return column.results[0]
    finally:
        await runner.cleanup()


async def test_what_is_not_there_is_not_offered():
    async with Scripted(["chat"]) as server:
        results = await found(server)
    assert {r.outcome for name, r in results.items() if name.startswith(("any", "chat"))} == {
        "pass"
    }
    others = {r.outcome for name, r in results.items() if name.startswith(("resp", "mess"))}
    assert others == {"not offered"}


async def test_a_model_that_is_not_ours_is_not_judged_by_what_it_says():
    async with Scripted() as server:
        results = await found(server, scripted=False)
    told = {name: r.outcome for name, r in results.items() if r.outcome != "pass"}
    assert told == {f"{d}: unknown fields": "unknown" for d in ("chat", "responses", "messages")}


@pytest.mark.parametrize(
    ("status", "optional", "kind"),
    [
        (401, False, Unknown), (429, True, Unknown), (404, False, NotOffered), (501, False, NotOffered),
        (400, True, NotOffered), (422, True, NotOffered), (400, False, Wrong), (500, True, Wrong), (302, True, Wrong),
    ],
)  # fmt: skip
def test_what_a_refusal_means(status, optional, kind):
    from openfusion_auto.evals.compat.asking import Answer

    with pytest.raises(kind, match=str(status)):
        refused(Answer(status, "text/html", b"<html>sk-secret-1234</html>"), optional=optional)


def test_a_model_that_is_not_found_is_no_missing_path():
    from openfusion_auto.evals.compat.asking import Answer

    body = b'{"error": {"code": "model_not_found", "message": "sk-secret-1234"}}'
    with pytest.raises(Wrong, match=r"^refused: status 404 \(model_not_found\)$"):
        refused(Answer(404, "application/json", body), optional=False)


async def test_nobody_there_is_unknown():
    target = Target("it", "http://127.0.0.1:9/v1", MODEL)
    (column,) = await run([target])
    assert {r.outcome for r in column.results} == {"unknown"}
    assert not column.sound
    assert asyncio.all_tasks() == {asyncio.current_task()}
