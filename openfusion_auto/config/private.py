"""Files in the state folder: for the owner's eyes only, replaced in one step, edited by one at a time."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from openfusion_auto.errors import ConfigError

MODE = 0o600  # rw for the owner
FOLDER_MODE = 0o700
OTHERS_WRITE = 0o022


def read(path: Path) -> bytes | None:
    """Return the bytes at `path`, None when nothing is there.

    Raises:
        ConfigError: it is there and cannot be read, or others than its owner may write to it.
    """
    try:
        if os.name == "posix" and path.stat().st_mode & OTHERS_WRITE:
            raise ConfigError(f"{path}: other users may write to it; run: chmod 600 {path}")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error


def write(path: Path, data: bytes) -> None:
    """Put `data` at `path` in one step, mode 0600; who reads it meanwhile sees the old or the new bytes, whole.

    A folder that is not there is made, mode 0700.

    Raises:
        ConfigError: it cannot be written; what was there is whole.
    """
    fresh: Path | None = None
    try:
        path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        # mkstemp makes files 0600.
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        fresh = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        if fresh is not None:
            fresh.unlink(missing_ok=True)
        raise ConfigError(f"{path}: cannot be written ({error.strerror})") from error


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock beside `path` (`keys.json` -> `keys.lock`), so that two who read, change and write do not meet.

    Windows has no `flock`; there the one step of `write` is what protects.

    Raises:
        ConfigError: the lock cannot be made.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    try:
        path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        handle = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE)
    except OSError as error:
        raise ConfigError(
            f"{path.parent}: cannot be written to ({error.strerror}); set OPENFUSION_STATE_DIR to a folder that can"
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
