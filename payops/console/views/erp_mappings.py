"""The mapping set of an ERP: read, and a changed one proposed after a look at what it would do.

Changes nothing by itself; finance and treasury decide (ERP-2, LJ-19, D5).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from ledger import exporting
from payops.console import forms
from payops.console.access import requires
from payops.console.export_forms import MappingForm
from payops.console.reads import erp_exports, erp_mapping
from payops.core import clock
from payops.core.roles import Act
from payops.flows import export, export_mapping, governance
from payops.flows.export import ExportAsk
from payops.formats.journals import mapping
from payops.formats.journals.base import Target
from payops.formats.journals.registry import TARGETS

REFUSED = 422
LOOKED_BACK = timedelta(days=31)


@require_GET
@requires(Act.VIEW_BOOKS)
def record(request: HttpRequest, target: str) -> HttpResponse:
    page = erp_mapping.page_of(request.book, _target(target), request.now)
    return render(request, "console/erp_mapping.html", {"page": page})


@require_http_methods(["GET", "POST"])
@requires(Act.PROPOSE_POLICY)
def propose(request: HttpRequest, target: str) -> HttpResponse:
    """First what the typed set would make of the last entries, then the same set asked for."""
    named = _target(target)
    page = erp_mapping.page_of(request.book, named, request.now)
    form = MappingForm(request.POST or None, target=named, rules=page.rules)
    context: dict[str, Any] = {"form": form, "page": page}
    if form.is_bound and form.is_valid():
        rules = form.cleaned_data["rules"]
        forms.attempt(form, lambda: export_mapping.check(named, rules, request.book))
        if not form.errors and request.POST.get("step") == "ask":
            approval = forms.attempt(form, lambda: _ask(request, named, rules, form))
            if approval is not None:
                messages.success(request, "Asked for. The active set stays until others approve.")
                return redirect("approval", approval.public_id)
        elif not form.errors:
            context["change"] = erp_mapping.change_of(named, page.rules, rules)
            context |= _looked(request, named, rules)
    status = REFUSED if form.is_bound and form.errors else 200
    return render(request, "console/erp_mapping_change.html", context, status=status)


def _target(key: str) -> Target:
    if key not in TARGETS:
        raise Http404(f"There is no export to {key}.")
    return TARGETS[key]


def _ask(request: HttpRequest, target: Target, rules: dict[str, Any], form: MappingForm) -> Any:
    return governance.propose(
        kind="policy_change",
        facts={"policy": export_mapping.name_of(target), "rules": rules},
        title="",
        reason=form.cleaned_data["reason"],
        actor=request.actor,
        now=request.now,
        book=request.book,
    )


def _looked(request: HttpRequest, target: Target, rules: dict[str, Any]) -> dict[str, Any]:
    """The entries of the last days there are, whether they went to the target or not."""
    today = clock.business_day(request.now, time_zone=request.book.time_zone)
    last = exporting.last_day(request.book) or today
    ask = ExportAsk(request.book, target.key, last - LOOKED_BACK, last, exporting.DETAILED)
    look = export.look(ask=ask, now=request.now, mapping=mapping.parse(target, rules))
    return {
        "ask": ask,
        "look": look,
        "sums": erp_exports.sums_of(look.sums),
        "problems": look.problems,
        "problem_count": look.problem_count,
    }
