"""Drafts of messages to customers: what they say, by method, provider and state (AI-6)."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from payops.triage import drafts
from payops.triage.said import quoted


def refunded(state: str, **changes: Any) -> dict[str, Any]:
    asked = {
        "amount_minor": 3_000,
        "reason_code": "order_canceled",
        "state": state,
        "obligation": "",
        "offline": False,
        "failure_code": "",
        "accepted_on": "2026-11-20",
        "succeeded_on": "",
        "refused_by": [],
    }
    facts = {
        "provider": "stripe",
        "method": "card",
        "currency": "EUR",
        "page": {"order": "ORDER-5", "reference": "re_1"},
    }
    for name in ("provider", "method", "page"):
        if name in changes:
            facts[name] = changes.pop(name)
    return {**facts, "asked": {**asked, **changes}}


def text_of(facts: dict[str, Any]) -> str:
    (draft,) = drafts.of_refund(facts)
    return draft.text


def test_a_receipt_says_how_much_where_and_until_when() -> None:
    assert text_of(refunded("SUCCEEDED")) == (
        "Hello,\n\nWe have refunded 30.00 EUR for order ORDER-5.\n\nIt goes back to the card you "
        "paid with; banks take 5 to 10 bank days. Please look for it until 4 December 2026.\n\n"
        "Our reference: re_1\n\nKind regards"
    )


@pytest.mark.parametrize(
    ("provider", "method", "days"),
    [
        ("stripe", "card", (5, 10)),
        ("adyen", "sepa_debit", (3, 5)),
        ("adyen", "ideal", (2, 5)),
        ("adyen", "klarna", (5, 14)),
        ("paypal", "", (0, 5)),
        ("paypal", "card", (5, 10)),
        ("standard", "", (5, 10)),
    ],
)
def test_when_it_reaches_the_customer_is_by_method_and_provider(
    provider: str, method: str, days: tuple[int, int]
) -> None:
    assert drafts.reaches(refunded("ACCEPTED", provider=provider, method=method)) == days


def test_bank_days_leave_weekends_out() -> None:
    assert drafts.bank_days_after(date(2026, 11, 20), 1) == date(2026, 11, 23)
    assert drafts.bank_days_after(date(2026, 11, 21), 0) == date(2026, 11, 21)


def test_a_refund_paid_by_hand_names_a_transfer() -> None:
    assert "It was paid by bank transfer" in text_of(refunded("SUCCEEDED", offline=True))


def test_a_refusal_names_the_reason_and_what_to_do_without_our_figures() -> None:
    assert text_of(refunded("REFUSED", refused_by=["no_blocking_dispute"])) == (
        "Hello,\n\nYou asked for a refund of 30.00 EUR for order ORDER-5. We cannot make it: your "
        "bank is deciding about this payment at your request, and it will pay you if it decides "
        "for you; a refund on top would pay you twice.\n\nPlease wait for your bank's decision, or "
        "withdraw the dispute there and tell us.\n\nOur reference: re_1\n\nKind regards"
    )


def test_a_refusal_by_people_leaves_the_reason_to_them() -> None:
    assert "[say in your own words why]" in text_of(refunded("REFUSED"))


@pytest.mark.parametrize("state", ["FAILED", "FAILED_LATE", "RETURNED"])
def test_a_refund_that_did_not_arrive_is_still_owed(state: str) -> None:
    """D8"""
    text = text_of(refunded(state, obligation="owed"))

    assert "The money is still owed to you." in text
    assert "never send card numbers" in text


def test_a_refund_without_an_answer_promises_nothing() -> None:
    """D14"""
    assert "has not confirmed it yet" in text_of(refunded("UNKNOWN"))


@pytest.mark.parametrize("state", ["REQUESTED", "AWAITING_APPROVAL", "APPROVED"])
def test_nothing_is_drafted_before_anything_is_decided(state: str) -> None:
    assert drafts.of_refund(refunded(state)) == ()


def test_what_others_wrote_is_bounded_and_on_one_line() -> None:
    order = quoted("A\u202e\n\x00" + "x" * 500)

    assert (len(order), order[:3]) == (64, "A x")
    assert order.endswith("…")
