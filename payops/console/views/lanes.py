"""The proposal of a changed table of lanes: typed, looked at over the last days, asked for (WH-23).

Changes nothing by itself; finance and treasury decide (D2, D5).
"""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from payops.console import forms
from payops.console.access import requires
from payops.console.lane_forms import LanesForm
from payops.console.reads import lane_table
from payops.core.roles import Act
from payops.flows import governance, lane_policy

REFUSED = 422


@require_http_methods(["GET", "POST"])
@requires(Act.PROPOSE_POLICY)
def propose(request: HttpRequest) -> HttpResponse:
    """First what the typed table would have decided, then the same table asked for."""
    book, table = request.book, lane_table.active(request.book, request.now)
    form = LanesForm(request.POST or None, rules=table.rules, currency=book.reporting_currency)
    context = {"form": form, "table": table}
    if form.is_bound and form.is_valid():
        rules, asks = form.cleaned_data["rules"], request.POST.get("step") == "ask"
        forms.attempt(form, lambda: lane_policy.check(rules, book))
        if not form.errors and asks:
            approval = forms.attempt(
                form,
                lambda: governance.propose(
                    kind="policy_change",
                    facts={"policy": lane_policy.TABLE.name, "rules": rules},
                    title=lane_policy.TABLE.title,
                    reason=form.cleaned_data["reason"],
                    actor=request.actor,
                    now=request.now,
                    book=book,
                ),
            )
            if approval is not None:
                messages.success(request, "Asked for. The active table stays until others approve.")
                return redirect("approval", approval.public_id)
        elif not form.errors:
            context["change"] = lane_table.change_of(
                book=book, before=table.rules, after=rules, now=request.now
            )
    status = REFUSED if form.errors else 200
    return render(request, "console/lanes_change.html", context, status=status)
