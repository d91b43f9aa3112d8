"""Advice on disputes: what wins, whether a refund ends it in time, the deadline (AI-3, D9, F1)."""

from __future__ import annotations

from typing import Any

import pytest

from payops.triage import disputes
from payops.triage.dispute_reasons import reason_of


def disputed(**changes: Any) -> dict[str, Any]:
    """The figures of an inquiry of 40.00 out of a charge of 100.00."""
    code = changes.pop("reason_code", "13.1")
    return {
        "provider": "adyen",
        "currency": "EUR",
        "state": "INQUIRY",
        "amount_minor": 4_000,
        "reason_code": code,
        "reason": reason_of(code).key,
        "blocks": changes.get("state", "INQUIRY") != "INQUIRY",
        "refundable": True,
        "due_at": "2026-11-25 12:00",
        "days_left": 4,
        "is_overdue": False,
        "evidence_sent": False,
        "money_is_out": False,
        "round": 1,
        "borne_by": "seller",
        "refunded_before_minor": 0,
        "left_minor": 10_000,
        "captured_minor": 10_000,
        "refunds": [],
        "others": [],
        "page": {"order": "ORDER-9", "refunded": []},
        **changes,
    }


def refund(state: str, amount_minor: int = 4_000) -> dict[str, Any]:
    return {"id": "0a1b", "state": state, "amount_minor": amount_minor, "obligation": ""}


def lines_of(facts: dict[str, Any]) -> dict[str, str]:
    return {line.title: line.text for line in disputes.advise(facts).lines}


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("fraudulent", "fraudulent"),
        ("10.4", "fraudulent"),
        ("10.5", "fraudulent"),
        ("4837", "fraudulent"),
        ("UNAUTHORISED", "fraudulent"),
        ("product_not_received", "product_not_received"),
        ("MERCHANDISE_OR_SERVICE_NOT_RECEIVED", "product_not_received"),
        ("13.3", "product_unacceptable"),
        ("4853", "product_unacceptable"),
        ("12.6.1", "duplicate"),
        ("12.5", "processing_error"),
        ("13.6", "credit_not_processed"),
        ("13.2", "subscription_canceled"),
        ("", "general"),
        ("a new one", "general"),
    ],
)
def test_every_providers_code_has_its_reason(code: str, reason: str) -> None:
    assert reason_of(code).key == reason


def test_a_refund_before_the_deadline_ends_an_inquiry() -> None:
    said = disputes.advise(disputed())

    assert said.summary == (
        "Inquiry of 40.00 EUR: the customer says that nothing arrived. "
        "Answer by 2026-11-25 12:00 UTC, 4 days left."
    )
    assert lines_of(disputed())["Would a refund end it"] == (
        "yes: a refund of 40.00 EUR before 2026-11-25 12:00 UTC ends it without a chargeback"
    )
    assert lines_of(disputed())["Evidence that wins"].startswith("the carrier's proof of delivery")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"refundable": None, "blocks": True},
            "no: the provider does not allow a refund while it asks; answer it with evidence",
        ),
        ({"is_overdue": True}, "no longer: the provider's deadline is over"),
        (
            {"state": "OPEN"},
            "no: a refund now would pay the customer twice; the bank decides about the money",
        ),
        ({"state": "LOST"}, "no: it is lost, and the bank has paid the customer"),
        ({"state": "WON"}, "not needed: it has ended; the charge may be refunded again"),
        (
            {"refunds": [refund("SUCCEEDED")], "left_minor": 6_000},
            "it has been: 40.00 EUR was refunded; show it to the bank",
        ),
        (
            {"refunds": [refund("SUCCEEDED", 1_500)], "left_minor": 8_500},
            "yes: a refund of 25.00 EUR before 2026-11-25 12:00 UTC ends it without a chargeback",
        ),
    ],
)
def test_whether_a_refund_would_end_it(changes: dict[str, Any], words: str) -> None:
    assert lines_of(disputed(**changes))["Would a refund end it"] == words


def test_a_refund_that_was_made_is_the_answer_to_the_dispute() -> None:
    """D9, F1: where refund and dispute of one charge meet."""
    made = {"reference": "re_77", "amount_minor": 4_000, "on": "2026-11-18"}
    facts = disputed(
        state="OPEN",
        refunds=[refund("SUCCEEDED")],
        page={"order": "ORDER-9", "refunded": [made]},
        left_minor=6_000,
    )

    said = disputes.advise(facts)

    assert said.next_step == (
        "answer with the refund's reference, amount and date: the customer has the money"
    )
    (draft,) = said.drafts
    assert draft.text == (
        "Re: dispute of 40.00 EUR for order ORDER-9\n\n"
        "Claim: the customer says that nothing arrived.\n\n"
        "The customer has been refunded for this charge and has no further claim:\n\n"
        "- refund re_77 of 40.00 EUR on 18 November 2026"
    )


def test_a_refund_on_its_way_is_waited_for() -> None:
    facts = disputed(state="OPEN", refunds=[refund("DISPATCHING")])

    assert disputes.advise(facts).next_step == (
        "a refund is on its way: wait for its confirmation, then answer with it"
    )


def test_paid_twice_and_lost_is_recovered() -> None:
    facts = disputed(
        state="LOST", refunded_before_minor=4_000, refunds=[refund("SUCCEEDED")], left_minor=6_000
    )

    said = disputes.advise(facts)

    assert said.next_step == (
        "the customer was paid twice: recover the refund from the customer or the seller"
    )
    assert said.likely_cause == (
        "the customer says that nothing arrived (code 13.1); 40.00 EUR of the charge was refunded; "
        "40.00 EUR of it before the bank took the money: paid twice"
    )
    assert said.drafts == ()


def test_refunds_that_wait_are_named_as_held() -> None:
    facts = disputed(state="OPEN", refunds=[refund("APPROVED", 3_000)])

    assert lines_of(facts)["Held by it"] == "1 refund of 30.00 EUR cannot leave while it stands"


def test_a_deadline_that_is_over_or_not_told_is_said() -> None:
    over = disputed(is_overdue=True, days_left=-2)

    assert lines_of(over)["Deadline"] == "it was 2026-11-25 12:00 UTC and is over"
    assert disputes.advise(over).drafts == ()
    assert lines_of(disputed(due_at="", days_left=None))["Deadline"] == (
        "the provider told no deadline; ask in its console"
    )
