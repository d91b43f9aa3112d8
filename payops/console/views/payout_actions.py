"""What people do with a payout: request one, hold it, retry its release, cancel it.

A refused act shows its own page with what was typed. Serves PX-4, PX-15, F2, D5.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from payops.console import forms
from payops.console.access import record_or_404, refuse, requires
from payops.core import ids
from payops.core.models import ProviderAccount
from payops.core.roles import Act
from payops.flows import holds
from payops.flows.payouts import request as payout
from payops.flows.payouts import unsent as payout_unsent
from payops.flows.payouts.request import PayoutAsk
from payops.payments.models import Beneficiary, Hold, Payout
from payops.psp import registry

REFUSED = 422
CHOICES_MAX = 1000


@dataclass(frozen=True, slots=True)
class RecordAct:
    """One act on one record: its form, its permission, its flow, its words."""

    act: Act
    form: type[forms.ActForm]
    call: Callable[[HttpRequest, Any, dict[str, Any]], Any]
    title: str
    button: str
    said: str
    danger: bool = False


def _retry(request: HttpRequest, row: Payout, said: dict[str, Any]) -> Any:
    return payout.retry_release(
        payout_id=row.pk, reason=said["reason"], actor=request.actor, now=request.now
    )


def _cancel(request: HttpRequest, row: Payout, said: dict[str, Any]) -> Any:
    return payout.cancel(
        payout_id=row.pk, reason=said["reason"], actor=request.actor, now=request.now
    )


def place_hold(request: HttpRequest, row: Any, said: dict[str, Any]) -> Any:
    return holds.place(
        target_id=row.public_id, reason=said["reason"], actor=request.actor, now=request.now
    )


def _declare_unsent(request: HttpRequest, row: Payout, said: dict[str, Any]) -> Any:
    return payout_unsent.propose(
        payout_id=row.pk, reason=said["reason"], actor=request.actor, now=request.now
    )


ACTS = {
    "hold": RecordAct(
        Act.PLACE_HOLD,
        forms.HoldForm,
        place_hold,
        "Hold this payout",
        "Place hold",
        "The payout is on hold.",
    ),
    "retry": RecordAct(
        Act.REQUEST_PAYOUT,
        forms.RetryForm,
        _retry,
        "Retry the release",
        "Look at the gates again",
        "The gates are looked at again in the next submission window.",
    ),
    "declare-unsent": RecordAct(
        Act.PROPOSE_RESOLUTION,
        forms.DeclareUnsentForm,
        _declare_unsent,
        "Declare this payout not sent",
        "Ask for the declaration",
        "Others decide now whether the payout is declared not sent.",
        danger=True,
    ),
    "cancel": RecordAct(
        Act.REQUEST_PAYOUT,
        forms.CancelForm,
        _cancel,
        "Cancel this payout",
        "Cancel payout",
        "Canceled. Its approval is void; nothing leaves.",
        True,
    ),
}


@require_http_methods(["GET", "POST"])
@requires(Act.VIEW_BOOKS)
def act(request: HttpRequest, public_id: str, name: str) -> HttpResponse:
    rows = Payout.objects.select_related("book", "beneficiary")
    return run_act(
        request,
        row=record_or_404(rows, public_id, book=request.book),
        table=ACTS,
        name=name,
        back="payout",
    )


def run_act(
    request: HttpRequest, *, row: Any, table: dict[str, RecordAct], name: str, back: str
) -> HttpResponse:
    """The page of one act, or the act itself."""
    chosen = table.get(name)
    if chosen is None:
        raise Http404(f"There is no act {name} here.")
    if (refusal := refuse(request, chosen.act)) is not None:
        return refusal
    form = chosen.form(request.POST or None)
    if form.is_bound and form.is_valid():
        done = forms.attempt(form, lambda: chosen.call(request, row, form.cleaned_data))
        if done is not None:
            messages.success(request, chosen.said)
            return redirect(back, row.public_id)
    context = {"row": row, "act": chosen, "form": form, "back": back}
    return render(request, "console/act.html", context, status=REFUSED if form.errors else 200)


@require_http_methods(["GET", "POST"])
@requires(Act.RELEASE_HOLD)
def release_hold(request: HttpRequest, public_id: str) -> HttpResponse:
    """Release one hold; the others stay (F2)."""
    rows = Hold.objects.select_related("payout", "beneficiary", "placed_by")
    row = record_or_404(rows, public_id, book=request.book)
    covered = row.payout or row.beneficiary
    form = forms.ReleaseHoldForm(request.POST or None)
    if form.is_bound and form.is_valid():
        done = forms.attempt(
            form,
            lambda: holds.release(
                hold_id=row.public_id,
                reason=form.cleaned_data["reason"],
                actor=request.actor,
                now=request.now,
            ),
        )
        if done is not None:
            messages.success(request, f"Released: {row.reason}. Other holds stay as they are.")
            return redirect("payout" if row.payout else "beneficiary", covered.public_id)
    context = {"hold": row, "covered": covered, "form": form}
    status = REFUSED if form.errors else 200
    return render(request, "console/hold_release.html", context, status=status)


@require_http_methods(["GET", "POST"])
@requires(Act.REQUEST_PAYOUT)
def new(request: HttpRequest) -> HttpResponse:
    """Ask for a payout; others release it."""
    sellers = Beneficiary.objects.filter(book=request.book).order_by("name")[:CHOICES_MAX]
    accounts = ProviderAccount.objects.filter(
        book=request.book, provider__in=registry.with_calls()
    ).order_by("provider", "slug")
    sellers_by_id = {row.public_id: row for row in sellers}
    accounts_by_id = {str(row.pk): row for row in accounts}
    form = forms.PayoutForm(
        request.POST or None,
        beneficiaries=[
            ("", "Choose"),
            *(
                (key, f"{s.name} · {s.reference} · {s.currency}")
                for key, s in sellers_by_id.items()
            ),
        ],
        accounts=[(key, row.address) for key, row in accounts_by_id.items()],
        initial={
            "request_key": f"console:{ids.uuid7().hex}",
            "beneficiary": request.GET.get("beneficiary", ""),
            "currency": request.book.reporting_currency,
        },
    )
    if form.is_bound and form.is_valid():
        said = form.cleaned_data
        ask = PayoutAsk(
            account=accounts_by_id[said["account"]],
            beneficiary=sellers_by_id[said["beneficiary"]],
            amount=said["money"],
            merchant_ref=said["merchant_ref"].strip(),
            request_key=said["request_key"],
            reason=said["reason"],
            requested_by=request.user.person,
        )
        made = forms.attempt(
            form,
            lambda: payout.request_payout(ask=ask, actor=request.actor, now=request.now),
        )
        if made is not None:
            messages.success(request, f"Asked for {made.amount}. Others decide on its release.")
            return redirect("payout", made.public_id)
    status = REFUSED if form.errors else 200
    return render(request, "console/payout_new.html", {"form": form}, status=status)
