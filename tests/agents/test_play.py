"""What the scripted upstream makes of requests: agents' tools in three dialects, small jobs, edit formats."""

from __future__ import annotations

import json

import pytest

from tests.agents import play
from tests.agents.play import plan, read_chat, read_messages, read_responses

WRITE = {"type": "object", "properties": {"filePath": {}, "content": {}}, "required": ["content"]}
SHELL = {
    "type": "object",
    "properties": {"command": {"type": "string"}, "timeout": {"type": "integer"}},
    "required": ["command", "timeout"],
}
TASK = "make hello.py [[script:{}]]"


def chat(script, results=(), tools=None):
    offered = {"write": WRITE, "bash": SHELL} if tools is None else tools
    return {
        "messages": [
            {"role": "system", "content": "Working directory: /w/repo\n"},
            {"role": "user", "content": [{"type": "text", "text": TASK.format(script)}]},
            *({"role": "tool", "tool_call_id": "c", "content": r} for r in results),
        ],
        "tools": [
            {"type": "function", "function": {"name": n, "parameters": s}}
            for n, s in offered.items()
        ],
    }


def steps(script):
    seen, results = [], []
    while not seen or seen[-1] != "done":
        turn = plan(read_chat(chat(script, results)))
        seen.append(turn.step)
        results += ["ok"] * len(turn.calls)
        assert bool(turn.thought) == (script == "reason")
    return seen


def test_each_script_plays_its_turns_and_ends():
    assert steps("simple") == ["write", "done"]
    assert steps("deep") == ["list", "write", "run", "done"]
    assert steps("parallel") == ["list+write", "done"]
    assert steps("reason") == ["write", "done"]
    assert steps("unknown") == ["write", "done"]


def test_arguments_follow_the_agents_schema():
    wrote, ran = (c.arguments for s in ("simple", "deep") for c in plan(read_chat(chat(s))).calls)
    assert json.loads(wrote) == {"filePath": "/w/repo/hello.py", "content": "print(42)\n"}
    assert json.loads(ran) == {"command": "ls -a", "timeout": 1}
    many = {"shell": {"properties": {"command": {"type": "array"}}}}
    (call,) = plan(read_chat(chat("deep", tools=many))).calls
    assert json.loads(call.arguments) == {"command": ["bash", "-lc", "ls -a"]}


def test_without_a_tool_that_writes_the_shell_does():
    (call,) = plan(read_chat(chat("simple", tools={"bash": SHELL}))).calls
    assert (call.tool.name, play.FILE in call.arguments) == ("bash", True)


def test_an_agent_without_a_usable_tool_is_an_error_that_names_its_tools():
    with pytest.raises(LookupError, match="think"):
        plan(read_chat(chat("simple", tools={"think": {}})))


def test_a_free_patch_tool_gets_text_and_a_function_gets_it_as_an_argument():
    body = {
        "instructions": "help",
        "input": [
            {"role": "user", "content": TASK.format("simple")},
            {"type": "additional_tools", "tools": [{"type": "custom", "name": "apply_patch"}]},
        ],
    }
    (call,) = plan(read_responses(body)).calls
    assert (call.tool.free, call.arguments) == (True, play.PATCH)
    patch = {"apply_patch": {"properties": {"input": {"type": "string"}}}}
    (call,) = plan(read_chat(chat("simple", tools=patch))).calls
    assert json.loads(call.arguments) == {"input": play.PATCH}


def test_a_tool_in_a_namespace_keeps_it_and_results_of_all_kinds_count():
    shell = {"type": "function", "name": "exec_command", "parameters": SHELL}
    body = {
        "input": [
            {"type": "message", "role": "user", "content": TASK.format("deep")},
            {"type": "function_call", "call_id": "c", "name": "exec_command", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "README.md"},
        ],
        "tools": [{"type": "namespace", "name": "ns", "tools": [shell]}],
    }
    turn = plan(read_responses(body))
    assert (turn.step, turn.calls[0].tool.space) == ("write", "ns")
    assert plan(read_responses({"input": "hello"})).step == "aux other"


def test_messages_are_read_with_results_among_the_users_blocks():
    said = [
        {"role": "user", "content": TASK.format("simple")},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "Write", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "ok"}]},
    ]  # fmt: skip
    tools = [{"name": "Write", "input_schema": WRITE}]
    assert plan(read_messages({"messages": said, "tools": tools})).step == "done"
    assert plan(read_messages({"messages": said[:1], "tools": tools})).step == "write"


def test_small_jobs_are_told_from_the_task():
    title = {
        "type": "object",
        "properties": {"title": {"type": "string"}, "n": {"type": "integer"}},
    }
    form = {"type": "json_schema", "json_schema": {"schema": title}}
    body = chat("simple", tools={})
    assert json.loads(plan(read_chat({**body, "response_format": form})).text)["n"] == 1
    for says, step in (
        ("You write commit messages: one commit message", "aux commit"),
        ("You are a title generator", "aux title"),
        ("You are kind", "aux other"),
    ):
        messages = [{"role": "system", "content": says}, *body["messages"][1:]]
        assert plan(read_chat({"messages": messages})).step == step


@pytest.mark.parametrize(
    ("form", "explained"),
    [
        ("diff", "Use *SEARCH/REPLACE* blocks."),
        ("udiff", "Edits like diff -U0 would make."),
        ("whole", "Give a *file listing*."),
    ],
)
def test_an_edit_comes_in_the_format_that_the_prompt_explains(form, explained):
    system = {"role": "system", "content": explained}
    task = {"role": "user", "content": TASK.format("simple")}
    turn = plan(read_chat({"messages": [system, task]}))
    assert (turn.step, turn.text) == (f"edit {form}", play.EDITS[form])
    thanks = {"role": "user", "content": "Thanks."}
    assert plan(read_chat({"messages": [system, task, thanks]})).step == "done"
