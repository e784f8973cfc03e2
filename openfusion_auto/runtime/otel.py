"""Spans of OpenTelemetry, by the extra `otel`: one a request, under it one for each upstream call.

Made from the finished trace, so nothing is paid while a request runs; sent by the SDK's own thread to where the
standard variables say (OTEL_EXPORTER_OTLP_ENDPOINT and the like).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from openfusion_auto import __version__
from openfusion_auto.errors import ConfigError
from openfusion_auto.runtime.genai import SpanOf, call_span, request_span
from openfusion_auto.runtime.trace import Trace
from openfusion_auto.wire.traceparent import read_traceparent

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span, SpanKind

MISSING = (
    "otel.enabled needs OpenTelemetry, which is not installed: run pip install 'openfusion-auto[otel]', or set "
    "otel.enabled = false"
)


class Spans:
    """Makes spans of finished traces.

    Args:
        exporter: Where they go at once, for tests; by default in batches over OTLP, HTTP with protobuf.

    Raises:
        ConfigError: the extra is not installed.
    """

    def __init__(self, exporter: SpanExporter | None = None) -> None:
        try:
            from opentelemetry import trace as api
            from opentelemetry.context import Context
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import OTELResourceDetector, Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
        except ImportError:
            raise ConfigError(MISSING) from None
        self._api, self._nothing = api, Context()
        names = {"service.name": "openfusion", "service.version": __version__}
        # Not the global one: another library of this process has nothing to do with it. OTEL_SERVICE_NAME and
        # OTEL_RESOURCE_ATTRIBUTES win over ours.
        resource = Resource(names).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(
            SimpleSpanProcessor(exporter) if exporter else BatchSpanProcessor(OTLPSpanExporter())
        )
        self._tracer = self._provider.get_tracer("openfusion_auto", __version__)

    def observe(self, trace: Trace) -> None:
        """Make the spans of a finished request."""
        kind = self._api.SpanKind
        whole = request_span(trace)
        span = self._start(whole, kind.SERVER, self._around(trace))
        inside = self._api.set_span_in_context(span, self._nothing)
        for call in trace.attempts:
            made = call_span(trace, call)
            self._end(self._start(made, kind.CLIENT, inside), made)
        self._end(span, whole)

    def _around(self, trace: Trace) -> Context:
        """Return the caller's span as a context; else nothing: what runs in this task is nobody's business here."""
        caller = read_traceparent(trace.parent)
        if caller is None:
            return self._nothing
        flags = self._api.TraceFlags(int(caller.sampled))
        ids = int(caller.trace_id, 16), int(caller.span_id, 16)
        remote = self._api.SpanContext(*ids, is_remote=True, trace_flags=flags)
        return self._api.set_span_in_context(self._api.NonRecordingSpan(remote), self._nothing)

    def _start(self, span: SpanOf, kind: SpanKind, context: Context) -> Span:
        return self._tracer.start_span(
            span.name,
            context=context,
            kind=kind,
            attributes=dict(span.attributes),
            start_time=span.start_ns,
        )

    def _end(self, span: Span, made: SpanOf) -> None:
        if made.failed:
            span.set_status(self._api.StatusCode.ERROR)
        span.end(made.end_ns)

    def close(self) -> None:
        """Send what waits and let go; blocks."""
        self._provider.shutdown()
