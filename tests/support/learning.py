"""What one process learns of a candidate, for tests of how others hear of it."""

from __future__ import annotations

from openfusion_auto.core.types import Stats
from openfusion_auto.errors import UpstreamError
from openfusion_auto.runtime.state import LiveState


class Learning:
    """Live state that calls of `coder-a` teach something."""

    live: LiveState

    def works(self, times: int = 1, ttft_ms: float = 100.0) -> None:
        """So many calls brought an answer."""
        for _ in range(times):
            self.live.succeeded("coder-a", ttft_ms=ttft_ms, tokens_per_s=50.0, bytes_per_token=4.0)

    def fails(self, times: int = 1) -> None:
        """So many calls failed by the provider's fault."""
        for _ in range(times):
            self.live.failed("coder-a", UpstreamError("down"))

    def waits(self, ttft_ms: float = 500.0) -> None:
        """A call was cut for another one before its first token."""
        self.live.waited("coder-a", ttft_ms)

    @property
    def stats(self) -> Stats:
        """What is known."""
        return self.live.snapshot(None).stats.get("coder-a", Stats())
