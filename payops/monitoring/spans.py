"""OpenTelemetry spans of finished work, sent to the collector that the environment names.

Imported only when OTEL_EXPORTER_OTLP_ENDPOINT is set. Spans are made after the fact with the trace
id that is stored on the rows: the receipt's span is the second half of the trace id, so that a
worker names its parent without having been told. They wait in a bounded queue and leave from a
thread of their own; a full queue drops spans, an unreachable collector costs nothing else. No body,
amount, person or free text is an attribute. Serves OB-2.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from ledger.models import JournalEntry
from payops.core import tracing
from payops.core.tracing import Stretch

log = logging.getLogger(__name__)

QUEUE_MAX = 4096
EXPORT_BATCH_MAX = 512
EXPORT_EVERY_MS = 2000
EXPORT_TIMEOUT_MS = 5000
LINKS_MAX = 100
SERVICE = "payops"
Responder = Callable[[HttpRequest], HttpResponse]
WEBHOOKS = "/webhooks/"
_random = RandomIdGenerator()


class Spans:
    """The sink of `core.tracing`: turns finished stretches into spans."""

    def __init__(self, processor: BatchSpanProcessor) -> None:
        self._processor = processor
        self._resource = Resource.create({"service.name": SERVICE})

    def receipt(self, trace_id: str, times: Stretch, *, path: str, status: int) -> None:
        """The root of a trace; its id is known to whoever knows the trace id."""
        code = StatusCode.ERROR if status >= 500 else StatusCode.UNSET
        self._end(
            "receive webhook",
            _root(trace_id),
            None,
            times,
            {"url.path": path, "http.response.status_code": status},
            kind=SpanKind.SERVER,
            status=Status(code),
        )

    def stretch(self, name: str, trace_id: str, times: Stretch, attributes: dict[str, Any]) -> None:
        self._end(name, _child(trace_id), _root(trace_id), times, attributes)

    def batch(self, rows: Sequence[Any], times: Stretch) -> None:
        """One span for the batch, one per event in its own trace, one per entry it posted."""
        whole = SpanContext(
            _random.generate_trace_id(), _random.generate_span_id(), False, _sampled()
        )
        entries: dict[str, list[JournalEntry]] = {}
        posted = JournalEntry.objects.filter(event_id__in=[row.public_id for row in rows])
        for entry in posted.only("id", "event_id", "event_class"):
            entries.setdefault(entry.event_id, []).append(entry)
        links = []
        for row in rows:
            if not row.trace_id:
                continue
            own = _child(row.trace_id)
            links.append(Link(own))
            waited_ms = max(times.began_ns // 1_000_000 - _ms(row.created_at), 0)
            said = {
                "payops.event_id": row.public_id,
                "payops.lane": row.lane,
                "payops.state": str(row.state),
                "payops.attempts": row.attempts,
                "payops.waited_ms": waited_ms,
            }
            root = _root(row.trace_id)
            self._end("process event", own, root, times, said, SpanKind.CONSUMER, [Link(whole)])
            for entry in entries.get(row.public_id, []):
                facts = {
                    "payops.entry_id": entry.public_id,
                    "payops.event_class": entry.event_class,
                }
                self._end("post journal entry", _child(row.trace_id), own, times, facts)
        about = {"payops.rows": len(rows), "payops.lane": rows[0].lane if rows else ""}
        self._end("run batch", whole, None, times, about, SpanKind.CONSUMER, links[:LINKS_MAX])

    def _end(
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        times: Stretch,
        attributes: dict[str, Any],
        kind: SpanKind = SpanKind.INTERNAL,
        links: Sequence[Link] = (),
        status: Status | None = None,
    ) -> None:
        self._processor.on_end(
            ReadableSpan(
                name=name,
                context=context,
                parent=parent,
                resource=self._resource,
                attributes=attributes,
                kind=kind,
                links=links,
                status=status or Status(StatusCode.UNSET),
                start_time=times.began_ns,
                end_time=times.ended_ns,
            )
        )


class ReceiptSpans:
    """Middleware before the webhook edge, installed only when spans are collected."""

    def __init__(self, get_response: Responder) -> None:
        self.get_response = get_response
        self.spans = started()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith(WEBHOOKS):
            return self.get_response(request)
        tracing.go_on("")
        began = time.time_ns()
        answer = self.get_response(request)
        trace_id = tracing.current()
        if trace_id:
            times = Stretch(began, time.time_ns())
            path = request.path_info[:120]
            self.spans.receipt(trace_id, times, path=path, status=answer.status_code)
        return answer


class _Process:
    spans: Spans | None = None


def started() -> Spans:
    """The spans of this process; the endpoint and its headers are OpenTelemetry's own variables."""
    if _Process.spans is None:
        processor = BatchSpanProcessor(
            OTLPSpanExporter(timeout=EXPORT_TIMEOUT_MS // 1000),
            max_queue_size=QUEUE_MAX,
            max_export_batch_size=EXPORT_BATCH_MAX,
            schedule_delay_millis=EXPORT_EVERY_MS,
            export_timeout_millis=EXPORT_TIMEOUT_MS,
        )
        _Process.spans = Spans(processor)
        tracing.tell(_Process.spans)
        log.info("spans are sent to the collector of OTEL_EXPORTER_OTLP_ENDPOINT")
    return _Process.spans


def _root(trace_id: str) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(trace_id[16:], 16) or 1, True, _sampled())


def _child(trace_id: str) -> SpanContext:
    return SpanContext(int(trace_id, 16), _random.generate_span_id(), False, _sampled())


def _sampled() -> TraceFlags:
    return TraceFlags(TraceFlags.SAMPLED)


def _ms(at: Any) -> int:
    return int(at.timestamp() * 1000)
