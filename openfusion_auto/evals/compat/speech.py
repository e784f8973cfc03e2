"""What a probe says and hears, whatever the dialect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from openfusion_auto.core.prompt import Dialect
from openfusion_auto.evals.compat.outcome import Wrong
from openfusion_auto.wire.sse import Frame

Json = dict[str, object]
TOOLS = ("get_weather", "get_time")
ABOUT_TOOLS = {"get_weather": "The weather of a city.", "get_time": "The local time of a city."}
CITY: Json = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
FORM: Json = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "number": {"type": "integer"}},
    "required": ["city", "number"],
    "additionalProperties": False,
}
MAX_TOKENS = 300  # [tokens] of an answer: what a probe may cost


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked. `tools` are offered and one is demanded; `form`: an answer that fits `FORM`."""

    text: str
    stream: bool = False
    tools: Sequence[str] = ()
    form: bool = False
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model made; `arguments` as they came, where the dialect has them as text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer that has its dialect's form.

    Attributes:
        finish: `stop`, `tools`, or another word of the dialect's.
        usage: Tokens in and out; None when it says none.
        turn: The model's turn, as it goes into the next request.
        notes: What departs from the API's reference, and most clients bear: `form` of a stream, or `usage`. One probe
            each says so, so that one habit of a gateway does not fail every row.
    """

    text: str
    calls: tuple[ToolCall, ...]
    finish: str
    usage: tuple[int, int] | None
    turn: Sequence[Json]
    notes: Mapping[str, str] = field(default_factory=dict)


class Speech(Protocol):
    """A dialect as its clients speak it."""

    name: Dialect
    path: str

    def request(self, model: str, ask: Ask) -> Json:
        """Return the body of a request."""
        ...

    def follow(self, body: Json, heard: Heard, results: Sequence[str]) -> Json:
        """Return the request with the model's calls and their results behind it."""
        ...

    def whole(self, body: Mapping[str, object]) -> Heard:
        """Read an answer; `Wrong` names what is not in its form."""
        ...

    def stream(self, frames: Sequence[Frame]) -> Heard:
        """Read a stream; `Wrong` names what is not in its form."""
        ...

    def error(self, body: Mapping[str, object]) -> None:
        """Hold an error to the dialect's form."""
        ...


def tokens(usage: Mapping[str, object] | None, names: tuple[str, str]) -> tuple[int, int] | None:
    """Return the tokens in and out of a `usage`, None without one."""
    if usage is None:
        return None
    found = [usage.get(n) for n in names]
    counts = [n for n in found if isinstance(n, int) and not isinstance(n, bool) and n >= 0]
    if len(counts) != len(found):
        raise Wrong(f"usage has no {names[0]} or no {names[1]}")
    return counts[0], counts[1]
