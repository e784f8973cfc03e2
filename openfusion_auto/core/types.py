"""The nouns of a decision. Read this file first; `decide.py` next.

All are frozen values without I/O, clock or randomness: a decision is a function of a `Task`, a `Pool`, a `State`
and a `Policy`, and the same four give the same bytes in any process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple, Protocol, get_args

from openfusion_auto.core.price import LongPrice
from openfusion_auto.core.prompt import ModeName, Options, Strategy
from openfusion_auto.core.strategy import Patience, Stage

Kind = Literal[
    "bugfix", "feature", "review", "refactor", "test", "docs", "explain", "ops", "aux", "chat"
]
Level = Literal["low", "medium", "high"]
Turn = Literal["aux", "user", "tool"]
RoleName = str  # "fast", "coder", "reasoner", "verifier", "writer", or one of the pool's own
BreakerPhase = Literal["closed", "open", "half_open"]
Twice = Literal["auto", "always", "never"]

KINDS: tuple[Kind, ...] = get_args(Kind)
LEVELS: tuple[Level, ...] = ("low", "medium", "high")
ROLES: tuple[RoleName, ...] = ("fast", "coder", "reasoner", "verifier", "writer")


class Evidence(NamedTuple):
    """One reason for a reading: `signal` fired, worth `points` (unit-free), because `why`."""

    signal: str
    points: float
    why: str


@dataclass(frozen=True, slots=True)
class Needs:
    """What a candidate must offer to serve the request at all. Token counts are estimates [tokens].

    `max_output_tokens` bounds one answer, `n` says how many are asked for. `web`: the upstream searches the web for it.
    `hour_cache`: it asks for a cache that lives an hour, which costs more to write.
    """

    tools: bool = False
    vision: bool = False
    json_schema: bool = False
    input_tokens: int = 0
    max_output_tokens: int | None = None
    n: int = 1
    web: bool = False
    hour_cache: bool = False


@dataclass(frozen=True, slots=True)
class Forced:
    """A mode that the operator asks for on this task, and what asks for it."""

    mode: ModeName
    by: str


@dataclass(frozen=True, slots=True)
class Task:
    """A request as it was read: what is asked, how risky, how hard, where in the agent's loop.

    Attributes:
        kind: What is asked for.
        risk: What a wrong answer costs.
        complexity: How hard it is.
        turn: `aux` a call the client makes for itself, `user` a person's words, `tool` a tool result came back.
        needs: Hard requirements.
        evidence: Every point behind kind, risk and complexity.
        struggling, struggle: Repeated failing tool results say that the session's model is stuck, and what they say.
        ease: How much easier than a benchmark's task [log-odds], by recorded outcomes; None: as its complexity says.
        lifts: Candidate -> how much likelier it succeeds here than its strength says [share], by recorded outcomes.
        effort: Its cost over an ordinary task's, whoever does it, by recorded bills.
        role, only: The role that the request names, or None; the candidates it restricts the choice to, empty = all.
        options: The request's own options.
        prefer: The role that a rule prefers: its candidates rank higher, nobody is shut out.
        forced: The mode that a rule or the classifier's setting asks for, or None; the request's own goes before.
        number: Of strategy `round_robin`: how many requests have had their turn before.
    """

    kind: Kind
    risk: Level
    complexity: Level
    turn: Turn
    needs: Needs = field(default_factory=Needs)
    evidence: tuple[Evidence, ...] = ()
    struggling: bool = False
    struggle: str = ""
    role: RoleName | None = None
    only: tuple[str, ...] = ()
    options: Options = field(default_factory=Options)
    ease: float | None = None
    lifts: tuple[tuple[str, float], ...] = ()
    effort: float = 1.0
    prefer: RoleName | None = None
    forced: Forced | None = None
    number: int = 0


@dataclass(frozen=True, slots=True)
class Price:
    """List price [USD per 1,000,000 tokens]; None = unknown, never 0. `long_context`: what longer prompts cost."""

    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None
    source: str = ""
    as_of: str = ""
    long_context: tuple[LongPrice, ...] = field(default=(), metadata={"sparse": True})


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One published score [percent], with its sample size when the source says it."""

    name: str
    score: float
    n: int | None = None
    source: str = ""
    as_of: str = ""


@dataclass(frozen=True, slots=True)
class TaskCost:
    """What one whole agent task cost on a published run [USD]."""

    value: float
    source: str = ""
    as_of: str = ""


@dataclass(frozen=True, slots=True)
class Performance:
    """Priors until live numbers are there: time to first token [ms], throughput [tokens/s]."""

    ttft_ms_p50: float | None = None
    tokens_per_s_p50: float | None = None
    source: str = ""
    as_of: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One model at one upstream.

    Attributes:
        id: Unique in the pool; what options and traces name.
        upstream, model: Name of the upstream that serves it, and the name sent there.
        roles: Roles it may play; order of the pool does not matter.
        offers: Abilities: `tools`, `vision`, `reasoning`, `json_schema`, ...
        price: None = unknown.
        context_tokens: Window [tokens]; None = unknown (never a reason to reject).
    """

    id: str
    upstream: str
    model: str
    roles: tuple[RoleName, ...] = ()
    offers: tuple[str, ...] = ()
    price: Price | None = None
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    benchmarks: tuple[Benchmark, ...] = ()
    cost_per_task: TaskCost | None = None
    performance: Performance | None = None


@dataclass(frozen=True, eq=False)
class Pool:
    """The candidates, sorted by id in whatever order they come. `digest` names the content; compare pools by it.

    Identity equality on purpose: what `score.py` derives from a pool is remembered per object.
    """

    candidates: tuple[Candidate, ...]
    digest: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "candidates", tuple(sorted(self.candidates, key=lambda c: c.id)))

    def get(self, candidate_id: str) -> Candidate | None:
        """Return the candidate with that id, or None."""
        return self.by_id.get(candidate_id)

    @cached_property
    def by_id(self) -> Mapping[str, Candidate]:
        """The candidates by id."""
        return {c.id: c for c in self.candidates}

    @cached_property
    def row_of(self) -> Mapping[str, int]:
        """Where a candidate stands, by id."""
        return {c.id: i for i, c in enumerate(self.candidates)}


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the operator will not have (hard limits); None = no limit. Prices in USD per 1,000,000 tokens."""

    max_input_price: float | None = None
    max_output_price: float | None = None
    min_benchmark: float | None = None
    min_tokens_per_s: float | None = None
    max_ttft_ms: float | None = None
    fail_open: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """The operator's settings that a decision depends on.

    Attributes:
        cost_quality: 0 quality .. 10 cheap.
        mode: `auto`, or one mode for every user turn.
        max_usd: Ceiling for the worst case of one request [USD]; None = none.
        max_calls: Ceiling for upstream calls of one request, fallbacks included.
        fallbacks: How many further candidates stand behind the first.
        panel_size: Members of a panel.
        check: How good the check behind an answer is; None = as published judges are (`mode.CHECK`).
        panel_wait_s: How long a panel's members may take when another answer is there [s].
        samples, pipeline: How often strategy `self_fusion` has its model answer; the steps of strategy `pipeline`.
        debate_rounds: Of strategy `debate`: how often the members see each other's answers and may revise theirs.
        hold_destructive: Tool calls that destroy something are read by a verifier before the client gets them.
        judge_twice: When a panel's judge is asked again with the order reversed: `auto` (two answers, a tied vote), ...
    """

    cost_quality: float = 5.0
    mode: Literal["auto", "single", "verify", "panel"] = "auto"
    max_usd: float | None = None
    max_calls: int = 12
    fallbacks: int = 3
    panel_size: int = 3
    preferences: Preferences = field(default_factory=Preferences)
    check: Check | None = None
    panel_wait_s: float = 120.0
    samples: int = 3
    debate_rounds: int = 1
    pipeline: tuple[Stage, ...] = ()
    hold_destructive: bool = False
    judge_twice: Twice = field(default="auto", metadata={"before": "never"})


@dataclass(frozen=True, slots=True)
class Stats:
    """Live numbers of one candidate; weights are decayed sample counts (half-life in `stats.py`).

    Attributes:
        ok, failed: Decayed counts of attempts that succeeded or failed by the candidate's fault.
        ttft_ms, ttft_weight: Decayed mean of the time to the first byte [ms].
        tokens_per_s, tps_weight: Decayed mean of the output rate [tokens/s].
        bytes_per_token, bpt_weight: Decayed mean of prompt bytes per reported input token.
        cache_hit, cache_weight: Decayed mean of reported over predicted cached tokens, 0..1.
        at_s: When these were last decayed to [s, the clock of `State.now_s`].
    """

    ok: float = 0.0
    failed: float = 0.0
    ttft_ms: float = 0.0
    ttft_weight: float = 0.0
    tokens_per_s: float = 0.0
    tps_weight: float = 0.0
    bytes_per_token: float = 0.0
    bpt_weight: float = 0.0
    at_s: float = 0.0
    cache_hit: float = 0.0
    cache_weight: float = 0.0


@dataclass(frozen=True, slots=True)
class Breaker:
    """Circuit breaker of one candidate; transitions are a table in `breaker.py`."""

    phase: BreakerPhase = "closed"
    failures: int = 0
    until_s: float = 0.0
    probing: bool = False


class Cached(NamedTuple):
    """A prefix of a session that is believed to be in a provider's cache until `until_s`: so many tokens."""

    candidate: str
    tokens: int
    until_s: float


@dataclass(frozen=True, slots=True)
class Pin:
    """A session's model, and what is believed to be in providers' caches.

    The pin lives until `expires_s`. `caches` holds the candidates that served the session, the latest last: who comes
    back to an earlier one in time finds what it had cached. `turns` counts the answers of the session.
    """

    candidate: str
    caches: tuple[Cached, ...] = ()
    turns: int = 1
    expires_s: float = 0.0
    escalated: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """Everything live that a decision depends on, read once.

    Attributes:
        now_s: Clock reading [s].
        stats, breakers: By candidate id; a missing one means nothing is known.
        pin: This session's, when there is one that has not expired.
        unready: Upstream name -> why it cannot be called (no key, refused by configuration).
        cache_min: Upstream name -> shortest prompt that it caches [tokens], where it is not the usual one.
        cache_ttl: Upstream name -> how long it keeps what it cached [s], "" for all others.
        offers: Upstream name -> what it takes besides its dialect; said where a request asks for some of it.
    """

    now_s: float = 0.0
    stats: Mapping[str, Stats] = field(default_factory=dict)
    breakers: Mapping[str, Breaker] = field(default_factory=dict)
    pin: Pin | None = None
    unready: Mapping[str, str] = field(default_factory=dict)
    cache_min: Mapping[str, int] = field(default_factory=dict)
    cache_ttl: Mapping[str, float] = field(default_factory=dict)
    offers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class Term(NamedTuple):
    """One term of a score: `raw` in `unit`, mapped to `value` 0..1, times `weight` gives `points`."""

    name: str
    raw: float | None
    unit: str
    value: float
    weight: float
    points: float
    source: str


class Terms(Protocol):
    """Where a score's terms are read when somebody looks: the table of a whole request (`score.Table`)."""

    def terms(self, row: int) -> tuple[Term, ...]:
        """Return the terms of a row."""
        ...


@dataclass(frozen=True, slots=True)
class Score:
    """One ranked candidate: row `row` of its request's table.

    `total` is the sum of the terms' points. `expected_usd` is this request's price, None when it is unknown.
    """

    candidate: str
    model: str
    expected_usd: float | None
    total: float
    row: int
    table: Terms = field(repr=False, compare=False)

    @property
    def terms(self) -> tuple[Term, ...]:
        """The terms; their points add up to `total`."""
        return self.table.terms(self.row)


@dataclass(frozen=True, slots=True)
class Rejection:
    """A candidate that cannot serve: the `rule` (stable code) and a sentence."""

    candidate: str
    rule: str
    detail: str


@dataclass(frozen=True, slots=True)
class Step:
    """One phase of a plan: candidates in order, the first is tried first. `words` are a pipeline's."""

    phase: str
    candidates: tuple[str, ...]
    words: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be called. Money is None when a price is unknown."""

    steps: tuple[Step, ...]
    expected_usd: float | None
    worst_case_usd: float | None


@dataclass(frozen=True, slots=True)
class Staying:
    """What staying with the session's model costs, and what changing to the best other one does.

    `*_usd` is this request, `*_usd_per_turn` a turn on average over the rest of the session [USD]; None = unknown.
    `warm_tokens` of the prompt are believed to be in the provider's cache where the session is, `switch_warm_tokens`
    at the other one (the session was there before).
    """

    candidate: str
    warm_tokens: int
    stay_usd: float | None
    stay_usd_per_turn: float | None
    switch_to: str | None
    switch_warm_tokens: int
    switch_usd: float | None
    switch_usd_per_turn: float | None


@dataclass(frozen=True, slots=True)
class Check:
    """How good a check of an answer is: the share of wrong ones it finds, and of right ones it accepts."""

    sensitivity: float
    specificity: float


@dataclass(frozen=True, slots=True)
class Decision:
    """The whole choice, with everything needed to show and to replay it.

    `strategy` is how a panel (or, for `cascade`, a check) goes about it, "" where there is only one way. `patience` is
    a panel's. `hold`: calls which destroy something are read by a verifier. `twice`: the judge always sees both orders.
    """

    mode: ModeName
    reasons: tuple[str, ...]
    task: Task
    ranking: tuple[Score, ...]
    rejected: tuple[Rejection, ...]
    plan: Plan
    aggregator: str
    pool_digest: str
    cost_quality: float
    staying: Staying | None = None
    escalates: bool = False
    strategy: Strategy | Literal[""] = ""
    patience: Patience | None = None
    hold: bool = False
    twice: bool = False
