"""The ledger: trial balance, journal, one entry, the journal matrix."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from payops.console import exports, filters, paging
from payops.console.access import record_or_404, requires
from payops.console.filters import Control
from payops.console.reads import ledger as reads
from payops.console.reads.related import entry_row
from payops.core.roles import Act


@require_GET
@requires(Act.VIEW_BOOKS)
def accounts(request: HttpRequest) -> HttpResponse:
    wanted = filters.read(request.GET, [Control("as_of", "Up to and including", "date")])
    shown = {"filters": wanted, "trial": reads.trial(request.book, wanted.day("as_of"))}
    return render(request, "console/ledger.html", shown)


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
    return render(request, "console/entry.html", {"page": reads.entry_page(found)})


@require_GET
@requires(Act.VIEW_BOOKS)
def matrix(request: HttpRequest) -> HttpResponse:
    return render(request, "console/matrix.html", {"page": reads.matrix_page()})
