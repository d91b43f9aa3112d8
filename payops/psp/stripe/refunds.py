"""Stripe's refunds, and the questions that settle an unknown one.

Stripe has no search by metadata for refunds, so `find_refund` reads the refunds of the payment to
the end and looks for our reference. Never trusts an answer that does not repeat amount, currency,
our reference and the payment. Serves RF-4 to RF-6, RF-10, RF-12, D14.
"""

import time
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
from payops.psp.strictjson import child, id_or_none, text_or_none
from payops.psp.stripe import client, proofs
from payops.psp.stripe.amounts import money_from_stripe, stripe_amount
from payops.psp.stripe.calls import PROVIDER_KEY_WINDOW_S
from payops.psp.stripe.events import OUR_REF, reference_of

PAGES_MAX = 5
INTENT = "pi_"


class StripeRefunds:
    """See `payops.psp.calling.RefundCalls`; base_url ends before `/v1`."""

    refund_key_window_s = callkit.safe_key_window_s(PROVIDER_KEY_WINDOW_S)
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
        """Raises MoneyError, before anything is sent, for a sum Stripe cannot express."""
        fields = {
            _payment_field(order.payment_provider_ref): order.payment_provider_ref,
            "amount": str(stripe_amount(order.amount)),
            "metadata[payops_reference]": order.our_ref,
            "metadata[merchant_reference]": order.merchant_ref,
        }
        masked = fields | {"idempotency_key": order.idempotency_key}
        if id_or_none(order.payment_provider_ref) is None:
            return callkit.never_sent("reference_malformed", masked)
        return callkit.send(
            http=http,
            url=f"{base_url.rstrip('/')}/v1/refunds",
            headers=client.headers(api_key, order.idempotency_key),
            body=urlencode(fields).encode("ascii"),
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
        listed = self.list_refunds(
            payment_provider_ref=payment_provider_ref,
            http=http,
            base_url=base_url,
            api_key=api_key,
            deadline_s=deadline_s,
        )
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
            return proofs.UNREADABLE
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
        """All pages share the deadline; a refund of another payment in them settles nothing."""
        if id_or_none(payment_provider_ref) is None:
            return NoAnswer(reason="reference_malformed")
        ends_at = time.monotonic() + deadline_s
        query = {_payment_field(payment_provider_ref): payment_provider_ref}
        found: list[RefundState] = []
        cursor = None
        for _ in range(PAGES_MAX):
            left_s = ends_at - time.monotonic()
            if left_s <= 0:
                return NoAnswer(reason="deadline")
            rows, cursor, reason = client.page(
                "refunds", query, cursor, http, base_url, api_key, left_s
            )
            if reason:
                return NoAnswer(reason=reason)
            for row in rows:
                if payment_provider_ref not in _payments_of(row):
                    return proofs.UNREADABLE
                state = _state(row)
                if not isinstance(state, RefundState):
                    return state
                found.append(state)
            if cursor is None:
                break
        return RefundList(refunds=tuple(found), complete=cursor is None)


def _payment_field(payment_provider_ref: str) -> str:
    return "payment_intent" if payment_provider_ref.startswith(INTENT) else "charge"


def _payments_of(body: Mapping[str, Any]) -> tuple[str, ...]:
    """The charge and the intent that a refund names."""
    named = (reference_of(body.get("charge")), reference_of(body.get("payment_intent")))
    return tuple(name for name in named if name)


def _echo(body: Mapping[str, Any], payment_provider_ref: str) -> callkit.Echo:
    """The answer must be about the payment we named, or it repeats nothing of ours."""
    about_ours = payment_provider_ref in _payments_of(body)
    ours = text_or_none(child(body, "metadata").get("payops_reference"))
    status = text_or_none(body.get("status"))
    return callkit.Echo(
        provider_ref=id_or_none(body.get("id")),
        status=status,
        amount=callkit.money_or_none(
            lambda: money_from_stripe(body.get("amount"), body.get("currency"))
        ),
        reference=ours if about_ours else None,
        reached=callkit.at_first(proofs.REFUND_STEPS.get(status or "", ())),
        movement_ref=reference_of(body.get("balance_transaction")),
    )


def _state(body: Mapping[str, Any]) -> RefundState | NoAnswer:
    payments, status = _payments_of(body), text_or_none(body.get("status")) or ""
    provider_ref, reached = id_or_none(body.get("id")), proofs.REFUND_STEPS.get(status)
    amount = callkit.money_or_none(
        lambda: money_from_stripe(body.get("amount"), body.get("currency"))
    )
    if provider_ref is None or amount is None or reached is None or not payments:
        return proofs.UNREADABLE
    ours = text_or_none(child(body, "metadata").get("payops_reference"))
    return RefundState(
        provider_ref=provider_ref,
        payment_provider_ref=payments[0],
        raw_status=status,
        reached=frozenset(reached),
        amount=amount,
        our_ref=ours if ours and OUR_REF.fullmatch(ours) else None,
        created_at=utc_from_unix(body.get("created")),
        failure_code=text_or_none(body.get("failure_reason")),
        movement_ref=reference_of(body.get("balance_transaction")),
        failure_movement_ref=reference_of(body.get("failure_balance_transaction")),
    )
