"""A whole engine before one scripted upstream, without a socket: requests in, bodies and traces out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from openfusion_auto.core.types import Policy, Pool
from openfusion_auto.runtime.attempt import Means
from openfusion_auto.runtime.books import Books
from openfusion_auto.runtime.clock import Clock
from openfusion_auto.runtime.engine import Engine
from openfusion_auto.runtime.judging import Incoming
from openfusion_auto.runtime.state import LiveState
from openfusion_auto.runtime.trace import Trace, TraceStore
from openfusion_auto.store.memory import MemoryStore
from openfusion_auto.upstream.fake import FakeUpstream
from openfusion_auto.upstream.reply import Reply
from openfusion_auto.wire.chat_request import parse_request
from tests.support.pools import FOUR

EPOCH_S = 1_800_000_000.0


class Rig:
    """An engine with everything in memory. `now_s` is its clock, moved by tests and by whoever sleeps."""

    def __init__(
        self,
        script: Sequence[Reply] | Callable[[dict[str, Any]], Reply],
        *,
        pool: Pool = FOUR,
        policy: Policy | None = None,
        store: MemoryStore | None = None,
        caches: Mapping[str, Any] | None = None,
        offers: Mapping[str, tuple[str, ...]] | None = None,
        **engine: Any,
    ) -> None:
        self.now_s = 1_000.0
        self.clock = Clock(
            now=lambda: self.now_s, wall=lambda: EPOCH_S + self.now_s, sleep=self._sleep
        )
        self.store = store or MemoryStore()
        self.live = LiveState(
            self.clock, {}, pin_ttl_s=3600.0, cache_ttl_s=300.0, caches=caches, store=self.store
        )
        self.upstream = FakeUpstream(script, name="relay", sleep=self._sleep)
        means = Means(
            pool,
            {"relay": self.upstream},
            self.live,
            self.clock,
            900.0,
            Books(self.store),
            offers=offers or {},
        )
        self.engine = Engine(
            means,
            policy or Policy(mode="single"),
            TraceStore(100),
            dry_run=False,
            **engine,
        )

    async def _sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def incoming(
        self,
        messages: Sequence[Mapping[str, Any]] | str,
        *,
        session: str = "s",
        client: str = "me",
        **body: Any,
    ) -> Incoming:
        """A request as a surface hands it over."""
        said = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
        raw = json.dumps({"model": "openfusion/auto", "messages": list(said), **body}).encode()
        return Incoming(parse_request(raw), {"session-id": session}, client)

    async def ask(
        self, messages: Sequence[Mapping[str, Any]] | str, **more: Any
    ) -> tuple[dict[str, Any], Trace]:
        """Answer a request; returns the body and the trace."""
        asked = self.incoming(messages, **more)
        trace = self.engine.open(asked)
        answer = await self.engine.answer(asked, trace, None)
        return json.loads(answer), trace
