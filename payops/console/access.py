"""Who may open a screen: one permission per view, named by act (SE-4).

A refusal is a page that names the missing permission and the roles that have it. Never decides
whether an act is right; that is the service's work.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import resolve_url

from payops.console import errors
from payops.core.ids import UnknownId
from payops.core.models import Book
from payops.core.records import Record
from payops.core.roles import Act

View = Callable[..., HttpResponse]


def requires(act: Act) -> Callable[[View], View]:
    """Let a view run for signed-in people whose roles grant `act`; others get the 403 page."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            refusal = refuse(request, act)
            return refusal if refusal is not None else view(request, *args, **kwargs)

        guarded.required_act = act  # type: ignore[attr-defined]
        return guarded

    return decorate


def refuse(request: HttpRequest, act: Act | None = None) -> HttpResponse | None:
    """The answer for somebody who may not go on; None when they may."""
    if not request.user.is_authenticated:
        return _to_sign_in(request)
    if request.actor is None:  # type: ignore[attr-defined]
        return errors.not_a_person(request)
    if act is not None and act not in request.acts:  # type: ignore[attr-defined]
        return errors.forbidden_act(request, act)
    if request.book is None:  # type: ignore[attr-defined]
        return errors.no_book(request)
    return None


def signed_in(view: View) -> View:
    """Let a view run for every person who is signed in, whatever their roles."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        refusal = refuse(request)
        return refusal if refusal is not None else view(request, *args, **kwargs)

    return guarded


def key_or_404(model: type[Record], public_id: str) -> Any:
    """The primary key behind a public id of this kind of record."""
    try:
        return model.key_of(public_id)
    except UnknownId as error:
        raise Http404(str(error)) from error


def record_or_404(rows: Any, public_id: str, *, book: Book) -> Any:
    """One record of the book by its public id; `rows` is the query that brings what it needs."""
    found = rows.filter(book=book, pk=key_or_404(rows.model, public_id)).first()
    if found is None:
        noun = rows.model._meta.verbose_name
        raise Http404(f"There is no {noun} {public_id} in the book {book.name}.")
    return found


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    """A fragment cannot show the sign-in page inside a panel, so the whole page goes there."""
    if getattr(request, "htmx", False):
        return HttpResponse(status=204, headers={"HX-Redirect": resolve_url(settings.LOGIN_URL)})
    return redirect_to_login(request.get_full_path())
