"""What we did to a file, kept in the state folder: the bytes that were there, and how to undo each change.

One JSON file and one backup for each file that was edited, both 0600: a client's configuration may hold keys.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from openfusion_auto.clients import files
from openfusion_auto.clients.plan import Change, Item, Key
from openfusion_auto.clients.spec import Values
from openfusion_auto.clients.splice import Splice
from openfusion_auto.errors import ConfigError

SCHEMA = 1  # of a record
_FOLDER = "adapters"


@dataclass(frozen=True, slots=True)
class Record:
    """One edited file.

    Attributes:
        client: Whose it is.
        file: Where it is.
        values: What the template was filled with.
        installed: sha256 of the file as we wrote it.
        existed: Whether there was a file before.
        folders: Folders that were made for it.
        changes, splices: See `editor.Edit`.
    """

    client: str
    file: str
    values: Values
    installed: str
    existed: bool
    folders: tuple[str, ...]
    changes: tuple[Change, ...]
    splices: tuple[Splice, ...]


def digest(data: bytes) -> str:
    """Return the sha256 of `data` in hex."""
    return hashlib.sha256(data).hexdigest()


def load(state: Path, client: str, file: Path) -> Record | None:
    """Return the record of a file, None when we never edited it (or took our part out again).

    Raises:
        ConfigError: the record cannot be read.
    """
    path = _path(state, client, file)
    raw = files.read(path)
    if raw is None:
        return None
    try:
        found = json.loads(raw)
        if found["schema"] != SCHEMA:
            raise ValueError(found["schema"])
        return Record(
            client=found["client"],
            file=found["file"],
            values=_values(found["values"]),
            installed=found["installed"],
            existed=found["existed"],
            folders=tuple(found["folders"]),
            changes=tuple(
                Change(tuple(map(_key, c["path"])), c["value"], c["had"], c["raw"])
                for c in found["changes"]
            ),
            splices=tuple(Splice(**s) for s in found["splices"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path}: is no record of this version; the file from before is {backup(state, client, file)}"
        ) from error


def save(state: Path, record: Record, original: bytes) -> Path:
    """Write a record and the backup it needs; return the backup's path.

    Args:
        state: The state folder, there already.
        record: What was done.
        original: The file before it; empty when there was none.
    """
    file = Path(record.file)
    _private(backup(state, record.client, file), original)
    text = json.dumps({"schema": SCHEMA, **asdict(record)}, indent=1)
    _private(_path(state, record.client, file), text.encode())
    return backup(state, record.client, file)


def drop(state: Path, client: str, file: Path, *, keep_backup: bool) -> None:
    """Forget a file; the backup stays when the file is not as it was."""
    _path(state, client, file).unlink(missing_ok=True)
    if not keep_backup:
        backup(state, client, file).unlink(missing_ok=True)


def backup(state: Path, client: str, file: Path) -> Path:
    """Return where the bytes from before are kept."""
    return _path(state, client, file).with_suffix(".backup")


def _values(found: dict[str, Any]) -> Values:
    lists = {name: tuple(value) for name, value in found.items() if isinstance(value, list)}
    return Values(**{**found, **lists})


def _key(key: object) -> Key:
    return Item(*key) if isinstance(key, list) else str(key)


def _path(state: Path, client: str, file: Path) -> Path:
    place = digest(str(file.resolve()).encode("utf-8", "surrogateescape"))[:16]
    return state / _FOLDER / f"{client}-{place}.json"


def _private(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    files.write(path, data, files.read(path))
    path.chmod(0o600)  # also one that was opened up since
