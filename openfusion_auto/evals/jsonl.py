"""Files of one JSON object a line, plain or gzip, as cases, recorded outcomes and labelled requests come in."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

from openfusion_auto.errors import ConfigError

MOST_BYTES = 1_000_000_000  # [bytes] of a file, unpacked
MOST_LINE = 4_000_000  # [bytes] of one line


def objects(path: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield the objects of a file, each behind its place (`name:line`); blank lines are passed over.

    Raises:
        ConfigError: the file cannot be read, or a line is no object; the message names its place, never its text.
    """
    for number, line in _lines(path):
        where = f"{path.name}:{number}"
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            raise ConfigError(f"{where}: not JSON") from None
        if not isinstance(found, dict):
            raise ConfigError(f"{where}: not an object")
        yield where, found


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that hold something with their numbers; gzip is known by its first bytes."""
    number = size = 0
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            stream = gzip.GzipFile(fileobj=raw) if packed else raw
            while line := stream.readline(MOST_LINE + 1):
                number, size = number + 1, size + len(line)
                if len(line) > MOST_LINE or size > MOST_BYTES:
                    raise ConfigError(f"{path.name}:{number}: this line or the whole is too large")
                if line.strip():
                    yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"{path.name}:{number}: not UTF-8") from None
    except (OSError, EOFError, zlib.error) as error:
        why = (isinstance(error, OSError) and error.strerror) or error
        raise ConfigError(f"{path}: cannot be read ({why})") from None
