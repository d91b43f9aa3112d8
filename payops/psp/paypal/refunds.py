"""PayPal's refunds, and the questions that settle an unknown one.

PayPal cannot be searched by our reference and lists no refunds of a capture: the order that the
capture belongs to shows all of them. Our reference goes out twice, as custom_id and as invoice_id,
so that an account which blocks a second use of an invoice number refuses a second refund even after
the key was forgotten. Serves RF-4 to RF-6, RF-10, RF-12, D14.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

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
from payops.psp.paypal import events, links, states
from payops.psp.paypal.amounts import money_from_paypal, paypal_amount
from payops.psp.paypal.client import Api, error_word
from payops.psp.paypal.timestamps import utc_from_rfc3339
from payops.psp.strictjson import child, id_or_none, text_or_none

PROVIDER_KEY_WINDOW_S = 45 * 24 * 3600
CAPTURES = "/v2/payments/captures/"
REFUNDS = "/v2/payments/refunds/"
ORDERS = "/v2/checkout/orders/"
UNITS_MAX = 10
# A refund under our reference exists, or one with this key is being made: nothing is refused.
OPEN_ERRORS = frozenset({"DUPLICATE_INVOICE_ID", "PREVIOUS_REQUEST_IN_PROGRESS"})


class PayPalRefunds:
    """See `payops.psp.calling.RefundCalls`; base_url ends before `/v2`."""

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
        """Raises MoneyError, before anything is sent, for a sum PayPal cannot express."""
        fields = {
            "amount": paypal_amount(order.amount, currency_field="currency_code"),
            "custom_id": order.our_ref,
            "invoice_id": order.our_ref,
        }
        masked = fields | {
            "capture": order.payment_provider_ref,
            "merchant_reference": order.merchant_ref,
            "idempotency_key": order.idempotency_key,
        }
        capture = callkit.path_id(order.payment_provider_ref)
        if capture is None:
            return callkit.never_sent("reference_malformed", masked)
        api = Api(http=http, base_url=base_url, api_key=api_key, deadline_s=deadline_s)
        outcome = api.send(
            f"{CAPTURES}{capture}/refund",
            fields=fields,
            idempotency_key=order.idempotency_key,
            request_masked=masked,
            expected=callkit.Expected(amount=order.amount, reference=order.our_ref),
            read_echo=lambda body: _echo(body, capture),
            read_error=error_word,
        )
        if outcome.kind == "refused" and outcome.error_code in OPEN_ERRORS:
            return replace(outcome, kind="unknown")
        return outcome

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
        api = Api(http=http, base_url=base_url, api_key=api_key, deadline_s=deadline_s)
        found = api.found(REFUNDS, provider_ref)
        if isinstance(found, NotFound | NoAnswer):
            return found
        state = _state(found)
        if isinstance(state, RefundState) and state.provider_ref != provider_ref:
            return states.UNREADABLE
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
        """Two questions within the deadline: the capture names its order, which shows refunds."""
        api = Api(http=http, base_url=base_url, api_key=api_key, deadline_s=deadline_s)
        capture = api.found(CAPTURES, payment_provider_ref)
        if isinstance(capture, NotFound):
            return NoAnswer(reason="payment_missing")
        if isinstance(capture, NoAnswer):
            return capture
        related = child(child(capture, "supplementary_data"), "related_ids")
        order_ref = id_or_none(related.get("order_id"))
        if capture.get("id") != payment_provider_ref:
            return states.UNREADABLE
        if order_ref is None:
            return NoAnswer(reason="order_not_named")
        order = api.found(ORDERS, order_ref)
        if isinstance(order, NotFound):
            return NoAnswer(reason="order_missing")
        if isinstance(order, NoAnswer):
            return order
        return _refunds_of(order, order_ref, payment_provider_ref)


def _refunds_of(order: Mapping[str, Any], order_ref: str, capture: str) -> RefundList | NoAnswer:
    """Read only from an order that shows this very capture."""
    units = order.get("purchase_units")
    if order.get("id") != order_ref or not isinstance(units, list) or len(units) > UNITS_MAX:
        return states.UNREADABLE
    found, shown = [], False
    for unit in units:
        payments = child(unit, "payments")
        captures, refunds = payments.get("captures", []), payments.get("refunds", [])
        if not isinstance(captures, list) or not isinstance(refunds, list):
            return states.UNREADABLE
        shown |= any(isinstance(each, dict) and each.get("id") == capture for each in captures)
        for row in refunds:
            state = _state(row) if isinstance(row, dict) else states.UNREADABLE
            if not isinstance(state, RefundState):
                return state
            if state.payment_provider_ref == capture:
                found.append(state)
    return RefundList(refunds=tuple(found)) if shown else NoAnswer(reason="capture_not_shown")


def _echo(body: Mapping[str, Any], capture: str) -> callkit.Echo:
    """A link up to another capture than ours means that the answer repeats nothing of ours."""
    about_ours = links.capture_above(body) in (None, capture)
    provider_ref, status = id_or_none(body.get("id")), text_or_none(body.get("status"))
    return callkit.Echo(
        provider_ref=provider_ref,
        status=status,
        amount=callkit.money_or_none(lambda: money_from_paypal(body.get("amount"))),
        reference=text_or_none(body.get("custom_id")) if about_ours else None,
        reached=callkit.at_first(states.REFUND_REACHED.get(status or "", frozenset())),
        movement_ref=provider_ref,
    )


def _state(body: Mapping[str, Any]) -> RefundState | NoAnswer:
    provider_ref, capture = id_or_none(body.get("id")), links.capture_above(body)
    status = text_or_none(body.get("status")) or ""
    reached = states.REFUND_REACHED.get(status)
    amount = callkit.money_or_none(lambda: money_from_paypal(body.get("amount")))
    if provider_ref is None or capture is None or amount is None or reached is None:
        return states.UNREADABLE
    code, message = events.failure(body)
    return RefundState(
        provider_ref=provider_ref,
        payment_provider_ref=capture,
        raw_status=status,
        reached=reached,
        amount=amount,
        our_ref=events.our_ref_of(body),
        created_at=utc_from_rfc3339(body.get("create_time")),
        failure_code=code,
        failure_message=message,
        movement_ref=provider_ref,
    )
