"""A hand-made journal from its asking to its entry and back (D5, D6, D12, LJ-2, LJ-8, LJ-17)."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.db import transaction

from approvals import services as approvals
from approvals.models import ApprovalRequest
from approvals.refusals import ApprovalRefused
from ledger.accounts import BY_CODE
from ledger.manual import Line
from ledger.models import (
    AccountingPeriod,
    JournalEntry,
    JournalLine,
    ManualJournal,
    WaitingPosting,
)
from ledger.periods import ensure_open
from ledger.rows.corrections import REVERSAL
from payops.commands.bootstrap import as_owner
from payops.core import clock, ids, locks, state
from payops.core.actors import service
from payops.core.evidence import EvidenceRefused
from payops.core.models import AuditEvent, Book, Evidence, Message
from payops.flows import manual_journal_ask, manual_posting
from payops.flows.governed import ChangeRefused
from payops.flows.manual_journal_ask import Document, JournalAsk
from tests.builders import capture, decide, drain
from tests.journals import (
    LETTER,
    approval,
    ask,
    ask_reversal,
    grant,
    hand_made,
    meridian,
    posted,
    reload,
    today,
)
from tests.ledger.scene import lock_period
from tests.people import actor
from tests.races import race

pytestmark = pytest.mark.django_db(transaction=True)
State = ManualJournal.State


def lines_of(entry: JournalEntry) -> list[tuple[str, str, int]]:
    rows = JournalLine.objects.filter(entry=entry).select_related("account").order_by("position")
    return [(line.account.code, line.party, line.amount_minor) for line in rows]


def nothing_posted() -> bool:
    return not JournalEntry.objects.exists()


def last_month() -> date:
    return today().replace(day=1) - timedelta(days=1)


def open_and_lock(day: date) -> None:
    with transaction.atomic():
        ensure_open(book=meridian(), day=day, actor=service("close"), now=clock.utc_now())
    lock_period(meridian(), clock.period_of(day), now=clock.utc_now())


def reopen(day: date) -> None:
    with as_owner(), transaction.atomic():
        key = AccountingPeriod.objects.get(book=meridian(), code=clock.period_of(day)).pk
        period = locks.row(AccountingPeriod, key)
        period.reopen(approval_id="")
        state.save(period, actor=service("close"), now=clock.utc_now(), action="period.reopened")


def test_a_granted_journal_is_posted_once_with_its_approval_named() -> None:
    """D5, D6, LJ-16: nothing before another person granted it, exactly one entry afterwards."""
    journal = ask()
    asked = approval(journal)
    assert (journal.state, asked.seats) == (State.AWAITING_APPROVAL, ["finance_manager"])
    assert asked.facts["fingerprint"] == journal.fingerprint
    kept = Evidence.objects.get(subject_id=journal.public_id)
    assert asked.facts["evidence"] == [
        {"id": str(kept.pk), "filename": "letter.pdf", "sha256": kept.sha256}
    ]
    drain()
    assert nothing_posted()

    journal = grant(journal)
    drain()
    manual_posting.keep_up(clock.utc_now())

    entry = JournalEntry.objects.get()
    assert (journal.state, journal.entry_id) == (State.POSTED, entry.public_id)
    assert lines_of(entry) == [("5000", "", 12_000), ("2450", "", -12_000)]
    assert (entry.event_class, entry.subject_id) == ("adjustment.manual", journal.public_id)
    assert (entry.approval_id, entry.fingerprint) == (asked.public_id, journal.fingerprint)
    assert (entry.posting_on, entry.matrix_version > 0) == (today(), True)
    told = AuditEvent.objects.filter(subject_id=journal.public_id).order_by("created_at", "pk")
    assert [row.action for row in told] == [
        "evidence.attached",
        "manual_journal.requested",
        "manual_journal.approved",
        "manual_journal.posted",
    ]


def test_the_requester_never_decides_with_whatever_login() -> None:
    """D5: marco may decide about journals, but not about his own; nor who has no seat."""
    journal = ask(by="marco")

    for username in ("marco", "priya", "lena", "audrey", "root"):
        with pytest.raises(ApprovalRefused):
            decide(approval(journal), username)
    drain()
    assert nothing_posted()

    assert grant(journal, by="ingrid").state == State.POSTED


@pytest.mark.parametrize("by", ["amara", "lena", "chen", "sofia", "audrey", "eli", "ada"])
def test_only_finance_even_asks(by: str) -> None:
    with pytest.raises(ChangeRefused, match="may not propose_journal"):
        ask(by=by)
    assert not ManualJournal.objects.exists()
    assert not Evidence.objects.exists()


@pytest.mark.parametrize(
    ("how", "becomes"),
    [
        ("reject", State.REJECTED),
        ("withdraw", State.WITHDRAWN),
        ("void", State.WITHDRAWN),
        ("expire", State.EXPIRED),
    ],
)
def test_a_request_that_ended_otherwise_ends_the_journal(how: str, becomes: str) -> None:
    journal, now = ask(), clock.utc_now()
    said = {"request_id": approval(journal).pk, "reason": "no", "actor": actor("priya")}
    if how == "reject":
        decide(approval(journal), "marco", "reject")
    elif how == "withdraw":
        approvals.withdraw(**said, now=now)
    elif how == "void":
        decide(approval(journal), "marco")
        approvals.undo(**said, now=now)
    else:
        assert approvals.expire_due(now + timedelta(days=30)) == 1
        Message.objects.filter(topic="approval.decided").update(due_at=now)
    drain()

    assert (reload(journal).state, nothing_posted()) == (becomes, True)


@pytest.mark.parametrize(
    ("documents", "kind", "words"),
    [
        ((), ChangeRefused, "0 documents; a manual journal has 1 to 5"),
        ((LETTER,) * 6, ChangeRefused, "6 documents; a manual journal has 1 to 5"),
        ((Document("a.exe", "application/x-dosexec", b"MZ"),), EvidenceRefused, "a.exe is app"),
        ((Document("a.pdf", "application/pdf", b""),), EvidenceRefused, "a.pdf has 0 bytes"),
    ],
)
def test_without_acceptable_evidence_nothing_is_asked(
    documents: tuple[Document, ...], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        ask(documents=documents)
    assert not ApprovalRequest.objects.filter(kind="manual_journal").exists()
    assert not ManualJournal.objects.exists()


def test_sending_the_form_twice_asks_once() -> None:
    wanted = JournalAsk(meridian(), hand_made(), "fees", (LETTER,), key=ids.uuid7())
    said = {"reason": "month end", "actor": actor("priya"), "now": clock.utc_now()}

    first = manual_journal_ask.ask(wanted, **said)
    again = manual_journal_ask.ask(wanted, **said)

    assert first.pk == again.pk
    assert ApprovalRequest.objects.filter(kind="manual_journal").count() == 1


def test_lines_on_control_accounts_keep_party_batch_and_cash_flow_tag() -> None:
    lines = (
        Line("5250", 450, "EUR"),
        Line("1000", -450, "EUR", "main"),
        Line("1150", 100, "EUR", "stripe/demo"),
        Line("2150", -100, "EUR", "O'Neill & Söhne, ORDER-7"),
    )
    _, entry = posted(lines=lines, cash_flow_tag="fees_paid", batch="statement 2026-117")

    cash = JournalLine.objects.get(entry=entry, account__code="1000")
    assert (cash.party, cash.cash_flow_tag) == ("main", "fees_paid")
    assert entry.settlement_batch_id == "statement 2026-117"
    assert lines_of(entry)[3] == ("2150", "" if not BY_CODE["2150"].party_kind else "x", -100)


@pytest.mark.parametrize(
    ("party", "words"),
    [("S-9999", "no seller of"), ("be_" + "0" * 32, "no seller of"), ("", "kept per seller")],
)
def test_a_seller_who_does_not_exist_is_refused(party: str, words: str) -> None:
    lines = (Line("2000", 100, "EUR", party), Line("4960", -100, "EUR"))
    with pytest.raises(ChangeRefused, match=f"line 1: .*{words}"):
        ask(lines=lines, batch="case 7")


def test_a_day_that_is_locked_or_has_not_come_is_not_asked_for() -> None:
    open_and_lock(last_month())

    with pytest.raises(ChangeRefused, match="choose a day of an open period"):
        ask(posting_on=last_month())
    with pytest.raises(ChangeRefused, match="has not come yet"):
        ask(posting_on=today() + timedelta(days=1))
    assert not Evidence.objects.exists()


def test_an_unknown_rate_is_told_before_anybody_decides() -> None:
    lines = (Line("5000", 100, "XTS"), Line("2450", -100, "XTS"))
    with pytest.raises(ChangeRefused, match="no rate from XTS to EUR is known"):
        ask(lines=lines)


def test_a_penny_difference_above_the_cap_is_refused() -> None:
    cap = meridian().penny_cap_minor
    lines = (Line("5950", cap + 1, "EUR"), Line("2450", -cap - 1, "EUR"))
    with pytest.raises(ChangeRefused, match=r"is above the book's cap of 1\.00 EUR"):
        ask(lines=lines)


def test_a_month_locked_meanwhile_leaves_it_approved_and_it_is_posted_once_afterwards() -> None:
    """D12, D17a: waits with its reason; reopened, the next round posts it exactly once."""
    day = last_month()
    journal = ask(posting_on=day)
    open_and_lock(day)

    journal = grant(journal)
    assert (journal.state, nothing_posted()) == (State.APPROVED, True)
    assert "is closed in meridian" in journal.last_error
    with pytest.raises(ChangeRefused, match="only an approved journal"):
        manual_posting.post_now(
            journal_id=ask().public_id, actor=actor("priya"), now=clock.utc_now()
        )
    tried = manual_posting.post_now(
        journal_id=journal.public_id, actor=actor("priya"), now=clock.utc_now()
    )
    assert (tried.state, nothing_posted()) == (State.APPROVED, True)

    reopen(day)
    assert manual_posting.keep_up(clock.utc_now()) == 1
    again = manual_posting.post_now(
        journal_id=journal.public_id, actor=actor("priya"), now=clock.utc_now()
    )

    entry = JournalEntry.objects.get()
    assert (again.state, again.entry_id, again.last_error) == (State.POSTED, entry.public_id, "")
    assert entry.posting_on == day


def test_sixteen_hands_post_one_approved_journal_once() -> None:
    day = last_month()
    journal = ask(posting_on=day)
    open_and_lock(day)
    journal = grant(journal)
    reopen(day)

    done = race(
        16,
        lambda i: manual_posting.post_now(
            journal_id=journal.public_id, actor=manual_posting.ACTOR, now=clock.utc_now()
        ),
    )

    assert {each.state for each in done} == {State.POSTED}
    assert JournalEntry.objects.count() == 1


def test_an_approved_journal_that_cannot_be_posted_is_given_up_with_a_reason() -> None:
    day = last_month()
    journal = ask(posting_on=day)
    open_and_lock(day)
    journal = grant(journal)
    said = {"journal_id": journal.public_id, "actor": actor("priya"), "now": clock.utc_now()}

    with pytest.raises(ChangeRefused, match="say why"):
        manual_posting.give_up(reason=" ", **said)
    assert manual_posting.give_up(reason="the month stays locked", **said).state == State.WITHDRAWN

    reopen(day)
    manual_posting.keep_up(clock.utc_now())
    assert nothing_posted()


def test_it_is_taken_back_by_itself_on_its_day_once() -> None:
    """accounting.md: optional auto-reverse date; LJ-8: the reversal names the entry."""
    day = last_month()
    journal, entry = posted(posting_on=day, auto_reverse_on=day + timedelta(days=1))
    assert not JournalEntry.objects.filter(event_class=REVERSAL).exists()

    now = clock.utc_now()
    assert manual_posting.keep_up(now + timedelta(hours=2)) == 1
    assert manual_posting.keep_up(now + timedelta(hours=4)) == 0

    back = JournalEntry.objects.get(event_class=REVERSAL)
    assert (back.reverses_id, back.posting_on) == (entry.pk, day + timedelta(days=1))
    assert reload(journal).reversal_entry_id == back.public_id
    assert lines_of(back) == [("5000", "", -12_000), ("2450", "", 12_000)]


def test_the_day_of_taking_back_is_awaited_and_follows_the_policy_for_late_events() -> None:
    """D12: its month was locked meanwhile, so it lands on the first open day."""
    day = last_month().replace(day=1)
    journal, _ = posted(posting_on=day, auto_reverse_on=day + timedelta(days=3))
    lock_period(meridian(), clock.period_of(day), now=clock.utc_now())

    assert manual_posting.keep_up(clock.utc_now()) == 1

    back = JournalEntry.objects.get(event_class=REVERSAL)
    assert back.posting_on == today().replace(day=1)
    assert clock.business_day(back.occurred_at, time_zone=meridian().time_zone) == day + timedelta(
        days=3
    )
    assert reload(journal).reversal_entry_id == back.public_id


def test_where_people_grant_late_days_the_taking_back_waits_for_them() -> None:
    """D12: the book's policy is approve; the posting stands in the list of those that wait."""
    day = last_month().replace(day=1)
    journal, _ = posted(posting_on=day, auto_reverse_on=day + timedelta(days=3))
    lock_period(meridian(), clock.period_of(day), now=clock.utc_now())
    with as_owner():
        Book.objects.filter(code="meridian").update(late_event_policy="approve")

    assert manual_posting.keep_up(clock.utc_now()) == 0
    assert manual_posting.keep_up(clock.utc_now() + timedelta(hours=2)) == 0

    waiting = WaitingPosting.objects.get()
    assert (waiting.event_class, waiting.subject_id) == (REVERSAL, journal.public_id)
    assert waiting.occurred_on == day + timedelta(days=3)
    assert reload(journal).last_error
    assert not JournalEntry.objects.filter(event_class=REVERSAL).exists()


def test_a_person_asks_for_a_reversal_and_it_is_posted_at_the_original_amounts() -> None:
    """LJ-8, D5: the reversal names the entry and its own approval, and stands beside it."""
    journal, entry = posted()

    back = grant(ask_reversal(entry))

    reversal = JournalEntry.get(back.entry_id)
    assert (reversal.event_class, reversal.reverses_id) == (REVERSAL, entry.pk)
    assert reversal.approval_id == back.approval_id != journal.approval_id
    assert lines_of(reversal) == [("5000", "", -12_000), ("2450", "", 12_000)]
    with pytest.raises(ChangeRefused, match="was reversed by"):
        ask_reversal(entry)
    with pytest.raises(ChangeRefused, match="a reversal is not reversed"):
        ask_reversal(reversal)


def test_two_granted_reversals_of_one_entry_take_it_back_once() -> None:
    _, entry = posted()
    first, second = ask_reversal(entry), ask_reversal(entry, by="ingrid")

    first, second = grant(first), grant(second)

    assert (first.state, second.state) == (State.POSTED, State.APPROVED)
    assert second.last_error.endswith(f"was taken back by {first.entry_id} meanwhile")
    assert JournalEntry.objects.filter(event_class=REVERSAL).count() == 1


def test_what_a_provider_or_a_runbook_owns_is_not_reversed_by_hand() -> None:
    """LJ-18: an entry whose object has a state of its own is taken back by that state."""
    capture(100_000, fee_minor=300)
    captured = JournalEntry.objects.get(event_class="payment.captured")
    charged = JournalEntry.objects.get(event_class="fee.charged")

    with pytest.raises(ChangeRefused, match="the provider's own event takes it back"):
        ask_reversal(captured)
    assert grant(ask_reversal(charged)).state == State.POSTED


def test_a_journal_with_its_day_that_a_person_took_back_first_is_not_taken_back_again() -> None:
    day = last_month()
    journal, entry = posted(posting_on=day, auto_reverse_on=today())
    back = grant(ask_reversal(entry))

    manual_posting.keep_up(clock.utc_now() + timedelta(hours=3))

    assert reload(journal).reversal_entry_id == back.entry_id
    assert JournalEntry.objects.filter(event_class=REVERSAL).count() == 1
