"""A month is closed by finance, locked and reopened by others' decision (I12, D5, CL-4, F14)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from approvals.models import ApprovalRequest
from approvals.refusals import ApprovalRefused
from ledger import revaluation
from ledger.models import AccountingPeriod
from payops.core import clock
from payops.core.models import AuditEvent, Book, Message
from payops.flows import period_requests, periods
from payops.flows.governed import ChangeRefused
from payops.flows.periods import PeriodRefused
from tests import books
from tests.builders import capture, decide, drain
from tests.ledger.euros import Story
from tests.people import actor
from tests.periods import opened
from tests.rates import known_rate

pytestmark = pytest.mark.django_db(transaction=True)
WHY = "the month is reconciled"


def meridian() -> Book:
    return Book.objects.get(is_system=False)


def month_before(count: int = 1) -> AccountingPeriod:
    """The month so many before the current one, open."""
    first = clock.business_day(clock.utc_now(), time_zone="Europe/Berlin").replace(day=1)
    for _ in range(count):
        first = (first - timedelta(days=1)).replace(day=1)
    return opened(meridian(), first)


def reload(period: AccountingPeriod) -> AccountingPeriod:
    return AccountingPeriod.objects.select_related("book").get(pk=period.pk)


def begin(period: AccountingPeriod, by: str = "priya") -> AccountingPeriod:
    return periods.begin_closing(
        period_id=period.public_id, reason=WHY, actor=actor(by), now=clock.utc_now()
    )


def ask_lock(period: AccountingPeriod, by: str = "priya") -> ApprovalRequest:
    return period_requests.request_lock(
        period_id=period.public_id, reason=WHY, actor=actor(by), now=clock.utc_now()
    )


def ask_reopen(period: AccountingPeriod, by: str = "ingrid") -> ApprovalRequest:
    return period_requests.request_reopen(
        period_id=period.public_id,
        reason="an invoice of the bank is missing",
        actor=actor(by),
        now=clock.utc_now(),
    )


def locked(period: AccountingPeriod) -> AccountingPeriod:
    begin(period)
    decide(ask_lock(period), "marco")
    drain()
    return reload(period)


def test_a_month_is_closed_locked_and_reopened_and_every_step_is_audited_once() -> None:
    period = month_before()

    assert begin(period).state == "CLOSING"
    approval = ask_lock(period)
    assert (approval.seats, approval.subject_id) == (["finance_manager"], period.public_id)
    decide(approval, "marco")
    drain()
    shut = reload(period)
    assert (shut.state, shut.approval_id) == ("LOCKED", approval.public_id)
    assert shut.locked_at is not None

    reopening = ask_reopen(period)
    assert reopening.seats == ["finance_manager", "treasury"]
    decide(reopening, "marco")
    drain()
    assert reload(period).state == "LOCKED"
    decide(reopening, "sofia")
    drain()

    again = reload(period)
    assert (again.state, again.locked_at) == ("OPEN", None)
    trail = AuditEvent.objects.filter(subject_id=period.public_id).order_by("created_at", "pk")
    assert list(trail.values_list("action", "from_state", "to_state")) == [
        ("period.opened", "", "OPEN"),
        ("period.closing_begun", "OPEN", "CLOSING"),
        ("period.locked", "CLOSING", "LOCKED"),
        ("period.reopened", "LOCKED", "OPEN"),
    ]
    assert trail[3].reason == "an invoice of the bank is missing"
    assert trail[3].evidence["approval_id"] == reopening.public_id


def test_who_asks_never_grants() -> None:
    """D5: Ingrid is a finance manager and asks; her seat is not hers to fill."""
    period = month_before()
    begin(period, by="ingrid")
    approval = ask_lock(period, by="ingrid")

    with pytest.raises(ApprovalRefused):
        decide(approval, "ingrid")

    drain()
    assert reload(period).state == "CLOSING"


@pytest.mark.parametrize("who", ["amara", "lena", "chen", "sofia", "audrey", "eli", "ada", "root"])
def test_only_finance_closes(who: str) -> None:
    period = month_before()

    with pytest.raises(PeriodRefused, match=f"{who} may not manage_period"):
        begin(period, by=who)
    begin(period)
    with pytest.raises(PeriodRefused, match=f"{who} may not manage_period"):
        periods.stop_closing(
            period_id=period.public_id, reason=WHY, actor=actor(who), now=clock.utc_now()
        )
    with pytest.raises(ChangeRefused, match=f"{who} may not manage_period"):
        ask_lock(period, by=who)

    assert (reload(period).state, ApprovalRequest.objects.count()) == ("CLOSING", 0)


def test_a_lock_waits_for_the_close_and_for_earlier_months() -> None:
    earlier, period = month_before(2), month_before()

    with pytest.raises(PeriodRefused, match="is OPEN; only a period in CLOSING is locked"):
        ask_lock(period)
    begin(period)
    with pytest.raises(PeriodRefused, match=f"{earlier.code} is OPEN: lock it first"):
        ask_lock(period)

    locked(earlier)
    assert ask_lock(period).state == "PENDING"


def test_a_month_is_locked_only_when_its_last_day_is_over_f15() -> None:
    """The end is inclusive, in Berlin: refused at 23:59:59.999999, asked for at midnight."""
    period = opened(meridian(), date(2026, 3, 1))
    begin(period)
    midnight = datetime(2026, 3, 31, 22, 0, tzinfo=UTC)

    with pytest.raises(PeriodRefused, match="it can be locked from 2026-04-01"):
        periods.refuse_unended(reload(period), midnight - timedelta(microseconds=1))

    periods.refuse_unended(reload(period), midnight)


def test_the_current_month_cannot_be_asked_for() -> None:
    period = month_before(0)
    begin(period)

    with pytest.raises(PeriodRefused, match=f"{period.code} ends with {period.ends_on}"):
        ask_lock(period)


def test_a_stopped_close_voids_the_request_for_its_lock() -> None:
    period = month_before()
    begin(period)
    approval = ask_lock(period)

    periods.stop_closing(
        period_id=period.public_id,
        reason="a file is missing",
        actor=actor("ingrid"),
        now=clock.utc_now(),
    )

    approval.refresh_from_db()
    assert (approval.state, reload(period).state) == ("VOID", "OPEN")
    assert approval.void_reason == f"the close of {period.code} was stopped"
    with pytest.raises(ApprovalRefused):
        decide(approval, "marco")


def test_months_are_reopened_against_their_order_and_later_requests_become_void() -> None:
    earlier, period = month_before(2), month_before()
    locked(earlier)
    locked(period)

    with pytest.raises(PeriodRefused, match=f"reopen {period.code} first"):
        ask_reopen(earlier)
    reopening = ask_reopen(period)
    for who in ("marco", "sofia"):
        decide(reopening, who)
    drain()
    begin(period)
    pending, first = ask_lock(period), ask_reopen(earlier)
    for who in ("marco", "sofia"):
        decide(first, who)
    drain()

    pending.refresh_from_db()
    assert (reload(earlier).state, reload(period).state) == ("OPEN", "CLOSING")
    assert (pending.state, pending.void_reason) == (
        "VOID",
        f"{earlier.code} was reopened and comes first",
    )


def test_the_deciders_are_told_the_consequences_with_numbers() -> None:
    books.with_settings(fiscal_year_start_month=month_before().starts_on.month)
    capture(12_000, fee_minor=300)
    period = month_before()
    begin(period)

    notes = ask_lock(period).consequences

    assert notes[1] == f"0 entries are dated in {period.code} when this is asked for"
    assert notes[3].startswith("Events of these days without an outcome: 0; late postings that")
    current = AccountingPeriod.objects.get(code=month_before(0).code)
    assert period_requests.lock_notes(current, clock.utc_now())[1].startswith("2 entries")


def test_moving_a_month_twice_is_refused_with_its_state() -> None:
    period = month_before()
    begin(period)

    with pytest.raises(PeriodRefused, match=f"{period.code} is CLOSING, not OPEN"):
        begin(period)
    with pytest.raises(PeriodRefused, match="say why"):
        periods.stop_closing(
            period_id=period.public_id, reason=" ", actor=actor("priya"), now=clock.utc_now()
        )
    with pytest.raises(PeriodRefused, match="only a locked period is reopened"):
        ask_reopen(period)
    assert not Message.objects.filter(state="DEAD").exists()


def test_a_month_with_balances_off_their_rates_is_revalued_before_its_lock() -> None:
    """LJ-10: what balances in other currencies are worth is settled before the month is final."""
    story = Story()
    story.receive()
    period = story.closing("2026-03")
    known_rate("EUR", "USD", "1.0950", as_of=revaluation.end_of(period, story.book))

    with pytest.raises(PeriodRefused, match=r"73 USD beside the rates of 2026-03-31: revalue"):
        periods.check_lock({"period": period.public_id})

    story.revalue(rate="")
    assert periods.check_lock({"period": period.public_id})["code"] == "2026-03"
