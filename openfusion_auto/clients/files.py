"""Reading and writing somebody else's file: atomically, through links, with the mode it had."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from openfusion_auto.errors import ConfigError

BOM = b"\xef\xbb\xbf"
_PRIVATE = 0o600  # rw for the owner: such files hold keys


@dataclass(frozen=True, slots=True)
class Content:
    """A text file.

    Attributes:
        text: Without the byte order mark, line ends as they are.
        bom: Whether the mark stands in front.
    """

    text: str
    bom: bool = False

    def encode(self) -> bytes:
        """Return the bytes of the file."""
        return (BOM if self.bom else b"") + self.text.encode()


def read(path: Path) -> bytes | None:
    """Return the bytes at `path`, None when nothing is there.

    Raises:
        ConfigError: it is there and cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error


def decode(raw: bytes) -> Content:
    """Return the text of `raw`.

    Raises:
        ConfigError: it is not UTF-8; the message begins with the line.
    """
    bom = raw.startswith(BOM)
    body = raw[len(BOM) :] if bom else raw
    try:
        return Content(body.decode(), bom)
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{line}: is not UTF-8") from error


def newline_of(text: str) -> str:
    """Return the line end that most lines of `text` have."""
    crlf = text.count("\r\n")
    return "\r\n" if crlf * 2 > text.count("\n") else "\n"


def write(path: Path, data: bytes, before: bytes | None) -> None:
    """Replace the file at `path` in one step.

    A link is followed, not replaced. The mode stays; a new file is 0600.

    Args:
        path: Where; missing folders are made.
        data: The new bytes.
        before: What the caller saw there; None = nothing.

    Raises:
        ConfigError: the file changed since the caller saw it; nothing was written.
        OSError: it cannot be written; what was there is whole.
    """
    real = path.resolve()
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        mode = real.stat().st_mode & 0o7777 if before is not None else _PRIVATE
        handle, name = tempfile.mkstemp(prefix=f".{real.name}.", suffix=".tmp", dir=real.parent)
    except OSError as error:  # of the file that was meant, not of one that nobody knows
        raise OSError(error.errno, error.strerror, str(path)) from None
    fresh = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.chmod(mode)
        unchanged(path, before)
        fresh.replace(real)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def remove(path: Path, before: bytes) -> None:
    """Delete the file at `path`, that a link there points to, when it still holds `before`.

    Raises:
        ConfigError: it changed; it is left.
    """
    unchanged(path, before)
    path.resolve().unlink()


def unchanged(path: Path, before: bytes | None) -> None:
    """Raise when the file is no longer what the caller saw: another program writes it right now."""
    if read(path) != before:
        raise ConfigError(
            f"{path}: another program changed it in this moment; nothing was written, run it again"
        )


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders, innermost first, that hold nothing."""
    for folder in sorted(folders, key=lambda f: len(f.parts), reverse=True):
        with contextlib.suppress(OSError):
            folder.rmdir()


def missing_folders(path: Path) -> tuple[Path, ...]:
    """Return the folders that `write` would make for `path`, outermost first."""
    missing = [folder for folder in path.resolve().parents if not folder.exists()]
    return tuple(reversed(missing))


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of `folder`, so that two runs do not edit at once.

    Windows has no `flock`; there the check before each replacement is what protects.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    handle = os.open(folder / "adapters.lock", os.O_RDWR | os.O_CREAT, _PRIVATE)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
