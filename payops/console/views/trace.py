"""Trace: one box for any id, the chain behind it, and its evidence pack."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from payops.console.access import requires
from payops.console.reads import trace as reads
from payops.core.roles import Act
from payops.flows import evidence_pack
from payops.flows.trace.chain import trace


@require_GET
@requires(Act.VIEW_BOOKS)
def index(request: HttpRequest) -> HttpResponse:
    text = request.GET.get("q", "")
    shown = {"query": text, "page": reads.page(text)}
    return render(request, "console/trace.html", shown)


@require_POST
@requires(Act.EXPORT_EVIDENCE)
def pack(request: HttpRequest) -> HttpResponse:
    """A POST because making a pack is written to the audit."""
    text = request.POST.get("q", "")
    try:
        made = evidence_pack.export(chain=trace(text), actor=request.actor, now=request.now)
    except evidence_pack.NothingToPack as refusal:
        messages.error(request, f"No pack was made: {refusal}")
        return redirect(f"{reverse('trace')}?q={text[:200]}")
    return HttpResponse(
        made.content,
        content_type="application/zip",
        headers={
            "Content-Disposition": f'attachment; filename="{made.filename}"',
            "Cache-Control": "no-store",
        },
    )
