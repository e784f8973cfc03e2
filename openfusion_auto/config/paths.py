"""Folders that the product reads from and writes to.

`*_path` only computes; `*_dir` also creates the folder, closed to other users (0700).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from openfusion_auto.errors import ConfigError

_NAME = "openfusion"
_PRIVATE = 0o700  # rwx for the owner only: traces and spend are nobody else's business
Stamp = tuple[int, int, int] | None  # inode, size, modified [ns]


def state_path(env: Mapping[str, str]) -> Path:
    """Return the folder for everything that the product writes, without creating it.

    `OPENFUSION_STATE_DIR`, else `XDG_STATE_HOME/openfusion`, else the platform's state folder.
    """
    chosen = env.get("OPENFUSION_STATE_DIR", "").strip()
    if chosen:
        return Path(chosen).expanduser().absolute()
    return _xdg(env, "XDG_STATE_HOME") or platformdirs.user_state_path(_NAME, appauthor=False)


def config_path(env: Mapping[str, str]) -> Path:
    """Return the user's configuration folder, without creating it.

    `XDG_CONFIG_HOME/openfusion`, else the platform's configuration folder.
    """
    return _xdg(env, "XDG_CONFIG_HOME") or platformdirs.user_config_path(_NAME, appauthor=False)


def state_dir(env: Mapping[str, str]) -> Path:
    """Return `state_path(env)`, created with mode 0700 when it is not there.

    A folder that exists keeps its mode: it may be shared on purpose, and files in it are made 0600.

    Raises:
        ConfigError: it cannot be created, or something that is no folder stands there.
    """
    path = state_path(env)
    try:
        path.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{path}: the folder cannot be created ({error.strerror}); set OPENFUSION_STATE_DIR to one that can"
        ) from error
    return path


def _xdg(env: Mapping[str, str], name: str) -> Path | None:
    """Return the XDG folder that `env` names; a relative one is ignored (XDG base dirs, 0.8)."""
    value = env.get(name, "").strip()
    if sys.platform == "win32" or not value or not Path(value).is_absolute():
        return None
    return Path(value) / _NAME


def stamp(path: Path) -> Stamp:
    """Return what tells one content of a file from another; None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
