"""Settings from defaults, file, environment and command line, each with where it came from."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

from pydantic import ValidationError

from openfusion_auto.config.addresses import is_loopback
from openfusion_auto.config.keyfile import path_in
from openfusion_auto.config.models import own_models, too_many
from openfusion_auto.config.paths import config_path, state_path
from openfusion_auto.config.pool import load_pool
from openfusion_auto.config.problems import describe, dotted, leaves, near
from openfusion_auto.config.schema import KNOWN_OFFERS, Config, UpstreamConfig
from openfusion_auto.config.sealed import Sealed, find_secrets
from openfusion_auto.config.template import builtin_upstreams, config_template
from openfusion_auto.config.tomlfile import Loc, TomlFile, read_toml
from openfusion_auto.core.experience import Experience
from openfusion_auto.core.mode import nominal_usd
from openfusion_auto.core.own import OwnModel, OwnModels
from openfusion_auto.core.rules import Rule
from openfusion_auto.core.types import Policy, Pool
from openfusion_auto.data import data_root
from openfusion_auto.errors import ConfigError

__all__ = ["FILE_NAME", "SHIPPED_POOLS", "Settings", "config_template", "load", "shipped_pool"]

FILE_NAME = "openfusion.toml"
SHIPPED_POOLS = ("default", "local")
ENV_KEYS: Mapping[str, str] = {
    "OPENFUSION_HOST": "server.host",
    "OPENFUSION_PORT": "server.port",
}
# What `openfusion serve` may be told.
FLAG_KEYS: Mapping[str, str] = {
    "host": "server.host",
    "port": "server.port",
    "workers": "server.workers",
    "store": "store.enabled",
}
_LEAVES = tuple(key for key in leaves(Config) if "[]" not in key)

_Overrides = Mapping[str, tuple[object, str]]


@dataclass(frozen=True, slots=True, repr=False)
class Settings:
    """A configuration that has been checked as a whole.

    Attributes:
        config: The values of the file, completed.
        origin: Dotted key -> `default`, `file:openfusion.toml:12`, `env:NAME` or `flag:--name`;
            `upstreams` and `upstreams.<name>` too.
        pool: The candidates.
        policy: `[auto]` as a decision takes it.
        rules: `[[rules]]`, compiled, in order.
        classifier: The candidate that is asked what a person's words are, or None.
        models: `[[models]]`, with who they name.
        experience: What recorded outcomes taught (`auto.experience`), or None.
        source: The file that was read, or None.
        pool_source: The pool's file.
        state_path: Folder for everything that is written; `paths.state_dir` creates it.
        warnings: What works but deserves a look, one sentence each.
        unready: Upstream name -> why it cannot be called.
        key_places: Name of a secret that was found -> where: `environment`, `.env`, `system keyring`, a file.
    """

    config: Config
    origin: Mapping[str, str]
    pool: Pool
    policy: Policy
    rules: tuple[Rule, ...]
    models: tuple[OwnModel, ...]
    classifier: str | None
    experience: Experience | None
    source: Path | None
    pool_source: Path
    state_path: Path
    warnings: tuple[str, ...]
    unready: Mapping[str, str]
    key_places: Mapping[str, str]
    _secrets: Sealed

    @property
    def builtin(self) -> bool:
        """Whether no file was read."""
        return self.source is None

    @property
    def own(self) -> OwnModels:
        """`[[models]]` by their name."""
        return {model.name: model for model in self.models}

    @property
    def client_keys(self) -> tuple[str, ...]:
        """Keys that clients may show (OPENFUSION_API_KEYS); empty = none is asked for."""
        return _split(self._secrets.get("OPENFUSION_API_KEYS") or "")

    @property
    def redis_url(self) -> str | None:
        """What `redis.url_env` names; a secret, because a password may stand in it."""
        return self._secrets.get(self.config.redis.url_env)

    def key(self, upstream_name: str) -> str | None:
        """Return the key of an upstream, or None when it has none or does not exist."""
        found = next((u for u in self.config.upstreams if u.name == upstream_name), None)
        return self._secrets.get(found.api_key_env) if found and found.api_key_env else None

    def knowing(self, secrets: Mapping[str, str]) -> Settings:
        """Return the same settings with more secrets, by variable."""
        sealed = self._secrets.knowing(secrets)
        _, before = _readiness(self.config, self._secrets)
        unready, after = _readiness(self.config, sealed)
        warnings = tuple(w for w in self.warnings if w not in before or w in after)
        return replace(self, warnings=warnings, unready=MappingProxyType(unready), _secrets=sealed)

    def public(self) -> dict[str, object]:
        """Return the configuration as JSON types that may be shown: header values are left out."""
        shown: dict[str, object] = self.config.model_dump(mode="json")
        shown["upstreams"] = [
            {**u.model_dump(mode="json"), "extra_headers": sorted(u.extra_headers)}
            for u in self.config.upstreams
        ]
        return shown

    def __repr__(self) -> str:
        return (
            f"Settings(source={str(self.source) if self.source else 'builtin'!r}, "
            f"pool={self.pool.digest!r}, upstreams={[u.name for u in self.config.upstreams]!r}, "
            f"unready={sorted(self.unready)!r})"
        )


def load(
    path: Path | None, env: Mapping[str, str], flags: Mapping[str, object], cwd: Path
) -> Settings:
    """Read, merge and check everything: defaults < file < environment < flags.

    Without `path`: `OPENFUSION_CONFIG`, `./openfusion.toml`, the user's configuration folder, and
    then the built-in defaults (OpenRouter and the pool `default`).

    Args:
        path: The file that the command line names; relative to `cwd`.
        env: The environment; an empty value counts as unset.
        flags: Values of the command line by flag name (`FLAG_KEYS`); None = not given.
        cwd: The working folder.

    Raises:
        ConfigError: with every problem that was found, one to a line.
    """
    file = _read(path, env, cwd)
    overrides = _overrides(env, flags)
    config = _validate(file, overrides)
    if not config.upstreams:
        config = config.model_copy(update={"upstreams": builtin_upstreams(config.pool.file)})
    base = file.path.parent if file else cwd
    label = partial(_label, file, overrides)
    pool_source = find_pool(config.pool.file, base, label(("pool", "file")))
    pool = load_pool(pool_source, shown=_shown(pool_source, cwd))
    _check_upstreams(pool, config, _shown(pool_source, cwd))
    _check_roles(pool, config, label)
    experience = _experience(config, base, cwd)
    state = state_path(env)
    secrets, key_places, warnings = find_secrets(
        file.path.parent if file else None, config, env, state
    )
    unready, more = _readiness(config, secrets)
    warnings = (
        *warnings,
        *more,
        *_remarks(config, secrets, has_keys=path_in(state).exists()),
        *too_many(config.models, config.auto.max_calls),
    )
    offers = {u.name: u.offers for u in config.upstreams}
    return Settings(
        config=config,
        origin=MappingProxyType(_origin(file, config, overrides)),
        pool=pool,
        policy=config.auto.policy(),
        rules=tuple(r.rule() for r in config.rules),
        models=own_models(config.models, pool, offers, label),
        classifier=_classifier(pool, config, label),
        experience=experience,
        source=file.path if file else None,
        pool_source=pool_source,
        state_path=state,
        warnings=warnings,
        key_places=MappingProxyType(dict(key_places)),
        unready=MappingProxyType(unready),
        _secrets=secrets,
    )


def shipped_pool(name: str) -> Path:
    """Return the file of a shipped pool."""
    return data_root() / "candidates" / f"{name}.toml"


def _read(path: Path | None, env: Mapping[str, str], cwd: Path) -> TomlFile | None:
    named = path or env.get("OPENFUSION_CONFIG", "").strip()
    if named:
        found = cwd / Path(named).expanduser()
        return read_toml(found, _shown(found, cwd))
    for found in (cwd / FILE_NAME, config_path(env) / FILE_NAME):
        # A link that leads nowhere counts: to go by the defaults in silence would hide that it does. In a folder that
        # we may not look into there is none.
        if os.path.lexists(found):
            return read_toml(found, _shown(found, cwd))
    return None


def _shown(path: Path, cwd: Path) -> str:
    return str(path.relative_to(cwd)) if path.is_relative_to(cwd) else str(path)


def _overrides(env: Mapping[str, str], flags: Mapping[str, object]) -> _Overrides:
    """Return what environment and flags say, by dotted key, with its origin."""
    found: dict[str, tuple[object, str]] = {}
    for name, key in ENV_KEYS.items():
        text = env.get(name, "").strip()
        if text:
            found[key] = (_number(text) if key == "server.port" else text, f"env:{name}")
    for name, value in flags.items():
        if value is not None:
            found[FLAG_KEYS[name]] = (value, f"flag:--{name}")
    return found


def _number(text: str) -> object:
    """Return a whole number, or the text as it is: the schema then says what is wrong with it."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text


def _validate(file: TomlFile | None, overrides: _Overrides) -> Config:
    data: dict[str, object] = copy.deepcopy(dict(file.data)) if file else {}
    for key, (value, _) in overrides.items():
        node: object = data
        *tables, last = key.split(".")
        for table in tables:
            node = node.setdefault(table, {}) if isinstance(node, dict) else None
        if isinstance(node, dict):  # else the schema says that the table is no table
            node[last] = value
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        lines = describe(error.errors(), Config, lambda loc: _label(file, overrides, loc))
        raise ConfigError("\n".join(lines)) from None  # the cause would show the values


def _label(file: TomlFile | None, overrides: _Overrides, loc: Loc) -> str:
    """Return the start of a message about `loc`: where it was set, and its dotted key."""
    key = dotted(loc)
    if key in overrides:
        return f"{overrides[key][1]}: {key}"
    return f"{file.where(loc)}: {key}" if file else f"default: {key}"


def find_pool(name: str, base: Path, label: str) -> Path:
    """Return the file of a pool: a shipped one by its name, else a path relative to `base`.

    Raises:
        ConfigError: there is no such file; `label` says who named it.
    """
    if name in SHIPPED_POOLS:
        return shipped_pool(name)
    found = base / Path(name).expanduser()
    if not found.is_file():
        shipped = ", ".join(f'"{n}"' for n in SHIPPED_POOLS)
        what = "is a folder, not a file" if found.is_dir() else "no such file"
        raise ConfigError(
            f"{label}: {what}: {found}; shipped pools are {shipped}{near(name, SHIPPED_POOLS)}"
        )
    return found


def _check_upstreams(pool: Pool, config: Config, shown: str) -> None:
    """Raise when a candidate names an upstream that does not exist; one line for each upstream."""
    names = sorted(u.name for u in config.upstreams)
    strays: dict[str, list[str]] = {}
    for candidate in pool.candidates:
        if candidate.upstream not in names:
            strays.setdefault(candidate.upstream, []).append(candidate.id)
    lines = []
    for upstream, ids in strays.items():
        more = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
        lines.append(
            f'{shown}: candidate "{ids[0]}"{more}: upstream "{upstream}" is not in [[upstreams]]'
            f"{near(upstream, names)}; there: {', '.join(names)}. Add it, or set pool.file"
        )
    if lines:
        raise ConfigError("\n".join(lines))


def _check_roles(pool: Pool, config: Config, label: Callable[[Loc], str]) -> None:
    """Raise when a rule prefers a role that no candidate plays; one line for each."""
    played = sorted({role for c in pool.candidates for role in c.roles})
    lines = [
        f"{label(('rules', i, 'role'))}: no candidate plays {rule.role!r}"
        f"{near(rule.role, played)}; the pool has {', '.join(played) or 'no roles'}"
        for i, rule in enumerate(config.rules)
        if rule.role is not None and rule.role not in played
    ]
    if lines:
        raise ConfigError("\n".join(lines))


def _experience(config: Config, base: Path, cwd: Path) -> Experience | None:
    """Return the experience that the configuration names, a path relative to its file."""
    if config.auto.experience is None:
        return None
    from openfusion_auto.config.experience import load_experience  # numpy: only where asked for

    found = base / Path(config.auto.experience).expanduser()
    return load_experience(found, shown=_shown(found, cwd)).experience


def _classifier(pool: Pool, config: Config, label: Callable[[Loc], str]) -> str | None:
    """Return the candidate that classifies: the named one, else the cheapest with the role fast; None when nobody does.

    Raises:
        ConfigError: the named one is not in the pool, or there is none to choose.
    """
    asked = config.classifier
    if asked.candidate is not None and asked.candidate not in pool.by_id:
        raise ConfigError(
            f"{label(('classifier', 'candidate'))}: the pool has no candidate {asked.candidate!r}"
            f"{near(asked.candidate, pool.by_id)}"
        )
    if asked.mode != "model" or asked.candidate is not None:
        return asked.candidate if asked.mode == "model" else None
    fast = [c for c in pool.candidates if "fast" in c.roles and c.price is not None]
    if not fast:
        raise ConfigError(
            f"{label(('classifier', 'mode'))}: no candidate with the role fast has a price; "
            "name the one to ask with classifier.candidate"
        )
    return min(fast, key=lambda c: (nominal_usd([c]), c.id)).id


def _readiness(config: Config, secrets: Sealed) -> tuple[dict[str, str], list[str]]:
    unready: dict[str, str] = {}
    warnings: list[str] = []
    for upstream in config.upstreams:
        name = upstream.api_key_env
        if name is None:
            continue
        key = secrets.get(name)
        if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
            unready[upstream.name] = f"{name} holds characters that no key has; set it again"
        elif key is None and upstream.loopback:
            warnings.append(f"{name} is not set: upstream {upstream.name} is called without a key")
        elif key is None:
            unready[upstream.name] = f"set {name}"
    return unready, warnings


def _remarks(config: Config, secrets: Sealed, *, has_keys: bool) -> list[str]:
    """Return what is allowed but may not be meant."""
    found = [w for upstream in config.upstreams for w in _upstream_remarks(upstream)]
    has_keys = has_keys or bool(_split(secrets.get("OPENFUSION_API_KEYS") or ""))
    if not is_loopback(config.server.host) and not has_keys:
        found.append(
            f"server.host {config.server.host} can be reached from other machines; "
            "make keys (openfusion keys create NAME), or set OPENFUSION_API_KEYS"
        )
    return found


def _upstream_remarks(upstream: UpstreamConfig) -> list[str]:
    found = [
        f'upstream {upstream.name}: offers "{offer}" is not known{near(offer, KNOWN_OFFERS)}'
        for offer in upstream.offers
        if offer not in KNOWN_OFFERS
    ]
    if upstream.base_url.startswith("http://") and not upstream.loopback:
        found.append(f"upstream {upstream.name}: http:// sends keys and prompts unencrypted")
    return found


def _split(keys: str) -> tuple[str, ...]:
    return tuple(key.strip() for key in keys.split(",") if key.strip())


def _origin(file: TomlFile | None, config: Config, overrides: _Overrides) -> dict[str, str]:
    """Return where every value came from, by dotted key."""
    found: dict[str, str] = {}
    for key in _LEAVES:
        loc: Loc = tuple(key.split("."))
        if key in overrides:
            found[key] = overrides[key][1]
        else:
            found[key] = _file_origin(file, loc)
    found["upstreams"] = _file_origin(file, ("upstreams", 0))
    for index, upstream in enumerate(config.upstreams):
        found[f"upstreams.{upstream.name}"] = _file_origin(file, ("upstreams", index))
    for key in ("rules", "models"):
        for index, each in enumerate(getattr(config, key)):
            found[f"{key}.{each.name}"] = _file_origin(file, (key, index))
    return found


def _file_origin(file: TomlFile | None, loc: Loc) -> str:
    """Return `file:name:line` when the file has exactly this key, else `default`."""
    return f"file:{file.where(loc)}" if file and loc in file.lines else "default"
