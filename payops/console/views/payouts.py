"""Payouts: the list and one payout."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from payops.console import exports, filters, paging
from payops.console.access import record_or_404, requires
from payops.console.reads import payouts as reads
from payops.core.roles import Act


@require_GET
@requires(Act.VIEW_BOOKS)
def index(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    wanted = filters.read(request.GET, reads.controls(request.book))
    rows = reads.listed(request.book, wanted)
    if exports.wanted(request, wanted):
        return exports.csv_response(
            request,
            name="payouts",
            rows=rows.order_by("-created_at", "-pk").iterator(chunk_size=exports.CHUNK),
            columns=reads.CSV,
        )
    page = paging.keyset(rows, query=request.GET)
    return render(request, "console/payouts.html", {"filters": wanted, "page": page})


@require_GET
@requires(Act.VIEW_BOOKS)
def record(request: HttpRequest, public_id: str) -> HttpResponse:
    payout = record_or_404(reads.query(), public_id, book=request.book)
    return render(request, "console/payout.html", {"page": reads.page(payout)})
