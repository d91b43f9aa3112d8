"""One conversation with PayPal's API: a token, a shared deadline, one new token after a 401.

Owns how PayPal words its errors. Never follows a link: paths are ours, the host is the account's.
Serves design "Provider calls" and D14.
"""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from payops.core.http import HttpClient
from payops.psp import callkit
from payops.psp.calling import CallOutcome, NoAnswer, NotFound
from payops.psp.paypal.oauth import TOKENS, TokenAway
from payops.psp.strictjson import text_or_none

TRIES = 2
LAST_WORD_S = 0.5
MISSING = frozenset({"RESOURCE_NOT_FOUND", "INVALID_RESOURCE_ID", "ITEM_NOT_FOUND"})


class Api:
    """Made for one act; all its requests share `deadline_s`."""

    def __init__(self, *, http: HttpClient, base_url: str, api_key: str, deadline_s: float) -> None:
        self._http, self._api_key = http, api_key
        self._base_url = base_url.rstrip("/")
        self.host = urlsplit(self._base_url).netloc
        self._ends_at = time.monotonic() + deadline_s

    def ask(self, path: str) -> tuple[int, dict[str, Any], str]:
        """GET a JSON object: (status, body, why not). A reason: nothing may be concluded."""
        stale = ""
        status, reason = 0, "no_answer"
        body: dict[str, Any] = {}
        for _ in range(TRIES):
            try:
                token = self._token(stale)
            except TokenAway as error:
                return error.status or 0, {}, error.reason
            status, body, reason = callkit.ask(
                http=self._http,
                url=self._base_url + path,
                headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
                deadline_s=self._left_s(),
            )
            if status != 401:
                break
            stale = token
        if reason.startswith("status_"):
            reason = error_word(body) or reason
        return status, body, reason

    def found(self, path: str, provider_ref: str) -> dict[str, Any] | NotFound | NoAnswer:
        """One object by its id."""
        safe_ref = callkit.path_id(provider_ref)
        if safe_ref is None:
            return NoAnswer(reason="reference_malformed")
        status, body, reason = self.ask(path + safe_ref)
        if reason:
            return NoAnswer(reason=reason)
        if status == 404:
            missing = says_missing(body)
            return NotFound(searched=safe_ref) if missing else NoAnswer(reason="status_404")
        return body

    def send(
        self,
        path: str,
        *,
        fields: Mapping[str, object],
        idempotency_key: str,
        request_masked: Mapping[str, object],
        expected: callkit.Expected,
        read_echo: Callable[[Mapping[str, Any]], callkit.Echo],
        read_error: Callable[[Mapping[str, Any]], str | None],
    ) -> CallOutcome:
        """Make one money-moving POST; a 401 proves that nothing was done. Raises nothing."""
        stale, started_at = "", datetime.now(UTC)
        for attempt in range(TRIES):
            try:
                token = self._token(stale)
            except TokenAway as error:
                return CallOutcome(
                    kind="failed",
                    started_at=started_at,
                    finished_at=datetime.now(UTC),
                    status_code=error.status,
                    error_code=error.reason,
                    request_masked=request_masked,
                )
            outcome = callkit.send(
                http=self._http,
                url=self._base_url + path,
                headers={
                    "Authorization": f"Bearer {token}",
                    "Content-Type": "application/json",
                    "Accept": "application/json",
                    "PayPal-Request-Id": idempotency_key,
                    "Prefer": "return=representation",
                },
                body=callkit.json_bytes(fields),
                deadline_s=self._left_s(),
                request_masked=request_masked,
                expected=expected,
                read_echo=read_echo,
                read_error=read_error,
            )
            if outcome.status_code != 401 or attempt + 1 == TRIES:
                break
            stale = token
        return outcome

    def _token(self, stale: str) -> str:
        return TOKENS.bearer(
            http=self._http,
            base_url=self._base_url,
            api_key=self._api_key,
            deadline_s=self._left_s(),
            instead_of=stale,
        )

    def _left_s(self) -> float:
        return max(self._ends_at - time.monotonic(), LAST_WORD_S)


def error_word(body: Mapping[str, Any]) -> str | None:
    """The machine word of an error: the first detail's issue where it is one, else the name."""
    for row in error_details(body):
        issue = text_or_none(row.get("issue"))
        if issue and issue.replace("_", "").isalnum():
            return issue
    return text_or_none(body.get("name")) or text_or_none(body.get("error"))


def error_details(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = body.get("details")
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def says_missing(body: Mapping[str, Any]) -> bool:
    """A 404 in PayPal's own words; a proxy's 404 has none."""
    return body.get("name") in MISSING
