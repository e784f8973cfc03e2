"""Reading and deciding a request, before any call for its answer: the same for an answer and for `/debug/route`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from openfusion_auto.core import tokens, turns
from openfusion_auto.core.decide import decide, tightest, worst_of
from openfusion_auto.core.eligible import SEARCH_ALONE
from openfusion_auto.core.facts import read_facts
from openfusion_auto.core.own import OwnModels, ad_hoc
from openfusion_auto.core.plan import is_locked
from openfusion_auto.core.prompt import Prompt, WebTool
from openfusion_auto.core.strategy import IN_TURN
from openfusion_auto.core.types import Decision, Policy, Pool, Rejection, State, Task
from openfusion_auto.core.words import sum_of
from openfusion_auto.errors import BadRequest, ContextTooLong, NoCandidate
from openfusion_auto.runtime.access import View
from openfusion_auto.runtime.attempt import Means
from openfusion_auto.runtime.caller import Caller
from openfusion_auto.runtime.limits import Allowance
from openfusion_auto.runtime.names import Wanted, wanted
from openfusion_auto.runtime.reader import Reader, left_of, share_of
from openfusion_auto.runtime.session import Session, session_of
from openfusion_auto.runtime.trace import Trace
from openfusion_auto.wire.hosted import asks_apart, hosted_tools, searched_at, without_hosted
from openfusion_auto.wire.hour_cache import caches_an_hour
from openfusion_auto.wire.portable import is_bound, undroppable
from openfusion_auto.wire.region import FIELD as REGION
from openfusion_auto.wire.region import us_asked
from openfusion_auto.wire.tiers import FIELDS, tiers_asked, without_tier
from openfusion_auto.wire.web import has_web, web_tools_of

# Fields that change what an answer costs.
ASKED = (*FIELDS, REGION)
# Rules that a request brings itself: where they alone shut out everybody, the request is at fault.
BY_REQUEST = frozenset(
    {
        "price_above_requested",
        "performance_below_requested",
        "provider_unmet",
        "web_not_offered",
    }
)


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request as a surface hands it over. `identity` tells this client from others (credential and address).

    With gateway keys: `client` is the id of its key, `view` what that may ask for (None = everything). `allowance` is
    what the request may use, None where nothing is limited.
    """

    prompt: Prompt
    headers: Mapping[str, str]
    identity: str = ""
    client: str | None = None
    view: View | None = None
    allowance: Allowance | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """A request that has been read and decided, before any call. `left_usd` is what budgets left it, None = none.

    `notes` are for its trace.
    """

    prompt: Prompt
    want: Wanted
    session: Session
    task: Task
    state: State
    pool: Pool
    policy: Policy
    decision: Decision
    left_usd: float | None = None
    identity: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judging:
    """Reads and decides requests.

    Attributes:
        means: What is decided over: the pool, and live state.
        policy: The operator's settings.
        reader: How requests are read.
        own: The operator's own models, by name.
    """

    means: Means
    policy: Policy
    reader: Reader
    own: OwnModels = field(default_factory=dict)

    def judge(
        self, incoming: Incoming, spent: Trace | None = None, number: int | None = None
    ) -> Judged:
        """Read and decide a request; calls nothing and changes nothing, so `/debug/route` is this alone.

        What `spent` has used already is taken off the limits. `number` is its turn's, where it has taken one.

        Raises:
            BadRequest: it asks for a longer answer, for more calls or for more money than the operator allows.
        """
        prompt = self.means.ceilings.admitted(incoming.prompt)
        refuse_beyond(prompt, self.policy)
        pool, own = self.means.pool, self.own
        if incoming.view is not None:
            incoming.view.check(prompt.model, prompt.body)
            own = incoming.view.own(own, pool)
            pool = incoming.view.pool
        want = wanted(prompt.model, prompt.options, pool, self.means.offers, own)
        if want.options is not prompt.options:
            prompt = replace(prompt, options=want.options)
        session = session_of(prompt, incoming.headers, incoming.identity, incoming.client)
        state = self.means.live.snapshot(session.key)
        if incoming.view is not None:
            state = incoming.view.within(state, self.means.pool)
        policy = self.policy if spent is None else left_of(self.policy, prompt.options, spent)
        left = None
        if incoming.allowance is not None:
            left = incoming.allowance.left_usd(session.whole)
            policy = replace(policy, max_usd=tightest(policy.max_usd, left))
        most = tightest(policy.max_usd, prompt.options.max_usd)
        prompt, notes = self._searching(*self._tiered(prompt, most), most)
        web = prompt.web
        if web or prompt.options.hosts is not None:
            state = replace(state, offers=self._offered(web))
        pool = ad_hoc(want.outside) if want.outside else pool
        only = want.only or self._bound_to(prompt, pool)
        read = self.reader.read(prompt, session.key, role=want.role, only=only)
        task = self._calibrated(read, prompt, state)
        if web:
            task = replace(task, needs=replace(task.needs, web=True))
        if caches_an_hour(prompt):
            task = replace(task, needs=replace(task.needs, hour_cache=True))
        if prompt.options.strategy == IN_TURN:
            name = turns.name_of(prompt.options, pool, task.role)
            task = replace(task, number=self.means.turns.next(name) if number is None else number)
        if self.reader.learner is not None:
            task = self.reader.learner.lifted(task, prompt, incoming.identity, pool)
        decision = decide(task, pool, state, policy)
        who = incoming.identity
        return Judged(prompt, want, session, task, state, pool, policy, decision, left, who, notes)

    async def judged(self, incoming: Incoming, trace: Trace, began_s: float) -> Judged:
        """Learn from what a request says about the answers before it, and decide it.

        The classifier is asked where there is one and something to ask; then it is decided again by what it said.
        """
        known, learner = self.reader.classifier, self.reader.learner
        if learner is not None:
            key = session_of(
                incoming.prompt, incoming.headers, incoming.identity, incoming.client
            ).key
            trace.notes += learner.observe(incoming.prompt, key, incoming.identity)
        judged = self.judge(incoming)
        number = await self._turn(judged)
        if number is not None:
            judged = self.judge(incoming, number=number)
        if known is None or judged.task.only:
            return judged
        facts = read_facts(judged.prompt)
        if not known.asks(judged.session.key, facts):
            return judged
        calls, usd = share_of(self.policy, judged.prompt.options)
        caller = Caller(
            self.means,
            trace,
            None,
            began_s=began_s,
            max_calls=calls,
            max_usd=tightest(usd, judged.left_usd),
            allowance=None if judged.left_usd is None else incoming.allowance,
        )
        problem = await known.ask(judged.session.key, facts, caller)
        if problem is not None:
            trace.notes.append(problem)
        return self.judge(incoming, spent=trace, number=number)

    async def _turn(self, judged: Judged) -> int | None:
        """Take a turn where the models take turns; a tool loop that stays with its model has had its own."""
        options, ranking = judged.prompt.options, judged.decision.ranking
        if options.strategy != IN_TURN or not ranking or is_locked(ranking):
            return None
        return await self.means.turns.take(turns.name_of(options, judged.pool, judged.task.role))

    def _tiered(self, prompt: Prompt, max_usd: float | None) -> tuple[Prompt, tuple[str, ...]]:
        """Return a prompt that knows which service tiers it asks for, and what the trace is to note.

        Under a limit of money a dearer one, of which nobody says the price, is left out: it is a wish, and else the
        whole session would be refused for it.
        """
        if prompt.body.keys().isdisjoint(ASKED):
            return prompt, ()
        spoken = {n: u.dialect for n, u in self.means.upstreams.items()}
        prompt = replace(prompt, options=replace(prompt.options, us_only=us_asked(prompt, spoken)))
        found = tiers_asked(prompt, spoken)
        if max_usd is not None and any(t.tier == "dearer" for t in found):
            why = "service tier left out: its price is unknown here, and there is a limit of money"
            return without_tier(prompt), (why,)
        return replace(prompt, options=replace(prompt.options, tiers=found)), ()

    def _searching(
        self, prompt: Prompt, notes: tuple[str, ...], max_usd: float | None
    ) -> tuple[Prompt, tuple[str, ...]]:
        """Return a prompt that knows its web tools and what upstreams bill for them, and what the trace is to note.

        Under a limit of money, tools that the client merely offers are left out where their price is unknown: else
        its whole session would be refused for a search that it may never make.
        """
        web = web_tools_of(prompt)
        prompt = replace(prompt, web=web) if web else prompt
        if not asks_apart(prompt):
            return prompt, notes
        spoken = {n: u.dialect for n, u in self.means.upstreams.items()}
        found = searched_at(prompt, spoken, self.means.offers, self.means.search_usd)
        if not found:
            return prompt, notes
        unknown = any(s.cost(s.most) is None for s in found)
        fewer = without_hosted(prompt) if max_usd is not None and unknown else None
        if fewer is not None:
            names = ", ".join(t.name for t in hosted_tools(prompt))
            left = searched_at(fewer, spoken, self.means.offers, self.means.search_usd)
            options = replace(fewer.options, searching=left)
            why = f"{names} left out: its price is unknown here, and there is a limit of money"
            return replace(fewer, options=options), (*notes, why)
        return replace(prompt, options=replace(prompt.options, searching=found)), notes

    def _offered(self, web: tuple[WebTool, ...]) -> Mapping[str, tuple[str, ...]]:
        """Return what upstreams offer; `SEARCH_ALONE` where their dialect lacks some of the web tools asked for."""
        short = {n for n, u in self.means.upstreams.items() if not has_web(u.dialect, web)}
        return {
            n: tuple(SEARCH_ALONE if o == "web_search" and n in short else o for o in offered)
            for n, offered in sorted(self.means.offers.items())
        }

    def _bound_to(self, prompt: Prompt, pool: Pool) -> tuple[str, ...]:
        """Return the candidates that alone can serve a history; () when all can, or none.

        A compacted history is its maker's. What only the client's dialect knows goes where that is spoken.
        """
        makers = self.means.live.makers(undroppable(prompt), pool)
        if makers or not is_bound(prompt):
            return makers
        spoken = {n for n, u in self.means.upstreams.items() if u.dialect == prompt.dialect}
        return tuple(c.id for c in pool.candidates if c.upstream in spoken)

    def _calibrated(self, task: Task, prompt: Prompt, state: State) -> Task:
        """Return the task with its token estimate in the measure of the session's model, once that is known."""
        if state.pin is None:
            return task
        measured = self.means.live.bytes_per_token(state.pin.candidate)
        if measured is None:
            return task
        counted = tokens.input_tokens(prompt, measured)
        return replace(task, needs=replace(task.needs, input_tokens=counted))


def refuse_beyond(prompt: Prompt, policy: Policy) -> None:
    """Refuse an option above the operator's own ceiling, by the ceiling's name.

    Looked up in the body: what a preset or a model of the operator's own brings along is cut without a word.
    """
    said = prompt.body.get("openfusion")
    if not isinstance(said, Mapping):
        return
    for name, most in (("max_calls", policy.max_calls), ("max_usd", policy.max_usd)):
        asked = said.get(name)
        if most is not None and isinstance(asked, (int, float)) and asked > most:
            raise BadRequest(
                f"openfusion.{name} {asked:g} is more than this server allows: {most:g}. Ask for at most {most:g}, or "
                f"leave it out. The operator sets it as auto.{name}.",
                param=f"openfusion.{name}",
                code="limit_exceeded",
            )


def raise_if_empty(judged: Judged) -> None:
    """Raise when nobody can serve: too long for all, too dear for all, or every rejection listed."""
    decision = judged.decision
    if decision.plan.steps:
        return
    if decision.ranking:
        raise too_dear(judged)
    rules = {r.rule for r in decision.rejected if r.rule != "not_requested"}
    why = reasons(decision.rejected[:20])
    if rules and rules <= BY_REQUEST:
        raise BadRequest(
            f"No candidate is what this request asks for. {why}", code="no_eligible_candidate"
        )
    if rules == {"context_too_small"}:
        short = {r.candidate for r in decision.rejected if r.rule == "context_too_small"}
        found = (c.context_tokens for c in judged.pool.candidates if c.id in short)
        windows = [tokens for tokens in found if tokens]
        raise ContextTooLong(
            f"This model's maximum context length is {max(windows)} tokens. However, your messages resulted in "
            f"about {judged.task.needs.input_tokens} tokens. Please reduce the length of the messages.",
            param="messages",
        )
    raise NoCandidate(f"No candidate can serve this request. {why}")


def too_dear(judged: Judged) -> BadRequest:
    """Return the refusal of a request that is too dear for all: what it takes, and whose limit it is."""
    asked, decision = judged.prompt.options.max_usd, judged.decision
    most = tightest(judged.policy.max_usd, asked)
    if most is None:
        return BadRequest(
            f"No candidate fits the limits of this request: {decision.reasons[-1]}.",
            param="openfusion.max_calls",
            code="budget_exceeded",
        )
    worst = (worst_of(judged.pool, s.candidate, judged.task) for s in decision.ranking)
    known = [usd for usd in worst if usd is not None]
    takes = f"at least {sum_of(min(known))} at worst" if known else "an unknown price"
    whose = "openfusion.max_usd"
    if most != asked:
        whose = "what its budgets leave" if most == judged.left_usd else "auto.max_usd"
    return BadRequest(
        f"No candidate fits the budget of this request: it takes {takes}, and the limit is {sum_of(most)} ({whose}). A "
        "lower bound of the answer (max_tokens) makes it cheaper.",
        param="openfusion.max_usd",
        code="budget_exceeded",
    )


def reasons(rejected: Sequence[Rejection]) -> str:
    """Return why each was rejected; those with one reason stand together."""
    found: dict[str, list[str]] = {}
    for r in rejected:
        found.setdefault(f"{r.rule} ({r.detail})", []).append(r.candidate)
    return "; ".join(f"{', '.join(names)}: {why}" for why, names in found.items())
