"""How the book is kept: its settings in words, and the request to change them (D5, D12, F14)."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_http_methods

from payops.console import forms
from payops.console.access import requires
from payops.console.answers import asked_for
from payops.console.period_forms import BookForm
from payops.console.reads import books as reads
from payops.core.roles import Act
from payops.flows import period_requests

REFUSED = 422


@require_GET
@requires(Act.VIEW_BOOKS)
def record(request: HttpRequest) -> HttpResponse:
    return render(request, "console/book.html", {"page": reads.book_page(request.book)})


@require_http_methods(["GET", "POST"])
@requires(Act.MANAGE_PERIOD)
def change(request: HttpRequest) -> HttpResponse:
    """Finance asks; finance and treasury decide."""
    form = BookForm(request.POST or None, book=request.book)
    if form.is_bound and form.is_valid():
        approval = forms.attempt(
            form,
            lambda: period_requests.request_settings(
                book=request.book,
                values=form.wanted,
                reason=form.cleaned_data["reason"],
                actor=request.actor,
                now=request.now,
            ),
        )
        if approval is not None:
            return asked_for(request, approval)
    status = REFUSED if form.errors else 200
    return render(request, "console/book_settings.html", {"form": form}, status=status)
