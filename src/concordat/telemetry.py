"""Traces and logs: one correlation id from the hook to every vendor call, as W3C trace context.

Without an OpenTelemetry SDK the trace context is still made, stored and sent, so that a vendor's log line and ours
name the same trace. `configure` turns the SDK on when the environment names a collector.
"""

from __future__ import annotations

import logging
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags

__all__ = ["call_span", "child_of", "configure", "new_trace", "trace_id"]

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_tracer = trace.get_tracer("concordat")


def configure(*, log_level: str = "info", json_logs: bool = False, otlp_endpoint: str = "") -> None:
    """Set up logs for this process, and traces when a collector is named."""
    level = logging.getLevelNamesMapping().get(log_level.upper(), logging.INFO)
    renderer = (
        structlog.processors.JSONRenderer() if json_logs else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.dict_tracebacks if json_logs else structlog.processors.StackInfoRenderer(),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    if otlp_endpoint:
        _export(otlp_endpoint)


def _export(endpoint: str) -> None:
    """Send spans to a collector; the SDK is an optional extra (`concordat-hub[telemetry]`)."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - optional
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - optional
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - optional
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - optional

    provider = TracerProvider(resource=Resource.create({"service.name": "concordat"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint.rstrip("/") + "/v1/traces")))
    trace.set_tracer_provider(provider)


def new_trace() -> str:
    """Begin a trace: a `traceparent` of our own."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def trace_id(traceparent: str) -> str:
    """The trace that a `traceparent` belongs to; empty when it is none."""
    match = _TRACEPARENT.fullmatch(traceparent)
    return match.group(1) if match else ""


def child_of(traceparent: str) -> str:
    """A new span in the same trace."""
    found = trace_id(traceparent)
    return f"00-{found}-{secrets.token_hex(8)}-01" if found else new_trace()


@contextmanager
def call_span(connection: str, object_: str, act: str, *, items: int, parent: str) -> Iterator[str]:
    """Span one vendor call; yields the `traceparent` to send."""
    context = trace.set_span_in_context(_parent(parent)) if trace_id(parent) else None
    attributes: dict[str, str | int] = {
        "concordat.connection": connection,
        "concordat.object": object_,
        "concordat.items": items,
    }
    with _tracer.start_as_current_span(f"{act} {connection}.{object_}", context, SpanKind.CLIENT, attributes) as span:
        own = span.get_span_context()
        yield f"00-{own.trace_id:032x}-{own.span_id:016x}-01" if span.is_recording() else child_of(parent)


def _parent(traceparent: str) -> NonRecordingSpan:
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None:
        return NonRecordingSpan(SpanContext(0, 0, is_remote=True))
    context = SpanContext(
        int(match[1], 16), int(match[2], 16), is_remote=True, trace_flags=TraceFlags(int(match[3], 16))
    )
    return NonRecordingSpan(context)
