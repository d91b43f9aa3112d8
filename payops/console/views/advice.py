"""Settings, advice: how it is switched, how often people chose what it suggested, what it cost."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from payops.console.access import requires
from payops.console.reads import advice as reads
from payops.core.roles import Act


@require_GET
@requires(Act.VIEW_BOOKS)
def index(request: HttpRequest) -> HttpResponse:
    shown = {
        "mode": reads.mode(now=request.now),
        "rates": reads.rates(request.book, now=request.now),
        "discarded": reads.discarded(request.book),
        "days": reads.COUNTED.days,
    }
    return render(request, "console/advice.html", shown)
