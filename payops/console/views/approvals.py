"""Approvals: my queue, all open, decided; one request; deciding, withdrawing, undoing.

Anybody who is a person may open a request they asked for or may decide; everybody else needs to
see the books. Every attempt to decide reaches `approvals.decide`, so that refused ones are on
record too. Serves AP-1 to AP-6, F7, F9, F22, F24, F25, D3.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from approvals import selectors, services
from approvals.models import ApprovalRequest
from approvals.refusals import ApprovalRefused
from payops.console import auth, errors, filters, forms, paging
from payops.console.access import key_or_404, signed_in
from payops.console.reads import advice_beside
from payops.console.reads import approval_file as files
from payops.core.roles import Act

REFUSED = 422
FIELD_OF_RULE = {
    "step_up": "password",
    "typed_confirmation": "confirm",
    "reason_needed": "reason",
    "seat_choice": "role",
    "seat_taken": "role",
}
OPEN_TO = frozenset({Act.VIEW_BOOKS, Act.DECIDE, Act.MANAGE_ACCESS})
ACT_WORDS = {
    "payout_exception": "Approve resolution",
    "payout_release": "Approve payout",
    "bank_detail_change": "Approve new bank details",
    "role_grant": "Approve role",
    "person_create": "Approve person",
    "login_link": "Approve login",
    "api_key": "Approve API key",
    "policy_change": "Approve policy",
    "dead_letter_discard": "Approve discard",
    "payout_not_sent": "Approve declaration",
    "allowlist_change": "Approve allowlist",
    "account_settings": "Approve settings",
    "webhook_secret": "Approve the secret",
    "refund": "Approve refund",
    "refund_offline": "Approve refund by hand",
    "refund_not_sent": "Approve declaration",
    "refund_obligation": "Approve the end of the promise",
    "manual_journal": "Approve journal",
    "period_lock": "Approve lock",
    "period_reopen": "Approve reopening",
    "late_posting": "Approve late posting",
    "book_settings": "Approve book settings",
    "rate_import": "Approve rates",
    "statement_parity": "Approve parity",
}


@require_GET
@signed_in
def index(request: HttpRequest) -> HttpResponse:
    """Everybody sees what waits for them; the other lists need a role that reads or decides."""
    person, now = request.user.person, request.now
    if not request.acts & OPEN_TO:
        words = "You hold no role that decides or reads approvals."
        return errors.refused(request, status=403, heading="Not permitted", text=words)
    tab = asked_for = filters.clean(request.GET.get("show", "")) or "mine"
    if tab not in ("mine", "all", "asked", "decided"):
        tab = "mine"
    context: dict[str, Any] = {"tab": tab, "unknown": asked_for if tab != asked_for else ""}
    if tab == "decided":
        rows = ApprovalRequest.objects.exclude(state=ApprovalRequest.State.PENDING)
        rows = _readable(request, rows).select_related("requested_by", "book")
        context["page"] = paging.keyset(
            rows.prefetch_related("decisions__person"), query=request.GET
        )
        context["rows"] = context["page"].rows
    else:
        items = _items(request, person, now)
        mine = [item for item in items if item.mine.seats]
        asked = [item for item in items if item.request.requested_by_id == person.pk]
        context |= {
            "items": {"mine": mine, "all": items, "asked": asked}[tab],
            "counts": {"mine": len(mine), "all": len(items), "asked": len(asked)},
            "cut": len(items) >= selectors.QUEUE_MAX,
        }
    return render(request, "console/approvals.html", context)


def _items(request: HttpRequest, person: Any, now: Any) -> list[selectors.QueueItem]:
    items = selectors.all_open(person, now)
    if Act.VIEW_BOOKS in request.acts:
        return items
    return [item for item in items if _reads(request, item.request)]


def _readable(request: HttpRequest, rows: Any) -> Any:
    if Act.VIEW_BOOKS in request.acts:
        return rows
    return rows.filter(book__is_system=True)


def _reads(request: HttpRequest, row: ApprovalRequest) -> bool:
    """Who may open it: readers of the books, the requester, and for access requests its keepers."""
    if Act.VIEW_BOOKS in request.acts or row.requested_by_id == request.actor.person_id:
        return True
    return Act.MANAGE_ACCESS in request.acts and row.book.is_system


def _request_or_404(public_id: str) -> ApprovalRequest:
    rows = ApprovalRequest.objects.select_related("book", "policy_version", "requested_by")
    found = rows.filter(pk=key_or_404(ApprovalRequest, public_id)).first()
    if found is None:
        raise Http404(f"There is no approval request {public_id}.")
    return found


@require_GET
@signed_in
def record(request: HttpRequest, public_id: str) -> HttpResponse:
    return approval_page(request, _request_or_404(public_id))


def approval_page(
    request: HttpRequest,
    row: ApprovalRequest,
    *,
    refusals: dict[str, str] | None = None,
    take_back: forms.TakeBackForm | None = None,
    status: int = 200,
) -> HttpResponse:
    person = request.user.person
    if not _reads(request, row):
        why = (refusals or {}).get("form") or selectors.eligibility(row, person, request.now).reason
        return errors.refused(request, status=403, heading="Not yours to decide", text=why)
    shown = files.approval_file(row, person, request.now)
    asked = shown.refund
    context = {
        "file": shown,
        "approval": row,
        "advice": advice_beside.of_refund(asked.refund, now=request.now) if asked else [],
        "act": ACT_WORDS.get(row.kind, "Approve"),
        "errors": refusals or {},
        "reason_value": request.POST.get("reason", "") if refusals else "",
        "role_value": request.POST.get("role", "") if refusals else "",
        "ticked": request.POST.getlist("evidence") if refusals else [],
        "take_back": take_back or forms.TakeBackForm(),
        "reporting": files.reporting_amount(row),
    }
    return render(request, "console/approval.html", context, status=status)


@require_POST
@signed_in
def decide(request: HttpRequest, public_id: str) -> HttpResponse:
    """Password first, under its own limit; then exactly one decision on the content shown."""
    row = _request_or_404(public_id)
    form = forms.DecisionForm(request.POST)
    if not form.is_valid():
        refusals = {name: str(found[0]) for name, found in form.errors.items()}
        if "content_hash" in refusals or "verdict" in refusals:
            refusals["form"] = "The form was incomplete; nothing was decided. Open it again."
        return approval_page(request, row, refusals=refusals, status=REFUSED)
    said = form.cleaned_data
    confirmed = auth.step_up(request, password=said["password"])
    if confirmed.at is None:
        refusals = {"password": confirmed.refusal}
        return approval_page(request, row, refusals=refusals, status=REFUSED)
    try:
        decided = services.decide(
            request_id=row.pk,
            user=request.user,
            verdict=said["verdict"],
            reason=said["reason"],
            evidence=_evidence(request, row),
            content_hash=said["content_hash"],
            stepped_up_at=confirmed.at,
            now=request.now,
            seat=said["role"] or None,
            typed_confirmation=said["confirm"],
        )
    except ApprovalRefused as refusal:
        refusals = {FIELD_OF_RULE.get(refusal.rule, "form"): str(refusal)}
        if refusals.keys() == {"role"}:
            refusals["form"] = str(refusal)
        return approval_page(request, _request_or_404(public_id), refusals=refusals, status=REFUSED)
    say = messages.warning if decided.kind == "already_decided" else messages.success
    say(request, decided.words)
    return redirect("approval", public_id)


def _evidence(request: HttpRequest, row: ApprovalRequest) -> list[dict[str, str]]:
    """The documents ticked, named by their hash; only those that belong to the request."""
    ticked = set(request.POST.getlist("evidence"))
    related = (row.public_id, row.subject_id, str(row.facts.get("payout", "")))
    return [
        {"document": document.name, "sha256": document.sha256}
        for document in files.documents_of(*related)
        if document.sha256 in ticked
    ]


@require_POST
@signed_in
def take_back(request: HttpRequest, public_id: str, how: str) -> HttpResponse:
    """Withdraw a pending request, or undo an approval that is not executed yet (F9)."""
    row = _request_or_404(public_id)
    form = forms.TakeBackForm(request.POST)
    if form.is_valid():
        call = services.withdraw if how == "withdraw" else services.undo
        done = forms.attempt(
            form,
            lambda: call(
                request_id=row.pk,
                reason=form.cleaned_data["reason"],
                actor=request.actor,
                now=request.now,
            ),
        )
        if done is not None:
            messages.success(request, "Withdrawn." if how == "withdraw" else "Taken back.")
            return redirect("approval", public_id)
    fresh = _request_or_404(public_id)
    said = {"form": str(form.non_field_errors()[0])} if form.non_field_errors() else None
    return approval_page(request, fresh, take_back=form, refusals=said, status=REFUSED)
