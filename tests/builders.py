"""Reaches states through the product's own doors: signed webhooks, requests, decisions, drains."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

import stripe
from django.db.models import Q
from django.db.models.functions import Now
from django.test import Client
from standardwebhooks import Webhook

from approvals import services as approvals
from approvals.models import ApprovalRequest
from payops.core import clock, ids
from payops.core.lanes import LANES
from payops.core.models import Message, ProviderAccount
from payops.core.money import Money
from payops.flows import tasks
from payops.flows.payouts import request as payout_flow
from payops.flows.payouts.request import PayoutAsk
from payops.payments.models import Beneficiary, Payout
from payops.webhooks.models import ProviderEvent
from tests.conftest import STANDARD_SECRET, STRIPE_SECRET
from tests.people import actor, login, person

_numbers = itertools.count(1)
SEATS = {
    "ops_lead": "lena",
    "finance_manager": "marco",
    "compliance": "chen",
    "treasury": "sofia",
}


def drain() -> None:
    """Run every lane that has something ready until nothing is claimed any more."""
    while sum(tasks.drain(lane, budget_s=30).claimed for lane in _lanes_with_work()):
        pass


def _lanes_with_work() -> list[str]:
    """Asked first: looking into an empty lane costs as much as a small batch."""
    ready: set[str] = set()
    for rows in (
        ProviderEvent.objects.filter(state=ProviderEvent.State.RECEIVED),
        Message.objects.filter(state=Message.State.PENDING),
    ):
        free = Q(leased_until=None) | Q(leased_until__lt=Now())
        ready |= set(rows.filter(free, due_at__lte=Now()).values_list("lane", flat=True))
    return [lane for lane in LANES if lane in ready]


def account(provider: str = "standard") -> ProviderAccount:
    return ProviderAccount.objects.select_related("book").get(provider=provider, slug="demo")


def seller(reference: str = "S-1001") -> Beneficiary:
    return Beneficiary.objects.select_related("book").get(reference=reference)


def standard_event(kind: str, said: dict[str, Any], *, event_id: str = "") -> dict[str, Any]:
    return {
        "id": event_id or f"sev_{next(_numbers):06d}_{time.time_ns()}",
        "type": kind,
        "created": int(time.time()),
        "live": False,
        "data": said,
        "previous": None,
        "request": None,
    }


def post_standard(body: dict[str, Any], *, secret: str = STANDARD_SECRET) -> int:
    """Deliver one Standard Webhooks event, signed by the official library."""
    raw = json.dumps(body)
    stamp = clock.utc_now()
    signature = Webhook(secret).sign(body["id"], stamp, raw)
    answer = Client().post(
        "/webhooks/standard/demo/",
        data=raw,
        content_type="application/json",
        headers={
            "webhook-id": body["id"],
            "webhook-timestamp": str(int(stamp.timestamp())),
            "webhook-signature": signature,
        },
    )
    return answer.status_code


def post_stripe(body: dict[str, Any], *, secret: str = STRIPE_SECRET) -> int:
    """Deliver one Stripe event, signed by the official library's own code."""
    raw, stamp = json.dumps(body), int(time.time())
    signature = stripe.WebhookSignature._compute_signature(f"{stamp}.{raw}", secret)
    answer = Client().post(
        "/webhooks/stripe/demo/",
        data=raw,
        content_type="application/json",
        headers={"stripe-signature": f"t={stamp},v1={signature}"},
    )
    return answer.status_code


def capture(
    amount_minor: int, *, reference: str = "S-1001", fee_minor: int = 0, platform_minor: int = 0
) -> dict[str, Any]:
    """A captured payment, delivered and processed."""
    number = next(_numbers)
    body = standard_event(
        "payment.captured",
        {
            "id": f"spm_{number}_{time.time_ns()}",
            "object": "payment",
            "reference": f"ORDER-{number}",
            "amount": amount_minor,
            "currency": "EUR",
            "status": "captured",
            "fee": fee_minor,
            "platform_fee": platform_minor,
            "seller": reference,
            "method": "card",
            "created": int(time.time()),
        },
    )
    assert post_standard(body) == 200
    drain()
    return body


def requested(
    amount: str = "1200.00",
    *,
    currency: str = "EUR",
    reference: str = "S-1001",
    merchant_ref: str = "",
    by: str = "amara",
    provider: str = "standard",
) -> Payout:
    """A payout somebody asked for; it waits for its release."""
    number = next(_numbers)
    merchant_ref = merchant_ref or f"P-{number}-{time.time_ns()}"
    ask = PayoutAsk(
        account=account(provider),
        beneficiary=seller(reference),
        amount=Money.from_decimal(amount, currency),
        merchant_ref=merchant_ref,
        request_key=f"test:{merchant_ref}",
        reason="weekly payout",
        requested_by=person(by),
    )
    return payout_flow.request_payout(ask=ask, actor=actor(by), now=clock.utc_now())


def decide(
    approval: ApprovalRequest,
    username: str,
    verdict: str = "approve",
    *,
    reason: str = "checked against the evidence",
    typed: str | None = None,
) -> approvals.Decided:
    approval.refresh_from_db()
    if typed is None:
        typed = Money(approval.amount_minor or 0, approval.currency or "EUR").decimal_text()
    return approvals.decide(
        request_id=approval.pk,
        user=login(username),
        verdict=verdict,
        reason=reason,
        evidence=[],
        content_hash=approval.content_hash,
        stepped_up_at=clock.utc_now(),
        now=clock.utc_now(),
        typed_confirmation=typed,
    )


def approve_all(approval: ApprovalRequest) -> None:
    """Everybody whose seat is asked for approves."""
    approval.refresh_from_db()
    for seat in approval.seats:
        decide(approval, SEATS[seat])


def approval_of(public_id: str) -> ApprovalRequest:
    return ApprovalRequest.objects.get(pk=ids.parse(public_id, "ap")[1])


def payout_object(payout: Payout, status: str, **more: Any) -> dict[str, Any]:
    """The Standard provider's payout object for one of our payouts."""
    return {
        "id": payout.provider_ref or f"spo_{payout.merchant_ref}",
        "object": "payout",
        "reference": payout.public_id,
        "amount": payout.amount_minor,
        "currency": payout.currency,
        "status": status,
        "failure_code": None,
        "failure_message": None,
        "created": int(time.time()),
        "arrival_on": None,
        **more,
    }


def reload(payout: Payout) -> Payout:
    return Payout.objects.select_related("beneficiary", "account", "book").get(pk=payout.pk)
