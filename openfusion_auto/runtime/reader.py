"""How this server reads requests: the trained reading, then what its operator says about it."""

from __future__ import annotations

from dataclasses import dataclass

from openfusion_auto.core.classify import task_of
from openfusion_auto.core.facts import read_facts
from openfusion_auto.core.prompt import Prompt
from openfusion_auto.core.rules import Rule
from openfusion_auto.core.types import Task


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads requests with the operator's rules."""

    rules: tuple[Rule, ...] = ()

    def read(self, prompt: Prompt, *, role: str | None, only: tuple[str, ...]) -> Task:
        """Read a request into a task; `role` and `only` as of `classify.read`."""
        return task_of(prompt, read_facts(prompt), role=role, only=only, rules=self.rules)
