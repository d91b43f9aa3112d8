"""The inbox: events, one event, dead letters with redrive, the raw body behind a fresh password."""

from __future__ import annotations

import hashlib

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from payops.console import auth, exports, filters, paging
from payops.console.access import record_or_404, requires
from payops.console.reads import dead_letters as letters
from payops.console.reads import inbox as reads
from payops.console.reads import queues
from payops.core import audit
from payops.core.crypto import KeyErased
from payops.core.roles import Act
from payops.flows.job_kinds import DISCARD_MAX
from payops.webhooks import selectors, services
from payops.webhooks.models import ProviderEvent

RAW_SHOWN_MAX = 300_000
DEAD = queues.QUEUES["dead-letters"]


@require_GET
@requires(Act.VIEW_INBOX)
def index(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    wanted = filters.read(request.GET, reads.controls(request.book))
    rows = reads.listed(request.book, wanted, request.now)
    if exports.wanted(request, wanted):
        return exports.csv_response(
            request,
            name="inbox",
            rows=reads.csv_rows(rows, exports.CHUNK),
            columns=reads.CSV,
        )
    page = paging.keyset(rows, query=request.GET, order="-pk")
    shown = {
        "filters": wanted,
        "page": page,
        "rows": reads.with_receipts(page.rows),
        "counts": reads.counts(request.book, now=request.now),
    }
    return render(request, "console/inbox.html", shown)


@require_GET
@requires(Act.VIEW_INBOX)
def record(request: HttpRequest, public_id: str) -> HttpResponse:
    event = record_or_404(reads.query(), public_id, book=request.book)
    return render(request, "console/event.html", {"page": reads.page(event)})


@require_GET
@requires(Act.VIEW_INBOX)
def dead(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    viewer = queues.viewer_of(request)
    wanted = DEAD.read(request.GET, viewer)
    rows = DEAD.rows(viewer, wanted)
    if exports.wanted(request, wanted):
        return exports.csv_response(
            request,
            name="dead-letters",
            rows=reads.csv_rows(rows, exports.CHUNK),
            columns=letters.EVENT_CSV,
        )
    page = paging.keyset(rows, query=request.GET, order=letters.ORDER)
    shown = {
        "filters": wanted,
        "page": page,
        "letters": reads.with_receipts(page.rows),
        "causes": letters.causes(ProviderEvent, request.book),
        "screen": DEAD.key,
        "query": request.GET.urlencode(),
        "discard_max": DISCARD_MAX,
    }
    return render(request, "console/dead_letters.html", shown)


@require_POST
@requires(Act.REDRIVE_EVENT)
def redrive(request: HttpRequest) -> HttpResponse:
    """One event, or the ticked ones of the list; all or none (WH-19)."""
    chosen = list(dict.fromkeys(request.POST.getlist("event")))[: services.REDRIVE_MAX + 1]
    note = request.POST.get("note", "")
    try:
        known = [record_or_404(ProviderEvent.objects, each, book=request.book) for each in chosen]
        with transaction.atomic(durable=True):
            done = services.redrive(
                event_ids=[event.public_id for event in known],
                note=note,
                actor=request.actor,
                now=request.now,
            )
    except services.RedriveRefused as refusal:
        messages.error(request, f"Nothing was redriven: {refusal}")
    else:
        words = f"{done} event{'' if done == 1 else 's'} redriven" if done else "Nothing was chosen"
        (messages.success if done else messages.warning)(request, words)
    if len(chosen) == 1:
        return redirect("event", chosen[0])
    return redirect("dead-letters")


@never_cache
@require_http_methods(["GET", "POST"])
@requires(Act.VIEW_RAW_BODY)
def raw(request: HttpRequest, public_id: str) -> HttpResponse:
    """The bytes as received, once per password, with a reason that is kept (WH-9, SE-4)."""
    event = record_or_404(reads.query(), public_id, book=request.book)
    shown = {"event": event, "reason": request.POST.get("reason", "").strip()[:500], "refusal": ""}
    if request.method == "POST":
        shown |= _unsealed(request, event, shown["reason"])
    status = 403 if shown["refusal"] else 200
    return render(request, "console/raw_body.html", shown, status=status)


def _unsealed(request: HttpRequest, event: ProviderEvent, reason: str) -> dict[str, object]:
    if not reason:
        return {"refusal": "Say why you need the raw body; the reason is kept in the audit."}
    stepped_up = auth.step_up(request, password=request.POST.get("password", ""))
    if stepped_up.at is None:
        return {"refusal": stepped_up.refusal}
    try:
        body = selectors.raw_body(event=event)
    except KeyErased as error:
        return {"refusal": f"The body cannot be read any more: {error}"}
    digest = hashlib.sha256(body).hexdigest()
    with transaction.atomic(durable=True):
        audit.record(
            [
                audit.event(
                    book=event.book,
                    actor=request.actor,
                    action="raw_body.viewed",
                    subject_id=event.public_id,
                    now=request.now,
                    reason=reason,
                    evidence={"sha256": digest, "size_bytes": len(body)},
                    trace_id=event.trace_id,
                )
            ]
        )
    text = body[:RAW_SHOWN_MAX].decode("utf-8", errors="replace")
    return {"body": text, "sha256": digest, "size_bytes": len(body)}
