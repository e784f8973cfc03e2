"""The official `openai` package for JavaScript drives the server; `openai_npm.mjs` tells what it saw."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.server.conftest import FOUR
from tests.support.faulty import FaultyUpstream

SCRIPT = Path(__file__).with_name("openai_npm.mjs")


@pytest.fixture
async def seen(start_router, tool, npm_package):
    """What the package saw; `upstream` and `traces` are what the other sides saw of it."""
    node, package = tool("node"), npm_package("openai")
    async with FaultyUpstream() as up, start_router(up.url, candidates=FOUR) as router:
        process = await asyncio.create_subprocess_exec(
            node, str(SCRIPT), str(package), router.base,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, complaint = await asyncio.wait_for(process.communicate(), 50)
        assert process.returncode == 0, complaint.decode()[-3000:]
        async with router.http.get(f"{router.base}/traces") as r:
            traces = (await r.json())["data"]
        return {**json.loads(out), "upstream": up, "traces": traces}


async def test_the_javascript_package_gets_what_the_upstream_said(seen):
    check_whole(seen["whole"])
    check_streamed(seen["streamed"])
    check_tools(seen["tools"])
    check_models(seen["models"])
    check_left(seen)
    check_errors(seen["errors"])


def check_whole(whole):
    assert (whole["text"], whole["finish"]) == ("héllo 你好", "stop")
    assert whole["header"] == whole["model"]
    assert whole["trace"]["usage"][0]["input_tokens"] == whole["usage"]["prompt_tokens"]


def check_streamed(streamed):
    assert streamed["text"] == " ".join(f"word{i}" for i in range(30))
    assert streamed["count"] > 30
    assert (streamed["choices"], streamed["usage"]["completion_tokens"]) == (0, 30)
    assert streamed["trace"]["mode"] == "single"


def check_tools(tools):
    expected = {
        "finish": "tool_calls",
        "calls": [
            ["read_file", '{ "path" : "src/a b.py" }'],
            ["emoji", '{"text":"🧑‍💻 \\ud83d\\ude80"}'],
        ],
    }
    assert tools["whole"] == tools["streamed"] == expected
    assert tools["then"] == "Both read."
    assert tools["same_model"] is True


def check_models(models):
    assert models["ids"][0] == "openfusion/auto"
    assert models["found"] == models["ids"]
    assert {c["id"] for c in FOUR} <= set(models["ids"])


def check_left(seen):
    assert seen["left"]["seen"].startswith("word0")
    assert len(seen["upstream"].hung_up) == 1
    cancelled = [t for t in seen["traces"] if t["outcome"] == "cancelled"]
    assert len(cancelled) == 1
    assert cancelled[0]["usage"][0]["estimated"] is True


def check_errors(errors):
    invalid = "invalid_request_error"
    assert picked(errors["unknown"]) == ("NotFoundError", 404, invalid, "model_not_found", "model")
    assert picked(errors["wrong"])[:3] == ("BadRequestError", 400, invalid)
    assert errors["wrong"]["param"] == "temperature"
    assert picked(errors["limited"])[:3] == ("RateLimitError", 429, "rate_limit_error")
    assert 3500 < int(errors["limited"]["retry_after"]) <= 3600
    assert picked(errors["down"])[:3] == ("InternalServerError", 502, "server_error")
    assert errors["broken"]["kind"] == "APIError"
    assert errors["broken"]["type"] == "server_error"


def picked(error):
    return tuple(error[k] for k in ("kind", "status", "type", "code", "param"))
