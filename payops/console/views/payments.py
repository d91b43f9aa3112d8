"""Payments: the list and one payment."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from payops.console import exports, filters, paging
from payops.console.access import record_or_404, requires
from payops.console.reads import advice_beside
from payops.console.reads import payments as reads
from payops.core.roles import Act


@require_GET
@requires(Act.VIEW_BOOKS)
def index(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    wanted = filters.read(request.GET, reads.controls(request.book))
    rows = reads.listed(request.book, wanted)
    if exports.wanted(request, wanted):
        return exports.csv_response(
            request,
            name="payments",
            rows=rows.order_by("-created_at", "-pk").iterator(chunk_size=exports.CHUNK),
            columns=reads.CSV,
        )
    page = paging.keyset(rows, query=request.GET)
    return render(request, "console/payments.html", {"filters": wanted, "page": page})


@require_GET
@requires(Act.VIEW_BOOKS)
def record(request: HttpRequest, public_id: str) -> HttpResponse:
    payment = record_or_404(reads.query(), public_id, book=request.book)
    shown = {
        "page": reads.page(payment),
        "advice": advice_beside.of_payment(payment, now=request.now),
    }
    return render(request, "console/payment.html", shown)
