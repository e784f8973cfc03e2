"""The Responses dialect, whole: what a surface and an upstream of it need, and a whole answer as a stream.

`docs/reference/responses.md` lists what converts, what is dropped and what is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from openfusion_auto.core.prompt import Answer, Delta
from openfusion_auto.wire.jsons import as_object, dumps
from openfusion_auto.wire.responses_answer import (
    build,
    echo_of,
    error_body,
    read_answer,
    read_usage,
    render_answer,
)
from openfusion_auto.wire.responses_compose import Event, item_events
from openfusion_auto.wire.responses_reader import ResponsesReader
from openfusion_auto.wire.responses_render import render_request
from openfusion_auto.wire.responses_request import (
    check_foreign,
    parse_request,
    splice_request,
    without_opaque,
)
from openfusion_auto.wire.responses_tools import ClientTools, client_tools
from openfusion_auto.wire.responses_writer import KEEP_ALIVE, Head, ResponsesWriter

__all__ = [
    "KEEP_ALIVE",
    "ClientTools",
    "Head",
    "Reader",
    "ResponsesReader",
    "ResponsesWriter",
    "Writer",
    "check_foreign",
    "client_tools",
    "deltas_of",
    "echo_of",
    "error_body",
    "parse_request",
    "read_answer",
    "read_usage",
    "render_answer",
    "render_request",
    "splice_request",
    "without_opaque",
]

Reader = ResponsesReader
Writer = ResponsesWriter


def deltas_of(answer: Answer) -> tuple[Delta, ...]:
    """Return a whole answer as the deltas of a stream of this dialect.

    An answer that was streamed in this dialect gives its own deltas; one that came as a body of it keeps all its
    items and fields. So a recipe that changes an answer must clear `deltas`, `raw` and `data`.
    """
    own = answer.dialect == "responses"
    if own and answer.deltas:
        return answer.deltas
    response = answer.data if own else None
    if response is None or "output" not in response:
        response = build(answer, model=answer.model or "", answer_id="", created=0)
    frames = [
        b"event: %b\ndata: %b\n\n"
        % (str(event["type"]).encode(), dumps({**event, "sequence_number": number}))
        for number, event in enumerate(_events(response))
    ]
    reader = ResponsesReader()
    return (*reader.feed(b"".join(frames)), *reader.close())


def _events(response: Mapping[str, object]) -> Iterator[Event]:
    running = {
        **response,
        "status": "in_progress",
        "output": [],
        "usage": None,
        "incomplete_details": None,
    }
    running.pop("openfusion", None)
    yield {"type": "response.created", "response": running}
    yield {"type": "response.in_progress", "response": running}
    output = response.get("output")
    for index, item in enumerate(output if isinstance(output, list) else []):
        yield from item_events(as_object(item) or {}, index)
    cut = response.get("status") == "incomplete"
    kind = "response.incomplete" if cut else "response.completed"
    yield {"type": kind, "response": dict(response)}
