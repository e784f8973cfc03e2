"""Which entry of a price list speaks of a candidate. Names are compared, never guessed.

Normalisation, and nothing else: letters lose their case, and a leading `provider/` of the list may stand or be absent.
When the candidate's upstream has the name of one of the list's providers, only that provider's models are looked
at. Several entries with the same numbers count as one; with different numbers none is taken.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from openfusion_auto.config.price_entry import Entry
from openfusion_auto.core.types import Candidate

NEAR = 3  # how many similar names are shown
_TOKEN = re.compile(r"[0-9]+|[a-z]+")


@dataclass(frozen=True, slots=True)
class Match:
    """The outcome for one candidate.

    Attributes:
        entry: The one that speaks of it; None when there is none, or several that differ.
        rivals: Names of those that differ.
        near: Similar names, when there is none.
        provider: The only provider looked at; empty = all.
        others: The list has several providers, none is known to be the candidate's upstream, and this is the only
            one with a model of that name.
    """

    entry: Entry | None = None
    rivals: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    provider: str = ""
    others: bool = False


class Index:
    """The entries of a list by the names that they answer to."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.providers: dict[str, str] = {}
        self._by_name: defaultdict[str, list[Entry]] = defaultdict(list)
        self._all: list[Entry] = []
        for entry in entries:
            self._all.append(entry)
            self.providers.setdefault(fold(entry.provider), entry.provider)
            for name in {fold(entry.id), fold(entry.name)}:
                self._by_name[name].append(entry)

    def find(self, candidate: Candidate, providers: Mapping[str, str]) -> Match:
        """Return what the list says of `candidate`.

        Args:
            candidate: Its `model` and the name of its `upstream` count.
            providers: Upstream -> provider of the list, where their names differ.
        """
        upstream = fold(candidate.upstream)
        provider = self.providers.get(fold(providers.get(candidate.upstream, upstream)), "")
        found = [
            entry
            for entry in self._by_name.get(fold(candidate.model), ())
            if not provider or entry.provider == provider
        ]
        if not found:
            return Match(near=self.near(candidate.model, provider), provider=provider)
        if len({entry.numbers for entry in found}) > 1:
            return Match(rivals=tuple(sorted({e.name for e in found})), provider=provider)
        others = not provider and len(self.providers) > 1
        return Match(min(found, key=lambda e: e.name), provider=provider, others=others)

    def near(self, model: str, provider: str) -> tuple[str, ...]:
        """Return the names that share most words with `model`, at least half of them all; the best first."""
        wanted = parts(model)
        scored = []
        for entry in self._all:
            if not provider or entry.provider == provider:
                have = parts(entry.id)
                share = len(wanted & have) / max(1, len(wanted | have))
                if share >= 0.5:
                    scored.append((-share, entry.name))
        return tuple(name for _, name in sorted(set(scored))[:NEAR])


def fold(name: str) -> str:
    """Return a name as names are compared."""
    return name.strip().casefold()


def parts(name: str) -> frozenset[str]:
    """Return the words and numbers of a name."""
    return frozenset(_TOKEN.findall(name.casefold()))


def unknown_providers(index: Index, named: Sequence[str]) -> list[str]:
    """Return those of `named` that the list does not have."""
    return [name for name in named if fold(name) not in index.providers]
