"""One request to the generic provider: its headers, one object by its id, one list.

Never guesses: a list or an object that cannot be read is a reason. Serves design "Provider calls".
"""

from typing import Any

from payops.core.http import HttpClient
from payops.psp import callkit
from payops.psp.calling import NoAnswer, NotFound


def headers(api_key: str, idempotency_key: str | None = None) -> dict[str, str]:
    own = {"Authorization": f"Bearer {api_key}"}
    if idempotency_key is None:
        return own
    return own | {"Content-Type": "application/json", "Idempotency-Key": idempotency_key}


def fetched(
    collection: str,
    provider_ref: str,
    http: HttpClient,
    base_url: str,
    api_key: str,
    deadline_s: float,
) -> dict[str, Any] | NotFound | NoAnswer:
    return callkit.object_at(
        url=f"{base_url.rstrip('/')}/{collection}",
        provider_ref=provider_ref,
        http=http,
        headers=headers(api_key),
        deadline_s=deadline_s,
    )


def page(
    url: str, http: HttpClient, api_key: str, deadline_s: float
) -> tuple[list[dict[str, Any]], bool, str]:
    """(rows, whether there are more, why not); an unreadable list is never an empty one."""
    status, body, reason = callkit.ask(
        http=http, url=url, headers=headers(api_key), deadline_s=deadline_s
    )
    if reason or status != 200:
        return [], False, reason or f"status_{status}"
    rows = body.get("data")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return [], False, "answer_unreadable"
    return rows, body.get("has_more") is True, ""
