"""Service tiers: which one a request asks for, which one an answer came from. Lists hold the prices of the usual one.

Sources: OpenAI's `service_tier` (`priority` dearer, `flex` cheaper, `default` and `scale` as listed; an answer says
which it was), Anthropic's `speed` (`fast` dearer), as of 2026-11.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from openfusion_auto.core.prompt import Dialect, Prompt, Tier, Tiered
from openfusion_auto.wire.splice import without_fields

_TIERS: Mapping[object, Tier] = {
    "priority": "dearer",
    "fast": "dearer",
    "flex": "cheaper",
    "batch": "cheaper",
}
_USUAL = (None, "listed")
# Fields of requests that ask for a tier, and the one that is carried from one dialect to another.
FIELDS = ("service_tier", "speed")
_CARRIED = (("chat", "responses"), "service_tier")


def tier_told(value: object) -> Tier | None:
    """Return the tier that an answer says it came from; None when it does not say."""
    return _TIERS.get(value, "listed") if isinstance(value, str) else None


def tiers_asked(prompt: Prompt, spoken: Mapping[str, Dialect]) -> tuple[Tiered, ...]:
    """Return the upstreams that a request has answer in another tier than the listed one.

    Args:
        prompt: The request.
        spoken: Upstream name -> its dialect.
    """
    asked = {f: told for f in FIELDS if (told := tier_told(prompt.body.get(f))) not in _USUAL}
    if not asked:
        return ()
    found = []
    for name, dialect in sorted(spoken.items()):
        heard = {
            tier
            for field, tier in asked.items()
            if dialect == prompt.dialect or ((prompt.dialect, dialect), field) == _CARRIED
        }
        if heard:
            found.append(Tiered(name, "dearer" if "dearer" in heard else "cheaper"))
    return tuple(found)


def was_left_out(lost: Iterable[str]) -> bool:
    """Return whether the field that asks for a tier was not sent, by what a call says that it lost."""
    return any(line.startswith(tuple(f"field {f}" for f in FIELDS)) for line in lost)


def without_tier(prompt: Prompt) -> Prompt:
    """Return a request that asks for no tier."""
    return without_fields(prompt, [f for f in FIELDS if f in prompt.body])
