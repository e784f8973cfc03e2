"""From configuration to parts: what is said about an upstream's cache reaches the live state."""

import errno

import pytest

from openfusion_auto.config.schema import Config
from openfusion_auto.core.checks.jsons import made_ready
from openfusion_auto.core.cost import CACHE_MIN
from openfusion_auto.runtime.state import CacheRule
from openfusion_auto.server import build
from openfusion_auto.server.build import cache_rules

RELAY = {"name": "relay", "base_url": "http://127.0.0.1:1/v1"}


def config(**upstream):
    return Config.model_validate(
        {"upstreams": [{**RELAY, **upstream}, {**RELAY, "name": "other"}], "session": {"cache_ttl_s": 120.0}}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("said", "rules"),
    [
        ({}, {}),
        ({"cache_ttl_s": 3600.0}, {"relay": CacheRule(3600.0, CACHE_MIN)}),
        ({"cache_min_tokens": 4096}, {"relay": CacheRule(120.0, 4096)}),
        ({"cache_min_tokens": 0}, {"relay": CacheRule(120.0, 0)}),
        ({"cache_ttl_s": 30.0, "cache_min_tokens": 2048}, {"relay": CacheRule(30.0, 2048)}),
    ],
)
def test_an_upstream_caches_as_the_configuration_says(said, rules):
    assert cache_rules(config(**said)) == rules


async def test_what_requests_need_is_loaded_before_they_come(start_router, monkeypatch):
    monkeypatch.setattr(build.CODECS, "_loaded", {})
    build.recipes.cache_clear()
    async with start_router("http://127.0.0.1:9/v1"):
        pass
    assert set(build.CODECS._loaded) == set(build.CODECS)
    assert build.recipes.cache_info().currsize == 1


async def test_what_cannot_be_loaded_beside_the_start_does_not_break_the_end(
    start_router, monkeypatch
):
    def full():
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(build, "recipes", full)
    async with start_router("http://127.0.0.1:9/v1"):
        pass


@pytest.mark.parametrize(("how", "ready"), [("guarded", 1), ("live", 0)])
async def test_what_holds_calls_against_schemas_is_loaded_before_the_first_call(
    start_router, how, ready
):
    made_ready.cache_clear()
    async with start_router("http://127.0.0.1:9/v1", stream={"tool_calls": how}):
        pass
    assert made_ready.cache_info().currsize == ready
