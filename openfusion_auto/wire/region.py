"""Where an answer is computed, which Anthropic lets a request say, and what that costs.

Sources: Anthropic's `inference_geo` ("us": only in the United States; the answer's usage says where it was) and its
price, 1.1 times all token prices of the models that know the field, as of 2026-11 (platform.claude.com, data residency
and pricing; support.claude.com, article 15422948).
"""

from __future__ import annotations

from collections.abc import Mapping

from openfusion_auto.core.prompt import Dialect, Prompt
from openfusion_auto.wire.jsons import as_object

FIELD = "inference_geo"
_US = "us"


def us_told(usage: object) -> bool | None:
    """Return whether an answer's usage says that it was computed in the US alone; None when it does not say where."""
    where = (as_object(usage) or {}).get(FIELD)
    return where == _US if isinstance(where, str) else None


def us_asked(prompt: Prompt, spoken: Mapping[str, Dialect]) -> tuple[str, ...]:
    """Return the upstreams that a request has answer in the US alone; `spoken` is upstream name -> its dialect."""
    if prompt.dialect != "messages" or prompt.body.get(FIELD) != _US:
        return ()
    return tuple(sorted(name for name, dialect in spoken.items() if dialect == "messages"))
