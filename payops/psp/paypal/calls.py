"""PayPal's payouts, the questions that settle an unknown one, and the listing of events.

A payout is a batch of one item whose sender_batch_id is our idempotency key, so PayPal itself
refuses the second one and links the first. Never trusts an answer that does not repeat amount,
currency and our reference. Serves design "Provider calls", WH-15, WH-27, D14.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from payops.core.http import HttpClient
from payops.psp import callkit
from payops.psp.base import KINDS, NO_SETTINGS, NormalizedEvent
from payops.psp.calling import (
    CallOutcome,
    EventPage,
    NoAnswer,
    NotFound,
    PayoutLookup,
    PayoutOrder,
    StateLookup,
)
from payops.psp.paypal import events, links, states
from payops.psp.paypal.amounts import paypal_amount
from payops.psp.paypal.client import Api
from payops.psp.paypal.submission import Submission
from payops.psp.paypal.timestamps import rfc3339
from payops.psp.strictjson import child, id_or_none

PAYOUT_KEY_WINDOW_S = 30 * 24 * 3600
PAGE_ROWS = 100
PAGES_MAX = 20
CLOCK_SLACK = timedelta(minutes=5)
EVENTS_PATH = "/v1/notifications/webhooks-events"
CURSOR = re.compile(r"[A-Za-z0-9%&=_.:+~-]{1,1500}", re.ASCII)

Reader = Callable[[Mapping[str, Any], NormalizedEvent], StateLookup]
# What an event is about → where it can be asked for, and how the answer is read.
OBJECTS: tuple[tuple[str, str, Reader], ...] = (
    ("payout.", "/v1/payments/payouts-item/", states.payout_reached),
    ("payment.", "/v2/payments/captures/", states.capture_reached),
    ("refund.observed", "/v2/payments/captures/", states.capture_reached),
    ("refund.", "/v2/payments/refunds/", states.refund_reached),
    ("dispute.funds_withdrawn", "/v2/payments/refunds/", states.refund_reached),
    ("dispute.", "/v1/customer/disputes/", states.dispute_reached),
)
# No state of a refund tells that its money came back, none of a dispute that it did; a wish is
# nobody's object yet.
NEVER_SHOWN = frozenset({"refund.returned", "refund.requested", "dispute.funds_returned"})


class PayPalCalls:
    """See `payops.psp.calling.PayoutCalls`; base_url ends before `/v1`.

    `api_key` is "client id:client secret".
    """

    key_window_s = callkit.safe_key_window_s(PAYOUT_KEY_WINDOW_S)
    askable = frozenset(
        kind
        for kind in KINDS
        if kind.startswith(tuple(prefix for prefix, _, _ in OBJECTS)) and kind not in NEVER_SHOWN
    )

    def submit_payout(
        self,
        *,
        order: PayoutOrder,
        http: HttpClient,
        base_url: str,
        api_key: str,
        deadline_s: float,
        settings: Mapping[str, str] = NO_SETTINGS,
    ) -> CallOutcome:
        """Raises MoneyError, before anything is sent, for a sum PayPal cannot express."""
        api = Api(http=http, base_url=base_url, api_key=api_key, deadline_s=deadline_s)
        amount = paypal_amount(order.amount, currency_field="currency")
        return Submission(api, order).made(amount)

    def fetch_payout(
        self,
        *,
        provider_ref: str,
        http: HttpClient,
        base_url: str,
        api_key: str,
        deadline_s: float,
        settings: Mapping[str, str] = NO_SETTINGS,
    ) -> PayoutLookup:
        """One payout item, by its own id."""
        api = Api(http=http, base_url=base_url, api_key=api_key, deadline_s=deadline_s)
        body = api.found("/v1/payments/payouts-item/", provider_ref)
        return states.payout_state(body) if isinstance(body, dict) else body

    def find_payout(
        self,
        *,
        our_ref: str,
        created_after: datetime,
        http: HttpClient,
        base_url: str,
        api_key: str,
        deadline_s: float,
        settings: Mapping[str, str] = NO_SETTINGS,
    ) -> PayoutLookup:
        """PayPal has no search by a sender's reference: its own list of events is read instead.

        Not found only when that list was read to its end. No event yet does not prove that there
        is no batch; sending the same sender_batch_id again then proves it, safely.
        """
        api = Api(http=http, base_url=base_url, api_key=api_key, deadline_s=deadline_s)
        found: dict[str, None] = {}
        cursor = None
        for _ in range(PAGES_MAX):
            rows, cursor, reason = _page(api, created_after - CLOCK_SLACK, cursor)
            if reason:
                return NoAnswer(reason=reason)
            for row in rows:
                item = child(row, "resource")
                named = child(item, "payout_item").get("sender_item_id") == our_ref
                if named and str(row.get("event_type")).startswith(events.ITEM):
                    found[id_or_none(item.get("payout_item_id")) or ""] = None
            if cursor is None:
                break
        if cursor is not None:
            return NoAnswer(reason="list_too_long")
        if len(found) > 1:
            return NoAnswer(reason="more_than_one", provider_refs=tuple(found))
        if not found:
            return NotFound(searched=our_ref)
        body = api.found("/v1/payments/payouts-item/", next(iter(found)))
        # An item that told of itself is there; whatever else is answered settles nothing.
        if isinstance(body, NotFound):
            return NoAnswer(reason="item_told_of_but_missing", provider_refs=tuple(found))
        return states.payout_state(body) if isinstance(body, dict) else body

    def fetch_state(
        self,
        *,
        said: NormalizedEvent,
        http: HttpClient,
        base_url: str,
        api_key: str,
        deadline_s: float,
        settings: Mapping[str, str] = NO_SETTINGS,
    ) -> StateLookup:
        if said.kind not in self.askable:
            return NoAnswer(reason="not_offered")
        for prefix, path, read in OBJECTS:
            if said.kind.startswith(prefix):
                api = Api(http=http, base_url=base_url, api_key=api_key, deadline_s=deadline_s)
                body = api.found(path, said.provider_ref)
                return read(body, said) if isinstance(body, dict) else body
        return NoAnswer(reason="not_offered")

    def list_events(
        self,
        *,
        created_after: datetime,
        cursor: str | None,
        http: HttpClient,
        base_url: str,
        api_key: str,
        deadline_s: float,
        settings: Mapping[str, str] = NO_SETTINGS,
    ) -> EventPage:
        """All events since then, one page; the gates drop what is known already."""
        api = Api(http=http, base_url=base_url, api_key=api_key, deadline_s=deadline_s)
        rows, following, reason = _page(api, created_after, cursor)
        bodies = tuple(callkit.json_bytes(row) for row in rows)
        return EventPage(bodies=bodies, cursor=following, error=reason or None)


def _page(
    api: Api, since: datetime, cursor: str | None
) -> tuple[list[dict[str, Any]], str | None, str]:
    """(rows, next cursor, why not); an unreadable page is a reason, never an empty list."""
    if cursor is not None and not CURSOR.fullmatch(cursor):
        return [], None, "cursor_malformed"
    query = cursor or urlencode(
        {
            "start_time": rfc3339(since),
            "end_time": rfc3339(datetime.now(UTC) + CLOCK_SLACK),
            "page_size": PAGE_ROWS,
        }
    )
    status, body, reason = api.ask(f"{EVENTS_PATH}?{query}")
    rows = body.get("events")
    if reason or status != 200:
        return [], None, reason or f"status_{status}"
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return [], None, "answer_unreadable"
    following, reason = _next_cursor(api, body)
    if reason or (following is not None and following == cursor):
        return [], None, reason or "answer_unreadable"
    return rows, following, ""


def _next_cursor(api: Api, body: Mapping[str, Any]) -> tuple[str | None, str]:
    """The query of the next link, which alone is kept: the host that is asked stays ours."""
    for row in links.rows(body):
        if row.get("rel") != "next":
            continue
        found = links.address(row.get("href"))
        if not (found.netloc == api.host or found.hostname in links.LIVE_OF_HOST):
            return None, "next_link_elsewhere"
        if not found.path.endswith(EVENTS_PATH) or not CURSOR.fullmatch(found.query):
            return None, "answer_unreadable"
        return found.query, ""
    return None, ""
