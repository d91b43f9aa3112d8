"""GET /metrics for Prometheus: business truth read from the database at the moment of the scrape.

Every process answers alike, because nothing is counted in memory but the duration of requests; that
one is shared by the web processes through PROMETHEUS_MULTIPROC_DIR. Labels are lanes, states, rules
and our own accounts, so their number is bounded; no id, no amount and no person is among them.
Answers loopback callers, or whoever knows PAYOPS_METRICS_TOKEN; anybody else gets 404, as if there
were nothing here.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any

from django.conf import settings
from django.db import Error, connection, transaction
from django.http import HttpRequest, HttpResponse
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import REGISTRY, Collector

from payops.core import clock
from payops.monitoring import buckets, selectors
from payops.monitoring.health import OLDEST_UNSEALED

log = logging.getLogger(__name__)
RECENT = timedelta(minutes=5)
TIMEOUT_MS = 3000
QUANTILES = (("0.5", 500), ("0.95", 950), ("0.99", 990))
Row = tuple[tuple[str, ...], float]
# What waits is counted from partial indexes, up to a limit: a scrape costs the same in a storm.
COUNTED = {
    "payops_events": (
        "Events that wait, by state; counted up to 100,000",
        ("state",),
        "SELECT s.state, (SELECT count(*) FROM (SELECT 1 FROM webhooks_providerevent e"
        " WHERE e.state = s.state LIMIT 100000) w)"
        " FROM unnest(ARRAY['RECEIVED', 'PARKED', 'DEAD']) AS s(state)",
    ),
    "payops_dead_letters": (
        "Dead letters by queue; counted up to 100,000",
        ("queue",),
        "SELECT 'inbox', (SELECT count(*) FROM (SELECT 1 FROM webhooks_providerevent"
        " WHERE state = 'DEAD' LIMIT 100000) d) UNION ALL SELECT 'outbox', (SELECT count(*)"
        " FROM (SELECT 1 FROM core_message WHERE state = 'DEAD' LIMIT 100000) d)",
    ),
    "payops_cases_open": (
        "Open cases by rule",
        ("rule",),
        "SELECT rule, count(*) FROM cases_case WHERE state NOT IN ('RESOLVED', 'REJECTED')"
        " GROUP BY rule",
    ),
    "payops_cases_overdue": (
        "Open cases beyond their time to resolve, by rule",
        ("rule",),
        "SELECT rule, count(*) FROM cases_case WHERE state NOT IN ('RESOLVED', 'REJECTED')"
        " AND due_at < now() GROUP BY rule",
    ),
    "payops_call_gate_open": (
        "1 while no calls go out to a provider account, 0.5 while it is probed",
        ("account",),
        "SELECT c.provider || '/' || c.slug, CASE g.state WHEN 'OPEN' THEN 1"
        " WHEN 'HALF_OPEN' THEN 0.5 ELSE 0 END FROM payments_callgate g"
        " JOIN core_provideraccount c ON c.id = g.account_id",
    ),
    "payops_alerts_open": (
        "Alerts that are open, by rule",
        ("rule",),
        "SELECT rule, count(*) FROM monitoring_alert WHERE state <> 'CLOSED' GROUP BY rule",
    ),
    "payops_approvals_pending": (
        "Requests that wait for a decision, by kind",
        ("kind",),
        "SELECT kind, count(*) FROM approvals_approvalrequest WHERE state = 'PENDING'"
        " GROUP BY kind",
    ),
    "payops_refusals_5m": (
        "Refused bodies of the last five minutes, by reason",
        ("reason",),
        "SELECT reason, sum(kept + dropped) FROM webhooks_refusalcount"
        " WHERE minute >= now() - interval '5 minutes' GROUP BY reason",
    ),
}


class FromDatabase(Collector):
    """Reads at each scrape, in one read-only transaction with a time limit."""

    def collect(self) -> Iterator[Metric]:
        now = clock.utc_now()
        with transaction.atomic(durable=True):
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL statement_timeout = {TIMEOUT_MS}")
                cursor.execute("SET TRANSACTION READ ONLY")
            families = [*_counted(), *_lanes(now), *_finished(now), _audit(now)]
        yield from families


def metrics(request: HttpRequest) -> HttpResponse:
    """Text in the exposition format; 503 while the database does not answer."""
    if not _may_read(request):
        return HttpResponse(status=404)
    registry = CollectorRegistry()
    registry.register(FromDatabase())
    try:
        text = generate_latest(registry) + generate_latest(_of_processes())
    except Error as error:
        log.warning("metrics cannot be read: %s", type(error).__name__)
        return HttpResponse(status=503)
    return HttpResponse(
        text, headers={"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"}
    )


def _may_read(request: HttpRequest) -> bool:
    """With a token set, the token alone counts; without one, only a direct loopback caller."""
    token = settings.METRICS_TOKEN
    if token:
        scheme, _, said = request.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and secrets.compare_digest(
            said.strip().encode(), token.encode()
        )
    if "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        return False
    try:
        return ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


def _of_processes() -> Any:
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return registry


def _counted() -> Iterator[Metric]:
    with connection.cursor() as cursor:
        for name, (words, labels, statement) in COUNTED.items():
            cursor.execute(statement)
            yield _gauge(name, words, labels, [((row[0],), row[1]) for row in cursor.fetchall()])


def _lanes(now: datetime) -> Iterator[Metric]:
    waiting = selectors.waiting(now=now)
    labels = ("lane", "queue")
    ready: list[Row] = [((each.lane, each.queue), each.ready) for each in waiting]
    age: list[Row] = [
        ((each.lane, each.queue), (now - each.oldest_at).total_seconds() if each.oldest_at else 0.0)
        for each in waiting
    ]
    yield _gauge("payops_lane_ready", "Rows ready in a lane; counted up to 100,000", labels, ready)
    yield _gauge("payops_lane_oldest_seconds", "Age of the oldest ready row", labels, age)


def _finished(now: datetime) -> Iterator[Metric]:
    by_family = selectors.latency_by("family", since=now - RECENT)
    ended: list[Row] = []
    latency: list[Row] = []
    for family, each in sorted(by_family.items(), key=str):
        for outcome in ("processed", "ignored", "dead"):
            ended.append(((str(family), outcome), getattr(each, outcome)))
        for origin in ("from_receipt", "from_provider"):
            for quantile, per_mille in QUANTILES:
                bound = buckets.quantile_ms(getattr(each, origin), per_mille)
                if bound is not None:
                    latency.append(((str(family), origin, quantile), bound / 1000))
    yield _gauge(
        "payops_events_finished_5m",
        "Events decided in the last five minutes",
        ("family", "outcome"),
        ended,
    )
    yield _gauge(
        "payops_event_latency_seconds",
        "Bound under which that share of the last five minutes' events was recorded",
        ("family", "origin", "quantile"),
        latency,
    )


def _audit(now: datetime) -> Metric:
    with connection.cursor() as cursor:
        cursor.execute(OLDEST_UNSEALED)
        (oldest,) = cursor.fetchone()
    age = (now - oldest).total_seconds() if oldest else 0.0
    return _gauge(
        "payops_audit_unsealed_seconds", "Age of the oldest unsealed row", (), [((), age)]
    )


def _gauge(name: str, words: str, labels: tuple[str, ...], rows: list[Row]) -> Metric:
    family = GaugeMetricFamily(name, words, labels=labels)
    for values, number in rows:
        family.add_metric(values, float(number))
    return family
