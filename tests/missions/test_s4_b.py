"""Story S4-b, the outsider: one payment and one reversal followed to the journal, without SQL.

The same trace the page shows: any id leads to the whole chain, and its answers name who triggered
it, which event changed the state, what was posted, what was exported, and why it stands there.
"""

from __future__ import annotations

import pytest

from approvals.models import ApprovalDecision, ApprovalRequest
from ledger.models import JournalEntry
from payops.cases.models import Case
from payops.flows.trace.chain import Chain, trace
from payops.payments.models import Payment, Payout
from payops.webhooks.models import Delivery, ProviderEvent
from tests import builders
from tests.builders import drain, reload
from tests.flows.lifecycle import Teller, approve_and_run, open_case, propose
from tests.stories import paid_payout

pytestmark = pytest.mark.django_db(transaction=True)

QUESTIONS = (
    "Who triggered it?",
    "Which event changed its state?",
    "What was posted?",
    "What was exported?",
    "Why this status?",
)


def answers(chain: Chain) -> dict[str, str]:
    assert tuple(answer.question for answer in chain.answers) == QUESTIONS
    return {answer.question: answer.words for answer in chain.answers}


def reversed_payout() -> tuple[Payout, Case, ApprovalRequest]:
    """P-10492: paid, failed late, decided by two people, compensated."""
    payout = paid_payout("12400.00", merchant_ref="P-10492")
    Teller(payout).tell("failed")
    drain()
    case = open_case(payout)
    assert case is not None
    approval = propose(case, "hold")
    assert approve_and_run(approval)
    return reload(payout), case, approval


def test_s4_b_a_payment_is_followed_from_any_id_to_its_entries() -> None:
    """AU-1 to AU-3, F20"""
    body = builders.capture(10_000, fee_minor=300, platform_minor=1_000)
    payment, event = Payment.objects.get(), ProviderEvent.objects.get()
    entries = {entry.event_class: entry for entry in JournalEntry.objects.all()}
    captured = entries["payment.captured"]

    for wanted in (
        payment.public_id,
        payment.provider_ref,
        payment.merchant_ref,
        event.public_id,
        body["id"],
        Delivery.objects.get().public_id,
        captured.public_id,
    ):
        chain = trace(wanted)
        assert chain.found, wanted
        assert {payment.public_id, event.public_id, captured.public_id} <= {
            node.id for node in chain.nodes
        }, wanted

    told = answers(trace(payment.public_id))
    assert event.public_id in told["Which event changed its state?"]
    assert told["What was posted?"] == "; ".join(
        f"{entry.event_class} ({entry.public_id})"
        for entry in JournalEntry.objects.order_by("created_at", "id")
    )
    assert told["What was exported?"] == "nothing yet: no export has been made"
    assert told["Why this status?"].startswith("CAPTURED since ")


def test_s4_b_a_reversal_is_followed_to_who_which_what_and_why() -> None:
    """AU-2, AU-3, AU-4, AU-7"""
    payout, case, approval = reversed_payout()
    failure = ProviderEvent.objects.get(type="settlementFailed")
    paid = ProviderEvent.objects.get(type="payout.paid")
    returned = JournalEntry.objects.get(event_class="payout.returned")

    chains = {
        wanted: trace(wanted)
        for wanted in (
            "P-10492",
            payout.public_id,
            payout.provider_ref,
            case.public_id,
            approval.public_id,
            failure.public_id,
            failure.provider_event_id,
            returned.public_id,
        )
    }

    for wanted, chain in chains.items():
        ids = {node.id for node in chain.nodes}
        assert {payout.public_id, case.public_id, failure.public_id, returned.public_id} <= ids, (
            wanted
        )
    chain = chains["P-10492"]
    told = answers(chain)
    assert told["Who triggered it?"] == "payout.requested by amara"
    changed = told["Which event changed its state?"]
    assert f"IN_TRANSIT to PAID by {paid.public_id}" in changed
    assert f"PAID to EXCEPTION by {failure.public_id}" in changed
    assert "EXCEPTION to RETURNED by PayOps, payout exceptions" in changed
    assert told["What was posted?"] == "; ".join(
        f"{entry.event_class} ({entry.public_id})"
        for entry in JournalEntry.objects.order_by("created_at", "id")
    )
    assert "payout.returned" in told["What was posted?"]
    assert told["Why this status?"].startswith("RETURNED since ")
    posted = next(line for line in chain.lines if line.id == returned.public_id)
    assert "Dr 1200 12,400.00 EUR" in posted.words and "Cr 2200 12,400.00 EUR" in posted.words


def test_s4_b_the_chain_of_decisions_is_told_with_seats_and_in_order() -> None:
    """AU-4, AU-8: logins and seats, no names of people and no bank details."""
    payout, _, approval = reversed_payout()

    chain = trace(payout.public_id)

    decided = ApprovalDecision.objects.filter(request=approval).order_by("created_at")
    lines = [line for line in chain.lines if line.id in {d.public_id for d in decided}]
    assert [(line.who, line.kind) for line in lines] == [
        ("marco", "decision"),
        ("chen", "decision"),
    ]
    assert [line.at for line in chain.lines] == sorted(line.at for line in chain.lines)
    words = " ".join(line.words for line in chain.lines)
    for name in ("Marco", "Chen", "Amara", "DE02120300000000202051"):
        assert name not in words, name
