"""The client's Responses stream, written: events relayed as they came, or made from another dialect's deltas.

What is held, and why:

- events that only open something (`response.created`, an item, a part), until there is content: a fallback then
  stays unseen;
- the events of a tool call, until the call is whole (guarded): a break inside a call can then be mended, and no
  client ever sees half a call; what comes behind them waits too, for order is part of the dialect;
- the terminal event, until the end: the trace stands in its response, because an event of its own is one more thing
  that clients must tolerate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from openfusion_auto.core.prompt import Delta, Usage
from openfusion_auto.errors import FusionError, UpstreamBroken
from openfusion_auto.wire.errors import HALF_CALL, UNFINISHED
from openfusion_auto.wire.jsons import as_object, dumps, is_json
from openfusion_auto.wire.responses_answer import (
    ANSWER_ID,
    CALLS,
    CUT,
    NO_ECHO,
    NO_TOOLS,
    id_like,
    render_error,
    response_object,
    with_trace,
)
from openfusion_auto.wire.responses_compose import Composer, Event
from openfusion_auto.wire.responses_tools import ClientTools

KEEP_ALIVE = b": keep-alive\n\n"
_HEADS = ("response.created", "response.in_progress", "response.queued")
# Events that only open what others fill.
_OPENERS = (
    *_HEADS,
    "response.output_item.added",
    "response.content_part.added",
    "response.reasoning_summary_part.added",
)


@dataclass(slots=True)
class Head:
    """What one client's stream has in common over all attempts; a writer takes over where another stopped.

    Attributes:
        answer_id: Id of the response, where events are made here; "" until one is known.
        created: Its time [s since 1970].
        next: Number of the next event; None before the first.
        opened: `response.created` was made here and is with the client: every attempt goes on under its id.
        response: The response as the client last saw it, for keep-alives and failures.
    """

    answer_id: str = ""
    created: int = 0
    next: int | None = None
    opened: bool = False
    response: dict[str, object] | None = None


class ResponsesWriter:
    """Writes one attempt's deltas for one client. A further attempt takes a new writer: what is held belongs to it.

    Args:
        include_usage: Without effect: every answer of this dialect shows its usage.
        guarded: Hold tool calls until they are whole.
        model: Name to show in every response; None leaves the upstream's.
        custom: Names of the client's free-text tools; `tools` says the same and more.
        answer_id: Id of a response that is made here; "" makes one of the upstream's.
        created: Its time [s since 1970].
        tools: The client's tools (`responses_tools.client_tools`).
        echo: What a response that is made here shows of the request (`responses_answer.echo_of`).
        head: Of an earlier writer for the same client, whose `open` or keep-alives have gone out.

    Attributes:
        started: Content has been given out: from now on there is no other candidate for this answer.
        head: To hand to the next attempt's writer.
    """

    def __init__(
        self,
        *,
        include_usage: bool = True,
        guarded: bool = True,
        model: str | None = None,
        custom: frozenset[str] = frozenset(),
        answer_id: str = "",
        created: int = 0,
        tools: ClientTools = NO_TOOLS,
        echo: Mapping[str, object] = NO_ECHO,
        head: Head | None = None,
    ) -> None:
        del include_usage
        self.started = False
        self.head = head or Head(answer_id, created)
        self._guarded = guarded
        self._model = model
        self._tools = tools._replace(custom=tools.custom | custom)
        self._echo = echo
        self._held: list[Delta] = []  # openers before any content
        self._queue: list[Delta] = []  # from a tool call's first event on
        self._open: dict[object, list[str]] = {}  # calls in the queue: place -> their arguments
        self._free: set[object] = set()  # whose arguments are free text
        self._terminal: Delta | None = None
        self._composer: Composer | None = None
        self._finish: str | None = None
        self._usage: Usage | None = None
        self._named = ""  # the model that another dialect's upstream reports

    def open(self, model: str = "") -> bytes:
        """Return `response.created` and `response.in_progress` ahead of any attempt; b"" when the stream has begun.

        For requests whose inner calls take long: comments do not keep every client alive, repeated events do. No
        byte of an answer has gone out by this: another candidate can still answer.

        Args:
            model: Name to show until a model has answered: the one that was asked for.
        """
        if self.head.next is not None:
            return b""
        self.head.opened = True
        self.head.answer_id = self.head.answer_id or ANSWER_ID
        return self._create(model)

    def write(self, delta: Delta) -> bytes:
        """Return what the client gets now, b"" when the delta is held or not for it.

        Raises:
            UpstreamBroken: the delta is an error, or ends a tool call whose arguments are not JSON.
        """
        if delta.error is not None:
            raise UpstreamBroken(f"The upstream's stream broke: {delta.error}.")
        self._finish = delta.finish or self._finish
        self._usage = delta.usage or self._usage
        if delta.dialect != "responses":
            return self._compose(delta)
        if delta.done:
            self._terminal = delta
            return b""
        return self._relay(delta) if delta.raw else b""

    def finish(self, trace: Mapping[str, object] | None, usage: Usage | None) -> bytes:
        """Return the end of the stream: what is held, and the terminal event with the trace in its response.

        Args:
            trace: The field `openfusion`; None leaves it out.
            usage: Sum of all calls of the request; None leaves the upstream's own.

        Raises:
            UpstreamBroken: no end has come, or a tool call is not whole.
        """
        if self._terminal is not None:
            return self._finish_relay(self._terminal, trace, usage)
        if self._finish is None:
            raise UpstreamBroken(UNFINISHED)
        composer = self._composer
        out = self._give([] if composer is None else composer.end(cut=self._finish in CUT))
        response = self._response(
            "completed",
            output=[] if composer is None else composer.output,
            usage=self._usage or Usage(),
            finish=self._finish,
        )
        kind = "response.incomplete" if self._finish in CUT else "response.completed"
        ended = with_trace(response, trace, usage)
        return out + self._frame({"type": kind, "response": ended})

    def fail(self, error: FusionError) -> bytes:
        """Return the stream's failure event; what is held is dropped. A stream that has not begun is begun first."""
        out = self._create() if self.head.next is None else b""
        response = {**(self.head.response or self._response("failed")), "status": "failed"}
        response["error"] = render_error(error)
        return out + self._frame({"type": "response.failed", "response": response})

    def keep_alive(self) -> bytes:
        """Return a repeated `response.in_progress`, before the first event a comment."""
        if self.head.next is None or self.head.response is None:
            return KEEP_ALIVE
        return self._frame({"type": "response.in_progress", "response": self.head.response})

    # --- events as they came ---------------------------------------------------------------------------------

    def _relay(self, delta: Delta) -> bytes:
        data = delta.data or {}
        kind = data.get("type")
        if kind in _HEADS and self.head.opened:
            return b""
        if self._guarded:
            self._note(kind, delta, data)
        if self._queue or self._open:
            self._queue.append(delta)
            return b"" if self._open else self._release()
        opens = kind in _OPENERS or not _is_content(kind, delta)
        if opens and not self.started:
            self._held.append(delta)
            return b""
        if self._held:
            self._held.append(delta)
            return self._release()
        self.started = True
        return self._show(delta)

    def _note(self, kind: object, delta: Delta, data: Mapping[str, object]) -> None:
        """Follow the calls in the stream: open with their first event, closed when done and whole."""
        inner = as_object(data.get("item")) or {}
        place = data.get("output_index", data.get("item_id"))
        place = place if isinstance(place, int | str) else None
        if kind == "response.output_item.done":
            self._note_done(place, inner)
            return
        begins = kind == "response.output_item.added" and str(inner.get("type")) in CALLS
        if begins or delta.calls:
            pieces = self._open.setdefault(place, [])
            pieces += (call.arguments for call in delta.calls)
            if any(call.kind == "custom" for call in delta.calls):
                self._free.add(place)

    def _note_done(self, place: object, item: Mapping[str, object]) -> None:
        """Close a call that is done. One that says itself that it was cut waits for the response to say so too."""
        if str(item.get("type")) not in CALLS and place not in self._open:
            return
        whole = item.get("arguments")
        said = whole if isinstance(whole, str) else "".join(self._open.get(place, ()))
        free = place in self._free or item.get("type") == "custom_tool_call"
        if free or not said or is_json(said):
            self._open.pop(place, None)
        elif item.get("status") == "incomplete":
            self._open[place] = [said]
        else:
            raise UpstreamBroken(HALF_CALL)

    def _finish_relay(
        self, terminal: Delta, trace: Mapping[str, object] | None, usage: Usage | None
    ) -> bytes:
        data = terminal.data or {}
        if data.get("type") != "response.incomplete":
            for place, pieces in self._open.items():
                said = "".join(pieces)
                if place not in self._free and said and not is_json(said):
                    raise UpstreamBroken(HALF_CALL)
        out = self._release()
        response = as_object(data.get("response")) or {}
        ended = with_trace(response, trace, usage)
        return out + self._show(terminal, ended if ended != response else None)

    def _release(self) -> bytes:
        """Give out all that is held."""
        out = b"".join([self._show(delta) for delta in (*self._held, *self._queue)])
        self._held.clear()
        self._queue.clear()
        self._open.clear()
        self.started = True
        return out

    def _show(self, delta: Delta, ended: Mapping[str, object] | None = None) -> bytes:
        """Return an event as it came if its number and framing are right, else with these mended."""
        data = delta.data or {}
        response = ended or as_object(data.get("response"))
        changed = response is not None and self._rename(response)
        if response is not None:
            response = changed or response
            self.head.response = {**response, "status": "in_progress"}
        number = data.get("sequence_number")
        if self.head.next is None and isinstance(number, int):
            self.head.next = number
        kind = data.get("type")
        if (
            isinstance(number, int)
            and number == self.head.next
            and not (changed or ended)
            and _is_plain(delta.raw, kind)
        ):
            self.head.next = (self.head.next or 0) + 1
            return delta.raw
        event = dict(data) if response is None else {**data, "response": response}
        return self._frame(event)

    def _rename(self, response: Mapping[str, object]) -> dict[str, object] | None:
        """Return a response under the name and id that the client knows; None when it has them."""
        changes: dict[str, object] = {}
        if self._model is not None:
            changes["model"] = self._model
        if self.head.opened:
            changes["id"] = self.head.answer_id
        if all(response.get(key) == value for key, value in changes.items()):
            return None
        return {**response, **changes}

    # --- events made here ------------------------------------------------------------------------------------

    def _compose(self, delta: Delta) -> bytes:
        if not self._named:
            self._named = _model_of(delta.data or {})
        self.head.answer_id = self.head.answer_id or id_like(delta.data)
        events: list[Event] = []
        if self._composer is None and _is_content("", delta):
            self.head.answer_id = self.head.answer_id or ANSWER_ID
            self._composer = Composer(
                answer_id=self.head.answer_id, tools=self._tools, guarded=self._guarded
            )
        if self._composer is not None:
            events = self._composer.add(delta)
        return self._give(events) if events else b""

    def _give(self, events: list[Event]) -> bytes:
        """Return events, behind the stream's beginning."""
        out = self._create() if self.head.next is None else b""
        self.started = True
        return out + b"".join([self._frame(event) for event in events])

    def _create(self, model: str = "") -> bytes:
        response = self.head.response = self._response("in_progress", model=model)
        return b"".join(
            self._frame({"type": kind, "response": response})
            for kind in ("response.created", "response.in_progress")
        )

    def _response(
        self,
        status: str,
        *,
        output: list[dict[str, object]] | None = None,
        usage: Usage | None = None,
        finish: str | None = None,
        model: str = "",
    ) -> dict[str, object]:
        return response_object(
            answer_id=self.head.answer_id or ANSWER_ID,
            created=self.head.created,
            model=self._model or self._named or model,
            status=status,
            output=output or (),
            usage=usage,
            finish=finish,
            echo=self._echo,
        )

    def _frame(self, event: Mapping[str, object]) -> bytes:
        """Return an event with its number: every event of a stream has one, each one more than the last."""
        number = self.head.next or 0
        self.head.next = number + 1
        kind = str(event.get("type", ""))
        numbered = {"type": kind, "sequence_number": number}
        return b"event: %b\ndata: %b\n\n" % (
            kind.encode(errors="replace"),
            dumps({**numbered, **event, **numbered}),
        )


def _is_content(kind: object, delta: Delta) -> bool:
    """Return whether an event says something: from then on the answer is this one."""
    return bool(delta.text or delta.reasoning or delta.calls or kind == "response.output_item.done")


def _is_plain(raw: bytes, kind: object) -> bool:
    """Return whether an event's bytes are framed in the plainest way, under its own name."""
    head = b"event: %b\ndata: " % str(kind).encode(errors="replace")
    return raw.startswith(head) and raw.find(b"\n", len(head)) == len(raw) - 2 and b"\r" not in raw


def _model_of(data: Mapping[str, object]) -> str:
    """Return the model that another dialect's event names, "" when it names none."""
    about = as_object(data.get("message")) or data
    model = about.get("model")
    return model if isinstance(model, str) else ""
