"""What people do with a case beside deciding it: own, comment, snooze, attach, close, split.

Each act is a row: its form, its permission, the one flow it calls, what is said afterwards. A
refused act shows the case again with what was typed. Serves PX-9, PX-10, F16, D11.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from payops.cases.models import Case
from payops.console import forms
from payops.console.access import record_or_404, refuse, requires
from payops.console.reads import case_queue
from payops.console.views.cases import REFUSED, case_page, case_rows, queue_page
from payops.core.ids import UnknownId
from payops.core.roles import Act
from payops.flows import case_work
from payops.flows.payouts import exception as payout_exception

SELECTED_MAX = 100


@dataclass(frozen=True, slots=True)
class CaseAct:
    """`call` gets the request, the case and the cleaned form; `said` is shown on success."""

    act: Act
    form: Callable[[HttpRequest], forms.ActForm]
    call: Callable[[HttpRequest, Case, dict[str, Any]], Any]
    said: str


def _common(request: HttpRequest, case: Case) -> dict[str, Any]:
    return {"case_id": case.pk, "actor": request.actor, "now": request.now}


def _assign_form(request: HttpRequest) -> forms.ActForm:
    return forms.AssignForm(request.POST, people=case_queue.case_workers(request.now))


def _assign(request: HttpRequest, case: Case, said: dict[str, Any]) -> Any:
    person_id = None if said["owner"] == "none" else UUID(said["owner"])
    return case_work.assign(person_id=person_id, **_common(request, case))


def _attach(request: HttpRequest, case: Case, said: dict[str, Any]) -> Any:
    upload = said["document"]
    return case_work.attach(
        filename=upload.name,
        content_type=upload.content_type or "",
        content=upload.read(),
        **_common(request, case),
    )


ACTS = {
    "assign": CaseAct(Act.WORK_CASE, _assign_form, _assign, "Owner set."),
    "comment": CaseAct(
        Act.WORK_CASE,
        lambda r: forms.CommentForm(r.POST),
        lambda r, c, said: case_work.comment(text=said["text"], **_common(r, c)) or c,
        "Comment added.",
    ),
    "snooze": CaseAct(
        Act.WORK_CASE,
        lambda r: forms.SnoozeForm(r.POST),
        lambda r, c, said: case_work.snooze(
            until=said["until"], note=said["note"], **_common(r, c)
        ),
        "Snoozed. It leaves the queue until then; its clock keeps running.",
    ),
    "evidence": CaseAct(
        Act.WORK_CASE,
        lambda r: forms.EvidenceForm(r.POST, r.FILES),
        _attach,
        "Document kept and hashed.",
    ),
    "close": CaseAct(
        Act.PROPOSE_RESOLUTION,
        lambda r: forms.CloseForm(r.POST),
        lambda r, c, said: payout_exception.resolve_waiting(reason=said["reason"], **_common(r, c)),
        "Case closed.",
    ),
    "dismiss": CaseAct(
        Act.WORK_CASE,
        lambda r: forms.DismissForm(r.POST),
        lambda r, c, said: payout_exception.dismiss(reason=said["reason"], **_common(r, c)),
        "Case dismissed.",
    ),
    "split": CaseAct(
        Act.WORK_CASE,
        lambda r: forms.SplitForm(r.POST),
        lambda r, c, said: (payout_exception.open_members(**_common(r, c)), c),
        "The single cases are open.",
    ),
}


@require_POST
@requires(Act.VIEW_BOOKS)
def act(request: HttpRequest, public_id: str, name: str) -> HttpResponse:
    row = ACTS.get(name)
    if row is None:
        raise Http404(f"A case has no act {name}.")
    if (refusal := refuse(request, row.act)) is not None:
        return refusal
    case = record_or_404(case_rows(), public_id, book=request.book)
    form = row.form(request)
    if form.is_valid():
        done = forms.attempt(form, lambda: row.call(request, case, form.cleaned_data))
        if done is not None:
            messages.success(request, row.said)
            return redirect("case", case.public_id)
    fresh = case_rows().get(pk=case.pk)
    return case_page(request, fresh, bound=form, status=REFUSED)


@require_POST
@requires(Act.WORK_CASE)
def assign_selected(request: HttpRequest) -> HttpResponseBase:
    """Owner for the ticked rows of the queue, one case at a time; what was refused is told."""
    taken = request.POST.get("take", "")
    chosen = [taken] if taken else request.POST.getlist("case")[:SELECTED_MAX]
    owner = str(request.actor.person_id) if taken else request.POST.get("owner", "")
    if owner and owner not in {key for key, _ in case_queue.case_workers(request.now)}:
        return _again(request, ["The owner is none of the people who work on cases."])
    if not chosen:
        return _again(request, ["No case was ticked; tick one or more rows first."])
    done, refused = 0, []
    for public_id in chosen:
        refusal = _assign_one(request, public_id, UUID(owner) if owner else None)
        done, refused = (done + 1, refused) if not refusal else (done, [*refused, refusal])
    if done:
        words = "1 case has" if done == 1 else f"{done} cases have"
        messages.success(request, f"{words} a new owner." if owner else f"{words} no owner now.")
    return _again(request, refused) if refused else redirect(_back(request))


def _assign_one(request: HttpRequest, public_id: str, person_id: UUID | None) -> str:
    """ "" or why this one was refused."""
    try:
        key = Case.key_of(public_id)
    except UnknownId as error:
        return str(error)
    if not Case.objects.filter(pk=key, book=request.book).exists():
        return f"There is no case {public_id}."
    form = forms.SplitForm({})
    form.is_valid()
    done = forms.attempt(
        form,
        lambda: case_work.assign(
            case_id=key, person_id=person_id, actor=request.actor, now=request.now
        ),
    )
    return "" if done is not None else str(form.non_field_errors()[0])


def _again(request: HttpRequest, refused: list[str]) -> HttpResponseBase:
    """The same queue again, with its filters, saying what was not done."""
    request.GET = QueryDict(_back(request).partition("?")[2])  # type: ignore[assignment]
    return queue_page(request, refused=refused, status=REFUSED)


def _back(request: HttpRequest) -> str:
    """The queue as it was filtered; only an address of this list is followed."""
    target = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(target, allowed_hosts=None)
    return target if safe and target.partition("?")[0] == "/cases/" else "/cases/"
