"""`[hedge]` of `openfusion.toml`."""

from __future__ import annotations

from pydantic import Field

from openfusion_auto.config.section import Section
from openfusion_auto.core.hedge import Hedging


class HedgeSection(Section):
    """`[hedge]`: asking a second model when the first says nothing for too long, on a person's turns."""

    enabled: bool = Field(default=False, description="ask a second model beside a silent one")
    quantile: float = Field(
        default=0.95,
        ge=0,
        lt=1,
        description="silent for longer than this quantile of its latest waits; 0 = always the times below",
    )
    after_s: float = Field(
        default=8.0, gt=0, description="silent for so long, while too little is measured, seconds"
    )
    whole_after_s: float = Field(
        default=45.0, gt=0, description="the same for answers that are not streamed, seconds"
    )
    max_share: float = Field(
        default=0.05, gt=0, le=1, description="second calls, as a share of all requests"
    )
    max_usd_per_day: float = Field(
        default=1.0, gt=0, le=1e6, description="what second calls may cost in 24 hours, USD"
    )

    def hedging(self) -> Hedging | None:
        """Return these settings as what the rules take, None where it is off."""
        return Hedging(**self.model_dump(exclude={"enabled"})) if self.enabled else None
