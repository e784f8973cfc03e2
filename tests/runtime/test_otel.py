"""Spans by the SDK, into its in-memory exporter; and what is said where the extra is absent."""

import sys

import pytest
from opentelemetry import trace as api
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from openfusion_auto.errors import ConfigError
from openfusion_auto.runtime import genai
from openfusion_auto.runtime.otel import Spans
from openfusion_auto.server.build import spanning
from tests.runtime.test_genai import call, trace
from tests.server.conftest import FOUR, start_router  # noqa: F401 - a fixture
from tests.support.faulty import FaultyUpstream


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


def test_a_request_is_a_span_with_its_calls_below(exporter):
    spans = Spans(exporter)
    spans.observe(trace(call(status="error", error="upstream_timeout"), call()))
    spans.observe(trace())
    first, second, whole, other = exporter.get_finished_spans()
    assert [s.kind.name for s in (first, second, whole)] == ["CLIENT", "CLIENT", "SERVER"]
    assert first.parent.span_id == second.parent.span_id == whole.context.span_id
    assert (whole.parent, other.parent) == (None, None)
    assert whole.context.trace_id != other.context.trace_id
    assert [s.status.status_code.name for s in (first, second)] == ["ERROR", "UNSET"]
    assert whole.end_time - whole.start_time == 2_500_000_000
    assert dict(whole.attributes)[genai.REQUEST_MODEL] == "openfusion/auto"
    assert whole.resource.attributes["service.name"] == "openfusion"
    spans.close()


TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_a_callers_span_is_the_parent(exporter):
    spans = Spans(exporter)
    spans.observe(trace(call(), parent=f"00-{TRACE}-{SPAN}-01"))
    inner, whole = exporter.get_finished_spans()
    assert f"{whole.context.trace_id:032x}" == f"{inner.context.trace_id:032x}" == TRACE
    assert f"{whole.parent.span_id:016x}" == SPAN
    assert whole.parent.is_remote
    assert inner.parent.span_id == whole.context.span_id
    spans.close()


def test_what_its_caller_does_not_record_is_not_recorded(exporter):
    spans = Spans(exporter)
    spans.observe(trace(call(), parent=f"00-{TRACE}-{SPAN}-00"))
    assert exporter.get_finished_spans() == ()
    spans.close()


def test_the_standard_variables_name_the_service(exporter, monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "team-router")
    spans = Spans(exporter)
    spans.observe(trace())
    assert exporter.get_finished_spans()[0].resource.attributes["service.name"] == "team-router"
    spans.close()


def test_nothing_becomes_global(exporter):
    Spans(exporter).close()
    assert type(api.get_tracer_provider()).__name__ == "ProxyTracerProvider"


async def test_requests_over_http_make_spans_without_their_prompts(exporter, start_router):  # noqa: F811
    async with FaultyUpstream() as up, start_router(up.url, candidates=FOUR) as router:
        spans = Spans(exporter)
        router.engine.means.books.observers.append(spans.observe)
        body = {"messages": [{"role": "user", "content": "canary-8f3a1c5e"}]}
        await router.chat({"model": "openfusion/auto", "openfusion": {"mode": "single"}, **body})
        await router.events({"model": "coder-a", **body})
    found = exporter.get_finished_spans()
    assert [s.name for s in found if s.kind.name == "SERVER"] == [
        "chat openfusion/auto",
        "chat coder-a",
    ]
    assert len(found) == 4
    assert "canary" not in "".join(s.to_json() for s in found)
    spans.close()


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ConfigError, match=r"openfusion-auto\[otel\]"):
        spanning(None)


async def test_a_callers_header_reaches_the_span_and_the_trace_and_junk_does_not(
    exporter,
    start_router,  # noqa: F811 - the fixture
):
    async with FaultyUpstream() as up, start_router(up.url, candidates=FOUR) as router:
        spans = Spans(exporter)
        router.engine.means.books.observers.append(spans.observe)
        body = {"model": "coder-a", "messages": [{"role": "user", "content": "hi"}]}
        kept = []
        for header in (f"00-{TRACE}-{SPAN}-01", "canary-8f3a1c5e"):
            _, headers, _ = await router.chat(body, traceparent=header)
            kept.append((await router.trace(headers["x-openfusion-trace-id"]))["parent"])
    assert kept == [f"00-{TRACE}-{SPAN}-01", None]
    parents = [s.parent for s in exporter.get_finished_spans() if s.kind.name == "SERVER"]
    assert (f"{parents[0].span_id:016x}", parents[1]) == (SPAN, None)
