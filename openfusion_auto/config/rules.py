"""What the operator says about reading requests: rules (`core/rules.py`), who classifies, whether outcomes teach."""

from __future__ import annotations

import re
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from openfusion_auto.config.section import Name, Section, listed
from openfusion_auto.core import rules
from openfusion_auto.core.pattern import compiled
from openfusion_auto.core.prompt import ModeName
from openfusion_auto.core.types import LEVELS, Kind, Level

MOST_TEXT = 500  # [characters] of one keyword, pattern or path
MOST_EACH = 200  # keywords, patterns or paths of one rule
CONDITIONS = ("keywords", "patterns", "paths")
EFFECTS = ("role", "risk", "complexity", "mode", "kind")
_LEVEL = re.compile(rf"(?:(at_least|at_most)\s+)?({'|'.join(LEVELS)})")


def checked_text(value: str) -> str:
    """Return a keyword or path.

    Raises:
        ValueError: it is empty, or longer than `MOST_TEXT`.
    """
    if not value.strip():
        raise ValueError("must not be empty: it would be found in every request")
    if len(value) > MOST_TEXT:
        raise ValueError(f"must have at most {MOST_TEXT} characters, has {len(value)}")
    return value


def checked_glob(value: str) -> str:
    """Return a path; raises ValueError when it is every path, or none."""
    if set(rules.glob(checked_text(value))) <= {"*", "**"}:
        raise ValueError('must name a file or folder, such as "*.sql" or "src/auth/"')
    return value


def checked_pattern(value: str) -> str:
    """Return a regular expression; raises ValueError (`pattern.Refused`) with what is wrong with it."""
    machine = compiled(checked_text(value))
    if machine.search("") is not None:
        raise ValueError("matches the empty text, so it would be found in every request")
    return value


def checked_level(value: str) -> str:
    """Return a level; raises ValueError when it is none."""
    span_of(value)
    return value


def span_of(text: str) -> rules.Span:
    """Return what `high`, `at_least medium` or `at_most low` allows.

    Raises:
        ValueError: it is none of them.
    """
    found = _LEVEL.fullmatch(text.strip())
    if found is None:
        raise ValueError('must be low, medium or high, or such as "at_least medium", "at_most low"')
    level: Level = next(known for known in LEVELS if known == found[2])
    match found[1]:
        case "at_least":
            return rules.Span(level, LEVELS[-1])
        case "at_most":
            return rules.Span(LEVELS[0], level)
        case _:
            return rules.Span(level, level)


Keywords = Annotated[
    tuple[Annotated[str, AfterValidator(checked_text)], ...],
    BeforeValidator(listed),
    Field(max_length=MOST_EACH),
]
Patterns = Annotated[
    tuple[Annotated[str, AfterValidator(checked_pattern)], ...],
    BeforeValidator(listed),
    Field(max_length=MOST_EACH),
]
Globs = Annotated[
    tuple[Annotated[str, AfterValidator(checked_glob)], ...],
    BeforeValidator(listed),
    Field(max_length=MOST_EACH),
]
LevelText = Annotated[str, AfterValidator(checked_level)]
RuleKind = Literal[
    "bugfix", "feature", "review", "refactor", "test", "docs", "explain", "ops", "chat"
]


class RuleConfig(Section):
    """`[[rules]]`: a rule of your own: when one of its words, patterns or paths is found, it moves the reading."""

    name: Name = Field(description="what the evidence calls it: rule.NAME", examples=["payments"])
    keywords: Keywords = Field(
        default=(),
        description="words or phrases in what the person says, whole words in any case",
        examples=[["invoice", "credit card"]],
    )
    patterns: Patterns = Field(
        default=(),
        description="regular expressions searched in what the person says, in any case",
        examples=[["\\bdrop\\s+table\\b"]],
    )
    paths: Globs = Field(
        default=(),
        description="file names in words, tool calls and attachments; * and ? inside a folder, ** across folders",
        examples=[["src/payments/**", "*.sql"]],
    )
    role: str | None = Field(
        default=None,
        description="prefer candidates with this role; nobody is shut out",
        examples=["reasoner"],
        min_length=1,
    )
    risk: LevelText | None = Field(
        default=None,
        description='set the risk: low, medium, high, or a bound such as "at_least medium"',
        examples=["at_least medium"],
    )
    complexity: LevelText | None = Field(
        default=None,
        description='set the complexity: low, medium, high, or a bound such as "at_most medium"',
        examples=["at_least medium"],
    )
    mode: ModeName | None = Field(
        default=None,
        description="answer a person's turn in this mode: single, verify, panel",
        examples=["verify"],
    )
    kind: RuleKind | None = Field(
        default=None,
        description="read it as this kind: " + ", ".join(get_args(RuleKind)),
        examples=["review"],
    )
    why: str = Field(
        default="",
        description="a remark that is shown beside what was found",
        examples=["money moves here"],
        max_length=200,
    )

    @model_validator(mode="after")
    def _not_empty(self) -> RuleConfig:
        if not any(getattr(self, name) for name in CONDITIONS):
            raise ValueError(
                f"never fires: give it {', '.join(CONDITIONS[:-1])} or {CONDITIONS[-1]}"
            )
        if not any(getattr(self, name) for name in EFFECTS):
            raise ValueError(f"does nothing: give it {', '.join(EFFECTS[:-1])} or {EFFECTS[-1]}")
        return self

    def rule(self) -> rules.Rule:
        """Return the rule, compiled."""
        kind: Kind | None = self.kind
        return rules.rule(
            self.name,
            keywords=self.keywords,
            patterns=self.patterns,
            paths=self.paths,
            prefer=self.role,
            risk=span_of(self.risk) if self.risk else None,
            complexity=span_of(self.complexity) if self.complexity else None,
            mode=self.mode,
            kind=kind,
            why=self.why,
        )


class ClassifierSection(Section):
    """`[classifier]`: who reads what a person asks for."""

    mode: Literal["heuristic", "model", "always", "never"] = Field(
        default="heuristic",
        description="heuristic = no call; model = one small call a task; always, never = a panel on every turn or none",
    )
    candidate: str | None = Field(
        default=None,
        description="who is asked with mode = model; else the cheapest candidate with the role fast",
        examples=["fast-a"],
        min_length=1,
    )
    timeout_s: float = Field(
        default=3.0, gt=0, le=60, description="longest wait for its answer, seconds"
    )
    max_chars: int = Field(
        default=2000,
        ge=100,
        le=20_000,
        description="of a person's words that it is sent, characters",
    )


class LearnSection(Section):
    """`[learn]`: whether what happens after an answer (tests fail, the person takes it back) moves later choices."""

    enabled: bool = Field(default=False, description="count such signals, by project folder")
    half_life_days: float = Field(
        default=14.0, gt=0, le=3650, description="a signal counts half after so many days"
    )
    max_lift: float = Field(
        default=0.20,
        ge=0,
        le=0.35,
        description="most that a candidate's chance is moved, as a share",
    )
