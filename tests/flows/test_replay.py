"""The replay proof: every entry follows from its sources, and what does not is named (AU-3, LJ-20).

The books are tampered with as the schema's owner, with the triggers off: what the product cannot
do, somebody with the keys of the database can, and this is what finds it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, transaction

from ledger import revaluation
from ledger.models import JournalEntry
from payops.commands.bootstrap import as_owner
from payops.core import clock
from payops.flows import beneficiary, manual_posting
from payops.flows import revaluation as flow
from payops.flows.replay.run import replay
from payops.payments.models import Payout
from tests.api.calling import other_key
from tests.api.entries import BOTH, fee, send
from tests.books import with_settings
from tests.builders import (
    approval_of,
    approve_all,
    capture,
    drain,
    payout_object,
    post_standard,
    reload,
    requested,
    seller,
    standard_event,
)
from tests.flows.lifecycle import Teller, approve_and_run, decide_case, open_case, propose
from tests.journals import ask_reversal, grant, posted, today
from tests.ledger.euros import Story
from tests.people import actor
from tests.rates import known_rate
from tests.replaying import named, replayed
from tests.stories import paid_payout, sent_payout

pytestmark = pytest.mark.django_db(transaction=True)


def failed_and_decided(resolution: str) -> Payout:
    """Paid, failed late, told twice, and decided."""
    payout = paid_payout("1200.00")
    told = Teller(payout, code="could_not_process")
    told.tell("failed")
    told.tell("failed")
    drain()
    decide_case(payout, resolution)
    return reload(payout)


@contextmanager
def triggers_off() -> Iterator[None]:
    with as_owner(), transaction.atomic(), connection.cursor() as cursor:
        for table in ("ledger_journalentry", "ledger_journalline", "ledger_postingkey"):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        yield
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in ("ledger_journalentry", "ledger_journalline", "ledger_postingkey"):
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def run(statement: str, *values: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        assert cursor.rowcount > 0


def test_payments_and_their_fees_follow_from_their_receipts() -> None:
    for amount in (10_000, 99, 1_234_567):
        capture(amount, fee_minor=3, platform_minor=9)

    proof = replayed()

    assert (proof.entries, proof.recomputed, named(proof)) == (6, 6, [])


def test_a_payout_with_its_failure_decision_and_release_follows_from_its_sources() -> None:
    failed_and_decided("release")

    proof = replayed()

    assert named(proof) == []
    classes = set(JournalEntry.objects.values_list("event_class", flat=True))
    assert {"payout.initiated", "payout.paid", "payout.returned", "payout.released"} <= classes
    assert proof.entries == JournalEntry.objects.count() == proof.recomputed


def test_a_reissue_and_a_cancellation_follow_from_their_sources() -> None:
    payout = paid_payout("1200.00")
    Teller(payout, code="could_not_process").tell("failed")
    drain()
    case = open_case(payout)
    assert case is not None
    beneficiary.verify(
        beneficiary_id=seller().pk,
        evidence="called back on the known number",
        actor=actor("tomas"),
        now=clock.utc_now(),
    )
    approve_and_run(propose(case, "release"))
    canceled = sent_payout("75.00")
    told = payout_object(canceled, "canceled")
    assert post_standard(standard_event("payout.canceled", told)) == 200
    drain()

    proof = replayed()

    assert reload(canceled).state == "CANCELED"
    assert named(proof) == []
    assert proof.entries == proof.recomputed > 4


def test_a_payout_that_only_waits_posts_nothing_here_either() -> None:
    waiting = requested("80.00")
    approve_all(approval_of(waiting.approval_id))

    assert (replayed().entries, replayed().recomputed) == (0, 0)


def test_changed_amounts_are_named_with_both_sides() -> None:
    capture(10_000, platform_minor=1_000)
    entry = JournalEntry.objects.get(event_class="payment.captured")
    with triggers_off():
        run(
            "UPDATE ledger_journalline SET amount_minor = amount_minor + sign(amount_minor) * 5,"
            " reporting_minor = reporting_minor + sign(amount_minor) * 5 WHERE entry_id = %s"
            " AND amount_minor IN (10000, -9000)",
            entry.pk,
        )

    assert named(replayed()) == [
        f"lines: {entry.public_id}: 1100 standard/demo has 10005 EUR minor units (10005 in"
        " reporting currency), its source says 10000 (10000)",
        f"lines: {entry.public_id}: 2000 S-1001 has -9005 EUR minor units (-9005 in"
        " reporting currency), its source says -9000 (-9000)",
    ]


def test_a_vanished_entry_and_an_invented_one_are_named() -> None:
    capture(10_000, platform_minor=1_000)
    capture(5_000, platform_minor=500)
    first, second = JournalEntry.objects.order_by("id")
    source = first.event_id
    with triggers_off():
        run("DELETE FROM ledger_postingkey WHERE entry_id = %s", first.pk)
        run("DELETE FROM ledger_journalline WHERE entry_id = %s", first.pk)
        run("DELETE FROM ledger_journalentry WHERE id = %s", first.pk)
        run(
            "UPDATE ledger_journalentry SET idempotency_key = idempotency_key || 'x',"
            " subject_id = 'xx' WHERE id = %s",
            second.pk,
        )
        run(
            "UPDATE ledger_postingkey SET key = key || 'x' WHERE entry_id = %s",
            second.pk,
        )

    told = named(replayed())

    assert len(told) == 3
    assert told[0].startswith(f"missing: {source} says payment.captured on ")
    assert told[1].startswith(f"missing: {second.event_id} says payment.captured on ")
    assert f"{second.public_id} (payment.captured, " in told[2]
    assert told[2].startswith("unexplained: ")


def test_a_moved_day_is_named_and_the_command_ends_with_it(capsys: pytest.CaptureFixture) -> None:
    capture(10_000)
    entry = JournalEntry.objects.get(event_class="payment.captured")
    code = entry.period.code
    call_command("replay", book="meridian", period=code, json=True)
    assert json.loads(capsys.readouterr().out)["differences"] == []
    with triggers_off():
        run(
            "UPDATE ledger_journalentry SET occurred_at = occurred_at - interval '1 hour'"
            " WHERE id = %s",
            entry.pk,
        )

    with pytest.raises(SystemExit) as ended:
        call_command("replay", book="meridian", period=code)

    assert ended.value.code == 1
    told = capsys.readouterr().out
    assert "1 entries in the period, 1 postings recomputed" in told
    assert f"{entry.public_id}: occurred_at is " in told
    with pytest.raises(CommandError, match="it has"):
        call_command("replay", book="meridian", period="1999-01")


def test_a_policy_changed_later_does_not_change_what_had_to_be_posted() -> None:
    """LJ-7: an entry is recomputed under the settings the book had when its event was decided."""
    capture(10_000, platform_minor=1_000)
    with_settings(presentation="gross")
    capture(20_000, platform_minor=2_000)

    proof = replayed()

    assert (proof.entries, proof.recomputed, named(proof)) == (2, 2, [])
    assert JournalEntry.objects.filter(lines__account__code="4010").distinct().count() == 1


def test_a_revaluation_and_the_run_that_takes_it_back_follow_from_what_stood_before() -> None:
    """LJ-10; the conversion it stands on has no source here, and is named."""
    story = Story()
    story.receive()
    period = story.closing("2026-03")
    known_rate("EUR", "USD", "1.0950", as_of=revaluation.end_of(period, story.book))
    made = flow.run(book=story.book, period_id=period.pk, actor=actor("marco"), now=clock.utc_now())
    flow.reverse(
        book=story.book,
        run_id=made.run.pk,
        reason="the rate was wrong",
        actor=actor("marco"),
        now=clock.utc_now(),
    )

    with as_owner():
        proof = replay(book=story.book, period_code="2026-03")

    assert (proof.entries, proof.recomputed) == (3, 2)
    told = named(proof)
    assert len(told) == 1, told
    assert "(fx.converted, " in told[0]


def test_hand_made_journals_and_entries_of_systems_follow_from_what_was_asked() -> None:
    """D6, LJ-17: the approved facts and the words of the system give the same entries again."""
    journal, entry = posted(auto_reverse_on=today() + timedelta(days=1))
    _, other = posted(description="fees of the other provider")
    grant(ask_reversal(other))
    manual_posting.take_back(
        journal_id=journal.public_id,
        actor=manual_posting.ACTOR,
        now=clock.utc_now() + timedelta(days=1),
    )
    answer = send(fee(), api_key=other_key("treasury", acts=BOTH))

    proof = replayed()

    assert answer.status_code == 201, answer.content
    assert named(proof) == []
    assert proof.entries == proof.recomputed == 5
    assert JournalEntry.objects.filter(reverses__in=[entry, other]).count() == 2
