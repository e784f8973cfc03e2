"""Configurations of other routers, read as they are and told as an `openfusion.toml`.

Known are the policy file of fanout-openrouter (JSON, a list `policies`) and the `openfusion.yaml` of openfusion-proxy
(a `preset`, or a panel and a judge). What has no counterpart here is named, never dropped in silence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from openfusion_auto.config.models import MOST_MEMBERS, OwnName
from openfusion_auto.config.problems import describe, dotted
from openfusion_auto.config.schema import Config
from openfusion_auto.config.section import Section, Strings, listed
from openfusion_auto.config.template import OPENROUTER
from openfusion_auto.config.tomlfile import Loc
from openfusion_auto.config.yamltree import read_yaml
from openfusion_auto.errors import ConfigError

Table = dict[str, object]
# What the proxy's two presets stand for: its README ("Preset | Panel | Judge | Tools"), in OpenRouter's names.
PRESETS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "quality": (
        ("anthropic/claude-sonnet-4", "google/gemini-3-pro-preview", "deepseek/deepseek-v4-pro"),
        "anthropic/claude-sonnet-4",
    ),
    "budget": (
        ("openai/gpt-4o-mini", "deepseek/deepseek-v4-pro", "moonshotai/kimi-k2.6"),
        "deepseek/deepseek-v4-pro",
    ),
}
PROXY_NAME = "openfusion"  # the model that the proxy's clients ask for


@dataclass(frozen=True, slots=True)
class Adopted:
    """Another router's configuration as ours: the tables, the names its clients may ask for, and what is different."""

    tables: Table
    names: tuple[str, ...]
    notes: tuple[str, ...]

    def toml(self, source: str) -> str:
        """Return the text of an `openfusion.toml`."""
        import tomli_w

        head = [f"# Made of {source} by openfusion init --from."]
        head += [f"# Note: {note}" for note in self.notes]
        return "\n".join(head) + "\n\n" + tomli_w.dumps(self.tables)


def adopt(text: str, shown: str, known: frozenset[str]) -> Adopted:
    """Return another router's configuration as ours.

    Args:
        text: The file; JSON when it begins with a brace, else plain YAML.
        shown: Its name, for messages.
        known: Ids and models of the pool.

    Raises:
        ConfigError: of neither shape, or wrong in a key; names it, with the nearest known one.
    """
    data = _parsed(text, shown)
    if not isinstance(data, dict):
        raise ConfigError(f"{shown}: is no table of settings")
    found = _policies(data, shown) if "policies" in data else _proxy(data, shown)
    notes = list(found.notes)
    missing: set[str] = set()
    for model in _models(found.tables):
        outside = _names(model) - known
        if outside and "candidates" not in model:  # the whole pool answers, and nobody outside it
            gone = {str(model.pop(k)) for k in ("judge", "synthesis") if k in model}
            notes.append(
                f"judge {', '.join(sorted(gone))} is not taken over: it is not in the pool, and no panel is given"
            )
            continue
        if outside:
            model["upstream"] = OPENROUTER["name"]
        missing |= outside
    tables = {"upstreams": [OPENROUTER], **found.tables}
    if missing:
        listed_ = ", ".join(sorted(missing))
        notes.append(
            f"no prices are known for {listed_}: put them into a pool to have their money counted"
        )
    _check(Config, tables, shown)
    return Adopted(tables, found.names, tuple(notes))


def _parsed(text: str, shown: str) -> object:
    if not text.lstrip("\ufeff \t\r\n").startswith("{"):
        return read_yaml(text, shown)
    try:
        return json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{shown}: is not valid JSON: {error}") from None


def _models(tables: Table) -> list[Table]:
    models = tables["models"]
    return [m for m in models if isinstance(m, dict)] if isinstance(models, list) else []


def _names(model: Table) -> set[str]:
    several = model.get("candidates")
    found = {str(n) for n in several} if isinstance(several, list) else set()
    return found | {str(model[k]) for k in ("judge", "synthesis", "fallback") if k in model}


Shape = TypeVar("Shape", bound=BaseModel)


def _check(kind: type[Shape], data: object, shown: str) -> Shape:
    """Return the data as a shape; raises ConfigError with a line for each problem."""

    def at(loc: Loc) -> str:
        return f"{shown}: {dotted(loc)}"

    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise ConfigError("\n".join(describe(error.errors(), kind, at))) from None


# --- fanout-openrouter ------------------------------------------------------------------------------------------


class Policy(Section):
    """A policy of fanout-openrouter: its README, "Policy Schema"."""

    virtual_model: OwnName
    candidate_models: Annotated[Strings, Field(min_length=1, max_length=MOST_MEMBERS)]
    fanout_count: int | None = Field(default=None, ge=1, le=MOST_MEMBERS)
    synthesis_model: str | None = None
    default_fallback_model: str | None = None
    created: int = 0
    description: str = ""


class PolicyFile(Section):
    """`fanout_policies.json`."""

    policies: Annotated[tuple[Policy, ...], BeforeValidator(listed), Field(min_length=1)]


def _policies(data: Table, shown: str) -> Adopted:
    """Return a policy file as models of the operator's own, under the same names."""
    found, notes = _check(PolicyFile, data, shown), []
    tables: list[Table] = []
    for policy in found.policies:
        models = tuple(dict.fromkeys(policy.candidate_models))
        count = policy.fanout_count or len(policy.candidate_models)
        fallback = policy.default_fallback_model or models[0]
        table: Table = {"name": policy.virtual_model, "created": policy.created}
        if policy.description:
            table["description"] = policy.description
        if count < 2:
            table |= {
                "candidates": list(dict.fromkeys((models[0], fallback))),
                "strategy": "fallback",
            }
            notes.append(
                f"{policy.virtual_model}: one answer needs no synthesis; the fallback stands behind it"
            )
        else:
            writer = policy.synthesis_model or models[0]
            table |= {"candidates": list(models), "fanout": count, "aggregator": "judge"}
            table |= {"synthesis": writer, "fallback": fallback}
        tables.append(table)
    names = tuple(p.virtual_model for p in found.policies)
    notes.append(
        "members whose answers say the same need no synthesis; a tool call is one member's, never written anew"
    )
    return Adopted({"models": tables}, names, tuple(notes))


# --- openfusion-proxy -------------------------------------------------------------------------------------------


class Loose(Section):
    """A table of which only some keys have a counterpart; the others are named in the notes."""

    model_config = ConfigDict(extra="allow")


class Endpoint(Loose):
    """A member, judge or pass-through: a model at an address."""

    model: str = Field(min_length=1)


class Debate(Loose):
    """`debate:`."""

    rounds: int = Field(default=1, ge=1, le=3)


class Router(Loose):
    """`router:`."""

    enabled: bool = False
    mode: Literal["heuristic", "model", "always", "never"] = "heuristic"


class Analysis(Loose):
    """`analysis:`."""

    emit: bool = False


class Limits(Loose):
    """`limits:`; 0 is no limit."""

    max_in_flight: int = Field(default=0, ge=0)
    rate_limit_per_minute: int = Field(default=0, ge=0)


class ProxyFile(Loose):
    """`openfusion.yaml` of openfusion-proxy."""

    preset: Literal["quality", "budget"] | None = None
    panel: Annotated[
        tuple[Endpoint, ...], BeforeValidator(listed), Field(max_length=MOST_MEMBERS)
    ] = ()
    judge: Endpoint | None = None
    strategy: Literal["self_fusion", "panel", "debate"] = "panel"
    aggregator: Literal["judge", "vote", "ranked"] = "judge"
    debate: Debate = Field(default_factory=Debate)
    router: Router = Field(default_factory=Router)
    analysis: Analysis = Field(default_factory=Analysis)
    limits: Limits = Field(default_factory=Limits)


def _proxy(data: Table, shown: str) -> Adopted:
    """Return the proxy's configuration as a model of the operator's own, under the name its clients ask for."""
    if not data.keys() & ProxyFile.model_fields.keys():
        raise ConfigError(
            f"{shown}: is neither a policy file of fanout-openrouter (a list 'policies') nor an openfusion.yaml of "
            f"openfusion-proxy ({', '.join(ProxyFile.model_fields)})"
        )
    found = _check(ProxyFile, data, shown)
    members, judge = PRESETS[found.preset] if found.preset else ((), None)
    members = tuple(dict.fromkeys(e.model for e in found.panel)) or members
    judge = found.judge.model if found.judge else judge
    table: Table = {"name": PROXY_NAME, "aggregator": found.aggregator}
    if members:
        table["candidates"] = list(members)
    if judge and found.aggregator != "vote":
        table |= (
            {"judge": judge, "synthesis": judge}
            if found.aggregator == "judge"
            else {"judge": judge}
        )
    if found.preset:  # "web search + fetch" in both
        table["tools"] = ["web_search", "web_fetch"]
    if found.analysis.emit:
        table["analysis"] = True
    notes = [*_way(found, table), *_left(found, "")]
    tables: Table = {"models": [table]}
    if found.strategy == "debate":
        tables["auto"] = {"debate_rounds": found.debate.rounds}
    if found.router.enabled and found.router.mode == "model":
        tables["classifier"] = {"mode": "model"}
    limits = {
        "max_concurrent": found.limits.max_in_flight,
        "requests_per_minute": found.limits.rate_limit_per_minute,
    }
    if any(limits.values()):
        tables["limits"] = {key: value for key, value in limits.items() if value}
    return Adopted(tables, (PROXY_NAME,), tuple(notes))


def _way(found: ProxyFile, table: Table) -> list[str]:
    """Say in the table how it asks: the router's mode, else the strategy; returns what is different."""
    asked = found.router.mode if found.router.enabled else "always"
    if asked == "always":
        table |= {"mode": "panel"} if found.strategy == "panel" else {"strategy": found.strategy}
        return []
    table["mode"] = "single" if asked == "never" else "auto"
    for key in ("synthesis",) if asked == "never" else ():
        table.pop(key, None)
    if found.strategy == "panel":
        return []
    return [
        f"strategy {found.strategy}: the router's mode {asked} goes before; a request may ask for it"
    ]


def _left(value: BaseModel, at: str) -> list[str]:
    """Return a note for each key that has no counterpart, with its place; never a value, which may be a key."""
    found = [f"{at}{key} is not taken over" for key in sorted(value.model_extra or {})]
    for name in type(value).model_fields:
        inner = getattr(value, name)
        several = inner if isinstance(inner, tuple) else (inner,)
        for each in several:
            if isinstance(each, Loose):
                found += _left(each, f"{at}{name}.")
    return list(dict.fromkeys(found))
