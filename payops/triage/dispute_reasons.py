"""Why customers dispute, in one set of words for every provider, and what wins (D9, RF-15).

A table: providers' and card schemes' codes are open sets, so an unknown one falls into "general".
`refund_reason` names the refund reason that says the same; `wins` is what banks decide by. Reads
nothing, decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DisputeReason:
    key: str
    words: str
    wins: tuple[str, ...]
    weak: str
    refund_reason: str = ""


_ROWS = (
    DisputeReason(
        "fraudulent",
        "the cardholder says that they did not pay",
        (
            "the result of the cardholder's authentication (3-D Secure) and of the address and "
            "security code checks",
            "earlier undisputed purchases with the same card, device and address",
            "signed delivery to the billing address, or logins and use of the service after paying",
        ),
        "an invoice or the terms alone; they do not show who paid",
        "fraud_reported",
    ),
    DisputeReason(
        "product_not_received",
        "the customer says that nothing arrived",
        (
            "the carrier's proof of delivery with date, address and signature",
            "for services and downloads: logs of access with date and time",
            "the promised delivery date, where it has not passed yet",
        ),
        "a shipping label without a delivery scan",
        "item_not_received",
    ),
    DisputeReason(
        "product_unacceptable",
        "the customer says that it was damaged or not as described",
        (
            "the description and pictures as they stood when it was bought",
            "the messages in which a repair, an exchange or a return was offered",
            "proof that it was not sent back, or that the return was refused with its reason",
        ),
        "the description as it stands today",
        "item_not_as_described",
    ),
    DisputeReason(
        "duplicate",
        "the customer says that they paid twice for one thing",
        (
            "both charges with their own order, date and delivery, which shows two purchases",
            "proof of the refund of the other charge, where there was one",
        ),
        "one invoice for both charges",
        "duplicate_charge",
    ),
    DisputeReason(
        "subscription_canceled",
        "the customer says that they had canceled before",
        (
            "the terms of cancellation and the customer's consent to them",
            "use of the service after the date on which they say it was canceled",
            "the reminder that was sent before the renewal",
        ),
        "the first purchase's consent alone",
        "order_canceled",
    ),
    DisputeReason(
        "credit_not_processed",
        "the customer says that a promised refund did not come",
        (
            "the refund's reference, amount and date at the provider",
            "the refund policy the customer agreed to, where no refund was due",
            "proof that the goods did not come back",
        ),
        "a promise of a refund without its reference",
        "item_returned",
    ),
    DisputeReason(
        "unrecognized",
        "the cardholder does not recognise the charge",
        (
            "the text on the card statement beside the receipt, with the order and its delivery",
            "the customer's own messages about the order",
        ),
        "the order number alone",
        "fraud_reported",
    ),
    DisputeReason(
        "processing_error",
        "the bank says that amount, currency or authorisation was not right",
        (
            "the authorisation with its code, amount and date",
            "the receipt with the amount and currency the customer agreed to",
        ),
        "the goods' delivery; it is not what the bank asks",
    ),
    DisputeReason(
        "debit_not_authorized",
        "the account holder says that there was no mandate",
        ("the signed or confirmed mandate with its date and reference",),
        "the invoice; the bank asks for the mandate",
        "fraud_reported",
    ),
    DisputeReason(
        "general",
        "the provider gives no reason that is known here",
        (
            "the order, its delivery or use, and the messages with the customer",
            "the terms as the customer accepted them",
        ),
        "anything that does not name this charge",
    ),
)
REASONS: Mapping[str, DisputeReason] = {row.key: row for row in _ROWS}
# Codes of providers and card schemes, as `_plain` writes them.
_SAID = {
    "fraudulent": "unauthorised unauthorized fraud 4837 4840 4870 4871 4849 f24 f29 uauthorised "
    "ua01 ua02",
    "product_not_received": "merchandise_or_service_not_received not_received 13_1 4855 c08 rg",
    "product_unacceptable": "merchandise_or_service_not_as_described not_as_described 13_3 13_4 "
    "13_5 4853 c31 c32",
    "duplicate": "duplicate_transaction 12_6 12_6_1 12_6_2 4834 payment_by_other_means c14 p08",
    "subscription_canceled": "canceled_recurring_billing 13_2 13_7 4841 c28 cancelled canceled",
    "credit_not_processed": "13_6 4860 c02 c04 refund_not_processed",
    "unrecognized": "4863 unrecognised",
    "processing_error": "incorrect_amount incorrect_currency noncompliant bank_cannot_process "
    "4808 4831 4842 4846 incorrect_account_details",
    "debit_not_authorized": "md06 md01 customer_initiated",
}
KNOWN: Mapping[str, str] = {code: key for key, codes in _SAID.items() for code in codes.split()}
FAMILIES = (("10_", "fraudulent"), ("11_", "processing_error"), ("12_", "processing_error"))


def reason_of(code: str) -> DisputeReason:
    said = re.sub(r"[^a-z0-9]+", "_", code.strip().lower()).strip("_")
    if said in REASONS:
        return REASONS[said]
    if said in KNOWN:
        return REASONS[KNOWN[said]]
    return REASONS[next((key for head, key in FAMILIES if said.startswith(head)), "general")]
