"""PayPal event → canonical kind, by type and the status of its resource.

Owns the table. What the batch events say is said better by those of its item, which alone carry
our reference. Raises EventRefused when the event contradicts itself. Serves WH-29, PX-3, PX-8 and
PX-16.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from payops.core.money import Money, MoneyError
from payops.psp.base import LIMITS, EventRefused, NormalizedEvent
from payops.psp.methods import method_or_none
from payops.psp.paypal import disputes, links
from payops.psp.paypal.amounts import money_from_paypal
from payops.psp.paypal.timestamps import utc_from_rfc3339
from payops.psp.strictjson import child, id_or_none, text_or_none

OUR_REF = re.compile(r"[a-z]{2}_[0-9a-f]{32}", re.ASCII)
WHOLE_NUMBER = re.compile(r"[0-9]{1,15}", re.ASCII)
ROWS_MAX = 50
CAPTURE = "PAYMENT.CAPTURE."
REFUND = "PAYMENT.REFUND."
DISPUTE = "CUSTOMER.DISPUTE."
BATCH = "PAYMENT.PAYOUTSBATCH."
ITEM = "PAYMENT.PAYOUTS-ITEM."

Event = Mapping[str, Any]
Subject = Mapping[str, Any]
Classified = tuple[str, str]

BACK_STATUSES = frozenset({"RETURNED", "REFUNDED", "REVERSED"})
# type -> (kind, the statuses that may go with it; the statuses of later states included)
ITEM_KINDS: Mapping[str, tuple[str, frozenset[str]]] = {
    "SUCCEEDED": ("payout.paid", frozenset({"SUCCESS"}) | BACK_STATUSES),
    "FAILED": ("payout.failed", frozenset({"FAILED"})),
    "BLOCKED": ("payout.failed", frozenset({"BLOCKED", "FAILED"})),
    "DENIED": ("payout.failed", frozenset({"DENIED", "FAILED", "BLOCKED"})),
    "UNCLAIMED": ("payout.in_transit", frozenset({"UNCLAIMED", "SUCCESS", "RETURNED"})),
    "HELD": ("payout.in_transit", frozenset({"ONHOLD", "HELD", "PENDING", "SUCCESS", "FAILED"})),
    "RETURNED": ("payout.returned", BACK_STATUSES),
    "REFUNDED": ("payout.returned", BACK_STATUSES),
    "CANCELED": ("payout.canceled", frozenset({"CANCELED", "CANCELLED", "RETURNED"})),
}
CAPTURED_STATUSES = frozenset({"COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"})
CAPTURE_FAILED_STATUSES = frozenset({"DECLINED", "FAILED", "DENIED"})
REFUND_KINDS = {
    "PENDING": "refund.accepted",
    "COMPLETED": "refund.succeeded",
    "FAILED": "refund.failed_late",
    "CANCELLED": "refund.canceled",
    "CANCELED": "refund.canceled",
}
WALLET = "paypal"
# A capture that was refunded shows its own sum, not the refund's.
AMOUNT_UNKNOWN = ("ignored", "refund.observed")
AMOUNT_OPTIONAL = ("dispute.",)


def envelope(event: Event) -> tuple[str, str, dict[str, Any]]:
    """(event id, type, resource). Raises EventRefused."""
    event_id, event_type = id_or_none(event.get("id")), id_or_none(event.get("event_type"))
    if event_id is None:
        raise EventRefused("event_id_missing")
    if event_type is None:
        raise EventRefused("event_type_missing")
    subject = child(event, "resource")
    if not subject:
        raise EventRefused("object_missing")
    return event_id, event_type, subject


def object_id(event_type: str, subject: Subject) -> str:
    """The id of what the event is about, empty when it names none."""
    if event_type.startswith(ITEM):
        found = subject.get("payout_item_id")
    elif event_type.startswith(BATCH):
        found = child(subject, "batch_header").get("payout_batch_id")
    elif event_type.startswith(DISPUTE):
        found = subject.get("dispute_id")
    else:
        found = subject.get("id")
    return id_or_none(found) or ""


def occurred_at(event: Event) -> datetime | None:
    return utc_from_rfc3339(event.get("create_time"))


def status_of(subject: Subject) -> str:
    header = child(subject, "batch_header")
    for stated in (
        subject.get("transaction_status"),
        subject.get("status"),
        header.get("batch_status"),
    ):
        if isinstance(stated, str) and stated:
            return stated[: LIMITS.text_chars_max]
    return ""


def failure(subject: Subject) -> tuple[str | None, str | None]:
    """(code, message): a payout item names an error, a capture a reason, a dispute its own."""
    stated = subject.get("errors")
    if isinstance(stated, list):
        stated = stated[0] if stated else None
    error = stated if isinstance(stated, dict) else {}
    code = error.get("name") or child(subject, "status_details").get("reason")
    if code is None and "dispute_id" in subject:
        code = subject.get("reason")
    return text_or_none(code), text_or_none(error.get("message"))


def amount_member(event_type: str, subject: Subject) -> object:
    """The member that holds the sum, as it stands."""
    if event_type.startswith(ITEM):
        return child(subject, "payout_item").get("amount")
    if event_type.startswith(BATCH):
        return child(subject, "batch_header").get("amount")
    return subject.get("dispute_amount" if event_type.startswith(DISPUTE) else "amount")


def stated_amount(event_type: str, subject: Subject) -> Money:
    """Raises EventRefused."""
    return money_from_paypal(amount_member(event_type, subject))


def our_ref_of(subject: Subject) -> str | None:
    """Our reference on a refund: sent as custom_id and as invoice_id."""
    for stated in (subject.get("custom_id"), subject.get("invoice_id")):
        if isinstance(stated, str) and OUR_REF.fullmatch(stated):
            return stated
    return None


def unclaimed_code(code: str | None) -> bool:
    """Whether an error says that the recipient could never take the money."""
    return bool(code and code.startswith("RECEIVER_UN"))


def normalize(event: Event) -> NormalizedEvent:
    event_id, event_type, subject = envelope(event)
    kind, reason = classify(event, event_type, subject)
    ref = object_id(event_type, subject)
    if not ref and kind != "ignored":
        raise EventRefused("object_id_missing")
    amount = _amount(kind, event_type, subject)
    our_ref, merchant_ref, seller_ref, stated_fee = _references(event_type, subject)
    code, message = failure(subject)
    moved = None if kind == "refund.observed" else _movement_ref(event_type, subject)
    disputed = event_type.startswith(DISPUTE)
    return NormalizedEvent(
        kind=kind,
        provider="paypal",
        provider_event_id=event_id,
        provider_ref=ref,
        raw_type=event_type,
        status=status_of(subject),
        occurred_at=occurred_at(event),
        live=links.live_flag(event, subject),
        merchant_ref=merchant_ref,
        our_ref=our_ref,
        amount=amount,
        fee=_fee(kind, subject, amount),
        platform_fee=_platform_fee(kind, subject, amount, stated_fee),
        currency=amount.currency if amount else None,
        seller_ref=seller_ref,
        failure_code=code,
        failure_message=message,
        movement_ref=moved,
        failure_movement_ref=_money_back_ref(kind, event_type, moved or ref),
        original_provider_ref=ref if kind == "refund.observed" else _original(event_type, subject),
        trace_ref=text_or_none(subject.get("activity_id"), LIMITS.id_chars_max),
        method=_method(kind, subject),
        reason=reason,
        due_at=disputes.due_at(subject) if disputed else None,
        refundable=kind in disputes.FREED if disputed else None,
        stage=disputes.stage(subject) if disputed else None,
    )


def classify(event: Event, event_type: str, subject: Subject) -> Classified:
    """(kind, why it is ignored). Raises EventRefused."""
    for prefix, family in _FAMILIES:
        if event_type.startswith(prefix):
            return family(event, event_type.removeprefix(prefix), subject)
    return "ignored", "no_meaning_here"


def _classify_item(event: Event, word: str, subject: Subject) -> Classified:
    kind, fitting = ITEM_KINDS.get(word, ("ignored", frozenset()))
    if kind == "ignored":
        return kind, "no_meaning_here"
    status = status_of(subject)
    if status and status not in fitting:
        raise EventRefused("status_contradicts_type")
    if word == "RETURNED" and unclaimed_code(failure(subject)[0]):
        # Money that nobody could claim was never paid: it failed, and is back.
        return "payout.failed", ""
    return kind, ""


def _classify_batch(event: Event, word: str, subject: Subject) -> Classified:
    return "ignored", "told_by_item_events"


def _classify_capture(event: Event, word: str, subject: Subject) -> Classified:
    status = status_of(subject)
    if word == "COMPLETED":
        if status and status not in CAPTURED_STATUSES:
            raise EventRefused("status_contradicts_type")
        return "payment.captured", ""
    if word in ("DECLINED", "DENIED"):
        if status and status not in CAPTURE_FAILED_STATUSES:
            raise EventRefused("status_contradicts_type")
        return "payment.failed", ""
    if word == "PENDING":
        return "ignored", "payment_pending"
    if word == "REFUNDED":
        if event.get("resource_type") == "capture":
            return "refund.observed", ""
        return _refund_kind(status or "COMPLETED"), ""
    if word == "REVERSED":
        return "dispute.funds_withdrawn", ""
    return "ignored", "no_meaning_here"


def _classify_refund(event: Event, word: str, subject: Subject) -> Classified:
    if word not in REFUND_KINDS:
        return "ignored", "no_meaning_here"
    kind = _refund_kind(status_of(subject) or word)
    if word == "FAILED" and kind != REFUND_KINDS["FAILED"]:
        raise EventRefused("status_contradicts_type")
    return kind, ""


def _classify_dispute(event: Event, word: str, subject: Subject) -> Classified:
    return disputes.classify(word, subject)


_FAMILIES: tuple[tuple[str, Callable[[Event, str, Subject], Classified]], ...] = (
    (ITEM, _classify_item),
    (BATCH, _classify_batch),
    (CAPTURE, _classify_capture),
    (REFUND, _classify_refund),
    (DISPUTE, _classify_dispute),
)


def _refund_kind(status: str) -> str:
    kind = REFUND_KINDS.get(status)
    if kind is None:
        raise EventRefused("status_unknown")
    return kind


def _amount(kind: str, event_type: str, subject: Subject) -> Money | None:
    if kind in AMOUNT_UNKNOWN:
        return None
    if kind.startswith(AMOUNT_OPTIONAL) and amount_member(event_type, subject) is None:
        return None
    return stated_amount(event_type, subject)


def _references(
    event_type: str, subject: Subject
) -> tuple[str | None, str | None, str | None, str | None]:
    """(ours, the merchant's, the seller, our fee as stated)."""
    if event_type.startswith(ITEM):
        stated = id_or_none(child(subject, "payout_item").get("sender_item_id"))
        ours = stated if stated and OUR_REF.fullmatch(stated) else None
        return ours, None if ours else stated, None, None
    custom = text_or_none(subject.get("custom_id"), LIMITS.id_chars_max)
    tags = _tags(custom)
    stated = tags.get("ref") if tags else custom
    ours = stated if stated and OUR_REF.fullmatch(stated) else None
    theirs = text_or_none(subject.get("invoice_id"), LIMITS.id_chars_max)
    if theirs and OUR_REF.fullmatch(theirs):
        ours, theirs = ours or theirs, None
    seller = tags.get("seller") or _payee(subject)
    return ours, theirs or (None if ours else stated), seller, tags.get("fee")


def _payee(subject: Subject) -> str | None:
    """The seller, where the payment was split: without a split the payee is ourselves."""
    if not child(subject, "seller_receivable_breakdown").get("platform_fees"):
        return None
    return text_or_none(child(subject, "payee").get("merchant_id"), LIMITS.id_chars_max)


def _tags(custom: str | None) -> dict[str, str]:
    """`seller=S-1001;fee=500;ref=ORD-1` as a dict, empty for a reference that is just text."""
    parts = [part.partition("=") for part in (custom or "").split(";")]
    if any(name not in ("seller", "fee", "ref") or not value for name, _, value in parts):
        return {}
    return {name: value for name, _, value in parts}


def _fee(kind: str, subject: Subject, amount: Money | None) -> Money | None:
    if kind == "ignored" or amount is None:
        return None
    stated = child(subject, "seller_receivable_breakdown").get("paypal_fee")
    if stated is None:
        stated = subject.get("payout_item_fee")
    if stated is None:
        return None
    fee = money_from_paypal(stated)
    if fee.currency != amount.currency:
        raise EventRefused("fee_in_another_currency")
    return fee


def _platform_fee(
    kind: str, subject: Subject, amount: Money | None, stated: str | None
) -> Money | None:
    """What we keep of a seller's payment: as PayPal split it, else as the payment was tagged."""
    if not kind.startswith("payment.") or amount is None:
        return None
    rows = child(subject, "seller_receivable_breakdown").get("platform_fees")
    if isinstance(rows, list) and rows:
        fees = [money_from_paypal(child(row, "amount")) for row in rows[:ROWS_MAX]]
        if any(fee.currency != amount.currency for fee in fees):
            raise EventRefused("fee_in_another_currency")
        return _money(sum(fee.minor for fee in fees), amount)
    if stated is None:
        return None
    if not WHOLE_NUMBER.fullmatch(stated):
        raise EventRefused("platform_fee_malformed")
    return _money(int(stated), amount)


def _money(minor: int, amount: Money) -> Money:
    if minor > amount.minor:
        raise EventRefused("platform_fee_exceeds_amount")
    try:
        return Money(minor, amount.currency)
    except MoneyError as error:
        raise EventRefused("platform_fee_malformed") from error


def _method(kind: str, subject: Subject) -> str | None:
    """The one source a payment names (card, venmo, …); without it the buyer paid by PayPal."""
    if not kind.startswith("payment."):
        return None
    sources = list(child(subject, "payment_source"))
    return method_or_none(sources[0]) if len(sources) == 1 else WALLET


def _movement_ref(event_type: str, subject: Subject) -> str | None:
    if event_type.startswith(ITEM):
        return id_or_none(subject.get("transaction_id"))
    if event_type.startswith((CAPTURE, REFUND)):
        return id_or_none(subject.get("id"))
    return None


def _money_back_ref(kind: str, event_type: str, moved: str) -> str | None:
    """PayPal gives the movement back under the number it left with."""
    back = kind == "payout.returned" or (
        kind == "payout.failed" and event_type == f"{ITEM}RETURNED"
    )
    return f"{moved}:back" if back else None


def _original(event_type: str, subject: Subject) -> str | None:
    if event_type.startswith(DISPUTE):
        return disputes.payment_of(subject)
    if event_type.startswith(REFUND) or event_type in (f"{CAPTURE}REFUNDED", f"{CAPTURE}REVERSED"):
        return links.capture_above(subject)
    return None
