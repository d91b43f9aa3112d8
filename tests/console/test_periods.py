"""The period and book screens: read by many, moved by finance and others' decision (CL-4, F14)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from approvals.models import ApprovalRequest
from ledger.models import AccountingPeriod, JournalEntry
from payops.core.models import AuditEvent, Book
from tests import books
from tests.builders import approval_of, decide, drain, post_standard
from tests.console.conftest import Browser
from tests.console.work import shows, text_of
from tests.flows.test_late_postings import captured, closed_month, late_moment, told, waiting
from tests.flows.test_periods import begin, locked, month_before

pytestmark = pytest.mark.django_db(transaction=True)
PERIODS, LATE, BOOK = "/ledger/periods/", "/ledger/periods/late/", "/settings/book/"


def page_of(period: AccountingPeriod) -> str:
    return f"{PERIODS}{period.public_id}/"


def approval_behind(answer: Any) -> ApprovalRequest:
    assert answer.status_code == 302, text_of(answer)
    return approval_of(str(answer.headers["Location"]).strip("/").split("/")[-1])


def reload(period: AccountingPeriod) -> AccountingPeriod:
    return AccountingPeriod.objects.get(pk=period.pk)


@pytest.mark.parametrize("who", ["priya", "marco", "audrey", "lena", "amara", "sofia"])
def test_everybody_who_reads_the_books_reads_the_months(as_: Browser, who: str) -> None:
    period = month_before()
    finance = who in ("priya", "marco")

    for path in (PERIODS, page_of(period), LATE, BOOK):
        assert as_(who).get(path).status_code == 200
    assert shows(as_(who).get(PERIODS), f"Begin closing {period.code}…") is finance
    assert shows(as_(who).get(BOOK), "Change the settings…") is finance


@pytest.mark.parametrize("who", ["audrey", "lena", "amara", "sofia", "eli", "ada", "root"])
def test_others_move_nothing(as_: Browser, who: str) -> None:
    """SE-4: by GET and by POST."""
    period = month_before()
    paths = [f"{page_of(period)}{name}/" for name in ("close", "stop", "lock", "reopen")]

    for path in [*paths, f"{BOOK}change/"]:
        for answer in (as_(who).get(path), as_(who).post(path, {"reason": "x"})):
            assert answer.status_code == 403
    assert as_(who).post(LATE, {"reason": "x"}).status_code == 403
    assert (reload(period).state, ApprovalRequest.objects.count()) == ("OPEN", 0)


def test_a_month_is_closed_and_locked_from_its_page(as_: Browser) -> None:
    period, priya = month_before(), as_("priya")

    assert priya.post(f"{page_of(period)}close/", {"reason": "all files are in"}).status_code == 302
    asked = approval_behind(
        priya.post(f"{page_of(period)}lock/", {"reason": "the month is reconciled"})
    )

    listed, shown = priya.get(PERIODS), as_("marco").get(f"/approvals/{asked.public_id}/")
    assert shows(listed, "Lock asked for") and not shows(listed, "Ask to lock")
    assert shows(shown, f"Lock {period.code} of Meridian Marketplace GmbH")
    assert shows(shown, f"0 entries are dated in {period.code} when this is asked for")
    assert shows(shown, f"No entry can be dated {period.starts_on} to {period.ends_on} any more")
    decide(asked, "marco")
    drain()
    page = priya.get(page_of(period))
    assert shows(page, "Locked") and shows(page, f"Ask to reopen {period.code}…")
    assert shows(priya.get(PERIODS), "Marco")


def test_a_refusal_names_what_comes_first(as_: Browser) -> None:
    period = month_before()

    answer = as_("priya").post(f"{page_of(period)}lock/", {"reason": "soon"})

    assert answer.status_code == 422
    assert shows(answer, f"{period.code} is OPEN; only a period in CLOSING is locked")
    assert as_("priya").get(f"{page_of(period)}unlock/").status_code == 404
    assert as_("priya").get(f"{PERIODS}pe_{'0' * 32}/").status_code == 404


def test_the_page_lists_what_would_land_where_and_gives_it_as_a_file(as_: Browser) -> None:
    """CL-8: shown before the lock, with day and period; the file has the same rows."""
    period = month_before()
    books.with_settings(fiscal_year_start_month=period.starts_on.month)
    begin(period)
    assert post_standard(captured(late_moment(period), amount=1_000)) == 200
    assert post_standard(captured(late_moment(period), amount=6_000_000)) == 200
    first = period.ends_on + timedelta(days=1)

    page = as_("audrey").get(page_of(period))
    file = as_("audrey").get(f"{page_of(period)}?format=csv")

    assert shows(page, "What would land where if it were locked now")
    assert shows(page, "Not everything of this month is posted")
    assert shows(page, "by itself")
    assert shows(page, "People grant it: 60,000.00 EUR is above the limit of 50,000.00 EUR")
    lines = b"".join(file.streaming_content).decode().splitlines()
    assert lines[0].startswith("source,what,subject,state,happened_on,amount,currency,booked_on")
    assert len(lines) == 3
    assert f",RECEIVED,{period.ends_on},10.00,EUR,{first},{first:%Y-%m}," in lines[1]
    assert lines[2].endswith('60,000.00 EUR is above the limit of 50,000.00 EUR"')
    assert AuditEvent.objects.filter(subject_id=f"list:sweep-{period.code}").count() == 1


def test_entries_posted_late_are_listed_with_both_days(as_: Browser) -> None:
    period = closed_month()
    told(captured(late_moment(period)))
    current = JournalEntry.objects.select_related("period").get().period

    page = as_("audrey").get(page_of(current))

    assert shows(page, "Posted late into it</dt><dd>1</dd>")
    assert shows(page, f'datetime="{period.ends_on}"')
    assert shows(page, f'datetime="{period.ends_on + timedelta(days=1)}"')


def test_late_postings_are_chosen_asked_for_and_booked(as_: Browser) -> None:
    """D12: Priya proposes, the page of the request says everything, Marco grants."""
    period = closed_month(late_event_policy="approve")
    told(captured(late_moment(period), fee=290))
    priya, rows = as_("priya"), waiting()
    assert shows(priya.get(PERIODS), "2 late postings wait for a day")
    shown = priya.get(LATE)
    assert shows(shown, "payment.captured") and shows(shown, "100.00")

    first = period.ends_on + timedelta(days=1)
    said = {"row": [row.pk for row in rows], "posting_on": first, "reason": "told late"}
    assert shows(priya.post(LATE, {**said, "row": []}), "0 postings are chosen; 1 to 200 fit")
    assert shows(priya.post(LATE, {**said, "row": ["x"]}), "is not one of the list")
    asked = approval_behind(priya.post(LATE, said))

    page = as_("marco").get(f"/approvals/{asked.public_id}/")
    assert shows(page, f"payment.captured, 100.00 EUR, happened on {period.ends_on}")
    assert shows(page, f"fee.charged, 2.90 EUR, happened on {period.ends_on}")
    assert shows(priya.get(LATE), "Asked for")
    decide(asked, "marco")
    drain()
    assert set(JournalEntry.objects.values_list("posting_on", flat=True)) == {first}
    assert shows(priya.get(LATE), "No late posting waits")


def test_book_settings_are_asked_for_in_words_and_decided_by_others(as_: Browser) -> None:
    """F14, D5: only what differs; the deciders read what it was and what it becomes."""
    priya = as_("priya")
    form = priya.get(f"{BOOK}change/").context["form"]
    said = {
        name: field.initial
        for name, field in form.fields.items()
        if field.initial not in (None, False)
    }
    said |= {"presentation": "gross", "late_approval_above_minor": "1,000.00", "reason": "agreed"}

    asked = approval_behind(priya.post(f"{BOOK}change/", said))

    assert asked.facts == {
        "book": "meridian",
        "late_approval_above_minor": 100_000,
        "late_approval_above_minor_before": 5_000_000,
        "presentation": "gross",
        "presentation_before": "net",
    }
    page = as_("marco").get(f"/approvals/{asked.public_id}/")
    assert shows(page, "50,000.00 EUR → 1,000.00 EUR")
    assert shows(page, "Net: our fee is revenue → Gross: sales and cost of sales")
    assert shows(page, "Applies to new entries only; what is posted stays as it was posted.")
    assert shows(priya.get(BOOK), "Change asked for")
    for who in ("marco", "sofia"):
        decide(asked, who)
    drain()
    book = Book.objects.get(code="meridian")
    assert (book.presentation, book.late_approval_above_minor) == ("gross", 100_000)
    assert (book.approval_id, book.protective_hold) == (asked.public_id, True)
    assert shows(as_("audrey").get(BOOK), "Gross: sales and cost of sales")


def test_settings_that_cannot_be_are_refused_with_the_numbers(as_: Browser) -> None:
    priya = as_("priya")
    form = priya.get(f"{BOOK}change/").context["form"]
    said = {n: f.initial for n, f in form.fields.items() if f.initial not in (None, False)}
    said["reason"] = "x"

    same = priya.post(f"{BOOK}change/", said)
    month = priya.post(f"{BOOK}change/", {**said, "fiscal_year_start_month": 13})
    money = priya.post(f"{BOOK}change/", {**said, "penny_cap_minor": "1,5"})

    assert shows(same, "nothing would change for Meridian Marketplace GmbH")
    assert shows(month, "Fiscal year begins in month 13: 1 to 12 fit")
    assert shows(money, "is not read as an amount")
    assert [each.status_code for each in (same, month, money)] == [422] * 3
    assert ApprovalRequest.objects.count() == 0


def test_a_locked_month_is_reopened_from_its_page(as_: Browser) -> None:
    period = locked(month_before())

    asked = approval_behind(
        as_("ingrid").post(f"{page_of(period)}reopen/", {"reason": "a bank file came late"})
    )

    assert asked.seats == ["finance_manager", "treasury"]
    assert shows(as_("sofia").get(f"/approvals/{asked.public_id}/"), "may change")
    for who in ("marco", "sofia"):
        decide(asked, who)
    drain()
    assert reload(period).state == "OPEN"
