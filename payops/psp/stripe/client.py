"""One request to Stripe: its headers, one object by its id, one page of a list.

Never guesses: a page or an object that cannot be read is a reason. Serves design "Provider calls".
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from payops.core.http import HttpClient
from payops.psp import callkit
from payops.psp.calling import NoAnswer, NotFound
from payops.psp.strictjson import id_or_none

API_VERSION = "2024-06-20"
PAGE_ROWS = 100


def headers(api_key: str, idempotency_key: str | None = None) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {api_key}", "Stripe-Version": API_VERSION}
    if idempotency_key is None:
        return headers
    return headers | {
        "Content-Type": "application/x-www-form-urlencoded",
        "Idempotency-Key": idempotency_key,
    }


def fetched(
    collection: str,
    provider_ref: str,
    http: HttpClient,
    base_url: str,
    api_key: str,
    deadline_s: float,
) -> dict[str, Any] | NotFound | NoAnswer:
    return callkit.object_at(
        url=f"{base_url.rstrip('/')}/v1/{collection}",
        provider_ref=provider_ref,
        http=http,
        headers=headers(api_key),
        deadline_s=deadline_s,
    )


def page(
    collection: str,
    query: Mapping[str, object],
    cursor: str | None,
    http: HttpClient,
    base_url: str,
    api_key: str,
    deadline_s: float,
) -> tuple[list[dict[str, Any]], str | None, str]:
    """(rows, next cursor, why not); an unreadable page is a reason, never an empty list."""
    asked = {**query, "limit": PAGE_ROWS} | ({"starting_after": cursor} if cursor else {})
    status, body, reason = callkit.ask(
        http=http,
        url=f"{base_url.rstrip('/')}/v1/{collection}?{urlencode(asked)}",
        headers=headers(api_key),
        deadline_s=deadline_s,
    )
    if reason or status != 200:
        return [], None, reason or f"status_{status}"
    rows = body.get("data")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return [], None, "answer_unreadable"
    if body.get("has_more") is not True:
        return rows, None, ""
    following = id_or_none(rows[-1].get("id")) if rows else None
    if following is None or following == cursor:
        return [], None, "answer_unreadable"
    return rows, following, ""
