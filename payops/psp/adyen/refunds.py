"""Adyen's refunds: an order that is received, and nothing that could be asked afterwards.

The answer proves no more than that Adyen took the order; whether the refund was made is told by its
notification alone. So only the same key, or an event, settles an unknown. Serves RF-4 to RF-6,
RF-10, D14.
"""

from collections.abc import Mapping
from typing import Any

from payops.core.http import HttpClient
from payops.psp import callkit
from payops.psp.adyen import answers, fields, listing
from payops.psp.adyen.amounts import adyen_value, money_from_adyen
from payops.psp.base import NO_SETTINGS
from payops.psp.calling import CallOutcome, NoAnswer, RefundList, RefundLookup, RefundOrder
from payops.psp.strictjson import child, text_or_none

PROVIDER_KEY_WINDOW_S = 7 * 24 * 3600
REFUNDS = "/checkout/v71/payments/{payment}/refunds"
RECEIVED = {"received": frozenset({"refund.accepted"})}
NOT_OFFERED = NoAnswer(reason="not_offered")


class AdyenRefunds:
    """See `payops.psp.calling.RefundCalls`.

    `base_url` ends before `/checkout`; where refunds have a host of their own, the account's
    setting `checkout_url` names it. Needs the setting `merchant_account`.
    """

    refund_key_window_s = callkit.safe_key_window_s(PROVIDER_KEY_WINDOW_S)
    finds_refunds = False

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
        """Raises MoneyError, before anything is sent, for a sum Adyen cannot express."""
        amount = {"value": adyen_value(order.amount), "currency": order.amount.currency}
        told: dict[str, object] = {
            "merchantAccount": settings.get("merchant_account", ""),
            "amount": amount,
            "reference": order.our_ref,
        }
        masked = told | {
            "payment": order.payment_provider_ref,
            "idempotency_key": order.idempotency_key,
        }
        payment = callkit.path_id(order.payment_provider_ref)
        if payment is None or not told["merchantAccount"]:
            reason = "merchant_account_missing" if payment else "reference_malformed"
            return callkit.never_sent(reason, masked)
        host = settings.get("checkout_url") or base_url
        outcome = callkit.send(
            http=http,
            url=f"{host.rstrip('/')}{REFUNDS.format(payment=payment)}",
            headers=listing.headers(api_key, order.idempotency_key),
            body=callkit.json_bytes(told),
            deadline_s=deadline_s,
            request_masked=masked,
            expected=callkit.Expected(amount=order.amount, reference=order.our_ref),
            read_echo=lambda body: _echo(body, payment),
            read_error=listing.error_word,
        )
        return answers.settled(outcome)

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
        return NOT_OFFERED

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
        return NOT_OFFERED

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
        return NOT_OFFERED


def _echo(body: Mapping[str, Any], payment: str) -> callkit.Echo:
    """The answer must be about the payment we named, or it repeats nothing of ours."""
    about_ours = body.get("paymentPspReference") == payment
    stated, status = child(body, "amount"), text_or_none(body.get("status"))
    return callkit.Echo(
        provider_ref=fields.reference(body.get("pspReference")),
        status=status,
        amount=callkit.money_or_none(
            lambda: money_from_adyen(stated.get("value"), stated.get("currency"))
        ),
        reference=text_or_none(body.get("reference")) if about_ours else None,
        reached=RECEIVED.get(status or "", frozenset()),
    )
