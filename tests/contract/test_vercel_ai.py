"""The Vercel AI SDK drives the server over three of its providers, before an upstream of each dialect.

`vercel_ai.mjs` tells what it saw; the upstream says the same script each time.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.contract.dialects import DIALECTS, Calls, Say, scripted, speaking
from tests.server.conftest import FOUR

SCRIPT = Path(__file__).with_name("vercel_ai.mjs")
PACKAGES = ("ai", "@ai-sdk/openai-compatible", "@ai-sdk/openai", "@ai-sdk/anthropic")
OWN = {"openai-compatible": "chat", "openai": "responses", "anthropic": "messages"}
INPUT = {"path": "src/ä b.py"}
TEXT = "Grüezi 你好, thirty words and more."
CALL = Calls("call_1", "read_file", json.dumps(INPUT))
LIMITED = Say(
    status=429, headers={"Retry-After": "120"}, error={"message": "no", "type": "rate_limit_error"}
)


def script():
    """What the upstream says, in the order in which the program asks; four candidates share a rate limit."""
    return [
        Say(TEXT),
        Say(TEXT),
        Say("Reading.", calls=(CALL,)),
        Say("It returns 4."),
        Say("Reading.", calls=(CALL,)),
        Say("It returns 4."),
        Say('{"name":"Zürich","people":430000}'),
        Say("4.", reasoning="Two and two."),
        *[LIMITED] * len(FOUR),
        Say("Half of it", cut=True),
        Say("Reading.", calls=(CALL,)),
        Say("It returns 4."),
    ]


@pytest.fixture
async def seen(start_router, tool, npm_package, provider, dialect):
    """What the SDK saw, and what the upstream got."""
    node, *folders = tool("node"), *(npm_package(name) for name in PACKAGES)
    async with (
        scripted(dialect, *script()) as up,
        start_router(up.url, candidates=FOUR, upstreams=speaking(up)) as router,
    ):
        process = await asyncio.create_subprocess_exec(
            node, str(SCRIPT), str(folders[0].parent), router.base, provider,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, complaint = await asyncio.wait_for(process.communicate(), 50)
        assert process.returncode == 0, complaint.decode()[-3000:]
        return {**json.loads(out), "upstream": up}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("provider", OWN)
async def test_the_sdk_gets_what_the_upstream_said(seen, provider, dialect):
    check_texts(seen["whole"], seen["streamed"])
    check_loops(seen)
    assert seen["object"] == {"name": "Zürich", "people": 430_000}
    assert seen["reasoned"]["text"] == "4."
    assert seen["reasoned"]["reasoning"] == "Two and two."
    check_errors(seen)
    check_referred(seen["referred"], provider, dialect)
    check_sent(seen["upstream"])


def check_texts(whole, streamed):
    assert whole["text"] == streamed["text"] == TEXT
    assert whole["finishReason"] == streamed["finishReason"] == "stop"
    assert streamed["count"] > 3
    assert whole["model"].startswith("vendor/")
    for usage in (whole["usage"], streamed["usage"]):
        assert (usage["inputTokens"], usage["outputTokens"]) == (100, 9)
        assert usage["inputTokenDetails"]["cacheReadTokens"] == 60


def check_loops(seen):
    for loop in (seen["looped"], seen["loopedStreamed"]):
        assert loop["text"] == "It returns 4."
        assert loop["steps"] == 2
        assert loop["calls"] == [["call_1", "read_file", INPUT]]
    assert {"tool-call", "tool-result", "text-delta", "finish"} <= set(
        seen["loopedStreamed"]["kinds"]
    )
    assert "error" not in seen["loopedStreamed"]["kinds"]
    assert seen["ran"] == [INPUT, INPUT, INPUT]


def check_errors(seen):
    assert (seen["limited"]["name"], seen["limited"]["status"]) == ("AI_APICallError", 429)
    assert seen["limited"]["retryable"] is True
    assert (seen["unknown"]["status"], seen["unknown"]["retryable"]) == (404, False)
    assert "openfusion/auto" in seen["unknown"]["message"]
    assert seen["cut"]["text"]
    assert "Half of it".startswith(seen["cut"]["text"])
    assert seen["cut"]["error"], "a cut answer is no finished one"


def check_referred(referred, provider, dialect):
    """References to stored items go to an upstream that may have stored them; elsewhere they are refused by name."""
    if provider == "openai" and dialect != "responses":
        assert referred["status"] == 400
        assert "item_reference" in referred["message"]
    else:
        assert referred["text"] == "It returns 4."


def check_sent(up):
    """The tool's result came up, in the upstream's dialect."""
    assert "return 2 + 2" in json.dumps(up.bodies[3])
    assert up.bodies[2]["model"] == up.bodies[3]["model"], "a tool turn stays with its model"
