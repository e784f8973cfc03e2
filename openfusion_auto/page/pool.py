"""`/ui/pool`: the candidates, where each number comes from, which are worth their money, and what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from aiohttp import web

from openfusion_auto.core.cost import known_rates
from openfusion_auto.core.price import LongPrice
from openfusion_auto.core.types import KINDS, Candidate, Price
from openfusion_auto.core.worth import REQUEST, Measured, worth
from openfusion_auto.errors import BadRequest
from openfusion_auto.page import charts
from openfusion_auto.page.live import Health, health, pool_of
from openfusion_auto.page.render import render
from openfusion_auto.server.keys import CONFIG, ENGINE


async def page(request: web.Request) -> web.Response:
    """`GET /ui/pool`: `kind` says for which kind of task quality is meant."""
    asked = request.query.get("kind", "bugfix")
    kind = next((k for k in KINDS if k == asked), None)
    if kind is None:
        raise BadRequest(f"kind must be one of {', '.join(KINDS)}.", param="kind")
    pool, live = pool_of(request), request.app[ENGINE].means.live
    found = worth(pool, kind)
    slopes = (*(slope / 100 for slope in found.front.slopes), None)[: len(found.front.members)]
    known = {one.id: one for one in health(pool, live)}
    return render(
        request,
        "pool.html",
        here="pool",
        title="Pool",
        kind=kind,
        kinds=KINDS,
        nominal=REQUEST,
        drawing=charts.front(found),
        members=list(zip(found.front.members, slopes, strict=True)),
        found=found,
        rows=[Shown(c, known[c.id], found.rows[c.id], tuple(facts(c))) for c in pool.candidates],
        digest=pool.digest,
        loaded=request.app[CONFIG],
    )


class Fact(NamedTuple):
    """A number of the pool: what it is, how much, and where it is from."""

    name: str
    value: str
    source: str
    as_of: str

    @property
    def link(self) -> str | None:
        """The source when it is an address on the web."""
        return self.source if self.source.startswith(("https://", "http://")) else None


class Shown(NamedTuple):
    """A candidate, how it is, what it is worth, and where its numbers come from."""

    candidate: Candidate
    health: Health
    worth: Measured
    facts: tuple[Fact, ...]


def rates(price: Price | LongPrice) -> str:
    """Return the rates that are known."""
    parts = known_rates(price).items()
    return ", ".join(f"{part.replace('_', ' ')} ${usd:g}" for part, usd in parts)


def facts(c: Candidate) -> Iterator[Fact]:
    """Yield every number of a candidate that somebody published."""
    if c.price is not None:
        name = "price per million tokens"
        yield Fact(name, rates(c.price), c.price.source, c.price.as_of)
        for longer in c.price.long_context:
            above = f"{name}, prompts above {longer.above_tokens:,}"
            yield Fact(above, rates(longer), c.price.source, c.price.as_of)
    if c.cost_per_task is not None:
        cost = c.cost_per_task
        yield Fact("cost of a whole task", f"${cost.value:g}", cost.source, cost.as_of)
    for b in c.benchmarks:
        said = f"{b.score:g} %" + (f" of {b.n} tasks" if b.n is not None else "")
        yield Fact(b.name, said, b.source, b.as_of)
    if c.performance is not None:
        p = c.performance
        if p.ttft_ms_p50 is not None:
            yield Fact("first token, median", f"{p.ttft_ms_p50:g} ms", p.source, p.as_of)
        if p.tokens_per_s_p50 is not None:
            yield Fact("speed, median", f"{p.tokens_per_s_p50:g} tokens/s", p.source, p.as_of)
