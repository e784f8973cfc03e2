"""No place and no money stays taken, wherever a request ends: cut at every await, and by clients that come and go."""

import asyncio
import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from openfusion_auto.config.keyfile import Wish
from openfusion_auto.runtime.limits import SERVER
from openfusion_auto.server import surface
from openfusion_auto.server.keys import LIMITER, LIVE
from tests.server.conftest import FOUR
from tests.server.live import send
from tests.server.test_keyring import SURFACES, body, keyed, slow

CAP = 3
LIMITS = {"max_concurrent": CAP, "usd_per_day": 50.0, "usd_per_session": 20.0}
WISH = Wish(
    "ci", max_usd_per_day=40.0, tokens_per_minute=10**8, requests_per_minute=10**6, concurrent=CAP
)
# A second call beside every first one that says nothing for a moment; money enough.
HEDGE = {
    "enabled": True, "quantile": 0.0, "after_s": 0.01, "whole_after_s": 0.01, "max_share": 1.0, "max_usd_per_day": 1000.0,
}  # fmt: skip
LONGEST = 400  # awaits of one request here; more would be a loop


def taken(router):
    """What is taken now, of every account: requests that run, money that is held."""
    counters = router.app[LIMITER].counters
    return {
        name: (account.running, account.held)
        for name, account in counters._accounts.items()
        if account.running or account.held
    }


class CutAt:
    """Run a coroutine and cancel its task at one of its awaits, counted from 1; `reached` says whether it came so far."""

    def __init__(self, coroutine, at):
        self._coroutine, self._at = coroutine, at
        self.reached = False

    def __await__(self):
        steps, count = self._coroutine.__await__(), 0
        try:
            waits_for = next(steps)
            while True:
                count += 1
                if count == self._at:
                    self.reached = True
                    asyncio.current_task().cancel()
                try:
                    got = yield waits_for
                except BaseException as error:
                    waits_for = steps.throw(error)
                else:
                    waits_for = steps.send(got)
        except StopIteration as end:
            return end.value


def scenario(name, path):
    """A request that goes one of the ways there are."""
    say = "[[say:one two three]] go"
    options = {
        "whole": {}, "stream": {"stream": True}, "late": {"stream": True}, "pieces": {"stream": True}, "refused": {"stream": True},
        "panel": {"openfusion": {"mode": "panel"}}, "panel stream": {"openfusion": {"mode": "panel"}, "stream": True},
        "verify": {"openfusion": {"mode": "verify"}},
        "hedge": {"openfusion": {"mode": "single"}}, "hedge stream": {"openfusion": {"mode": "single"}, "stream": True},
    }[name]  # fmt: skip
    say = {
        "late": "[[sleep:0.05]] [[say:late]] go", "refused": "[[fault:F17]] go", "pieces": "[[fault:F102]] [[say:x]] go",
        "hedge": "[[sleep:0.1]] [[say:late]] go", "hedge stream": "[[sleep:0.1]] [[say:late]] go",
    }.get(name, say)  # fmt: skip
    if path == "/responses":
        return body(path, input=say, **options)
    return body(path, messages=[{"role": "user", "content": say}], **options)


# Awaits that really wait, at least; the ends of sockets decide how many there are. Pieces of a stream go on without one.
SCENARIOS = {
    "whole": 2, "stream": 2, "late": 2, "pieces": 4, "refused": 2, "panel": 2, "panel stream": 2, "verify": 2,
    "hedge": 2, "hedge stream": 2,
}  # fmt: skip


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("path", SURFACES)
async def test_a_request_cut_at_any_await_gives_back_all_it_took(tmp_path, monkeypatch, path, name):
    tables = {"limits": LIMITS, "hedge": HEDGE if name.startswith("hedge") else {}}
    async with keyed(tmp_path, WISH, candidates=FOUR, **tables) as (router, texts):
        answer, runs = surface.answer, []

        async def cut(request, dialect):
            runs.append(CutAt(answer(request, dialect), len(runs) + 1))
            return await runs[-1]

        monkeypatch.setattr(surface, "answer", cut)
        while not runs or runs[-1].reached:
            assert len(runs) < LONGEST
            with contextlib.suppress(Exception):  # a cut connection
                await send(router, scenario(name, path), path=path, key=texts["ci"])
            assert taken(router) == {}
            assert router.app[LIVE].streams == {}
        hedged = [t for t in router.engine.traces.latest(LONGEST) if t.hedge is not None]
        assert bool(hedged) == name.startswith("hedge")
        assert len(runs) > SCENARIOS[name]
        monkeypatch.undo()
        reply = await send(router, body(path), path=path, key=texts["ci"])
        assert reply.status == 200


class Visits(RuleBasedStateMachine):
    """Clients that come, wait, read and leave when they like, on real sockets; the cap holds, and nothing is left."""

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = contextlib.AsyncExitStack()
        self.folder = self.stack.enter_context(tempfile.TemporaryDirectory())
        self.router, self.texts = self.do(
            self.stack.enter_async_context(
                keyed(Path(self.folder), WISH, candidates=FOUR, limits=LIMITS, hedge=HEDGE)
            )
        )
        self.visits = []

    def do(self, coroutine):
        return self.runner.run(coroutine)

    @rule(
        path=st.sampled_from(SURFACES),
        seconds=st.sampled_from([0, 0.02, 5]),
        stream=st.booleans(),
        mode=st.sampled_from(["auto", "single", "panel", "verify"]),
    )
    def come(self, path, seconds, stream, mode):
        asked = slow(path, seconds, stream=stream, openfusion={"mode": mode})
        self.visits.append(self.do(self.start(path, asked)))

    async def start(self, path, asked):
        return asyncio.create_task(send(self.router, asked, path=path, key=self.texts["ci"]))

    @rule(ms=st.integers(0, 40))
    def wait(self, ms):
        self.do(asyncio.sleep(ms / 1000))

    @rule(which=st.integers(0, 100))
    def leave(self, which):
        if self.visits:
            self.visits.pop(which % len(self.visits)).cancel()
            self.do(asyncio.sleep(0))

    @invariant()
    def the_cap_holds(self):
        assert self.router.app[LIMITER].counters.running(SERVER) <= CAP

    def teardown(self):
        try:
            self.do(self.finish())
        finally:
            self.do(self.stack.aclose())
            self.runner.close()

    async def finish(self):
        for visit in self.visits:
            visit.cancel()
        ends = await asyncio.gather(*self.visits, return_exceptions=True)
        statuses = {end.status for end in ends if not isinstance(end, BaseException)}
        assert statuses <= {200, 429, 503}
        async with asyncio.timeout(20):
            while taken(self.router) or self.router.app[LIVE].streams:
                await asyncio.sleep(0.01)
        reply = await send(self.router, body("/chat/completions"), key=self.texts["ci"])
        assert reply.status == 200
        counters = self.router.app[LIMITER].counters
        booked = sum(
            round(a.known_usd * 10**10)  # of a call that was cut before its bill: what it was sent
            for t in self.router.engine.traces.latest(10_000)
            for a in t.attempts
        )
        assert sum(n for _, n in counters.spending(SERVER).day) == booked  # no cent lost, none made


TestVisits = Visits.TestCase
TestVisits.settings = settings(
    max_examples=15,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
