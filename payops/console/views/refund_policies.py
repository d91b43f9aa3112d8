"""The refund policy: the table as people read it, its versions, and the proposal of another one.

The proposal is looked at over the last month before anybody is asked; it changes nothing by itself.
Serves AP-7, AP-8, AP-9, F23, D5.
"""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_http_methods

from approvals.models import ApprovalRequest
from payops.console import forms
from payops.console.access import requires
from payops.console.answers import table_asked_for
from payops.console.reads import refund_policy_table as reads
from payops.console.refund_policy_forms import RefundPolicyForm
from payops.core.roles import Act
from payops.flows.refunds import policy as refund_policy

REFUSED = 422
PENDING_MAX = 20


@require_GET
@requires(Act.VIEW_BOOKS)
def record(request: HttpRequest) -> HttpResponse:
    """The active table, or with `version` one that applied before or will apply."""
    book, asked_for = request.book, request.GET.get("version", "")
    table = reads.active(book, request.now)
    if asked_for:
        number = int(asked_for) if asked_for.isdecimal() and len(asked_for) < 9 else 0
        found = reads.of_version(book, number, request.now)
        if found is None:
            raise Http404(f"There is no version {asked_for[:20]} of the refund policy.")
        table = found
    pending = ApprovalRequest.objects.filter(
        kind="policy_change",
        book=book,
        state=ApprovalRequest.State.PENDING,
        expires_at__gt=request.now,
        facts__policy=refund_policy.NAME,
    ).select_related("requested_by")
    context = {
        "table": table,
        "versions": reads.versions(book),
        "pending": list(pending.order_by("-created_at")[:PENDING_MAX]),
    }
    return render(request, "console/refund_policy.html", context)


@require_http_methods(["GET", "POST"])
@requires(Act.PROPOSE_POLICY)
def propose(request: HttpRequest) -> HttpResponse:
    """First what the typed table would have decided, then the same table asked for."""
    book = request.book
    _, rules = refund_policy.active_table(book, request.now)
    form = RefundPolicyForm(request.POST or None, rules=rules, currency=book.reporting_currency)
    context = {"form": form, "table": reads.active(book, request.now)}
    if form.is_bound and form.is_valid():
        typed, asks = form.cleaned_data["rules"], request.POST.get("step") == "ask"
        forms.attempt(form, lambda: refund_policy.check(typed, book))
        if not form.errors and asks:
            answer = table_asked_for(request, form, table=refund_policy.TABLE, rules=typed)
            if answer is not None:
                return answer
        elif not form.errors and request.POST.get("step") != "edit":
            context["change"] = reads.change_of(
                book=book, before=rules, after=typed, now=request.now
            )
    status = REFUSED if form.errors else 200
    return render(request, "console/refund_policy_change.html", context, status=status)
