"""Beneficiaries: the list and one beneficiary."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from payops.console import exports, filters, paging
from payops.console.access import record_or_404, requires
from payops.console.reads import beneficiaries as reads
from payops.core.roles import Act


@require_GET
@requires(Act.VIEW_BOOKS)
def index(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    wanted = filters.read(request.GET, reads.controls())
    rows = reads.listed(request.book, wanted)
    if exports.wanted(request, wanted):
        return exports.csv_response(
            request,
            name="beneficiaries",
            rows=rows.order_by("reference", "pk").iterator(chunk_size=exports.CHUNK),
            columns=reads.CSV,
        )
    page = paging.keyset(rows, query=request.GET, order="reference")
    return render(request, "console/beneficiaries.html", {"filters": wanted, "page": page})


@require_GET
@requires(Act.VIEW_BOOKS)
def record(request: HttpRequest, public_id: str) -> HttpResponse:
    beneficiary = record_or_404(reads.query(), public_id, book=request.book)
    return render(
        request, "console/beneficiary.html", {"page": reads.page(beneficiary, now=request.now)}
    )
