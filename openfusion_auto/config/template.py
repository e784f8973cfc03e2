"""The text of a new `openfusion.toml`: every key with its meaning and default, made from the schema."""

from __future__ import annotations

import json

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from openfusion_auto.config.models import ModelSection
from openfusion_auto.config.rules import RuleConfig
from openfusion_auto.config.schema import Config, UpstreamConfig
from openfusion_auto.config.section import Section
from openfusion_auto.config.strategies import StageSection

# What is there without any file. OpenRouter's address and its extra body fields: openrouter.ai/docs.
OPENROUTER: dict[str, object] = {
    "name": "openrouter",
    "base_url": "https://openrouter.ai/api/v1",
    "api_key_env": "OPENROUTER_API_KEY",
    "dialect": "chat",
    "offers": ["models", "provider", "plugins", "session_id", "web_search", "cache_control"],
}
# Ports are the servers' own defaults.
LOCAL: tuple[dict[str, object], ...] = (
    {"name": "ollama", "base_url": "http://127.0.0.1:11434/v1", "dialect": "chat"},
    {"name": "llamacpp", "base_url": "http://127.0.0.1:8080/v1", "dialect": "chat"},
    {"name": "vllm", "base_url": "http://127.0.0.1:8000/v1", "dialect": "chat"},
)

_HEAD = """\
# openfusion.toml: settings of the router. Every value below is the default; delete what you do not change.
# Order of precedence: this file < environment (OPENFUSION_HOST, OPENFUSION_PORT) < command line.
# Keys never stand here: a key is in an environment variable, or in a file .env beside this one.
"""


def builtin_upstreams(pool: str) -> tuple[UpstreamConfig, ...]:
    """Return the upstreams that stand when a configuration names none.

    Args:
        pool: The value of `pool.file`: `local` gets the servers on this machine, all else OpenRouter.
    """
    rows = LOCAL if pool == "local" else (OPENROUTER,)
    return tuple(UpstreamConfig.model_validate(row) for row in rows)


def config_template() -> str:
    """Return a commented configuration that means the same as none at all."""
    blocks = [_HEAD, _table("[[upstreams]]", UpstreamConfig, OPENROUTER)]
    for name, info in Config.model_fields.items():
        section = info.annotation
        if isinstance(section, type) and issubclass(section, Section):
            blocks += _sections(name, section)
    tables = (
        ("[[auto.pipeline]]", StageSection),
        ("[[rules]]", RuleConfig),
        ("[[models]]", ModelSection),
    )
    blocks += [_example(header, model) for header, model in tables]
    return "\n".join(blocks)


def _example(header: str, model: type[Section]) -> str:
    """Return a table that may stand any number of times and by default does not, as a comment."""
    shown = {name: (info.examples or [None])[0] for name, info in model.model_fields.items()}
    title, _, rows = _table(header, model, shown).partition("\n")
    return (
        title
        + "\n"
        + "".join(
            line if line.startswith("# ") else f"# {line}"
            for line in rows.splitlines(keepends=True)
        )
    )


def _sections(name: str, model: type[Section]) -> list[str]:
    """Return the table of `model`, and after it those of its sub-tables."""
    blocks = [_table(f"[{name}]", model, {})]
    for key, info in model.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, Section):
            blocks += _sections(f"{name}.{key}", inner)
    return blocks


def _table(header: str, model: type[Section], values: dict[str, object]) -> str:
    title = (model.__doc__ or "").splitlines()[0].partition(": ")[2]
    lines = [f"# {title[:1].upper()}{title[1:]}", header]
    for key, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            continue
        if info.description is None:  # a list of tables: shown as an example of its own
            continue
        lines += [f"# {info.description}", _line(key, info, values)]
    return "\n".join(lines) + "\n"


def _line(key: str, info: FieldInfo, values: dict[str, object]) -> str:
    """Return `key = default`; as a comment with an example where there is no default."""
    default = values.get(key, info.get_default(call_default_factory=True, validated_data={}))
    if default is None:
        return f"# {key} = {_toml((info.examples or [''])[0])}"
    return f"{key} = {_toml(default)}"


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return (
            "{ " + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + " }"
            if value
            else "{}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    return json.dumps(value)  # strings, numbers and booleans read the same in TOML
