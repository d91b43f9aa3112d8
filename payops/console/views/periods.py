"""Accounting periods: the months, one month with what would land where, late postings that wait.

Read by everybody who reads the books. Finance closes; locks, reopenings and days for late postings
are asked for and decided by others. Serves CL-4, CL-8, D12, F14, I12.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from approvals.models import ApprovalRequest
from ledger.models import AccountingPeriod
from payops.console import exports, forms
from payops.console.access import record_or_404, refuse, requires
from payops.console.answers import asked_for
from payops.console.period_forms import LateForm, ReasonForm
from payops.console.reads import periods as reads
from payops.core.roles import Act
from payops.flows import late_postings, period_requests, period_sweep, periods

REFUSED = 422


@dataclass(frozen=True, slots=True)
class PeriodAct:
    """One act on a month: its page, its button, and what it tells before it is done."""

    call: Callable[..., Any]
    title: str
    button: str
    words: str
    notes: Callable[[AccountingPeriod, datetime], list[str]] | None = None


ACTS = {
    "close": PeriodAct(
        periods.begin_closing,
        "Begin closing {}",
        "Begin closing",
        "Its own events are still booked; late events of earlier months go to a later one. It can "
        "be stopped at any time.",
    ),
    "stop": PeriodAct(
        periods.stop_closing,
        "Stop closing {}",
        "Stop closing",
        "The month is open again. A request for its lock becomes void.",
    ),
    "lock": PeriodAct(
        period_requests.request_lock,
        "Ask to lock {}",
        "Ask for the lock",
        "Another finance manager decides. The month stays in closing until then.",
        period_requests.lock_notes,
    ),
    "reopen": PeriodAct(
        period_requests.request_reopen,
        "Ask to reopen {}",
        "Ask for the reopening",
        "Finance and treasury decide. The month stays locked until then.",
        period_requests.reopen_notes,
    ),
}


@require_GET
@requires(Act.VIEW_BOOKS)
def index(request: HttpRequest) -> HttpResponse:
    waiting = late_postings.waiting(request.book).count()
    context = {"rows": reads.listed(request.book), "waiting": waiting}
    return render(request, "console/periods.html", context)


@require_GET
@requires(Act.VIEW_BOOKS)
def record(request: HttpRequest, public_id: str) -> HttpResponse | StreamingHttpResponse:
    period = record_or_404(reads.period_query(), public_id, book=request.book)
    if request.GET.get("format") == "csv":
        lands = period_sweep.would_land(period, now=request.now, limit=exports.ROWS_MAX + 1)
        return exports.csv_response(
            request, name=f"sweep-{period.code}", rows=lands, columns=reads.CSV
        )
    context = {"page": reads.page(period, request.now), "period": period}
    return render(request, "console/period.html", context)


@require_http_methods(["GET", "POST"])
@requires(Act.VIEW_BOOKS)
def act(request: HttpRequest, public_id: str, name: str) -> HttpResponse:
    period = record_or_404(reads.period_query(), public_id, book=request.book)
    chosen = ACTS.get(name)
    if chosen is None:
        raise Http404(f"There is no act {name} on a period.")
    if (refusal := refuse(request, Act.MANAGE_PERIOD)) is not None:
        return refusal
    form = ReasonForm(request.POST or None)
    if form.is_bound and form.is_valid():
        done = forms.attempt(
            form,
            lambda: chosen.call(
                period_id=public_id,
                reason=form.cleaned_data["reason"],
                actor=request.actor,
                now=request.now,
            ),
        )
        if isinstance(done, ApprovalRequest):
            return asked_for(request, done)
        if done is not None:
            messages.success(request, f"{period.code} is {done.state.lower()} now.")
            return redirect("period", public_id)
    context = {
        "period": period,
        "act": chosen,
        "title": chosen.title.format(period.code),
        "notes": chosen.notes(period, request.now) if chosen.notes else [],
        "form": form,
    }
    status = REFUSED if form.errors else 200
    return render(request, "console/period_act.html", context, status=status)


@require_http_methods(["GET", "POST"])
@requires(Act.VIEW_BOOKS)
def late(request: HttpRequest) -> HttpResponse:
    """Postings that wait for a day, and the request to give several of them one."""
    if request.method == "POST" and (refusal := refuse(request, Act.MANAGE_PERIOD)) is not None:
        return refusal
    form = LateForm(
        request.POST or None, initial={"posting_on": reads.open_day(request.book, request.now)}
    )
    chosen = request.POST.getlist("row")
    if form.is_bound and form.is_valid():
        approval = forms.attempt(
            form,
            lambda: period_requests.request_late(
                book=request.book,
                waiting_ids=_keys(chosen),
                posting_on=form.cleaned_data["posting_on"],
                reason=form.cleaned_data["reason"],
                actor=request.actor,
                now=request.now,
            ),
        )
        if approval is not None:
            return asked_for(request, approval)
    context = {"rows": reads.waiting(request.book, request.now), "form": form, "chosen": chosen}
    status = REFUSED if form.errors else 200
    return render(request, "console/period_late.html", context, status=status)


def _keys(texts: list[str]) -> list[UUID]:
    try:
        return [UUID(text) for text in texts]
    except ValueError as error:
        raise late_postings.LateRefused("a chosen row is not one of the list") from error
