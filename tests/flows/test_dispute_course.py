"""What facts make of a dispute: stages, verdicts, rounds and what frees the charge (D9, RF-15)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from payops.flows.disputes import course as dispute_course
from payops.flows.disputes.course import Course, Fact

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def fact(kind: str, hour: int, **more: Any) -> Fact:
    return Fact(kind=kind, at=START + timedelta(hours=hour), key=f"{kind}{hour}", **more)


def course(*facts: Fact) -> Course:
    kept = [each.kept() for each in facts]
    found = dispute_course.course_of(dispute_course.read(kept))
    assert found == dispute_course.course_of(dispute_course.read(reversed(kept)))
    return found


INQUIRY = fact("opened", 0, stage="inquiry", refundable=True, turn="ours")


def test_an_inquiry_stays_one_while_a_refund_can_end_it() -> None:
    answered = fact("updated", 2, stage="inquiry", refundable=True, turn="theirs")
    assert course(INQUIRY).state == "INQUIRY"
    assert course(INQUIRY, answered).state == "INQUIRY"
    assert course(INQUIRY, answered).evidence_sent_at == answered.at


def test_an_inquiry_becomes_a_chargeback_by_its_stage_or_by_its_money() -> None:
    assert course(INQUIRY, fact("opened", 5, stage="chargeback")).state == "OPEN"
    taken = course(INQUIRY, fact("funds_withdrawn", 5))
    assert (taken.state, taken.is_out, taken.is_inquiry) == ("OPEN", True, False)


def test_a_closed_inquiry_is_opened_again_by_a_later_chargeback() -> None:
    closed = course(INQUIRY, fact("closed", 5))
    assert (closed.state, closed.ended_at) == ("CLOSED", START + timedelta(hours=5))
    again = course(INQUIRY, fact("closed", 5), fact("opened", 9, stage="chargeback"))
    assert (again.state, again.ended_at) == ("OPEN", None)


def test_money_given_back_says_won_where_nobody_says_otherwise() -> None:
    """A reversal of a chargeback is never taken for a refund (RF-15)."""
    won = course(fact("opened", 0), fact("funds_withdrawn", 1), fact("funds_returned", 5))
    assert (won.state, won.ended_at) == ("WON", START + timedelta(hours=5))


def test_the_provider_overrules_an_accepted_loss() -> None:
    facts = (fact("opened", 0), fact("funds_withdrawn", 1), fact("loss_accepted", 5))
    assert course(*facts).is_lost
    assert course(*facts, fact("won", 6)).state == "WON"


def test_a_loss_is_not_reopened_by_more_of_the_same() -> None:
    lost = (fact("opened", 0), fact("funds_withdrawn", 1), fact("lost", 5))
    assert course(*lost, fact("funds_withdrawn", 6, ref="again")).state == "LOST"
    assert course(*lost, fact("updated", 7, turn="theirs")).state == "LOST"


def test_facts_of_one_second_are_read_in_the_order_they_can_only_have_had() -> None:
    told = course(
        fact("won", 0), fact("funds_returned", 0), fact("funds_withdrawn", 0), fact("opened", 0)
    )
    assert (told.state, len(told.rounds), told.is_out) == ("WON", 1, False)


@pytest.mark.parametrize(
    ("facts", "fees"),
    [
        ((fact("funds_withdrawn", 1, fee_minor=15),), (15,)),
        ((fact("funds_withdrawn", 1, fee_minor=15), fact("lost", 2, fee_minor=15)), (15,)),
        ((fact("funds_withdrawn", 1), fact("lost", 2, fee_minor=15)), (15,)),
        (
            (
                fact("funds_withdrawn", 1, fee_minor=15),
                fact("funds_returned", 2),
                fact("funds_withdrawn", 3, fee_minor=20),
            ),
            (15, 20),
        ),
    ],
)
def test_a_fee_counts_once_a_round_however_often_it_is_shown(
    facts: tuple[Fact, ...], fees: tuple[int, ...]
) -> None:
    assert course(*facts).fees == fees
