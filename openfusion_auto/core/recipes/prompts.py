"""The words that inner calls are asked with, and how their replies are read.

An inner prompt is the client's own conversation with messages behind it: roles, images and the provider's cached
prefix survive. Answers under judgement travel as JSON strings, so that no text of theirs can end its own frame.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, replace

from openfusion_auto.core.prompt import Answer, Message, Part, Prompt

INNER_MAX_TOKENS = 4096  # [tokens] a verdict is short, but reasoning models think inside this bound
# OpenRouter's plugins that whoever judges needs too: they make a conversation readable.
READERS = ("file-parser", "context-compression")
MAX_REPLY_CHARS = 20_000  # [characters] of a reply that are searched for a verdict, from its end

VERIFY = """\
Stop being the assistant of this conversation. You are a strict reviewer. The last assistant message is a draft that
has not been sent. Check it against what the user asked for: is it correct, complete, safe, and in the form asked
for? Reject it only for a concrete defect that you can name; matters of taste are no defect.
Answer with one JSON object and nothing else:
{"verdict": "accept" or "reject", "findings": ["one concrete defect each, at most five"]}"""

MEND = """\
A reviewer rejected your last message before it was sent. What was found:
{findings}
Write the whole answer again with these mended and everything else kept. Do not mention the review."""

JUDGE = """\
Stop being the assistant of this conversation. You are a judge. Below are independent answers to the last request,
as a JSON array; their order says nothing. Pick the one that serves the user best: correct first, then complete, then
short. Prefer picking to rewriting; set "defect" only when even the best one has a concrete defect that another
answer avoids.
Answers: {answers}
Answer with one JSON object and nothing else:
{{"best": the number of the best answer, "why": "one sentence", "defect": "the defect and who avoids it, or null"}}"""

SYNTHESIS = """\
Independent answers to the last request are below as a JSON array. Number {best} was judged best{defect}.
Answers: {answers}
Write the final answer to the user: keep answer {best} as it is wherever nothing better is known, and mend only
that. Do not mention the other answers or this instruction."""

REVISE = """\
Below are independent answers to the last request, as a JSON array; number {own} is yours. They may be wrong, and most
being of one opinion is no reason. Keep your answer unless another one shows a concrete mistake in it.
Answers: {answers}
Write your whole final answer to the user, mended or as it was. Do not mention the other answers or this instruction."""


def verification(prompt: Prompt, draft: Answer) -> Prompt:
    """Return the prompt that asks for a verdict on a draft."""
    return inner(prompt, Message("assistant", (Part("text", as_text(draft)),)), user(VERIFY))


def as_text(draft: Answer) -> str:
    """Return an answer as text: its words, and its tool calls as JSON, since a call without a result is no history."""
    if not draft.tool_calls:
        return draft.text
    calls = [{"name": c.name, "arguments": c.arguments} for c in draft.tool_calls]
    proposed = "Tool calls, not yet run: " + json.dumps(calls, ensure_ascii=False)
    return f"{draft.text}\n\n{proposed}" if draft.text else proposed


def judgement(prompt: Prompt, answers: tuple[Answer, ...]) -> Prompt:
    """Return the prompt that asks for the best of several answers; answer k of the tuple is number k + 1."""
    return inner(prompt, user(JUDGE.format(answers=listed(answers))))


def synthesis(prompt: Prompt, answers: tuple[Answer, ...], best: int, defect: str | None) -> Prompt:
    """Return the prompt for the final answer of a panel; `best` counts from 1."""
    seen = f", with this defect: {json.dumps(defect)}" if defect else ""
    text = SYNTHESIS.format(best=best, defect=seen, answers=listed(answers))
    overrides: dict[str, object] = {"stream": prompt.stream}
    if prompt.tools:
        # Whoever writes anew must not call: emitted calls are always one member's.
        overrides["tool_choice"] = "none"
    return offline(prompt.extend(user(text), **overrides))


def revision(prompt: Prompt, answers: tuple[Answer, ...], own: int) -> Prompt:
    """Return the prompt for another round of a debate; `own` is the index of the member's answer in the tuple."""
    text = REVISE.format(own=own + 1, answers=listed(answers))
    return prompt.extend(user(text), stream=prompt.stream)


def working(prompt: Prompt, words: str) -> Prompt:
    """Return the prompt of a pipeline's step before the last: only text is wanted."""
    return inner(prompt, user(words))


def told(prompt: Prompt, words: str) -> Prompt:
    """Return the prompt of a pipeline's last step: the client's own, with what it is told."""
    return replace(prompt.extend(user(words), stream=prompt.stream), web=prompt.web)


def mend_request(findings: tuple[str, ...]) -> str:
    """Return the user message that asks for a mend; each finding is one line, so that none can pose as the frame."""
    return MEND.format(findings="\n".join("- " + " ".join(f.split()) for f in findings))


def inner(prompt: Prompt, *messages: Message) -> Prompt:
    """Return a prompt for a verdict: the conversation and `messages`, without streaming, tools to call or a form."""
    overrides: dict[str, object] = {
        "max_completion_tokens": None,
        "max_tokens": INNER_MAX_TOKENS,
        "response_format": None,
        "stop": None,
        "n": None,
        "logprobs": None,
        "top_logprobs": None,
    }
    if prompt.tools:
        # Tools stay named: some upstreams refuse a history of calls without them.
        overrides["tool_choice"] = "none"
    return offline(prompt.extend(*messages, **overrides))


def offline(prompt: Prompt) -> Prompt:
    """Return a prompt of whoever must not call: it has nothing searched either, nor other models asked."""
    if not prompt.options.searching:
        return prompt
    body = {k: v for k, v in prompt.body.items() if k not in ("plugins", "web_search_options")}
    plugins = prompt.body.get("plugins")
    kept = [p for p in plugins if _only_reads(p)] if isinstance(plugins, list) else []
    if kept:
        body["plugins"] = kept
    return replace(prompt, body=body, options=replace(prompt.options, searching=()))


def _only_reads(plugin: object) -> bool:
    return isinstance(plugin, dict) and plugin.get("id") in READERS


def user(text: str) -> Message:
    """Return a user message."""
    return Message("user", (Part("text", text),))


def listed(answers: tuple[Answer, ...]) -> str:
    """Return the answers as a JSON array of `{number, text, tool_calls}`."""
    rows = []
    for k, answer in enumerate(answers):
        row: dict[str, object] = {"number": k + 1, "text": answer.text}
        if answer.tool_calls:
            row["tool_calls"] = [
                {"name": c.name, "arguments": c.arguments} for c in answer.tool_calls
            ]
        rows.append(row)
    return json.dumps(rows, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verifier's reply."""

    accepted: bool
    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pick:
    """A judge's reply: the index of the best answer (from 0), and the defect it still has."""

    best: int
    defect: str | None


def read_verdict(text: str) -> Verdict | None:
    """Read a verifier's reply; None when it is not readable. A rejection without a finding is no rejection."""
    found = json_object(text)
    if found is None or found.get("verdict") not in ("accept", "reject"):
        return None
    listed_findings = found.get("findings")
    findings = tuple(
        f[:500]
        for f in (listed_findings if isinstance(listed_findings, list) else [])
        if isinstance(f, str) and f
    )[:5]
    return Verdict(found["verdict"] == "accept" or not findings, findings)


def read_pick(text: str, count: int) -> Pick | None:
    """Read a judge's reply over `count` answers; None when it is not readable."""
    found = json_object(text)
    best = None if found is None else found.get("best")
    if (
        found is None
        or not isinstance(best, int)
        or isinstance(best, bool)
        or not 1 <= best <= count
    ):
        return None
    defect = found.get("defect")
    return Pick(best - 1, defect[:1000] if isinstance(defect, str) and defect.strip() else None)


def json_object(text: str) -> dict[str, object] | None:
    """Return the last JSON object in a reply, also inside a code fence or behind words; None when there is none.

    The last: a verdict comes after what is quoted from the answers, which may hold objects of their own.
    """
    text = text[-MAX_REPLY_CHARS:]
    decoder = json.JSONDecoder()
    found: dict[str, object] | None = None
    start = text.find("{")
    while start >= 0:
        end = start + 1
        with suppress(ValueError, RecursionError):
            found, end = decoder.raw_decode(text, start)
        start = text.find("{", end)
    return found
