"""Balances in other currencies at the end of a period: cumulative, repeatable, taken back whole."""

from __future__ import annotations

from datetime import date

import pytest

from ledger import revaluation
from ledger.accounts import CHART, MONETARY
from ledger.fx import Held
from ledger.matrix_row import Leg
from ledger.models import AccountingPeriod, JournalEntry, JournalLine, RevaluationRun
from ledger.revaluation import RevaluationRefused
from payops.core.models import AuditEvent
from payops.core.money import MINOR_MAX, Money
from payops.flows import revaluation as flow
from tests.ledger.euros import APRIL, CLOSE, MARCH, Story
from tests.ledger.scene import BANK, PSP, lock_period, make_book
from tests.people import actor
from tests.rates import known_rate

pytestmark = pytest.mark.django_db


def lines_of(run: RevaluationRun) -> list[tuple[str, str, int, str, int]]:
    rows = JournalLine.objects.filter(entry__subject_id=run.public_id, entry__reverses=None)
    return [
        (x.account.code, x.party, x.amount_minor, x.currency, x.reporting_minor)
        for x in rows.select_related("account").order_by("entry_id", "position")
    ]


def test_check_f_a_rate_of_1_0950_is_a_gain_of_0_73() -> None:
    """Worked check (f): EUR 90.16 booked at 98.00, worth 98.73."""
    story = Story()
    story.receive()

    ran = story.revalue()

    assert ran.is_new
    assert lines_of(ran.run) == [("1100", PSP, 0, "EUR", 73), ("4910", "", 0, "USD", -73)]
    assert (ran.run.run_no, ran.run.gain_minor, ran.run.loss_minor, ran.run.entries) == (
        1,
        73,
        0,
        1,
    )
    assert ran.run.rates == {"EUR": "1.095 (test, 2026-03-31T21:59:59+00:00)"}
    (entry,) = JournalEntry.objects.filter(subject_id=ran.run.public_id)
    assert (entry.event_class, entry.movement_ref, entry.posting_on) == (
        "fx.revalued",
        "EUR",
        date(2026, 3, 31),
    )
    trail = AuditEvent.objects.get(action="revaluation.posted", subject_id=ran.run.public_id)
    assert (trail.person_id, trail.evidence["gain_minor"]) == (actor("marco").person_id, 73)


def test_check_f_settled_at_1_0900_by_conversion_is_0_27_in_all() -> None:
    """Worked check (f): converted at what it is carried at, the loss of 0.46 is realised."""
    story = Story()
    story.receive()
    story.revalue()

    story.convert(
        sold=Held("1100", Money(9_016, "EUR"), PSP),
        bought=Held("1100", Money(9_827, "USD"), PSP),
        at=APRIL,
        rate="1.0900",
        carried=9_873,
    )

    assert (story.result, story.reported("1100", "1900")) == (27, 9_827 - 10_000)
    ran = story.revalue("2026-04", "1.2000")
    assert (lines_of(ran.run), ran.run.entries, story.result) == ([], 0, 27)


def test_check_f_what_a_settlement_strands_the_next_run_takes_along() -> None:
    """Worked check (f): nil in euros, 0.46 left in dollars; the next run leaves nothing."""
    story = Story()
    story.receive()
    story.revalue()

    story.settle(rate="1.0900")

    left = story.reported("1100") + 10_000
    assert (left, story.result) == (46, 73)
    story.convert(  # the euros at the bank become dollars on the same day
        sold=Held("1000", Money(9_016, "EUR"), BANK),
        bought=Held("1000", Money(9_827, "USD"), BANK),
        at=APRIL,
        rate="1.0900",
    )
    ran = story.revalue("2026-04", "1.1111")
    assert lines_of(ran.run) == [("1100", PSP, 0, "EUR", -46), ("5910", "", 0, "USD", 46)]
    assert (story.result, story.reported("1100", "1900", "1150")) == (27, -10_000)
    assert story.reported() == 0


def test_run_twice_it_posts_nothing_new() -> None:
    story = Story()
    story.receive()
    first = story.revalue()
    entries = story.scene.entries()

    again = story.revalue(rate="")

    assert (again.is_new, again.run.pk) == (False, first.run.pk)
    assert (story.scene.entries(), RevaluationRun.objects.count()) == (entries, 1)


def test_what_was_posted_after_a_run_is_revalued_by_the_next_one_alone() -> None:
    story = Story()
    story.receive()
    story.revalue()

    story.receive(4_508, rate="1.0870")  # carried at 49.00, worth 49.36
    second = story.revalue(rate="")

    assert (second.is_new, second.run.run_no, second.run.gain_minor) == (True, 2, 36)
    assert lines_of(second.run) == [("1100", PSP, 0, "EUR", 36), ("4910", "", 0, "USD", -36)]


def test_the_second_period_counts_from_what_is_carried() -> None:
    story = Story()
    story.receive()
    story.revalue("2026-03", "1.0950")
    story.receive(1, at=APRIL, rate="1.0950")

    ran = story.revalue("2026-04", "1.0700")

    assert (ran.run.gain_minor, ran.run.loss_minor) == (0, 9_873 + 1 - 9_648)
    assert story.result == 73 - 226 - 9_799  # 98.00 USD were given for that one cent
    assert revaluation.outstanding(book=story.book, period=ran.run.period) == ""


def test_a_run_is_taken_back_as_a_whole_and_run_anew() -> None:
    """LJ-8: every entry is reversed by name, on the same day."""
    story = Story()
    story.receive()
    known_rate("EUR", "USD", "1.0870", as_of=MARCH)
    story.post("psp.reserve_held", [("1120", PSP, 1_000), ("1100", PSP, -1_000)], at=MARCH)
    before = story.reported("1100", "1120")
    first = story.revalue()

    back = story.reverse(first.run.pk)

    assert (back.run_no, back.reverses_id, back.entries) == (2, first.run.pk, first.run.entries)
    assert (back.gain_minor, back.loss_minor) == (-first.run.gain_minor, -first.run.loss_minor)
    assert (story.reported("1100", "1120"), story.result) == (before, 0)
    reversals = JournalEntry.objects.filter(book=story.book, event_class="entry.reversed")
    assert {each.posting_on for each in reversals} == {date(2026, 3, 31)}
    with pytest.raises(RevaluationRefused, match="run 1 was taken back by run 2"):
        story.reverse(first.run.pk)
    with pytest.raises(RevaluationRefused, match="run 2 took another back"):
        story.reverse(back.pk)
    again = story.revalue(rate="")
    assert (again.is_new, again.run.run_no) == (True, 3)
    assert again.run.gain_minor - again.run.loss_minor == (
        first.run.gain_minor - first.run.loss_minor
    )


def test_gains_and_losses_stand_apart_and_by_party() -> None:
    """A liability that costs more is a loss; a claim that is worth more a gain."""
    story = Story()
    known_rate("EUR", "USD", "1.0000", as_of=MARCH)
    for seller, minor in (("be_a", 1_000), ("be_b", 500)):
        story.post("payment.captured", [("1100", PSP, minor), ("2000", seller, -minor)], at=MARCH)

    ran = story.revalue(rate="1.1000")

    assert lines_of(ran.run) == [
        ("1100", PSP, 0, "EUR", 150),
        ("2000", "be_a", 0, "EUR", -100),
        ("2000", "be_b", 0, "EUR", -50),
        ("4910", "", 0, "USD", -150),
        ("5910", "", 0, "USD", 150),
    ]


def test_many_parties_go_to_several_entries() -> None:
    story = Story()
    known_rate("EUR", "USD", "1.0000", as_of=MARCH)
    for first in range(0, 1_000, 250):
        sellers = [("2000", f"be_{n:04}", -100) for n in range(first, first + 250)]
        story.post("payment.captured", [("1100", PSP, 25_000), *sellers], at=MARCH)

    ran = story.revalue(rate="1.1000")

    movements = JournalEntry.objects.filter(subject_id=ran.run.public_id).order_by("pk")
    assert list(movements.values_list("movement_ref", flat=True)) == ["EUR", "EUR-2", "EUR-3"]
    assert (ran.run.entries, ran.run.gain_minor, ran.run.loss_minor) == (3, 10_000, 10_000)
    assert revaluation.outstanding(book=story.book, period=ran.run.period) == ""


def test_an_unknown_rate_is_refused_by_pair_and_day() -> None:
    story = Story(make_book(reporting_currency="NOK"))
    known_rate("EUR", "NOK", "11", as_of=CLOSE)
    legs = (Leg("1100", 5, "EUR", PSP, 55), Leg("1900", -5, "EUR", "", -55))
    story.send("fx.converted", legs, MARCH)

    with pytest.raises(RevaluationRefused, match="no rate of EUR/NOK is known on 2026-03-31"):
        story.revalue(rate="")

    assert (RevaluationRun.objects.count(), story.scene.entries()) == (0, 1)


def test_only_a_closing_period_is_revalued() -> None:
    story = Story()
    story.receive()
    period = AccountingPeriod.objects.get(book=story.book, code="2026-03")
    with pytest.raises(RevaluationRefused, match=r"2026-03 is open; .* begin its close first"):
        flow.run(book=story.book, period_id=period.pk, actor=actor("marco"), now=CLOSE)

    ran = story.revalue()
    lock_period(story.book, "2026-03", now=CLOSE)

    for act in (lambda: story.revalue(rate=""), lambda: story.reverse(ran.run.pk)):
        with pytest.raises(RevaluationRefused, match="2026-03 is locked"):
            act()
    assert RevaluationRun.objects.count() == 1


def test_others_than_finance_run_nothing() -> None:
    """SE-4"""
    story = Story()
    story.receive()
    period = story.closing("2026-03")

    for who in ("lena", "audrey", "sofia", "eli"):
        with pytest.raises(RevaluationRefused, match="may not manage_period"):
            flow.run(book=story.book, period_id=period.pk, actor=actor(who), now=CLOSE)


def test_another_books_period_is_not_found() -> None:
    story, other = Story(), Story()
    story.receive()
    period = story.closing("2026-03")

    with pytest.raises(RevaluationRefused, match="no such period"):
        flow.run(book=other.book, period_id=period.pk, actor=actor("marco"), now=CLOSE)


def test_a_balance_too_large_for_the_books_is_refused_by_name() -> None:
    story = Story()
    legs = (Leg("1100", MINOR_MAX, "EUR", PSP, 5), Leg("1900", -MINOR_MAX, "EUR", "", -5))
    story.send("fx.converted", legs, MARCH)

    with pytest.raises(RevaluationRefused, match=r"the balance of 1100 of stripe/demo: .* exceeds"):
        story.revalue(rate="2")

    assert story.scene.entries() == 1


def test_a_book_in_five_currencies_stands_at_its_rates_afterwards() -> None:
    """F19: JPY, KWD and ISK with other exponents."""
    story = Story()
    rates = {"EUR": "1.0950", "JPY": "0.00666", "KWD": "3.2510", "ISK": "0.00731"}
    for currency in rates:
        known_rate(currency, "USD", "1", as_of=MARCH)
        story.send(
            "payment.captured",
            (Leg("1100", 12_345, currency, PSP), Leg("2000", -12_345, currency, "be_a")),
            MARCH,
        )
    period = story.closing("2026-03")
    for currency, told in rates.items():
        known_rate(currency, "USD", told, as_of=revaluation.end_of(period, story.book))

    ran = story.revalue(rate="")

    carried = {
        row.currency: row.carried_minor
        for row in revaluation.plan(book=story.book, period=period).balances
        if row.account == "1100"
    }
    assert carried == {"EUR": 13_518, "ISK": 9_024, "JPY": 8_222, "KWD": 4_013}
    assert (ran.run.entries, story.result) == (4, 0)


def test_every_account_has_its_reason_and_clearing_is_not_revalued() -> None:
    reasons = {row.code: revaluation.reason_of(row.code) for row in CHART}

    assert all(reasons.values())
    assert {code for code in reasons if code in MONETARY} == {
        row.code for row in CHART if row.kind in ("asset", "liability")
    } - {"1900"}
    assert reasons["1900"].startswith("nil in reporting currency")
