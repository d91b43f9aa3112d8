"""The approval policies as tables that finance reads, and the proposal of a changed table.

Also the proposal to give up dead letters. Both change nothing by themselves. Serves D2, F23, D5.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from approvals import policies, selectors
from approvals.models import ApprovalRequest
from payops.console import errors, forms
from payops.console.access import requires, signed_in
from payops.console.reads import lane_table
from payops.core.models import Book
from payops.core.roles import Act
from payops.flows import governance

REFUSED = 422
READERS = frozenset({Act.VIEW_BOOKS, Act.MANAGE_ACCESS})


@require_GET
@signed_in
def settings(request: HttpRequest) -> HttpResponse:
    return redirect("policies" if Act.VIEW_BOOKS in request.acts else "people")


@require_GET
@signed_in
def index(request: HttpRequest) -> HttpResponse:
    if not request.acts & READERS:
        return errors.forbidden_act(request, Act.VIEW_BOOKS)
    pending = ApprovalRequest.objects.filter(
        kind="policy_change", state=ApprovalRequest.State.PENDING, expires_at__gt=request.now
    ).select_related("requested_by")
    tables = _tables(request)
    context = {
        "by_amount": [table for table in tables if table["version"].rules["by_amount"]],
        "fixed": [table for table in tables if not table["version"].rules["by_amount"]],
        "lanes": lane_table.active(request.book, request.now),
        "pending": list(pending.order_by("-created_at")[:50]),
    }
    return render(request, "console/policies.html", context)


def book_of(request: HttpRequest, kind: str) -> Book:
    """Access is governed in the system book, everything else in the book at hand."""
    row = governance.GOVERNED.get(kind)
    if row is not None and row.in_system_book:
        return Book.objects.get(is_system=True)
    return request.book


def _tables(request: HttpRequest) -> list[dict[str, Any]]:
    """Each active table with the kind that its change is proposed under."""
    answer = []
    for book in (request.book, Book.objects.get(is_system=True)):
        for table in selectors.policy_tables(book, request.now):
            kind = table.version.name.removeprefix(policies.PREFIX)
            row = governance.GOVERNED.get(kind)
            if book.is_system == (row is not None and row.in_system_book):
                answer.append(
                    {
                        "kind": kind,
                        "label": table.label,
                        "version": table.version,
                        "rows": table.rows,
                        "conditions": table.conditions,
                        "expires_hours": table.expires_hours,
                    }
                )
    return answer


@require_http_methods(["GET", "POST"])
@requires(Act.PROPOSE_POLICY)
def propose(request: HttpRequest, kind: str) -> HttpResponse:
    """Ask for other tier edges of one table; finance and treasury decide."""
    if kind not in policies.KIND_LABELS:
        raise Http404(f"There is no approval policy {kind}.")
    book = book_of(request, kind)
    version = policies.active(book=book, kind=kind, now=request.now)
    label = policies.KIND_LABELS[kind]
    form = forms.PolicyForm(
        request.POST or None, rules=version.rules, currency=book.reporting_currency
    )
    if form.is_bound and form.is_valid():
        approval = forms.attempt(
            form, lambda: _ask(request, version, label, form.cleaned_data, book)
        )
        if approval is not None:
            messages.success(request, "Asked for. The active table stays until others approve.")
            return redirect("approval", approval.public_id)
    tables = selectors.policy_tables(book, request.now)
    context = {
        "label": label,
        "kind": kind,
        "table": next(t for t in tables if t.version.name == version.name),
        "version": version,
        "form": form,
    }
    status = REFUSED if form.errors else 200
    return render(request, "console/policy_change.html", context, status=status)


def _ask(
    request: HttpRequest, version: Any, label: str, said: dict[str, Any], book: Book
) -> ApprovalRequest:
    return governance.propose(
        kind="policy_change",
        facts={"policy": version.name, "rules": said["rules"]},
        title=f"New approval policy: {label}",
        reason=said["reason"],
        actor=request.actor,
        now=request.now,
        subject_id=version.name,
        book=book,
    )


@require_http_methods(["GET", "POST"])
@requires(Act.DISCARD_EVENT)
def discard(request: HttpRequest) -> HttpResponse:
    """Ask to give up dead letters; they stay until finance approves."""
    named = request.GET.getlist("event") or request.POST.getlist("event")
    said = request.POST if request.method == "POST" and "note" in request.POST else None
    form = forms.DiscardForm(said, initial={"event_ids": "\n".join(named)})
    if form.is_bound and form.is_valid():
        asked = form.cleaned_data
        count = len(asked["event_ids"])
        approval = forms.attempt(
            form,
            lambda: governance.propose(
                kind="dead_letter_discard",
                facts={"event_ids": asked["event_ids"], "note": asked["note"]},
                title=f"Discard {count} dead letter{'' if count == 1 else 's'}",
                reason=asked["note"],
                actor=request.actor,
                now=request.now,
                subject_id=asked["event_ids"][0] if count == 1 else "",
                book=request.book,
            ),
        )
        if approval is not None:
            messages.success(request, "Asked for. The events stay dead letters until approved.")
            return redirect("approval", approval.public_id)
    status = REFUSED if form.errors else 200
    return render(request, "console/discard.html", {"form": form}, status=status)
