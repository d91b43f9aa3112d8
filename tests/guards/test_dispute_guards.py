"""The database keeps disputes as they were told, whoever writes past the flows (D9, D5, RF-15)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import Error, connection, transaction

from ledger import posting
from ledger.models import JournalEntry
from payops.core import clock
from payops.core.actors import service
from payops.payments.models import Dispute
from tests.flows.dispute_tales import Tale

pytestmark = pytest.mark.django_db(transaction=True)


def write(dispute: Dispute, column: str, value: Any) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE payments_dispute SET {column} = %s WHERE id = %s", [value, dispute.pk]
        )


def refused(act: Callable[[], None]) -> str:
    with pytest.raises(Error) as caught:
        act()
    return str(caught.value)


def test_who_bears_it_is_open_until_the_money_was_taken() -> None:
    tale = Tale("standard").captured().happens("opened")
    write(tale.dispute, "borne_by", "platform")
    assert tale.dispute.borne_by == "platform"
    tale.happens("withdrawn")

    words = refused(lambda: write(tale.dispute, "borne_by", "seller"))

    assert "who bears a dispute is booked once its money was taken" in words


def test_what_was_told_is_never_changed_or_taken_out() -> None:
    dispute = Tale("standard").captured().happens("opened", "withdrawn").dispute
    first, *rest = dispute.facts
    for told in ([first], [], [{**first, "kind": "won"}, *rest], [*rest, first]):
        words = refused(lambda told=told: write(dispute, "facts", json.dumps(told)))
        assert "never changed, only added to" in words


def test_a_loss_is_not_accepted_by_writing_it_down() -> None:
    dispute = Tale("standard").captured().happens("opened", "withdrawn").dispute
    fact = {"kind": "loss_accepted", "at": dispute.opened_at.isoformat(), "key": "x"}
    for ref in ("", "ap_" + "0" * 32):
        told = [*dispute.facts, {**fact, "ref": ref}]
        words = refused(lambda told=told: write(dispute, "facts", json.dumps(told)))
        assert "accepted only with its granted approval" in words


def test_a_dispute_stays_with_its_charge_and_its_currency() -> None:
    one = Tale("standard").captured().happens("opened")
    other = Tale("standard").captured()

    words = refused(lambda: write(one.dispute, "payment_id", other.payment.pk))
    assert "stays with the charge it is about" in words
    words = refused(lambda: write(one.dispute, "currency", "USD"))
    assert "the account, the currency and the book of its charge" in words


def test_the_hold_of_a_dispute_is_taken_back_by_rule_and_its_withdrawal_is_not() -> None:
    """LJ-2: only what the product takes back by itself needs no request."""
    tale = Tale("standard").captured().happens("opened", "withdrawn")
    taken = JournalEntry.objects.get(
        event_class="dispute.funds_withdrawn", dispute_id=tale.dispute.public_id
    )

    def reverse() -> None:
        with transaction.atomic():
            posting.reverse(taken, reason="by hand", actor=service("somebody"), now=clock.utc_now())

    assert "only as its granted manual journal describes it" in refused(reverse)
