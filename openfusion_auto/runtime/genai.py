"""A finished trace in the words of OpenTelemetry's semantic conventions for generative AI; the only place with them.

Numbers, ids and model names alone: nothing that was asked or answered, and no message of an error. Source: the registry
of attributes `gen_ai.*` and `error.type` in the conventions' version 1.4x (status: development), held by a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from openfusion_auto.runtime.trace import Attempt, Trace

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_STREAM = "gen_ai.request.stream"
RESPONSE_MODEL = "gen_ai.response.model"
FINISH_REASONS = "gen_ai.response.finish_reasons"
FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"  # [s]
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHE_READ = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE = "gen_ai.usage.cache_creation.input_tokens"
ERROR_TYPE = "error.type"
# Beyond the conventions, under a name of our own.
TRACE_ID, MODE, SURFACE = "openfusion.trace_id", "openfusion.mode", "openfusion.surface"
CANDIDATE, PHASE, USD = "openfusion.candidate", "openfusion.phase", "openfusion.usd"

MAX_NAME = 100  # [characters] of a model's name that a client made up
UNKNOWN_PROVIDER = "openfusion"  # the conventions want one: the router itself

Value = str | bool | int | float | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SpanOf:
    """A span before any library knows of it. Times in nanoseconds since 1970."""

    name: str
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Value]
    failed: bool


def operation(trace: Trace) -> str:
    """Return what was done, in a word of the conventions."""
    return "embeddings" if trace.surface == "embeddings" else "chat"


def nanoseconds(trace: Trace, ms: float) -> int:
    """Return a moment of a request, given in milliseconds since it came in."""
    return round(trace.at * 1e9) + round(ms * 1e6)


def known(attributes: Mapping[str, Value | None]) -> dict[str, Value]:
    """Return the attributes that have a value: what is not known is left out."""
    return {name: value for name, value in attributes.items() if value is not None}


def request_span(trace: Trace) -> SpanOf:
    """Return the span of a whole request."""
    usage, model = trace.usage(), trace.requested_model[:MAX_NAME]
    answered = (a.model for a in trace.attempts if a.candidate == trace.answered_by)
    attributes: dict[str, Value | None] = {
        OPERATION: operation(trace),
        PROVIDER: UNKNOWN_PROVIDER,
        REQUEST_MODEL: model,
        REQUEST_STREAM: trace.stream,
        RESPONSE_MODEL: trace.cached.model if trace.cached else next(answered, None),
        INPUT_TOKENS: usage.input,
        OUTPUT_TOKENS: usage.output,
        ERROR_TYPE: failure(trace.outcome, trace.error),
        TRACE_ID: trace.id,
        SURFACE: trace.surface or trace.dialect,
        MODE: trace.mode,
        USD: trace.usd(),
    }
    name = f"{operation(trace)} {model}"
    end_ns = nanoseconds(trace, trace.ms or 0.0)
    return SpanOf(
        name, nanoseconds(trace, 0.0), end_ns, known(attributes), trace.outcome == "error"
    )


def call_span(trace: Trace, call: Attempt) -> SpanOf:
    """Return the span of an upstream call."""
    used = call.usage
    attributes: dict[str, Value | None] = {
        OPERATION: operation(trace),
        PROVIDER: call.upstream,
        REQUEST_MODEL: call.model[:MAX_NAME],
        REQUEST_STREAM: trace.stream,
        FINISH_REASONS: (call.finish,) if call.finish else None,
        FIRST_CHUNK: None if call.ttft_ms is None else call.ttft_ms / 1000,
        INPUT_TOKENS: used.input if used else None,
        OUTPUT_TOKENS: used.output if used else None,
        CACHE_READ: used.cached if used else None,
        CACHE_WRITE: used.cache_write if used else None,
        ERROR_TYPE: failure(call.status, call.error),
        CANDIDATE: call.candidate[:MAX_NAME],
        PHASE: call.phase,
        USD: call.usd,
    }
    start_ns = nanoseconds(trace, call.at_ms)
    end_ns = nanoseconds(trace, call.at_ms + (call.ms or 0.0))
    name = f"{operation(trace)} {call.model[:MAX_NAME]}"
    return SpanOf(name, start_ns, end_ns, known(attributes), call.status == "error")


def failure(status: str, code: str | None) -> str | None:
    """Return the kind of a failure, None when there is none."""
    if status in ("ok", "running"):
        return None
    return code or status
