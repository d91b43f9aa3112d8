"""Monitoring: alerts on top, endpoints, latency, failures, lanes, gates, times to service."""

from __future__ import annotations

from django.contrib import messages as notices
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from payops.console import errors, filters, paging
from payops.console.access import record_or_404, requires
from payops.console.reads import monitoring as reads
from payops.console.reads import service_times
from payops.core.roles import Act
from payops.monitoring import alerts
from payops.monitoring.models import Alert


@require_GET
@requires(Act.VIEW_BOOKS)
def index(request: HttpRequest) -> HttpResponse:
    book, now = request.book, request.now
    shown = {
        "alerts": reads.open_alerts(book),
        "endpoints": reads.endpoints(book, now=now),
        "counted_to": reads.counted_to(now=now),
        "lanes": reads.lanes(book, now=now),
        "gates": reads.gates(book),
        "schedule": reads.schedule(now=now),
        "counted": reads.counted_minutes(book),
        "latency": service_times.latency(book, now=now),
    }
    shown["methods"], shown["heat"] = service_times.methods(book, now=now)
    return render(request, "console/monitoring.html", shown)


@require_GET
@requires(Act.VIEW_BOOKS)
def executions(request: HttpRequest) -> HttpResponse:
    shown = {
        "services": service_times.service_times(request.book, now=request.now),
        "executions": service_times.executions(request.book, now=request.now),
    }
    return render(request, "console/monitoring_service.html", shown)


@require_GET
@requires(Act.VIEW_BOOKS)
def listed(request: HttpRequest) -> HttpResponse:
    wanted = filters.read(request.GET, reads.ALERT_CONTROLS)
    page = paging.keyset(reads.listed(request.book, wanted), query=request.GET)
    shown = {"filters": wanted, "page": page, "rows": reads.with_rules(page.rows)}
    return render(request, "console/monitoring_alerts.html", shown)


@require_GET
@requires(Act.VIEW_BOOKS)
def record(request: HttpRequest, public_id: str) -> HttpResponse:
    alert = _alert(request, public_id)
    shown = reads.alert_page(alert, now=request.now)
    shown["may_acknowledge"] = alert.state == Alert.State.OPEN and alerts.may_acknowledge(
        request.acts
    )
    return render(request, "console/monitoring_alert.html", shown)


@require_POST
@requires(Act.VIEW_BOOKS)
def acknowledge(request: HttpRequest, public_id: str) -> HttpResponse:
    alert = _alert(request, public_id)
    if not alerts.may_acknowledge(request.acts):
        return errors.forbidden_act(request, Act.WORK_CASE)
    try:
        alerts.acknowledge(alert_id=alert.pk, actor=request.actor, now=request.now)
    except alerts.AcknowledgeRefused as refusal:
        notices.error(request, str(refusal))
    else:
        notices.success(request, "You look after this alert; it closes by its rule")
    return redirect("alert", public_id)


def _alert(request: HttpRequest, public_id: str) -> Alert:
    found = reads.query(request.book)
    alert = found.filter(pk=Alert.key_of(public_id)).first() if public_id[:3] == "al_" else None
    return alert or record_or_404(Alert.objects, public_id, book=request.book)
