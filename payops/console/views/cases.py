"""The exception queue, one case, its evidence files, and the proposal of a resolution.

Serves PX-1 to PX-12, F7, F16, AI-1, AI-2, OB-8.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms as django_forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_GET, require_http_methods

from payops.cases.models import Case
from payops.cases.rules import CASE_RULES
from payops.console import exports, filters, forms, paging, svg
from payops.console.access import record_or_404, requires
from payops.console.reads import case_file as files
from payops.console.reads import case_queue, previews
from payops.core import evidence
from payops.core.models import Evidence
from payops.core.money import Money
from payops.core.roles import LABELS, Act
from payops.flows.payouts import exception as payout_exception
from payops.flows.payouts import exception_plan
from payops.flows.payouts.resolutions import RESOLUTIONS

REFUSED = 422
MAIN_FILTERS = 5


@require_GET
@requires(Act.VIEW_BOOKS)
def index(request: HttpRequest) -> HttpResponseBase:
    return queue_page(request)


def queue_page(
    request: HttpRequest, *, refused: list[str] | None = None, status: int = 200
) -> HttpResponseBase:
    person_id, now = request.actor.person_id, request.now
    people = case_queue.case_workers(now)
    chosen = filters.read(request.GET, case_queue.controls(people))
    rows = case_queue.queue(book=request.book, chosen=chosen, person_id=person_id, now=now)
    if exports.wanted(request, chosen):
        return exports.csv_response(
            request,
            name="cases",
            rows=rows.order_by("due_at", "pk").iterator(chunk_size=exports.CHUNK),
            columns=case_queue.CSV,
        )
    bars = case_queue.ageing(rows, now)
    context = {
        "filters": chosen,
        "views": case_queue.views(
            book=request.book, person_id=person_id, now=now, query=request.GET.dict()
        ),
        "page": paging.keyset(rows, query=request.GET, order="due_at"),
        "rules": CASE_RULES,
        "bars": bars,
        "picture": svg.ageing_bars(bars=bars, title="Cases by age"),
        "people": people,
        "me": str(person_id),
        "more_set": any(each.value for each in chosen.controls[MAIN_FILTERS:]),
        "refused": refused or [],
        "next": request.get_full_path(),
    }
    return render(request, "console/cases.html", context, status=status)


def case_rows() -> QuerySet[Case]:
    return Case.objects.select_related("book", "owner")


@require_GET
@requires(Act.VIEW_BOOKS)
def record(request: HttpRequest, public_id: str) -> HttpResponse:
    case = record_or_404(case_rows(), public_id, book=request.book)
    return case_page(request, case)


def case_page(
    request: HttpRequest,
    case: Case,
    *,
    bound: django_forms.Form | None = None,
    status: int = 200,
) -> HttpResponse:
    """The case; `bound` is the form that was just refused, shown with what was typed."""
    shown = files.case_file(case, now=request.now)
    may = files.may(request.acts, case, request.actor.person_id)
    context = {
        "file": shown,
        "case": case,
        "may": may,
        "forms": case_forms(request, case, may, bound),
        "bound": bound,
        "amount": _amount(case),
        "owner_role": LABELS[shown.rule.owner_role],
        "picks": [choice for choice in shown.choices if not choice.refusal],
        "is_snoozed": case.snoozed_until is not None and case.snoozed_until > request.now,
    }
    return render(request, "console/case.html", context, status=status)


def case_forms(
    request: HttpRequest, case: Case, may: dict[str, bool], bound: django_forms.Form | None
) -> dict[str, django_forms.Form]:
    """One form per act that is offered; the refused one stays as it was typed."""
    made: dict[str, django_forms.Form] = {}
    if may["assign"]:
        people = case_queue.case_workers(request.now)
        chosen = {"owner": str(case.owner_id or request.actor.person_id)}
        made["assign"] = forms.AssignForm(people=people, initial=chosen)
    table: dict[str, type[forms.ActForm]] = {
        "comment": forms.CommentForm,
        "snooze": forms.SnoozeForm,
        "evidence": forms.EvidenceForm,
        "close": forms.CloseForm,
        "dismiss": forms.DismissForm,
    }
    made |= {name: form() for name, form in table.items() if may[name]}
    if bound is not None:
        made[str(bound.name)] = bound  # type: ignore[attr-defined]
    return made


@require_http_methods(["GET", "POST"])
@requires(Act.PROPOSE_RESOLUTION)
def propose(request: HttpRequest, public_id: str) -> HttpResponse:
    """Choose a resolution, see what it would cause, then ask for the decision."""
    case = record_or_404(case_rows(), public_id, book=request.book)
    if case.rule != payout_exception.RULE:
        raise Http404(f"{case.public_id} is not about a payout; it takes no resolution.")
    said = request.POST if request.method == "POST" else request.GET
    resolution, hold = said.get("resolution", ""), said.get("hold_beneficiary") == "1"
    if resolution not in RESOLUTIONS:
        resolution = ""
    form = forms.ProposeForm(request.POST if request.method == "POST" and resolution else None)
    if form.is_bound and form.is_valid():
        approval = forms.attempt(
            form,
            lambda: payout_exception.propose(
                case_id=case.pk,
                resolution=resolution,
                hold_beneficiary=hold,
                reason=form.cleaned_data["reason"],
                actor=request.actor,
                now=request.now,
            ),
        )
        if approval is not None:
            messages.success(request, f"Asked for a decision. Rule: {approval.rule_fired}.")
            return redirect("approval", approval.public_id)
    return _propose_page(request, case, resolution, hold, form)


def _propose_page(
    request: HttpRequest, case: Case, resolution: str, hold: bool, form: forms.ProposeForm
) -> HttpResponse:
    plan = preview = None
    if resolution:
        plan = exception_plan.preview(
            case=case, resolution=resolution, hold_beneficiary=hold, now=request.now
        )
        preview = previews.preview_of(plan.consequences, plan.steps)
    context = {
        "case": case,
        "payout": files.payout_of(case),
        "choices": [files.choice_of(case, each) for each in RESOLUTIONS.values()],
        "chosen": RESOLUTIONS.get(resolution),
        "hold": hold,
        "plan": plan,
        "preview": preview,
        "form": form,
        "amount": _amount(case),
    }
    status = REFUSED if form.is_bound and form.errors else 200
    return render(request, "console/case_propose.html", context, status=status)


@require_GET
@requires(Act.VIEW_BOOKS)
def document(request: HttpRequest, key: UUID) -> HttpResponse:
    """An attached document as it was given; downloaded, never shown in the page."""
    row = Evidence.objects.select_related("data_key").filter(book=request.book, pk=key).first()
    if row is None:
        raise Http404("There is no such document in this book.")
    answer = HttpResponse(evidence.content_of(row), content_type="application/octet-stream")
    named = content_disposition_header(as_attachment=True, filename=row.filename)
    answer.headers["Content-Disposition"] = named or "attachment"
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer


def _amount(case: Case) -> Any:
    return None if case.amount_minor is None else Money(case.amount_minor, case.currency)
