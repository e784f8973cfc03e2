"""What to do after a failed attempt: wait and try again, go to the next candidate, or stop. The only retry rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from openfusion_auto.errors import (
    ContextTooLong,
    FusionError,
    UpstreamBroken,
    UpstreamError,
    UpstreamTimeout,
    UpstreamWants,
)

TRIES = 2  # attempts at one candidate: a second one mends most passing faults, a third rarely does
WANTS = 6  # of a model that wants the request otherwise, each time for another thing
BASE_S = 0.2  # [s] mean wait before a retry; jitter makes it 0.1 to 0.3
MAX_WAIT_S = 2.0  # [s] longest wait while another candidate could answer
TIMEOUTS = 2  # silent upstreams per phase: the client's own patience ends soon after


@dataclass(frozen=True, slots=True)
class Move:
    """The next step: `retry` the same candidate after `wait_s`, the `next` candidate, or `stop`.

    `skip_upstream`: candidates of the same upstream need not be tried, the fault is the provider's.
    """

    kind: Literal["retry", "next", "stop"]
    wait_s: float = 0.0
    skip_upstream: bool = False


def next_move(
    error: FusionError,
    *,
    tries: int,
    timeouts: int,
    remaining_s: float,
    jitter: float,
    alone: bool = False,
) -> Move:
    """Decide what follows a failed attempt, before any byte of the answer has reached the client.

    Args:
        error: What went wrong.
        tries: Attempts made at this candidate in this phase, this one included.
        timeouts: Timeouts in this phase so far, this one included.
        remaining_s: Seconds until the request's deadline.
        jitter: 0..1, drawn by the caller: spreads clients that failed together.
        alone: No other candidate is left. A broken answer (cut, empty, junk) is then asked for once more: another
            candidate would be the better second try, and an agent without any ends its turn.

    Returns:
        The move. A `Retry-After` longer than `MAX_WAIT_S` is never slept through: the next candidate is
        tried, and when there is none the client gets the status with its `Retry-After`.

    Source: AWS Architecture Blog, "Exponential Backoff And Jitter". One retry only, so nothing grows.
    """
    if remaining_s <= 0 or error.scope in ("client", "operator", "internal"):
        return Move("stop")
    if isinstance(error, UpstreamTimeout):
        return Move("stop" if timeouts >= TIMEOUTS else "next")
    if isinstance(error, UpstreamWants):
        return Move("retry" if error.anew and tries < WANTS else "next")
    if (error.retryable or (alone and isinstance(error, UpstreamBroken))) and tries < TRIES:
        wait_s = BASE_S * (0.5 + jitter)
        if error.retry_after_s is not None:
            # Never earlier, and those that were told the same second do not come back together.
            wait_s = max(
                error.retry_after_s, min(MAX_WAIT_S, error.retry_after_s + BASE_S * jitter)
            )
        if wait_s <= min(MAX_WAIT_S, remaining_s):
            return Move("retry", wait_s)
    return Move("next", skip_upstream=error.scope == "provider")


def summary(errors: list[FusionError]) -> FusionError:
    """Return the one error that tells the client most: the only kind there was, else all kinds in one sentence."""
    if not errors:
        return UpstreamError("no candidate could be called")
    # Who was asked again otherwise has said more since then.
    asked_anew = [e for e in errors if isinstance(e, UpstreamWants) and e.anew]
    errors = [e for e in errors if e not in asked_anew] or errors
    first = errors[0]
    too_long = next((e for e in errors if e.code == ContextTooLong.default_code), None)
    if too_long is not None:
        return too_long  # agents compact on it; any other error would end their session
    if len({(type(e), e.status) for e in errors}) == 1:
        waits = [e.retry_after_s for e in errors if e.retry_after_s is not None]
        first.retry_after_s = min(waits) if waits else None
        return first
    kinds = ", ".join(dict.fromkeys(e.code or "error" for e in errors))
    waits = [e.retry_after_s for e in errors if e.retry_after_s is not None]
    return UpstreamError(
        f"no candidate could answer: {len(errors)} failures ({kinds})",
        retry_after_s=min(waits) if waits else None,
    )
