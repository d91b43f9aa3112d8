"""How long requests took, by part of the site and kind of answer; the only thing counted in memory.

Stands before the webhook edge. Two clock readings and one addition per request: no statement, no
lock shared between processes, no import while a request waits.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from django.http import HttpRequest, HttpResponse
from prometheus_client import Histogram

from payops.core import tracing

Responder = Callable[[HttpRequest], HttpResponse]
PARTS = ("webhooks", "api", "static", "metrics", "healthz")
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# Shared by the web processes; the library does not make the directory it is told to use.
if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
    Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).mkdir(mode=0o700, parents=True, exist_ok=True)
SECONDS = Histogram(
    "payops_request_seconds",
    "Time to answer a request",
    ("part", "status"),
    buckets=BUCKETS_S,
)
_KNOWN = {
    (part, status): SECONDS.labels(part, f"{status}xx")
    for part in (*PARTS, "console")
    for status in (2, 3, 4, 5)
}


class RequestTimes:
    def __init__(self, get_response: Responder) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        tracing.go_on("")  # threads are used again; the last request's trace is not this one's
        began = perf_counter()
        answer = self.get_response(request)
        head = request.path_info[1:].partition("/")[0]
        part = head if head in PARTS else "console"
        counted = _KNOWN.get((part, answer.status_code // 100))
        if counted is not None:
            counted.observe(perf_counter() - began)
        return answer


def webhook_answered(status: int, seconds: float) -> None:
    """The same count for webhooks, which are answered before any middleware."""
    counted = _KNOWN.get(("webhooks", status // 100))
    if counted is not None:
        counted.observe(seconds)
