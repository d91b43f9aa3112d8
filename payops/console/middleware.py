"""Per request: the strict content policy, the clock reading, the book, and who is calling."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from payops.core import clock
from payops.core.actors import Actor
from payops.core.models import Book, User
from payops.core.roles import acts_of

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'"
)
MACHINE_PATHS = ("/webhooks/", "/static/", "/api/", "/healthz")
Responder = Callable[[HttpRequest], HttpResponse]


class ContentSecurityPolicy:
    def __init__(self, get_response: Responder) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response


class Caller:
    """Sets what views read: `request.now`, `.book`, and for a person `.roles`, `.acts`, `.actor`.

    Times on the page are those of the book's zone. Records nothing. Somebody who has left, or a
    login without a person, acts as nobody.
    """

    def __init__(self, get_response: Responder) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        now = clock.utc_now()
        request.now = now  # type: ignore[attr-defined]
        request.roles, request.acts = frozenset(), frozenset()  # type: ignore[attr-defined]
        request.actor = request.book = None  # type: ignore[attr-defined]
        if request.path.startswith(MACHINE_PATHS):
            return self.get_response(request)
        user = request.user
        if not user.is_authenticated or not user.is_active or not works_here(user, now):
            return self.get_response(request)
        request.roles = user.person.roles_at(now)  # type: ignore[attr-defined, union-attr]
        request.acts = acts_of(request.roles)  # type: ignore[attr-defined]
        request.actor = Actor(  # type: ignore[attr-defined]
            channel="browser", person_id=user.person_id, login=user.username, user_id=user.pk
        )
        book = Book.objects.filter(is_system=False).order_by("code").first()
        request.book = book  # type: ignore[attr-defined]
        if book is None:
            return self.get_response(request)
        with timezone.override(clock.zone(book.time_zone)):
            return self.get_response(request)


def works_here(user: User, now: datetime) -> bool:
    """The login belongs to a person who has not left."""
    person = user.person
    return person is not None and (person.left_at is None or person.left_at > now)
