"""OB-2: one trace holds the receipt, the processing and the journal entry; off it costs nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from ledger.models import JournalEntry
from payops.core import clock, queues, tracing
from payops.flows import provider_event
from payops.monitoring import spans
from payops.monitoring.spans import ReceiptSpans, Spans
from payops.webhooks.inbox import inbox_queue
from payops.webhooks.models import ProviderEvent
from tests import builders
from tests.monitoring.collector import Collector, listening

INBOX = inbox_queue(tracing.watched(provider_event.process))


@pytest.fixture
def collector() -> Iterator[Collector]:
    with listening() as found:
        yield found


@pytest.fixture
def told(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> Iterator[Spans]:
    """Spans of this process go to the collector; nothing is told afterwards."""
    processor = BatchSpanProcessor(
        OTLPSpanExporter(endpoint=collector.address), schedule_delay_millis=50
    )
    sink = Spans(processor)
    monkeypatch.setattr(spans._Process, "spans", sink)
    tracing.tell(sink)
    yield sink
    tracing.tell(None)
    processor.shutdown()


def attributes(span: Any) -> dict[str, Any]:
    return {
        fact.key: getattr(fact.value, str(fact.value.WhichOneof("value")))
        for fact in span.attributes
    }


@pytest.mark.django_db(transaction=True)
def test_one_trace_holds_receipt_processing_and_journal_entry(
    told: Spans, collector: Collector
) -> None:
    began = time.time_ns()
    said = {"id": "spm_traced", "object": "payment", "reference": "ORDER-T", "amount": 700}
    said |= {"currency": "EUR", "status": "captured", "fee": 0, "platform_fee": 0}
    said |= {"seller": "S-1001", "method": "card", "created": int(time.time())}
    assert builders.post_standard(builders.standard_event("payment.captured", said)) == 200
    while queues.drain_once(INBOX, lane=ProviderEvent.objects.latest("created_at").lane).claimed:
        pass
    event = ProviderEvent.objects.latest("created_at")
    entry = JournalEntry.objects.get(event_id=event.public_id)
    told.receipt(
        event.trace_id,
        tracing.Stretch(began, began + 1_000_000),
        path="/webhooks/standard/demo/",
        status=200,
    )

    found = collector.of_trace(event.trace_id, at_least=3)

    assert set(found) == {"receive webhook", "process event", "post journal entry"}
    receipt, work, posting = (
        found[name] for name in ("receive webhook", "process event", "post journal entry")
    )
    assert receipt.span_id.hex() == event.trace_id[16:] and receipt.parent_span_id == b""
    assert work.parent_span_id == receipt.span_id
    assert posting.parent_span_id == work.span_id
    assert attributes(work)["payops.event_id"] == event.public_id
    assert attributes(posting)["payops.entry_id"] == entry.public_id
    assert entry.trace_id == event.trace_id
    batch = next(span for span in collector.spans if span.name == "run batch")
    assert [link.span_id for link in batch.links] == [work.span_id]
    assert [link.span_id for link in work.links] == [batch.span_id]
    assert collector.services == {"payops"}


@pytest.mark.django_db(transaction=True)
def test_a_posted_webhook_is_one_trace_from_the_edge_to_the_journal(
    told: Spans, collector: Collector, settings: Any
) -> None:
    """OB-2: through the product's own doors."""
    settings.MIDDLEWARE = ["payops.monitoring.spans.ReceiptSpans", *settings.MIDDLEWARE]

    builders.capture(100_000)

    event = ProviderEvent.objects.get()
    found = collector.of_trace(event.trace_id, at_least=3)
    assert set(found) == {"receive webhook", "process event", "post journal entry"}
    assert found["process event"].parent_span_id == found["receive webhook"].span_id
    assert found["receive webhook"].start_time_unix_nano < found["process event"].end_time_unix_nano


def test_the_receipts_span_carries_path_and_status_and_nothing_of_the_body(
    told: Spans, collector: Collector
) -> None:
    ids: list[str] = []

    def edge(request: HttpRequest) -> HttpResponse:
        ids.append(tracing.begin())
        return HttpResponse(status=503)

    request = RequestFactory().post(
        "/webhooks/stripe/demo/", data=b'{"email": "jane@example.com"}', content_type="text/plain"
    )
    ReceiptSpans(edge)(request)
    ReceiptSpans(lambda request: HttpResponse())(RequestFactory().get("/cases/"))

    span = collector.of_trace(ids[0], at_least=1)["receive webhook"]
    assert attributes(span) == {
        "url.path": "/webhooks/stripe/demo/",
        "http.response.status_code": 503,
    }
    assert span.status.code == 2  # error
    assert b"jane" not in span.SerializeToString()
    assert len(collector.spans) == 1


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_is_not_told(told: Spans, collector: Collector) -> None:
    def fails(rows: list[Any], now: Any) -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError), transaction.atomic():
        tracing.watched(fails)([], clock.utc_now())
    with pytest.raises(RuntimeError), transaction.atomic():
        tracing.watched(lambda rows, now: None)([], clock.utc_now())
        raise RuntimeError("rolled back")
    told._processor.force_flush()

    assert collector.spans == []


@pytest.mark.django_db(transaction=True)
def test_a_sink_that_fails_fails_nothing() -> None:
    class Broken:
        def stretch(self, *args: Any) -> None:
            raise RuntimeError("sink")

        def batch(self, *args: Any) -> None:
            raise RuntimeError("sink")

    tracing.tell(Broken())
    try:
        with transaction.atomic():
            tracing.watched(lambda rows, now: None)([], clock.utc_now())
        moment = tracing.Stretch(1, 2)
        tracing.note("export", trace_id="0" * 31 + "1", times=moment, rows=1)
    finally:
        tracing.tell(None)


def test_a_collector_that_hangs_delays_nobody_and_the_queue_stays_bounded() -> None:
    with listening(hang_s=3) as slow:
        processor = BatchSpanProcessor(
            OTLPSpanExporter(endpoint=slow.address, timeout=1),
            max_queue_size=64,
            max_export_batch_size=16,
            schedule_delay_millis=10,
        )
        sink = Spans(processor)
        began = time.monotonic()
        for number in range(2_000):
            moment = tracing.Stretch(number, number + 1)
            sink.receipt(f"{number + 1:032x}", moment, path="/webhooks/x/y/", status=200)
        taken_s = time.monotonic() - began

        assert taken_s < 1.5
        assert len(processor._batch_processor._queue) <= 64
        processor._batch_processor._shutdown = True


def test_without_an_endpoint_the_library_is_not_even_loaded() -> None:
    """Zero cost when off: no import, no middleware, no sink."""
    code = (
        "import django, sys; django.setup()\n"
        "from django.conf import settings\n"
        "from payops.wsgi import application\n"
        "from payops.core import tracing\n"
        "OURS = ('payops.monitoring.spans', 'opentelemetry.exporter', 'opentelemetry.sdk.trace')\n"
        "import payops.celery, payops.flows.tasks\n"
        "assert tracing._Watch.sink is None\n"
        "assert not any('Spans' in name for name in settings.MIDDLEWARE)\n"
        "print([name for name in sys.modules if name.startswith(OURS)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.stdout.strip() == "[]", done.stderr


def test_the_current_trace_is_the_threads_own() -> None:
    first = tracing.begin()
    assert tracing.current() == first and len(first) == 32
    tracing.go_on("")
    assert tracing.current() == ""


def test_client_requests_work_with_the_middleware_of_spans(settings: Any, told: Spans) -> None:
    settings.MIDDLEWARE = ["payops.monitoring.spans.ReceiptSpans", *settings.MIDDLEWARE]

    assert Client().post("/webhooks/no-such/").status_code == 404
