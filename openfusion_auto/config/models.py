"""`[[models]]`: models of the operator's own, each a name for candidates and a way to ask them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from openfusion_auto.config.problems import near
from openfusion_auto.config.section import Section, Strings, listed
from openfusion_auto.config.tomlfile import Loc
from openfusion_auto.core.own import OwnModel, host_of, outsider
from openfusion_auto.core.prompt import (
    Aggregator,
    Each,
    FanOut,
    ModeName,
    Options,
    Strategy,
    WebTool,
)
from openfusion_auto.core.strategy import mode_of
from openfusion_auto.core.types import Candidate, Pool
from openfusion_auto.core.words import many
from openfusion_auto.errors import ConfigError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}")
RESERVED = "openfusion/"  # of the names that are there without any configuration
MOST_MEMBERS = 32  # answers that one panel may gather
MOST_WEIGHT = 1e6  # as in a request
NAMING = ("candidates", "judge", "synthesis", "fallback")  # keys that name candidates


def checked_name(value: str) -> str:
    """Return a name for a model; raises ValueError when it cannot be one."""
    if not NAME.fullmatch(value):
        raise ValueError("must be letters, digits and . _ : / @ + -, at most 128")
    if value.startswith(RESERVED):
        raise ValueError(f"must not begin with {RESERVED}: such names are there already")
    return value


OwnName = Annotated[str, AfterValidator(checked_name)]


class ModelSection(Section):
    """`[[models]]`: a model of your own: a name that clients may ask for, for candidates and a way to ask them."""

    name: OwnName = Field(description="what clients put in `model`", examples=["team/careful"])
    description: str = Field(
        default="",
        max_length=200,
        description="what lists of models say about it",
        examples=["three models and a judge"],
    )
    candidates: Annotated[Strings, Field(max_length=MOST_MEMBERS)] = Field(
        default=(),
        description="who may answer, by id or model, in order; none = the whole pool",
        examples=[["coder-a", "reasoner-a"]],
    )
    weights: dict[str, float] = Field(
        default_factory=dict,
        description="candidate -> its share of the turns in strategy round_robin; else the heavier goes first at a tie",
        examples=[{"coder-a": 3, "reasoner-a": 1}],
    )
    upstream: str | None = Field(
        default=None,
        min_length=1,
        description="who serves those that are not in the pool; else an upstream that offers any_model",
        examples=["openrouter"],
    )
    mode: Literal["auto", "single", "verify", "panel"] | None = Field(
        default=None,
        description="how: auto, single, verify or panel; without it the strategy's, else panel",
        examples=["panel"],
    )
    strategy: Strategy | None = Field(
        default=None,
        description="a way of the mode, as in openfusion.strategy of a request",
        examples=["debate"],
    )
    aggregator: Aggregator = Field(
        default="auto", description="of a panel, how one answer is made: auto, judge, ranked, vote"
    )
    fanout: int | None = Field(
        default=None,
        ge=2,
        le=MOST_MEMBERS,
        description="answers that its panel gathers, candidates in turn; else one of each candidate",
        examples=[3],
    )
    judge: str | None = Field(
        default=None,
        min_length=1,
        description="who judges; else who writes, else the pool's best for it",
        examples=["verifier-a"],
    )
    synthesis: str | None = Field(
        default=None,
        min_length=1,
        description="who writes the final answer where it is written anew; else who wrote the picked one",
        examples=["verifier-a"],
    )
    fallback: str | None = Field(
        default=None,
        min_length=1,
        description="who answers in the place of a member, or of the writer, that fails",
        examples=["coder-a"],
    )
    analysis: bool = Field(
        default=False, description="tell what the members agree on, and where they differ"
    )
    tools: Annotated[tuple[WebTool, ...], BeforeValidator(listed)] = Field(
        default=(),
        description="web tools that whoever answers may use: web_search, web_fetch",
        examples=[["web_search"]],
    )
    cost_quality: float | None = Field(
        default=None,
        ge=0,
        le=10,
        description="0 = quality first .. 10 = cheapest first",
        examples=[5.0],
    )
    max_usd: float | None = Field(
        default=None, gt=0, description="ceiling for one request, worst case, USD", examples=[0.5]
    )
    max_calls: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="ceiling for upstream calls of one request",
        examples=[8],
    )
    created: int = Field(
        default=0,
        ge=0,
        le=2**53,
        description="when it was made, as lists show it, seconds since 1970",
    )

    @model_validator(mode="after")
    def _whole(self) -> ModelSection:
        if self.mode not in (None, "auto") and self.strategy not in (None, "panel"):
            wanted = mode_of(self.strategy or "panel")
            if wanted != self.mode:
                raise ValueError(
                    f"strategy {self.strategy} is a way of mode {wanted}, not {self.mode}"
                )
        if len(set(self.candidates)) < len(self.candidates):
            raise ValueError("a candidate stands twice; fanout asks one several times")
        for key in ("fanout", "synthesis", "fallback"):
            if getattr(self, key) is not None and self.way not in ("panel", "auto"):
                raise ValueError(f"{key} belongs to a panel, and this is mode {self.way}")
        if self.fanout is not None and not self.candidates:
            raise ValueError("fanout needs candidates")
        check_weights(self.weights, self.candidates)
        return self

    @property
    def way(self) -> Literal["auto"] | ModeName:
        """The mode: its own, its strategy's, else a panel."""
        return self.mode or mode_of(self.strategy or "panel")

    def asks(self) -> Options:
        """Return what a request asks for that names it."""
        judge = self.judge or self.synthesis
        others = tuple(n for n in (judge, self.synthesis, self.fallback) if n is not None)
        count = (self.fanout or len(self.candidates)) if self.candidates else None
        return Options(
            mode="auto" if self.strategy not in (None, "panel") else self.way,
            strategy=self.strategy or "panel",
            panel=self.candidates,
            candidates=tuple(dict.fromkeys((*self.candidates, *others))) if self.candidates else (),
            judge=judge,
            aggregator=self.aggregator,
            analysis=self.analysis,
            tools=self.tools,
            cost_quality=self.cost_quality,
            max_usd=self.max_usd,
            max_calls=self.max_calls,
            fan=FanOut(self.name, True, count, self.synthesis, self.fallback),
            each=tuple(Each(name, weight) for name, weight in self.weights.items()),
        )


def check_weights(weights: Mapping[str, float], candidates: Sequence[str]) -> None:
    """Check what a model says of its candidates' turns.

    Raises:
        ValueError: a weight of nobody, one out of bounds, or none above 0.
    """
    unknown = [name for name in weights if name not in candidates]
    if unknown:
        raise ValueError(f"weights names {unknown[0]!r}, which is not among candidates")
    if not all(0 <= weight <= MOST_WEIGHT for weight in weights.values()):
        raise ValueError(f"weights must be 0 to {MOST_WEIGHT:g}")
    if weights and not any(weights.values()):
        raise ValueError("weights needs one above 0")


Models = Annotated[tuple[ModelSection, ...], BeforeValidator(listed)]


def own_models(
    sections: Sequence[ModelSection],
    pool: Pool,
    offers: Mapping[str, tuple[str, ...]],
    label: Callable[[Loc], str],
) -> tuple[OwnModel, ...]:
    """Return the models of a configuration, with who they name.

    Args:
        sections: As they stand there.
        pool: The candidates.
        offers: Upstream name -> what it offers.
        label: Gives the start of a line of the message for a place.

    Raises:
        ConfigError: a name that is a candidate's, or a candidate or upstream that is not there; one line for each.
    """
    known = sorted({c.id for c in pool.candidates} | {c.model for c in pool.candidates})
    own = {s.name for s in sections}
    lines, made = [], []
    for i, section in enumerate(sections):
        if section.name in known:
            lines.append(f"{label(('models', i, 'name'))}: {section.name!r} is a candidate's name")
        if section.upstream is not None and section.upstream not in offers:
            there = f"{label(('models', i, 'upstream'))}: there is no upstream {section.upstream!r}"
            lines.append(there + near(section.upstream, offers))
        host = section.upstream or host_of(offers)
        outside: dict[str, Candidate] = {}
        for key, name in named_by(section):
            if name in known:
                continue
            if name in own:
                there = label(("models", i, key))
                lines.append(f"{there}: {name!r} is a model of your own; name candidates")
            elif host is None or name.startswith(RESERVED) or not NAME.fullmatch(name):
                there = label(("models", i, key))
                lines.append(f"{there}: the pool has no candidate {name!r}{near(name, known)}")
            elif not section.candidates:
                there = label(("models", i, key))
                lines.append(f"{there}: {name!r} is not in the pool; name the candidates it is for")
            else:
                outside[name] = outsider(name, host)
        says = section.description or said_of(section)
        asks = section.asks()
        made.append(OwnModel(section.name, says, asks, tuple(outside.values()), section.created))
    if lines:
        raise ConfigError("\n".join(lines))
    return tuple(made)


def named_by(section: ModelSection) -> Iterator[tuple[str, str]]:
    """Yield the candidates that a model names, each with the key that names it."""
    for key in NAMING:
        value = getattr(section, key)
        for name in (value,) if isinstance(value, str) else value or ():
            yield key, name


def said_of(section: ModelSection) -> str:
    """Return a model of the operator's own in a few words."""
    how = section.strategy or section.way
    count = len(section.candidates)
    who = many(count, "candidate") if count else "the whole pool"
    times = f", {section.fanout} answers" if section.fanout else ""
    return f"{how} of {who}{times}"


def too_many(sections: Sequence[ModelSection], max_calls: int) -> list[str]:
    """Return a warning for each model whose panel is never gathered, since it asks more than a request may."""
    found = []
    for section in sections:
        asked, most = section.asks(), min(section.max_calls or max_calls, max_calls)
        behind = {"vote": 0, "ranked": 1}.get(section.aggregator, 2)
        calls = (asked.fan.count if asked.fan else None) or 0
        if section.way == "panel" and calls and calls + behind > most:
            found.append(
                f"model {section.name}: a panel of {calls} is up to {calls + behind} calls, and max_calls is {most}"
            )
    return found
