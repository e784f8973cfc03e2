"""`[[auto.pipeline]]`: the steps of strategy `pipeline`, as the operator writes them."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from openfusion_auto.config.section import Section
from openfusion_auto.core.recipes.pipeline import places
from openfusion_auto.core.strategy import Stage

NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
MOST_STEPS = 6
MOST_WORDS = 8_000  # [characters] of what one step is told


class StageSection(Section):
    """`[[auto.pipeline]]`: a step of strategy pipeline; there must be two to six."""

    name: str = Field(
        examples=["plan"], description="what later steps call what it wrote: {NAME} in their words"
    )
    role: str = Field(
        default="coder",
        min_length=1,
        examples=["reasoner"],
        description="the role whose best-ranked candidate does it",
    )
    words: str = Field(
        max_length=MOST_WORDS,
        examples=["Plan the change; do not answer yet."],
        description="what it is told, behind the client's own conversation; the last step may be told nothing",
    )

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        if not NAME.fullmatch(value):
            raise ValueError("must be lower-case letters, digits and _, beginning with a letter")
        return value

    def stage(self) -> Stage:
        """Return the step as a decision takes it."""
        return Stage(self.name, self.role, self.words)


def checked(steps: tuple[StageSection, ...]) -> tuple[StageSection, ...]:
    """Return the steps of a pipeline.

    Raises:
        ValueError: one step alone or too many, a name twice, or words that name a step which does not come before.
    """
    if steps and not 2 <= len(steps) <= MOST_STEPS:
        raise ValueError(f"must have 2 to {MOST_STEPS} steps, has {len(steps)}")
    known: list[str] = []
    for place, step in enumerate(steps):
        if step.name in known:
            raise ValueError(f"step {place + 1}: the name {step.name} is taken")
        unknown = [n for n in places(step.words) if n not in known]
        if unknown:
            raise ValueError(
                f"step {step.name}: {{{unknown[0]}}} is not the name of an earlier step"
            )
        if not step.words.strip() and place < len(steps) - 1:
            raise ValueError(f"step {step.name}: only the last step may be told nothing")
        known.append(step.name)
    return steps
