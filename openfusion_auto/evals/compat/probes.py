"""The probes: each asks one thing of a gateway and knows how a right answer looks.

A probe that returns passes. It raises a `Finding` otherwise: `Wrong` when an answer came that a client would stumble
over, `NotOffered` when the gateway says so, `Unknown` when it cannot be said from here. Where the model behind is
scripted, what it says is known beforehand, and anything else is wrong.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple

from openfusion_auto.evals.compat.asking import Answer, Target, ask
from openfusion_auto.evals.compat.chat import Chat
from openfusion_auto.evals.compat.messages import Messages
from openfusion_auto.evals.compat.outcome import (
    NotOffered,
    Unknown,
    Wrong,
    integer,
    objects,
    read,
    refusal,
    same,
    string,
)
from openfusion_auto.evals.compat.responses import Responses
from openfusion_auto.evals.compat.script import (
    ANSWER_FIELD,
    ARGUMENTS,
    CHARACTERS,
    FIELD,
    KEPT,
    TOKENS,
    WORD,
)
from openfusion_auto.evals.compat.speech import TOOLS, Ask, Heard, Json, Speech, ToolCall
from openfusion_auto.wire.jsons import JsonError, as_object, dumps, loads_text

Run = Callable[[Target], Awaitable[None]]
SPEECHES: Sequence[Speech] = (Chat(), Responses(), Messages())
SAY = "Repeat exactly, and nothing else: "
NOBODY = "openfusion-compat/no-such-model"
RESULTS = ("17 degrees", "10:45")  # what the tools say


class Probe(NamedTuple):
    """One row: its group (a dialect, or "any"), its name in there, what it asks, and how."""

    group: str
    name: str
    about: str
    run: Run

    @property
    def id(self) -> str:
        """The name of the row."""
        return f"{self.group}: {self.name}"


async def models(target: Target) -> None:
    """`GET /models` lists models."""
    answer = await ask(target, None, "/models", None)
    if answer.status != 200:
        refused(answer, optional=True)
    body = read(answer.raw, "the answer")
    same(body, "object", "list")
    listed = objects(body, "data")
    if not listed:
        raise Wrong("data is empty")
    for row in listed:
        string(row, "id", "data[].")
        same(row, "object", "model", "data[].")


async def say(speech: Speech, target: Target, *, stream: bool) -> None:
    """A word comes back."""
    heard = await talk(target, speech, Ask(SAY + WORD, stream=stream))
    check_text(target, heard, WORD)
    if heard.finish != "stop":
        raise Wrong("the answer has not ended as one that is complete")
    if "form" in heard.notes:
        raise Wrong(heard.notes["form"])


async def usage(speech: Speech, target: Target) -> None:
    """Tokens are told, whole and streamed."""
    for stream in (False, True):
        where = "the stream" if stream else "the answer"
        heard = await talk(target, speech, Ask(SAY + WORD, stream=stream))
        if heard.usage is None:
            raise Wrong(f"{where} tells no usage")
        if target.scripted and heard.usage != TOKENS:
            raise Wrong(f"{where} tells other tokens than the model did")
        if 0 in heard.usage:
            raise Wrong(f"{where} tells 0 tokens")
        if "usage" in heard.notes:
            raise Wrong(heard.notes["usage"])


async def tools(speech: Speech, target: Target, *, stream: bool, count: int = 1) -> None:
    """One call, or two at once; their results; an answer that uses them."""
    names = TOOLS[:count]
    text = f"Call {' and '.join(names)} for the city Zürich" + (
        ", both at once." if count > 1 else "."
    )
    body = speech.request(target.model, Ask(text, stream=stream, tools=names))
    heard = await exchange(target, speech, body, optional=True)
    if target.scripted and len(heard.calls) != count:
        raise Wrong(f"the model made {count} calls, {len(heard.calls)} came")
    if len(heard.calls) < count:
        raise Wrong("no call came") if not heard.calls else Unknown("the model made one call only")
    check_calls(target, heard.calls, names, stream=stream)
    if heard.finish != "tools":
        raise Wrong("the answer has not ended as one with calls")
    results = [RESULTS[i % 2] for i in range(len(heard.calls))]
    after = await exchange(target, speech, speech.follow(body, heard, results))
    if after.calls:
        raise Unknown("the model called again")
    for result in results:
        check_text(target, after, result)


def check_calls(
    target: Target, calls: Sequence[ToolCall], names: Sequence[str], *, stream: bool
) -> None:
    """Hold calls to what was offered and, with a scripted model, to what it said."""
    if len({c.id for c in calls}) != len(calls) or not all(c.id for c in calls):
        raise Wrong("the calls have not each an id of its own")
    if any(c.name not in names for c in calls):
        raise Wrong("a tool is called that was not offered")
    for call in calls:
        try:
            given = as_object(loads_text(call.arguments))
        except JsonError:
            given = None
        if given is None or not isinstance(given.get("city"), str):
            raise Wrong("the arguments of a call do not fit its schema")
    if target.scripted and stream and any(c.arguments != ARGUMENTS for c in calls):
        raise Wrong("the arguments of a call are not what the model wrote")


async def structured(speech: Speech, target: Target) -> None:
    """An answer fits the schema that was given."""
    asked = Ask("Answer with the city Paris and the number 7.", form=True)
    heard = await talk(target, speech, asked, optional=True)
    try:
        found = as_object(loads_text(heard.text))
    except JsonError:
        found = None
    if found is None or set(found) != {"city", "number"}:
        raise Wrong("the answer is not the JSON that was asked for")
    string(found, "city")
    integer(found, "number")


async def characters(speech: Speech, target: Target) -> None:
    """Characters of several bytes come through a stream, wherever it is cut."""
    heard = await talk(target, speech, Ask(SAY + CHARACTERS, stream=True))
    if "\ufffd" in heard.text:
        raise Wrong("characters were replaced")
    check_text(target, heard, CHARACTERS)


async def unknown_fields(speech: Speech, target: Target) -> None:
    """A field that nobody knows reaches the model, and one of the model's the client."""
    body = speech.request(target.model, Ask(SAY + WORD, extra={FIELD: KEPT}))
    answer = await sent(target, speech, body, optional=True)
    if target.behind is None:
        raise Unknown("it is accepted; whether it arrives cannot be seen from here")
    if speech.name not in target.behind:
        raise NotOffered("another dialect is spoken behind, which has no place for it")
    heard = speech.whole(read(answer.raw, "the answer"))
    if KEPT not in heard.text:
        raise Wrong("the request's field does not reach the model")
    if ANSWER_FIELD.encode() not in answer.raw:
        raise Wrong("the answer's field does not reach the client")


async def errors(speech: Speech, target: Target) -> None:
    """A model that does not exist, and a body that is no JSON, are refused in the dialect's form."""
    nobody = dumps(speech.request(NOBODY, Ask(SAY + WORD)))
    # In this order: a path that is not there says 404 to anything.
    for what, raw in (("broken JSON", b'{"model": "x", '), ("an unknown model", nobody)):
        answer = await ask(target, speech.name, speech.path, raw)
        said = refusal(answer.status, answer.raw)
        if what == "broken JSON" and answer.status in (404, 405, 501):
            raise NotOffered(said)
        if not 400 <= answer.status < 500:
            raise Wrong(f"{what}: {said}")
        try:
            speech.error(read(answer.raw, "the body"))
        except Wrong as wrong:
            raise Wrong(f"{what}: status {answer.status}, {wrong}") from None


async def count(target: Target) -> None:
    """`POST /messages/count_tokens` counts, and more for more."""
    counts = []
    for text in (SAY + WORD, SAY + "one two three four " * 50):
        body: Json = {"model": target.model, "messages": [{"role": "user", "content": text}]}
        answer = await ask(target, "messages", "/messages/count_tokens", dumps(body))
        if answer.status != 200:
            refused(answer, optional=True)
        counts.append(integer(read(answer.raw, "the answer"), "input_tokens"))
    if not 0 < counts[0] < counts[1]:
        raise Wrong("a longer prompt does not count more tokens")


# -- what they are made of -------------------------------------------------------------------------------------------


async def talk(target: Target, speech: Speech, wanted: Ask, *, optional: bool = False) -> Heard:
    """Ask and read the answer."""
    return await exchange(target, speech, speech.request(target.model, wanted), optional=optional)


async def exchange(target: Target, speech: Speech, body: Json, *, optional: bool = False) -> Heard:
    """Send a request and read the answer; see `refused` for `optional`."""
    answer = await sent(target, speech, body, optional=optional)
    if body.get("stream"):
        return speech.stream(answer.frames())
    if answer.kind != "application/json":
        raise Wrong("the content type is not application/json")
    return speech.whole(read(answer.raw, "the answer"))


async def sent(target: Target, speech: Speech, body: Json, *, optional: bool = False) -> Answer:
    """Send a request; what comes is a success."""
    answer = await ask(target, speech.name, speech.path, dumps(body))
    if answer.status != 200:
        refused(answer, optional=optional)
    return answer


def refused(answer: Answer, *, optional: bool) -> None:
    """Raise what a refusal means. What is `optional` may be refused: then it is not offered."""
    said = refusal(answer.status, answer.raw)
    if answer.status in (401, 402, 403, 407, 429):
        raise Unknown(f"refused, the key or its limits: {said}")
    if answer.status in (404, 405, 501) and "model" not in said:
        raise NotOffered(said)
    if optional and answer.status in (400, 422):
        raise NotOffered(said)
    raise Wrong(f"refused: {said}")


def check_text(target: Target, heard: Heard, wanted: str) -> None:
    """Hold a text to what it must say."""
    if wanted in heard.text:
        return
    if not heard.text:
        raise Wrong("the answer is empty")
    if target.scripted:
        raise Wrong("the text is not what the model said")
    raise Unknown("the model said something else")


def of(speech: Speech) -> list[Probe]:
    """Return the probes of a dialect."""
    two = partial(tools, speech, stream=True, count=2)
    rows: list[tuple[str, str, Run]] = [
        ("answer", "a word comes back, in the form of the API, complete", partial(say, speech, stream=False)),
        ("stream", "the same as a stream: events, order, ids, its end", partial(say, speech, stream=True)),
        ("usage", "the model's tokens are told, whole and streamed", partial(usage, speech)),
        ("tools", "a call, its result, an answer that uses it", partial(tools, speech, stream=False)),
        ("tools stream", "the same streamed; arguments as the model wrote them", partial(tools, speech, stream=True)),
        ("parallel tools", "two calls at once, streamed, each with its own id and result", two),
        ("structured output", "an answer fits a JSON Schema", partial(structured, speech)),
        ("characters", "a stream cut inside characters and lines is whole", partial(characters, speech)),
        ("unknown fields", "a field nobody knows goes up, and another one down", partial(unknown_fields, speech)),
        ("errors", "an unknown model, broken JSON: a 4xx in the form of the API", partial(errors, speech)),
    ]  # fmt: skip
    return [Probe(speech.name, *row) for row in rows]


PROBES: Sequence[Probe] = (
    Probe("any", "models", "`GET /models` lists models", models),
    *[probe for speech in SPEECHES for probe in of(speech)],
    Probe(
        "messages", "count tokens", "`POST /messages/count_tokens` counts, and more for more", count
    ),
)
