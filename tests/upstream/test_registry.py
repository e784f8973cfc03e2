"""From configuration to upstreams: which kind, which address, whose key."""

from __future__ import annotations

import pytest

from openfusion_auto.config.schema import Config
from openfusion_auto.upstream.fake import FakeUpstream
from openfusion_auto.upstream.http import HttpUpstream, Timeouts
from openfusion_auto.upstream.registry import build_upstreams, not_spoken

CONFIG = Config.model_validate(
    {
        "upstreams": [
            {
                "name": "relay",
                "base_url": "http://127.0.0.1:9/v1/",
                "api_key_env": "RELAY_API_KEY",
                "extra_headers": {"X-Title": "team"},
            },
            {"name": "open", "base_url": "http://127.0.0.1:8/v1"},
            {"name": "other", "base_url": "http://127.0.0.1:7/v1", "dialect": "messages"},
        ],
        "timeouts": {"connect_s": 1, "first_token_s": 2, "idle_s": 3, "total_s": 4},
    }
)
KEYS = {"relay": "secret-of-relay"}


def build(**more):
    return build_upstreams(CONFIG, KEYS.get, **{"dry_run": False, **more})


def test_each_spoken_upstream_stands_under_its_name():
    made = build()
    assert list(made) == ["relay", "open"]
    assert all(isinstance(u, HttpUpstream) and u.name == name for name, u in made.items())


def test_a_dialect_that_is_not_spoken_is_named_with_its_reason():
    assert list(not_spoken(CONFIG)) == ["other"]
    assert "'messages'" in not_spoken(CONFIG)["other"]


def test_a_key_goes_to_its_own_upstream_only():
    made = build()
    assert made["relay"]._headers["Authorization"] == "Bearer secret-of-relay"
    assert "Authorization" not in made["open"]._headers
    assert "secret-of-relay" not in str(made["open"]._headers)


def test_configured_headers_and_timeouts_arrive():
    made = build()["relay"]
    assert made._headers["X-Title"] == "team"
    assert made._timeouts == Timeouts(1, 2, 3, 4)
    assert made._url == "http://127.0.0.1:9/v1/chat/completions"


def test_a_dry_run_opens_no_connection_and_asks_for_no_key():
    def no_key(name):
        pytest.fail(f"asked for the key of {name}")

    made = build_upstreams(CONFIG, no_key, dry_run=True)
    assert list(made) == ["relay", "open", "other"]
    assert all(type(u) is FakeUpstream for u in made.values())
