"""Where a dispute and a refund of one charge meet: nobody is paid twice (D9, F1, RF-15)."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.db import transaction

from payops.cases.models import Case, CaseEntry
from payops.core import clock
from payops.core.models import Message
from payops.flows import tasks
from payops.flows.disputes import cases as dispute_cases
from payops.flows.disputes import postings as dispute_postings
from payops.flows.refunds import acts as refund_acts
from payops.flows.refunds import dispatch as refund_dispatch
from payops.payments.models import Dispute, Payment, Refund
from tests import refunds
from tests.builders import approval_of, approve_all, drain
from tests.flows.dispute_tales import Tale, keep

pytestmark = pytest.mark.django_db(transaction=True)
DAY = 86_400


def refunded_at_the_provider(tale: Tale, minor: int = 3_000, *, word: str = "succeeded") -> None:
    """Somebody refunds in the provider's console; it is told by its event."""
    body = {
        "id": f"sev_{tale.name}_rf_{word}",
        "type": f"refund.{word}",
        "created": tale.start + 60,
        "live": False,
        "data": {
            "id": f"RF{tale.name}",
            "payment": tale.charge,
            "amount": minor,
            "currency": "EUR",
            "status": word,
        },
    }
    keep("standard", body)
    drain()


def rules(**which: Any) -> list[str]:
    open_ones = Case.objects.filter(**which).exclude(state__in=Case.CLOSED)
    return sorted(open_ones.values_list("rule", flat=True))


def texts(rule: str) -> str:
    lines = CaseEntry.objects.filter(case__rule=rule).order_by("created_at", "key")
    return "\n".join(lines.values_list("text", flat=True))


def granted(tale: Tale) -> Refund:
    """Granted by the rule, its dispatch not worked on yet."""
    return refunds.ask(tale.payment, "30.00")


def state_of(refund: Refund) -> str:
    return str(Refund.objects.get(pk=refund.pk).state)


def test_a_refund_that_preceded_the_chargeback_is_flagged_at_once() -> None:
    tale = Tale("standard").captured()
    refunded_at_the_provider(tale)
    tale.happens("opened")

    assert set(rules()) == {"dispute", "refund_and_dispute", "refund_external"}
    case = Case.objects.get(rule="refund_and_dispute")
    assert case.title.startswith("30.00 EUR of charge ORD-")
    assert f"(RF{tale.name}) had been made; answer the dispute with this proof" in texts(case.rule)

    tale.happens("withdrawn")
    assert tale.dispute.refunded_before_minor == 3_000


def test_the_seller_is_held_for_what_it_has_left_and_the_rest_is_our_loss() -> None:
    """Worked: 100 captured, 30 refunded (27 and 3); of the 100 disputed 63 are held, 7 are our
    fee, and the 30 paid twice are an allowance of ours; lost, nothing is left of the charge."""
    tale = Tale("standard").captured()
    refunded_at_the_provider(tale)
    assert tale.balances() == {"1100": 7_000, "2000": -6_300, "4000": -700}

    tale.happens("opened", "withdrawn")
    assert tale.balances() == {
        "1100": -3_000,
        "1300": 10_000,
        "1390": -3_000,
        "2310": -6_300,
        "4000": -700,
        "5100": 3_000,
    }
    tale.happens("lost")
    assert tale.balances() == {"1100": -3_000, "5100": 3_000}


def test_won_beside_a_refund_everything_but_the_refund_is_back() -> None:
    tale = Tale("standard").captured()
    refunded_at_the_provider(tale)
    tale.happens("opened", "withdrawn", "won", "returned")

    assert tale.balances() == {"1100": 7_000, "2000": -6_300, "4000": -700}
    assert rules(rule__in=["dispute", "refund_and_dispute"]) == []


def test_a_lost_dispute_of_a_refunded_charge_keeps_its_case_open() -> None:
    tale = Tale("standard").captured()
    refunded_at_the_provider(tale)
    tale.happens("opened", "withdrawn", "lost")

    assert rules(rule__in=["dispute", "refund_and_dispute"]) == ["refund_and_dispute"]
    assert "the customer was paid twice, recover it" in texts("refund_and_dispute")


def test_a_refund_told_after_the_dispute_raises_the_same_case() -> None:
    tale = Tale("standard").captured().happens("opened", "withdrawn")
    assert rules() == ["dispute"]

    refunded_at_the_provider(tale)

    assert "refund_and_dispute" in rules()


def test_a_refund_on_its_way_when_the_dispute_comes_is_watched() -> None:
    tale = Tale("standard").captured().happens("opened")
    flying = Refund(amount_minor=3_000, currency="EUR", state="UNKNOWN")

    own, meets = dispute_cases.works(tale.dispute, lines=[], refunds=[flying], now=clock.utc_now())

    assert (own.finding.rule, meets.finding.rule) == ("dispute", "refund_and_dispute")
    assert "30.00 EUR" in meets.finding.title
    assert "is on its way as a refund" in meets.finding.title
    assert "as soon as it is confirmed" in meets.lines[0].text


def test_an_inquiry_warns_that_a_refund_still_ends_it() -> None:
    tale = Tale("standard", due_at=int(time.time()) + 5 * DAY).captured().happens("inquiry")

    assert rules() == ["dispute"]
    assert "ends the inquiry without a chargeback and its fee" in texts("dispute")
    assert dispute_cases.held_words(tale.payment) == ""


def test_an_inquiry_about_a_refunded_charge_is_answered_with_the_refund() -> None:
    tale = Tale("standard").captured()
    refunded_at_the_provider(tale)
    tale.happens("inquiry")

    assert "show the bank this refund" in texts("refund_and_dispute")


def test_a_granted_refund_is_held_while_the_dispute_stands_and_freed_when_it_is_won() -> None:
    """D9: it cannot leave, people see why; the good end sends it on its way again."""
    tale = Tale("standard").captured()
    refund = granted(tale)
    assert state_of(refund) == "APPROVED"
    tale.tell("opened")
    drain()

    assert state_of(refund) == "APPROVED"
    assert not Message.objects.filter(topic="refund.dispatch", state="PENDING").exists()
    words = dispute_cases.held_words(tale.payment)
    assert words.startswith(f"Dispute {tale.ref} of 100.00 EUR is not decided")
    assert "cannot leave while the dispute stands" in texts("dispute")
    with transaction.atomic():
        row = refund_acts.locked(refund.pk)
        assert refund_dispatch._released([row], clock.utc_now()) == []
        assert row.state == "APPROVED"

    tale.tell("won")
    freed = Message.objects.filter(topic="refund.dispatch", key__contains=":freed:")
    assert not freed.exists()
    tasks.drain("high", budget_s=10)
    assert freed.count() == 1
    assert freed.get().payload == {"refund_id": refund.public_id}
    assert tale.dispute.blocks_refunds is False


def test_a_refund_that_waits_for_people_cannot_leave_once_granted() -> None:
    tale = Tale("standard").captured()
    refund = refunds.ask(tale.payment, "80.00")
    assert refund.state == "AWAITING_APPROVAL"
    tale.happens("opened")

    approve_all(approval_of(refund.approval_id))
    drain()

    assert state_of(refund) == "APPROVED"
    assert Refund.objects.get(pk=refund.pk).dispatched_at is None


def test_a_new_refund_is_refused_while_a_dispute_blocks_and_granted_after_it_is_won() -> None:
    tale = Tale("standard").captured().happens("opened", "withdrawn")
    refused = refunds.ask(tale.payment, "30.00")
    assert refused.state == "REFUSED"
    assert tale.dispute.public_id in refused.refusal

    tale.happens("won", "returned")
    assert refunds.ask(tale.payment, "30.00").state in ("APPROVED", "AWAITING_APPROVAL")


def test_a_second_dispute_still_bars_what_the_first_one_freed() -> None:
    one = Tale("standard").captured().happens("opened")
    other = Tale("standard", name=f"{one.name}b", amount=4_000)
    body = other._body("opened")
    body["data"]["payment"] = one.charge
    keep("standard", body)
    drain()
    assert Dispute.objects.filter(payment=one.payment).count() == 2

    one_row = Dispute.objects.get(provider_ref=one.ref)
    one.tell("won")
    drain()
    one_row.refresh_from_db()

    assert one_row.state == "WON"
    assert dispute_cases.held_words(one.payment).startswith(f"Dispute {other.ref} of 40.00")


def test_two_disputes_never_hold_more_than_the_seller_has() -> None:
    payment = Payment(captured_minor=10_000, platform_fee_minor=1_000, currency="EUR")
    tale = Tale("standard").captured()
    first = Dispute(
        state="OPEN",
        rounds=[{"hold": 5_400, "platform_fee": 600, "fee_tax": 0, "tax_collected": 0}],
    )
    split = dispute_postings.split_of(
        book=tale.payment.book,
        payment=payment,
        amount_minor=7_000,
        borne_by="seller",
        refunds=[],
        others=[first],
    )
    assert split == {
        "hold": 3_600,
        "platform_fee": 400,
        "fee_tax": 0,
        "tax_collected": 0,
        "allowance": 3_000,
    }
