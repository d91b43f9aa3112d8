"""Disputes: the queue, one dispute, and what people do with it.

A refused act shows its own page with what was typed. Serves D9, F1, OB-8.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from payops.console import dispute_forms, exports, filters, forms, paging
from payops.console.access import record_or_404, refuse, requires
from payops.console.reads import advice_beside
from payops.console.reads import disputes as reads
from payops.console.views.payout_actions import REFUSED, RecordAct
from payops.core.roles import Act
from payops.flows.disputes import acts as dispute
from payops.flows.disputes import loss as dispute_loss
from payops.payments.models import Dispute


@require_GET
@requires(Act.VIEW_BOOKS)
def index(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    wanted = filters.read(request.GET, reads.controls(request.book))
    rows = reads.listed(request.book, wanted, now=request.now)
    if exports.wanted(request, wanted):
        return exports.csv_response(
            request,
            name="disputes",
            rows=rows.order_by("-created_at", "-pk").iterator(chunk_size=exports.CHUNK),
            columns=reads.CSV,
        )
    # The nearest deadline first, where every row has one.
    order = "evidence_due_at" if wanted["deadline"] in ("soon", "over") else "-created_at"
    page = paging.keyset(rows, query=request.GET, order=order)
    return render(request, "console/disputes.html", {"filters": wanted, "page": page})


@require_GET
@requires(Act.VIEW_BOOKS)
def record(request: HttpRequest, public_id: str) -> HttpResponse:
    row = record_or_404(reads.query(), public_id, book=request.book)
    shown = {
        "page": reads.page(row, now=request.now),
        "advice": advice_beside.of_dispute(row, now=request.now),
    }
    return render(request, "console/dispute.html", shown)


def _sent(request: HttpRequest, row: Dispute, said: dict[str, Any]) -> Any:
    return dispute.evidence_sent(
        dispute_id=row.pk, reference=said["reference"], actor=request.actor, now=request.now
    )


def _bearer(request: HttpRequest, row: Dispute, said: dict[str, Any]) -> Any:
    return dispute.set_bearer(
        dispute_id=row.pk,
        borne_by=said["borne_by"],
        reason=said["reason"],
        actor=request.actor,
        now=request.now,
    )


def _give_up(request: HttpRequest, row: Dispute, said: dict[str, Any]) -> Any:
    return dispute_loss.propose(
        dispute_id=row.pk, reason=said["reason"], actor=request.actor, now=request.now
    )


ACTS = {
    "evidence-sent": RecordAct(
        Act.WORK_CASE,
        dispute_forms.EvidenceSentForm,
        _sent,
        "Evidence was sent to the provider",
        "Record it as sent",
        "Recorded. The bank decides now.",
    ),
    "bearer": RecordAct(
        Act.PROPOSE_RESOLUTION,
        dispute_forms.BearerForm,
        _bearer,
        "Who bears it if it is lost",
        "Set who bears it",
        "Set. The books follow it from now on.",
    ),
    "accept-loss": RecordAct(
        Act.PROPOSE_RESOLUTION,
        dispute_forms.AcceptLossForm,
        _give_up,
        "Accept the loss",
        "Ask to accept the loss",
        "Others decide now whether the loss is accepted.",
        danger=True,
    ),
}


@require_http_methods(["GET", "POST"])
@requires(Act.VIEW_BOOKS)
def act(request: HttpRequest, public_id: str, name: str) -> HttpResponse:
    """The page of one act, or the act itself."""
    row = record_or_404(reads.query(), public_id, book=request.book)
    chosen = ACTS.get(name)
    if chosen is None:
        raise Http404(f"There is no act {name} here.")
    if (refusal := refuse(request, chosen.act)) is not None:
        return refusal
    form = chosen.form(request.POST or None, initial={"borne_by": row.borne_by})
    if form.is_bound and form.is_valid():
        done = forms.attempt(form, lambda: chosen.call(request, row, form.cleaned_data))
        if done is not None:
            messages.success(request, chosen.said)
            return redirect("dispute", row.public_id)
    context = {"dispute": row, "act": chosen, "form": form}
    status = REFUSED if form.errors else 200
    return render(request, "console/dispute_act.html", context, status=status)
