"""Changes to the top level of a JSON object, made in its bytes: what is not changed stays as it came.

    body = read_top_level(raw)                       # BadRequest for what is not a JSON object
    splice_top_level(body, raw, {"model": "vendor/m", "openfusion": None})

`splice_top_level(body: Body, raw: bytes, edits: Mapping[str, object]) -> bytes` serves every dialect: a value sets a
member (in its place, or behind the last), None takes one out with one of the commas beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from openfusion_auto.core.prompt import Prompt
from openfusion_auto.errors import BadRequest
from openfusion_auto.wire.jsons import Body, JsonError, Member, as_object, dumps, read_body

# Fields that bound an answer, in every dialect.
BOUNDS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
MIN_THINKING = 1024  # [tokens], the least that Anthropic's API takes as a budget
# Where a chat request bounds reasoning: OpenRouter's way, and that of vendors who took Anthropic's.
_BUDGETS = (("reasoning", "max_tokens"), ("thinking", "budget_tokens"))
_Edit = tuple[int, int, bytes]  # start, end, what stands there then


def read_top_level(raw: bytes, needs: str = "'model' and 'messages'") -> Body:
    """Return the object that a request's body holds, with the places of its members.

    Args:
        raw: UTF-8 without a byte order mark.
        needs: The members a request of the dialect must have, for the message.

    Raises:
        BadRequest: not JSON, or another value than an object (`invalid_json`).
    """
    try:
        body = read_body(raw)
    except JsonError as error:
        raise BadRequest(
            f"We could not parse the JSON body of your request: {error}.", code="invalid_json"
        ) from None
    if body is None:
        raise BadRequest(
            f"The body of your request is not a JSON object; expected one with {needs}.",
            code="invalid_json",
        )
    return body


def bounds_over(body: Mapping[str, object], most: int | None) -> dict[str, object]:
    """Return the edits that bring the bounds of an answer in a request down to its model's own [tokens]."""
    if most is None:
        return {}
    found = ((field, body.get(field)) for field in BOUNDS)
    return {field: most for field, asked in found if isinstance(asked, int) and asked > most}


def budgets_over(body: Mapping[str, object], bound: int) -> dict[str, object]:
    """Return the edits that bring a chat request's budgets for reasoning below the bound of its answer [tokens].

    A budget that is not below it is refused (OpenRouter, Anthropic's models). Half is left for the answer, as for a
    Messages request; a budget that would be too small to be taken goes.
    """
    edits: dict[str, object] = {}
    for field, name in _BUDGETS:
        held = as_object(body.get(field)) or {}
        budget = held.get(name)
        if not isinstance(budget, int) or budget < bound:
            continue
        kept = {**held, name: bound // 2}
        if bound // 2 < MIN_THINKING:
            kept = {} if field == "thinking" else {k: v for k, v in held.items() if k != name}
        edits[field] = kept or None
    return edits


def without_fields(prompt: Prompt, fields: Sequence[str]) -> Prompt:
    """Return a request without some of its top-level fields; its other bytes stay."""
    if prompt.raw:
        raw = splice_top_level(prompt.body, prompt.raw, dict.fromkeys(fields))
        return replace(prompt, raw=raw, body=read_top_level(raw))
    return replace(prompt, body={k: v for k, v in prompt.body.items() if k not in fields})


def traced(raw: bytes, trace: Mapping[str, object] | None) -> bytes:
    """Return an answer's body with the field `openfusion` put in before its last brace; as it came without a trace."""
    if trace is None:
        return raw
    return b"".join((raw.rstrip()[:-1], b',"openfusion":', dumps(trace), b"}"))


def splice_top_level(body: Mapping[str, object], raw: bytes, edits: Mapping[str, object]) -> bytes:
    """Return `raw` with some of its top-level members changed; all other bytes stay.

    An object in which a key stands twice is written anew: which of the two a reader takes is not ours to bet on.

    Args:
        body: What `raw` holds; its places are read from `raw` when it is no `Body`.
        raw: The object's bytes, UTF-8 without a byte order mark.
        edits: Key -> new value; None removes the member, and does nothing where there is none.
    """
    placed = body if isinstance(body, Body) else read_top_level(raw)
    if len(placed.members) != len(placed):
        changed = {**placed, **edits}
        gone = {key for key, value in edits.items() if value is None}
        return dumps({key: value for key, value in changed.items() if key not in gone})
    view = memoryview(raw)
    out: list[bytes | memoryview] = []
    at = 0
    for start, end, new in sorted(_places(placed.members, raw, edits)):
        out += (view[at:start], new)
        at = end
    out.append(view[at:])
    return b"".join(out)


def _places(members: tuple[Member, ...], raw: bytes, edits: Mapping[str, object]) -> list[_Edit]:
    """Return the edits by place. They do not overlap; one that only adds sorts before one that removes."""
    found: list[_Edit] = []
    kept: Member | None = None
    for at, member in enumerate(members):
        if member.key not in edits or edits[member.key] is not None:
            if member.key in edits:
                found.append((member.value, member.end, dumps(edits[member.key])))
            kept = member
        elif kept is not None:
            found.append((members[at - 1].end, member.end, b""))
        else:
            last = at + 1 == len(members)
            found.append((member.start, member.end if last else members[at + 1].start, b""))
    known = {member.key for member in members}
    new = [
        dumps(key) + b":" + dumps(value)
        for key, value in edits.items()
        if value is not None and key not in known
    ]
    if new and kept is not None:
        found.append((kept.end, kept.end, b"," + b",".join(new)))
    elif new:
        inside = raw.index(b"{") + 1
        found.append((inside, inside, b",".join(new)))
    return found
