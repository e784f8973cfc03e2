"""What a call costs beside its tokens at the pool's price: a bill, another tier or place, searches."""

from __future__ import annotations

from openfusion_auto.core import cost
from openfusion_auto.core.prompt import Answer, Prompt
from openfusion_auto.core.types import Candidate
from openfusion_auto.runtime.relay import Received
from openfusion_auto.runtime.trace import Attempt, Trace
from openfusion_auto.wire.extensions import tells_bill
from openfusion_auto.wire.tiers import was_left_out

DEARER = "answered in a faster tier: it costs more than its list price, nobody says how much"
CHEAPER = "answered in a slower tier: it is booked at its list price, which is more than it costs"
SOUND = "counts tokens of sound, of which the pool holds no price: its cost is not known"
US_ONLY = f"answered in the US alone: {cost.US_ONLY:g} times its list price"


def charge(
    trace: Trace,
    line: Attempt,
    prompt: Prompt,
    candidate: Candidate,
    told: Answer | Received,
    *,
    offers: tuple[str, ...] = (),
) -> None:
    """Let the upstream's own bill stand before tokens at the pool's price, where it is believed.

    Of what nobody says the price of, the tokens at that price are what the call cost at least.

    Args:
        trace: Of the request; its notes say what was dearer, or is not known.
        line: The call, with its tokens booked at the pool's price.
        prompt: As it was sent.
        candidate: Who was asked.
        told: What came of it.
        offers: What its upstream takes besides its dialect.
    """
    if line.usage is None:
        return
    listed, usd = line.usd, told.billed_usd
    # One that does not say where it came from came from where it was asked for.
    asked = None if was_left_out(line.lost) else prompt.options.tier_at(candidate.upstream)
    tier = told.tier or asked
    unlisted = DEARER if tier == "dearer" else SOUND if told.sound else ""
    if usd is not None and (prompt.web or tells_bill(prompt, offers)):
        line.usd, line.billed = usd, True
    elif listed and unlisted:
        line.usd, line.billed = None, True
        trace.notes.append(f"{candidate.id} {unlisted}")
    else:
        _by_length_and_place(trace, line, prompt, candidate, told.us_only)
        _by_searches(line, prompt, candidate, told.searches)
        if listed and tier == "cheaper":
            trace.notes.append(f"{candidate.id} {CHEAPER}")
    line.least_usd = listed if line.usd is None else None
    if trace.dry_run:
        line.usd, line.billed, line.least_usd, line.times = 0.0, False, None, 1.0  # nobody was paid


def _by_length_and_place(
    trace: Trace, line: Attempt, prompt: Prompt, candidate: Candidate, told: bool | None
) -> None:
    """Take what an answer computed in the US alone costs more, and say why a call was dearer."""
    read = line.usage.input if line.usage is not None else 0
    longer = cost.longer(candidate, read)
    if longer is not None:
        trace.notes.append(f"{candidate.id} read {read:,} tokens: {longer}")
    us_only = candidate.upstream in prompt.options.us_only if told is None else told
    if us_only and line.usd:
        line.times = cost.US_ONLY
        line.usd = cost.times(line.usd, line.times)
        trace.notes.append(f"{candidate.id} {US_ONLY}")


def _by_searches(line: Attempt, prompt: Prompt, candidate: Candidate, count: int | None) -> None:
    """Add what an upstream searched, which is billed beside the tokens; unknown makes the whole unknown."""
    searched = prompt.options.searched_at(candidate.upstream)
    if searched is not None and line.usd is not None:
        line.usd = cost.total([line.usd, searched.cost(count)])
