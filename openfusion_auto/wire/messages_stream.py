"""A whole answer as a Messages stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from openfusion_auto.core.prompt import Answer, Delta
from openfusion_auto.wire.chat_stream import PIECE
from openfusion_auto.wire.jsons import as_object, dumps
from openfusion_auto.wire.messages_answer import mended_block, message
from openfusion_auto.wire.messages_reader import MessagesReader
from openfusion_auto.wire.messages_relay import STOP, event_frame


def deltas_of(answer: Answer) -> tuple[Delta, ...]:
    """Return a whole answer as the deltas of a stream of this dialect, from `message_start` to `message_stop`.

    An answer that was streamed in this dialect gives its own deltas; one that came as its body keeps all of it,
    unknown blocks and fields included; any other is made of the hub's fields. So a recipe that changes an answer
    must clear `deltas`, `raw` and `data`.
    """
    own = answer.dialect == "messages"
    if own and answer.deltas:
        return answer.deltas
    body: Mapping[str, object] | None = answer.data if own and answer.raw else None
    if body is None:
        body = message(answer, model=answer.model or "", answer_id="msg_openfusion")
    reader = MessagesReader()
    frames = [event_frame(event) for event in _events(body)]
    return (*reader.feed(b"".join(frames)), *reader.close())


def _events(body: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    usage = as_object(body.get("usage")) or {}
    begun = {key: value for key, value in body.items() if key != "openfusion"}
    begun |= {"content": [], "stop_reason": None, "stop_sequence": None}
    # Counts that the SDKs want from the first event on.
    begun["usage"] = {"input_tokens": 0, **usage, "output_tokens": 0}
    yield {"type": "message_start", "message": begun}
    content = body.get("content")
    for index, value in enumerate(content if isinstance(content, list) else []):
        block = as_object(value) or {}
        start, deltas = _split(mended_block(block) or block)
        yield {"type": "content_block_start", "index": index, "content_block": start}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    ended = {"stop_reason": body.get("stop_reason"), "stop_sequence": body.get("stop_sequence")}
    last: dict[str, object] = {"type": "message_delta", "delta": ended}
    yield last | ({"usage": usage} if usage else {})
    yield STOP


def _split(
    block: Mapping[str, object],
) -> tuple[Mapping[str, object], list[Mapping[str, object]]]:
    """Return how a block begins and the deltas that fill it; one of an unknown type begins whole."""
    match block.get("type"):
        case "text":
            cited = block.get("citations")
            found = cited if isinstance(cited, list) else []
            texts = _pieces("text_delta", "text", block.get("text"))
            marks: list[Mapping[str, object]] = [
                {"type": "citations_delta", "citation": citation} for citation in found
            ]
            start = {key: value for key, value in block.items() if key != "citations"}
            return {**start, "text": ""}, [*texts, *marks]
        case "thinking":
            deltas = _pieces("thinking_delta", "thinking", block.get("thinking"))
            signed = block.get("signature")
            if signed:
                deltas.append({"type": "signature_delta", "signature": signed})
            return {**block, "thinking": "", "signature": ""}, deltas
        case "tool_use":
            said = dumps(block.get("input") or {}).decode()
            return {**block, "input": {}}, _pieces("input_json_delta", "partial_json", said)
        case _:
            return block, []


def _pieces(kind: str, field: str, text: object) -> list[Mapping[str, object]]:
    whole = text if isinstance(text, str) else ""
    cuts = range(0, len(whole), PIECE)
    return [{"type": kind, field: whole[i : i + PIECE]} for i in cuts]
