"""From configuration to upstreams: which kind, which address, whose key."""

from __future__ import annotations

import pytest

from openfusion_auto.config.schema import Config
from openfusion_auto.upstream.fake import FakeUpstream
from openfusion_auto.upstream.http import HttpUpstream, Timeouts
from openfusion_auto.upstream.registry import build_upstreams
from openfusion_auto.wire.errors import sanitise

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
            {
                "name": "other",
                "base_url": "http://127.0.0.1:7/v1",
                "dialect": "messages",
                "api_key_env": "K",
            },
            {
                "name": "third",
                "base_url": "http://127.0.0.1:6/v1",
                "dialect": "responses",
                "api_key_env": "R",
            },
        ],
        "timeouts": {"connect_s": 1, "first_token_s": 2, "idle_s": 3, "total_s": 4},
    }
)
KEYS = {"relay": "secret-of-relay", "other": "secret-of-other", "third": "secret-of-third"}


def build(**more):
    return build_upstreams(CONFIG, KEYS.get, **{"dry_run": False, **more})


def test_each_upstream_stands_under_its_name():
    made = build()
    assert list(made) == ["relay", "open", "other", "third"]
    assert [u.dialect for u in made.values()] == ["chat", "chat", "messages", "responses"]
    assert all(isinstance(u, HttpUpstream) and u.name == name for name, u in made.items())


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("relay", "9/v1/chat/completions"),
        ("other", "7/v1/messages"),
        ("third", "6/v1/responses"),
    ],
)
def test_each_dialect_has_its_path(name, path):
    made = build()[name]
    assert made._headers["Host"] + made._path == f"127.0.0.1:{path}"


def test_a_key_stands_in_the_header_that_its_dialect_wants():
    made = build()
    assert made["other"]._headers["x-api-key"] == "secret-of-other"
    assert "Authorization" not in made["other"]._headers
    assert made["other"]._headers["anthropic-version"] == "2023-06-01"
    for name in ("relay", "third"):
        assert made[name]._headers["Authorization"] == f"Bearer secret-of-{name}"
        assert not {"x-api-key", "anthropic-version"} & set(made[name]._headers)


def test_a_configured_version_of_the_messages_api_stays():
    config = Config.model_validate(
        {
            "upstreams": [
                {
                    "name": "a",
                    "base_url": "http://127.0.0.1:7/v1",
                    "dialect": "messages",
                    "extra_headers": {"anthropic-version": "2030-01-01"},
                }
            ]
        }
    )
    made = build_upstreams(config, lambda _: None, dry_run=False)["a"]
    assert made._headers["anthropic-version"] == "2030-01-01"
    assert "x-api-key" not in made._headers


def test_a_key_goes_to_its_own_upstream_only():
    made = build()
    assert made["relay"]._headers["Authorization"] == "Bearer secret-of-relay"
    assert "Authorization" not in made["open"]._headers
    assert "secret-of-relay" not in str(made["open"]._headers)


def test_a_header_that_may_be_a_key_does_not_come_back_in_an_errors_text():
    entry = {
        "name": "relay",
        "base_url": "http://127.0.0.1:9/v1",
        "extra_headers": {"X-Team": "my team", "Portal-Auth": "pt-of-the-portal"},
    }
    made = build_upstreams(Config.model_validate({"upstreams": [entry]}), KEYS.get, dry_run=False)
    said = sanitise("no pt-of-the-portal of my team", made["relay"]._secrets)
    assert said == "no [redacted] of my team"


def test_configured_headers_and_timeouts_arrive():
    made = build()["relay"]
    assert made._headers["X-Title"] == "team"
    assert made._timeouts == Timeouts(1, 2, 3, 4)
    assert made._path == "/v1/chat/completions"


def test_a_dry_run_opens_no_connection_and_asks_for_no_key():
    def no_key(name):
        pytest.fail(f"asked for the key of {name}")

    made = build_upstreams(CONFIG, no_key, dry_run=True)
    assert list(made) == ["relay", "open", "other", "third"]
    assert all(type(u) is FakeUpstream for u in made.values())
