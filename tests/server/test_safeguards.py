"""What Claude Code asks its server in permission mode `auto`: a verdict on each tool call, beside the answer.

Request and verdicts as Claude Code 2.1.330 sent and took them in a terminal (2026-11-26). Where they do not come back it says
that its mode cannot check actions, and asks the person about each.
"""

from __future__ import annotations

import pytest

from tests.server.conftest import candidate
from tests.server.dialects import Says, Scripted, request_for
from tests.server.test_surfaces import tell, ways

BETA = "dangerous-tool-use-2026-09-03"
CONTEXT = {"v": 1, "permission_mode": "auto", "live_cwd": "/w", "rules": {"allow": [], "deny": []}}
ASKED = [{"type": "dangerous_tool_use", "classifier_context": CONTEXT}]
VERDICT = {"type": "evaluated", "outcome": "not_flagged"}
JUDGED = {
    "type": "dangerous_tool_use",
    "status": {"type": "available", "tool_uses": {"c1": VERDICT}},
}
CALLS = Says("", calls=(("function", "read", '{"path": "a.py"}', "c1"),), judged=(JUDGED,))
TWO = [candidate("a"), candidate("b")]


def body(**more):
    tool = {"name": "read", "input_schema": {"type": "object"}}
    return {**request_for("messages"), "tools": [tool], "safeguards": ASKED, **more}


@ways
@pytest.mark.parametrize("mode", ["single", "verify", "panel"])
async def test_the_question_goes_up_and_the_verdicts_come_down(start_router, mode, streamed):
    async with (
        Scripted("messages") as up,
        start_router(up.url, dialect="messages", candidates=TWO) as router,
    ):
        up.script += [CALLS] * 4
        asked = body(openfusion={"mode": mode})
        status, _, raw = await tell(
            router, "messages", asked, streamed=streamed, **{"anthropic-beta": BETA}
        )
        assert status == 200, raw
        assert up.requests[0].body["safeguards"] == ASKED
        assert BETA in up.requests[0].headers["anthropic-beta"]
        assert raw.count(b'"safeguard_results"') == 1
        assert b'"not_flagged"' in raw


@ways
async def test_other_dialects_do_not_get_a_question_that_they_cannot_answer(start_router, streamed):
    async with Scripted("chat") as up, start_router(up.url, dialect="chat") as router:
        up.script.append(CALLS)
        status, _, raw = await tell(router, "messages", body(), streamed=streamed)
        assert status == 200, raw
        assert "safeguards" not in up.requests[0].body
        assert b"safeguard_results" not in raw
