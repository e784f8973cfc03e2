"""Keys of upstreams that a person typed into `openfusion chat`, for every later command and for the server.

A key lies in the system's keyring where there is one (extra `keyring`), else in `given-keys.json` of the state folder,
which the owner alone may read. The file also says for which address each key was given: a configuration that names
another address under the same variable does not get it. Environment and `.env` go before.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from openfusion_auto.config import private
from openfusion_auto.errors import ConfigError

FILE = "given-keys.json"
SERVICE = "openfusion"  # under which the system's keyring lists our entries
Place = Literal["keyring", "file"]


class Given(NamedTuple):
    """A key that was given: the variable it stands for, the origin it is sent to, where it lies; `key` in a file."""

    name: str
    address: str
    place: Place
    key: str | None = None


def path_in(state: Path) -> Path:
    """Return where the list of given keys is in a state folder."""
    return state / FILE


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL: what a key is bound to."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{parts.hostname}:{port}"


def load_given(path: Path) -> tuple[Given, ...]:
    """Return what was given; () when there is no file.

    Raises:
        ConfigError: it cannot be read, is no such file, or can be written by others than its owner.
    """
    raw = private.read(path)
    if raw is None:
        return ()
    try:
        listed = json.loads(raw)
        found = tuple(Given(**row) for row in listed["keys"])
        sound = listed["schema"] == 1 and all(
            isinstance(part, str) for g in found for part in (g.name, g.address, g.key or "")
        )
    except (ValueError, RecursionError, TypeError, KeyError):
        sound = False
    if not sound:
        raise ConfigError(f"{path}: is no list of given keys; remove it and give them again")
    return found


def value_of(given: Given) -> str | None:
    """Return the key, None when the system's keyring does not give it out."""
    if given.place == "file":
        return given.key
    ring = system_keyring()
    if ring is None:
        return None
    try:
        found = ring.get_password(SERVICE, entry(given.name, given.address))
    except Exception:  # noqa: BLE001 - each system has errors of its own: locked, refused, no session
        return None
    return found if isinstance(found, str) else None


def give(path: Path, name: str, url: str, key: str) -> Place:
    """Keep a key for the address of `url`; returns where it lies now.

    Raises:
        ConfigError: the file cannot be read or written.
    """
    address = origin_of(url)
    place: Place = "keyring" if in_keyring(name, address, key) else "file"
    made = Given(name, address, place, key if place == "file" else None)
    edit(path, lambda rows: (*(r for r in rows if not is_for(r, name, address)), made))
    return place


def forget(path: Path, name: str) -> int:
    """Remove every key given for a variable; returns how many.

    Raises:
        ConfigError: the file cannot be read or written.
    """
    if not path.exists():
        return 0
    gone: list[Given] = []

    def without(rows: Iterable[Given]) -> Iterable[Given]:
        kept = list(rows)
        gone.extend(r for r in kept if r.name == name)
        return [r for r in kept if r.name != name]

    edit(path, without)
    ring = system_keyring() if any(g.place == "keyring" for g in gone) else None
    for row in gone:
        if ring is not None and row.place == "keyring":
            # It is not used any more, whatever the keyring says.
            try:
                ring.delete_password(SERVICE, entry(row.name, row.address))
            except Exception:  # noqa: BLE001, S112 - see `value_of`
                continue
    return len(gone)


def is_for(given: Given, name: str, address: str) -> bool:
    """Whether a key was given for a variable and an address."""
    return (given.name, given.address) == (name, address)


def edit(path: Path, change: Callable[[tuple[Given, ...]], Iterable[Given]]) -> None:
    """Read, change and write the list with nobody between."""
    with private.locked(path):
        rows = [
            {k: v for k, v in row._asdict().items() if v is not None}
            for row in change(load_given(path))
        ]
        private.write(path, json.dumps({"schema": 1, "keys": rows}, indent=1).encode() + b"\n")


def in_keyring(name: str, address: str, key: str) -> bool:
    """Put a key into the system's keyring; False when there is none that takes and gives it."""
    ring = system_keyring()
    if ring is None:
        return False
    try:
        ring.set_password(SERVICE, entry(name, address), key)
        return bool(ring.get_password(SERVICE, entry(name, address)) == key)
    except Exception:  # noqa: BLE001 - see `value_of`
        return False


def entry(name: str, address: str) -> str:
    """Return the user name under which the keyring has a key."""
    return f"{name} {address}"


def system_keyring() -> Any:  # noqa: ANN401 - a package that may not be installed
    """Return the system's keyring, None without the extra `keyring` or where the system has none that protects."""
    try:
        ring = importlib.import_module("keyring").get_keyring()
        # Below that the package itself advises against it.
        return ring if ring.priority >= 1 else None
    except Exception:  # noqa: BLE001 - not installed, or it fails as each system does in its own way
        return None
