"""The hub: one prompt, one answer, one delta, whatever dialect they came in.

Every surface and every upstream dialect converts to and from these types (see `docs/decisions/0001`). They keep
the original (`Prompt.body`, `Prompt.raw`, `Delta.raw`, `Answer.raw`), so that the same dialect on both sides is
relayed byte for byte and only what must be read is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from openfusion_auto.errors import FusionError

Dialect = Literal["chat", "responses", "messages"]
Role = Literal["system", "developer", "user", "assistant", "tool"]
PartKind = Literal["text", "image", "audio", "file", "reasoning", "refusal", "other"]
ModeName = Literal["single", "verify", "panel"]
Aggregator = Literal["auto", "judge", "ranked", "vote"]
Strategy = Literal[
    "panel", "self_fusion", "debate", "pipeline", "cascade",
    "fallback", "round_robin", "cost_optimized", "latency_optimized", "performance_based",
]  # fmt: skip
WebTool = Literal["web_search", "web_fetch"]
TraceLevel = Literal["none", "compact", "full"]
Shape = Literal["text", "json_object", "json_schema"]
Tier = Literal["dearer", "cheaper", "listed"]  # of service, beside the one whose prices are listed


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a message.

    Attributes:
        text: What can be read.
        size: Weight [bytes] of what is not text.
        url: Of an image, sound or file: a `data:` URL or an address (never fetched by us).
        media: Its media type, where known.
        opaque: A signature or encrypted content: it belongs to the model and upstream that made it, and means
            nothing elsewhere.
        raw: The piece as it came, in the client's dialect.
    """

    kind: PartKind
    text: str = ""
    size: int = 0
    url: str = ""
    media: str = ""
    opaque: str = ""
    raw: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that a model asked for; `arguments` are the bytes as written, never re-serialised."""

    id: str
    name: str
    arguments: str
    kind: Literal["function", "custom"] = "function"


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation. `tool_call_id` is set on tool results, `failed` on those that say so."""

    role: Role
    parts: tuple[Part, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    failed: bool = False

    @property
    def text(self) -> str:
        """The readable text (text and refusal parts), joined by newlines."""
        if len(self.parts) == 1:
            only = self.parts[0]
            return only.text if only.kind in ("text", "refusal") else ""
        return "\n".join(p.text for p in self.parts if p.kind in ("text", "refusal"))


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool the client offers.

    Attributes:
        kind: `function` takes JSON, `custom` takes free text, `server` runs at the upstream that offers it.
        schema: JSON Schema of its arguments; None when it has none.
        grammar: Of a custom tool: what its text must look like, as the client says it.
        raw: The tool as it came, in the client's dialect.
    """

    name: str
    kind: Literal["function", "custom", "server"] = "function"
    schema: Mapping[str, object] | None = None
    description: str = ""
    strict: bool | None = None
    grammar: Mapping[str, object] | None = None
    raw: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """The structured output a request asks for: a name, what it is for, and a JSON Schema (None: any JSON object)."""

    name: str = "answer"
    schema: Mapping[str, object] | None = None
    strict: bool | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """How an answer is to be made, as far as every dialect can say it; None = not asked.

    Attributes:
        effort: Reasoning effort: none, minimal, low, medium, high, xhigh, max.
        thinking_tokens: Bound for reasoning [tokens], where the client gives one.
        tool_choice: `auto`, `none`, `required`, or `tool:NAME`.
        parallel: Whether several tool calls may come at once.
    """

    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    effort: str | None = None
    thinking_tokens: int | None = None
    tool_choice: str | None = None
    parallel: bool | None = None
    form: Form | None = None


@dataclass(frozen=True, slots=True)
class FanOut:
    """How a model of the operator's own (`core/own.py`) asks its models: what no request can say.

    Attributes:
        of: Its name.
        asks: Mode and strategy are its own; else the request's.
        count: How many answers its panel gathers: its members in turn, again from the first when there are fewer.
            None = the usual panel.
        synthesis: Who writes anew what a judge picked; None = who wrote it.
        fallback: Who stands behind each member and the writer.
    """

    of: str
    asks: bool = True
    count: int | None = None
    synthesis: str | None = None
    fallback: str | None = None


@dataclass(frozen=True, slots=True)
class Each:
    """What a strategy object says of one of its models, by the name it has there; None = not said.

    Attributes:
        weight: Its share of the turns of `round_robin`; elsewhere the heavier comes first in a tie.
        max_usd_per_1k: Highest price, of input and of output alike [USD per 1,000 tokens]; an unknown one is too high.
        min_score: Lowest chance to solve the task [share], as the ranking's term `skill` says it.
    """

    name: str
    weight: float | None = None
    max_usd_per_1k: float | None = None
    min_score: float | None = None


@dataclass(frozen=True, slots=True)
class Hosts:
    """What a request's field `provider` demands of who serves a model, for upstreams that do not read it themselves.

    Attributes:
        only, ignore: Names of upstreams, in lower case; () = not said.
        max_input, max_output: Highest prices [USD per 1,000,000 tokens].
        unmet: Demands that only an upstream that reads the field can hold (`data_collection`, `zdr`, ...).
    """

    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    max_input: float | None = None
    max_output: float | None = None
    unmet: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Searched:
    """An upstream that would search, or do something else beside answering, for a request, and bill that apart.

    Attributes:
        upstream: Its name.
        usd: What a search costs there [USD]; None = unknown.
        most: How many searches one call makes at most; None = nothing bounds them.
    """

    upstream: str
    usd: float | None
    most: int | None

    def cost(self, count: int | None) -> float | None:
        """Return what so many searches cost [USD]; None when they or their price are unknown."""
        if count is None or (count and self.usd is None):
            return None
        return count * (self.usd or 0.0)


@dataclass(frozen=True, slots=True)
class Tiered:
    """An upstream that is asked to answer in another service tier than the one whose prices are listed."""

    upstream: str
    tier: Tier


@dataclass(frozen=True, slots=True)
class Options:
    """The body field `openfusion` of a request, validated. None means: not asked, use the policy's.

    `each` comes from a strategy object in `model`, `fan` from a model of the operator's own that is named there,
    `hosts` from OpenRouter's field `provider`. `searching` says what the request has upstreams do beside answering,
    `tiers` which of them are to answer in another service tier, `us_only` which in the US alone.
    """

    mode: Literal["auto", "single", "verify", "panel"] = "auto"
    panel: tuple[str, ...] = ()
    judge: str | None = None
    aggregator: Aggregator = "auto"
    candidates: tuple[str, ...] = ()
    cost_quality: float | None = None
    max_usd: float | None = None
    max_calls: int | None = None
    trace: TraceLevel = "compact"
    session: str | None = None
    cache: bool | None = None
    strategy: Strategy = "panel"
    analysis: bool = False
    fan: FanOut | None = None
    each: tuple[Each, ...] = ()
    hosts: Hosts | None = None
    tools: tuple[WebTool, ...] = ()
    searching: tuple[Searched, ...] = ()
    tiers: tuple[Tiered, ...] = ()
    us_only: tuple[str, ...] = field(default=(), metadata={"sparse": True})

    def searched_at(self, upstream: str) -> Searched | None:
        """Return what an upstream would do beside answering; None = nothing that is billed apart."""
        return next((s for s in self.searching if s.upstream == upstream), None)

    def tier_at(self, upstream: str) -> Tier | None:
        """Return the service tier that an upstream is asked for; None = none, so the listed one."""
        return next((t.tier for t in self.tiers if t.upstream == upstream), None)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A whole request.

    Attributes:
        dialect: The dialect it came in.
        model: The name the client asked for.
        body: The client's JSON object as parsed; unknown fields included.
        raw: The bytes as they came (b"" for prompts that a recipe changed).
        max_output_tokens: The client's bound, whichever field it stood in.
        shape: What form of output was asked for.
        settings: Sampling, reasoning and tool choice in hub terms; read from `body`, for other dialects.
        session_fields: Session hints found in the body (`session_id`, `prompt_cache_key`, ...).
        added: Messages that a recipe put behind the client's own.
        overrides: Body fields that a recipe changed; None removes one.
        web: Tools of the upstream's own that whoever answers may use; who judges or writes anew has none.
    """

    dialect: Dialect
    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    stream: bool = False
    include_usage: bool = False
    tool_choice_none: bool = False
    max_output_tokens: int | None = None
    n: int = 1
    shape: Shape = "text"
    settings: Settings = field(default_factory=Settings)
    options: Options = field(default_factory=Options)
    session_fields: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, object] = field(default_factory=dict)
    raw: bytes = b""
    added: tuple[Message, ...] = ()
    overrides: Mapping[str, object] = field(default_factory=dict)
    web: tuple[WebTool, ...] = ()

    def extend(self, *messages: Message, **overrides: object) -> Prompt:
        """Return this prompt with messages added behind it and body fields changed, for an inner call.

        The client's own messages stay as they came (roles, images, cache marks), so an inner call of the same
        model finds the same cached prefix. An override of None removes the field. Inner calls are not streamed
        unless `stream` is among the overrides.
        """
        return replace(
            self,
            added=(*self.added, *messages),
            overrides={**self.overrides, **overrides},
            stream=bool(overrides.get("stream", False)),
            raw=b"",
            web=(),
        )


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call as the upstream reported them. `cached` and `cache_write` are parts of `input`,
    `reasoning` is a part of `output`, `hour_write` the part of `cache_write` that is kept for an hour."""

    input: int = 0
    output: int = 0
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0
    hour_write: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input + other.input,
            self.output + other.output,
            self.cached + other.cached,
            self.cache_write + other.cache_write,
            self.reasoning + other.reasoning,
            self.hour_write + other.hour_write,
        )


@dataclass(frozen=True, slots=True)
class CallDelta:
    """A fragment of a tool call. `choice` and `index` name the call; `id` and `name` come with its first fragment."""

    choice: int
    index: int
    id: str | None
    name: str | None
    arguments: str
    kind: Literal["function", "custom"] = "function"


@dataclass(frozen=True, slots=True)
class Delta:
    """What one upstream event adds. `raw` is the event as it came, its blank line included.

    `done` marks the dialect's terminal event, `error` carries a safe message of an error event, `failure` what it means
    where that is more than a broken answer. `opaque` is the
    signature or encrypted content of the reasoning so far. `finish` uses the chat dialect's words (stop, length,
    tool_calls, content_filter) in every dialect. `dialect` is the one that `raw` and `data` are in.
    """

    raw: bytes
    text: str = ""
    reasoning: str = ""
    calls: tuple[CallDelta, ...] = ()
    finish: str | None = None
    usage: Usage | None = None
    done: bool = False
    error: str | None = None
    data: Mapping[str, object] | None = None
    opaque: str = ""
    dialect: Dialect = "chat"
    failure: FusionError | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer of one model.

    Attributes:
        raw: The body as it came (not streamed), else b"".
        deltas: The events as they came (streamed), else ().
        finish: The model's own finish reason.
        model: The name the upstream reported, or None.
        billed_usd: What the upstream says that the call costs [USD]; None when it does not say.
        searches: How many searches the upstream ran for it; None when that, or what else it ran, cannot be told.
        tier: The service tier it came from, by the price of its tokens; None when it does not say.
        sound: Some of its tokens are sound, read or made, which costs otherwise than text.
        us_only: Whether it was computed in the US alone, which costs more; None when it does not say where.
    """

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish: str | None = None
    usage: Usage | None = None
    model: str | None = None
    raw: bytes = b""
    deltas: tuple[Delta, ...] = ()
    data: Mapping[str, object] | None = None
    opaque: str = ""
    dialect: Dialect = "chat"
    billed_usd: float | None = None
    searches: int | None = None
    tier: Tier | None = None
    sound: bool = False
    us_only: bool | None = None
