"""Exports of journals to an ERP: the batches, a new one, its files, one entry in its document.

A refused export shows everything that is wrong, value by value. Serves ERP-1 to ERP-9, AU-3.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from approvals.models import PolicyVersion
from ledger.models import Export, ExportFile, ExportItem, JournalEntry
from payops.console import filters, forms, paging
from payops.console.access import key_or_404, record_or_404, requires
from payops.console.export_forms import ConfirmForm, ExportForm, RejectForm
from payops.console.reads import erp_exports as reads
from payops.core.roles import Act
from payops.flows import export, export_mapping, export_trace
from payops.flows.export import ExportAsk, ExportRefused
from payops.formats.journals.mapping import PREFIX

REFUSED = 422


@require_GET
@requires(Act.VIEW_BOOKS)
def index(request: HttpRequest) -> HttpResponse:
    wanted = filters.read(request.GET, reads.controls())
    page = paging.keyset(reads.listed(request.book, wanted), query=request.GET, order="-pk")
    shown = {
        "filters": wanted,
        "page": page,
        "rows": [reads.row_of(row) for row in page.rows],
        "targets": reads.targets(request.book, _versions(request)),
    }
    return render(request, "console/erp_exports.html", shown)


@require_http_methods(["GET", "POST"])
@requires(Act.EXPORT_JOURNAL)
def new(request: HttpRequest) -> HttpResponse:
    """First what would be made of the entries, with all that is wrong; then the batch."""
    form = ExportForm(
        request.POST or None,
        ranges=reads.ranges(request.book),
        initial={"target": request.GET.get("target", "")},
    )
    context: dict[str, Any] = {"form": form}
    if form.is_bound and form.is_valid():
        try:
            return _made_or_looked_at(request, form, context)
        except ExportRefused as refusal:
            form.add_error(None, str(refusal))
            context |= {"problems": refusal.problems, "problem_count": refusal.count}
    status = REFUSED if form.is_bound and form.errors else 200
    return render(request, "console/erp_export_new.html", context, status=status)


def _made_or_looked_at(request: HttpRequest, form: ExportForm, context: Any) -> HttpResponse:
    said = form.cleaned_data
    ask = ExportAsk(request.book, said["target"], said["from_on"], said["to_on"], said["mode"])
    if request.POST.get("step") == "make":
        made = export.start(ask=ask, actor=request.actor, now=request.now)
        messages.success(request, f"{made.reference} is ready to be imported.")
        return redirect("erp-export", made.public_id)
    look = export.look(ask=ask, now=request.now)
    context |= {"ask": ask, "look": look, "sums": reads.sums_of(look.sums)}
    context |= {"problems": look.problems, "problem_count": look.problem_count}
    status = REFUSED if look.problems else 200
    return render(request, "console/erp_export_new.html", context, status=status)


@require_GET
@requires(Act.VIEW_BOOKS)
def record(request: HttpRequest, public_id: str) -> HttpResponse:
    found = _export(request, public_id)
    return _record_page(request, found, ConfirmForm(), RejectForm())


@require_POST
@requires(Act.EXPORT_JOURNAL)
def act(request: HttpRequest, public_id: str, name: str) -> HttpResponse:
    """Confirm, reject or make anew; a refusal stands on the page of the batch."""
    found = _export(request, public_id)
    told = {"export_id": found.public_id, "actor": request.actor, "now": request.now}
    confirm, reject = ConfirmForm(), RejectForm()
    if name == "rebuild":
        try:
            export.rebuild(**told)
        except ExportRefused as refusal:
            shown = {"refused": str(refusal), "problems": refusal.problems}
            return _record_page(
                request, found, confirm, reject, problem_count=refusal.count, **shown
            )
        messages.success(request, "Made anew under the same reference; download the new file.")
        return redirect("erp-export", public_id)
    if name not in ("confirm", "reject"):
        raise Http404(f"There is no act {name} for an export.")
    form: Any = (ConfirmForm if name == "confirm" else RejectForm)(request.POST)
    confirm, reject = (form, reject) if name == "confirm" else (confirm, form)
    call = export.confirm if name == "confirm" else export.reject
    if form.is_valid():
        done = forms.attempt(form, lambda: call(words=form.cleaned_data["words"], **told))
        if done is not None:
            messages.success(request, f"{done.reference} is {done.state.lower()}.")
            return redirect("erp-export", public_id)
    return _record_page(request, found, confirm, reject)


@require_GET
@requires(Act.EXPORT_JOURNAL)
def file(request: HttpRequest, public_id: str, attempt: int) -> HttpResponse:
    """The file as it was made; never shown in the page."""
    found = _export(request, public_id)
    rows = ExportFile.objects.select_related("evidence__data_key", "export__book")
    made = get_object_or_404(rows, export=found, attempt=attempt)
    content = export.download(file=made, actor=request.actor, now=request.now)
    answer = HttpResponse(content, content_type="application/octet-stream")
    named = content_disposition_header(as_attachment=True, filename=made.filename)
    answer.headers["Content-Disposition"] = named or "attachment"
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer


@require_GET
@requires(Act.VIEW_BOOKS)
def entry(request: HttpRequest, public_id: str, entry_id: str) -> HttpResponse:
    found = _export(request, public_id)
    items = ExportItem.objects.select_related("entry")
    item = get_object_or_404(items, export=found, entry=key_or_404(JournalEntry, entry_id))
    shown = {
        "row": reads.row_of(found),
        "item": item,
        "trace": export_trace.traced(export=found, item=item, entry=item.entry),
    }
    return render(request, "console/erp_export_entry.html", shown)


def _export(request: HttpRequest, public_id: str) -> Export:
    rows = Export.objects.select_related("book", "requested_by")
    found: Export = record_or_404(rows, public_id, book=request.book)
    return found


def _record_page(
    request: HttpRequest, found: Export, confirm: ConfirmForm, reject: RejectForm, **more: Any
) -> HttpResponse:
    target = reads.row_of(found).target
    version, _ = export_mapping.active_rules(request.book, target, request.now)
    page = paging.keyset(reads.items_of(found), query=request.GET, order="pk")
    shown = {
        "export": found,
        "page": reads.page_of(found, next_version=version.version if version else 0),
        "items": page,
        "confirm": confirm,
        "reject": reject,
        **more,
    }
    failed = bool(more or confirm.errors or reject.errors)
    return render(request, "console/erp_export.html", shown, status=REFUSED if failed else 200)


def _versions(request: HttpRequest) -> dict[str, PolicyVersion]:
    """The active version of each set; the last one of a name stands."""
    rows = PolicyVersion.objects.filter(
        book=request.book, name__startswith=PREFIX, active_from__lte=request.now
    )
    return {row.name: row for row in rows.order_by("version")}
