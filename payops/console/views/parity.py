"""Statement parity: reference packs, their differences, the verdict (RP-2, RP-3).

Read by everybody who reads the books; packs are brought and compared by finance, and the verdict is
decided by others.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from ledger import statements
from ledger.models import ReferencePack
from payops.console import exports, filters, forms, paging, parity_forms
from payops.console.access import record_or_404, requires
from payops.console.answers import asked_for
from payops.console.reads import parity as reads
from payops.core.roles import Act
from payops.flows import parity
from payops.flows.governed import ChangeRefused
from payops.flows.parity import PackRefused

REFUSED = 422


@require_GET
@requires(Act.VIEW_BOOKS)
def index(request: HttpRequest) -> HttpResponse:
    wanted = filters.read(request.GET, reads.controls(request.book))
    page = paging.keyset(reads.listed(request.book, wanted), query=request.GET)
    shown = {
        "filters": wanted,
        "page": page,
        "rows": [reads.row(pack) for pack in page.rows],
        "may_bring": Act.MANAGE_PERIOD in request.acts,
        **_tabs(),
    }
    return render(request, "console/parity.html", shown)


@require_http_methods(["GET", "POST"])
@requires(Act.MANAGE_PERIOD)
def bring(request: HttpRequest) -> HttpResponse:
    """A file: first what comparing it finds, then the same file kept."""
    form = parity_forms.PackForm(
        request.POST or None, request.FILES or None, periods=reads.periods(request.book)
    )
    context: dict[str, Any] = {"form": form, **_tabs()}
    if form.is_bound and form.is_valid():
        said = form.cleaned_data
        what = {
            "book": request.book,
            "period": said["accounting_period"],
            "content": said["content"],
        }
        try:
            if request.POST.get("step") == "keep":
                pack = parity.upload(
                    **what,
                    title=said["title"],
                    filename=said["filename"] or "reference-pack.csv",
                    actor=request.actor,
                    now=request.now,
                )
                messages.success(request, f"Kept with {len(pack.differences)} differences.")
                return redirect("parity-pack", pack.public_id)
            looked = parity.look(**what)
            context["looked"] = looked
            context["found"] = reads.differences(list(looked.differences), what["period"])
            context["packed"] = parity_forms.packed(said["content"])
        except PackRefused as refusal:
            for problem in refusal.problems:
                form.add_error("file", problem)
        except ChangeRefused as refusal:
            form.add_error(None, str(refusal))
    status = REFUSED if form.errors else 200
    return render(request, "console/parity_bring.html", context, status=status)


@require_GET
@requires(Act.VIEW_BOOKS)
def pack(request: HttpRequest, public_id: str) -> HttpResponse | StreamingHttpResponse:
    found = _found(request, public_id)
    page = reads.page(found, may_compare=Act.MANAGE_PERIOD in request.acts)
    if request.GET.get("format") == "csv":
        rows = [*page.found.unexplained, *page.found.explained]
        name = f"parity-{found.period.code}"
        return exports.csv_response(request, name=name, rows=rows, columns=reads.CSV)
    return render(request, "console/parity_pack.html", {"page": page, **_tabs()})


@require_POST
@requires(Act.MANAGE_PERIOD)
def compare(request: HttpRequest, public_id: str) -> HttpResponse:
    """The same figures beside the books as they are now."""
    found = _found(request, public_id)
    try:
        again = parity.compare_again(pack_id=found.public_id, actor=request.actor, now=request.now)
        messages.success(request, f"Compared: {len(again.differences)} differences.")
    except (ChangeRefused, PackRefused) as refusal:
        messages.error(request, str(refusal))
    return redirect("parity-pack", found.public_id)


@require_http_methods(["GET", "POST"])
@requires(Act.MANAGE_PERIOD)
def ask(request: HttpRequest, public_id: str) -> HttpResponse:
    found = _found(request, public_id)
    form = parity_forms.VerdictForm(request.POST or None)
    if form.is_bound and form.is_valid():
        approval = forms.attempt(
            form,
            lambda: parity.ask(
                pack=found,
                reason=form.cleaned_data["reason"],
                actor=request.actor,
                now=request.now,
            ),
        )
        if approval is not None:
            return asked_for(request, approval)
    context = {"page": reads.page(found, may_compare=True), "form": form, **_tabs()}
    status = REFUSED if form.errors else 200
    return render(request, "console/parity_ask.html", context, status=status)


def _found(request: HttpRequest, public_id: str) -> ReferencePack:
    pack: ReferencePack = record_or_404(reads.packs(request.book), public_id, book=request.book)
    return pack


def _tabs() -> dict[str, Any]:
    return {"kinds": list(statements.KINDS.values()), "current": "parity"}
