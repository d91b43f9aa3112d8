"""The proposal of a changed table of lanes: typed, looked at over the last days, asked for (WH-23).

Changes nothing by itself; finance and treasury decide (D2, D5).
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from payops.console import forms
from payops.console.access import requires
from payops.console.answers import table_asked_for
from payops.console.lane_forms import LanesForm
from payops.console.reads import lane_table
from payops.core.roles import Act
from payops.flows import lane_policy

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
            answer = table_asked_for(request, form, table=lane_policy.TABLE, rules=rules)
            if answer is not None:
                return answer
        elif not form.errors:
            context["change"] = lane_table.change_of(
                book=book, before=table.rules, after=rules, now=request.now
            )
    status = REFUSED if form.errors else 200
    return render(request, "console/lanes_change.html", context, status=status)
