"""Calls of the generic provider: JSON over HTTPS, our reference is searchable.

Always sends our own idempotency key. Never trusts an answer that does not repeat amount, currency
and our reference. base_url ends before `/payouts`. Serves design "Provider calls", WH-15, D14.
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
    RefundLookup,
    RefundState,
    StateLookup,
)
from payops.psp.signing import utc_from_unix
from payops.psp.standard import client, refunds
from payops.psp.standard.adapter import money_from_standard
from payops.psp.strictjson import id_or_none, text_or_none

STATUSES: Mapping[str, PayoutStatus] = {
    "pending": "pending",
    "in_transit": "in_transit",
    "paid": "paid",
    "failed": "failed",
    "reversed": "returned",
    "canceled": "canceled",
}
# What a payout in that state proves to have happened. A failed one does not say whether it had
# been in transit or paid before.
REACHED: Mapping[PayoutStatus, frozenset[str]] = {
    "pending": frozenset({"payout.initiated"}),
    "in_transit": frozenset({"payout.initiated", "payout.in_transit"}),
    "paid": frozenset({"payout.initiated", "payout.in_transit", "payout.paid"}),
    "failed": frozenset({"payout.initiated", "payout.failed"}),
    "returned": frozenset(
        {"payout.initiated", "payout.in_transit", "payout.paid", "payout.returned"}
    ),
    "canceled": frozenset({"payout.initiated", "payout.canceled"}),
}
# A wish is nobody's object yet, and a refund that was merely observed is not named.
NEVER_SHOWN = frozenset({"refund.requested", "refund.observed"})
HIDDEN_BY_FAILURE = ("payout.in_transit", "payout.paid")


class StandardCalls:
    """See `payops.psp.calling.PayoutCalls`. The key window is not published, so six hours."""

    key_window_s = callkit.safe_key_window_s(None)
    # Payouts and refunds: the provider shows no payment and no dispute by its reference.
    askable = frozenset(
        kind
        for kind in KINDS
        if kind.startswith(("payout.", "refund.")) and kind not in NEVER_SHOWN
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
        fields: dict[str, object] = {
            "reference": order.our_ref,
            "merchant_reference": order.merchant_ref,
            "amount": order.amount.minor,
            "currency": order.amount.currency,
            "destination": {"token": order.destination_token},
            "description": order.description or order.merchant_ref,
        }
        masked = fields | {
            "destination": callkit.masked_token(order.destination_token),
            "idempotency_key": order.idempotency_key,
        }
        return callkit.send(
            http=http,
            url=f"{base_url.rstrip('/')}/payouts",
            headers=client.headers(api_key, order.idempotency_key),
            body=callkit.json_bytes(fields),
            deadline_s=deadline_s,
            request_masked=masked,
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
        if said.kind not in self.askable:
            return NoAnswer(reason="not_offered")
        if said.kind.startswith("refund."):
            return _refund_state(
                said,
                refunds.StandardRefunds().fetch_refund(
                    provider_ref=said.provider_ref,
                    http=http,
                    base_url=base_url,
                    api_key=api_key,
                    deadline_s=deadline_s,
                ),
            )
        state = self.fetch_payout(
            provider_ref=said.provider_ref,
            http=http,
            base_url=base_url,
            api_key=api_key,
            deadline_s=deadline_s,
        )
        if not isinstance(state, PayoutState):
            return state
        if state.provider_ref != said.provider_ref:
            return NoAnswer(reason="answer_unreadable")
        if state.status == "failed" and said.kind in HIDDEN_BY_FAILURE:
            return NoAnswer(reason=f"failed_hides_{said.kind.partition('.')[2]}")
        return ObjectState(
            provider_ref=state.provider_ref,
            raw_status=state.raw_status,
            reached=REACHED[state.status],
            amount=state.amount,
            our_ref=state.our_ref,
            failure_code=state.failure_code,
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
        """The provider filters by reference; what comes back is filtered again."""
        rows, more, reason = client.page(
            f"{base_url.rstrip('/')}/payouts?{urlencode({'reference': our_ref})}",
            http,
            api_key,
            deadline_s,
        )
        if reason or more:
            return NoAnswer(reason=reason or "list_too_long")
        states = [_state(row) for row in rows if row.get("reference") == our_ref]
        if len(states) > 1:
            refs = tuple(text_or_none(row.get("id")) or "" for row in rows)
            return NoAnswer(reason="more_than_one", provider_refs=refs)
        return states[0] if states else NotFound(searched=our_ref)

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
        """One page after the event `cursor`, oldest first; older than `created_after` left out."""
        query = f"?{urlencode({'after': cursor})}" if cursor else ""
        rows, more, reason = client.page(
            f"{base_url.rstrip('/')}/events{query}", http, api_key, deadline_s
        )
        if reason:
            return EventPage(bodies=(), cursor=None, error=reason)
        following = id_or_none(rows[-1].get("id")) if rows and more else None
        since = int(created_after.timestamp())
        bodies = tuple(
            callkit.json_bytes(row)
            for row in rows
            if type(row.get("created")) is not int or row["created"] >= since
        )
        return EventPage(bodies=bodies, cursor=following)


def _refund_state(said: NormalizedEvent, found: RefundLookup) -> StateLookup:
    if not isinstance(found, RefundState):
        return found
    if found.raw_status == "failed" and said.kind == "refund.succeeded":
        return NoAnswer(reason="failed_hides_succeeded")
    return ObjectState(
        provider_ref=found.provider_ref,
        raw_status=found.raw_status,
        reached=found.reached,
        amount=found.amount,
        our_ref=found.our_ref,
        failure_code=found.failure_code,
    )


def _echo(body: Mapping[str, Any]) -> callkit.Echo:
    return callkit.Echo(
        provider_ref=id_or_none(body.get("id")),
        status=text_or_none(body.get("status")),
        amount=callkit.money_or_none(
            lambda: money_from_standard(body.get("amount"), body.get("currency"))
        ),
        reference=text_or_none(body.get("reference")),
    )


def _state(body: Mapping[str, Any]) -> PayoutState | NoAnswer:
    echo = _echo(body)
    status = STATUSES.get(echo.status or "")
    if echo.provider_ref is None or echo.amount is None or status is None:
        return NoAnswer(reason="answer_unreadable")
    back = f"{echo.provider_ref}:back" if status == "returned" else None
    return PayoutState(
        provider_ref=echo.provider_ref,
        status=status,
        raw_status=echo.status or "",
        amount=echo.amount,
        our_ref=echo.reference,
        merchant_ref=text_or_none(body.get("merchant_reference")),
        created_at=utc_from_unix(body.get("created")),
        failure_code=text_or_none(body.get("failure_code")),
        failure_message=text_or_none(body.get("failure_message")),
        failure_movement_ref=back,
        movement_ref=echo.provider_ref,
        trace_ref=text_or_none(body.get("trace_id")),
    )
