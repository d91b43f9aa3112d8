"""Refunds: the queue by what is to be done, and one refund with all around it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from payops.console import exports, filters, paging
from payops.console.access import record_or_404, requires
from payops.console.reads import advice_beside, refund_file, refund_queue
from payops.console.reads.refund_acts import offers
from payops.core.roles import Act


@require_GET
@requires(Act.VIEW_BOOKS)
def index(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    book = request.book
    wanted = filters.read(request.GET, refund_queue.controls(book))
    rows = refund_queue.listed(book, wanted)
    if exports.wanted(request, wanted):
        return exports.csv_response(
            request,
            name="refunds",
            rows=rows.order_by("-created_at", "-pk").iterator(chunk_size=exports.CHUNK),
            columns=refund_queue.CSV,
        )
    page = paging.keyset(rows, query=request.GET)
    shown = {
        "filters": wanted,
        "page": page,
        "tabs": refund_queue.tabs(book, wanted, request.GET.dict()),
        "tab": refund_queue.tab_of(wanted),
        "unknown": refund_queue.unknown_tab(wanted),
        "narrowed": refund_queue.is_narrowed(wanted),
        "more_set": any(wanted[name] for name in refund_queue.MORE),
        "rows": [refund_queue.row_of(refund) for refund in page.rows],
    }
    return render(request, "console/refunds.html", shown)


@require_GET
@requires(Act.VIEW_BOOKS)
def record(request: HttpRequest, public_id: str) -> HttpResponse:
    refund = record_or_404(refund_file.query(), public_id, book=request.book)
    page = refund_file.page(refund)
    shown = {
        "page": page,
        "offers": offers(page, acts=request.acts, person_id=request.actor.person_id),
        "advice": advice_beside.of_refund(refund, now=request.now),
    }
    return render(request, "console/refund.html", shown)
