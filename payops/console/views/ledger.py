"""The ledger: journal, one entry, the journal matrix."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from payops.console import exports, filters, paging
from payops.console.access import record_or_404, requires
from payops.console.reads import erp_exports
from payops.console.reads import ledger as reads
from payops.console.reads import matrix as matrix_reads
from payops.console.reads.related import entry_row
from payops.core.roles import Act


@require_GET
@requires(Act.VIEW_BOOKS)
def journal(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    wanted = filters.read(request.GET, reads.controls(request.book))
    rows = reads.listed(request.book, wanted)
    if exports.wanted(request, wanted):
        return exports.csv_response(
            request,
            name="journal",
            rows=reads.csv_lines(rows, exports.CHUNK),
            columns=reads.CSV,
        )
    page = paging.keyset(rows, query=request.GET, order="-posting_on")
    shown = {"filters": wanted, "page": page, "entries": [entry_row(row) for row in page.rows]}
    return render(request, "console/journal.html", shown)


@require_GET
@requires(Act.VIEW_BOOKS)
def entry(request: HttpRequest, public_id: str) -> HttpResponse:
    found = record_or_404(reads.entry_query(), public_id, book=request.book)
    shown = {"page": reads.entry_page(found), "exports": erp_exports.exports_of(found)}
    return render(request, "console/entry.html", shown)


@require_GET
@requires(Act.VIEW_BOOKS)
def matrix(request: HttpRequest) -> HttpResponse:
    wanted = filters.read(request.GET, matrix_reads.controls())
    shown = {"filters": wanted, "page": matrix_reads.page(request.book, wanted)}
    return render(request, "console/matrix.html", shown)
