"""The database's own rule for hand-made entries, attacked as the app role (D5, D6, LJ-2).

Through SQL, the ORM, the posting path itself and the admin: without exactly its granted request no
such entry is committed. What the product posts by itself goes on without one.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import Error, transaction
from django.test import Client

from approvals.models import ApprovalRequest
from ledger import manual, posting
from ledger.facts import Posting, Refs
from ledger.manual import Line
from ledger.models import JournalEntry, JournalLine, ManualJournal
from ledger.posting import reverse
from ledger.rows.corrections import REVERSAL
from payops.core import clock, ids, state
from payops.core.actors import service
from payops.flows import manual_posting
from tests.builders import capture, decide, drain
from tests.guards.approval_attacks import refused, run
from tests.journals import ACCRUAL, approval, ask, ask_reversal, grant, meridian, posted, today
from tests.ledger.euros import Story
from tests.ledger.scene import Scene, make_book, public_id
from tests.people import login

pytestmark = pytest.mark.django_db(transaction=True)
ATTACKER = service("attacker")
DESCRIBED = "is posted only as its granted manual journal describes it"
ONCE = "a manual journal is posted once, as the entry its document names"
LINES = "the lines of a manual journal are those that were approved"
BACK = "a hand-made entry is taken back by a granted request, or as it was posted"
FIXED = "the content of a manual journal never changes"
NAMED = "a manual journal names its entry once, when it is posted"


def attack(approval_id: str = "", **changes: Any) -> posting.Outcome:
    """The one posting path, called by somebody who has no business there."""
    wanted = Posting(
        book=meridian(),
        event_class="adjustment.manual",
        subject_id=ids.render("mj", ids.uuid7()),
        movement_ref="",
        legs=manual.legs_of(changes.pop("lines", ACCRUAL), cash_flow_tag=""),
        occurred_at=clock.utc_now(),
        description="by hand",
        refs=Refs(approval_id=approval_id),
        posting_on=today(),
    )
    with transaction.atomic():
        return posting.post(replace(wanted, **changes), actor=ATTACKER, now=clock.utc_now())


def granted_and_waiting() -> ManualJournal:
    """Approved and executed, but not posted: its posting was made to fail."""
    journal = ask()
    decide(approval(journal), "marco")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manual_posting, "_posted", _busy)
        drain()
    return ManualJournal.objects.get(pk=journal.pk, state="APPROVED")


def _busy(*_: Any, **__: Any) -> None:
    raise posting.PeriodLocked("the test holds it back")


def entries() -> int:
    return JournalEntry.objects.count()


@pytest.mark.parametrize("event_class", ["adjustment.manual", "write_off", "funds.unclaimed"])
@pytest.mark.parametrize("named", ["", "ap_" + "0" * 32, "yes"])
def test_without_a_request_no_hand_made_class_is_committed(event_class: str, named: str) -> None:
    with refused(DESCRIBED):
        attack(named, event_class=event_class)
    assert entries() == 0


def test_a_request_that_is_not_granted_or_not_executed_counts_for_nothing() -> None:
    pending = ask()
    with refused(DESCRIBED):
        attack(pending.approval_id, subject_id=pending.public_id)
    decide(approval(pending), "marco")
    with refused(DESCRIBED):
        attack(pending.approval_id, subject_id=pending.public_id)
    turned_down = ask()
    decide(approval(turned_down), "marco", "reject")
    with refused(DESCRIBED):
        attack(turned_down.approval_id, subject_id=turned_down.public_id)
    assert entries() == 0


def test_a_granted_request_of_another_kind_or_content_counts_for_nothing() -> None:
    """D6: another amount, class, day or book than what was granted."""
    journal = granted_and_waiting()
    dearer = (Line("5000", 12_001, "EUR"), Line("2450", -12_001, "EUR"))

    for changes in (
        {"lines": dearer},
        {"event_class": "write_off"},
        {"posting_on": today() - timedelta(days=1)},
    ):
        with refused(DESCRIBED):
            attack(journal.approval_id, subject_id=journal.public_id, **changes)
    with refused(ONCE):
        attack(journal.approval_id, subject_id=journal.public_id)
    assert entries() == 0


def test_a_granted_request_posts_one_entry_and_not_a_second() -> None:
    """The document names its entry once, and no second entry can become it."""
    journal, entry = posted()

    with refused(ONCE):
        attack(entry.approval_id, subject_id=journal.public_id, movement_ref="again")
    with refused(NAMED), transaction.atomic():
        made = attack(entry.approval_id, subject_id=journal.public_id, movement_ref="again")
        run(
            "UPDATE ledger_manualjournal SET entry_id = %s WHERE id = %s",
            made.entry_public_id,
            journal.pk,
        )
    assert entries() == 1


def test_other_lines_under_the_approved_fingerprint_are_refused() -> None:
    """SQL: the fingerprint on the entry is only text; the lines themselves are compared."""
    _, pattern = posted()
    journal = granted_and_waiting()
    lines = (Line("5000", 99_000, "EUR"), Line("2450", -99_000, "EUR"))

    with refused(LINES), transaction.atomic():
        journal.post(entry_id=forged_entry(pattern, journal, lines))
        state.save(journal, actor=ATTACKER, now=clock.utc_now(), action="attack")

    assert entries() == 1


def forged_entry(pattern: JournalEntry, journal: ManualJournal, lines: tuple[Line, ...]) -> str:
    """Rows as the ledger writes them, under the fingerprint that was granted."""
    copied = [f.attname for f in JournalEntry._meta.concrete_fields if f.name != "xid"]
    values = {name: getattr(pattern, name) for name in copied}
    line_ids = [ids.uuid7() for _ in lines]
    values |= {
        "id": ids.uuid7(),
        "subject_id": journal.public_id,
        "idempotency_key": "forged",
        "fingerprint": journal.fingerprint,
        "approval_id": journal.approval_id,
        "first_line_id": line_ids[0],
    }
    JournalEntry.objects.bulk_create([JournalEntry(**values)])
    known = {line.account.code: line for line in JournalLine.objects.filter(entry=pattern)}
    rows = []
    for number, (key, line) in enumerate(zip(line_ids, lines, strict=True)):
        copy = known[line.account]
        rows.append(
            JournalLine(
                id=key,
                created_at=copy.created_at,
                book_id=copy.book_id,
                entry_id=values["id"],
                position=number,
                account_id=copy.account_id,
                amount_minor=line.amount_minor,
                currency="EUR",
                reporting_minor=line.amount_minor,
                posting_on=copy.posting_on,
            )
        )
    JournalLine.objects.bulk_create(rows)
    return ids.render("je", values["id"])


def test_evidence_cannot_be_taken_away_from_a_granted_request() -> None:
    journal = granted_and_waiting()
    with pytest.raises(Error):
        run("DELETE FROM core_evidence WHERE subject_id = %s", journal.public_id)
    forged = dict(approval(journal).facts, evidence=[])
    with refused("the content of an approval request never changes"):
        run(
            "UPDATE approvals_approvalrequest SET facts = %s::jsonb WHERE subject_id = %s",
            json.dumps(forged),
            journal.public_id,
        )


def test_a_hand_made_entry_is_not_taken_back_without_a_request() -> None:
    """LJ-8: neither silently, nor under the request it was posted with."""
    _, entry = posted()
    now = clock.utc_now()

    with refused(BACK):
        reverse(entry, reason="no", actor=ATTACKER, now=now)
    with refused(DESCRIBED):
        reverse(entry, reason="no", actor=ATTACKER, now=now, refs=Refs())
    assert entries() == 1


def test_a_journal_with_a_day_is_not_taken_back_before_it() -> None:
    journal, entry = posted(auto_reverse_on=today() + timedelta(days=2))

    with refused(BACK), transaction.atomic():
        made = reverse(entry, reason="early", actor=ATTACKER, now=clock.utc_now())
        run(
            "UPDATE ledger_manualjournal SET reversal_entry_id = %s WHERE id = %s",
            made.entry_public_id,
            journal.pk,
        )
    assert entries() == 1


def test_a_reversal_that_names_a_request_needs_that_request() -> None:
    """An entry of the product taken back in a person's name: as granted, or not at all."""
    capture(100_000, fee_minor=300)
    charged = JournalEntry.objects.get(event_class="fee.charged")
    asked, now, before = ask_reversal(charged), clock.utc_now(), entries()

    for named in (asked.approval_id, "ap_" + "1" * 32):
        with refused(DESCRIBED):
            reverse(charged, reason="no", actor=ATTACKER, now=now, refs=Refs(approval_id=named))
    assert entries() == before
    assert grant(asked).state == "POSTED"


def test_an_entry_of_the_product_is_not_taken_back_without_a_request() -> None:
    """D5: through the shell as well; only what has a rule of its own goes back by itself."""
    capture(100_000, fee_minor=300)
    before = JournalEntry.objects.count()

    for entry in JournalEntry.objects.all():
        words = "is posted only as its granted manual journal describes it"
        with refused(words), transaction.atomic():
            reverse(entry, reason="told twice", actor=ATTACKER, now=clock.utc_now())

    assert JournalEntry.objects.count() == before == 2


def test_a_revaluation_is_not_taken_back_without_the_run_that_says_so() -> None:
    """LJ-10: one entry of a run alone, or all of them without a run."""
    story = Story()
    story.receive()
    story.revalue()
    entry = JournalEntry.objects.get(book=story.book, event_class="fx.revalued")

    with refused("a revaluation is taken back by a run"), transaction.atomic():
        reverse(entry, reason="wrong", actor=ATTACKER, now=clock.utc_now())

    assert JournalEntry.objects.filter(book=story.book, reverses=entry).count() == 0


def test_an_accrual_goes_back_on_day_one_by_its_own_rule() -> None:
    scene = Scene(make_book())
    accrued = scene.post(scene.posting("fee.accrued", public_id("pa"), fee=300))[0]

    with transaction.atomic():
        done = reverse(
            JournalEntry.get(accrued.entry_public_id),
            reason="day one",
            actor=ATTACKER,
            now=clock.utc_now(),
        )

    assert JournalEntry.get(done.entry_public_id).event_class == REVERSAL


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("lines", "[]"),
        ("fingerprint", "0" * 64),
        ("posting_on", "2020-01-01"),
        ("description", "something else"),
        ("approval_id", "ap_" + "0" * 32),
        ("event_class", "write_off"),
    ],
)
def test_the_document_keeps_what_was_asked(column: str, value: str) -> None:
    """D6: the row the screens show is the one that was approved."""
    journal = ask()
    with refused(FIXED):
        run(f"UPDATE ledger_manualjournal SET {column} = %s WHERE id = %s", value, journal.pk)


def test_a_journal_is_neither_born_posted_nor_made_so_by_hand() -> None:
    journal = ask()
    with refused("may not go from AWAITING_APPROVAL to POSTED"):
        run("UPDATE ledger_manualjournal SET state = 'POSTED' WHERE id = %s", journal.pk)
    with refused(NAMED):
        run("UPDATE ledger_manualjournal SET entry_id = 'je_x' WHERE id = %s", journal.pk)
    with pytest.raises(Error):
        run("DELETE FROM ledger_manualjournal WHERE id = %s", journal.pk)


def test_the_admin_offers_no_way_to_write_the_journal() -> None:
    """A superuser reads there, and changes nothing (D5)."""
    _, entry = posted()
    admin = Client()
    admin.force_login(login("root"))

    for name in ("journalentry", "journalline", "manualjournal"):
        for address in (f"/admin/ledger/{name}/add/", f"/admin/ledger/{name}/{entry.pk}/delete/"):
            assert admin.post(address, {}).status_code in (302, 403, 404)
    assert entries() == 1
    assert ApprovalRequest.objects.filter(kind="manual_journal").count() == 1
