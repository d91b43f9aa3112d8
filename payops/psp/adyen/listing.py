"""The list of a balance account's transfers, read page by page (WH-27, D14).

Owns the window that stays the same on every page and the cursor inside a page's link. Never calls
the address in a link, and never takes an unreadable page for an empty one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from payops.core.http import HttpClient
from payops.psp import callkit
from payops.psp.strictjson import child, text_or_none

TRANSFERS = "/btl/v4/transfers"
PAGE_ROWS = 100
PAGES_MAX = 20
CURSOR_CHARS_MAX = 500
CLOCK_SLACK = timedelta(seconds=300)
CURSOR_SEPARATOR = "~"


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """One question for a list: the same on every page, so that no row falls between two."""

    balance_account: str
    since: str
    until: str
    cursor: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """An unreadable page has a reason, never just no rows."""

    rows: tuple[dict[str, Any], ...] = ()
    cursor: str | None = None
    reason: str = ""


def headers(api_key: str, idempotency_key: str | None = None) -> dict[str, str]:
    named = {"X-API-Key": api_key}
    if idempotency_key is None:
        return named
    return named | {"Content-Type": "application/json", "Idempotency-Key": idempotency_key}


def error_word(body: Mapping[str, Any]) -> str | None:
    """Adyen's errors carry their code at the top."""
    return text_or_none(body.get("errorCode"))


def ask(
    *, http: HttpClient, url: str, api_key: str, deadline_s: float
) -> tuple[int, dict[str, Any], str]:
    """(status, body, why not); see `callkit.ask`."""
    status, body, reason = callkit.ask(
        http=http, url=url, headers=headers(api_key), deadline_s=deadline_s
    )
    if reason == f"status_{status}":
        reason = error_word(body) or reason
    return status, body, reason


def window_of(settings: Mapping[str, str], since: datetime, cursor: str | None) -> Window | None:
    """None without a balance account. `cursor` is one that `following` made."""
    balance_account = settings.get("balance_account", "")
    if not balance_account:
        return None
    until, _, after = (cursor or "").partition(CURSOR_SEPARATOR)
    return Window(
        balance_account=balance_account,
        since=_instant(since),
        until=until or _instant(datetime.now(UTC) + CLOCK_SLACK),
        cursor=after or None,
    )


def pages(
    window: Window, http: HttpClient, base_url: str, api_key: str, deadline_s: float
) -> Iterator[Page]:
    """Every page to the end; a list that does not end is a reason like any other."""
    for _ in range(PAGES_MAX):
        page = page_of(window, http, base_url, api_key, deadline_s)
        yield page
        if page.cursor is None:
            return
        window = replace(window, cursor=page.cursor)
    yield Page(reason="list_too_long")


def page_of(
    window: Window, http: HttpClient, base_url: str, api_key: str, deadline_s: float
) -> Page:
    query = {
        "balanceAccountId": window.balance_account,
        "createdSince": window.since,
        "createdUntil": window.until,
        "limit": PAGE_ROWS,
    } | ({"cursor": window.cursor} if window.cursor else {})
    status, body, reason = ask(
        http=http,
        url=f"{base_url.rstrip('/')}{TRANSFERS}?{urlencode(query)}",
        api_key=api_key,
        deadline_s=deadline_s,
    )
    if reason or status != 200:
        return Page(reason=reason or f"status_{status}")
    rows = body.get("data")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return Page(reason="answer_unreadable")
    link = child(body, "_links").get("next")
    if link is None:
        return Page(rows=tuple(rows))
    cursor = _cursor_of(link)
    if cursor is None or cursor == window.cursor:
        return Page(reason="answer_unreadable")
    return Page(rows=tuple(rows), cursor=cursor)


def following(window: Window, page: Page) -> str | None:
    """What to ask with for the page after this one, as one text."""
    return f"{window.until}{CURSOR_SEPARATOR}{page.cursor}" if page.cursor else None


def _cursor_of(link: object) -> str | None:
    """The cursor inside the link; the address around it is never called."""
    href = link.get("href") if isinstance(link, dict) else link
    if not isinstance(href, str):
        return None
    try:
        values = parse_qs(urlsplit(href).query).get("cursor", [])
    except ValueError:
        return None
    return values[0] if len(values) == 1 and len(values[0]) <= CURSOR_CHARS_MAX else None


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
