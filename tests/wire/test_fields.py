from __future__ import annotations

import re
from pathlib import Path

import pytest

from openfusion_auto.core.prompt import Prompt, Tool
from openfusion_auto.wire.fields import CONVERTED, QUIET, unsaid

PAGE = Path(__file__).parents[2] / "docs/reference/messages.md"


@pytest.mark.parametrize("dialect", CONVERTED)
def test_only_what_is_neither_converted_nor_quiet_is_told(dialect):
    body = dict.fromkeys([*CONVERTED[dialect], *QUIET, "unheard_of", "mcp_servers"], "x")
    assert unsaid(Prompt(dialect, "m", (), body=body)) == ("field unheard_of", "field mcp_servers")


def test_a_field_of_another_dialect_is_one_that_nobody_knows():
    assert unsaid(Prompt("messages", "m", (), body={"input": "x"})) == ("field input",)


@pytest.mark.parametrize("value", [None, False, 0, "", [], {}, "disabled"])
def test_a_field_that_asks_for_nothing_is_no_loss(value):
    assert unsaid(Prompt("responses", "m", (), body={"truncation": value})) == ()


def test_what_the_other_dialect_has_is_no_loss():
    prompt = Prompt("chat", "m", (), body={"verbosity": "low", "logprobs": True})
    assert unsaid(prompt, frozenset({"verbosity"})) == ("field logprobs",)


def test_tools_that_were_to_be_looked_up_are_counted():
    late = Tool("t", raw={"name": "t", "defer_loading": True})
    tools = (late, late, Tool("u", raw={"defer_loading": False}), Tool("v"))
    assert unsaid(Prompt("messages", "m", (), tools=tools)) == ("deferred loading of 2 tools",)


def fields_of(mark: str, row: str) -> set[str]:
    text = PAGE.read_text(encoding="utf-8")
    (table,) = re.findall(rf"<!-- {mark} -->\n\n(.*?)\n\n<!-- /{mark} -->", text, re.DOTALL)
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {row} |")]
    return set(re.findall(r"`([^`]+)`", line))


def test_verbosity_of_responses_and_names_of_chat_are_told():
    text = {"verbosity": "low", "format": {"type": "text"}}
    assert unsaid(Prompt("responses", "m", (), body={"text": text})) == ("verbosity of the text",)
    assert unsaid(Prompt("responses", "m", (), body={"text": {}})) == ()
    said = [{"role": "user", "name": "bob"}, {"role": "function", "name": "f"}, {"role": "user"}]
    assert unsaid(Prompt("chat", "m", (), body={"messages": said})) == ("name of 1 message",)


@pytest.mark.parametrize("dialect", CONVERTED)
def test_the_page_lists_what_is_converted(dialect):
    assert fields_of(f"fields-{dialect}", "converted") == CONVERTED[dialect]


def test_the_page_lists_what_means_nothing_elsewhere():
    assert fields_of("fields-quiet", "left out") == QUIET
