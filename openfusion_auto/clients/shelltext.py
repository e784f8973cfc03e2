"""Files of shell commands: ours stand in one marked block at the end, everything else is not looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from openfusion_auto.clients.editor import BEGIN, END, without_regions
from openfusion_auto.clients.files import newline_of
from openfusion_auto.clients.plan import Change, Path, Restore, Rules
from openfusion_auto.errors import ConfigError

BLOCK = "block"


class ShellEditor:
    """`Editor` for shell files: the data is {"block": our lines} or nothing, and "rest": all others."""

    def data(self, text: str, rules: Rules | None = None) -> dict[str, object]:  # noqa: ARG002 - the protocol's
        """Return our lines and all others."""
        begins = [n for n, line in enumerate(text.split("\n"), 1) if line.strip() == BEGIN]
        ends = [n for n, line in enumerate(text.split("\n"), 1) if line.strip() == END]
        if len(begins) != len(ends) or any(b > e for b, e in zip(begins, ends, strict=True)):
            raise ConfigError(f"{(begins + ends)[0]}: our block has lost one of its marks")
        rest = without_regions(text).split()
        if not begins:
            return {"rest": rest}
        lines = text.split("\n")
        body = [line.rstrip("\r") for line in lines[begins[0] : ends[0] - 1]]
        return {BLOCK: "\n".join(body), "rest": rest}

    def raw(self, text: str, path: Path) -> str:
        """Return our lines."""
        return str(self.data(text)[str(path[0])])

    def value(self, raw: str) -> object:
        """Return our lines as they are."""
        return raw

    def line(self, text: str, path: Path) -> int:  # noqa: ARG002 - the protocol's
        """Return the line of our block."""
        return text[: max(text.find(BEGIN), 0)].count("\n") + 1

    def steps(self, text: str, changes: Sequence[Change]) -> Iterator[str]:
        """Yield the text with our block at its end."""
        for change in changes:
            nl = newline_of(text)
            found = without_regions(text)
            ended = found if not found or found.endswith("\n") else found + nl
            yield ended + nl.join([BEGIN, *str(change.value).split("\n"), END, ""])

    def restored(self, text: str, ops: Sequence[Restore]) -> Iterator[str]:  # noqa: ARG002 - the protocol's
        """Yield the text without our block."""
        yield without_regions(text)
