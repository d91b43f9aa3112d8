"""Statements: trial balance, balance sheet, income, cash flow, cash position, and their lines."""

from __future__ import annotations

from datetime import date

from django.http import FileResponse, Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from ledger import statements
from payops.console import exports, filters, paging, spreadsheets
from payops.console.access import requires
from payops.console.reads import statement_lines
from payops.console.reads import statements as reads
from payops.core import clock
from payops.core.roles import Act


@require_GET
@requires(Act.VIEW_BOOKS)
def index(request: HttpRequest) -> HttpResponse:
    """Every statement of a period in a line, with its controls."""
    wanted = _asked(request)
    shown = {"asked": wanted, "filters": wanted.filters, "kinds": _kinds()}
    shown["rows"] = reads.overview(request.book, wanted)
    return render(request, "console/statements.html", shown)


@require_GET
@requires(Act.VIEW_BOOKS)
def statement(
    request: HttpRequest, kind: str
) -> HttpResponse | StreamingHttpResponse | FileResponse:
    if kind not in statements.KINDS:
        raise Http404(f"There is no statement {kind}; there are {', '.join(statements.KINDS)}.")
    wanted = _asked(request)
    page = reads.page(request.book, kind, wanted)
    made, name = page.statement, f"{kind}-{wanted.span.from_on}-{wanted.span.to_on}"
    if exports.wanted(request, wanted.filters):
        rows, columns = reads.export_rows(made), reads.export_columns(made)
        return exports.csv_response(request, name=name, rows=rows, columns=columns)
    if request.GET.get("format") == "xlsx" and not wanted.filters.refused:
        lines = reads.sheet(request.book, made, request.now)
        return spreadsheets.xlsx_response(request, name=name, title=made.title, lines=lines)
    shown = {"asked": wanted, "filters": wanted.filters, "page": page, "kinds": _kinds()}
    return render(request, "console/statement.html", shown)


@require_GET
@requires(Act.VIEW_BOOKS)
def lines(request: HttpRequest) -> HttpResponse:
    """Exactly the lines a figure is the sum of."""
    wanted = filters.read(request.GET, statement_lines.line_controls())
    page = paging.keyset(
        statement_lines.lines(request.book, wanted), query=request.GET, order="-posting_on"
    )
    shown = {
        "filters": wanted,
        "page": page,
        "rows": statement_lines.shown_lines(page.rows),
        "sums": statement_lines.sums(request.book, wanted),
    }
    return render(request, "console/statement_lines.html", shown)


@require_GET
@requires(Act.VIEW_BOOKS)
def positions(request: HttpRequest) -> HttpResponse:
    """The balances of an account by party, on one side of it."""
    wanted = filters.read(request.GET, statement_lines.position_controls())
    shown = {
        "filters": wanted,
        "found": statement_lines.positions(request.book, wanted, _today(request)),
    }
    return render(request, "console/statement_positions.html", shown)


def _asked(request: HttpRequest) -> reads.Asked:
    today = _today(request)
    read = filters.read(request.GET, reads.controls(request.book, today))
    return reads.asked(request.book, read, today)


def _today(request: HttpRequest) -> date:
    return clock.business_day(request.now, time_zone=request.book.time_zone)


def _kinds() -> list[statements.Kind]:
    return list(statements.KINDS.values())
