"""My work, the page a person lands on: what waits for them by role (F22)."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from payops.console.access import signed_in
from payops.console.reads.my_work import my_work


@require_GET
@signed_in
def index(request: HttpRequest) -> HttpResponse:
    work = my_work(
        person=request.user.person,
        roles=request.roles,
        acts=request.acts,
        book=request.book,
        now=request.now,
    )
    return render(request, "console/home.html", {"work": work})
