"""What the fake upstream does with one call: the unit of its scripts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from openfusion_auto.core.prompt import ToolCall, Usage


@dataclass(frozen=True, slots=True)
class Reply:
    """What the fake does with one call.

    Attributes:
        finish: None: `tool_calls` when there are calls, else `stop`.
        usage: None: estimated, 4 bytes of the request and 4 characters of the answer a token.
        status: Not 200: `open` raises what a real upstream's answer with that status would raise.
        headers: Of the answer; only `content-type` and those of a failure are read. Names in lower case.
        delay_s: Wait before the head [s].
        chunk_delay_s: Wait between chunks [s].
        cut_after: The connection breaks after that many chunks; a JSON body comes in two.
        hang: Silence instead of an answer; with `cut_after`, after that many chunks.
        raw: These bytes are the body, whatever the other fields say.
        chunk_size: Characters a chunk of text or arguments, bytes a chunk of `raw`. None: 24, and `raw` at once.
    """

    text: str = ""
    reasoning: str = ""
    tool_calls: Sequence[ToolCall] = ()
    finish: str | None = None
    usage: Usage | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    chunk_delay_s: float = 0.0
    cut_after: int | None = None
    hang: bool = False
    raw: bytes | None = None
    chunk_size: int | None = None

    def __post_init__(self) -> None:
        if self.chunk_size is not None and self.chunk_size < 1:
            raise ValueError("chunk_size must be at least 1")

    @property
    def waits(self) -> bool:
        """Whether a `sleep` is needed to play this reply."""
        return self.delay_s > 0 or self.chunk_delay_s > 0


def made_id(prefix: str, raw: bytes) -> str:
    """Return an id made of a request's bytes: the same request gets the same id."""
    return prefix + hashlib.sha256(raw).hexdigest()[:24]
