"""What a dry run answers: plainly that no model was called, in whatever form the request asks for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from openfusion_auto.core.prompt import ToolCall
from openfusion_auto.upstream.minimal import PREFERRED, as_list, as_mapping, minimal_instance
from openfusion_auto.upstream.reply import Reply, made_id

TASK_WORDS = 8  # how much of the task a dry run may repeat
TASK_CHARS = 80  # [characters] the same bound, for text without spaces
ASKS_FOR_JSON = "Answer with one JSON object"  # how our own recipes ask for a verdict


def dry_run_reply(body: Mapping[str, object], raw: bytes) -> Reply:
    """Return the answer that a dry run gives to a chat request.

    A tool when the user's last message names one that is offered (or `tool_choice` demands one), an object when JSON is
    asked for, else a text which says that no model was called.

    Args:
        body: The request.
        raw: The bytes that make the ids.
    """
    messages = [as_mapping(m) for m in as_list(body.get("messages"))]
    last = messages[-1] if messages else {}
    said = _text(last.get("content"))
    tool = _tool_for(body, said) if last.get("role") == "user" else None
    if tool is not None:
        arguments = json.dumps(minimal_instance(tool.get("parameters", {"type": "object"})))
        return Reply(
            tool_calls=(ToolCall(made_id("call_", raw), str(tool.get("name")), arguments),)
        )
    wanted = _json_for(body, messages)
    if wanted is not None:
        return Reply(text=json.dumps(wanted))
    text = "DRY RUN by openfusion_auto: no model was called and nothing left this machine. "
    text += f"The request was for model {str(body.get('model'))[:TASK_CHARS]!r}. "
    if last.get("role") == "tool":
        return Reply(
            text=f"{text}The result of the tool call arrived ({len(said.encode(errors='replace'))} bytes)."
        )
    begin = " ".join(said.split()[:TASK_WORDS])[:TASK_CHARS]
    return Reply(text=f"{text}The task begins: {begin!r}")


def _tool_for(body: Mapping[str, object], said: str) -> Mapping[str, object] | None:
    offered = [as_mapping(as_mapping(t).get("function")) for t in as_list(body.get("tools"))]
    tools = {str(t["name"]): t for t in offered if t.get("name")}
    choice = body.get("tool_choice")
    if not tools or choice == "none":
        return None
    forced = as_mapping(as_mapping(choice).get("function")).get("name")
    if isinstance(forced, str):
        return tools.get(forced)
    # Longer names first, so that `read_file` is not taken for `read`; a name inside a word is none.
    names = "|".join(re.escape(name) for name in sorted(tools, key=len, reverse=True))
    found = re.search(rf"(?<![\w-])(?:{names})(?![\w-])", said)
    if found is not None:
        return tools[found.group()]
    return next(iter(tools.values())) if choice == "required" else None


def _json_for(body: Mapping[str, object], messages: Sequence[Mapping[str, object]]) -> object:
    wanted = as_mapping(body.get("response_format"))
    if wanted.get("type") == "json_schema":
        return minimal_instance(
            as_mapping(wanted.get("json_schema")).get("schema", {"type": "object"})
        )
    said = [m for m in messages if m.get("role") in ("system", "developer")] + [*messages[-1:]]
    for message in reversed(said):
        before, asked, after = _text(message.get("content")).rpartition(ASKS_FOR_JSON)
        if asked:
            return _from_template(after) or _from_template(before)
    return {"dry_run": True} if wanted.get("type") == "json_object" else None


def _from_template(text: str) -> dict[str, object]:
    """Fill a template such as `{"verdict": "accept"|"reject", "findings": [...]}`; {} when there is none."""
    found: dict[str, object] = {}
    depth = 0
    for token in re.finditer(r'[{\[}\]]|"(\w+)"(\s*:\s*("[^"]*"|\w+|\S))?|"', text):
        opens = token.group()
        if token.group(2) and depth == 1:
            key, opens = token.group(1), token.group(3)
            found[key] = PREFERRED.get(key, _value(opens))
        depth += (opens in "{[") - (opens in "}]")
        if depth == 0 and found:
            break
    return found


def _value(shown: str) -> object:
    """Return a value like the one a template shows; a text that may be null is null: nothing was found."""
    if shown.startswith('"'):
        return None if "null" in shown else shown.strip('"')
    known = {"{": {}, "[": [], "true": True, "false": False, "null": None}
    return known.get(shown, 1)


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(str(as_mapping(part).get("text", "")) for part in as_list(content))
