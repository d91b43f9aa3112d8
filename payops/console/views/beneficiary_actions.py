"""What people do with a beneficiary: hold, verify the details, ask for new bank details.

New details are never shown back once they are sent; the page knows the mask alone. Serves F2, F27,
PX-5, PX-6.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from payops.console import forms
from payops.console.access import record_or_404, requires
from payops.console.views.payout_actions import REFUSED, RecordAct, place_hold, run_act
from payops.core.roles import Act
from payops.flows import beneficiary as flow
from payops.payments.models import Beneficiary


def _verify(request: HttpRequest, row: Beneficiary, said: dict[str, Any]) -> Any:
    return flow.verify(
        beneficiary_id=row.pk, evidence=said["evidence"], actor=request.actor, now=request.now
    )


ACTS = {
    "hold": RecordAct(
        Act.PLACE_HOLD,
        forms.HoldForm,
        place_hold,
        "Hold every payout to this beneficiary",
        "Place hold",
        "Every payout to this beneficiary is on hold.",
    ),
    "verify": RecordAct(
        Act.VERIFY_BENEFICIARY,
        forms.VerifyForm,
        _verify,
        "Verify the bank details",
        "Details are verified",
        "Verified. The evidence is kept with the beneficiary.",
    ),
}


@require_http_methods(["GET", "POST"])
@requires(Act.VIEW_BOOKS)
def act(request: HttpRequest, public_id: str, name: str) -> HttpResponse:
    row = _row(request, public_id)
    return run_act(request, row=row, table=ACTS, name=name, back="beneficiary")


@never_cache
@require_http_methods(["GET", "POST"])
@requires(Act.CHANGE_BANK_DETAILS)
def bank_change(request: HttpRequest, public_id: str) -> HttpResponse:
    """Ask for new bank details; nothing changes until others approve, then it cools down."""
    row = _row(request, public_id)
    form = forms.BankChangeForm(request.POST or None)
    if form.is_bound and form.is_valid():
        said = form.cleaned_data
        approval = forms.attempt(
            form,
            lambda: flow.request_bank_change(
                beneficiary_id=row.pk,
                holder=said["holder"],
                account=said["account"],
                reason=said["reason"],
                actor=request.actor,
                now=request.now,
            ),
        )
        if approval is not None:
            messages.success(request, "Asked for. The details on file stay until others approve.")
            return redirect("approval", approval.public_id)
    context = {"row": row, "form": form}
    status = REFUSED if form.errors else 200
    return render(request, "console/bank_change.html", context, status=status)


def _row(request: HttpRequest, public_id: str) -> Beneficiary:
    rows = Beneficiary.objects.select_related("book", "verified_by", "bank_changed_by")
    return record_or_404(rows, public_id, book=request.book)
