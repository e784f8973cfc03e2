"""Probes run side by side, a bound at once, each with its time."""

import asyncio

import pytest

from openfusion_auto.evals.compat.asking import Target
from openfusion_auto.evals.compat.outcome import NotOffered, Result, Unknown, Wrong
from openfusion_auto.evals.compat.probes import Probe
from openfusion_auto.evals.compat.run import Column, listed, only_model, run
from openfusion_auto.evals.compat.scripted import Scripted

IT = Target("it", "http://127.0.0.1:9/v1", "m")


def probe(name, end):
    async def play(_target):
        if isinstance(end, Exception):
            raise end
        await end()

    return Probe("any", name, "", play)


async def forever():
    await asyncio.Event().wait()


async def at_once():
    await asyncio.sleep(0)


async def test_each_end_is_its_outcome():
    ends = [at_once, Wrong("bad"), NotOffered("no"), Unknown("who knows"), forever]
    rows = [probe(str(i), end) for i, end in enumerate(ends)]
    (column,) = await run([IT], rows, timeout_s=0.05)
    assert [(r.outcome, r.why) for r in column.results] == [
        ("pass", ""), ("fail", "bad"), ("not offered", "no"), ("unknown", "who knows"),
        ("fail", "no end within 0.05 s"),
    ]  # fmt: skip


async def test_no_more_than_the_bound_are_under_way():
    now = most = 0

    async def counted():
        nonlocal now, most
        now, most = now + 1, max(most, now + 1)
        await asyncio.sleep(0.01)
        now -= 1

    said = []
    rows = [probe(str(i), counted) for i in range(6)]
    await run([IT, IT], rows, at_once=3, step=said.append)
    assert most == 3
    assert len(said) == 12
    assert said[0].endswith("it")


@pytest.mark.parametrize(
    ("outcomes", "sound"),
    [(["pass"], True), (["pass", "unknown", "not offered"], True), (["pass", "fail"], False), (["unknown"], False), ([], False)],
)  # fmt: skip
def test_a_gateway_is_sound_when_nothing_fails_and_something_passes(outcomes, sound):
    assert Column(IT, [Result("x", o) for o in outcomes]).sound is sound


async def test_models_are_listed():
    async with Scripted() as server:
        assert await listed(Target("it", server.url)) == ["scripted-model"]
        assert await listed(Target("it", server.url + "/nowhere")) == []
    with pytest.raises(Unknown):
        await listed(IT)


@pytest.mark.parametrize(
    ("names", "model"),
    [(["a"], "a"), (["a", "b"], None), ([], None), (["a", "openfusion/auto"], "openfusion/auto")],
)
def test_a_model_is_chosen_only_where_there_is_no_choice(names, model):
    assert only_model(names) == model
