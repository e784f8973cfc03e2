"""The hub's deltas as events and items of this dialect: what its writer shows of another dialect's answer.

An event is its JSON object without `sequence_number`: numbers are given when events go out. The order of events is
the one that real clients were seen to take: an item is added, its parts grow and close, the item is done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from openfusion_auto.core.prompt import CallDelta, Delta, ToolCall
from openfusion_auto.errors import UpstreamBroken
from openfusion_auto.wire.chat_tools import stable_id
from openfusion_auto.wire.errors import HALF_CALL
from openfusion_auto.wire.jsons import as_object, is_json
from openfusion_auto.wire.responses_items import MADE_HERE
from openfusion_auto.wire.responses_tools import ClientTools, free_text

PIECE = 4096  # characters of one delta: below the line limits (64 KB) that readers of streams have
Event = dict[str, object]
# What a call's item is named after: the field of its text, and the name in its events.
_CALL_FORMS: Mapping[str, tuple[str, str, str]] = {
    "function": ("arguments", "function_call_arguments", "fc"),
    "custom": ("input", "custom_tool_call_input", "ctc"),
}


@dataclass(slots=True)
class _Open:
    """A message or reasoning item that grows."""

    kind: Literal["message", "reasoning"]
    id: str
    index: int
    pieces: list[str] = field(default_factory=list)
    opaque: str = ""


@dataclass(slots=True)
class _Call:
    """A tool call as far as it has come; `item` is its item once it is added."""

    index: int
    id: str = ""
    name: str = ""
    kind: Literal["function", "custom"] = "function"
    pieces: list[str] = field(default_factory=list)
    item: dict[str, object] | None = None
    at: int = 0
    done: bool = False
    half_at: int = -1  # so many pieces of it were seen not to be whole

    @property
    def said(self) -> str:
        """The arguments so far."""
        return "".join(self.pieces)


class Composer:
    """Builds the items of one answer, and the events that show them.

    Args:
        answer_id: Id of the response; ids of items are made from it.
        tools: The client's tools: which names take free text, which stand in a namespace.
        guarded: Show a tool call only when it is whole.

    Attributes:
        output: The items, in the order of their `output_index`; finished ones are as they are shown at the end.
    """

    def __init__(self, *, answer_id: str, tools: ClientTools, guarded: bool = True) -> None:
        self.output: list[dict[str, object]] = []
        self._suffix = answer_id.removeprefix("resp_")
        self._tools = tools
        self._guarded = guarded
        self._open: _Open | None = None
        self._calls: dict[int, _Call] = {}
        self._unshown: deque[_Call] = deque()  # those that `_whole_calls` has not got behind yet

    def add(self, delta: Delta) -> list[Event]:
        """Return the events that a delta of any dialect makes; calls of further choices are not this dialect's."""
        events: list[Event] = []
        if delta.reasoning or delta.opaque:
            events += self._think(delta.reasoning, delta.opaque)
        for start in range(0, len(delta.text), PIECE):
            events += self._say(delta.text[start : start + PIECE])
        for call in delta.calls:
            if call.choice == 0:
                events += self._fragment(call)
        return events

    def call(self, call: ToolCall) -> list[Event]:
        """Return the events of a whole call."""
        index = len(self._calls)
        return self._fragment(CallDelta(0, index, call.id, call.name, call.arguments, call.kind))

    def end(self, *, cut: bool) -> list[Event]:
        """Return the events that finish what is open.

        Args:
            cut: A bound ended the answer: text and reasoning are marked incomplete, a call that is not whole is left
                out when guarded, for no client may run half a call.

        Raises:
            UpstreamBroken: the answer was not cut, but a call in it was.
        """
        events = self._close("incomplete" if cut else "completed")
        for call in self._calls.values():
            if not call.done:
                events += self._end_call(call, cut=cut)
        return events

    def _say(self, text: str) -> list[Event]:
        opened, events = self._grown("message", "msg")
        if events:
            events.append(_content("added", opened, _text_part("")))
        opened.pieces.append(text)
        place = {"item_id": opened.id, "output_index": opened.index, "content_index": 0}
        events.append(
            {"type": "response.output_text.delta", **place, "delta": text, "logprobs": []}
        )
        return events

    def _think(self, text: str, opaque: str) -> list[Event]:
        opened, events = self._grown("reasoning", "rs")
        opened.opaque = opaque or opened.opaque
        if text and not opened.pieces:
            events.append(_summary_part("added", opened, ""))
        for start in range(0, len(text), PIECE):
            piece = text[start : start + PIECE]
            opened.pieces.append(piece)
            events.append(_summary("delta", opened, {"delta": piece}))
        return events

    def _grown(
        self, kind: Literal["message", "reasoning"], prefix: str
    ) -> tuple[_Open, list[Event]]:
        """Return the item of that kind that grows, and the events that begin it where there is none."""
        if self._open is not None and self._open.kind == kind:
            return self._open, []
        events = self._close("completed")
        at = len(self.output)
        opened = self._open = _Open(kind, f"{prefix}_{self._suffix}_{at}", at)
        item = _item(opened, "in_progress")
        self.output.append(item)
        begun: Event = {"type": "response.output_item.added", "output_index": at, "item": item}
        return opened, [*events, begun]

    def _close(self, status: str) -> list[Event]:
        opened, self._open = self._open, None
        if opened is None:
            return []
        text = "".join(opened.pieces)
        events: list[Event] = []
        if opened.kind == "message":
            place = {"item_id": opened.id, "output_index": opened.index, "content_index": 0}
            events.append(
                {"type": "response.output_text.done", **place, "text": text, "logprobs": []}
            )
            events.append(_content("done", opened, _text_part(text)))
        elif text:
            events.append(_summary("done", opened, {"text": text}))
            events.append(_summary_part("done", opened, text))
        item = self.output[opened.index] = _item(opened, status)
        return [*events, _done(opened.index, item)]

    def _fragment(self, delta: CallDelta) -> list[Event]:
        call = self._calls.get(delta.index)
        events: list[Event] = []
        if call is None:
            events += self._whole_calls()
            call = self._calls[delta.index] = _Call(delta.index)
            self._unshown.append(call)
        call.id = call.id or delta.id or ""
        call.name = call.name or delta.name or ""
        if delta.kind == "custom":
            call.kind = "custom"
        if call.done and delta.arguments.strip():
            raise UpstreamBroken("A tool call went on after the next one had begun.")
        if call.done:
            return events
        call.pieces.append(delta.arguments)
        if call.item is not None:
            return [*events, *_call_deltas(call, delta.arguments)]
        if not self._guarded and call.name and not self._disguised(call):
            return [*events, *self._begin_call(call), *_call_deltas(call, call.said)]
        return events

    def _whole_calls(self) -> list[Event]:
        """Show the held calls that are whole, as a further one begins: agents start on them at once.

        In their order: behind one that is not whole yet (or has a blank at its end), none is shown.
        """
        events: list[Event] = []
        while self._unshown:
            call = self._unshown[0]
            if call.item is None and (not call.name or not self._is_whole(call)):
                break
            self._unshown.popleft()
            if call.item is None:
                events += self._end_call(call, cut=False)
        return events

    def _disguised(self, call: _Call) -> bool:
        """Return whether a function call stands for a custom tool of the client's."""
        return call.kind == "function" and call.name in self._tools.custom

    def _is_whole(self, call: _Call) -> bool:
        if call.kind == "custom":
            return True
        if call.half_at == len(call.pieces):
            return False
        said = call.said
        whole = said.endswith("}") and is_json(said)
        call.half_at = -1 if whole else len(call.pieces)
        return whole

    def _end_call(self, call: _Call, *, cut: bool) -> list[Event]:
        call.done = True
        if call.item is not None:
            missing = "{}" if call.kind == "function" and not call.said else ""
            call.pieces.append(missing)
            status = "incomplete" if cut else "completed"
            return [*_call_deltas(call, missing), *self._done_call(call, status)]
        said = self._text_of(call)
        if said is None or not call.name:
            if cut:
                return []
            raise UpstreamBroken(HALF_CALL if call.name else "A tool call has no name.")
        if self._disguised(call):
            call.kind = "custom"
        call.pieces = [said]
        events = self._close("completed")
        events += self._begin_call(call)
        for start in range(0, len(said), PIECE):
            events += _call_deltas(call, said[start : start + PIECE])
        return events + self._done_call(call, "completed")

    def _text_of(self, call: _Call) -> str | None:
        """Return what a call that was held says; None when it is not whole. No arguments at all are none."""
        said = call.said
        if call.kind == "custom":
            return said
        if self._disguised(call):
            text = free_text(said)
            return said if text is None and not self._guarded else text
        if not said:
            return "{}"
        return said if is_json(said) or not self._guarded else None

    def _begin_call(self, call: _Call) -> list[Event]:
        events = self._close("completed")
        said, _, prefix = _CALL_FORMS[call.kind]
        call.at = len(self.output)
        space, name = self._tools.namespaces.get(call.name, ("", call.name))
        call.item = {
            "type": "custom_tool_call" if call.kind == "custom" else "function_call",
            "id": f"{prefix}_{self._suffix}_{call.at}",
            "call_id": call.id or stable_id(call.index, call.name, self._suffix[-12:]),
            "name": name,
            **({"namespace": space} if space else {}),
            said: "",
            "status": "in_progress",
        }
        self.output.append(call.item)
        return [
            *events,
            {"type": "response.output_item.added", "output_index": call.at, "item": call.item},
        ]

    def _done_call(self, call: _Call, status: str) -> list[Event]:
        said, name, _ = _CALL_FORMS[call.kind]
        item = self.output[call.at] = {**(call.item or {}), said: call.said, "status": status}
        place = {"item_id": item["id"], "output_index": call.at}
        named = {"name": item["name"]} if call.kind == "function" else {}
        return [
            {"type": f"response.{name}.done", **place, **named, said: call.said},
            _done(call.at, item),
        ]


def item_events(item: Mapping[str, object], index: int) -> Iterator[Event]:
    """Yield the events that show a whole item; one of a type that is not known here is added and done."""
    kind = item.get("type")
    place: dict[str, object] = {"item_id": item.get("id", ""), "output_index": index}
    inside: list[Event] = []
    shell = dict(item)
    if kind == "message":
        shell |= {"status": "in_progress", "content": []}
        for at, part in enumerate(_objects(item.get("content"))):
            inside += _part_events({**place, "content_index": at}, part)
    elif kind == "reasoning":
        shell["summary"] = []
        for at, part in enumerate(_objects(item.get("summary"))):
            inside += _summary_events({**place, "summary_index": at}, part)
    elif kind in ("function_call", "custom_tool_call"):
        said, name, _ = _CALL_FORMS["custom" if kind == "custom_tool_call" else "function"]
        shell |= {said: "", "status": "in_progress"}
        text = _string(item.get(said))
        inside += _growing(f"response.{name}", place, text)
        inside.append({"type": f"response.{name}.done", **place, said: text})
    yield {"type": "response.output_item.added", "output_index": index, "item": shell}
    yield from inside
    yield _done(index, dict(item))


def _part_events(place: Event, part: Mapping[str, object]) -> Iterator[Event]:
    form = part.get("type")
    field = {"output_text": "text", "refusal": "refusal"}.get(str(form))
    shell = dict(part)
    if field is not None:
        shell[field] = ""
    if form == "output_text":
        shell["annotations"] = []
    yield {"type": "response.content_part.added", **place, "part": shell}
    if field is not None:
        text = _string(part.get(field))
        more: Event = {"logprobs": []} if form == "output_text" else {}
        for event in _growing(f"response.{form}", place, text):
            yield {**event, **more}
        yield {"type": f"response.{form}.done", **place, field: text, **more}
    yield {"type": "response.content_part.done", **place, "part": dict(part)}


def _summary_events(place: Event, part: Mapping[str, object]) -> Iterator[Event]:
    text = _string(part.get("text"))
    added = {"type": "summary_text", "text": ""}
    yield {"type": "response.reasoning_summary_part.added", **place, "part": added}
    yield from _growing("response.reasoning_summary_text", place, text)
    yield {"type": "response.reasoning_summary_text.done", **place, "text": text}
    yield {"type": "response.reasoning_summary_part.done", **place, "part": dict(part)}


def _growing(name: str, place: Event, text: str) -> Iterator[Event]:
    for start in range(0, len(text), PIECE):
        yield {"type": f"{name}.delta", **place, "delta": text[start : start + PIECE]}


def _objects(value: object) -> list[Mapping[str, object]]:
    found = [as_object(part) for part in value] if isinstance(value, list) else []
    return [part for part in found if part is not None]


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _item(opened: _Open, status: str) -> dict[str, object]:
    text = "".join(opened.pieces)
    if opened.kind == "message":
        content = [] if status == "in_progress" else [_text_part(text)]
        head = {"type": "message", "id": opened.id, "status": status, "role": "assistant"}
        return {**head, "content": content}
    summary = [{"type": "summary_text", "text": text}] if text else []
    return {
        "type": "reasoning",
        "id": opened.id,
        "summary": summary,
        "encrypted_content": MADE_HERE + opened.opaque,
    }


def _text_part(text: str) -> dict[str, object]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _content(what: str, opened: _Open, part: object) -> Event:
    place = {"item_id": opened.id, "output_index": opened.index, "content_index": 0}
    return {"type": f"response.content_part.{what}", **place, "part": part}


def _summary(what: str, opened: _Open, said: Event) -> Event:
    place = {"item_id": opened.id, "output_index": opened.index, "summary_index": 0}
    return {"type": f"response.reasoning_summary_text.{what}", **place, **said}


def _summary_part(what: str, opened: _Open, text: str) -> Event:
    place = {"item_id": opened.id, "output_index": opened.index, "summary_index": 0}
    part = {"type": "summary_text", "text": text}
    return {"type": f"response.reasoning_summary_part.{what}", **place, "part": part}


def _done(index: int, item: dict[str, object]) -> Event:
    return {"type": "response.output_item.done", "output_index": index, "item": item}


def _call_deltas(call: _Call, text: str) -> list[Event]:
    if not text:
        return []
    name = _CALL_FORMS[call.kind][1]
    item = call.item or {}
    place = {"item_id": item["id"], "output_index": call.at}
    return [{"type": f"response.{name}.delta", **place, "delta": text}]
