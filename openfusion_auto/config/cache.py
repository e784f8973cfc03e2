"""`[cache]` of `openfusion.toml`."""

from __future__ import annotations

from pydantic import Field

from openfusion_auto.config.section import Section


class CacheSection(Section):
    """`[cache]`: giving the same answer to the same request of the same client, without a call."""

    enabled: bool = Field(
        default=False,
        description="keep answers, in memory (and in Redis where that is shared), to give them again",
    )
    file: bool = Field(
        default=False,
        description="keep them on disk too: a restart forgets none, and workers share them",
    )
    ttl_s: float = Field(
        default=3600.0, gt=0, le=2_592_000, description="an answer is kept for so long, seconds"
    )
    max_mb: float = Field(
        default=64.0, gt=0, le=100_000, description="all kept answers, MB (1,000,000 bytes)"
    )
    max_entry_kb: float = Field(
        default=256.0, gt=0, le=100_000, description="largest answer that is kept, KB (1,000 bytes)"
    )
