"""A history on its way to another model: what belongs to its maker stays behind, and the trace says so.

Reasoning signatures, encrypted items and compacted histories mean something to the model and upstream that made them
and to nobody else: sent elsewhere they make every further request of a session a 400. On the way to their maker
nothing is touched. A *seal* is the text by which such a thing is known again: its signature or encrypted content, the
id of a reasoning item without such content, the words of thinking without a signature.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from openfusion_auto.core.prompt import Answer, Delta, Dialect, Message, Part, Prompt
from openfusion_auto.errors import BadRequest
from openfusion_auto.wire.jsons import as_object
from openfusion_auto.wire.rendered import counted

# The field of an assistant's message in which chat upstreams put theirs.
CHAT_OPAQUE = "reasoning_details"
SEALABLE = ("reasoning", "other")  # kinds of parts that may hold a seal
COMPACTION = "compaction"  # the type of a Messages block that stands for what came before it
UNSIGNED_WORDS = "words:"  # before thinking that has no signature, as its seal
Foreign = Callable[[str], bool]


def undroppable(prompt: Prompt) -> Iterator[str]:
    """Yield the seals that stand for a history: without them the model knows nothing of the session."""
    for message in prompt.messages:
        for part in message.parts:
            if part.kind == "other":
                yield from seals_of(part, prompt.dialect)


def seals_of_prompt(prompt: Prompt) -> Iterator[str]:
    """Yield all seals of a history."""
    for message in prompt.messages:
        for part in message.parts:
            yield from seals_of(part, prompt.dialect)


def seals_of(part: Part, dialect: Dialect) -> Iterator[str]:
    """Yield the seals of one part; none for what anybody can read."""
    raw = part.raw or {}
    if part.kind not in SEALABLE:
        return
    match dialect:
        case "chat":
            found = list(chat_seals(raw.get(CHAT_OPAQUE)))
            yield from found or ([part.opaque] if part.opaque and CHAT_OPAQUE not in raw else [])
        case "messages":
            yield from block_seals(raw)
        case "responses":
            yield from item_seals(raw)


def chat_seals(details: object) -> Iterator[str]:
    """Yield the signatures and encrypted data of `reasoning_details`; their summaries are readable."""
    for detail in details if isinstance(details, list) else ():
        found = as_object(detail) or {}
        for field in ("signature", "data"):
            value = found.get(field)
            if isinstance(value, str) and value:
                yield value


def block_seals(block: Mapping[str, object]) -> Iterator[str]:
    """Yield the seal of a Messages block."""
    fields = {"thinking": "signature", "redacted_thinking": "data", COMPACTION: "content"}
    field = fields.get(str(block.get("type")))
    value = None if field is None else block.get(field)
    if isinstance(value, str) and value:
        yield value
    elif field == "signature" and isinstance(block.get("thinking"), str) and block["thinking"]:
        yield UNSIGNED_WORDS + str(block["thinking"])


def item_seals(item: Mapping[str, object]) -> Iterator[str]:
    """Yield the seal of a Responses item."""
    from openfusion_auto.wire.responses_items import opaque_of
    from openfusion_auto.wire.responses_request import SEALED

    if str(item.get("type")) not in SEALED:
        return
    value = opaque_of(item) or item.get("id")
    if isinstance(value, str) and value:
        yield value


class Seals:
    """Collects the seals in one answer's stream as it comes."""

    def __init__(self) -> None:
        self._words: list[str] = []  # of the open thinking block, as long as it has no signature

    def take(self, deltas: Iterable[Delta]) -> list[str]:
        """Return the seals that these events complete."""
        found: list[str] = []
        for delta in deltas:
            if delta.data is None:
                continue
            if delta.dialect == "chat":
                if _may_seal(delta.data):
                    found += chunk_seals(delta.data, "delta")
            elif delta.text:
                continue  # the most of a stream
            elif delta.dialect == "messages":
                found += self._block(delta, delta.data)
            elif delta.data.get("type") == "response.output_item.done":
                found += item_seals(as_object(delta.data.get("item")) or {})
        return found

    def _block(self, delta: Delta, data: Mapping[str, object]) -> list[str]:
        kind = data.get("type")
        if delta.reasoning:
            self._words.append(delta.reasoning)
        if delta.opaque:
            self._words.clear()
            return [delta.opaque]
        if kind == "content_block_stop" and self._words:
            words = "".join(self._words)
            self._words.clear()
            return [UNSIGNED_WORDS + words]
        told = as_object(data.get("delta")) or as_object(data.get("content_block")) or {}
        if str(told.get("type")).startswith(COMPACTION):
            return list(block_seals({**told, "type": COMPACTION}))
        return []


def seals_of_answer(answer: Answer) -> Iterator[str]:
    """Yield the seals in an answer that came whole."""
    data = answer.data or {}
    match answer.dialect:
        case "chat":
            yield from chunk_seals(data, "message")
        case "messages":
            for block in objects(data.get("content")):
                yield from block_seals(block)
        case "responses":
            for item in objects(data.get("output")):
                yield from item_seals(item)


def chunk_seals(data: Mapping[str, object], field: str) -> Iterator[str]:
    """Yield the seals in a chat answer or chunk, whose choices speak in `field`."""
    for choice in objects(data.get("choices")):
        said = as_object(choice.get(field)) or {}
        yield from chat_seals(said.get(CHAT_OPAQUE))
        for part in objects(said.get("content")):
            yield from (str(part[k]) for k in ("signature", "data") if isinstance(part.get(k), str))


def _may_seal(chunk: Mapping[str, object]) -> bool:
    """Whether a chat chunk has what a seal can stand in: hardly any has, and all are asked."""
    choices = chunk.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        said = choice.get("delta") if isinstance(choice, dict) else None
        if isinstance(said, dict) and (
            CHAT_OPAQUE in said or isinstance(said.get("content"), list)
        ):
            return True
    return False


def for_another(prompt: Prompt, foreign: Foreign) -> tuple[Prompt, tuple[str, ...]]:
    """Return the prompt without what the model that gets it did not make, and what was lost.

    For an upstream of the prompt's own dialect. What the model made itself stays; the prompt stays as it came when
    there is nothing else. What this router made of another dialect's reasoning is nobody's, and never stays.

    Args:
        prompt: The request.
        foreign: Whether a seal is somebody else's, or nobody knows whose.
    """
    match prompt.dialect:
        case "responses":
            from openfusion_auto.wire.responses import without_opaque
            from openfusion_auto.wire.responses_items import without_made

            return without_opaque(
                prompt, lambda item: not without_made([item]) or any(map(foreign, item_seals(item)))
            )
        case "messages":
            return _messages(prompt, foreign)
        case "chat":
            return without_details(prompt, foreign)


def _messages(prompt: Prompt, foreign: Foreign) -> tuple[Prompt, tuple[str, ...]]:
    from openfusion_auto.wire.messages import without_reasoning

    def gone(block: Mapping[str, object]) -> bool:
        return any(map(foreign, block_seals(block)))  # the mark of our own is known to no maker

    hits = [[p.kind for p in m.parts if p.raw is not None and gone(p.raw)] for m in prompt.messages]
    if not any(hits):
        return prompt, ()
    changed = without_reasoning(prompt, gone)
    lost = counted("reasoning", sum("reasoning" in kinds for kinds in hits))
    lost += counted("compacted history", sum("other" in kinds for kinds in hits))
    if "thinking" in prompt.body and "thinking" not in changed.body:
        lost += ("thinking inside a tool loop",)
    return changed, lost


def without_details(prompt: Prompt, foreign: Foreign) -> tuple[Prompt, tuple[str, ...]]:
    """Return a chat prompt without the sealed reasoning of others in it; readable reasoning stays."""
    if not any(p.kind in SEALABLE for m in prompt.messages for p in m.parts):
        return prompt, ()
    hit = [_is_foreign(m, foreign) for m in prompt.messages]
    listed = prompt.body.get("messages")
    if not any(hit) or not isinstance(listed, list):
        return prompt, ()
    # One message of the body is one of the hub's.
    messages = [bare(m) if gone else m for m, gone in zip(listed, hit, strict=True)]
    hub = tuple(
        replace(m, parts=tuple(unsealed(p) for p in m.parts)) if gone else m
        for m, gone in zip(prompt.messages, hit, strict=True)
    )
    changed = replace(prompt, body={**prompt.body, "messages": messages}, messages=hub, raw=b"")
    return changed, counted("reasoning", sum(hit))


def _is_foreign(message: Message, foreign: Foreign) -> bool:
    return any(foreign(seal) for part in message.parts for seal in seals_of(part, "chat"))


def bare(message: object) -> object:
    """Return a message of a chat body without its sealed reasoning."""
    found = {k: v for k, v in (as_object(message) or {}).items() if k != CHAT_OPAQUE}
    content = found.get("content")
    if isinstance(content, list):
        kept = [part for part in content if not _is_signed(part)]
        found["content"] = kept or ""
    return found


def _is_signed(part: object) -> bool:
    found = as_object(part) or {}
    thinks = found.get("type") in ("reasoning", "thinking", "redacted_thinking")
    return thinks and bool(found.get("signature") or found.get("data"))


def unsealed(part: Part) -> Part:
    """Return a part without its opaque text."""
    return replace(part, opaque="", size=0, raw=None) if part.opaque else part


def is_bound(prompt: Prompt) -> bool:
    """Return whether a prompt holds what an upstream of another dialect cannot be told and nobody may drop."""
    if prompt.dialect == "chat":
        return False
    try:
        check_foreign(prompt, "chat")
    except BadRequest:
        return True
    return False


def check_foreign(prompt: Prompt, dialect: Dialect) -> None:
    """Refuse what an upstream of another dialect cannot be told and nobody may drop.

    Raises:
        BadRequest: names the item.
    """
    if prompt.dialect == dialect:
        return
    if prompt.dialect == "responses":
        from openfusion_auto.wire.responses import check_foreign as check

        check(prompt)
    if prompt.dialect == "messages":
        for message in prompt.messages:
            for part in message.parts:
                if message.role == "user" and part.kind == "other":
                    raise BadRequest(
                        f"messages: a content block of type {kind_of(part.raw)!r} is understood by no upstream that "
                        "can serve this request.",
                        param="messages",
                        code="unsupported_value",
                    )


def kind_of(raw: Mapping[str, object] | None) -> str:
    """Return the type a block says it has, shortened."""
    return str((raw or {}).get("type"))[:40]


def objects(value: object) -> list[Mapping[str, object]]:
    """Return the objects in a list; [] for anything else."""
    found = [as_object(item) for item in value] if isinstance(value, list) else []
    return [item for item in found if item is not None]
