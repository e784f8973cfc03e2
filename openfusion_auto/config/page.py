"""`[page]` of `openfusion.toml`."""

from __future__ import annotations

from pydantic import Field

from openfusion_auto.config.section import Section


class PageSection(Section):
    """`[page]`: the page for people at `/ui`."""

    take_keys: bool = Field(
        default=False,
        description="on this machine the page takes keys of upstreams that lack one, into memory alone",
    )
