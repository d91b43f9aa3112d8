"""Stripe's payouts, the questions that settle an unknown one, and the listing of events.

Always sends our own idempotency key and a pinned API version. Never trusts an answer that does not
repeat amount, currency and our reference. Stripe has no search by metadata for payouts, so
`find_payout` reads the list since the attempt. Serves design "Provider calls", WH-15, WH-27, D14.
"""

from collections.abc import Mapping
from datetime import datetime
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
    ObjectState,
    PayoutLookup,
    PayoutOrder,
    PayoutState,
    PayoutStatus,
    StateLookup,
)
from payops.psp.signing import utc_from_unix
from payops.psp.strictjson import child, id_or_none, text_or_none
from payops.psp.stripe import client, proofs
from payops.psp.stripe.amounts import money_from_stripe, stripe_amount

PROVIDER_KEY_WINDOW_S = 24 * 3600
PAGES_MAX = 20
CLOCK_SLACK_S = 300
STATUSES: Mapping[str, PayoutStatus] = {
    "pending": "pending",
    "in_transit": "in_transit",
    "paid": "paid",
    "failed": "failed",
    "canceled": "canceled",
}


class StripeCalls:
    """See `payops.psp.calling.PayoutCalls`; base_url ends before `/v1`."""

    key_window_s = callkit.safe_key_window_s(PROVIDER_KEY_WINDOW_S)
    askable = frozenset(kind for kind in KINDS if proofs.collection_of(kind))

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
        """Raises MoneyError, before anything is sent, for a sum Stripe cannot express."""
        fields = {
            "amount": str(stripe_amount(order.amount)),
            "currency": order.amount.currency.lower(),
            "destination": order.destination_token,
            "description": order.description or order.merchant_ref,
            "metadata[payops_reference]": order.our_ref,
            "metadata[merchant_reference]": order.merchant_ref,
        }
        masked = fields | {"destination": callkit.masked_token(order.destination_token)}
        return callkit.send(
            http=http,
            url=f"{base_url.rstrip('/')}/v1/payouts",
            headers=client.headers(api_key, order.idempotency_key),
            body=urlencode(fields).encode("ascii"),
            deadline_s=deadline_s,
            request_masked=masked | {"idempotency_key": order.idempotency_key},
            expected=callkit.Expected(amount=order.amount, reference=order.our_ref),
            read_echo=_echo,
        )

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
        found = client.fetched("payouts", provider_ref, http, base_url, api_key, deadline_s)
        return found if isinstance(found, NotFound | NoAnswer) else _state(found)

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
        collection = proofs.collection_of(said.kind)
        if collection is None or said.kind not in self.askable:
            return NoAnswer(reason="not_offered")
        found = client.fetched(collection, said.provider_ref, http, base_url, api_key, deadline_s)
        if isinstance(found, NotFound | NoAnswer):
            return found
        if found.get("id") != said.provider_ref:
            return NoAnswer(reason="answer_unreadable")
        reached = proofs.reached(collection, found, said.kind)
        if isinstance(reached, NoAnswer):
            return reached
        return ObjectState(
            provider_ref=said.provider_ref,
            raw_status=text_or_none(found.get("status")) or "",
            reached=reached,
            amount=proofs.amount(collection, found, said.kind),
            our_ref=text_or_none(child(found, "metadata").get("payops_reference")),
            failure_code=proofs.failure_code(collection, found),
        )

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
        """Not found only when the whole list since `created_after` was read to its end."""
        since = int(created_after.timestamp()) - CLOCK_SLACK_S
        found: list[PayoutState] = []
        cursor = None
        for _ in range(PAGES_MAX):
            rows, cursor, reason = client.page(
                "payouts", {"created[gte]": since}, cursor, http, base_url, api_key, deadline_s
            )
            if reason:
                return NoAnswer(reason=reason)
            for row in rows:
                if child(row, "metadata").get("payops_reference") != our_ref:
                    continue
                state = _state(row)
                if not isinstance(state, PayoutState):
                    return state
                found.append(state)
            if cursor is None:
                break
        if cursor is not None:
            return NoAnswer(reason="list_too_long")
        if len(found) > 1:
            refs = tuple(state.provider_ref for state in found)
            return NoAnswer(reason="more_than_one", provider_refs=refs)
        return found[0] if found else NotFound(searched=our_ref)

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
        """All events since then, newest first, one page; the gates drop what is known already.

        Not only the undelivered ones: after a restore we may miss what Stripe saw delivered.
        """
        query = {"created[gte]": int(created_after.timestamp())}
        rows, following, reason = client.page(
            "events", query, cursor, http, base_url, api_key, deadline_s
        )
        bodies = tuple(callkit.json_bytes(row) for row in rows)
        return EventPage(bodies=bodies, cursor=following, error=reason or None)


def _echo(body: Mapping[str, Any]) -> callkit.Echo:
    return callkit.Echo(
        provider_ref=id_or_none(body.get("id")),
        status=text_or_none(body.get("status")),
        amount=callkit.money_or_none(
            lambda: money_from_stripe(body.get("amount"), body.get("currency"))
        ),
        reference=text_or_none(child(body, "metadata").get("payops_reference")),
    )


def _state(body: Mapping[str, Any]) -> PayoutState | NoAnswer:
    echo = _echo(body)
    status = STATUSES.get(echo.status or "")
    if echo.provider_ref is None or echo.amount is None or status is None:
        return NoAnswer(reason="answer_unreadable")
    return PayoutState(
        provider_ref=echo.provider_ref,
        status="returned" if body.get("reversed_by") else status,
        raw_status=echo.status or "",
        amount=echo.amount,
        our_ref=echo.reference,
        merchant_ref=text_or_none(child(body, "metadata").get("merchant_reference")),
        created_at=utc_from_unix(body.get("created")),
        failure_code=text_or_none(body.get("failure_code")),
        failure_message=text_or_none(body.get("failure_message")),
        failure_movement_ref=id_or_none(
            body.get("reversed_by") or body.get("failure_balance_transaction")
        ),
        movement_ref=id_or_none(body.get("balance_transaction")),
        trace_ref=text_or_none(child(body, "trace_id").get("value")),
    )
