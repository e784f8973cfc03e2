"""Deltas of other dialects as chat chunks: what the chat writer relays when the upstream does not speak chat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from openfusion_auto.core.prompt import CallDelta, Delta, Usage
from openfusion_auto.errors import UpstreamBroken
from openfusion_auto.wire.chat_answer import CUT, finish_reason, render_usage
from openfusion_auto.wire.chat_tools import stable_id, unwrap_input
from openfusion_auto.wire.errors import HALF_CALL
from openfusion_auto.wire.jsons import as_object, dumps, is_json

CallKey = tuple[int, int]  # choice, index


@dataclass(slots=True)
class _Call:
    """A call as far as it has come; `held` when its text can only be given whole."""

    index: int
    name: str
    custom: bool
    held: bool
    begun: CallDelta
    arguments: list[str] = field(default_factory=list)


class ChunkMaker:
    """Makes the chunks of one stream, alike in id, time and model, from deltas of another dialect.

    Args:
        answer_id: Id of the chunks; "" takes the upstream's, or one that says nothing.
        created: Their time [s since 1970]; 0 takes the upstream's, where it gives one.
        model: Name in the chunks; None takes the upstream's.
        custom: Names of the client's own free-text tools. A function of that name is such a tool in disguise: its
            call is held until it is whole, and given with the decoded text.
    """

    def __init__(
        self, *, answer_id: str, created: int, model: str | None, custom: frozenset[str]
    ) -> None:
        self._id = answer_id
        self._created = created
        self._model = model
        self._custom = custom
        self._shared: dict[str, object] | None = None
        self._calls: dict[CallKey, _Call] = {}
        self._waiting: list[_Call] = []  # held ones

    def chunks(self, delta: Delta) -> list[Delta]:
        """Return the chat deltas that say what `delta` says; none for one that says nothing here.

        Signatures and encrypted reasoning (`Delta.opaque`) have no place in chat and end here.

        Raises:
            UpstreamBroken: the answer is finished, and a held call is not whole.
        """
        found: list[Delta] = []
        self._note(delta.data)
        says = delta.text or delta.reasoning or delta.calls or delta.finish is not None
        if says and self._shared is None:
            self._shared = self._head()
            found.append(self._delta({"role": "assistant", "content": ""}))
        if delta.reasoning:
            found.append(
                replace(
                    self._delta({"reasoning_content": delta.reasoning}), reasoning=delta.reasoning
                )
            )
        if delta.text:
            found += self._release(finish=None)
            found.append(replace(self._delta({"content": delta.text}), text=delta.text))
        for call in delta.calls:
            found += self._call(call)
        if delta.finish is not None:
            found += self._release(finish=delta.finish)
            found.append(self._finish(delta.finish))
        if delta.usage is not None:
            found.append(self._usage(delta.usage))
        return found

    def _call(self, call: CallDelta) -> list[Delta]:
        key = (call.choice, call.index)
        known = self._calls.get(key)
        if known is not None:
            known.arguments.append(call.arguments)
            return [] if known.held else [self._fragment(known, call.arguments)]
        found = self._release(finish=None)
        name = call.name or ""
        index = len(self._calls)
        disguised = call.kind == "function" and name in self._custom
        known = self._calls[key] = _Call(
            index, name, custom=call.kind == "custom" or disguised, held=disguised, begun=call
        )
        known.arguments.append(call.arguments)
        if disguised:
            self._waiting.append(known)
            return found
        found.append(self._fragment(known, call.arguments, first=True))
        return found

    def _release(self, *, finish: str | None) -> list[Delta]:
        """Return the held calls that are whole; all of them at the end.

        One that the output's bound has cut is given as its raw text: half a text would pass for a whole one.
        """
        found: list[Delta] = []
        waiting: list[_Call] = []
        for call in self._waiting:
            said = "".join(call.arguments)
            if not _whole(said):
                if finish is None:
                    waiting.append(call)
                    continue
                if said and finish not in CUT:
                    raise UpstreamBroken(HALF_CALL)
            found.append(self._fragment(call, unwrap_input(said), first=True))
        self._waiting = waiting
        return found

    def _fragment(self, call: _Call, said: str, *, first: bool = False) -> Delta:
        kind, text = ("custom", "input") if call.custom else ("function", "arguments")
        item: dict[str, object] = {"index": call.index}
        call_id = name = None
        if first:
            call_id, name = call.begun.id or stable_id(call.index, call.name), call.name
            item |= {"id": call_id, "type": kind, kind: {"name": name, text: said}}
        else:
            item[kind] = {text: said}
        shown = CallDelta(
            0, call.index, call_id, name, said, "custom" if call.custom else "function"
        )
        return replace(self._delta({"tool_calls": [item]}), calls=(shown,))

    def _finish(self, finish: str) -> Delta:
        reason = finish_reason(finish, calls=bool(self._calls))
        return replace(self._delta({}, reason), finish=reason)

    def _usage(self, usage: Usage) -> Delta:
        data = {**self._head(), "choices": [], "usage": render_usage(usage)}
        return Delta(_frame(data), usage=usage, data=data)

    def _delta(self, said: Mapping[str, object], finish: str | None = None) -> Delta:
        choice = {"index": 0, "delta": said, "logprobs": None, "finish_reason": finish}
        data = {**self._head(), "choices": [choice]}
        return Delta(_frame(data), data=data)

    def _head(self) -> dict[str, object]:
        """Return what all chunks have alike; from the first chunk on it stays."""
        return self._shared or {
            "id": self._id or "chatcmpl-openfusion",
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._model or "",
        }

    def _note(self, data: Mapping[str, object] | None) -> None:
        """Take id, time and model from the object that the upstream's first event describes."""
        if data is None or self._shared is not None:
            return
        about = as_object(data.get("response")) or as_object(data.get("message")) or {}
        given, created, model = about.get("id"), about.get("created_at"), about.get("model")
        if not self._id and isinstance(given, str):
            self._id = given
        if not self._created and isinstance(created, int | float):
            self._created = int(created)
        if not self._model and isinstance(model, str):
            self._model = model


def _whole(arguments: str) -> bool:
    return arguments.endswith("}") and is_json(arguments)


def _frame(data: Mapping[str, object]) -> bytes:
    return b"data: " + dumps(data) + b"\n\n"
