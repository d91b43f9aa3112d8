"""Refunds at the generic provider: JSON, searchable by our reference and by the payment.

Never trusts an answer that does not repeat amount, currency, our reference and the payment.
base_url ends before `/refunds`. Serves RF-4 to RF-6, RF-10, RF-12, D14.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from payops.core.http import HttpClient
from payops.psp import callkit
from payops.psp.base import NO_SETTINGS
from payops.psp.calling import (
    CallOutcome,
    NoAnswer,
    NotFound,
    RefundList,
    RefundLookup,
    RefundOrder,
    RefundState,
)
from payops.psp.signing import utc_from_unix
from payops.psp.standard import client
from payops.psp.standard.adapter import OUR_REF, money_from_standard
from payops.psp.strictjson import id_or_none, text_or_none

# What a refund in that state proves to have happened; a failed one does not say whether it had
# succeeded before.
REACHED: Mapping[str, frozenset[str]] = {
    "pending": frozenset({"refund.accepted"}),
    "succeeded": frozenset({"refund.accepted", "refund.succeeded"}),
    "failed": frozenset({"refund.accepted", "refund.failed", "refund.failed_late"}),
    "reversed": frozenset(
        {"refund.accepted", "refund.succeeded", "refund.failed_late", "refund.returned"}
    ),
    "canceled": frozenset({"refund.accepted", "refund.canceled"}),
}
UNREADABLE = NoAnswer(reason="answer_unreadable")


class StandardRefunds:
    """See `payops.psp.calling.RefundCalls`. The key window is not published, so six hours."""

    refund_key_window_s = callkit.safe_key_window_s(None)
    finds_refunds = True

    def submit_refund(
        self,
        *,
        order: RefundOrder,
        http: HttpClient,
        base_url: str,
        api_key: str,
        deadline_s: float,
        settings: Mapping[str, str] = NO_SETTINGS,
    ) -> CallOutcome:
        fields: dict[str, object] = {
            "payment": order.payment_provider_ref,
            "reference": order.our_ref,
            "merchant_reference": order.merchant_ref,
            "amount": order.amount.minor,
            "currency": order.amount.currency,
        }
        masked = fields | {"idempotency_key": order.idempotency_key}
        if id_or_none(order.payment_provider_ref) is None:
            return callkit.never_sent("reference_malformed", masked)
        return callkit.send(
            http=http,
            url=f"{base_url.rstrip('/')}/refunds",
            headers=client.headers(api_key, order.idempotency_key),
            body=callkit.json_bytes(fields),
            deadline_s=deadline_s,
            request_masked=masked,
            expected=callkit.Expected(amount=order.amount, reference=order.our_ref),
            read_echo=lambda body: _echo(body, order.payment_provider_ref),
        )

    def find_refund(
        self,
        *,
        our_ref: str,
        payment_provider_ref: str,
        http: HttpClient,
        base_url: str,
        api_key: str,
        deadline_s: float,
        settings: Mapping[str, str] = NO_SETTINGS,
    ) -> RefundLookup:
        """The provider filters by reference; what comes back is filtered again."""
        listed = _listed({"reference": our_ref}, http, base_url, api_key, deadline_s)
        return callkit.the_one(our_ref=our_ref, listed=listed)

    def fetch_refund(
        self,
        *,
        provider_ref: str,
        http: HttpClient,
        base_url: str,
        api_key: str,
        deadline_s: float,
        settings: Mapping[str, str] = NO_SETTINGS,
    ) -> RefundLookup:
        found = client.fetched("refunds", provider_ref, http, base_url, api_key, deadline_s)
        if isinstance(found, NotFound | NoAnswer):
            return found
        state = _state(found)
        if isinstance(state, RefundState) and state.provider_ref != provider_ref:
            return UNREADABLE
        return state

    def list_refunds(
        self,
        *,
        payment_provider_ref: str,
        http: HttpClient,
        base_url: str,
        api_key: str,
        deadline_s: float,
        settings: Mapping[str, str] = NO_SETTINGS,
    ) -> RefundList | NoAnswer:
        if id_or_none(payment_provider_ref) is None:
            return NoAnswer(reason="reference_malformed")
        listed = _listed({"payment": payment_provider_ref}, http, base_url, api_key, deadline_s)
        if isinstance(listed, RefundList) and any(
            state.payment_provider_ref != payment_provider_ref for state in listed.refunds
        ):
            return UNREADABLE
        return listed


def _listed(
    query: Mapping[str, str], http: HttpClient, base_url: str, api_key: str, deadline_s: float
) -> RefundList | NoAnswer:
    """One page holds a hundred; a payment with more refunds is for a person to look at."""
    url = f"{base_url.rstrip('/')}/refunds?{urlencode(query)}"
    rows, more, reason = client.page(url, http, api_key, deadline_s)
    if reason:
        return NoAnswer(reason=reason)
    found = []
    for row in rows:
        state = _state(row)
        if not isinstance(state, RefundState):
            return state
        found.append(state)
    return RefundList(refunds=tuple(found), complete=not more)


def _echo(body: Mapping[str, Any], payment_provider_ref: str) -> callkit.Echo:
    """The answer must be about the payment we named, or it repeats nothing of ours."""
    about_ours = body.get("payment") == payment_provider_ref
    provider_ref, status = id_or_none(body.get("id")), text_or_none(body.get("status"))
    return callkit.Echo(
        provider_ref=provider_ref,
        status=status,
        amount=callkit.money_or_none(
            lambda: money_from_standard(body.get("amount"), body.get("currency"))
        ),
        reference=text_or_none(body.get("reference")) if about_ours else None,
        reached=callkit.at_first(REACHED.get(status or "", frozenset())),
        movement_ref=provider_ref,
    )


def _state(body: Mapping[str, Any]) -> RefundState | NoAnswer:
    provider_ref, payment = id_or_none(body.get("id")), id_or_none(body.get("payment"))
    status = text_or_none(body.get("status")) or ""
    reached = REACHED.get(status)
    amount = callkit.money_or_none(
        lambda: money_from_standard(body.get("amount"), body.get("currency"))
    )
    if provider_ref is None or payment is None or amount is None or reached is None:
        return UNREADABLE
    ours = text_or_none(body.get("reference"))
    return RefundState(
        provider_ref=provider_ref,
        payment_provider_ref=payment,
        raw_status=status,
        reached=reached,
        amount=amount,
        our_ref=ours if ours and OUR_REF.fullmatch(ours) else None,
        created_at=utc_from_unix(body.get("created")),
        failure_code=text_or_none(body.get("failure_code")),
        failure_message=text_or_none(body.get("failure_message")),
        movement_ref=provider_ref,
        failure_movement_ref=f"{provider_ref}:back" if status == "reversed" else None,
    )
