"""Single, verify or panel: by what a better answer is worth against what it costs in money and waiting.

    gain(verify) = loss(risk) * P(wrong) * caught and mended
    gain(panel)  = the same, and more where independent attempts can differ (hard tasks only)

`P(wrong)` is that of the best-ranked candidate on this task (`score.py`), within `WRONG`; with recorded outcomes of
such tasks (`[auto] experience`) all is of the candidates' own chances (`cascade.py`). A mode is taken when its gain is
above its cost: the extra calls at the pool's own prices for a request of nominal size, plus the time a person
waits. The real prompt size is left out on purpose: a long system prompt makes no task riskier.

`LOSS_USD` is the cost of finding and undoing a wrong answer: a glance, some minutes, an incident. What a check mends
follows from how many wrong answers it finds (`cascade.CHECK`). `PANEL_ADDS` is what selection among independent
attempts adds on hard tasks (CodeMonkeys, arXiv 2501.14723), nothing on easy ones, where synthesis loses to the best
member (`docs/explanation/modes.md`). Both are orders of magnitude.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from openfusion_auto.core import cost
from openfusion_auto.core.cascade import CHECK, SAME_TROUBLE, best_pair, panel_chance
from openfusion_auto.core.plan import panel_members, second_look
from openfusion_auto.core.prompt import ModeName
from openfusion_auto.core.score import SKILL, Table
from openfusion_auto.core.strategy import mode_of
from openfusion_auto.core.types import Candidate, Check, Level, Policy, Pool, Price, Score, Task
from openfusion_auto.core.words import sum_of

LOSS_USD: dict[Level, float] = {"low": 0.2, "medium": 2.0, "high": 100.0}
PANEL_ADDS: dict[Level, float] = {"low": 0.0, "medium": 0.0, "high": 0.20}
# Where P(wrong) may lie: first tries of good models on everyday easy, ordinary and hard work. Benchmarks ask harder
# questions than most days do, so a pool's own estimate moves it inside these bounds only.
WRONG: dict[Level, tuple[float, float]] = {
    "low": (0.02, 0.08),
    "medium": (0.05, 0.15),
    "high": (0.35, 0.65),
}
TALK = "conversation, nothing to check"
WAIT_USD_PER_S = 60.0 / 3600  # a developer's hour, moderately
NEAREST = 6  # of the best-ranked candidates, whose prices stand for an extra call's
VERIFY_S, PANEL_S = 10.0, 45.0  # [s] extra waiting


@dataclass(frozen=True, slots=True)
class Choice:
    """The mode wanted, and one sentence for it and for each mode not taken."""

    mode: ModeName
    reasons: tuple[str, ...]


def nominal_usd(candidates: list[Candidate]) -> float:
    """Return what one ordinary request costs at these candidates on average [USD]; unknown prices count as none."""
    known = [ordinary(c.price) for c in candidates if c.price is not None]
    return sum(known) / len(known) if known else 0.0


@lru_cache(maxsize=4096)
def ordinary(price: Price) -> float:
    """Return what one ordinary request costs at a price [USD]. Remembered."""
    return cost.usd(price, cost.NOMINAL)


def choose(task: Task, policy: Policy, ranking: tuple[Score, ...], pool: Pool) -> Choice:
    """Choose the mode for a task, before budgets.

    Args:
        task: The request as read; `task.options.mode`, then `task.forced` and `policy.mode` may force one.
        policy: The operator's settings.
        ranking: The candidates that could serve, best first.
        pool: Theirs.
    """
    asked, fan = task.options.mode, task.options.fan
    by = fan.of if fan is not None and fan.asks else "the request"
    if task.options.strategy != "panel":
        strategy = task.options.strategy
        return Choice(mode_of(strategy), (f"{mode_of(strategy)}: {by} asks for {strategy}",))
    if asked != "auto":
        return Choice(asked, (f"{asked}: {by} asks for it",))
    single = single_reason(task, len(ranking))
    forced = task.forced
    if forced is not None and single in (None, TALK):
        return Choice(forced.mode, (f"{forced.mode}: {forced.by}",))
    if single:
        return Choice("single", (f"single: {single}",))
    if policy.mode != "auto":
        return Choice(policy.mode, (f"{policy.mode}: the configuration asks for it",))
    return by_value(task, policy, ranking, pool)


def single_reason(task: Task, n_eligible: int) -> str | None:
    """Return why only one model can make sense, or None."""
    if task.turn == "aux" or task.kind == "aux":
        return "a call the client makes for itself"
    if task.turn == "tool":
        return "a turn inside a tool loop stays with one model"
    if task.kind == "chat":
        return TALK
    if task.only:
        return "the request is bound to its model"
    if task.role is not None:
        return f"the request names the role {task.role}"
    if n_eligible < 2:
        return "only one candidate can serve" if n_eligible else "no candidate can serve"
    return None


def chance_of(scored: Score) -> float:
    """Return a candidate's chance of a right answer, 0..1."""
    table = scored.table
    if isinstance(table, Table):
        return float(table.values[scored.row, SKILL])
    return scored.terms[SKILL].value


@dataclass(frozen=True, slots=True)
class Gains:
    """How likely the first answer is wrong; how much likelier a right one is with a check, and further with a panel."""

    wrong: float
    verify: float
    panel: float


def usual_gains(task: Task, best: float, check: Check) -> Gains:
    """Return the gains on everyday work: a pool's own estimate moves them inside `WRONG` only.

    What failed again and again is hard, whatever it read like.
    """
    complexity: Level = "high" if task.struggling else task.complexity
    least, most = WRONG[complexity]
    wrong = min(most, max(least, 1.0 - best))
    return Gains(wrong, wrong * check.sensitivity * SAME_TROUBLE, wrong * PANEL_ADDS[complexity])


def measured_gains(
    task: Task, policy: Policy, ranking: tuple[Score, ...], pool: Pool, check: Check
) -> Gains:
    """Return the gains where outcomes of such tasks are on record: of the candidates' own chances, as they are.

    What a check rejects wrongly counts against it: behind a model that is nearly always right it does harm.
    """
    best = chance_of(ranking[0])
    pair = best_pair(ranking, check)
    verified = pair.chance if pair is not None else best
    chances = {s.candidate: chance_of(s) for s in ranking}
    members = [chances[m] for m in panel_members(ranking, task, pool, policy)]
    return Gains(1.0 - best, verified - best, panel_chance(members, check) - verified)


def price(usd: float, wait_s: float) -> str:
    """Say what a mode costs: its calls, and apart from them the waiting and what that is worth."""
    return f"{sum_of(usd)} and {wait_s:g} s, worth {wait_s * WAIT_USD_PER_S:.2f}"


def by_value(task: Task, policy: Policy, ranking: tuple[Score, ...], pool: Pool) -> Choice:
    """Choose by expected value; say what each mode would gain and cost."""
    near = (pool.get(s.candidate) for s in ranking[:NEAREST])
    call_usd = nominal_usd([c for c in near if c is not None])
    check = policy.check or CHECK
    if task.ease is None:
        gains = usual_gains(task, chance_of(ranking[0]), check)
    else:
        gains = measured_gains(task, policy, ranking, pool, check)
    verify_gain, verify_usd = LOSS_USD[task.risk] * gains.verify, 1.5 * call_usd
    size = policy.panel_size
    calls = size + (second_look(policy, size) == 1.0)
    panel_gain, panel_usd = LOSS_USD[task.risk] * gains.panel, calls * call_usd
    verify_net = verify_gain - (verify_usd + VERIFY_S * WAIT_USD_PER_S)
    panel_net = verify_net + panel_gain - (panel_usd + (PANEL_S - VERIFY_S) * WAIT_USD_PER_S)
    failed = ", failed before" if task.struggling else ""
    about = (
        f"{task.risk} risk, {task.complexity} complexity{failed}, {gains.wrong:.0%} likely wrong"
    )
    verify_says = f"a check would save {verify_gain:.2f} USD for {price(verify_usd, VERIFY_S)}"
    more = price(panel_usd, PANEL_S - VERIFY_S)
    panel_says = f"a panel would save another {panel_gain:.2f} USD for {more}"
    if max(verify_net, panel_net) <= 0:
        return Choice(
            "single",
            (
                f"single: neither a check nor a panel pays ({about})",
                f"not verify: {verify_says}",
                f"not panel: {panel_says}",
            ),
        )
    if panel_net <= verify_net:
        return Choice(
            "verify",
            (
                f"verify: {verify_says} ({about})",
                "not single: the check is worth it",
                f"not panel: {panel_says}",
            ),
        )
    return Choice(
        "panel",
        (
            f"panel: {panel_says} ({about})",
            "not single: too much is at stake",
            "not verify: independent attempts are worth more than a check of one",
        ),
    )
