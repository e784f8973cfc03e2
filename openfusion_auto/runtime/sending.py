"""One call: what is sent to a candidate, and which of its answers count."""

from __future__ import annotations

from dataclasses import replace

from openfusion_auto.core.checks import is_json
from openfusion_auto.core.prompt import Answer, Dialect, Prompt
from openfusion_auto.core.types import Candidate
from openfusion_auto.errors import UpstreamBroken
from openfusion_auto.upstream.base import Opened
from openfusion_auto.wire.chat_foreign import render_foreign
from openfusion_auto.wire.codec import CODECS
from openfusion_auto.wire.rendered import Rendered
from openfusion_auto.wire.splice import bounds_over

REASONING = "reasoning"  # among what a candidate offers


def refuse_broken_calls(answer: Answer) -> None:
    """Fail an attempt whose tool calls cannot be run: another try may bring whole ones.

    An answer that says itself that it was cut (at the output limit, by a filter) is told as it is: trying again would
    end in the same place.

    Raises:
        UpstreamBroken: the arguments of a function call are not JSON.
    """
    if answer.finish in ("length", "content_filter"):
        return
    for call in answer.tool_calls:
        if call.kind == "function" and call.arguments.strip() and not is_json(call.arguments):
            raise UpstreamBroken("a tool call's arguments are not JSON")


def outgoing(
    prompt: Prompt, candidate: Candidate, dialect: Dialect, *, keep_reasoning: bool = False
) -> Rendered:
    """Return what to send to a candidate whose upstream speaks `dialect`.

    The client's own bytes with the model's name spliced in where nothing was changed and the dialect is the same;
    else written anew, with what was lost.

    Args:
        prompt: What to send.
        candidate: Who gets it.
        dialect: Its upstream's.
        keep_reasoning: To a chat upstream from another dialect: what can be read of the history's reasoning goes along.
    """
    codec, most = CODECS[dialect], candidate.max_output_tokens
    asked = prompt.overrides.get("max_tokens", prompt.max_output_tokens)
    if isinstance(asked, int) and most is not None and asked > most:
        lost = (f"bound of the answer {asked} as {most}",)
        if prompt.raw and prompt.dialect == dialect:
            raw = codec.splice_request(prompt, candidate.model, most=most)
            return Rendered(raw, lost)
        sent = outgoing(within(prompt, most), candidate, dialect, keep_reasoning=keep_reasoning)
        return Rendered(sent.body, (*lost, *sent.lost))
    if prompt.raw and prompt.dialect == dialect:
        return Rendered(codec.splice_request(prompt, candidate.model))
    settings = prompt.settings
    thinks = settings.effort is not None or settings.thinking_tokens is not None
    if thinks and prompt.dialect != dialect and REASONING not in candidate.offers:
        # Agents send an effort whoever answers, and servers refuse one for a model that does not reason.
        prompt = replace(prompt, settings=replace(settings, effort=None, thinking_tokens=None))
        sent = outgoing(prompt, candidate, dialect, keep_reasoning=keep_reasoning)
        return Rendered(sent.body, ("reasoning effort: the model offers none", *sent.lost))
    if dialect == "messages" and prompt.dialect != dialect and prompt.max_output_tokens is None:
        prompt = replace(prompt, max_output_tokens=most)  # this dialect demands a bound
    if keep_reasoning and prompt.dialect != "chat":
        return render_foreign(prompt, candidate.model, keep_reasoning=True)
    return codec.render_request(prompt, candidate.model)


def within(prompt: Prompt, most: int) -> Prompt:
    """Return a prompt whose answer is bounded by what its model can write [tokens]: a higher bound is refused."""
    return replace(
        prompt,
        body={**prompt.body, **bounds_over(prompt.body, most)},
        overrides={**prompt.overrides, **bounds_over(prompt.overrides, most)},
        max_output_tokens=min(prompt.max_output_tokens or most, most),
        raw=b"",
    )


def is_stream(opened: Opened, *, asked: bool) -> bool:
    """Whether an answer is an event stream; some upstreams answer JSON to a stream request, or the other way."""
    if opened.content_type == "text/event-stream":
        return True
    return asked and opened.content_type not in ("application/json", "text/html")
