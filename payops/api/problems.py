"""Every refusal of the API as problem+json (RFC 9457), from one table.

Owns the kinds of problem and the translation of exceptions into them. Never shows a technical
detail, a secret or whether a record exists in another book. Serves LJ-14, WH-14, AU-8.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404, JsonResponse
from rest_framework import exceptions

from payops.core.state import StaleState

log = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:payops:problem:"
RETRY_AFTER_S = "2"
ERRORS_MAX = 20


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem. `final`: time cannot change it, so it is kept under the key (D17a)."""

    slug: str
    status: int
    title: str
    final: bool = False


KINDS = {
    kind.slug: kind
    for kind in (
        Kind("malformed-json", 400, "The body is not acceptable JSON"),
        Kind("malformed-query", 400, "The query is not acceptable"),
        Kind("idempotency-key-missing", 400, "The Idempotency-Key header is missing"),
        Kind("idempotency-key-invalid", 400, "The Idempotency-Key header is not acceptable"),
        Kind("unauthenticated", 401, "A valid API key is needed"),
        Kind("act-not-allowed", 403, "This API key does not hold the permission"),
        Kind("not-found", 404, "There is nothing at this address"),
        Kind("method-not-allowed", 405, "This address does not take this method"),
        Kind("idempotency-key-reused", 409, "The key was used for other facts"),
        Kind("not-now", 409, "Not possible as things stand"),
        Kind("length-required", 411, "The request needs a Content-Length"),
        Kind("too-large", 413, "The body is too large"),
        Kind("unsupported-media-type", 415, "The body must be application/json"),
        Kind("invalid-fields", 422, "Some fields are not acceptable", final=True),
        Kind("unknown-reference", 422, "Something named in the request is not known"),
        Kind("payout-refused", 422, "The payout was refused", final=True),
        Kind("refund-request-reused", 409, "The request id holds other facts", final=True),
        Kind("refund-refused", 422, "The refund is refused as things stand"),
        Kind("posting-key-reused", 409, "The posting key holds other facts", final=True),
        Kind("impossible-state", 409, "The books rule it out as they stand; a case is open"),
        Kind("entry-refused", 422, "The entry was refused", final=True),
        Kind("failed", 500, "The request failed on our side"),
        Kind("try-again", 503, "Nothing was done; try again with the same key"),
    )
}
_OF_DRF: tuple[tuple[type[Exception], str], ...] = (
    (exceptions.NotAuthenticated, "unauthenticated"),
    (exceptions.AuthenticationFailed, "unauthenticated"),
    (exceptions.PermissionDenied, "act-not-allowed"),
    (PermissionDenied, "act-not-allowed"),
    (exceptions.NotFound, "not-found"),
    (Http404, "not-found"),
    (exceptions.MethodNotAllowed, "method-not-allowed"),
    (exceptions.UnsupportedMediaType, "unsupported-media-type"),
    (exceptions.ParseError, "malformed-json"),
    (exceptions.ValidationError, "invalid-fields"),
)
_TRANSIENT = (OperationalError, InterfaceError, StaleState)


class Problem(Exception):
    """A refusal with its words; `more` are extension members of the answer."""

    def __init__(self, slug: str, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.kind = KINDS[slug]
        self.detail = detail
        self.more = more

    def body(self) -> dict[str, Any]:
        return {
            "type": TYPE_PREFIX + self.kind.slug,
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
            **self.more,
        }


def invalid_fields(errors: dict[str, list[str]]) -> Problem:
    """The fields that were not understood, each with its rule."""
    listed = [
        {"field": name[:64], "detail": str(words)}
        for name, several in errors.items()
        for words in several
    ][:ERRORS_MAX]
    words = "; ".join(f"{error['field']}: {error['detail']}" for error in listed)
    return Problem("invalid-fields", words, errors=listed)


def answer(problem: Problem, *, headers: dict[str, str] | None = None) -> JsonResponse:
    return json_answer(problem.body(), status=problem.kind.status, headers=headers)


def json_answer(
    body: dict[str, Any], *, status: int, headers: dict[str, str] | None = None
) -> JsonResponse:
    """Members in one order, so that a replayed answer has the bytes of the first."""
    return JsonResponse(
        body,
        status=status,
        headers=headers,
        content_type=CONTENT_TYPE if status >= 400 else "application/json",
        json_dumps_params={"sort_keys": True},
    )


def problem_response(error: Exception, context: dict[str, Any]) -> JsonResponse:
    """REST framework's exception handler: nothing leaves the API but problem+json."""
    problem = problem_of(error)
    headers = {}
    if problem.kind.status == 401:
        headers["WWW-Authenticate"] = getattr(error, "auth_header", "Bearer")
    if problem.kind.status == 503:
        headers["Retry-After"] = RETRY_AFTER_S
    if isinstance(error, exceptions.MethodNotAllowed):
        headers["Allow"] = ", ".join(context["view"].allowed_methods)
    if problem.kind.status >= 500:
        log.error("the API answers %s", problem.kind.status, exc_info=error)
    return answer(problem, headers=headers)


def problem_of(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, _TRANSIENT):
        return Problem("try-again", "The records are busy or the database is away.")
    for kind, slug in _OF_DRF:
        if isinstance(error, kind):
            words = str(getattr(error, "detail", "")) or KINDS[slug].title
            return Problem(slug, words)
    return Problem("failed", "It is recorded; a repeat with the same key is safe.")
