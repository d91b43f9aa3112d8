"""What a dispute looks like at each provider and by which events it is told.

Owns the words: Stripe's statuses, Adyen's event codes under one reference per dispute, PayPal's
cases and reversals, the standard provider's own. Never moves money.
"""

from collections.abc import Mapping
from typing import Any

from payops.simulator import adyen_notices, adyen_objects, paypal_objects
from payops.simulator.adyen_notices import Notice
from payops.simulator.config import ADYEN, PAYPAL, STANDARD, STRIPE
from payops.simulator.events import Spread, event_add
from payops.simulator.store import Database, Record, new_id, object_find
from payops.simulator.wire import Refused
from payops.simulator.world import World

INQUIRY, CHARGEBACK, SECOND_ROUND = "inquiry", "chargeback", "second_round"
STRIPE_EVENTS: Mapping[str, str] = {
    "opened": "created",
    "updated": "updated",
    "second": "updated",
    "withdrawn": "funds_withdrawn",
    "returned": "funds_reinstated",
    "won": "closed",
    "lost": "closed",
    "closed": "closed",
}
# Word -> the codes it can be told by, the usual one first; none: Adyen says nothing of it.
ADYEN_CODES: Mapping[str, tuple[str, ...]] = {
    "opened": ("NOTIFICATION_OF_CHARGEBACK",),
    "updated": ("INFORMATION_SUPPLIED", "ISSUER_COMMENTS", "DISPUTE_DEFENSE_PERIOD_ENDED"),
    "second": (),
    "withdrawn": ("CHARGEBACK",),
    "returned": ("CHARGEBACK_REVERSED",),
    "won": ("PREARBITRATION_WON", "SCHEME_ARBITRATION_WON"),
    "lost": (
        "PREARBITRATION_LOST",
        "SCHEME_ARBITRATION_LOST",
        "DISPUTE_DEFENSE_PERIOD_ENDED",
    ),
    "closed": ("ISSUER_RESPONSE_TIMEFRAME_EXPIRED",),
}
ADYEN_STATUSES: Mapping[str, str] = {
    "needs_response": "Undefended",
    "under_review": "Pending",
    "won": "Won",
    "lost": "Lost",
    "closed": "Responded",
}
# Reason -> (scheme code at Adyen, PayPal's word for it).
REASONS: Mapping[str, tuple[str, str]] = {
    "fraudulent": ("10.4", "UNAUTHORISED"),
    "product_not_received": ("13.1", "MERCHANDISE_OR_SERVICE_NOT_RECEIVED"),
    "product_unacceptable": ("13.3", "MERCHANDISE_OR_SERVICE_NOT_AS_DESCRIBED"),
    "duplicate": ("12.6.1", "DUPLICATE_TRANSACTION"),
    "credit_not_processed": ("13.6", "CREDIT_NOT_PROCESSED"),
    "subscription_canceled": ("13.2", "CANCELED_RECURRING_BILLING"),
}
OTHER_REASON = ("13.9", "OTHER")
PAYPAL_OUTCOMES: Mapping[str, str] = {
    "won": "RESOLVED_SELLER_FAVOUR",
    "lost": "RESOLVED_BUYER_FAVOUR",
    "closed": "CANCELED_BY_BUYER",
}
_PAYPAL_STAGES = {INQUIRY: "INQUIRY", CHARGEBACK: "CHARGEBACK", SECOND_ROUND: "PRE_ARBITRATION"}


def dispute_id(provider: str) -> str:
    """A new dispute's id in the provider's form."""
    if provider == ADYEN:
        return adyen_objects.reference_new()
    prefix, size = {
        STRIPE: ("du_sim", 20),
        PAYPAL: ("PP-D-", 12),
        STANDARD: ("sdp_", 24),
    }[provider]
    return new_id(prefix, size=size)


def dispute_shown(world: World, dispute: Record) -> dict[str, Any]:
    """A dispute as its provider's API and webhooks tell it; Adyen shows none."""
    if dispute.provider == STRIPE:
        return stripe_shown(dispute.body)
    if dispute.provider == PAYPAL:
        return paypal_shown(dispute.body, base=world.paypal_base)
    return standard_shown(dispute.body)


def dispute_tell(
    world: World,
    db: Database,
    *,
    dispute: Record,
    payment: Record,
    word: str,
    before: Mapping[str, Any],
    event: str,
    spread: Spread,
) -> str | None:
    """Send the event for this word; its id, None where the provider says nothing."""
    if dispute.provider == ADYEN:
        return _tell_adyen(world, db, dispute, payment, word, event, spread)
    if event:
        text = f"{dispute.provider} tells this by one event only."
        raise Refused(400, text, code="parameter_invalid", param="event")
    if dispute.provider == PAYPAL:
        return _tell_paypal(world, db, dispute, word, spread)
    shown = dispute_shown(world, dispute)
    if dispute.provider == STRIPE:
        type = f"charge.dispute.{STRIPE_EVENTS[word]}"
        old = stripe_shown(before)
    else:
        words = {"withdrawn": "funds_withdrawn", "returned": "funds_returned", "second": "updated"}
        type, old = f"dispute.{words.get(word, word)}", standard_shown(before)
    previous = {name: old[name] for name in shown if old[name] != shown[name]}
    return event_add(
        world,
        db,
        record=dispute,
        type=type,
        previous=previous,
        resource=shown,
        spread=spread,
    )


def stripe_shown(body: Mapping[str, Any]) -> dict[str, Any]:
    """Stripe's dispute object."""
    warning = body["stage"] == INQUIRY
    status = "warning_closed" if body["status"] == "closed" else body["status"]
    if warning and status in ("needs_response", "under_review"):
        status = f"warning_{status}"
    currency = str(body["currency"]).lower()
    return {
        "id": body["id"],
        "object": "dispute",
        "amount": body["amount"],
        "balance_transactions": [
            {
                "id": moved["id"],
                "object": "balance_transaction",
                "amount": moved["amount"],
                "created": moved["at"],
                "currency": currency,
                "fee": moved["fee"],
                "net": moved["amount"] - moved["fee"],
                "reporting_category": "dispute" if moved["amount"] < 0 else "dispute_reversal",
                "type": "adjustment",
            }
            for moved in body["movements"]
        ],
        "charge": body["payment"],
        "created": body["created"],
        "currency": currency,
        "evidence_details": {
            "due_by": body["due_at"],
            "has_evidence": body["has_evidence"],
            "past_due": body["updated"] > body["due_at"],
            "submission_count": int(body["has_evidence"]),
        },
        "is_charge_refundable": body["refundable"],
        "livemode": False,
        "metadata": {},
        "payment_intent": None,
        "reason": body["reason"],
        "status": status,
    }


def standard_shown(body: Mapping[str, Any]) -> dict[str, Any]:
    """The standard provider's dispute object."""
    return {
        "id": body["id"],
        "object": "dispute",
        "payment": body["payment"],
        "reference": body["reference"],
        "amount": body["amount"],
        "currency": body["currency"],
        "reason": body["reason"],
        "stage": body["stage"],
        "status": body["status"],
        "due_by": body["due_at"],
        "payment_refundable": body["refundable"],
        "fee": body["movements"][-1]["fee"] if body["movements"] else 0,
        "created": body["created"],
    }


def paypal_shown(body: Mapping[str, Any], *, base: str) -> dict[str, Any]:
    """PayPal's case."""
    status = {"needs_response": "WAITING_FOR_SELLER_RESPONSE", "under_review": "UNDER_REVIEW"}
    instant, currency = paypal_objects.instant, body["currency"]
    shown: dict[str, Any] = {
        "dispute_id": body["id"],
        "create_time": instant(body["created"]),
        "update_time": instant(body["updated"]),
        "disputed_transactions": [
            {"seller_transaction_id": body["payment"], "invoice_number": body["reference"]}
        ],
        "reason": REASONS.get(body["reason"], OTHER_REASON)[1],
        "status": status.get(body["status"], "RESOLVED"),
        "dispute_amount": paypal_objects.money(body["amount"], currency),
        "dispute_life_cycle_stage": _PAYPAL_STAGES[body["stage"]],
        "money_movements": [
            {
                "affected_party": "SELLER",
                "amount": paypal_objects.money(abs(moved["amount"]), currency),
                "initiated_time": instant(moved["at"]),
                "type": "DEBIT" if moved["amount"] < 0 else "CREDIT",
                "reason": "DISPUTE_SETTLEMENT",
            }
            for moved in body["movements"]
        ],
        "links": [paypal_objects.link(f"{base}/v1/customer/disputes/{body['id']}", "self")],
    }
    if body["status"] in PAYPAL_OUTCOMES:
        shown["dispute_outcome"] = {"outcome_code": PAYPAL_OUTCOMES[body["status"]]}
    if body["status"] == "needs_response":
        shown["seller_response_due_date"] = instant(body["due_at"])
    return shown


def _tell_adyen(
    world: World,
    db: Database,
    dispute: Record,
    payment: Record,
    word: str,
    event: str,
    spread: Spread,
) -> str | None:
    body = dispute.body
    codes = ADYEN_CODES[word]
    if word == "opened" and body["stage"] == INQUIRY:
        codes = ("REQUEST_FOR_INFORMATION",)
    if word == "withdrawn" and body["stage"] == SECOND_ROUND:
        codes = ("SECOND_CHARGEBACK",)
    if event and event not in codes:
        text = f"event must be one of: {', '.join(codes)}."
        raise Refused(400, text, code="parameter_invalid", param="event")
    if not codes:
        return None
    notice = Notice(
        event or codes[0],
        dispute.id,
        payment.body["reference"],
        body["amount"],
        reason=body["reason"],
        additional={
            "chargebackReasonCode": REASONS.get(body["reason"], OTHER_REASON)[0],
            "chargebackSchemeCode": "visa",
            "autoDefended": "false",
            "defendable": "true" if body["status"] == "needs_response" else "false",
            "defensePeriodEndsAt": adyen_objects.instant(body["due_at"]),
            "disputeStatus": ADYEN_STATUSES[body["status"]],
        },
    )
    return adyen_notices.notify(
        world, db, payment=payment, notices=[notice], spread=spread, about=dispute.id
    )


def _tell_paypal(
    world: World, db: Database, dispute: Record, word: str, spread: Spread
) -> str | None:
    def tell(type: str, resource: dict[str, Any]) -> str:
        return event_add(world, db, record=dispute, type=type, resource=resource, spread=spread)

    if word == "withdrawn":
        id = dispute.body["movements"][-1]["id"]
        taken = object_find(db, kinds=("reversal",), name=id)
        shown = paypal_objects.refund_shown(taken.body, base=world.paypal_base)
        return tell("PAYMENT.CAPTURE.REVERSED", shown)
    kind = {"opened": "CREATED", "won": "RESOLVED", "lost": "RESOLVED", "closed": "RESOLVED"}
    shown = dispute_shown(world, dispute)
    return tell(f"CUSTOMER.DISPUTE.{kind.get(word, 'UPDATED')}", shown)
