"""Where a client's files are on this system."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from openfusion_auto.clients.spec import Adapter
from openfusion_auto.errors import ConfigError


def current_system() -> str:
    """Return this system as adapters name it: linux, macos or windows."""
    return {"win32": "windows", "darwin": "macos"}.get(sys.platform, "linux")


def home(env: Mapping[str, str]) -> Path:
    """Return the user's home folder."""
    named = env.get("USERPROFILE" if sys.platform == "win32" else "HOME", "")
    return Path(named) if named else Path.home()


def locate(
    adapter: Adapter, env: Mapping[str, str], on: str, file: Path | None = None
) -> tuple[Path, ...]:
    """Return the file of each target of `adapter`.

    Args:
        adapter: The client.
        env: The environment: clients read their own variables from it.
        on: The system, see `current_system`.
        file: Instead of the first target's usual place; the others stand beside it.

    Raises:
        ConfigError: the client has no usual place and no file was given.
    """
    first = file or _named(adapter, env)
    folder = first.parent if first else _folder(adapter, env, on)
    if folder is None:
        raise ConfigError(f"{adapter.title} has no usual place for its file: name it with --file")
    found = [_existing(folder, target.names) for target in adapter.targets]
    if first:
        found[0] = first
    return tuple(path.expanduser().absolute() for path in found)


def _named(adapter: Adapter, env: Mapping[str, str]) -> Path | None:
    return next((Path(env[name]) for name in adapter.file_env if env.get(name)), None)


def _folder(adapter: Adapter, env: Mapping[str, str], on: str) -> Path | None:
    for name, below in adapter.folder_env.items():
        if env.get(name):
            return Path(env[name]) / below
    usual = adapter.folders.get(on)
    if usual is None:
        return None
    return home(env) / usual.removeprefix("~").lstrip("/")


def _existing(folder: Path, names: tuple[str, ...]) -> Path:
    return next((folder / n for n in names if (folder / n).exists()), folder / names[0])
