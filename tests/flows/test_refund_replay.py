"""The replay proof of refunds: every entry follows from its sources, and what does not is named.

AU-3, LJ-20. A day with every kind of source: events, our own answers, refunds made outside, what
was paid by hand, a retry, a lapse and an unclaimed one, under both fee policies.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, transaction

from ledger import posting
from ledger.models import JournalEntry
from payops.core import clock
from payops.flows.refunds import ledger as refund_ledger
from payops.flows.refunds import obligation_ask as refund_obligation_ask
from payops.flows.refunds import obligations as refund_obligations
from payops.flows.refunds import request as refund_flow
from payops.payments.models import Refund
from tests import books, refunds
from tests.builders import approval_of, approve_all, drain
from tests.flows.refund_life import (
    answer,
    balances,
    begin,
    charged,
    outsider,
    reload,
    sent,
    teller_of,
)
from tests.flows.test_replay import run, triggers_off
from tests.people import actor
from tests.refund_asks import carry_decisions
from tests.replaying import named, replayed

pytestmark = pytest.mark.django_db(transaction=True)


def told(refund: Refund, *words: str) -> Refund:
    teller = teller_of(refund)
    for word in words:
        teller.tell(word)
        drain()
    return reload(refund)


def granted(refund: Refund) -> Refund:
    approve_all(approval_of(refund.approval_id))
    carry_decisions()
    return reload(refund)


def end(refund: Refund, outcome: str) -> None:
    """People end the obligation, with their evidence."""
    request = refund_obligation_ask.propose_end(
        refund_id=refund.pk,
        outcome=outcome,
        evidence="letter of the bank",
        reason="it was settled another way",
        actor=actor("amara"),
        now=clock.utc_now(),
    )
    approve_all(request)
    carry_decisions()
    assert reload(refund).obligation == outcome


def retried(failed: Refund) -> Refund:
    again = refund_obligations.retry(
        refund_id=failed.pk, reason="a new card", actor=actor("amara"), now=clock.utc_now()
    )
    again = granted(again)
    begin(again)
    return reload(again)


def paid_by_hand(refund: Refund) -> Refund:
    return refund_flow.record_offline(
        refund_id=refund.pk,
        offline_ref="SEPA-1",
        paid_at=clock.utc_now(),
        actor=actor("sofia"),
        now=clock.utc_now(),
    )


def test_a_played_day_has_no_difference() -> None:
    """Zero differences, and nothing unexplained."""
    shared = charged("standard")
    third = sent(shared, "33.33")
    answer(third, "srf_third", "refund.accepted", "refund.succeeded", movement_ref="mv_1")
    outsider(shared, 3_333).tell("created")
    drain()
    books.with_settings(refund_fee_policy="kept")
    last = refunds.ask(shared, "33.34")
    last = granted(last)
    begin(last)
    told(last, "created", "succeeded", "failed", "returned")
    books.with_settings(refund_fee_policy="returned")
    end(reload(last), "lapsed")

    again = retried(told(sent(charged("paypal")), "created", "failed"))
    told(again, "succeeded")
    told(sent(charged("stripe")), "failed", "created", "succeeded", "failed twice")
    told(sent(charged("adyen")), "created", "returned", "failed")
    unclaimed = told(sent(charged("standard")), "created", "failed")
    end(unclaimed, "unclaimed")
    outsider(charged("standard"), 13_000).tell("created")
    drain()
    by_hand = granted(refunds.ask(charged("standard"), "40.00", offline=True))
    assert paid_by_hand(by_hand).state == "SUCCEEDED"

    proof = replayed()

    assert named(proof) == []
    classes = set(JournalEntry.objects.values_list("event_class", flat=True))
    assert {
        "refund.accepted",
        "refund.succeeded",
        "refund.failed_early",
        "refund.failed_late",
        "refund.failed_reclassified",
        "refund.returned",
        "refund.retried",
        "refund.obligation_lapsed",
        "funds.unclaimed",
    } <= classes
    assert proof.recomputed >= proof.entries
    assert balances(by_hand.public_id) == {"1000": -4_000, "2000": 3_600, "4000": 400}


def test_what_the_journal_refused_at_first_is_explained_when_it_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """RF-9: dated by its facts, known when the journal took it."""
    refund = sent(charged("standard"))
    whole = posting.post_many

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise posting.LedgerBusy("not now")

    monkeypatch.setattr(posting, "post_many", refuse)
    answer(refund, "srf_1", "refund.accepted", "refund.succeeded")
    assert reload(refund).state == "LEDGER_PENDING"
    monkeypatch.setattr(posting, "post_many", whole)
    with transaction.atomic():
        row = refund_ledger.locked(refund.pk)
        refund_ledger._catch_up(row, clock.utc_now())

    assert reload(refund).state == "SUCCEEDED"
    assert named(replayed()) == []


def test_a_tampered_row_is_named() -> None:
    """AU-3: another amount on the refund, and another share on a line."""
    refund = told(sent(charged("standard")), "created", "succeeded")
    other = told(sent(charged("standard")), "created", "succeeded")
    entry = JournalEntry.objects.get(subject_id=refund.public_id, event_class="refund.succeeded")
    with triggers_off():
        run(
            "UPDATE ledger_journalline SET amount_minor = amount_minor * 2,"
            " reporting_minor = reporting_minor * 2 WHERE entry_id = %s",
            entry.pk,
        )
    with triggers_off_of("payments_refund"):
        run("UPDATE payments_refund SET amount_minor = 2999 WHERE id = %s", other.pk)

    told_of = "\n".join(named(replayed()))

    assert entry.public_id in told_of
    accepted = JournalEntry.objects.get(subject_id=other.public_id, event_class="refund.accepted")
    assert accepted.public_id in told_of


def test_an_entry_without_a_source_is_named() -> None:
    refund = told(sent(charged("standard")), "created")
    with triggers_off_of("webhooks_providerevent"):
        run(
            "UPDATE webhooks_providerevent SET outcome = 'not applied: changed'"
            " WHERE subject_id = %s",
            refund.public_id,
        )

    assert any("(refund.accepted" in words for words in named(replayed()))


class triggers_off_of:
    """As the schema's owner, with the table's triggers off."""

    def __init__(self, table: str) -> None:
        self.table = table

    def __enter__(self) -> None:
        from payops.commands.bootstrap import as_owner

        self.owner = as_owner()
        self.owner.__enter__()
        self._run("DISABLE")

    def __exit__(self, *raised: Any) -> None:
        self._run("ENABLE")
        self.owner.__exit__(*raised)

    def _run(self, word: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {self.table} {word} TRIGGER USER")
