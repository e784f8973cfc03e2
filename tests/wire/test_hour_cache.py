"""Marks that ask for a cache of an hour."""

from __future__ import annotations

import json

import pytest

from openfusion_auto.wire.codec import CODECS
from openfusion_auto.wire.hour_cache import caches_an_hour

HOUR = {"type": "ephemeral", "ttl": "1h"}
FIVE = {"type": "ephemeral"}


def asked(dialect="messages", mark=None, text="hello", **more):
    block = {"type": "text", "text": text} | ({"cache_control": mark} if mark else {})
    turns = [{"role": "user", "content": "hi"}, {"role": "user", "content": [block]}]
    body = {"model": "m", "max_tokens": 9, "messages": turns, **more}
    return CODECS[dialect].parse_request(json.dumps(body).encode())


@pytest.mark.parametrize(
    "body",
    [
        {"mark": HOUR},
        {"mark": HOUR, "dialect": "chat"},  # OpenRouter takes it
        {"cache_control": HOUR},
        {"system": [{"type": "text", "text": "s", "cache_control": HOUR}]},
        {"tools": [{"name": "f", "input_schema": {"type": "object"}, "cache_control": HOUR}]},
    ],
)
def test_a_mark_counts_wherever_it_stands(body):
    assert caches_an_hour(asked(**body))


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"mark": FIVE},
        {"mark": FIVE | {"ttl": "5m"}},
        {"mark": FIVE, "text": '{"ttl": "1h"}'},
        {"mark": FIVE, "metadata": {"user_id": "1h"}},
    ],
)
def test_nothing_else_does(body):
    assert not caches_an_hour(asked(**body))
