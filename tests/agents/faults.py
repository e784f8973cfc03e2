"""How the scripted upstream fails: what the marks in a prompt ask for, and where an answer breaks.

`[[fault:KIND:N:KEY]]`: the first N requests of the task that carry it fail; small jobs around the task are spared.

    503, 429, ...  that status           cut     the connection drops in the middle
    429ra          429, Retry-After 1    eof     the body ends in the middle, well-formed, without the last event
    ctx            the prompt too long   fail    the dialect's own error event in the middle
    429in          429, 30 s in words
    html           200 with a page       hang    nothing more comes
    empty          an answer of nothing  badjson the arguments of a call are no JSON

`KIND@PLACE` says where the middle is: `head` (not even a status comes), `first` (the stream has begun, nothing is said),
`text` (half of the text), `call` (half of a tool call's arguments, behind the text), `bare` (the same in an answer
without text). Without it: half way. An answer that is not streamed breaks in the middle of its body.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tests.agents.play import Turn
from tests.agents.say import Event

MARK = re.compile(r"\[\[fault:(\w+)(?:@(\w+))?:(\d+):([\w.-]+)\]\]")
BREAKS = ("cut", "eof", "fail", "hang")
KINDS = ("429ra", "429in", "ctx", "html", "empty", "badjson", *BREAKS)
PLACES = ("head", "first", "text", "call", "bare")
WHEN = "Rate limit reached. Please try again in 30s."
SAID = "the model fell over"
TOO_LONG = {
    "chat": "This model's maximum context length is 1000 tokens, you sent 2000.",
    "responses": "Your input exceeds the context window of this model.",
    "messages": "prompt is too long: 2000 tokens > 1000 maximum",
}
HTML = b"<html><body><h1>Bad gateway</h1></body></html>"


@dataclass(frozen=True)
class Fault:
    """One way to fail; `place` is empty where the kind has none, or for half way."""

    kind: str
    place: str = ""

    @property
    def name(self) -> str:
        """The fault as a mark says it."""
        return f"{self.kind}@{self.place}" if self.place else self.kind

    @property
    def needs_calls(self) -> bool:
        """Whether only an answer that calls a tool can fail so."""
        return self.place in ("call", "bare") or self.kind == "badjson"

    @property
    def status(self) -> int | None:
        """The status that it answers with, where it is one other than 200."""
        return (
            400 if self.kind == "ctx" else int(self.kind[:3]) if self.kind[:3].isdigit() else None
        )

    def mark(self, key: str, times: int = 1) -> str:
        """Return what goes into a prompt."""
        return f"[[fault:{self.name}:{times}:{key}]]"


def asked(text: str) -> list[tuple[Fault, int, str]]:
    """Return the (fault, times, key) that a request's text asks for, in order."""
    return [
        (Fault(kind, place), int(times), key)
        for kind, place, times, key in MARK.findall(text)
        if kind in KINDS or re.fullmatch(r"[345]\d\d", kind)
    ]


def played(fault: Fault | None, turn: Turn) -> Turn:
    """Return the turn as it is said: nothing for an empty answer, no text before a bare call, arguments cut short."""
    if fault is not None and fault.kind == "empty":
        return replace(turn, text="", calls=(), thought="")
    if fault is not None and fault.place == "bare" and turn.calls:
        turn = replace(turn, text="")
    if fault is not None and fault.kind == "badjson":
        cut = (replace(c, arguments=c.arguments[: len(c.arguments) // 2]) for c in turn.calls)
        turn = replace(turn, calls=tuple(cut))
    return turn


def refusal(fault: Fault, dialect: str) -> dict[str, object]:
    """Return the body of a status, in OpenAI's shape and in Anthropic's at once."""
    code = "context_length_exceeded" if fault.kind == "ctx" else None
    kind = "invalid_request_error" if fault.status == 400 else "server_error"
    said = {"ctx": TOO_LONG[dialect], "429in": WHEN}.get(fault.kind, SAID)
    return {"type": "error", "error": {"message": said, "type": kind, "param": None, "code": code}}


def part(name: str | None, data: Mapping | str) -> str:
    """Return what an event of any dialect says a piece of: `text`, `call`, or nothing."""
    if isinstance(data, str):
        return ""
    if name is None:
        delta = data["choices"][0]["delta"] if data.get("choices") else {}
        return "call" if delta.get("tool_calls") else "text" if delta.get("content") else ""
    if name.startswith("response."):
        calls = ("function_call_arguments.delta", "custom_tool_call_input.delta")
        return "call" if name.endswith(calls) else "text" if "output_text.delta" in name else ""
    kind = data["delta"].get("type", "") if name == "content_block_delta" else ""
    return {"text_delta": "text", "input_json_delta": "call"}.get(kind, "")


def broken(fault: Fault, events: Sequence[Event]) -> list[Event]:
    """Return the events that come before a stream breaks; `fail` adds the error event.

    Raises:
        LookupError: The answer has no such place.
    """
    parts = [part(*event) for event in events]
    if fault.place == "first":
        end = next(i for i, what in enumerate(parts) if what)
    elif fault.place:
        wanted = "text" if fault.place == "text" else "call"
        found = [i for i, what in enumerate(parts) if what == wanted]
        if not found:
            raise LookupError(f"nothing to break at {fault.name!r}")
        end = found[len(found) // 2] + 1
    else:
        end = len(events) // 2
    return [*events[:end], *([error(events)] if fault.kind == "fail" else [])]


def error(events: Sequence[Event]) -> Event:
    """Return the error event of the dialect that these events are of."""
    name, data = events[0]
    assert not isinstance(data, str)
    if name == "message_start":
        about = {"type": "overloaded_error", "message": SAID}
        return "error", {"type": "error", "error": about}
    about = {"code": "server_error", "message": SAID}
    if name is None:
        return None, {"error": {**about, "type": "server_error"}}
    response = {**data["response"], "status": "failed", "error": about}
    return "response.failed", {"type": "response.failed", "response": response}
