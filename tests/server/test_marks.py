"""Cache marks over sockets: for the upstream and the models that take them, from clients of every dialect."""

from __future__ import annotations

import json

import pytest

from tests.server.conftest import candidate
from tests.server.dialects import DIALECTS, Scripted
from tests.server.test_naming import ask

POOL = [
    candidate("claude-a", model="anthropic/claude-a"),
    candidate("coder-a", model="vendor/coder-a"),
]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("offers", "model", "marked"),
    [(["cache_control"], "claude-a", True), (["cache_control"], "coder-a", False), ([], "claude-a", False)],
)  # fmt: skip
async def test_marks_go_where_they_are_taken_and_nowhere_else(start_router, dialect, offers, model, marked):  # fmt: skip
    async with (
        Scripted("chat") as up,
        start_router(up.url, candidates=POOL, offers=offers) as router,
    ):
        status, _, _ = await ask(router, dialect, model=model, tools=True)
        assert status == 200
        (got,) = up.requests
        assert (b'"cache_control"' in got.raw) is marked
        if marked:
            last = next(m for m in reversed(got.body["messages"]) if m["role"] in ("user", "tool"))
            assert last["content"][-1]["cache_control"] == {"type": "ephemeral"}


async def test_a_clients_own_marks_reach_the_upstream_byte_for_byte(start_router):
    async with (
        Scripted("chat") as up,
        start_router(up.url, candidates=POOL, offers=["cache_control"]) as router,
    ):
        part = {"type": "text", "text": "hi", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
        messages = [
            {"role": "user", "content": [part]},
            {"role": "assistant", "content": "x"},
            {"role": "user", "content": "more"},
        ]
        raw = b'{"messages": ' + json.dumps(messages, indent=1).encode() + b', "model": "claude-a"}'
        status, _, _ = await router.post("/v1/chat/completions", raw)
        assert status == 200
        assert up.requests[0].raw == raw.replace(b"claude-a", b"anthropic/claude-a")
