"""The part that the scripted upstream plays: read what an agent sent, find its tools, say what comes next.

One task, `hello.py must print 42, then say DONE`, in four scripts. `[[script:NAME]]` in the prompt chooses, so the
choice comes through a router unharmed:

    simple     write the file, DONE                      deep       list, write, run it, DONE: three turns of tools
    parallel   list and write in one turn, DONE          reason     as simple, every turn with reasoning before it

The tools are the agent's own, found by what their schemas say. An agent without tools (aider) gets its edit format.

`ASK_PANEL` in the prompt chooses another play: the agent calls the tool `deliberate` of the router's MCP server, the
members of the panel say `OPINION`, and the agent repeats what it was told.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

SCRIPTS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "simple": (("write",),),
    "deep": (("list",), ("write",), ("run",)),
    "parallel": (("list", "write"),),
    "reason": (("write",),),
}
FILE = "hello.py"
CODE = "print(42)\n"
COMMANDS = {
    "list": "ls -a",
    "write": f"printf 'print(42)\\n' > {FILE}",
    "run": f"python3 {FILE}",
}
DONE = "DONE"
PATCH = f"*** Begin Patch\n*** Add File: {FILE}\n+{CODE.rstrip()}\n*** End Patch"
EDITS = {
    "diff": f"{FILE}\n```python\n<<<<<<< SEARCH\n=======\n{CODE}>>>>>>> REPLACE\n```\n\n{DONE}\n",
    "udiff": f"```diff\n--- /dev/null\n+++ {FILE}\n@@ ... @@\n+{CODE}```\n\n{DONE}\n",
    "whole": f"{FILE}\n```\n{CODE}```\n\n{DONE}\n",
}
PATHS = ("file_path", "filePath", "path", "filename", "file")
CONTENTS = ("content", "contents", "file_text", "text")
SHELLS = (
    *("exec_command", "shell_command", "shell", "bash"),
    *("run_shell_command", "execute_command", "run_commands"),
)
ARGUMENTS = ("command", "cmd", "script")
# How agents say where they work: `<cwd>/x</cwd>`, `Working directory: /x`, `Primary working directory: /x`,
# `working in the directory: /x`.
PLACE = re.compile(
    r"(?:<cwd>|working directory\S*|working in the directory)\s*:?\s*`?(/[^\s<`\"]+)", re.IGNORECASE
)
ASK_PANEL, TO_PANEL = "[[ask-panel]]", "[[to-panel]]"
OPINION = "The ledger needs a lock."
CONSENSUS = {"consensus": ["a lock is needed"], "blind_spots": ["nobody measured"]}
MARK = re.compile(r"\[\[script:(\w+)\]\]")


@dataclass(frozen=True)
class Tool:
    """A tool that an agent offers: `free` takes text instead of arguments, `space` is the namespace it stands in."""

    name: str
    properties: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    free: bool = False
    space: str | None = None


@dataclass(frozen=True)
class Seen:
    """A request in any dialect: what the system said, then (role, text) in order, the tools, a wanted schema.

    The role of a tool's result is `result`.
    """

    system: str
    said: tuple[tuple[str, str], ...]
    tools: tuple[Tool, ...]
    schema: Mapping[str, object] | None = None


@dataclass(frozen=True)
class Call:
    """A call of a tool: arguments as JSON, or the text of a free one."""

    tool: Tool
    arguments: str


@dataclass(frozen=True)
class Turn:
    """What to answer. `step` names it for the journal: `list`, `list+write`, `done`, `edit diff`, `aux title`.

    `tokens` is what it says it used, (in, out); None = something plausible.
    """

    step: str
    text: str
    calls: tuple[Call, ...] = ()
    thought: str = ""
    tokens: tuple[int, int] | None = None


# -- reading ----------------------------------------------------------------------------------------------------------


def text_of(content: object) -> str:
    """Return the text of content in any dialect: a string, a part, or parts within parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        return "\n".join(text_of(content[k]) for k in ("text", "content", "output") if k in content)
    if isinstance(content, list):
        return "\n".join(filter(None, map(text_of, content)))
    return ""


def tools_of(listed: object, space: str | None = None) -> Iterator[Tool]:
    """Yield the tools in a request's list: functions nested or flat, free ones, those within a namespace."""
    for entry in listed if isinstance(listed, list) else ():
        if entry.get("type") == "namespace":
            yield from tools_of(entry.get("tools"), entry.get("name"))
            continue
        about = entry.get("function") or entry.get("custom") or entry
        schema = about.get("parameters") or about.get("input_schema") or {}
        if "name" in about:
            yield Tool(
                about["name"],
                schema.get("properties") or {},
                tuple(schema.get("required") or ()),
                free=entry.get("type") == "custom",
                space=space,
            )


def make(said: Iterable[tuple[str, str]], tools: Iterable[Tool], form: Mapping) -> Seen:
    """Return what was seen; words of the system may stand anywhere among the messages."""
    words = tuple(said)
    schema = form.get("schema") or (form.get("json_schema") or {}).get("schema")
    return Seen(
        "\n".join(text for role, text in words if role in ("system", "developer")),
        tuple((role, text) for role, text in words if role not in ("system", "developer")),
        tuple(tools),
        schema if form.get("type") == "json_schema" else None,
    )


def read_chat(body: Mapping) -> Seen:
    """Read a request of Chat Completions."""
    said = (
        ("result" if m["role"] == "tool" else m["role"], text_of(m.get("content")))
        for m in body["messages"]
    )
    return make(said, tools_of(body.get("tools")), body.get("response_format") or {})


def read_responses(body: Mapping) -> Seen:
    """Read a request of Responses; input may be one string, tools may stand among the items."""
    items = body["input"]
    if isinstance(items, str):
        items = [{"role": "user", "content": items}]
    said = [("system", text_of(body.get("instructions")))]
    tools = list(tools_of(body.get("tools")))
    for item in items:
        kind = item.get("type", "message")
        if kind == "additional_tools":
            tools += tools_of(item.get("tools"))
        elif kind == "message":
            said.append((item["role"], text_of(item.get("content"))))
        elif kind.endswith("_output"):
            said.append(("result", text_of(item.get("output"))))
    return make(said, tools, (body.get("text") or {}).get("format") or {})


def read_messages(body: Mapping) -> Seen:
    """Read a request of Messages; results stand among a user's blocks."""
    said = [("system", text_of(body.get("system")))]
    for message in body["messages"]:
        blocks = message["content"]
        for block in [{"text": blocks}] if isinstance(blocks, str) else blocks:
            kind = block.get("type", "text")
            if kind == "tool_result":
                said.append(("result", text_of(block.get("content"))))
            elif kind == "text":
                said.append((message["role"], block["text"]))
    form = (body.get("output_config") or {}).get("format") or {}
    return make(said, tools_of(body.get("tools")), form)


# -- choosing tools ---------------------------------------------------------------------------------------------------


def call_of(tool: Tool, arguments: dict[str, object]) -> Call:
    """Return a call with every required argument; what the script does not care for is filled by its type."""
    blank = {"boolean": False, "integer": 1, "number": 1, "array": [], "object": {}}
    for name in tool.required:
        about = tool.properties.get(name, {})
        choices = about.get("enum")
        fallback = choices[0] if choices else blank.get(str(about.get("type")), f"make {FILE}")
        arguments.setdefault(name, fallback)
    return Call(tool, json.dumps(arguments))


def shell_call(tools: Iterable[Tool], command: str) -> Call | None:
    """Return a call that runs a command; None when no tool does."""
    named = {t.name.lower(): t for t in tools if not t.free}
    for tool in (named[n] for n in SHELLS if n in named):
        if "commands" in tool.properties:  # Cline's: several, each of them a line
            return call_of(tool, {"commands": [command]})
        for name in ARGUMENTS:
            if name in tool.properties:
                many = tool.properties[name].get("type") == "array"
                value = ["bash", "-lc", command] if many else command
                return call_of(tool, {name: value})
    return None


def write_call(tools: Iterable[Tool], folder: str) -> Call | None:
    """Return a call that makes the file: a tool that writes, one that patches; None when there is neither."""
    for tool in tools:
        if tool.name == "apply_patch":
            if tool.free:
                return Call(tool, PATCH)
            name = next((n for n in ("input", "patch", "patchText") if n in tool.properties), None)
            if name:
                return call_of(tool, {name: PATCH})
        where = next((n for n in PATHS if n in tool.properties), None)
        what = next((n for n in CONTENTS if n in tool.properties), None)
        if "write" in tool.name.lower() and where and what:
            return call_of(tool, {where: f"{folder}/{FILE}" if folder else FILE, what: CODE})
    return None


def step_call(step: str, seen: Seen) -> Call:
    """Return the call for one step.

    Raises:
        LookupError: The agent offers nothing that could do it.
    """
    everything = "\n".join((seen.system, *(text for _, text in seen.said)))
    place = PLACE.search(everything)
    folder = place[1].rstrip("/.") if place else ""
    call = write_call(seen.tools, folder) if step == "write" else None
    call = call or shell_call(seen.tools, COMMANDS[step])
    if call is None:
        offered = ", ".join(t.name for t in seen.tools)
        raise LookupError(f"nothing among the agent's tools can {step}: {offered}")
    return call


# -- the play ---------------------------------------------------------------------------------------------------------


def plan(seen: Seen) -> Turn:
    """Return the next turn of the play."""
    if seen.schema is not None:
        return Turn("aux schema", json.dumps(sample(seen.schema)))
    turn = panel_turn(seen)
    if turn is not None:
        return turn
    asked = [i for i, (role, text) in enumerate(seen.said) if role == "user" and FILE in text]
    script = script_of(seen)
    thought = f"The user wants {FILE} to print 42." if script == "reason" else ""
    if not seen.tools:
        return without_tools(seen, thought)
    if "memory extraction subagent" in seen.system:  # Qwen Code's, with tools and the whole history
        return Turn("aux memory", DONE)
    if not asked:
        return Turn("aux other", DONE)
    results = [text for role, text in seen.said[asked[-1] :] if role == "result"]
    came = len(results)
    for steps in SCRIPTS[script]:
        if came < len(steps):
            calls = tuple(step_call(s, seen) for s in steps)
            return Turn("+".join(steps), "I will do that now.", calls, thought)
        came -= len(steps)
    return Turn("done", DONE, thought=thought)


def panel_turn(seen: Seen) -> Turn | None:
    """Return the turn of a play about a panel, the agent's or a member's; None in any other play."""
    users = [text for role, text in seen.said if role == "user"]
    if not seen.tools and any(TO_PANEL in text for text in users):
        if "Compare the independent answers" in users[-1]:
            return Turn("analysis", json.dumps(CONSENSUS))
        return Turn("member", OPINION)
    if not seen.tools or not any(ASK_PANEL in text for text in users):
        return None
    results = [text for role, text in seen.said if role == "result"]
    if results and OPINION in results[-1]:
        return Turn("done", f"{DONE}: the panel says: {OPINION}")
    tool = next((t for t in seen.tools if t.name.endswith("deliberate")), None)
    question = f"{TO_PANEL} Does the ledger need a lock?"
    if tool is not None and not results:
        return Turn("deliberate", "I ask the panel.", (call_of(tool, {"question": question}),))
    search = next((t for t in seen.tools if t.name == "ToolSearch"), None)
    if search is not None and not results:  # Claude Code's: tools of MCP servers are found first
        query = {"query": "select:mcp__openfusion__deliberate"}
        return Turn("search", "I look for the tool.", (call_of(search, query),))
    if tool is not None and len(results) == 1 and search is not None:
        return Turn("deliberate", "I ask the panel.", (call_of(tool, {"question": question}),))
    offered, came = ", ".join(t.name for t in seen.tools), "\n".join(results)
    return Turn("lost", f"no panel; tools: {offered}; results: {came}")


def script_of(seen: Seen) -> str:
    """Return the script that the newest mark names; `simple` without one."""
    for _, text in reversed(seen.said):
        found = MARK.findall(text)
        if found and found[-1] in SCRIPTS:
            return found[-1]
    return "simple"


def without_tools(seen: Seen, thought: str) -> Turn:
    """Return the turn for a request without tools: small jobs around the task, and aider."""
    system = seen.system.lower()
    newest = next((text for role, text in reversed(seen.said) if role == "user"), "")
    if "commit message" in system + newest.lower():
        return Turn("aux commit", f"feat: add {FILE} that prints 42")
    form = edit_format(seen.system + "\n".join(text for _, text in seen.said))
    if form and FILE in newest:
        return Turn(f"edit {form}", EDITS[form], thought=thought)
    if form:
        return Turn("done", DONE, thought=thought)
    if "title" in system + newest.lower():
        return Turn("aux title", "A script that prints 42")
    return Turn("aux other", DONE)


def edit_format(text: str) -> str:
    """Return the edit format that aider explains in its prompt; empty when it explains none."""
    marks = (("diff", "SEARCH/REPLACE"), ("udiff", "diff -U0"), ("whole", "file listing"))
    return next((form for form, mark in marks if mark in text), "")


def sample(schema: Mapping, name: str = "") -> object:
    """Return the plainest value that a JSON Schema allows, of the kinds that agents ask for."""
    if "enum" in schema:
        return schema["enum"][0]
    if "properties" in schema:
        return {k: sample(v, k) for k, v in schema["properties"].items()}
    plain = {"array": [], "integer": 1, "number": 1, "boolean": True}
    return plain.get(str(schema.get("type")), f"A script that prints 42 ({name or 'text'})")
