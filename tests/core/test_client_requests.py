"""Real requests of named clients, as they stood on the wire: what is a call of their own, and what is a turn.

`client_requests.jsonl` holds one request a line, from headless runs of Aider 0.86.2 and OpenCode 1.18.33 (2026-11-21)
and from terminals of Claude Code 2.1.330, OpenCode, Qwen Code 0.24.4
and Continue 1.5.47 (2026-11-26); paths are replaced, a long system prompt and list of tools are cut.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from openfusion_auto.core.classify import read
from openfusion_auto.core.decide import decide
from openfusion_auto.core.types import Policy, State
from openfusion_auto.wire import messages_request
from openfusion_auto.wire.chat_request import parse_request
from tests.support.pools import FOUR

LINES = Path(__file__).with_name("client_requests.jsonl").read_text(encoding="utf-8").splitlines()
CASES = [json.loads(line) for line in LINES]


def task_of(case):
    parse = messages_request.parse_request if case.get("dialect") == "messages" else parse_request
    return read(parse(json.dumps(case["body"]).encode()))


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["client"])
def test_a_clients_own_call_is_told_from_a_turn(case):
    task = task_of(case)
    assert (task.turn == "aux") == case["aux"]
    assert (task.kind == "aux") == case["aux"]


def test_both_sorts_are_there():
    assert {c["aux"] for c in CASES} == {True, False}


def test_a_check_of_an_action_is_one_call_but_not_bought_by_price():
    (case,) = (c for c in CASES if "check of an action" in c["client"])
    task = task_of(case)
    assert (task.risk, task.complexity, len(FOUR.candidates)) == ("high", "medium", 4)
    decision = decide(task, FOUR, State(), Policy())
    cheapest = min(FOUR.candidates, key=lambda c: c.price.input)
    title = decide(replace(task, risk="low", complexity="low"), FOUR, State(), Policy())
    assert (decision.mode, title.mode) == ("single", "single")
    assert title.ranking[0].candidate == cheapest.id != decision.ranking[0].candidate


def test_an_agent_of_ones_own_that_watches_others_with_tools_is_none():
    (case,) = (c for c in CASES if "check of an action" in c["client"])
    tool = {"name": "report", "input_schema": {"type": "object"}}
    task = task_of({**case, "body": {**case["body"], "tools": [tool]}})
    assert task.turn == "user"
    assert task.kind != "aux"


def test_a_compaction_takes_thought():
    (case,) = (c for c in CASES if c["client"] == "opencode, its compaction")
    assert [e.signal for e in task_of(case).evidence] == ["kind.aux.compaction"]
    assert task_of(case).complexity == "medium"
    pi = "You are a context summarization assistant. Read a conversation between a user and an AI coding assistant."
    _, asked = case["body"]["messages"]
    body = {**case["body"], "messages": [{"role": "system", "content": pi}, asked]}
    assert task_of({**case, "body": body}).turn == "aux"
