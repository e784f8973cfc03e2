"""Real requests of named clients, as they stood on the wire: what is a call of their own, and what is a turn.

`client_requests.jsonl` holds one request a line, from headless runs of Aider 0.86.2 and OpenCode 1.18.33 (2026-11-21);
paths are replaced, a long system prompt and list of tools are cut.
"""

import json
from pathlib import Path

import pytest

from openfusion_auto.core.classify import read
from openfusion_auto.wire.chat_request import parse_request

LINES = Path(__file__).with_name("client_requests.jsonl").read_text(encoding="utf-8").splitlines()
CASES = [json.loads(line) for line in LINES]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["client"])
def test_a_clients_own_call_is_told_from_a_turn(case):
    task = read(parse_request(json.dumps(case["body"]).encode()))
    assert (task.turn == "aux") == case["aux"]
    assert (task.kind == "aux") == case["aux"]


def test_both_sorts_are_there():
    assert {c["aux"] for c in CASES} == {True, False}
