"""An upstream's Responses stream, read: bytes to deltas, with every way it can be broken told apart from its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from openfusion_auto.core.prompt import Answer, CallDelta, Delta, Tier, ToolCall, Usage
from openfusion_auto.errors import UpstreamBroken, UpstreamError
from openfusion_auto.wire.chat_answer import read_bill
from openfusion_auto.wire.chat_tools import stable_id
from openfusion_auto.wire.errors import told_failure
from openfusion_auto.wire.hosted import ran_in_responses
from openfusion_auto.wire.jsons import JsonError, as_object, loads
from openfusion_auto.wire.reader import CUT_SHORT, ERROR_EVENT, StreamReader
from openfusion_auto.wire.responses_answer import (
    CALLS,
    CUT,
    call_id_of,
    finish_of,
    has_content,
    is_call,
    part_text,
    read_usage,
)
from openfusion_auto.wire.responses_items import opaque_of
from openfusion_auto.wire.responses_tools import flat_name
from openfusion_auto.wire.sse import LIMIT, Frame
from openfusion_auto.wire.tiers import tier_told

_ENDS = ("response.completed", "response.incomplete")
_FAILURES = ("error", "response.failed", "response.cancelled", "response.error")
_CONTRADICTION = "a tool call's arguments contradict each other"


@dataclass(slots=True)
class _Item:
    """An output item as far as it has come."""

    type: str = ""
    index: int = -1  # of a call: contiguous from 0 among calls
    id: str = ""
    name: str = ""
    kind: Literal["function", "custom"] = "function"
    pieces: list[str] = field(default_factory=list)  # of a call's arguments
    grown: set[tuple[str, object]] = field(default_factory=set)  # parts whose text came in deltas
    item: Mapping[str, object] | None = None  # once it is done


@dataclass(slots=True)
class _Said:
    """What one event adds to the hub."""

    text: str = ""
    reasoning: str = ""
    opaque: str = ""
    calls: list[CallDelta] = field(default_factory=list)


class ResponsesReader(StreamReader):
    """Reads a stream of Responses; see `StreamReader`.

    The terminal event makes two deltas: one with `finish` and `usage` and no bytes, then the event itself with
    `done`. An event that is not known is a delta with nothing but its bytes.
    """

    dialect = "responses"

    def __init__(self, limit: int = LIMIT, *, keep: bool = True, seed: str = "") -> None:
        super().__init__(limit, keep=keep, seed=seed)
        self._items: dict[object, _Item] = {}
        self._calls: list[_Item] = []
        self._last: _Item | None = None
        self._thought = ""  # which of its two texts reasoning is read from
        self._content = False
        self._opaque = ""
        self._finish: str | None = None
        self._usage: Usage | None = None
        self._billed_usd: float | None = None
        self._tier: Tier | None = None
        self._response: dict[str, object] | None = None

    def answer(self) -> Answer:
        """Return what was said so far; `data` is the finished response once its terminal event has come."""
        return Answer(
            text="".join(self._text),
            reasoning="".join(self._reasoning),
            tool_calls=tuple(
                ToolCall(call.id, call.name, "".join(call.pieces), call.kind)
                for call in self._calls
            ),
            finish=self._finish,
            usage=self._usage,
            model=self._model,
            deltas=tuple(self._deltas),
            data=self._response,
            opaque=self._opaque,
            dialect="responses",
            searches=ran_in_responses(item.type for item in self._items.values()),
            tier=self._tier,
            billed_usd=self._billed_usd,
        )

    def _read(self, frame: Frame, data: bytes, *, last: bool) -> Sequence[Delta]:
        # Not of this dialect, but sent by servers that grew from the other.
        if data.strip() == b"[DONE]":
            return [self._cut()]
        try:
            event = as_object(loads(data))
        except JsonError:
            if frame.event and not frame.event.startswith(("response.", "error")):
                return []  # an event of the server's own, which SSE lets a reader skip
            return [self._fail(CUT_SHORT if last else "an event is not JSON")]
        if event is None:
            return [self._fail("an event is not an object")]
        kind = event.get("type")
        if not isinstance(kind, str) or not kind:
            kind = frame.event
            event = {**event, "type": kind}
        if kind in _FAILURES or (not kind and event.get("error")):
            return [self._failure(event)]
        try:
            return self._event(kind, frame.raw, event)
        except UpstreamError as error:
            return [self._fail_as(error)]

    def _event(self, kind: str, raw: bytes, event: Mapping[str, object]) -> list[Delta]:
        if kind in _ENDS:
            return self._end(raw, event)
        response = as_object(event.get("response")) or {}
        if self._model is None and isinstance(response.get("model"), str):
            self._model = str(response["model"])
        said = _Said()
        read = self._READS.get(kind)
        if read is not None:
            read(self, event, said)
        return [self._delta(raw, said, event)]

    def _delta(self, raw: bytes, said: _Said, event: Mapping[str, object] | None) -> Delta:
        """Take up what an event adds, and return its delta."""
        if said.text:
            self._text.append(said.text)
        if said.reasoning:
            self._reasoning.append(said.reasoning)
        self._opaque = said.opaque or self._opaque
        self._content = self._content or bool(said.text or said.calls)
        return Delta(
            raw,
            said.text,
            said.reasoning,
            tuple(said.calls),
            data=event,
            opaque=said.opaque,
            dialect="responses",
        )

    def _item(self, event: Mapping[str, object], kind: str) -> _Item:
        """Return the item that an event belongs to, a new one where it begins one.

        Some servers leave `output_index` out; then the item's id tells, or else the last item is meant.
        """
        inner = as_object(event.get("item")) or {}
        key: object = event.get("output_index")
        if not isinstance(key, int):
            key = event.get("item_id") or inner.get("id")
        if not isinstance(key, int | str):
            return self._last or self._new(None, kind)
        found = self._items.get(key)
        self._last = found or self._new(key, kind)
        return self._last

    def _new(self, key: object, kind: str) -> _Item:
        item = _Item(kind)
        if kind in CALLS:
            item.index = len(self._calls)
            item.kind = "custom" if kind == "custom_tool_call" else "function"
            self._calls.append(item)
        self._items[key] = item
        self._last = item
        return item

    def _added(self, event: Mapping[str, object], said: _Said) -> None:
        inner = as_object(event.get("item")) or {}
        kind = inner.get("type")
        item = self._item(event, kind if isinstance(kind, str) else "")
        if item.index >= 0:
            self._name(item, inner)
            said.calls.append(self._fragment(item, "", first=True))

    def _name(self, item: _Item, inner: Mapping[str, object]) -> None:
        name, space = inner.get("name"), inner.get("namespace")
        if isinstance(name, str) and name:
            item.name = flat_name(space, name) if isinstance(space, str) and space else name
        item.id = item.id or call_id_of(inner) or stable_id(item.index, item.name, self._seed)

    def _fragment(self, item: _Item, text: str, *, first: bool = False) -> CallDelta:
        if text:
            item.pieces.append(text)
        named = (item.id or None, item.name or None) if first else (None, None)
        return CallDelta(0, item.index, *named, text, item.kind)

    def _grow(self, event: Mapping[str, object], said: _Said) -> None:
        text = event.get("delta")
        if text is not None and not isinstance(text, str):
            raise UpstreamBroken("a text's delta is not text")
        kind, place = _part_place(event)
        self._take(self._item(event, _ITEM_TYPES[kind]), (kind, place), text or "", said)

    def _filled(self, event: Mapping[str, object], said: _Said) -> None:
        """Take the whole text of a part of which no deltas came."""
        kind, place = _part_place(event)
        item = self._item(event, _ITEM_TYPES[kind])
        if (kind, place) not in item.grown:
            text = event.get("refusal" if kind == "refusal" else "text")
            self._take(item, (kind, place), text if isinstance(text, str) else "", said)

    def _take(self, item: _Item, part: tuple[str, object], text: str, said: _Said) -> None:
        if not text:
            return
        begins = part not in item.grown
        item.grown.add(part)
        if item.type == "message":
            # A message behind another one begins a paragraph of its own.
            apart = "\n\n" if len(item.grown) == 1 and begins and (self._text or said.text) else ""
            said.text += apart + text
            return
        # A summary and the reasoning's own words say the same: the one that begins is read.
        self._thought = self._thought or part[0]
        if part[0] == self._thought:
            apart = "\n\n" if begins and (self._reasoning or said.reasoning) else ""
            said.reasoning += apart + text

    def _arguments(self, event: Mapping[str, object], said: _Said) -> None:
        text = event.get("delta")
        if not isinstance(text, str):
            raise UpstreamBroken("a tool call's arguments are not text")
        item = self._call_item(event)
        first = not item.pieces and not item.id
        if first:
            item.id = stable_id(item.index, item.name, self._seed)
        said.calls.append(self._fragment(item, text, first=first))

    def _arguments_done(self, event: Mapping[str, object], said: _Said) -> None:
        item = self._call_item(event)
        self._complete(item, event.get("input" if item.kind == "custom" else "arguments"), said)

    def _call_item(self, event: Mapping[str, object]) -> _Item:
        custom = str(event.get("type")).startswith("response.custom")
        item = self._item(event, "custom_tool_call" if custom else "function_call")
        if item.index < 0:
            raise UpstreamBroken("arguments came for an item that is no tool call")
        return item

    def _complete(self, item: _Item, whole: object, said: _Said) -> None:
        """Take what of a call's whole arguments has not come in deltas."""
        if not isinstance(whole, str):
            return
        so_far = "".join(item.pieces)
        if not whole.startswith(so_far):
            raise UpstreamBroken(_CONTRADICTION)
        if len(whole) > len(so_far):
            said.calls.append(self._fragment(item, whole[len(so_far) :]))

    def _done(self, event: Mapping[str, object], said: _Said) -> None:
        inner = as_object(event.get("item")) or {}
        named = inner.get("type")
        kind = named if isinstance(named, str) else ""
        item = self._item(event, kind)
        item.item = inner
        if item.index >= 0:
            if not item.name or not item.id:
                self._name(item, inner)
                said.calls.append(self._fragment(item, "", first=True))
            self._complete(item, inner.get("input" if item.kind == "custom" else "arguments"), said)
            return
        if kind == "reasoning":
            said.opaque = opaque_of(inner)
        for name in ("content", "summary"):
            listed = inner.get(name)
            for at, part in enumerate(listed if isinstance(listed, list) else []):
                self._rest(item, at, as_object(part) or {}, said)
        self._content = self._content or has_content(inner) if kind else self._content

    def _rest(self, item: _Item, at: int, part: Mapping[str, object], said: _Said) -> None:
        kind = _PART_KINDS.get(str(part.get("type")))
        if kind is not None and (kind, at) not in item.grown:
            self._take(item, (kind, at), part_text(part), said)

    def _end(self, raw: bytes, event: Mapping[str, object]) -> list[Delta]:
        """Return what the terminal event means; only an answer with content is a success."""
        response = as_object(event.get("response"))
        if response is None:
            raise UpstreamBroken("the response at its end is not an object")
        self._bill(response)  # whatever else is wrong
        if response.get("error"):
            raise told_failure(response["error"], "the response failed")
        output = response.get("output")
        unseen: list[Delta] = []
        known = {mark for key, item in self._items.items() for mark in _marks(key, item)}
        for at, inner in enumerate(output if isinstance(output, list) else []):
            if isinstance(inner, dict) and not _seen(known, at, inner):
                said, key = _Said(), f"output[{at}]"
                self._done({"item_id": key, "item": inner}, said)
                unseen.append(self._delta(b"", said, None))
                known.update(_marks(key, self._items[key]))
        if not all(call.name for call in self._calls):
            raise UpstreamBroken("a tool call has no name")
        items = [item.item for item in self._items.values() if item.item is not None]
        calls = bool(self._calls) or any(is_call(item) for item in items)
        ended = {"status": "incomplete"} if event.get("type") == "response.incomplete" else {}
        self._finish = finish_of({**response, **ended}, calls=calls)
        if self._finish not in CUT and not self._content:
            raise UpstreamBroken("empty answer: neither text nor a tool call")
        if isinstance(response.get("model"), str):
            self._model = str(response["model"])
        self._response = {**response, "output": output or items}
        self._over = True
        finish = Delta(b"", finish=self._finish, usage=self._usage, dialect="responses")
        return [*unseen, finish, Delta(raw, done=True, data=event, dialect="responses")]

    def _bill(self, response: Mapping[str, object]) -> None:
        """Take up what the end says of tokens and money."""
        reported = response.get("usage")
        self._usage, self._billed_usd = read_usage(reported), read_bill(reported)
        self._tier = tier_told(response.get("service_tier"))

    def _failure(self, event: Mapping[str, object]) -> Delta:
        response = as_object(event.get("response")) or event
        self._bill(response)
        return self._fail_as(told_failure(response.get("error") or event, ERROR_EVENT))

    def _end_of_input(self) -> Delta:
        return self._cut()

    def _cut(self) -> Delta:
        """Return the error of a stream without its terminal event."""
        return self._fail(
            CUT_SHORT if self._items or self._model else "the upstream's stream was empty"
        )

    # The name of a part's text in events -> the type of its item, and that of the part itself.

    # Of the class: a reader that held its own methods would be a cycle, and stay until the collector's rarest round.
    _READS: ClassVar[
        Mapping[str, Callable[[ResponsesReader, Mapping[str, object], _Said], None]]
    ] = {
        "response.output_item.added": _added,
        "response.output_item.done": _done,
        "response.output_text.delta": _grow,
        "response.output_text.done": _filled,
        "response.refusal.delta": _grow,
        "response.refusal.done": _filled,
        "response.reasoning_summary_text.delta": _grow,
        "response.reasoning_summary_text.done": _filled,
        "response.reasoning_text.delta": _grow,
        "response.reasoning_text.done": _filled,
        "response.function_call_arguments.delta": _arguments,
        "response.function_call_arguments.done": _arguments_done,
        "response.custom_tool_call_input.delta": _arguments,
        "response.custom_tool_call_input.done": _arguments_done,
    }


_ITEM_TYPES: Mapping[str, str] = {
    "output_text": "message",
    "refusal": "message",
    "reasoning_summary_text": "reasoning",
    "reasoning_text": "reasoning",
}
_PART_KINDS: Mapping[str, str] = {
    "output_text": "output_text",
    "refusal": "refusal",
    "summary_text": "reasoning_summary_text",
    "reasoning_text": "reasoning_text",
}


def _part_place(event: Mapping[str, object]) -> tuple[str, object]:
    """Return which text of its item an event grows: its kind, and the index of its part."""
    kind = str(event.get("type")).split(".")[1]
    index = "summary_index" if kind == "reasoning_summary_text" else "content_index"
    place = event.get(index)
    return kind, place if isinstance(place, int) else 0


def _marks(key: object, item: _Item) -> Iterator[tuple[object, ...]]:
    """Yield by what an item that came is known again: its place or id, and a call's own id."""
    yield item.type, key
    own = (item.item or {}).get("id")
    if own and isinstance(own, str):
        yield item.type, own
    if item.id:
        yield item.type, "call", item.id


def _seen(known: set[tuple[object, ...]], at: int, inner: Mapping[str, object]) -> bool:
    """Whether an item of the finished response came as events: by its ids, or at its place.

    Servers leave items out of the output that counted in the stream; a call taken twice would be run twice.
    """
    kind, own, called = inner.get("type"), inner.get("id"), call_id_of(inner)
    if not isinstance(kind, str):
        return False
    places = (None, at, own) if isinstance(own, str) else (None, at)
    return (kind, "call", called) in known or any((kind, place) in known for place in places)
