"""`[max_tokens]` of `openfusion.toml`."""

from __future__ import annotations

from pydantic import Field

from openfusion_auto.config.section import Section
from openfusion_auto.core.ceilings import Ceilings


class CeilingsSection(Section):
    """`[max_tokens]`: the longest answer of each kind of call. Without a value: the model's own bound."""

    answer: int | None = Field(
        default=None,
        ge=1,
        description="of a client's answer; a request without a bound gets this one, a higher one is a 400",
        examples=[32000],
    )
    member: int | None = Field(
        default=None,
        ge=1,
        description="of a panel's member; a longer one is clamped",
        examples=[8000],
    )
    check: int | None = Field(
        default=None,
        ge=1,
        description="of a verifier, a judge, a note or the classifier; a longer one is clamped",
        examples=[2000],
    )

    def ceilings(self) -> Ceilings:
        """Return these settings as what the rules take."""
        return Ceilings(**self.model_dump())
