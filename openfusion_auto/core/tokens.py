"""How many tokens a prompt will cost, from its bytes.

Counting with a tokeniser costs more than the whole decision (128 ms for a 400 KB prompt in one peer), and the pool's
models all count differently. So the estimate is bytes divided by a ratio, and the ratio of each candidate is learned
from the usage that it reports (`Stats.bytes_per_token`).
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from openfusion_auto.core.prompt import Answer, Message, Part, Prompt, Usage

# [bytes/token] until a candidate has reported usage. English prose has about 4 characters a token (OpenAI's rule of
# thumb), code and JSON about 3 to 3.5; agents send mostly the latter. Rather low, so that estimates err to the high
# side: a window that is too small is found out before the call, not by it.
BYTES_PER_TOKEN = 3.6

# No tokeniser is outside these [bytes/token]: what is comes of a report that cannot be, and one such report must not
# make a prompt too long for every window.
RATIO_BOUNDS = (0.5, 20.0)

# [tokens] for one picture whatever its bytes. Between OpenAI's 765 for a 1024 x 1024 picture in high detail and
# Anthropic's 1,590 for the largest one that is not scaled down (width * height / 750).
IMAGE_TOKENS = 1_100

# [bytes] of an encoded document that cost about as much as one picture: a page or two (Anthropic: 1,500 to 3,000
# tokens a PDF page; a page of a typical PDF is 50 to 100 KB). A rough guess, used only until usage is reported.
FILE_BYTES_PER_IMAGE = 65_536

# [bytes] of an encoded sound that cost about a token. MP3 of 64 kbit/s at Gemini's 32 tokens a second makes 330, WAV of
# 16 kHz at OpenAI's 10 a second 4,300: a rough guess between them, used only until usage is reported.
SOUND_BYTES_PER_TOKEN = 1_000

# [bytes] of JSON around a message (`{"role":"user","content":...},`), for prompts without their original bytes.
MESSAGE_OVERHEAD_BYTES = 32

_TEXT_KINDS = ("text", "reasoning", "refusal")


def estimate(size_bytes: int, bytes_per_token: float | None = None) -> int:
    """Return the tokens [tokens] that `size_bytes` of prompt are likely to be, rounded up.

    Args:
        size_bytes: Readable bytes; negative counts as 0.
        bytes_per_token: Learned ratio of a candidate [bytes/token]; None and nonsense mean the default.
    """
    low, high = RATIO_BOUNDS
    usable = bytes_per_token is not None and low <= bytes_per_token <= high
    ratio = bytes_per_token if usable and bytes_per_token is not None else BYTES_PER_TOKEN
    return ceil(max(0, size_bytes) / ratio)


def prompt_bytes(prompt: Prompt) -> int:
    """Return the readable bytes [bytes] of a prompt: messages, tools and the JSON around them, without attachments.

    What a recipe added behind the client's messages counts: it is sent and billed like them.
    """
    attached = written = 0
    for message in prompt.messages:
        for part in message.parts:
            if part.kind not in _TEXT_KINDS:
                attached += part.size
    if len(prompt.raw) > attached:
        return len(prompt.raw) - attached
    for message in (*prompt.messages, *prompt.added):
        written += _message_bytes(message)
    return written + sum(len(t.name) + len(str(t.schema)) for t in prompt.tools)


def attachment_tokens(prompt: Prompt) -> int:
    """Return the tokens [tokens] that pictures, sounds and files of a prompt are likely to cost."""
    return sum(
        _part_tokens(part)
        for message in prompt.messages
        for part in message.parts
        if part.kind not in _TEXT_KINDS
    )


def input_tokens(prompt: Prompt, bytes_per_token: float | None = None) -> int:
    """Return the input tokens [tokens] of a whole prompt: text by its bytes, attachments by their number."""
    return estimate(prompt_bytes(prompt), bytes_per_token) + attachment_tokens(prompt)


def answer_bytes(answer: Answer, choices: int = 1) -> int:
    """Return the bytes [bytes] that a model wrote: text, reasoning and calls.

    Of several choices only the first is the hub's: the others are taken to be as long.
    """
    written = text_bytes(answer.text) + text_bytes(answer.reasoning)
    return choices * (written + sum(text_bytes(call.arguments) for call in answer.tool_calls))


def completed(told: Usage | None, prompt: Prompt, written: int) -> Usage:
    """Return what a call used; what the upstream did not tell is counted by bytes.

    A count of 0 tells nothing: no prompt is empty, and what was written took tokens.

    Args:
        told: What the upstream reported; None = nothing.
        prompt: What was sent.
        written: What came back [bytes].
    """
    told = told or Usage()
    output = told.output or estimate(written)
    return replace(told, input=told.input or input_tokens(prompt), output=output)


def media_tokens(part: Part) -> int:
    """Return the tokens [tokens] that a picture, a sound or a file is likely to cost: the latter two by their size."""
    if part.kind == "audio":
        return max(IMAGE_TOKENS, ceil(part.size / SOUND_BYTES_PER_TOKEN))
    pictures = max(1, ceil(part.size / FILE_BYTES_PER_IMAGE)) if part.kind == "file" else 1
    return IMAGE_TOKENS * pictures


def text_bytes(text: str) -> int:
    """Return the length of `text` in UTF-8 [bytes]; lone surrogates count as three, never an error."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _message_bytes(message: Message) -> int:
    written = MESSAGE_OVERHEAD_BYTES
    for part in message.parts:
        if part.kind in _TEXT_KINDS:
            written += max(text_bytes(part.text), part.size)
    for call in message.tool_calls:
        written += len(call.name) + text_bytes(call.arguments)
    return written


def _part_tokens(part: Part) -> int:
    if part.kind in ("image", "audio", "file"):
        return media_tokens(part)
    return estimate(text_bytes(part.text))
