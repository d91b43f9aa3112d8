"""Exchange rates: the latest of each pair, the history of one, bringing new ones (LJ-10, F19).

Read by everybody who reads the books. New rates are shown line by line before they are asked for;
treasury decides, and none of them is known before.
"""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_http_methods

from approvals.models import ApprovalRequest
from payops.console import forms, paging, rate_forms
from payops.console.access import requires
from payops.console.answers import asked_for
from payops.console.reads import rates as reads
from payops.core.roles import Act
from payops.flows import rates

REFUSED = 422
TEMPLATE = "console/rates_bring.html"
SHOWN_MAX = 500
CODES_LENGTH = 6


@require_GET
@requires(Act.VIEW_BOOKS)
def index(request: HttpRequest) -> HttpResponse:
    shown = {"board": reads.board(request.book, request.now)}
    return render(request, "console/rates.html", shown)


@require_GET
@requires(Act.VIEW_BOOKS)
def record(request: HttpRequest, base: str, quote: str) -> HttpResponse:
    if not (base + quote).isalpha() or len(base + quote) != CODES_LENGTH:
        raise Http404("A pair is two currencies such as USD and EUR.")
    rows = reads.history(base, quote)
    page = paging.keyset(rows, query=request.GET, order="-as_of")
    if not page.rows and not rows.exists():
        raise Http404(f"No rate from {base} to {quote} is known.")
    shown = {
        "base": base,
        "quote": quote,
        "page": page,
        "rows": reads.lines_of(page.rows, request.now),
        "picture": reads.picture(base, quote),
        "is_told_back": reads.history(quote, base).exists(),
    }
    return render(request, "console/rate.html", shown)


@require_http_methods(["GET", "POST"])
@requires(Act.MANAGE_RATES)
def bring(request: HttpRequest) -> HttpResponse:
    """First what a file or a typed row would bring, then the same text asked for."""
    by_row = request.POST.get("how") == rate_forms.TYPED
    sent = request.POST or None
    row_form = rate_forms.RowForm(sent if by_row else None)
    file_form = rate_forms.FileForm(None if by_row else sent, request.FILES or None)
    form: Any = row_form if by_row else file_form
    context: dict[str, Any] = {"file_form": file_form, "row_form": row_form}
    if form.is_bound and form.is_valid():
        reading = form.reading(request.book.time_zone)
        told = rates.preview(reading=reading, now=request.now)
        context |= {"preview": told, "rows": told.rows[:SHOWN_MAX]}
        context |= {"rejects": told.rejects[:SHOWN_MAX], "said": _said(form, by_row)}
        if told.rejects:
            form.add_error(None, told.rejects[0].why if by_row else _rejected(told))
        elif request.POST.get("step") == "ask":
            approval = forms.attempt(form, lambda: _propose(request, form, reading, by_row))
            if approval is not None:
                return asked_for(request, approval)
        elif not told.new:
            form.add_error(None, f"All {len(told.rows)} rates are known already.")
    context["ready"] = "preview" in context and not form.errors
    return render(request, TEMPLATE, context, status=REFUSED if form.errors else 200)


def _propose(
    request: HttpRequest, form: Any, reading: rates.Reading, by_row: bool
) -> ApprovalRequest:
    said = form.cleaned_data
    return rates.propose(
        book=request.book,
        reading=reading,
        content="" if by_row else said["text"],
        filename="" if by_row else said["filename"],
        reason=said["reason"],
        actor=request.actor,
        now=request.now,
    )


def _said(form: Any, by_row: bool) -> dict[str, str]:
    """What the preview sends again, so that exactly what was shown is asked for."""
    names = [name for name in form.fields if name != "file"]
    how = rate_forms.TYPED if by_row else rate_forms.FILE
    return {"how": how, **{name: str(form.cleaned_data.get(name) or "") for name in names}}


def _rejected(told: rates.Preview) -> str:
    count = len(told.rejects)
    lines = "1 line" if count == 1 else f"{count} lines"
    return f"{lines} cannot be taken, so nothing is asked for. Correct them and show it again."
