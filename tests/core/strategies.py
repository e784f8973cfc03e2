"""Hypothesis strategies for the inputs of a decision. Ids are distinct, everything else may be missing or odd."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from hypothesis import strategies as st

from openfusion_auto.core.price import LongPrice
from openfusion_auto.core.prompt import Options
from openfusion_auto.core.types import (
    KINDS,
    LEVELS,
    ROLES,
    Benchmark,
    Breaker,
    Cached,
    Candidate,
    Check,
    Needs,
    Performance,
    Pin,
    Policy,
    Pool,
    Preferences,
    Price,
    State,
    Stats,
    Task,
    TaskCost,
)
from tests.support.pools import EVERYTHING, Inputs

IDS = tuple(f"m{i}" for i in range(8))
UPSTREAMS = ("relay", "other")
BENCHES = (
    "swebench_verified_openhands",
    "swt_bench_openhands",
    "aider_polyglot",
    "gaia",
    "unheard_of",
)


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    """Finite numbers as pools and clocks hold them: at most four decimals."""
    return st.integers(round(low * 10_000), round(high * 10_000)).map(lambda n: n / 10_000)


flat_prices = st.builds(
    Price,
    numbers(0, 60),
    numbers(0, 120),
    st.none() | numbers(0, 6),
    st.none() | numbers(0, 70),
    st.just("test"),
    st.sampled_from(("", "2026-11-01")),
)


def with_longer(price: Price, steps: list[tuple[int, float]]) -> Price:
    """A price that rises with the length of the prompt, by so much at each step."""
    found, factor = [], 1.0
    for above, more in sorted(steps):
        factor *= more
        parts = (price.input, price.output, price.cache_read, price.cache_write)
        found.append(LongPrice(above, *(None if p is None else p * factor for p in parts)))
    return replace(price, long_context=tuple(found))


steps = st.lists(
    st.tuples(st.sampled_from((4_000, 9_000, 40_000, 200_000)), numbers(1, 3)),
    max_size=2,
    unique_by=lambda s: s[0],
)
prices = flat_prices | st.builds(with_longer, flat_prices, steps)
SOURCES = ("", "lab@1", "lab@2 (another run)", "index@7", "bought")
DAYS = ("", "2026-11-01", "2026-01-15", "2024-03-01", "no day")
benchmarks = st.lists(
    st.builds(
        Benchmark,
        st.sampled_from(BENCHES),
        numbers(0, 100),
        st.none() | st.integers(1, 2000),
        st.sampled_from(SOURCES),
        st.sampled_from(DAYS),
    ),
    max_size=4,
    unique_by=lambda b: (b.name, b.source),
).map(tuple)
performances = st.builds(Performance, st.none() | numbers(1, 20_000), st.none() | numbers(1, 300))


abilities = st.just(EVERYTHING) | st.lists(st.sampled_from(EVERYTHING), unique=True).map(tuple)


@cache  # a strategy is checked when it is first drawn from: once for each id, not for each example
def candidates(id_: str, *, easy: bool = False) -> st.SearchStrategy[Candidate]:
    """Candidates of that id; two ids in three share a model with nobody."""
    return st.builds(
        Candidate,
        id=st.just(id_),
        upstream=st.sampled_from(UPSTREAMS),
        model=st.sampled_from((f"vendor/{id_}", f"vendor/{id_}", "vendor/shared")),
        roles=st.lists(st.sampled_from(ROLES), max_size=3, unique=True).map(tuple),
        offers=st.just(EVERYTHING) if easy else abilities,
        price=prices if easy else st.none() | prices,
        context_tokens=st.none() if easy else st.none() | st.integers(1_000, 400_000),
        max_output_tokens=st.none() | st.integers(100, 64_000),
        benchmarks=benchmarks,
        cost_per_task=st.none() | st.builds(TaskCost, numbers(0, 20)),
        performance=st.none() | performances,
    )


@st.composite
def pools(draw: st.DrawFn, *, easy: bool = False, min_size: int = 1) -> Pool:
    """Pools of distinct ids in any order; in an easy one everybody can serve at a known price."""
    ids = draw(st.lists(st.sampled_from(IDS), min_size=min_size, max_size=5, unique=True))
    return Pool(tuple(draw(candidates(i, easy=easy)) for i in ids), "sha256:drawn")


some_ids = st.just(()) | st.lists(st.sampled_from(IDS), max_size=4, unique=True).map(tuple)
options = st.builds(
    Options,
    mode=st.sampled_from(("auto", "auto", "single", "verify", "panel")),
    panel=some_ids,
    judge=st.none() | st.sampled_from(IDS),
    aggregator=st.sampled_from(("auto", "judge", "ranked", "vote")),
    candidates=some_ids,
    cost_quality=st.none() | numbers(0, 10),
    max_usd=st.none() | numbers(0, 3),
    max_calls=st.none() | st.integers(1, 12),
)
tasks = st.builds(
    Task,
    kind=st.sampled_from(KINDS),
    risk=st.sampled_from(LEVELS),
    complexity=st.sampled_from(LEVELS),
    turn=st.sampled_from(("aux", "user", "user", "tool")),
    needs=st.builds(
        Needs,
        tools=st.booleans(),
        vision=st.booleans(),
        json_schema=st.booleans(),
        input_tokens=st.integers(0, 300_000),
        max_output_tokens=st.none() | st.integers(1, 64_000),
    ),
    struggling=st.booleans(),
    role=st.none() | st.sampled_from(ROLES),
    only=st.just(()) | some_ids,
    options=st.just(Options()) | options,
    ease=st.none() | numbers(-4, 4),
    lifts=st.dictionaries(st.sampled_from(IDS), numbers(-0.35, 0.35), max_size=3).map(
        lambda found: tuple(sorted(found.items()))
    ),
    effort=st.just(1.0) | numbers(0.25, 4),
)
live_stats = st.builds(
    Stats,
    *(numbers(0, 50) for _ in range(2)),
    numbers(0, 9_000),
    numbers(0, 50),
    numbers(0, 300),
    numbers(0, 50),
    numbers(0, 8),
    numbers(0, 50),
    numbers(0, 5_000),
    numbers(0, 1),
    numbers(0, 50),
)
breakers = st.builds(
    Breaker,
    st.sampled_from(("closed", "open", "half_open")),
    st.integers(0, 9),
    numbers(0, 9_000),
    st.booleans(),
)
caches = st.lists(
    st.builds(Cached, st.sampled_from(IDS), st.integers(0, 300_000), numbers(0, 9_000)),
    max_size=4,
    unique_by=lambda cached: cached.candidate,
).map(tuple)
pins = st.builds(
    Pin, st.sampled_from(IDS), caches, st.integers(1, 40), numbers(0, 9_000), st.booleans()
)
states = st.builds(
    State,
    now_s=numbers(0, 9_000),
    stats=st.dictionaries(st.sampled_from(IDS), live_stats, max_size=5),
    breakers=st.dictionaries(st.sampled_from(IDS), breakers, max_size=5),
    pin=st.none() | pins,
    unready=st.dictionaries(st.just("other"), st.just("OTHER_API_KEY is not set"), max_size=1),
    cache_min=st.dictionaries(st.sampled_from(UPSTREAMS), st.integers(1, 5_000), max_size=2),
    cache_ttl=st.dictionaries(st.sampled_from(("", *UPSTREAMS)), numbers(0, 4_000), max_size=3),
)
preferences = st.builds(
    Preferences,
    *(st.none() | numbers(0, high) for high in (60, 120, 100, 300)),
    st.none() | numbers(1, 20_000),
    fail_open=st.booleans(),
)
policies = st.builds(
    Policy,
    cost_quality=numbers(0, 10),
    mode=st.sampled_from(("auto", "auto", "single", "verify", "panel")),
    max_usd=st.none() | numbers(0, 3),
    max_calls=st.integers(1, 12),
    fallbacks=st.integers(0, 4),
    panel_size=st.integers(2, 5),
    preferences=st.just(Preferences()) | preferences,
    check=st.none() | st.builds(Check, numbers(0, 1), numbers(0, 1)),
)
inputs = st.builds(Inputs, tasks, pools(), states, policies)

# Nobody is rejected and no option interferes: what remains is the choice by terms.
easy_inputs = st.builds(
    Inputs,
    tasks.map(lambda t: replace(t, role=None, only=(), options=Options())),
    pools(easy=True, min_size=2),
    states.map(lambda s: replace(s, breakers={}, unready={})),
    policies.map(lambda p: replace(p, preferences=Preferences())),
)
