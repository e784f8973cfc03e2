"""An upstream's chat stream, read: bytes to deltas, with every way it can be broken told apart from its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from openfusion_auto.core.prompt import Answer, CallDelta, Delta, Tier, ToolCall, Usage
from openfusion_auto.errors import UpstreamBroken, UpstreamError
from openfusion_auto.wire.alike import Alike
from openfusion_auto.wire.chat_answer import (
    CONTENT,
    CUT,
    has_sound,
    read_bill,
    read_usage,
    reasoning_of,
    text_of,
    with_aside,
)
from openfusion_auto.wire.chat_plain import make_plain
from openfusion_auto.wire.chat_tools import stable_id
from openfusion_auto.wire.counts import latest
from openfusion_auto.wire.errors import told_failure
from openfusion_auto.wire.jsons import JsonError, as_object, dumps, loads, loads_text
from openfusion_auto.wire.reader import CUT_SHORT, ERROR_EVENT, StreamReader
from openfusion_auto.wire.sse import LIMIT, Frame
from openfusion_auto.wire.tiers import tier_told


@dataclass(slots=True)
class _Call:
    """A tool call as far as it has come."""

    index: int  # contiguous from 0 within its choice
    id: str = ""  # the upstream's, else one made from index and name
    given: str = ""  # the upstream's
    name: str = ""
    kind: Literal["function", "custom"] = "function"
    arguments: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Choice:
    """One choice as far as it has come; `by_index` maps the upstream's own indexes to calls."""

    seed: str = ""  # of the answer
    content: bool = False
    finish: str | None = None
    calls: list[_Call] = field(default_factory=list)
    by_index: dict[int, _Call] = field(default_factory=dict)


class ChatReader(StreamReader):
    """Reads a stream of Chat Completions; see `StreamReader`."""

    dialect = "chat"

    def __init__(self, limit: int = LIMIT, *, keep: bool = True, seed: str = "") -> None:
        super().__init__(limit, keep=keep, seed=seed)
        self._choices: dict[int, _Choice] = {}
        self._usage: Usage | None = None
        self._billed_usd: float | None = None
        self._tier: Tier | None = None
        self._sound = False
        self._alike = Alike()

    def answer(self) -> Answer:
        """Return what the first choice has said so far."""
        first = self._choices.get(0, _Choice())
        return Answer(
            text="".join(self._text),
            reasoning="".join(self._reasoning),
            tool_calls=tuple(
                ToolCall(call.id, call.name, "".join(call.arguments), call.kind)
                for call in first.calls
            ),
            finish=first.finish,
            usage=self._usage,
            billed_usd=self._billed_usd,
            tier=self._tier,
            sound=self._sound,
            model=self._model,
            deltas=tuple(self._deltas),
        )

    def _read(self, frame: Frame, data: bytes, *, last: bool) -> Sequence[Delta]:
        text = self._alike.text_of(data)
        if text is not None and not frame.event:
            self._text.append(text)
            return (Delta(frame.raw, text),)
        try:
            chunk = loads(data)
        except JsonError:
            return self._no_json(frame, data, last=last)
        if not isinstance(chunk, dict):
            return self._no_object(frame.event)
        told = chunk.get("error", chunk) if frame.event == "error" else chunk.get("error")
        if told or frame.event == "error":
            return (self._fail_as(told_failure(told, ERROR_EVENT)),)
        try:
            delta = self._chunk(frame.raw, chunk)
        except UpstreamError as error:
            return (self._fail_as(error),)
        if delta is None:
            return ()
        if delta.text and delta.raw is frame.raw:
            self._learn(data, delta, chunk)
        return (delta,)

    def _learn(self, data: bytes, delta: Delta, chunk: dict[str, object]) -> None:
        """Learn what stands around the text of a chunk that holds nothing else."""
        choices = chunk["choices"]
        if not isinstance(choices, list) or len(choices) != 1 or choices[0].get("index", 0) != 0:
            return
        said = choices[0]["delta"]
        more = delta.reasoning or delta.calls or delta.finish or delta.usage
        if more or any(value for name, value in said.items() if name not in ("content", "role")):
            return

        def with_text(text: str) -> object:
            return {**chunk, "choices": [{**choices[0], "delta": {**said, "content": text}}]}

        self._alike.learn(data, delta.text, with_text)

    def _no_json(self, frame: Frame, data: bytes, *, last: bool) -> Sequence[Delta]:
        """Return what an event means that is not JSON: the end mark, or one that cannot be."""
        if data.strip() == b"[DONE]":
            return (self._end(frame.raw),)
        if _is_own(frame.event):
            return ()
        return (self._fail(CUT_SHORT if last else "an event is not JSON"),)

    def _no_object(self, event: str) -> Sequence[Delta]:
        if event == "error":
            return (self._fail(ERROR_EVENT),)
        return () if _is_own(event) else (self._fail("an event is not an object"),)

    def _end_of_input(self) -> Delta:
        return self._end(b"")

    def _chunk(self, raw: bytes, chunk: Mapping[str, object]) -> Delta | None:
        """Return the delta of one chunk; None for an object that is no chunk and says nothing."""
        reported = chunk.get("usage")
        if reported is None:
            reported = _of_choice(chunk.get("choices"))
        usage = None if reported is None else read_usage(reported)
        if usage is not None:
            self._usage = usage = latest(self._usage, usage)
            bill = read_bill(reported)
            self._billed_usd = self._billed_usd if bill is None else bill
            self._sound = self._sound or has_sound(reported)
        self._tier = tier_told(chunk.get("service_tier")) or self._tier
        if self._model is None and isinstance(chunk.get("model"), str):
            self._model = str(chunk["model"])
        choices = chunk.get("choices")
        if choices is None:
            # Clients take any data object for a chunk, so one without choices is not passed on.
            return None if usage is None else Delta(b"", usage=usage, data=chunk)
        if not isinstance(choices, list):
            raise UpstreamBroken("an event's choices are not a list")
        if make_plain(choices, "delta"):
            raw = b"data: " + dumps(chunk) + b"\n\n"
        if len(choices) == 1:
            text, reasoning, calls, finish = self._choice(choices[0])
        else:
            text, reasoning, calls, finish = self._several(choices)
        if calls and _amiss(choices, calls):
            _mend(choices, calls)
            raw = b"data: " + dumps(chunk) + b"\n\n"
        return Delta(raw, text, reasoning, calls, finish, usage, data=chunk)

    def _several(self, choices: list[object]) -> tuple[str, str, tuple[CallDelta, ...], str | None]:
        """Return what several choices add: the first's text, all calls, any finish."""
        text = reasoning = ""
        calls: tuple[CallDelta, ...] = ()
        finish: str | None = None
        for value in choices:
            more = self._choice(value)
            text, reasoning = text + more[0], reasoning + more[1]
            calls, finish = calls + more[2], finish or more[3]
        return text, reasoning, calls, finish

    def _choice(self, value: object) -> tuple[str, str, tuple[CallDelta, ...], str | None]:
        choice = as_object(value)
        if choice is None:
            raise UpstreamBroken("a choice is not an object")
        number = choice.get("index", 0)
        if not isinstance(number, int):
            raise UpstreamBroken("a choice's index is not a number")
        state = self._choices.get(number)
        if state is None:
            state = self._choices[number] = _Choice(self._seed)
        finish = choice.get("finish_reason")
        if finish == "error" or choice.get("error"):
            raise told_failure(choice.get("error"), "a choice ended with an error")
        finish = finish if isinstance(finish, str) and finish else None
        state.finish = state.finish or finish
        delta = choice.get("delta") or {}
        if not isinstance(delta, dict):
            raise UpstreamBroken("a choice's delta is not an object")
        text, reasoning, calls = self._said(number, state, delta)
        if finish and not all(call.name for call in state.calls):
            raise UpstreamBroken("a tool call has no name")
        return text, reasoning, calls, finish

    def _said(
        self, number: int, state: _Choice, delta: Mapping[str, object]
    ) -> tuple[str, str, tuple[CallDelta, ...]]:
        """Take up what a delta says; text of other choices than the first is not the hub's."""
        content = delta.get("content")
        text = content if isinstance(content, str) else text_of(content)
        if not CONTENT.isdisjoint(delta):
            text = with_aside(text, delta)
        reasoning = reasoning_of(delta)
        calls: tuple[CallDelta, ...] = ()
        if delta.get("tool_calls") is not None:
            calls = _calls(number, state, delta["tool_calls"])
        if not state.content:
            state.content = bool(text or calls or any(delta.get(f) for f in CONTENT))
        if number != 0:
            return "", "", calls
        if text:
            self._text.append(text)
        if reasoning:
            self._reasoning.append(reasoning)
        return text, reasoning, calls

    def _end(self, raw: bytes) -> Delta:
        """Return what an end means here; only a finished answer with content is a success."""
        if not self._choices:
            return self._fail("the upstream's stream was empty")
        if any(choice.finish is None for choice in self._choices.values()):
            return self._fail(CUT_SHORT)
        if any(not c.content and c.finish not in CUT for c in self._choices.values()):
            return self._fail("empty answer: neither text nor a tool call")
        self._over = True
        return Delta(raw, done=True)


def _of_choice(choices: object) -> object:
    """Return the usage that stands in a choice, where Kimi tells it."""
    first = choices[0] if isinstance(choices, list) and choices else None
    return first.get("usage") if isinstance(first, dict) else None


def _is_own(event: str) -> bool:
    """Return whether an event is the server's own, which SSE lets a reader skip."""
    return event not in ("", "message", "error")


def _calls(number: int, state: _Choice, value: object) -> tuple[CallDelta, ...]:
    if not isinstance(value, list):
        raise UpstreamBroken("tool calls are not a list")
    if not all(isinstance(item, dict) for item in value):
        raise UpstreamBroken("a tool call is not an object")
    return tuple(_call(number, state, item) for item in value)


def _call(number: int, state: _Choice, item: Mapping[str, object]) -> CallDelta:
    custom = as_object(item.get("custom"))
    held = custom or as_object(item.get("function")) or {}
    call_id, name = item.get("id"), held.get("name")
    said = held.get("input" if custom else "arguments")
    said = "" if said is None else said
    if not isinstance(said, str):
        raise UpstreamBroken("a tool call's arguments are not text")
    call_id = call_id if isinstance(call_id, str) and call_id else None
    name = name if isinstance(name, str) and name else None
    call = _find(state, item.get("index"), call_id, name, said)
    call.given = call.given or call_id or ""
    # What a call's fragments say is added up by clients: an id or a name that is told again would be doubled.
    name = None if call.name else name
    call.name = call.name or name or ""
    if custom is not None:
        call.kind = "custom"
    told = None
    if not call.id:
        # Clients drop a call without an id. It is told with the first fragment, so this is the last moment.
        told = call.id = call_id or stable_id(call.index, call.name, state.seed)
    call.arguments.append(said)
    return CallDelta(number, call.index, told, name, said, call.kind)


def _find(state: _Choice, index: object, call_id: str | None, name: str | None, said: str) -> _Call:
    """Return the call that a fragment belongs to, a new one where it begins one: then it has a name.

    Some servers leave the index out, count from 1, or give every call the index 0, with an id of its own or none; some
    give each fragment another id. Clients need an index contiguous from 0, so calls are counted here.
    """
    if isinstance(index, int):
        known = state.by_index.get(index)
    else:
        known = next((call for call in state.calls if call_id and call.given == call_id), None)
        if known is None and state.calls and (call_id is None or name is None):
            known = state.calls[-1]
    if known is None or (name and _is_other(known, call_id, said)):
        known = _Call(len(state.calls))
        state.calls.append(known)
        if isinstance(index, int):
            state.by_index[index] = known
    return known


def _is_other(known: _Call, call_id: str | None, said: str) -> bool:
    """Whether a fragment with a name is of another call than the one of its index: by its id, or as that is whole."""
    if call_id:
        return bool(known.given) and known.given != call_id
    return bool(said and known.name) and _is_whole("".join(known.arguments))


def _is_whole(said: str) -> bool:
    """Whether arguments are a whole object, so that nothing can be added."""
    try:
        return said.endswith("}") and as_object(loads_text(said)) is not None
    except JsonError:
        return False


def _amiss(choices: list[object], calls: tuple[CallDelta, ...]) -> bool:
    """Return whether a fragment's index, id or name is not what clients need: the latter two once a call."""
    return any(
        item.get("index") != call.index
        or (item.get("id") or None) != call.id
        or (_held(item).get("name") or None) != call.name
        for item, call in zip(_fragments(choices), calls, strict=True)
    )


def _mend(choices: list[object], calls: tuple[CallDelta, ...]) -> None:
    """Give the chunk, which is ours alone, what is told of its calls here."""
    for item, call in zip(_fragments(choices), calls, strict=True):
        item["index"] = call.index
        for where, field_, told in ((item, "id", call.id), (_held(item), "name", call.name)):
            where.pop(field_, None)
            if told is not None:
                where[field_] = told


def _held(item: dict[str, object]) -> dict[str, object]:
    """Return what a fragment says of its function or free-text tool."""
    found = item.get("custom") or item.get("function")
    return found if isinstance(found, dict) else {}


def _fragments(choices: list[object]) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for choice in choices:
        delta = choice.get("delta") if isinstance(choice, dict) else None
        found += (delta.get("tool_calls") or ()) if isinstance(delta, dict) else ()
    return found
