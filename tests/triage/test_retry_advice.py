"""AI-6: why a payment failed, whether and when to try again, and a reminder to copy."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from payops.triage import retries
from payops.triage.declines import decline_of


def failed(code: str, **changes: Any) -> dict[str, Any]:
    """The figures of a failed card payment on Friday 20 November 2026."""
    order = {"charges": 0, "captured": 0, "same_amount": 0, "failed": 0}
    facts = {
        "amount_minor": 4_900,
        "currency": "EUR",
        "method": "card",
        "provider": "adyen",
        "failure_code": code,
        "decline": decline_of(code).key,
        "today": "2026-11-20",
        "time_zone": "Europe/Berlin",
        "past": {"captured": 0, "failed": 0, "hour": None},
        "order": order | changes.pop("order", {}),
        "page": {"order": "ORDER-7", "reference": ""},
    }
    return {**facts, **changes}


def lines_of(facts: dict[str, Any]) -> dict[str, str]:
    return {line.title: line.text for line in retries.advise(facts).lines}


@pytest.mark.parametrize(
    ("code", "kind", "on"),
    [
        # Saturday 28 November is moved to the Monday after it.
        ("insufficient_funds", "insufficient_funds", date(2026, 11, 30)),
        ("Not enough balance", "insufficient_funds", date(2026, 11, 30)),
        ("51", "insufficient_funds", date(2026, 11, 30)),
        ("AM04", "insufficient_funds", date(2026, 11, 30)),
        ("expired_card", "expired_card", None),
        ("Expired Card", "expired_card", None),
        ("54", "expired_card", None),
        ("incorrect_number", "invalid_details", None),
        ("AC04", "invalid_details", None),
        ("stolen_card", "lost_or_stolen", None),
        ("fraudulent", "fraud", None),
        ("Issuer Suspected Fraud", "fraud", None),
        ("authentication_required", "authentication", None),
        ("MD01", "no_mandate", None),
        ("do_not_honor", "do_not_honor", date(2026, 11, 23)),
        ("card_declined", "do_not_honor", date(2026, 11, 23)),
        ("processing_error", "technical", date(2026, 11, 21)),
        ("withdrawal_count_limit_exceeded", "limit", date(2026, 11, 23)),
        ("", "unknown", None),
        ("a code of tomorrow", "unknown", None),
    ],
)
def test_every_kind_of_no_has_its_day_or_none(code: str, kind: str, on: date | None) -> None:
    facts = failed(code)

    assert decline_of(code).key == kind
    assert retries.when(facts).on == on


def test_not_enough_money_waits_for_the_day_after_a_payday() -> None:
    said = retries.advise(failed("insufficient_funds"))

    assert said.suggests == "retry"
    assert said.summary == (
        "49.00 EUR did not go through: there was not enough money in the account or on the card. "
        "Try again on Monday 30 November 2026, 10:00 (Europe/Berlin)."
    )
    assert {line.title: line.text for line in said.lines}["Why then"] == (
        "most salaries have arrived by the 28th; too few payments are known to judge the hour by"
    )


def test_paydays_follow_the_currency() -> None:
    facts = failed("insufficient_funds", currency="USD", today="2026-11-02")

    assert retries.when(facts).on == date(2026, 11, 16)


def test_the_hour_is_the_one_at_which_payments_like_it_went_through() -> None:
    facts = failed("insufficient_funds", past={"captured": 40, "failed": 10, "hour": 18})

    again = retries.when(facts)

    assert (again.hour, again.why) == (
        18,
        "most salaries have arrived by the 28th; most of 40 payments like it went through at that "
        "hour",
    )
    assert lines_of(facts)["Payments like it, 90 days"] == "40 of 50 went through (card)"


def test_a_debit_has_a_bank_day_and_no_hour() -> None:
    again = retries.when(failed("AM04", method="sepa_debit"))

    assert (again.on, again.hour) == (date(2026, 11, 30), None)


def test_an_expired_card_is_never_tried_again() -> None:
    said = retries.advise(failed("expired_card"))

    assert (said.suggests, said.next_step) == (
        "never",
        "Never try this card again; ask the customer for a new one.",
    )
    (draft,) = said.drafts
    assert draft.text == (
        "Hello,\n\nYour payment of 49.00 EUR for order ORDER-7 did not go through: the card has "
        "expired.\n\nPlease enter your new card in your account.\n\nIf you have paid already, "
        "please ignore this message.\n\nKind regards"
    )


def test_a_second_plain_no_and_a_fourth_attempt_end_it() -> None:
    second = failed("do_not_honor", order={"charges": 1, "failed": 1})
    fourth = failed("insufficient_funds", order={"charges": 3, "failed": 3})

    assert retries.when(second).why == "the bank said no 2 times without a reason"
    assert retries.when(fourth).on is None
    assert retries.advise(fourth).next_step == (
        "Stop trying; ask the customer to pay in another way."
    )


def test_a_paid_order_is_neither_tried_again_nor_reminded_of() -> None:
    said = retries.advise(failed("insufficient_funds", order={"charges": 1, "captured": 1}))

    assert (said.suggests, said.drafts) == ("never", ())
    assert said.summary == (
        "49.00 EUR did not go through, and its order is paid by another attempt."
    )


@pytest.mark.parametrize("code", ["fraudulent", "stolen_card"])
def test_a_suspicion_is_never_told_to_the_customer(code: str) -> None:
    (draft,) = retries.advise(failed(code)).drafts

    assert "fraud" not in draft.text.lower()
    assert "stolen" not in draft.text.lower()
    assert "could not be completed with this card" in draft.text
