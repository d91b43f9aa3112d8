"""One payout's life told in any order: its events, a decision in between, where it ends."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from approvals.models import ApprovalRequest
from approvals.refusals import RequestClosed
from ledger.models import JournalLine
from payops.cases.models import Case
from payops.core import clock
from payops.flows import beneficiary, holds
from payops.flows.payouts import exception as payout_exception
from payops.payments.models import Beneficiary, Hold, Payout
from payops.webhooks import ingest
from payops.webhooks.directory import directory
from payops.webhooks.ingest import Received
from tests import builders
from tests.builders import approval_of, drain, reload
from tests.people import actor
from tests.psp.signed import fixture

STANDARD_TYPES = {
    "created": ("payout.created", "pending"),
    "paid": ("payout.paid", "paid"),
    "failed": ("settlementFailed", "failed"),
    "reversed": ("payout.reversed", "reversed"),
    "canceled": ("payout.canceled", "canceled"),
}
STRIPE_TYPES = {
    "created": ("payout.created", "pending"),
    "paid": ("payout.paid", "paid"),
    "failed": ("payout.failed", "failed"),
    "reversed": ("payout.updated", "paid"),
    "canceled": ("payout.canceled", "canceled"),
}
# word -> (fixture of the event, number of the update)
ADYEN_TRANSFERS = {
    "created": ("transfer_received", 1),
    "paid": ("transfer_booked", 2),
    "failed": ("transfer_failed", 3),
    "reversed": ("transfer_returned", 4),
}
PAYPAL_ITEMS = {
    "created": "payout_item_held",
    "paid": "payout_item_succeeded",
    "failed": "payout_item_failed",
    "reversed": "payout_item_returned",
    "canceled": "payout_item_canceled",
}


@dataclass
class Teller:
    """Tells the provider's events of one payout; the same word twice is the same event again."""

    payout: Payout
    code: str = "could_not_process"
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)

    def tell(self, word: str) -> None:
        write, send = {
            "stripe": (self._stripe, builders.post_stripe),
            "standard": (self._standard, builders.post_standard),
            "adyen": (self._adyen, self.keep),
            "paypal": (self._paypal, self.keep),
        }[self.payout.account.provider]
        body = self.bodies.get(word) or write(word)
        self.bodies[word] = body
        assert send(body) == 200, word

    def keep(self, body: dict[str, Any]) -> int:
        """As the edge does once a signature is checked; signing is another test's matter."""
        account, now, raw = self.payout.account, clock.utc_now(), json.dumps(body).encode()
        endpoint = directory.find(provider=account.provider, slug=account.slug, now=now)
        assert endpoint is not None
        told = endpoint.adapter.itemize(raw=raw, account=endpoint.facts)
        assert told.ok and told.parse_error is None, told
        ingest.store(
            Received(
                endpoint=endpoint,
                raw=raw,
                sha256=hashlib.sha256(raw).hexdigest(),
                headers={},
                remote_ip=None,
                trace_id=uuid4().hex,
                now=now,
            ),
            items=told.items,
            secret_id=None,
            data_key=directory.data_key(endpoint, now=now),
        )
        return 200

    def _adyen(self, word: str) -> dict[str, Any]:
        name, number = ADYEN_TRANSFERS[word]
        body: dict[str, Any] = json.loads(fixture("adyen", name))
        body["data"] |= {
            "id": self.payout.provider_ref,
            "reference": self.payout.public_id,
            "amount": {"currency": self.payout.currency, "value": self.payout.amount_minor},
            "sequenceNumber": number,
        }
        if word == "failed":
            body["data"]["reason"] = self.code
        return body

    def _paypal(self, word: str) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(fixture("paypal", PAYPAL_ITEMS[word]))
        body["id"] = f"WH-{time.time_ns()}-{word}"
        item = body["resource"]
        item |= {"payout_item_id": self.payout.provider_ref}
        item["payout_item"] |= {
            "amount": {
                "currency": self.payout.currency,
                "value": self.payout.amount.decimal_text(),
            },
            "sender_item_id": self.payout.public_id,
        }
        if word == "failed":
            item["errors"] = {"name": self.code, "message": "could not be paid"}
        else:
            item.pop("errors", None)
        return body

    def _standard(self, word: str) -> dict[str, Any]:
        kind, status = STANDARD_TYPES[word]
        code = self.code if word == "failed" else None
        told = builders.payout_object(self.payout, status, failure_code=code)
        return builders.standard_event(kind, told)

    def _stripe(self, word: str) -> dict[str, Any]:
        kind, status = STRIPE_TYPES[word]
        ref = self.payout.provider_ref
        told: dict[str, Any] = {
            "id": ref,
            "object": "payout",
            "amount": self.payout.amount_minor,
            "currency": self.payout.currency.lower(),
            "status": status,
            "livemode": False,
            "metadata": {"payops_reference": self.payout.public_id},
            "balance_transaction": f"txn_out_{ref}",
        }
        if word == "failed":
            told |= {
                "failure_code": self.code,
                "failure_balance_transaction": f"txn_back_{ref}",
            }
        if word == "reversed":
            told["reversed_by"] = f"po_back_{ref}"
        return stripe_event(kind, told)


def stripe_event(kind: str, told: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"evt_{time.time_ns()}_{kind.replace('.', '_')}",
        "object": "event",
        "type": kind,
        "created": int(time.time()),
        "livemode": False,
        "data": {"object": told, "previous_attributes": {}},
        "request": {"id": None, "idempotency_key": None},
    }


def open_case(payout: Payout) -> Case | None:
    found = Case.objects.filter(subject_id=payout.public_id, rule="payout_failure")
    return found.exclude(state__in=Case.CLOSED).first()


def propose(case: Case, resolution: str = "hold", *, by: str = "amara") -> ApprovalRequest:
    return payout_exception.propose(
        case_id=case.pk,
        resolution=resolution,
        hold_beneficiary=False,
        reason="decided on the evidence of the case",
        actor=actor(by),
        now=clock.utc_now(),
    )


def approve_and_run(approval: ApprovalRequest) -> bool:
    """The seats approve and the runbook runs; False when the request was void by then."""
    try:
        builders.approve_all(approval)
    except RequestClosed:
        return False
    drain()
    return approval_of(approval.public_id).executed_at is not None


def decide_case(payout: Payout, resolution: str = "hold") -> ApprovalRequest:
    case = open_case(payout)
    assert case is not None, reload(payout).state
    approval = propose(case, resolution)
    assert approve_and_run(approval)
    return approval


def change_bank_details(
    seller: Beneficiary, *, by: str = "amara", account: str = "DE89370400440532013000"
) -> ApprovalRequest:
    """New details asked for, approved by their seats and in force."""
    approval = beneficiary.request_bank_change(
        beneficiary_id=seller.pk,
        holder=seller.name,
        account=account,
        reason="the seller moved to another bank",
        actor=actor(by),
        now=clock.utc_now(),
    )
    builders.approve_all(approval)
    drain()
    return approval_of(approval.public_id)


def release_holds() -> None:
    """Every open hold is released by a person, so that the next payout can leave."""
    for hold in Hold.objects.filter(released_at=None):
        reason = "the next payout of the test may leave"
        holds.release(
            hold_id=hold.public_id, reason=reason, actor=actor("lena"), now=clock.utc_now()
        )


def balances(payout: Payout) -> dict[str, int]:
    """What the payout's own entries leave on each account; accounts at nil are left out."""
    total: Counter[str] = Counter()
    lines = JournalLine.objects.filter(entry__subject_id=payout.public_id)
    for code, minor in lines.values_list("account__code", "amount_minor"):
        total[code] += minor
    return {code: minor for code, minor in sorted(total.items()) if minor}
