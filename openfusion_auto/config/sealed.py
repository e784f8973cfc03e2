"""Secrets that a configuration names: found in the environment, in `.env` or among the given keys, and kept shut."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from openfusion_auto.config.given import FILE, Given, load_given, origin_of, path_in, value_of
from openfusion_auto.config.proxies import VARIABLES
from openfusion_auto.config.schema import Config
from openfusion_auto.errors import ConfigError

ENVIRONMENT = "environment"
DOTENV = ".env"
KEYRING = "system keyring"


class Sealed:
    """Secrets by name. Nothing that prints, copies or pickles an object reaches into it."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    def __repr__(self) -> str:
        return "<sealed>"

    def __reduce__(self) -> str:
        raise TypeError("secrets are not written")

    def get(self, name: str) -> str | None:
        """Return a secret, None when it was not found."""
        return self._values.get(name)

    def knowing(self, more: Mapping[str, str]) -> Sealed:
        """Return these secrets with more of them."""
        return Sealed({**self._values, **more})


class Secrets(NamedTuple):
    """The secrets, where each was found (never its value), and what about them deserves a look."""

    sealed: Sealed
    places: Mapping[str, str]
    warnings: tuple[str, ...]


def find_secrets(
    folder: Path | None, config: Config, env: Mapping[str, str], state: Path
) -> Secrets:
    """Return the secrets that a configuration names: the environment, then `.env` in `folder`, then given keys.

    Raises:
        ConfigError: `.env` or the list of given keys cannot be read.
    """
    beside, warnings = _dotenv(folder)
    keys = {u.api_key_env for u in config.upstreams if u.api_key_env}
    values: dict[str, str] = {}
    places: dict[str, str] = {}
    proxies = VARIABLES | {u.proxy_env for u in config.upstreams if u.proxy_env}
    for name in {"OPENFUSION_API_KEYS", config.redis.url_env} | proxies | keys:
        for text, place in ((env.get(name), ENVIRONMENT), (beside.get(name), DOTENV)):
            value = (text or "").strip()
            if value:
                values[name], places[name] = value, place
                break
    rows = load_given(path_in(state))
    if any(row.key for row in rows):
        warnings += _open_to_others(path_in(state))
    for name in sorted(keys - values.keys()):
        addresses = {origin_of(u.base_url) for u in config.upstreams if u.api_key_env == name}
        row, why = _given(name, addresses, rows)
        value = (value_of(row) or "") if row is not None else ""
        if row is not None and value:
            values[name] = value
            places[name] = KEYRING if row.place == "keyring" else f"{FILE} in the state folder"
        elif row is not None:
            why = f"the system keyring does not give {name} out: unlock it, or give the key again"
        if why is not None:
            warnings.append(why)
    return Secrets(Sealed(values), places, tuple(warnings))


def _given(
    name: str, addresses: set[str], rows: Iterable[Given]
) -> tuple[Given | None, str | None]:
    """Return the key given for a variable, or why it is not sent to where the configuration sends it."""
    mine = [row for row in rows if row.name == name]
    if not mine:
        return None, None
    found = next((row for row in mine if {row.address} == addresses), None)
    if found is not None:
        return found, None
    meant = " and ".join(sorted(row.address for row in mine))
    return None, f"{name} was given for {meant}; it is not sent to {' or '.join(sorted(addresses))}"


def _dotenv(folder: Path | None) -> tuple[Mapping[str, str | None], list[str]]:
    """Read the `.env` beside the configuration file, when there is one."""
    path = folder / DOTENV if folder else None
    if path is None or not path.is_file():
        return {}, []
    from dotenv import dotenv_values  # only where there is something to read

    try:
        values = dotenv_values(path, interpolate=False, encoding="utf-8")
        warnings = _open_to_others(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8") from None  # the cause holds the bytes
    return values, warnings


def _open_to_others(path: Path) -> list[str]:
    """Return a warning when others than its owner may read a file.

    Raises:
        OSError: it cannot be looked at.
    """
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        return [f"{path} can be read by other users; run: chmod 600 {path}"]
    return []
