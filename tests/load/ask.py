"""The client's side of the load programs: requests of three dialects, and what came of each, read by hand.

Nothing of the product is used to read answers: they are judged by what a client needs of them.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import aiohttp

PATHS = {"chat": "chat/completions", "responses": "responses", "messages": "messages"}
SCHEMA = {
    "type": "object",
    "properties": {"path": {"type": "string"}, "number": {"type": "number"}},
}
SAID = re.compile(
    r"(\d+): .* /\1", re.DOTALL
)  # a text of the upstream, from its first to its last word
PATIENCE_S = 90.0  # [s] for a whole answer; far more than the router's own limits
EARLY_S = 0.05  # [s] after which a client leaves that does not wait for the first byte

Outcome = Literal["ok", "error", "left", "hung", "broken", "gone"]


@dataclass(frozen=True)
class Used:
    """A tool call that was answered, with its result."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Want:
    """One request.

    Attributes:
        id: In the prompt's mark; no other request has it.
        kind: `text`, `tool`, `result` (what follows a tool call), `panel`, `verify` or `slow`.
        leaves: After so many events of the stream the client goes; 0 = before the first byte; None = never.
        used: The tool call whose result it brings.
    """

    id: str
    surface: str
    stream: bool
    kind: str
    session: str
    candidates: tuple[str, ...] = ()
    leaves: int | None = None
    used: Used | None = None


@dataclass
class Seen:
    """What came of a request: `error` is an answer that says it failed, `broken` one that a client cannot read,
    `gone` a server that was not there or went away.
    """

    want: Want
    began_s: float
    ended_s: float = 0.0
    outcome: Outcome = "broken"
    status: int = 0
    trace: str | None = None
    text: str = ""
    calls: list[Used] = field(default_factory=list)
    note: str = ""
    pinned: bool | None = None


# -- asking -----------------------------------------------------------------------------------------------------------


def mark(want: Want) -> str:
    """Return what tells the upstream who asks, and for what."""
    more = f" {want.kind}" if want.kind in ("tool", "slow") else ""
    return f"[[load {want.id}{more}]]"


def body(want: Want) -> dict:
    """Return a request in the words of its dialect."""
    asked = f"Fix the window that is dropped at the end of src/windows.py. {mark(want)}"
    options: dict[str, object] = {"candidates": list(want.candidates)} if want.candidates else {}
    if want.kind in ("panel", "verify"):
        options["mode"] = want.kind
    common = {"model": "openfusion/auto", "stream": want.stream, "openfusion": options}
    tools = want.kind in ("tool", "result")
    return {**common, **SAY[want.surface](want, asked, tools=tools)}


def say_chat(want: Want, asked: str, *, tools: bool) -> dict:
    messages: list[dict] = [{"role": "user", "content": asked}]
    used = want.used
    if used is not None:
        function = {"name": used.name, "arguments": used.arguments}
        call = {"id": used.id, "type": "function", "function": function}
        messages[0]["content"] = "Fix the window that is dropped at the end of src/windows.py."
        messages += [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": used.id, "content": f"def windows(): {mark(want)}"},
        ]
    function = {"name": "lookup", "description": "Read a file.", "parameters": SCHEMA}
    offered = {"tools": [{"type": "function", "function": function}]} if tools else {}
    return {"messages": messages, "max_tokens": 900, **offered}


def say_responses(want: Want, asked: str, *, tools: bool) -> dict:
    items: list[dict] = [{"role": "user", "content": asked}]
    used = want.used
    if used is not None:
        call = {"call_id": used.id, "name": used.name, "arguments": used.arguments}
        output = {"call_id": used.id, "output": f"def windows(): {mark(want)}"}
        items[0]["content"] = "Fix the window that is dropped at the end of src/windows.py."
        items += [{"type": "function_call", **call}, {"type": "function_call_output", **output}]
    tool = {"type": "function", "name": "lookup", "parameters": SCHEMA, "strict": False}
    offered = {"tools": [tool]} if tools else {}
    return {"input": items, "store": False, "max_output_tokens": 900, **offered}


def say_messages(want: Want, asked: str, *, tools: bool) -> dict:
    messages: list[dict] = [{"role": "user", "content": asked}]
    used = want.used
    if used is not None:
        call = {"id": used.id, "name": used.name, "input": json.loads(used.arguments)}
        result = {"tool_use_id": used.id, "content": f"def windows(): {mark(want)}"}
        messages[0]["content"] = "Fix the window that is dropped at the end of src/windows.py."
        messages += [
            {"role": "assistant", "content": [{"type": "tool_use", **call}]},
            {"role": "user", "content": [{"type": "tool_result", **result}]},
        ]
    offered = {"tools": [{"name": "lookup", "input_schema": SCHEMA}]} if tools else {}
    return {"messages": messages, "max_tokens": 900, **offered}


SAY = {"chat": say_chat, "responses": say_responses, "messages": say_messages}


# -- reading ----------------------------------------------------------------------------------------------------------


class Answer:
    """An answer as far as it has come: text, tool calls, whether it ended and whether it failed."""

    def __init__(self) -> None:
        self.text = ""
        self.calls: list[list[str]] = []  # id, name, arguments
        self.ended = self.failed = False
        self.trace: Mapping = {}

    def take(self, surface: str, data: str) -> None:
        """Take one event of a stream."""
        if data == "[DONE]":
            self.ended = True
            return
        event = json.loads(data)
        if isinstance(event.get("openfusion"), dict):
            self.trace = event["openfusion"]
        TAKE[surface](self, event)

    def chat(self, event: Mapping) -> None:
        self.failed = self.failed or bool(event.get("error"))
        for choice in event.get("choices", ()):
            delta = choice["delta"]
            self.text += delta.get("content") or ""
            for part in delta.get("tool_calls") or ():
                if part.get("id"):
                    self.calls.append([part["id"], part["function"]["name"], ""])
                self.calls[-1][2] += part["function"].get("arguments") or ""

    def responses(self, event: Mapping) -> None:
        kind = event["type"]
        self.text += event["delta"] if kind == "response.output_text.delta" else ""
        item = event.get("item") or {}
        if kind == "response.output_item.done" and item.get("type") == "function_call":
            self.calls.append([item["call_id"], item["name"], item["arguments"]])
        self.failed = self.failed or kind in ("error", "response.failed")
        self.ended = self.ended or kind == "response.completed"

    def messages(self, event: Mapping) -> None:
        kind, delta = event["type"], event.get("delta") or {}
        block = event.get("content_block") or {}
        if block.get("type") == "tool_use":
            self.calls.append([block["id"], block["name"], ""])
        self.text += delta.get("text", "")
        if "partial_json" in delta:
            self.calls[-1][2] += delta["partial_json"]
        self.failed = self.failed or kind == "error"
        self.ended = self.ended or kind == "message_stop"

    def whole(self, surface: str, value: Mapping) -> None:
        """Take an answer that is no stream."""
        self.ended, self.trace = True, value.get("openfusion") or {}
        if surface == "chat":
            message = value["choices"][0]["message"]
            self.text = message.get("content") or ""
            called = [(c["id"], c["function"]) for c in message.get("tool_calls") or ()]
            self.calls = [[id_, f["name"], f["arguments"]] for id_, f in called]
        elif surface == "responses":
            for item in value["output"]:
                if item["type"] == "message":
                    self.text += "".join(p.get("text", "") for p in item["content"])
                elif item["type"] == "function_call":
                    self.calls.append([item["call_id"], item["name"], item["arguments"]])
        else:
            for block in value["content"]:
                self.text += block.get("text", "")
                if block["type"] == "tool_use":
                    self.calls.append([block["id"], block["name"], json.dumps(block["input"])])


TAKE = {"chat": Answer.chat, "responses": Answer.responses, "messages": Answer.messages}


async def events(response: aiohttp.ClientResponse) -> AsyncIterator[str]:
    """Yield the data of each event, one line each here."""
    async for line in response.content:
        if line.startswith(b"data:"):
            yield line[5:].decode().strip()


async def ask(session: aiohttp.ClientSession, url: str, want: Want) -> Seen:
    """Send one request and read what comes, as its client would."""
    seen = Seen(want, time.monotonic())
    try:
        patience_s = EARLY_S if want.leaves == 0 else PATIENCE_S
        async with asyncio.timeout(patience_s):
            await exchange(session, url, want, seen)
    except TimeoutError:
        seen.outcome = "left" if want.leaves == 0 else "hung"
    except (aiohttp.ClientError, ConnectionError) as error:
        seen.outcome, seen.note = "gone", type(error).__name__
    except (KeyError, ValueError, IndexError, TypeError) as error:
        seen.outcome, seen.note = "broken", repr(error)[:200]
    seen.ended_s = time.monotonic()
    return seen


async def exchange(session: aiohttp.ClientSession, url: str, want: Want, seen: Seen) -> None:
    """Send a request and fill in what came of it."""
    headers = {"session-id": want.session, "anthropic-version": "2023-06-01"}
    answer, count = Answer(), 0
    async with session.post(
        f"{url}/v1/{PATHS[want.surface]}", json=body(want), headers=headers
    ) as response:
        seen.status = response.status
        seen.trace = response.headers.get("x-openfusion-trace-id")
        if response.status != 200:
            said = json.loads(await response.read())["error"]
            seen.outcome, seen.note = "error", str(said.get("code") or said.get("type"))
            return
        if not want.stream:
            answer.whole(want.surface, json.loads(await response.read()))
        else:
            async for data in events(response):
                answer.take(want.surface, data)
                count += 1
                if want.leaves is not None and count >= want.leaves:
                    seen.outcome = "left"
                    response.close()
                    return
    judge(seen, answer)


def judge(seen: Seen, answer: Answer) -> None:
    """Say what a client makes of an answer that has come to its end."""
    seen.text, seen.calls = answer.text, [Used(*call) for call in answer.calls]
    seen.pinned = (answer.trace.get("session") or {}).get("pinned")
    if answer.failed:
        seen.outcome = "broken" if answer.ended else "error"
        seen.note = "error event" + (", and an end as if it were whole" if answer.ended else "")
    elif not answer.ended:
        seen.note = "the stream has no end"
    elif seen.calls:
        seen.outcome = "ok" if all(called_well(c) for c in seen.calls) else "broken"
        seen.note = "" if seen.outcome == "ok" else "a tool call is not whole"
    elif SAID.fullmatch(seen.text):
        seen.outcome = "ok"
    else:
        seen.note = f"the text is not whole: {seen.text[:60]!r} ... {seen.text[-20:]!r}"


def called_well(call: Used) -> bool:
    """Whether a tool call is as the upstream made it."""
    given = json.loads(call.arguments)
    return call.name == "lookup" and given["path"] == f"src/part_{given['number']}.py"
