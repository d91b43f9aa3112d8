"""Revaluing a closing period: what would be posted, posting it, taking a run back (LJ-10)."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from ledger.models import AccountingPeriod, RevaluationRun
from payops.console import forms
from payops.console.access import key_or_404, record_or_404, refuse, requires
from payops.console.forms import ActForm
from payops.console.rate_forms import TakeBackForm
from payops.console.reads import revaluation as reads
from payops.core.money import Money
from payops.core.roles import Act
from payops.flows import revaluation

REFUSED = 422


@require_http_methods(["GET", "POST"])
@requires(Act.VIEW_BOOKS)
def index(request: HttpRequest, public_id: str) -> HttpResponse:
    period = record_or_404(AccountingPeriod.objects.all(), public_id, book=request.book)
    form = ActForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        if (refusal := refuse(request, Act.MANAGE_PERIOD)) is not None:
            return refusal
        ran = forms.attempt(
            form,
            lambda: revaluation.run(
                book=request.book, period_id=period.pk, actor=request.actor, now=request.now
            ),
        )
        if ran is not None:
            messages.success(request, _words(ran, request.book.reporting_currency))
            return redirect("revaluation", period.public_id)
    shown = {"page": reads.page(request.book, period), "form": form}
    status = REFUSED if form.errors else 200
    return render(request, "console/revaluation.html", shown, status=status)


@require_http_methods(["GET", "POST"])
@requires(Act.MANAGE_PERIOD)
def take_back(request: HttpRequest, public_id: str, run_id: str) -> HttpResponse:
    period = record_or_404(AccountingPeriod.objects.all(), public_id, book=request.book)
    key = key_or_404(RevaluationRun, run_id)
    page = reads.page(request.book, period)
    line = next((each for each in page.runs if each.run.pk == key), None)
    if line is None:
        raise Http404(f"There is no revaluation run {run_id} in {period.code}.")
    form = TakeBackForm(request.POST or None)
    if form.is_bound and form.is_valid():
        back = forms.attempt(
            form,
            lambda: revaluation.reverse(
                book=request.book,
                run_id=key,
                reason=form.cleaned_data["reason"],
                actor=request.actor,
                now=request.now,
            ),
        )
        if back is not None:
            messages.success(request, f"Run {line.run.run_no} is taken back by run {back.run_no}.")
            return redirect("revaluation", period.public_id)
    shown = {"page": page, "line": line, "form": form}
    status = REFUSED if form.errors else 200
    return render(request, "console/revaluation_take_back.html", shown, status=status)


def _words(ran: revaluation.Ran, currency: str) -> str:
    if not ran.is_new:
        return f"Nothing new: every balance stands at its rate since run {ran.run.run_no}."
    gain, loss = (Money(minor, currency) for minor in (ran.run.gain_minor, ran.run.loss_minor))
    count = "1 entry" if ran.run.entries == 1 else f"{ran.run.entries} entries"
    return f"Run {ran.run.run_no} posted {count}: gain {gain}, loss {loss}."
