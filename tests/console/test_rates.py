"""The rate and revaluation screens: read by many, brought by finance, decided by treasury."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction

from approvals.models import ApprovalRequest
from ledger import revaluation
from ledger.facts import Posting
from ledger.matrix_row import Leg
from ledger.models import AccountingPeriod, RevaluationRun
from payops.core import clock, locks, state
from payops.core.models import Evidence, Rate
from payops.flows.governed import only_book
from tests.builders import approval_of, decide, drain
from tests.console.conftest import Browser
from tests.console.work import HOSTILE, shows, text_of
from tests.ledger.scene import LEDGER, PSP, Scene, public_id
from tests.rates import known_rate

pytestmark = pytest.mark.django_db(transaction=True)
URL, BRING = "/ledger/rates/", "/ledger/rates/bring/"
MOMENT = datetime(2026, 3, 31, 14, 0, tzinfo=UTC)
LINES = "base,quote,rate,as_of\nCHF,EUR,1.0512,2026-03-31\nSEK,EUR,0.0893,2026-03-31\n"
ROW = {
    "how": "row",
    "base": "chf",
    "quote": "EUR",
    "rate": "1.0512",
    "as_of": "2026-03-31",
    "source": "Bank",
    "reason": "month end",
}


def said(text: str = LINES, **changes: Any) -> dict[str, Any]:
    return {"how": "file", "text": text, "source": "Bank", "reason": "month end", **changes}


def brought() -> int:
    return Rate.objects.exclude(approval_id="").count()


@pytest.mark.parametrize("who", ["priya", "marco", "sofia", "lena", "audrey"])
def test_everybody_who_reads_the_books_sees_the_rates(as_: Browser, who: str) -> None:
    answer = as_(who).get(URL)

    assert answer.status_code == 200
    assert shows(answer, "USD → EUR") and shows(answer, "0.921")
    assert shows(answer, "Bring rates…") is (who in ("priya", "marco", "sofia"))


@pytest.mark.parametrize("who", ["lena", "amara", "audrey", "eli", "chen", "ada"])
def test_others_bring_nothing(as_: Browser, who: str) -> None:
    """SE-4"""
    for answer in (as_(who).get(BRING), as_(who).post(BRING, said(step="ask"))):
        assert answer.status_code == 403
    assert ApprovalRequest.objects.count() == 0


def test_an_empty_form_complains_only_once_it_is_sent(as_: Browser) -> None:
    first, sent = as_("priya").get(BRING), as_("priya").post(BRING, said(""))

    assert (first.status_code, shows(first, "Not done")) == (200, False)
    assert (sent.status_code, shows(sent, "Paste rates or choose a file.")) == (422, True)


def test_old_rates_are_marked_and_counted(as_: Browser) -> None:
    for base in ("USD", "GBP", "JPY"):
        known_rate(base, "EUR", "1.5", as_of=clock.utc_now() - timedelta(hours=1))

    answer = as_("priya").get(URL)

    assert shows(answer, "1 of 4 rates is older than three days")
    assert text_of(answer).count(">Stale<") == 1


def test_the_later_way_a_pair_is_told_is_the_one_that_is_used(as_: Browser) -> None:
    known_rate("EUR", "USD", "1.0800", as_of=clock.utc_now() - timedelta(hours=1))

    page = text_of(as_("priya").get(URL))

    used, unused = page.split("Not used now")
    assert "EUR → USD" in used and "USD → EUR" not in used
    assert "USD → EUR" in unused
    history = as_("priya").get("/ledger/rates/EUR/USD/")
    assert shows(history, "The same pair is also told")


def test_a_file_is_shown_line_by_line_asked_for_decided_and_then_known(as_: Browser) -> None:
    """LJ-10, D5"""
    priya = as_("priya")
    known_rate("CHF", "EUR", "1.0000", as_of=MOMENT - timedelta(days=9))
    upload = SimpleUploadedFile("march.csv", LINES.encode())
    shown = priya.post(BRING, {**said(""), "file": upload})
    assert shown.status_code == 200
    assert shows(shown, "2 rates would become known")
    assert shows(shown, "+5.1%") and shows(shown, "First of its pair")
    assert (brought(), ApprovalRequest.objects.count()) == (0, 0)

    asked = priya.post(BRING, said(LINES, step="ask", filename="march.csv"))
    approval = approval_of(str(asked.headers["Location"]).strip("/").split("/")[-1])
    assert approval.title == "2 exchange rates of 2026-03-31 (Bank)"
    assert Evidence.objects.get(subject_id=approval.public_id).filename == "march.csv"
    page = as_("sofia").get(f"/approvals/{approval.public_id}/")
    assert shows(page, ">The rates</h2>")
    assert shows(page, "CHF → EUR") and shows(page, "1.0512") and shows(page, "+5.1%")
    assert shows(page, "Entries that are booked keep their reporting amounts")
    assert brought() == 0

    decide(approval, "sofia")
    drain()

    assert brought() == 2
    history = as_("lena").get("/ledger/rates/CHF/EUR/")
    assert shows(history, "1.0512") and shows(history, "<svg")
    assert shows(history, "2 values, lowest 1, highest 1.0512, latest 1.0512")
    again = priya.post(BRING, said())
    assert (again.status_code, shows(again, "All 2 rates are known already.")) == (422, True)


def test_one_typed_row_is_asked_for(as_: Browser) -> None:
    shown = as_("sofia").post(BRING, ROW)
    assert shows(shown, "1 rate would become known")

    asked = as_("sofia").post(BRING, {**ROW, "step": "ask"})

    approval = approval_of(str(asked.headers["Location"]).strip("/").split("/")[-1])
    assert approval.title == "Exchange rate CHF/EUR 1.0512 of 2026-03-31"
    assert approval.facts["rates"] == ["CHF/EUR 1.0512000000 2026-03-30T22:00:00.000000Z Bank"]
    assert Evidence.objects.count() == 0
    wrong = as_("sofia").post(BRING, {**ROW, "rate": "1,05.3"})
    assert (wrong.status_code, shows(wrong, "'1,05.3' is not a rate above 0")) == (422, True)


def test_one_line_that_cannot_be_taken_keeps_the_others_back(as_: Browser) -> None:
    text = "CHF,EUR,1.0512,2026-03-31\nXXX,EUR,1,2026-03-31\nSEK,EUR,0,2026-03-31\n"

    for step in ("", "ask"):
        answer = as_("priya").post(BRING, said(text, step=step))
        assert answer.status_code == 422
        assert shows(answer, "2 lines cannot be taken, so nothing is asked for.")
        assert shows(answer, "'XXX' is not a currency of ISO 4217")
        assert shows(answer, "0 is not above 0")
    assert ApprovalRequest.objects.count() == 0


@pytest.mark.parametrize("text", [HOSTILE, f"CHF,EUR,1.05,2026-03-31,{HOSTILE}", "\x00", "=1+1"])
def test_hostile_text_is_shown_and_not_run(as_: Browser, text: str) -> None:
    answer = as_("priya").post(BRING, said(text))

    assert answer.status_code == 422
    assert "<script>alert" not in text_of(answer)


def test_a_pair_nobody_knows_is_404(as_: Browser) -> None:
    assert as_("priya").get("/ledger/rates/CHF/EUR/").status_code == 404
    assert as_("priya").get(f"/ledger/rates/{'x' * 200}/%00/").status_code == 404


# ---- revaluation ---------------------------------------------------------------------------


def closing(state_wanted: str = "CLOSING") -> AccountingPeriod:
    """The month before this one: USD 100.00 came in at 0.9, its close has begun."""
    book, now = only_book(), clock.utc_now()
    first = clock.business_day(now, time_zone=book.time_zone).replace(day=1)
    at = clock.start_of_day(first, time_zone=book.time_zone) - timedelta(days=3)
    known_rate("USD", "EUR", "0.9", as_of=at)
    legs = (Leg("1100", 10_000, "USD", PSP), Leg("2000", -10_000, "USD", public_id("be")))
    Scene(book).post(
        Posting(book, "payment.captured", public_id("pa"), "mv_1", legs, at, "captured"), now=now
    )
    period = AccountingPeriod.objects.get(book=book, code=clock.period_of(at.date()))
    if state_wanted == "CLOSING":
        with transaction.atomic():
            period = locks.row(AccountingPeriod, period.pk)
            period.begin_closing()
            state.save(period, actor=LEDGER, now=now, action="period.closing")
    known_rate("USD", "EUR", "0.92", as_of=revaluation.end_of(period, book))
    return period


def test_a_closing_period_is_looked_at_revalued_and_taken_back(as_: Browser) -> None:
    period = closing()
    page, marco = f"/ledger/periods/{period.public_id}/revaluation/", as_("marco")
    before = marco.get(page)
    assert shows(before, "Post the revaluation")
    assert shows(before, "1100</code> PSP clearing")
    assert shows(before, "will be paid in money of that currency")

    posted = marco.post(page)
    assert (posted.status_code, RevaluationRun.objects.count()) == (302, 1)
    after = marco.get(page)
    assert shows(after, "Run 1 posted 1 entry: gain 2.00 EUR, loss 2.00 EUR.")
    assert shows(after, "Every balance stands at its rate")
    run = RevaluationRun.objects.get()
    back = f"{page}{run.public_id}/take-back/"
    assert shows(marco.get(back), "Each of its 1 entry is reversed")
    assert marco.post(back, {"reason": "a wrong rate"}).status_code == 302

    ended = marco.get(page)
    assert shows(ended, "Run 1 is taken back by run 2.") and shows(ended, "Post the revaluation")
    again = marco.post(back, {"reason": "once more"})
    assert (again.status_code, shows(again, "run 1 was taken back by run 2")) == (422, True)


def test_reading_is_for_many_and_running_for_finance(as_: Browser) -> None:
    """SE-4"""
    period = closing()
    page = f"/ledger/periods/{period.public_id}/revaluation/"

    for who in ("lena", "audrey", "sofia"):
        seen = as_(who).get(page)
        assert (seen.status_code, shows(seen, "Post the revaluation")) == (200, False)
        assert as_(who).post(page).status_code == 403
        assert as_(who).get(f"{page}{public_id('rv')}/take-back/").status_code == 403
    assert as_("marco").get(f"{page}{public_id('rv')}/take-back/").status_code == 404
    assert as_("marco").get(page.replace(period.public_id, public_id("pe"))).status_code == 404
    assert RevaluationRun.objects.count() == 0


def test_an_open_period_shows_what_would_be_posted_and_posts_nothing(as_: Browser) -> None:
    period = closing("OPEN")
    page = f"/ledger/periods/{period.public_id}/revaluation/"

    seen, sent = as_("marco").get(page), as_("marco").post(page)

    assert shows(seen, "It is posted while the period is closing; this one is open.")
    assert (sent.status_code, shows(sent, "begin its close first")) == (422, True)
    assert RevaluationRun.objects.count() == 0
