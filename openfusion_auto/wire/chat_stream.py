"""Chat streams: the reader of an upstream's, the writer of a client's, and a whole answer as a stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from openfusion_auto.core.prompt import Answer, Delta
from openfusion_auto.wire.chat_answer import completion, finish_reason, reasoning_of, text_of
from openfusion_auto.wire.chat_reader import ChatReader
from openfusion_auto.wire.chat_writer import DONE, KEEP_ALIVE, ChatWriter
from openfusion_auto.wire.jsons import as_object, dumps
from openfusion_auto.wire.reader import CUT_SHORT

__all__ = ["CUT_SHORT", "DONE", "KEEP_ALIVE", "ChatReader", "ChatWriter", "deltas_of"]

PIECE = 4096  # characters of one delta: below the line limits (64 KB) that readers of streams have
_REASONING = ("reasoning_content", "reasoning")
_OWN = ("role", "content", "tool_calls", *_REASONING)


def deltas_of(answer: Answer) -> tuple[Delta, ...]:
    """Return a whole answer as the deltas of a stream: role, reasoning, content, calls, finish, usage, done.

    An answer that was streamed gives its own deltas; one that came as a body keeps all of it, further choices
    and unknown fields included. So a recipe that changes an answer must clear `deltas`, `raw` and `data`.
    """
    own = answer.dialect == "chat"
    if own and answer.deltas:
        return answer.deltas
    body: Mapping[str, object] | None = answer.data if own and answer.raw else None
    if body is None or "choices" not in body:
        body = completion(
            answer, model=answer.model or "", answer_id="chatcmpl-openfusion", created=0
        )
    reader = ChatReader()
    frames = [b"data: " + dumps(chunk) + b"\n\n" for chunk in _chunks(body)]
    return (*reader.feed(b"".join((*frames, DONE))), *reader.close())


def _chunks(body: Mapping[str, object]) -> Iterator[dict[str, object]]:
    shared = {key: v for key, v in body.items() if key not in ("choices", "usage", "openfusion")}
    shared["object"] = "chat.completion.chunk"
    choices = body.get("choices")
    for at, value in enumerate(choices if isinstance(choices, list) else []):
        choice = as_object(value) or {}
        message = as_object(choice.get("message")) or {}
        index = choice.get("index", at)
        for delta, logprobs in _message_deltas(message, choice.get("logprobs")):
            yield {**shared, "choices": [_choice(index, delta, logprobs, None)]}
        ended = choice.get("finish_reason")
        reason = finish_reason(
            ended if isinstance(ended, str) else None, calls=bool(message.get("tool_calls"))
        )
        yield {**shared, "choices": [_choice(index, {}, None, reason)]}
    if body.get("usage") is not None:
        yield {**shared, "choices": [], "usage": body["usage"]}


def _choice(
    index: object, delta: object, logprobs: object, finish: str | None
) -> dict[str, object]:
    return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}


def _message_deltas(
    message: Mapping[str, object], logprobs: object
) -> Iterator[tuple[dict[str, object], object]]:
    """Yield the deltas of one message, each with its log probabilities: all on the first of the content."""
    yield {"role": "assistant", "content": ""}, None
    field = next((name for name in _REASONING if message.get(name)), "reasoning_content")
    for piece in _pieces(reasoning_of(message)):
        yield {field: piece}, None
    for piece in _pieces(text_of(message.get("content"))):
        yield {"content": piece}, logprobs
        logprobs = None
    rest = {name: v for name, v in message.items() if name not in _OWN and v is not None}
    if rest:
        yield rest, None
    calls = message.get("tool_calls")
    for at, value in enumerate(calls if isinstance(calls, list) else []):
        for fragment in _call_fragments(at, as_object(value) or {}):
            yield {"tool_calls": [fragment]}, None


def _call_fragments(at: int, call: Mapping[str, object]) -> Iterator[dict[str, object]]:
    kind = "custom" if "custom" in call else "function"
    said = "input" if kind == "custom" else "arguments"
    held = as_object(call.get(kind)) or {}
    yield {**call, "index": at, "type": kind, kind: {**held, said: ""}}
    written = held.get(said)
    for piece in _pieces(written if isinstance(written, str) else ""):
        yield {"index": at, kind: {said: piece}}


def _pieces(text: str) -> Iterator[str]:
    return (text[i : i + PIECE] for i in range(0, len(text), PIECE))
