"""The folder of a user's receipts: numbered files, each of which names the digest of the one before it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from openfusion_auto.config import private
from openfusion_auto.errors import ConfigError
from openfusion_auto.evals.receipt import digest_of
from openfusion_auto.evals.seal import rendered
from openfusion_auto.evals.verify import Finding

FOLDER = "receipts"  # in the state folder
NAME = re.compile(r"(\d{6})-[a-z]+-[0-9a-f]{12}\.json")


class Kept(NamedTuple):
    """One file of the folder."""

    number: int
    path: Path


class Shelf:
    """The receipts in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def kept(self) -> list[Kept]:
        """Return the receipts, in the order in which they were made."""
        if not self.folder.is_dir():
            return []
        found = ((NAME.fullmatch(p.name), p) for p in self.folder.iterdir())
        return sorted(Kept(int(m[1]), p) for m, p in found if m)

    def check(self) -> None:
        """See that a receipt could be kept, before anything is paid for.

        Raises:
            ConfigError: nothing can be written in the folder.
        """
        with private.locked(self.folder / FOLDER):
            pass

    def add(self, make: Callable[[str | None], Mapping[str, object]]) -> Path:
        """Keep the receipt that `make` returns when it is told the digest of the one before it.

        Raises:
            ConfigError: the folder or the file cannot be written.
        """
        with private.locked(self.folder / FOLDER):
            last = self.kept()[-1:]
            before = digest_of(read_document(last[0].path)) if last else None
            document = make(before)
            number = last[0].number + 1 if last else 1
            mark = str(document["digest"]).removeprefix("sha256:")[:12]
            path = self.folder / f"{number:06}-{document['kind']}-{mark}.json"
            private.write(path, rendered(document))
        return path

    def find(self, name: str) -> Path:
        """Return the file that a command line names: a path, a number, the beginning of a digest, or `last`.

        Raises:
            ConfigError: there is none, or there are several.
        """
        path = Path(name).expanduser()
        if path.is_file():
            return path
        kept = self.kept()
        if name == "last" and kept:
            return kept[-1].path
        mark = name.removeprefix("sha256:")[:12]
        found = [k.path for k in kept if name.isdecimal() and k.number == int(name)]
        found = found or [k.path for k in kept if k.path.stem.rpartition("-")[2].startswith(mark)]
        if len(found) != 1:
            many = (
                "there are several of that name" if found else "no file and no receipt of that name"
            )
            raise ConfigError(f"{name[:80]}: {many}; openfusion receipt list names them")
        return found[0]

    def chain(self) -> list[Finding]:
        """Return where a receipt does not name the one before it: something was taken out, put in or changed."""
        found = []
        kept = self.kept()
        for before, own in zip([None, *kept], kept, strict=False):
            wanted = digest_of(read_document(before.path)) if before else None
            if read_document(own.path).get("prev") != wanted:
                detail = f"does not name {before.path.name if before else 'no receipt'} before it"
                found.append(Finding("chain", f"{own.path.name}/prev", detail))
        return found


def read_document(path: Path) -> dict[str, Any]:
    """Return what a file says; {} when it is no JSON object.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        value = json.loads(read_bytes(path))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
