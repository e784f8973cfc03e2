"""Holds an answer back from a call on that breaks its tool's schema, while nothing of it is with the client."""

from __future__ import annotations

from dataclasses import dataclass, field

from openfusion_auto.core.checks.fits import Fits
from openfusion_auto.core.prompt import Delta


@dataclass(slots=True)
class _Call:
    """A call as far as it has come."""

    name: str = ""
    kind: str = "function"
    pieces: list[str] = field(default_factory=list)

    @property
    def may_be_whole(self) -> bool:
        """Whether the arguments end as an object does. Cheap: each fragment is asked, few are parsed."""
        return bool(self.pieces) and self.pieces[-1].rstrip().endswith("}")


class Guard:
    """Sees the events of one attempt before they are written, until the first of them goes out.

    A writer gives a call out when something follows it, so that is when it is looked at here: no call waits longer.

    Attributes:
        misfit: How a call breaks its schema; from then on every event is held.
        kept: These events, to be passed on after all when nobody else can answer.
    """

    def __init__(self, fits: Fits) -> None:
        self.misfit: str | None = None
        self.kept: list[Delta] = []
        self._fits = fits
        self._calls: dict[tuple[int, int], _Call] = {}
        self._unseen: set[tuple[int, int]] = set()  # calls that were not looked at since they grew

    def holds(self, delta: Delta) -> bool:
        """Take an event; return whether it must not be written."""
        if self.misfit is None and (self._calls or delta.calls):
            grown = self._note(delta)
            ended = delta.finish is not None
            for key in [*self._calls] if ended else sorted(self._unseen - grown):
                call = self._calls[key]
                if call.kind != "custom" and (ended or call.may_be_whole):
                    said = "".join(call.pieces)
                    self.misfit = self.misfit or self._fits.misfit(call.name, said)
            self._unseen &= grown
        if self.misfit is None:
            return False
        self.kept.append(delta)
        return True

    def _note(self, delta: Delta) -> set[tuple[int, int]]:
        """Take up an event's fragments; return the calls whose arguments go on in it. Those that begin may be whole."""
        grown = set()
        for fragment in delta.calls:
            key = (fragment.choice, fragment.index)
            call = self._calls.get(key)
            if call is None:
                call = self._calls[key] = _Call(kind=fragment.kind)
            call.name = call.name or fragment.name or ""
            self._unseen.add(key)
            if fragment.arguments:
                if call.pieces:
                    grown.add(key)
                call.pieces.append(fragment.arguments)
        return grown
