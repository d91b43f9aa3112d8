"""D14, D5: an unknown outcome ends by an event or by a decision of others, never by a guess."""

from __future__ import annotations

import pytest

from ledger.selectors import trial_balance
from payops.cases.models import Case
from payops.core import clock
from payops.flows.payouts import dispatch as payout_dispatch
from payops.flows.payouts import unsent as payout_unsent
from payops.flows.payouts.request import PayoutRefused
from payops.payments.models import Intent, Payout
from payops.psp.calling import CallOutcome
from tests.builders import (
    approval_of,
    approve_all,
    drain,
    payout_object,
    post_standard,
    reload,
    requested,
    standard_event,
)
from tests.flows.provider import later
from tests.people import actor

pytestmark = pytest.mark.django_db(transaction=True)


def unknown(monkeypatch: pytest.MonkeyPatch, *, parked: bool) -> Payout:
    """A payout whose call was lost, and which the provider does not have."""
    answers = {"_submit": "unknown", "_find": "failed"}
    for name, kind in answers.items():
        now = clock.utc_now()
        outcome = CallOutcome(kind=kind, started_at=now, finished_at=now)
        monkeypatch.setattr(payout_dispatch, name, lambda *_, told=outcome: told)
    payout = requested("1200.00")
    approve_all(approval_of(payout.approval_id))
    drain()
    if parked:
        monkeypatch.setattr(payout_dispatch.intents, "within_key_window", lambda *_, **__: False)
        for _ in range(3):
            later()
            drain()
    assert reload(payout).state == "UNKNOWN"
    return payout


def declare(payout: Payout) -> str:
    asked = payout_unsent.propose(
        payout_id=payout.pk,
        reason="the provider's support confirmed it in writing",
        actor=actor("amara"),
        now=clock.utc_now(),
    )
    return asked.public_id


def test_declared_payout_is_canceled_and_leaves_no_balance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    payout = unknown(monkeypatch, parked=True)

    approve_all(approval_of(declare(payout)))
    drain()

    assert (reload(payout).state, Intent.objects.get().state) == ("CANCELED", "REFUSED")
    assert Case.objects.get(rule="payout_unknown").state == "RESOLVED"
    balances = {row.account: row.balance_minor for row in trial_balance(book=payout.book)}
    assert balances == {"2000": 0, "2100": 0}


def test_it_cannot_be_declared_while_the_product_still_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    payout = unknown(monkeypatch, parked=False)

    with pytest.raises(PayoutRefused, match="only when it is UNKNOWN and the product has stopped"):
        declare(payout)


def test_an_event_that_arrives_before_the_decision_voids_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    payout = unknown(monkeypatch, parked=True)
    approval = approval_of(declare(payout))
    body = standard_event("payout.paid", payout_object(payout, "paid"))
    assert post_standard(body) == 200
    drain()

    approve_all(approval)
    drain()

    assert reload(payout).state == "PAID"
    assert approval_of(approval.public_id).state == "VOID"
