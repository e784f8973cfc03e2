"""The pool file: which models there are, and what is known about them, from where and since when."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from openfusion_auto.config.problems import describe, dotted, near
from openfusion_auto.config.section import Section, Strings, listed
from openfusion_auto.config.tomlfile import Loc, TomlFile, read_toml
from openfusion_auto.core.own import POOL_SCHEMA, ad_hoc
from openfusion_auto.core.price import LongPrice
from openfusion_auto.core.strength import is_embedding
from openfusion_auto.core.types import (
    ROLES,
    Benchmark,
    Candidate,
    Performance,
    Pool,
    Price,
    TaskCost,
)
from openfusion_auto.errors import ConfigError

__all__ = ["LOCAL_SOURCE", "POOL_SCHEMA", "STALE_DAYS", "Finding", "check_pool", "load_pool"]

LOCAL_SOURCE = "runs on this machine"  # the source of a price that really is 0
FREE_SUFFIX = ":free"  # OpenRouter's name for a variant without charge
KNOWN_OFFERS = ("tools", "vision", "reasoning", "json_schema", "embeddings")
STALE_DAYS = 180  # half a year: list prices of the shipped models moved about that often

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,99}")
_MODEL = re.compile(r"[\x21-\x7e]{1,200}")
_WORD = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_AS_OF = re.compile(r"([0-9]{4})-([0-9]{2})(?:-([0-9]{2}))?")
# OpenRouter's and the makers' dearest list prices are below; more is a slip of the decimal point.
_HIGHEST_USD_PER_MTOK = 1000.0


class _Dated(Section):
    """A number from somewhere: `source` and `as_of` are part of it."""

    source: str = Field(min_length=1)
    as_of: str

    @field_validator("as_of")
    @classmethod
    def _as_of(cls, value: str) -> str:
        as_date(value)
        return value


class _Rates(Section):
    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cache_read: float | None = Field(default=None, ge=0)
    cache_write: float | None = Field(default=None, ge=0)


class _LongPrice(_Rates):
    above_tokens: int = Field(ge=1)


class _Price(_Rates, _Dated):
    long_context: Annotated[tuple[_LongPrice, ...], BeforeValidator(listed)] = ()

    @field_validator("long_context")
    @classmethod
    def _lengths(cls, value: tuple[_LongPrice, ...]) -> tuple[_LongPrice, ...]:
        if len({p.above_tokens for p in value}) < len(value):
            raise ValueError("names a length twice")
        return value


class _TaskCost(_Dated):
    value: float = Field(ge=0)


class _Benchmark(_Dated):
    name: str = Field(min_length=1)
    score: float = Field(ge=0, le=100)
    n: int | None = Field(default=None, ge=1)


class _Performance(_Dated):
    ttft_ms_p50: float | None = Field(default=None, gt=0)
    tokens_per_s_p50: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _says_something(self) -> _Performance:
        if self.ttft_ms_p50 is None and self.tokens_per_s_p50 is None:
            raise ValueError("must have ttft_ms_p50 or tokens_per_s_p50; leave it out when unknown")
        return self


class _Candidate(Section):
    id: str
    upstream: str = Field(min_length=1)
    model: str
    roles: Strings = ()
    offers: Strings = ()
    price_usd_per_mtok: _Price | None = None
    context_tokens: int | None = Field(default=None, ge=1)
    max_output_tokens: int | None = Field(default=None, ge=1)
    cost_usd_per_task: _TaskCost | None = None
    benchmarks: Annotated[tuple[_Benchmark, ...], BeforeValidator(listed)] = ()
    performance: _Performance | None = None

    @field_validator("id")
    @classmethod
    def _id(cls, value: str) -> str:
        if not _ID.fullmatch(value):
            raise ValueError("must be letters, digits or one of . _ : / @ + -, at most 100")
        if value.startswith("openfusion/"):
            raise ValueError('must not start with "openfusion/": those are the virtual models')
        return value

    @field_validator("model")
    @classmethod
    def _model(cls, value: str) -> str:
        if not _MODEL.fullmatch(value):
            raise ValueError("must be printable ASCII without spaces, 1 to 200 characters")
        return value

    @field_validator("roles", "offers")
    @classmethod
    def _words(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for word in value:
            if not _WORD.fullmatch(word):
                raise ValueError(f"{word[:40]!r} must be lower case letters, digits, '_' or '-'")
        if len(set(value)) < len(value):
            raise ValueError("names something twice")
        return value

    @field_validator("benchmarks")
    @classmethod
    def _names(cls, value: tuple[_Benchmark, ...]) -> tuple[_Benchmark, ...]:
        if len({b.name for b in value}) < len(value):
            raise ValueError("names a benchmark twice")
        return value


class PoolFile(Section):
    """A whole pool file."""

    version: Literal[1] = Field(alias="schema")
    candidates: Annotated[tuple[_Candidate, ...], BeforeValidator(listed)]

    @field_validator("candidates")
    @classmethod
    def _some(cls, value: tuple[_Candidate, ...]) -> tuple[_Candidate, ...]:
        if not value:
            raise ValueError("there is none")
        return value


class Finding(NamedTuple):
    """Something in a pool that deserves a look. `candidate` is empty when it is about the pool."""

    candidate: str
    rule: str
    detail: str


def load_pool(path: Path, *, shown: str | None = None) -> Pool:
    """Read a pool file.

    The candidates come sorted by id and their lists sorted by name, so that `digest` names the
    content whatever the order of the file.

    Args:
        path: The file.
        shown: How messages name it; its path when not given.

    Raises:
        ConfigError: with every problem that was found, one to a line.
    """
    file = read_toml(path, shown or str(path))
    version = file.data.get("schema", POOL_SCHEMA)
    if type(version) is not int or version != POOL_SCHEMA:
        raise ConfigError(
            f"{file.where(('schema',))}: schema: must be {POOL_SCHEMA}, the version that is read here"
        )
    try:
        parsed = PoolFile.model_validate(dict(file.data))
    except ValidationError as error:
        lines = describe(error.errors(), PoolFile, _labels(file)) + _twice(file)
        raise ConfigError("\n".join(lines)) from None
    twice = _twice(file)
    if twice:
        raise ConfigError("\n".join(twice))
    candidates = tuple(_candidate(c) for c in parsed.candidates)
    return ad_hoc(candidates)


def as_date(text: str) -> date:
    """Return the day of an `as_of`; a month counts as its last day.

    Raises:
        ValueError: neither `YYYY-MM-DD` nor `YYYY-MM`, or no such day.
    """
    match = _AS_OF.fullmatch(text)
    try:
        year, month = (int(match[1]), int(match[2])) if match else (0, 0)
        day = int(match[3]) if match and match[3] else calendar.monthrange(year, month)[1]
        return date(year, month, day)
    except ValueError:  # also calendar's own error for a month of 0 or 13
        raise ValueError("must be a date (2026-07-02) or a month (2026-07)") from None


def check_pool(pool: Pool, today: date) -> list[Finding]:
    """Return what deserves a look, in the order of the pool; an empty list when nothing does.

    Rules: `stale`, `future`, `price_unknown`, `price_zero`, `price_outlier`, `context_unknown`,
    `output_over_context`, `no_benchmark`, `single_benchmark`, `offer_unknown`, `no_role`,
    `role_missing`.
    """
    found = [
        finding
        for candidate in pool.candidates
        for rule in (_dates, _price, _window, _evidence, _words)
        for finding in rule(candidate, today)
    ]
    there = {role for candidate in pool.candidates for role in candidate.roles}
    found += [
        Finding("", "role_missing", f'no candidate has the role "{role}"')
        for role in ROLES
        if role not in there
    ]
    return found


def _labels(file: TomlFile) -> Callable[[Loc], str]:
    """Return what starts a message about a location: `pool.toml:7: candidate "a": price...`."""

    def label(loc: Loc) -> str:
        start = file.where(loc)
        if len(loc) >= 2 and loc[0] == "candidates" and isinstance(loc[1], int):
            rest = dotted(loc[2:])
            return f"{start}: {_called(file, loc[1])}" + (f": {rest}" if rest else "")
        return f"{start}: {dotted(loc)}"

    return label


def _called(file: TomlFile, index: int) -> str:
    """Return `candidate "id"`, or its number (from 1) when it has no usable id."""
    name = _ids(file).get(index)
    return f'candidate "{name}"' if name else f"candidate {index + 1}"


def _ids(file: TomlFile) -> dict[int, str]:
    """Return the usable ids by position."""
    rows = file.data.get("candidates")
    names = (
        [row.get("id") if isinstance(row, dict) else None for row in rows]
        if isinstance(rows, list)
        else []
    )
    return {i: n for i, n in enumerate(names) if isinstance(n, str) and _ID.fullmatch(n)}


def _twice(file: TomlFile) -> list[str]:
    """Return one line for every id that was used before."""
    first: dict[str, int] = {}
    lines = []
    for index, name in _ids(file).items():
        if name in first:
            before = file.lines.get(("candidates", first[name]), 0)
            where = file.where(("candidates", index, "id"))
            lines.append(f'{where}: candidate "{name}": id is used already (line {before})')
        first.setdefault(name, index)
    return lines


def _candidate(row: _Candidate) -> Candidate:
    price, cost, speed = row.price_usd_per_mtok, row.cost_usd_per_task, row.performance
    return Candidate(
        id=row.id,
        upstream=row.upstream,
        model=row.model,
        roles=tuple(sorted(row.roles)),
        offers=tuple(sorted(row.offers)),
        price=_listed_price(price) if price else None,
        context_tokens=row.context_tokens,
        max_output_tokens=row.max_output_tokens,
        benchmarks=tuple(
            Benchmark(**b.model_dump()) for b in sorted(row.benchmarks, key=lambda b: b.name)
        ),
        cost_per_task=TaskCost(**cost.model_dump()) if cost else None,
        performance=Performance(**speed.model_dump()) if speed else None,
    )


def _listed_price(row: _Price) -> Price:
    longer = sorted(row.long_context, key=lambda p: p.above_tokens)
    plain = row.model_dump(exclude={"long_context"})
    return Price(**plain, long_context=tuple(LongPrice(**p.model_dump()) for p in longer))


def _dates(candidate: Candidate, today: date) -> Iterator[Finding]:
    """A price of this machine does not age; all other numbers do."""
    rows: list[tuple[str, str, str]] = [
        (f"benchmark {b.name}", b.source, b.as_of) for b in candidate.benchmarks
    ]
    for field, value in (
        ("price_usd_per_mtok", candidate.price),
        ("cost_usd_per_task", candidate.cost_per_task),
        ("performance", candidate.performance),
    ):
        if value is not None:
            rows.append((field, value.source, value.as_of))
    for field, source, as_of in rows:
        age = (today - as_date(as_of)).days
        if source != LOCAL_SOURCE and age > STALE_DAYS:
            yield Finding(candidate.id, "stale", f"{field}: {as_of} is {age} days ago")
        # A month may end after today, and a date may be one day ahead across time zones.
        elif age < (-1 if len(as_of) == 10 else -31):
            yield Finding(candidate.id, "future", f"{field}: {as_of} is in the future")


def _price(candidate: Candidate, _today: date) -> Iterator[Finding]:
    price, name = candidate.price, candidate.id
    if price is None:
        detail = "without a price it has no expected cost, and a budget refuses it"
        yield Finding(name, "price_unknown", detail)
        return
    free = price.source == LOCAL_SOURCE or candidate.model.endswith(FREE_SUFFIX)
    if not price.input and not price.output and not free:
        detail = f'0 means free; leave it out when unknown, or say source = "{LOCAL_SOURCE}"'
        yield Finding(name, "price_zero", detail)
    writes = not is_embedding(candidate)
    details = list(_odd(price, writes=writes))
    for longer in price.long_context:
        above = f"above {longer.above_tokens:,} tokens"
        details += [f"{detail} ({above})" for detail in _odd(longer, writes=writes)]
        if longer.input < price.input or longer.output < price.output:
            details.append(f"{longer.input} in, {longer.output} out {above} is below the base")
    for detail in details:
        yield Finding(name, "price_outlier", detail)


def _odd(price: Price | LongPrice, *, writes: bool) -> Iterator[str]:
    """Yield what looks wrong about rates; a model that `writes` has an output to pay for."""
    if price.cache_read is not None and price.cache_read > price.input:
        yield f"cache_read {price.cache_read} is above input {price.input}"
    if price.cache_write is not None and price.cache_write < price.input:
        yield f"cache_write {price.cache_write} is below input {price.input}"
    if writes and price.output < price.input:
        yield f"output {price.output} is below input {price.input}"
    if max(price.input, price.output) > _HIGHEST_USD_PER_MTOK:
        yield f"above {_HIGHEST_USD_PER_MTOK:g} USD per 1M tokens: is the unit right?"


def _window(candidate: Candidate, _today: date) -> Iterator[Finding]:
    window, output = candidate.context_tokens, candidate.max_output_tokens
    if window is None:
        detail = "too long prompts are found out only by the upstream's refusal"
        yield Finding(candidate.id, "context_unknown", detail)
    elif output is not None and output > window:
        detail = f"max_output_tokens {output} is above context_tokens {window}"
        yield Finding(candidate.id, "output_over_context", detail)


def _evidence(candidate: Candidate, _today: date) -> Iterator[Finding]:
    names = [b.name for b in candidate.benchmarks]
    if is_embedding(candidate):
        return  # nothing is ranked by it
    if not names:
        yield Finding(candidate.id, "no_benchmark", "quality is a guess")
    elif len(names) == 1:
        detail = f"only {names[0]}: one benchmark may be contaminated or lucky"
        yield Finding(candidate.id, "single_benchmark", detail)


def _words(candidate: Candidate, _today: date) -> Iterator[Finding]:
    for offer in candidate.offers:
        if offer not in KNOWN_OFFERS:
            detail = f'"{offer}" is not known{near(offer, KNOWN_OFFERS)}'
            yield Finding(candidate.id, "offer_unknown", detail)
    if not candidate.roles and not is_embedding(candidate):
        yield Finding(candidate.id, "no_role", "it is never chosen for a role")
