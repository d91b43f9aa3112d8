"""Answers webhook addresses ahead of everything else: no session, no cookie, no login.

`Door` stands before the site in the web process, so that a webhook costs no more than itself; the
middleware does the same wherever the site is reached by another way. An address it does not know
is 404 like any other, and is counted with the noise.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse

from payops.core import clock
from payops.webhooks.noise import noise
from payops.webhooks.views import Answer, receive

log = logging.getLogger(__name__)

PREFIX = "/webhooks/"
ADDRESS = re.compile(r"/webhooks/([^/]+)/([^/]+)/")
NOT_FOUND = Answer(404, (("Content-Length", "0"),), b"")
STATUS_LINES = {each.value: f"{each.value} {each.phrase}" for each in HTTPStatus}
Responder = Callable[[HttpRequest], HttpResponse]
Site = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Watch = Callable[[int, float], None]


class Door:
    """WSGI application; `watch` is told the status of each webhook and the seconds it took."""

    def __init__(self, site: Site, *, watch: Watch) -> None:
        self._site = site
        self._watch = watch

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if not path.startswith(PREFIX):
            return self._site(environ, start_response)
        began = time.perf_counter()
        answer = _answer(path, environ)
        start_response(STATUS_LINES[answer.status], list(answer.headers))
        try:
            self._watch(answer.status, time.perf_counter() - began)
        except (OSError, ValueError) as error:
            # The event is stored by now: a full disk of counters must not cost its answer (D15).
            log.warning("a webhook was answered but not counted: %s", error)
        return [answer.body]


class WebhookEdge:
    """Middleware; stands first."""

    def __init__(self, get_response: Responder) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith(PREFIX):
            return self.get_response(request)
        answer = _answer(request.path_info, request.META)
        return HttpResponse(answer.body, status=answer.status, headers=dict(answer.headers))


def _answer(path: str, meta: dict[str, Any]) -> Answer:
    address = ADDRESS.fullmatch(path)
    if address is None:
        noise.count(account_id=None, reason="unknown_address", kept=False, now=clock.utc_now())
        return NOT_FOUND
    return receive(meta, provider=address[1], account=address[2])
