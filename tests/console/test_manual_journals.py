"""The screens of hand-made journals: typed without scripts, asked for, posted, taken back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction

from approvals.models import ApprovalRequest
from ledger.models import JournalEntry, ManualJournal
from ledger.periods import ensure_open
from payops.core import clock, ids
from payops.core.actors import service
from payops.core.models import Evidence
from tests import builders
from tests.console.work import HOSTILE, browser, decision, shows, text_of
from tests.journals import approval, ask, grant, meridian, posted, today
from tests.ledger.scene import lock_period

pytestmark = pytest.mark.django_db(transaction=True)
NEW = "/ledger/manual/new/"


def letter(name: str = "letter.pdf", content: bytes = b"%PDF-1.4") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content, content_type="application/pdf")


def typed(*lines: tuple[str, str, str, str], **changes: Any) -> dict[str, Any]:
    """What the form sends: (account, party, debit, credit) per line."""
    said: dict[str, Any] = {
        "key": ids.uuid7().hex,
        "rows_shown": "4",
        "event_class": "adjustment.manual",
        "description": "PSP fees not charged yet",
        "posting_on": today().isoformat(),
        "reason": "month end",
        "documents": [letter()],
    }
    for place, (account, party, debit, credit) in enumerate(lines):
        said |= {
            f"r{place}_account": account,
            f"r{place}_party": party,
            f"r{place}_debit": debit,
            f"r{place}_credit": credit,
            f"r{place}_currency": "EUR",
        }
    return said | changes


ACCRUAL = (("5000", "", "120.00", ""), ("2450", "", "", "120.00"))


def test_a_journal_typed_in_major_units_is_asked_for_and_posted_when_granted() -> None:
    """D5: the whole way in the browser, without a script."""
    answer = browser("priya").post(NEW, typed(*ACCRUAL))

    assert answer.status_code == 302, text_of(answer)
    journal = ManualJournal.objects.get()
    assert answer.headers["Location"] == f"/ledger/manual/{journal.public_id}/"
    assert [(line["account"], line["amount_minor"]) for line in journal.lines] == [
        ("5000", 12_000),
        ("2450", -12_000),
    ]
    page = browser("priya").get(answer.headers["Location"])
    assert shows(page, "Finance manager, not the one who asked")
    assert shows(page, "letter.pdf") and shows(page, "Nothing is posted yet.")

    asked = approval(journal)
    decided = browser("marco").post(
        f"/approvals/{asked.public_id}/decide/", decision(asked, confirm="")
    )
    assert decided.status_code == 302, text_of(decided)
    builders.drain()

    entry = JournalEntry.objects.get()
    page = browser("audrey").get(f"/ledger/manual/{journal.public_id}/")
    assert shows(page, "Posted") and shows(page, f"/ledger/journal/{entry.public_id}/")


def test_the_approval_page_says_what_is_decided_in_words() -> None:
    """D6: the lines as the entry they become, the document, what follows."""
    journal = ask(auto_reverse_on=today() + timedelta(days=5))
    page = browser("marco").get(f"/approvals/{journal.approval_id}/")

    for words in (
        "Adjustment of 120.00 EUR",
        "Journal entry adjustment.manual",
        "Accrued PSP fees",
        "letter.pdf",
        f"Taken back by itself on {today() + timedelta(days=5)}, without being asked",
        "Taken back by itself on",
    ):
        assert shows(page, words), words
    assert "{&#x27;" not in text_of(page) and "{'" not in text_of(page)


def test_lines_are_added_and_added_up_without_a_script_and_nothing_typed_is_lost() -> None:
    said = typed(("5000", "", "120.00", ""), ("", "", "", ""), ("2450", "", "", "100.00"))
    said.pop("documents")

    more = browser("priya").post(NEW, said | {"step": "more"})
    added = browser("priya").post(NEW, said | {"step": "check"})

    assert (more.status_code, added.status_code) == (200, 200)
    assert "Account of line 8" in text_of(more) and "Account of line 9" not in text_of(more)
    for page in (more, added):
        assert shows(page, "20.00 EUR") and shows(page, "Off by")
        assert 'value="PSP fees not charged yet"' in text_of(page)
        assert "Not done" not in text_of(page)
    assert not ManualJournal.objects.exists()


def test_a_journal_has_forty_lines_and_not_one_more() -> None:
    lines = [("5000", "", "1.00", "")] * 20 + [("2450", "", "", "1.00")] * 20
    full = browser("priya").post(NEW, typed(*lines, rows_shown="40") | {"step": "more"})
    assert "Account of line 40" in text_of(full) and "Account of line 41" not in text_of(full)
    assert "Add lines" not in text_of(full)

    answer = browser("priya").post(NEW, typed(*lines, rows_shown="40"))

    assert answer.status_code == 302, text_of(answer)
    assert len(ManualJournal.objects.get().lines) == 40


@pytest.mark.parametrize(
    ("changes", "lines", "words"),
    [
        ({}, (("5000", "", "120.00", ""), ("2450", "", "", "100.00")), "Out of balance: debits"),
        ({}, (("5000", "", "12,50", ""), ("2450", "", "", "12,50")), "Line 1: &#x27;12,50&#x27;"),
        ({}, (("5000", "", "1", "1"), ("2450", "", "", "1")), "Line 1 has a debit and a credit"),
        ({}, (("", "", "1", ""), ("2450", "", "", "1")), "Line 1: choose an account"),
        ({}, (("5000", "", "", ""), ("2450", "", "", "1")), "Line 1 is nil"),
        ({}, (("9100", "", "1", ""), ("2450", "", "", "1")), "Select a valid choice"),
        ({}, (("2000", "S-1001", "1", ""), ("5000", "", "", "1")), "Line 1: 2000 Seller payable"),
        ({"batch": "c"}, (("2000", "S-9", "1", ""), ("5000", "", "", "1")), "no seller of"),
        ({"documents": []}, ACCRUAL, "Attach the document that shows why"),
        ({"documents": [letter("a.exe", b"MZ")] * 6}, ACCRUAL, "6 files were chosen"),
        ({"posting_on": "31.03.2026"}, ACCRUAL, "Write the day as 2026-03-31."),
        ({"posting_on": "2199-01-01"}, ACCRUAL, "has not come yet"),
        ({"event_class": "payout.paid"}, ACCRUAL, "Select a valid choice"),
        ({"event_class": "write_off"}, ACCRUAL, "does not debit 5000, credit 2450"),
        ({"reason": ""}, ACCRUAL, "Write why"),
        ({"key": "zz"}, ACCRUAL, "open it again"),
    ],
)
def test_what_is_refused_is_named_and_nothing_is_asked(
    changes: dict[str, Any], lines: tuple[Any, ...], words: str
) -> None:
    answer = browser("priya").post(NEW, typed(*lines, **changes))

    assert answer.status_code == 422
    assert shows(answer, words), text_of(answer)[:3000]
    assert not ManualJournal.objects.exists()
    assert not Evidence.objects.exists()


@pytest.mark.parametrize("username", ["amara", "audrey", "sofia", "eli"])
def test_only_finance_may_open_the_form(username: str) -> None:
    assert browser(username).get(NEW).status_code == 403
    assert browser(username).post(NEW, typed(*ACCRUAL)).status_code == 403


def test_an_entry_is_reversed_from_its_page_with_a_document() -> None:
    """LJ-8: both ends of the reversal lead to each other."""
    _, entry = posted()
    page = browser("priya").get(f"/ledger/journal/{entry.public_id}/")
    assert shows(page, f"/ledger/journal/{entry.public_id}/reverse/")
    form = browser("priya").get(f"/ledger/journal/{entry.public_id}/reverse/")
    assert shows(form, "What would be posted")

    answer = browser("priya").post(
        f"/ledger/journal/{entry.public_id}/reverse/",
        {
            "key": ids.uuid7().hex,
            "posting_on": today().isoformat(),
            "description": "posted twice",
            "reason": "the invoice was booked already",
            "documents": [letter()],
        },
    )
    assert answer.status_code == 302, text_of(answer)
    back = grant(ManualJournal.objects.get(reverses_id=entry.public_id))

    original = browser("audrey").get(f"/ledger/journal/{entry.public_id}/")
    reversal = browser("audrey").get(f"/ledger/journal/{back.entry_id}/")
    assert shows(original, f"/ledger/journal/{back.entry_id}/") and shows(original, "Reversed")
    assert shows(reversal, f"/ledger/journal/{entry.public_id}/") and shows(reversal, "Reversal")
    again = browser("priya").get(f"/ledger/journal/{entry.public_id}/reverse/")
    assert shows(again, "It was taken back already")


def test_an_entry_that_its_provider_owns_says_who_takes_it_back() -> None:
    builders.capture(100_000)
    entry = JournalEntry.objects.get(event_class="payment.captured")

    page = browser("priya").get(f"/ledger/journal/{entry.public_id}/")
    forced = browser("priya").post(
        f"/ledger/journal/{entry.public_id}/reverse/",
        {
            "key": ids.uuid7().hex,
            "posting_on": today().isoformat(),
            "description": "x",
            "reason": "x",
            "documents": [letter()],
        },
    )

    assert shows(page, "Not by hand: the provider's own event takes it back")
    assert forced.status_code == 422
    assert not ApprovalRequest.objects.filter(kind="manual_journal").exists()


def test_a_stuck_journal_is_posted_or_given_up_from_its_page() -> None:
    day = today().replace(day=1) - timedelta(days=1)
    first, second = ask(posting_on=day), ask(posting_on=day)
    with transaction.atomic():
        ensure_open(book=meridian(), day=day, actor=service("close"), now=clock.utc_now())
    lock_period(meridian(), clock.period_of(day), now=clock.utc_now())
    first, second = grant(first), grant(second)
    client = browser("priya")

    page = client.get(f"/ledger/manual/{first.public_id}/")
    assert shows(page, "Granted, not posted") and shows(page, "is closed in meridian")
    assert client.post(f"/ledger/manual/{first.public_id}/post/").status_code == 302
    empty = client.post(f"/ledger/manual/{second.public_id}/give-up/", {"reason": ""})
    assert (empty.status_code, shows(empty, "Write why")) == (422, True)
    gone = client.post(f"/ledger/manual/{second.public_id}/give-up/", {"reason": "stays locked"})
    assert gone.status_code == 302

    states = ManualJournal.objects.order_by("created_at").values_list("state", flat=True)
    assert list(states) == ["APPROVED", "WITHDRAWN"]
    assert browser("amara").post(f"/ledger/manual/{first.public_id}/post/").status_code == 403


def test_the_list_filters_by_state_class_day_and_id() -> None:
    journal, entry = posted()
    ask(description="another one")
    client = browser("audrey")

    def listed(query: str) -> tuple[bool, bool]:
        page = client.get(f"/ledger/manual/?{query}")
        return shows(page, journal.public_id), shows(page, "another one")

    assert listed("") == (True, True)
    assert listed("state=POSTED") == (True, False)
    assert listed("state=AWAITING_APPROVAL") == (False, True)
    assert listed(f"q={entry.public_id}") == (True, False)
    assert listed("q=ANOTHER") == (False, True)
    assert listed("event_class=write_off") == (False, False)
    assert listed("to=2001-01-01") == (False, False)


def test_the_journal_is_narrowed_by_maker_period_amount_and_late() -> None:
    _, entry = posted()
    builders.capture(100_000)
    client = browser("priya")

    def shown(query: str) -> bool:
        return entry.public_id in text_of(client.get(f"/ledger/journal/?{query}"))

    assert shown("made=hand") and not shown("made=product") and not shown("made=api")
    assert shown("min=120&max=120") and not shown("min=121") and not shown("max=119.99&min=119")
    assert shown(f"period={entry.period.code}") and shown("currency=eur")
    assert not shown("currency=USD") and not shown("sort=late") and not shown("sort=reversal")


def test_hostile_words_stay_words() -> None:
    journal = ask(description=HOSTILE)
    for address in (f"/ledger/manual/{journal.public_id}/", "/ledger/manual/"):
        page = text_of(browser("priya").get(address))
        assert "<script>alert" not in page
