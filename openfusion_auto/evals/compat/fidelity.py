"""Probes of bytes: where both sides speak one dialect, a request and its answer go through as they are.

Possible only where the model behind runs in this process and its journal can be read. Up, the model's name alone may
be another. Down, the trace may stand behind the members of a whole answer, all else as it came; of a stream, one object
holds it, written anew with the same values, and all other events are as they came.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial

from openfusion_auto.evals.compat.asking import Target, ask
from openfusion_auto.evals.compat.outcome import NotOffered, Unknown, Wrong, read
from openfusion_auto.evals.compat.probes import PROBES, SAY, SPEECHES, Probe, refused
from openfusion_auto.evals.compat.script import CHARACTERS, FIELD, KEPT, MODEL
from openfusion_auto.evals.compat.speech import Ask, Speech
from openfusion_auto.wire.sse import Frame, SseReader

TRACE = "openfusion"


async def relayed(speech: Speech, target: Target, *, stream: bool) -> None:
    """Bytes of a request and of its answer, against the model's journal."""
    journal = target.journal
    if journal is None or target.behind is None:
        raise Unknown("what stands behind cannot be looked at from here")
    if speech.name not in target.behind:
        raise NotOffered("another dialect is spoken behind: bytes are converted")
    word = f"bytes-{speech.name}-{'stream' if stream else 'whole'}"
    wanted = Ask(SAY + f"{word} {CHARACTERS}", stream=stream, extra={FIELD: KEPT})
    # Indented, with escapes: as no program of ours would write it.
    up = json.dumps(speech.request(target.model, wanted), indent=1).encode()
    answer = await ask(target, speech.name, speech.path, up)
    if answer.status != 200:
        refused(answer, optional=False)
    found = journal.exchange(word)
    if found is None:
        raise Wrong("the request did not reach the model")
    if found[0] != up.replace(json.dumps(target.model).encode(), json.dumps(MODEL).encode(), 1):
        raise Wrong("the request was changed in more than the model's name")
    if not (same_stream if stream else same_object)(found[1], answer.raw):
        raise Wrong("the answer was changed in more than the trace")


def same_object(said: bytes, came: bytes) -> bool:
    """Whether an object came as it was said, but for a trace behind its last member."""
    if said == came:
        return True
    traced = {k: v for k, v in read(came, "the answer").items() if k != TRACE}
    return traced == read(said, "the answer") and came.startswith(said.rstrip()[:-1].rstrip())


def same_stream(said: bytes, came: bytes) -> bool:
    """Whether a stream came as it was said, but for comments, and for one object that holds the trace."""
    before, after = frames(said), frames(came)
    if len(before) != len(after):
        return False
    changed = [(b, a) for b, a in zip(before, after, strict=True) if b.raw != a.raw]
    return len(changed) <= 1 and all(
        b.event == a.event and same_values(b.data or b"", a.data or b"") for b, a in changed
    )


def same_values(said: bytes, came: bytes) -> bool:
    """Whether two objects hold the same, but for a trace in the second or in its `response`."""
    traced = dict(read(came, "an event"))
    traced.pop(TRACE, None)
    inside = traced.get("response")
    if isinstance(inside, dict):
        traced["response"] = {k: v for k, v in inside.items() if k != TRACE}
    return canonical(traced) == canonical(read(said, "an event"))


def canonical(value: object) -> str:
    """Return JSON in one form; numbers that are equal and written otherwise (1 and 1.0) stay apart."""
    return json.dumps(value, sort_keys=True)


def frames(raw: bytes) -> Sequence[Frame]:
    """Return the events of a stream."""
    reader = SseReader()
    return [f for f in (*reader.feed(raw), *reader.close()) if f.data is not None]


BYTES: Sequence[Probe] = [
    Probe(
        speech.name,
        "bytes of a stream" if stream else "bytes",
        "request and answer go through byte for byte, but for the model's name and the trace",
        partial(relayed, speech, stream=stream),
    )
    for speech in SPEECHES
    for stream in (False, True)
]
WIRE: Sequence[Probe] = [
    probe
    for group in ("any", *(speech.name for speech in SPEECHES))
    for probe in (*PROBES, *BYTES)
    if probe.group == group
]
