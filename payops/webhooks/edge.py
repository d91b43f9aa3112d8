"""Answers webhook addresses ahead of every other middleware: no session, no cookie, no login.

Stands first in MIDDLEWARE. An address it does not know is 404 like any other, and
is counted with the noise.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from payops.core import clock
from payops.webhooks.noise import noise
from payops.webhooks.views import receive

PREFIX = "/webhooks/"
ADDRESS = re.compile(r"/webhooks/([^/]+)/([^/]+)/")
Responder = Callable[[HttpRequest], HttpResponse]


class WebhookEdge:
    def __init__(self, get_response: Responder) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith(PREFIX):
            return self.get_response(request)
        address = ADDRESS.fullmatch(request.path_info)
        if address is None:
            noise.count(account_id=None, reason="unknown_address", kept=False, now=clock.utc_now())
            return HttpResponse(status=404, headers={"Content-Length": "0"})
        return receive(request, provider=address[1], account=address[2])
