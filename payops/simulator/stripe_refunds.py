"""Stripe's refunds and disputes: parameters, answers and their rows in the table of calls.

A refund is found again by its charge and the metadata it carries. Its life is refunds.py's.
"""

from payops.simulator import faults, refund_rules, refunds
from payops.simulator.config import STRIPE
from payops.simulator.dispute_news import stripe_shown
from payops.simulator.gateway import Answer, Call, operation
from payops.simulator.refund_rules import Wish
from payops.simulator.store import Database, objects_select
from payops.simulator.stripe_reads import (
    AMOUNT_MAX,
    ID,
    LIST,
    check_metadata,
    list_shown,
    listed,
    object_of,
    reader,
)
from payops.simulator.wire import Params, text, whole

DISPUTES_MAX = 100
_REASONS = "duplicate|fraudulent|requested_by_customer"


def refund_create(db: Database, call: Call) -> Answer:
    """POST /v1/refunds; without an amount all that is left."""
    charge = object_of(db, "charge", text(call.params, "charge"), param="charge")
    rest = max(1, refund_rules.left(charge))
    amount = whole(call.params, "amount", default=rest, low=1, high=AMOUNT_MAX)
    metadata = call.params.get("metadata", {})
    wish = Wish(
        amount=faults.booked_amount(call.fault, amount),
        reference=metadata.get("payops_reference"),
        merchant_reference=metadata.get("merchant_reference"),
        more={"metadata": metadata, "reason": call.params.get("reason")},
    )
    refund = refunds.refund_open(call.world, db, payment=charge, wish=wish, origin=call.origin)
    return refund.body


def refund_list(db: Database, call: Call) -> Answer:
    """GET /v1/refunds, all or those of one charge."""
    where, values = "provider = 'stripe' AND kind = 'refund'", []
    if charge := text(call.params, "charge", default="", pattern=ID):
        where, values = where + " AND parent = ?", [charge]
    return listed(db, call, where=where, values=values, url="/v1/refunds")


def dispute_read(db: Database, call: Call) -> Answer:
    """GET /v1/disputes/<id>."""
    return stripe_shown(object_of(db, "dispute", call.id).body)


def dispute_list(db: Database, call: Call) -> Answer:
    """GET /v1/disputes, all or those of one charge, newest first."""
    where, values = "provider = ? AND kind = 'dispute'", [STRIPE]
    if charge := text(call.params, "charge", default="", pattern=ID):
        where, values = where + " AND parent = ?", [*values, charge]
    limit = whole(call.params, "limit", default=10, low=1, high=DISPUTES_MAX)
    found = objects_select(db, where=where, values=values, limit=limit + 1)
    rows = [stripe_shown(record.body) for record in found]
    return list_shown(rows, limit=limit, url="/v1/disputes")


def _check_refund(params: Params) -> None:
    text(params, "charge", pattern=ID)
    whole(params, "amount", default=1, low=1, high=AMOUNT_MAX)
    text(params, "reason", default="duplicate", pattern=_REASONS)
    check_metadata(params)


OPERATIONS = (
    operation(
        "refund.create",
        "POST",
        "/refunds",
        "charge amount reason metadata",
        refund_create,
        check=_check_refund,
    ),
    operation("refund.list", "GET", "/refunds", f"{LIST} charge", refund_list),
    operation("refund.get", "GET", "/refunds/<id>", "", reader("refund")),
    operation("dispute.list", "GET", "/disputes", "charge limit", dispute_list),
    operation("dispute.get", "GET", "/disputes/<id>", "", dispute_read),
)
