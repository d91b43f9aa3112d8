"""Longer ways to a state, without the network: the provider's answers are told by its events."""

from __future__ import annotations

from typing import Any
from unittest import mock

from payops.core import clock
from payops.core.money import Money
from payops.flows.payouts import dispatch as payout_dispatch
from payops.payments.models import Payout
from payops.psp.calling import CallOutcome
from tests import builders
from tests.builders import approval_of, approve_all, drain, reload


def accepted(payout: Payout) -> CallOutcome:
    """What the provider answers when it takes the payout."""
    now = clock.utc_now()
    return CallOutcome(
        kind="succeeded",
        started_at=now,
        finished_at=now,
        provider_ref=f"spo_{payout.merchant_ref}",
        echo_amount=Money(payout.amount_minor, payout.currency),
        echo_reference=payout.public_id,
        status_code=201,
    )


def sent_payout(amount: str = "1200.00", **asked: Any) -> Payout:
    """Requested, approved by its seats, gated and taken by the provider."""
    payout = builders.requested(amount, **asked)
    approve_all(approval_of(payout.approval_id))
    with mock.patch.object(payout_dispatch, "_submit", lambda row, _: accepted(row)):
        drain()
    payout = reload(payout)
    assert payout.state == "IN_TRANSIT", (payout.state, payout.blocked_reason)
    return payout


def paid_payout(amount: str = "1200.00", **asked: Any) -> Payout:
    payout = sent_payout(amount, **asked)
    body = builders.standard_event("payout.paid", builders.payout_object(payout, "paid"))
    assert builders.post_standard(body) == 200
    drain()
    payout = reload(payout)
    assert payout.state == "PAID"
    return payout
