"""The ledger's landing page: the chart with its balances, and one account with its lines."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from ledger.account_lines import UnknownCursor
from ledger.models import Account
from payops.console import exports, filters
from payops.console.access import requires
from payops.console.filters import Control
from payops.console.reads import chart as reads
from payops.core import clock
from payops.core.roles import Act


@require_GET
@requires(Act.VIEW_BOOKS)
def index(request: HttpRequest) -> HttpResponse:
    book = request.book
    wanted = filters.read(request.GET, [Control("as_of", "Up to and including", "date")])
    today = clock.business_day(request.now, time_zone=book.time_zone)
    shown = reads.chart(book, as_of=wanted.day("as_of"), today=today)
    return render(request, "console/ledger.html", {"filters": wanted, "chart": shown})


@require_GET
@requires(Act.VIEW_BOOKS)
def account(request: HttpRequest, code: str) -> HttpResponse | StreamingHttpResponse:
    found = Account.objects.filter(book=request.book, code=code).select_related("book").first()
    if found is None:
        raise Http404(f"account {code} is not on the chart of {request.book.code}")
    currencies = reads.currencies_of(found)
    known = [row.currency for row in currencies] or [found.book.reporting_currency]
    wanted = filters.read(request.GET, reads.controls(found, known))
    if exports.wanted(request, wanted):
        return exports.csv_response(
            request,
            name=f"account-{code}",
            rows=reads.csv_lines(reads.scope_of(found, wanted, currencies)),
            columns=reads.CSV,
        )
    after, before = request.GET.get("after", ""), request.GET.get("before", "")
    try:
        page = reads.account_page(found, wanted, currencies, after=after, before=before)
    except UnknownCursor:
        page = reads.account_page(found, wanted, currencies, after="", before="")
    return render(request, "console/account_chart.html", {"filters": wanted, "page": page})
