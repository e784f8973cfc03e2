"""A conversation as APIs demand it that want each call answered right behind the message that made it.

Other dialects may list calls one by one, put words between a call and its result, or leave a call without any: a
person stopped it, or the server that took the history before did not mind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from openfusion_auto.core.prompt import Message, Part

NOT_RUN = "(There is no result: the call was not run.)"


def in_order(messages: Sequence[Message]) -> list[Message]:
    """Return messages with the results of each call behind the message that made it, one message for each turn of the
    model's; a call without a result gets one that says so."""
    turns: list[tuple[Message, list[Message]]] = []
    asked: dict[str, int] = {}  # call id -> the last turn that asked so
    for message in messages:
        turn = asked.get(message.tool_call_id or "") if message.role == "tool" else None
        if turn is not None:
            turns[turn][1].append(message)
            continue
        last, results = turns[-1] if turns else (None, [])
        if last is not None and not results and last.role == message.role == "assistant":
            turns[-1] = (_joined(last, message), results)
        else:
            turns.append((message, []))
        asked.update((call.id, len(turns) - 1) for call in message.tool_calls)
    return [
        message for turn, results in turns for message in (turn, *results, *_missing(turn, results))
    ]


def answered(messages: Sequence[Message]) -> Sequence[Message]:
    """Return messages as they are where each call has a result somewhere; else as `in_order` does."""
    told = {message.tool_call_id for message in messages}
    whole = all(call.id in told for message in messages for call in message.tool_calls)
    return messages if whole else in_order(messages)


def _joined(first: Message, second: Message) -> Message:
    return replace(
        first,
        parts=(*first.parts, *second.parts),
        tool_calls=(*first.tool_calls, *second.tool_calls),
    )


def _missing(turn: Message, results: Sequence[Message]) -> list[Message]:
    answered = {result.tool_call_id for result in results}
    return [
        Message("tool", (Part("text", NOT_RUN),), tool_call_id=call.id)
        for call in turn.tool_calls
        if call.id not in answered
    ]
