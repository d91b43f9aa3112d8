"""Per request: the strict content security policy, the clock reading and who is calling."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from payops.core import clock
from payops.core.actors import Actor
from payops.core.roles import acts_of

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'"
)
Responder = Callable[[HttpRequest], HttpResponse]


class ContentSecurityPolicy:
    def __init__(self, get_response: Responder) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response


class Caller:
    """Sets `request.now`, and for a signed-in person `request.roles`, `.acts` and `.actor`."""

    def __init__(self, get_response: Responder) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        now = clock.utc_now()
        request.now = now  # type: ignore[attr-defined]
        request.roles, request.acts, request.actor = frozenset(), frozenset(), None  # type: ignore[attr-defined]
        if request.path.startswith(("/webhooks/", "/static/", "/api/", "/healthz")):
            return self.get_response(request)
        user = request.user
        if user.is_authenticated and user.is_active and user.person_id is not None:
            request.roles = user.person.roles_at(now)  # type: ignore[attr-defined]
            request.acts = acts_of(request.roles)  # type: ignore[attr-defined]
            request.actor = Actor(  # type: ignore[attr-defined]
                channel="browser",
                person_id=user.person_id,
                login=user.username,
                user_id=user.pk,
            )
        return self.get_response(request)
