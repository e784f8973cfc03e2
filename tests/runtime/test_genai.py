"""Traces in OpenTelemetry's words: the names are those of its registry, and no text of anybody's is among the values."""

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as registry

from openfusion_auto.core.prompt import Usage
from openfusion_auto.runtime import genai
from openfusion_auto.runtime.genai import call_span, request_span
from openfusion_auto.runtime.trace import Again, Attempt, Trace

CANARY = "canary-8f3a1c5e7b9d2046"


def call(**more):
    more = {"status": "ok", "ms": 2000.0, "ttft_ms": 300.0, "finish": "stop", **more}
    return Attempt("primary", "a", "vendor/a", "relay", 10.0, **more)


def trace(*calls, **more):
    more = {"outcome": "ok", "ms": 2500.0, "requested_model": "openfusion/auto", **more}
    found = Trace(id="tr_1", dialect="chat", stream=True, at=1000.0, attempts=list(calls), **more)
    found.answered_by, found.answered_phase = "a", "primary"
    return found


def test_every_name_is_in_the_registry_of_the_conventions():
    named = {v for k, v in vars(registry).items() if k.startswith("GEN_AI_") and isinstance(v, str)}
    ours = {v for v in vars(genai).values() if isinstance(v, str) and v.startswith("gen_ai.")}
    assert len(ours) >= 10
    assert ours <= named
    operations = {o.value for o in registry.GenAiOperationNameValues}
    assert {genai.operation(trace()), genai.operation(trace(surface="embeddings"))} <= operations


def test_a_request_has_its_times_models_tokens_and_money():
    used = Usage(input=100, output=20, cached=60, cache_write=5)
    span = request_span(trace(call(usage=used, usd=0.5), call(usage=used, usd=0.25)))
    assert (span.start_ns, span.end_ns) == (1_000_000_000_000, 1_002_500_000_000)
    assert span.name == "chat openfusion/auto"
    assert not span.failed
    told = span.attributes
    assert (told[genai.REQUEST_MODEL], told[genai.RESPONSE_MODEL]) == (
        "openfusion/auto",
        "vendor/a",
    )
    assert (told[genai.INPUT_TOKENS], told[genai.OUTPUT_TOKENS], told[genai.USD]) == (200, 40, 0.75)
    assert told[genai.TRACE_ID] == "tr_1"
    assert genai.ERROR_TYPE not in told
    assert told[genai.MODE] == "single"  # nothing was decided, one model was asked


def test_a_kept_answer_names_who_made_it_and_how():
    told = request_span(trace(cached=Again("tr_0", "verify", "vendor/a", 1.0))).attributes
    assert (told[genai.RESPONSE_MODEL], told[genai.MODE]) == ("vendor/a", "verify")
    assert (told[genai.INPUT_TOKENS], told[genai.USD]) == (0, 0)


def test_a_call_has_its_own():
    used = Usage(input=100, output=20, cached=60, cache_write=5)
    span = call_span(trace(), call(usage=used))
    assert (span.start_ns, span.end_ns) == (1_000_010_000_000, 1_002_010_000_000)
    assert span.attributes[genai.PROVIDER] == "relay"
    assert span.attributes[genai.FIRST_CHUNK] == 0.3
    assert span.attributes[genai.FINISH_REASONS] == ("stop",)
    assert (span.attributes[genai.CACHE_READ], span.attributes[genai.CACHE_WRITE]) == (60, 5)
    assert genai.USD not in span.attributes


def test_a_failure_has_its_kind_and_a_client_that_left_is_none_of_ours():
    failed = call_span(trace(), call(status="error", error="upstream_timeout", finish=None))
    assert (failed.failed, failed.attributes[genai.ERROR_TYPE]) == (True, "upstream_timeout")
    gone = request_span(trace(outcome="cancelled", ms=None))
    assert (gone.failed, gone.attributes[genai.ERROR_TYPE]) == (False, "cancelled")
    assert gone.end_ns == gone.start_ns


@given(st.text(max_size=20))
def test_what_an_error_says_and_what_is_noted_is_left_out(text):
    said = text + CANARY
    line = call(status="error", error="upstream_broken", detail=said, lost=(said,))
    found = trace(line, notes=[said], session=said, owner=said)
    for span in (request_span(found), call_span(found, line)):
        assert CANARY not in repr(span)


def test_a_name_that_a_client_made_up_is_cut():
    assert len(request_span(trace(requested_model="x" * 9999)).name) < 120
