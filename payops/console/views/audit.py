"""The audit explorer and the verification of its chain."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from payops.console import exports, filters, paging
from payops.console.access import requires
from payops.console.reads import audit as reads
from payops.core.roles import Act


@require_GET
@requires(Act.VIEW_AUDIT)
def index(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    wanted = filters.read(request.GET, reads.CONTROLS)
    rows = reads.listed(request.book, wanted)
    if exports.wanted(request, wanted):
        return exports.csv_response(
            request,
            name="audit",
            rows=rows.order_by("-pk").iterator(chunk_size=exports.CHUNK),
            columns=reads.CSV,
        )
    page = paging.keyset(rows, query=request.GET, order="-pk")
    return render(request, "console/audit.html", {"filters": wanted, "page": page})


@require_GET
@requires(Act.VIEW_AUDIT)
def verify(request: HttpRequest) -> HttpResponse:
    shown = {"verified": reads.verify(now=request.now), "most": reads.SEALS_VERIFIED_MAX}
    return render(request, "console/audit_verify.html", shown)
