"""Stripe event types to canonical kinds, by (type, object status, captured), never by type alone.

Never drops what it does not understand: it becomes `ignored` with a reason, or EventRefused when
the event contradicts itself. Serves WH-29, PX-3, PX-8 and PX-16.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from payops.core.money import Money
from payops.psp import signing, strictjson
from payops.psp.base import LIMITS, EventRefused, NormalizedEvent
from payops.psp.methods import method_or_none
from payops.psp.strictjson import child, id_or_none, int_or_none, text_or_none
from payops.psp.stripe import disputes
from payops.psp.stripe.amounts import money_from_stripe

OUR_REF = re.compile(r"[a-z]{2}_[0-9a-f]{32}", re.ASCII)
WHOLE_NUMBER = re.compile(r"[0-9]{1,15}", re.ASCII)

Event = Mapping[str, Any]
Subject = Mapping[str, Any]
Classified = tuple[str, str]

PAYOUT_KINDS = {
    "payout.created": "initiated",
    "payout.paid": "paid",
    "payout.failed": "failed",
    "payout.canceled": "canceled",
}
PAYOUT_STATUS_NEEDED = {
    "payout.paid": "paid",
    "payout.failed": "failed",
    "payout.canceled": "canceled",
}
REFUND_KINDS = {
    "pending": "refund.accepted",
    "requires_action": "refund.accepted",
    "succeeded": "refund.succeeded",
    "failed": "refund.failed_late",
    "canceled": "refund.canceled",
}
REFUNDED = "charge.refunded"
INVOICE_KINDS = {"invoice.paid": "invoice.paid", "invoice.payment_failed": "invoice.failed"}
AMOUNT_FIELDS = {"invoice.paid": "amount_paid", "invoice.payment_failed": "amount_due"}
TOLD_ELSEWHERE = {
    "payment_intent.succeeded": "told_by_charge_events",
    "payment_intent.payment_failed": "told_by_charge_events",
    "invoice.payment_succeeded": "told_by_invoice_paid",
    "charge.pending": "payment_pending",
    "charge.updated": "no_money_moved",
}


def envelope(event: Event) -> tuple[str, str, dict[str, Any]]:
    """(event id, type, data.object). Raises EventRefused."""
    event_id = id_or_none(event.get("id"))
    event_type = id_or_none(event.get("type"))
    if event_id is None:
        raise EventRefused("event_id_missing", "id")
    if event_type is None:
        raise EventRefused("event_type_missing", "type")
    subject = child(event.get("data"), "object")
    if not subject:
        raise EventRefused("object_missing", "data.object")
    return event_id, event_type, subject


def live_flag(event: Event, subject: Subject) -> bool | None:
    """The event's mode; old API versions give it on the object only."""
    for holder in (event, subject):
        if isinstance(holder.get("livemode"), bool):
            return bool(holder["livemode"])
    return None


def normalize(event: Event) -> NormalizedEvent:
    event_id, event_type, subject = envelope(event)
    kind, reason = _classify(event, event_type, subject)
    metadata = child(subject, "metadata")
    our_ref, merchant_ref = _references(metadata)
    amount = None if kind == "ignored" else _amount(kind, event, event_type, subject)
    return NormalizedEvent(
        kind=kind,
        provider="stripe",
        provider_event_id=event_id,
        provider_ref=_provider_ref(kind, subject),
        raw_type=event_type,
        status=text_or_none(subject.get("status")) or "",
        occurred_at=signing.utc_from_unix(event.get("created")),
        live=live_flag(event, subject),
        merchant_ref=merchant_ref,
        our_ref=our_ref,
        amount=amount,
        fee=None if kind == "ignored" else _fee(kind, subject),
        platform_fee=_platform_fee(subject, metadata, amount),
        currency=amount.currency if amount else None,
        seller_ref=text_or_none(metadata.get("seller"), LIMITS.id_chars_max),
        failure_code=failure_code(event_type, subject),
        failure_message=text_or_none(subject.get("failure_message")),
        movement_ref=_movement_ref(kind, event_type, subject),
        failure_movement_ref=_money_back_ref(kind, subject),
        original_provider_ref=_original(event_type, subject),
        trace_ref=text_or_none(child(subject, "trace_id").get("value"), LIMITS.id_chars_max),
        method=_method(kind, subject),
        reason=reason,
        due_at=disputes.due_at(event_type, subject),
        refundable=disputes.refundable(event_type, subject),
        stage=disputes.stage(event_type, subject),
    )


def failure_code(event_type: str, subject: Subject) -> str | None:
    """Why it failed; for a dispute why the cardholder disputes."""
    if disputes.is_about(event_type):
        return text_or_none(subject.get("reason"))
    if subject.get("failure_code") == "card_declined":
        # Why the bank declined stands in the charge's outcome alone.
        return text_or_none(child(subject, "outcome").get("reason")) or "card_declined"
    return text_or_none(subject.get("failure_code") or subject.get("failure_reason"))


def warned_charge(subject: Subject) -> str | None:
    """The charge that an early fraud warning is about; the warning's own id says nothing here."""
    if subject.get("object") != "radar.early_fraud_warning":
        return None
    return reference_of(subject.get("charge"))


def _classify(event: Event, event_type: str, subject: Subject) -> Classified:
    if event_type in TOLD_ELSEWHERE:
        return "ignored", TOLD_ELSEWHERE[event_type]
    for prefix, classify in _FAMILIES:
        if event_type.startswith(prefix):
            return classify(event, event_type, subject)
    return "ignored", "no_meaning_here"


def _classify_payout(event: Event, event_type: str, subject: Subject) -> Classified:
    status = subject.get("status")
    family = "payout" if _is_beneficiary_payout(event, subject) else "settlement"
    if event_type == "payout.reconciliation_completed":
        return (
            ("settlement.reconciled", "")
            if family == "settlement"
            else ("ignored", "no_money_moved")
        )
    if event_type == "payout.updated":
        if subject.get("reversed_by"):
            return f"{family}.returned", ""
        # Snapshots of the other states are told by an event of their own, in a safer order.
        if status == "in_transit":
            return f"{family}.in_transit", ""
        return "ignored", "told_by_own_event"
    if event_type not in PAYOUT_KINDS:
        return "ignored", "no_meaning_here"
    needed = PAYOUT_STATUS_NEEDED.get(event_type)
    if needed and status is not None and status != needed:
        raise EventRefused("status_contradicts_type", "data.object.status")
    if subject.get("original_payout"):
        if event_type == "payout.paid":
            return f"{family}.returned", ""
        return "ignored", "reversal_not_final"
    return f"{family}.{PAYOUT_KINDS[event_type]}", ""


def _is_beneficiary_payout(event: Event, subject: Subject) -> bool:
    """A payout that names neither us nor a connected account is Stripe settling with ourselves."""
    metadata = child(subject, "metadata")
    named = metadata.get("payops_reference") or metadata.get("merchant_reference")
    return bool(named or event.get("account"))


def _classify_dispute(event: Event, event_type: str, subject: Subject) -> Classified:
    return disputes.classify(event_type, subject)


def _classify_refund(event: Event, event_type: str, subject: Subject) -> Classified:
    status = str(subject.get("status"))
    kind = REFUND_KINDS.get(status)
    if kind is None:
        raise EventRefused("status_unknown", "data.object.status")
    if event_type == "refund.failed" and status != "failed":
        raise EventRefused("status_contradicts_type", "data.object.status")
    if event_type == "refund.created" and status == "failed":
        return "refund.failed", ""
    return kind, ""


def _classify_charge(event: Event, event_type: str, subject: Subject) -> Classified:
    if event_type == REFUNDED:
        return "refund.observed", ""
    if event_type == "charge.failed":
        return "payment.failed", ""
    if event_type == "charge.expired":
        return "payment.expired", ""
    if event_type not in ("charge.succeeded", "charge.captured"):
        return "ignored", "no_meaning_here"
    if subject.get("status") not in (None, "succeeded"):
        return "ignored", "payment_pending"
    captured = subject.get("captured")
    if event_type == "charge.captured" and captured is False:
        raise EventRefused("status_contradicts_type", "data.object.status")
    return ("payment.authorized" if captured is False else "payment.captured"), ""


def _classify_invoice(event: Event, event_type: str, subject: Subject) -> Classified:
    kind = INVOICE_KINDS.get(event_type)
    return (kind, "") if kind else ("ignored", "no_meaning_here")


def _classify_report(event: Event, event_type: str, subject: Subject) -> Classified:
    return "report.available", ""


_FAMILIES: tuple[tuple[str, Callable[[Event, str, Subject], Classified]], ...] = (
    ("payout.", _classify_payout),
    (disputes.PREFIX, _classify_dispute),
    ("charge.refund.updated", _classify_refund),
    ("charge.", _classify_charge),
    ("refund.", _classify_refund),
    ("invoice.", _classify_invoice),
    ("reporting.report_run.succeeded", _classify_report),
)


def _amount(kind: str, event: Event, event_type: str, subject: Subject) -> Money | None:
    if kind == "report.available":
        return None
    path = f"data.object.{_amount_field(event_type, subject)}"
    stated = _stated_amount(event, event_type, subject)
    amount = money_from_stripe(stated, subject.get("currency"), path)
    if subject.get("original_payout") and amount.minor < 0:
        return -amount
    if amount.minor < 0 and not kind.startswith("settlement."):
        raise EventRefused("amount_negative", path)
    return amount


def _stated_amount(event: Event, event_type: str, subject: Subject) -> object:
    if event_type == REFUNDED:
        # The charge shows the running total; the step is the difference to the value before.
        before = int_or_none(_previous(event).get("amount_refunded")) or 0
        total = int_or_none(subject.get("amount_refunded"))
        return None if total is None else total - before
    return subject.get(_amount_field(event_type, subject))


def _amount_field(event_type: str, subject: Subject) -> str:
    if event_type == REFUNDED:
        return "amount_refunded"
    if event_type == "charge.captured" and int_or_none(subject.get("amount_captured")):
        return "amount_captured"
    return AMOUNT_FIELDS.get(event_type, "amount")


def _previous(event: Event) -> dict[str, Any]:
    return child(event.get("data"), "previous_attributes")


def _fee(kind: str, subject: Subject) -> Money | None:
    """Known only when the balance transaction came expanded; a dispute shows its own."""
    movement = subject.get("balance_transaction")
    if kind == "dispute.funds_withdrawn":
        movement = disputes.movement(subject, out=True)
    if not isinstance(movement, dict) or movement.get("fee") is None:
        return None
    return money_from_stripe(movement.get("fee"), movement.get("currency"))


def _platform_fee(
    subject: Subject, metadata: Mapping[str, Any], amount: Money | None
) -> Money | None:
    """What we keep of a seller's payment, in minor units of the payment's currency."""
    stated = metadata.get("platform_fee")
    if stated is None:
        stated = subject.get("application_fee_amount")
    if stated in (None, "") or amount is None:
        return None
    if isinstance(stated, str) and WHOLE_NUMBER.fullmatch(stated):
        stated = int(stated)
    if type(stated) is not int or stated < 0:
        raise EventRefused("platform_fee_malformed", "data.object.metadata.platform_fee")
    return money_from_stripe(stated, amount.currency, "data.object.metadata.platform_fee")


def _references(metadata: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """(ours, the merchant's); a reference that is not in our form counts as the merchant's."""
    ours = strictjson.id_or_none(metadata.get("payops_reference"))
    theirs = text_or_none(metadata.get("merchant_reference"), LIMITS.id_chars_max)
    if ours and OUR_REF.fullmatch(ours):
        return ours, theirs
    return None, theirs or ours


def _method(kind: str, subject: Subject) -> str | None:
    if not kind.startswith("payment."):
        return None
    details = child(subject, "payment_method_details")
    return method_or_none(details.get("type"))


def _provider_ref(kind: str, subject: Subject) -> str:
    if kind.endswith(".returned") and subject.get("original_payout"):
        return reference_of(subject.get("original_payout")) or ""
    found = id_or_none(subject.get("id")) or ""
    if not found and kind != "ignored":
        raise EventRefused("object_id_missing", "data.object.id")
    return found


def _movement_ref(kind: str, event_type: str, subject: Subject) -> str | None:
    if kind == "dispute.funds_withdrawn":
        return reference_of(disputes.movement(subject, out=True))
    if event_type == REFUNDED or disputes.is_about(event_type):
        # The balance transaction of a charge is its capture's.
        return None
    return reference_of(subject.get("balance_transaction"))


def _money_back_ref(kind: str, subject: Subject) -> str | None:
    """Both tellings of a reversal, by the old payout and by the new, name the new one."""
    if kind == "dispute.funds_returned":
        return reference_of(disputes.movement(subject, out=False))
    if kind.endswith(".returned"):
        return reference_of(subject.get("reversed_by") or subject.get("id"))
    return reference_of(subject.get("failure_balance_transaction"))


def _original(event_type: str, subject: Subject) -> str | None:
    if event_type.startswith("payout."):
        return reference_of(subject.get("original_payout"))
    if event_type == REFUNDED:
        return id_or_none(subject.get("id"))
    if event_type.startswith(("refund.", "charge.refund.updated", disputes.PREFIX, "invoice.")):
        return reference_of(subject.get("charge"))
    return None


def reference_of(value: object) -> str | None:
    """An id, whether the field came as text or expanded into the object itself."""
    return id_or_none(value.get("id") if isinstance(value, dict) else value)
