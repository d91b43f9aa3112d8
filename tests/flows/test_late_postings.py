"""Events of a closed month wait for people, never die, and are posted once (D12, CL-4, CL-8)."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from approvals.models import ApprovalRequest
from approvals.refusals import ApprovalRefused
from ledger.models import AccountingPeriod, JournalEntry, LatePlacement, WaitingPosting
from payops.cases.models import Case
from payops.core import clock
from payops.core.models import Book, Message
from payops.flows import late_postings, period_requests, period_sweep
from payops.flows.late_postings import LateRefused
from payops.payments.models import Payment
from payops.webhooks.models import ProviderEvent
from tests import books
from tests.builders import (
    approve_all,
    decide,
    drain,
    payout_object,
    post_standard,
    reload,
    standard_event,
)
from tests.flows.lifecycle import Teller, propose
from tests.flows.test_periods import ask_reopen, begin, locked, month_before
from tests.people import actor
from tests.periods import lock
from tests.stories import sent_payout

pytestmark = pytest.mark.django_db(transaction=True)


def closed_month(**settings: Any) -> AccountingPeriod:
    """Last month, locked by people; it and this month lie in one fiscal year."""
    period = month_before()
    books.with_settings(fiscal_year_start_month=period.starts_on.month, **settings)
    return locked(period)


def late_moment(period: AccountingPeriod) -> datetime:
    return datetime.combine(period.ends_on, datetime.min.time(), UTC) + timedelta(hours=9)


def captured(
    at: datetime, *, amount: int = 10_000, fee: int = 0, ref: str = "", kind: str = "captured"
) -> dict[str, Any]:
    """The provider's event of that moment."""
    number = time.time_ns()
    said = {
        "id": ref or f"spm_{number}",
        "object": "payment",
        "reference": f"ORDER-{number}",
        "amount": amount,
        "currency": "EUR",
        "status": kind,
        "fee": fee,
        "platform_fee": 0,
        "seller": "S-1001",
        "method": "card",
        "created": int(at.timestamp()),
    }
    body = standard_event(f"payment.{kind}", said)
    body["created"] = int(at.timestamp())
    return body


def told(*bodies: dict[str, Any]) -> list[ProviderEvent]:
    for body in bodies:
        assert post_standard(body) == 200
    drain()
    return [ProviderEvent.objects.get(provider_event_id=body["id"]) for body in bodies]


def today() -> date:
    return clock.business_day(clock.utc_now(), time_zone="Europe/Berlin")


def ask(rows: list[WaitingPosting], day: date | None = None, by: str = "priya") -> ApprovalRequest:
    return period_requests.request_late(
        book=Book.objects.get(is_system=False),
        waiting_ids=[row.pk for row in rows],
        posting_on=day or today(),
        reason="the provider told us late",
        actor=actor(by),
        now=clock.utc_now(),
    )


def waiting() -> list[WaitingPosting]:
    return list(late_postings.waiting(Book.objects.get(is_system=False)))


def test_a_late_event_is_parked_shown_granted_and_posted_once() -> None:
    """D12 approve: parked with the reason, nothing posted; granted, posted as it was shown."""
    period = closed_month(late_event_policy="approve")
    at = late_moment(period)

    event = told(captured(at, fee=290))[0]

    assert (event.state, event.waits_for) == ("PARKED", f"late:{event.public_id}")
    assert f"{period.ends_on} is closed in meridian" in event.outcome
    assert (Payment.objects.count(), JournalEntry.objects.count()) == (0, 0)
    rows = waiting()
    assert [(row.event_class, row.amount_minor, row.event_id) for row in rows] == [
        ("payment.captured", 10_000, event.public_id),
        ("fee.charged", 290, event.public_id),
    ]

    approval = ask(rows)
    assert approval.title == f"Book 2 late postings of 102.90 EUR on {today()}"
    decide(approval, "marco")
    drain()

    event.refresh_from_db()
    payment = Payment.objects.get()
    entries = JournalEntry.objects.order_by("pk")
    assert (event.state, payment.public_id) == ("PROCESSED", rows[0].subject_id)
    assert {entry.idempotency_key for entry in entries} == {row.key for row in rows}
    assert {(entry.posting_on, entry.occurred_at) for entry in entries} == {(today(), at)}
    assert {row.approval_id for row in LatePlacement.objects.all()} == {approval.public_id}
    assert waiting() == []


def test_who_proposes_the_day_never_grants_it() -> None:
    period = closed_month(late_event_policy="approve")
    event = told(captured(late_moment(period)))[0]
    approval = ask(waiting(), by="ingrid")

    with pytest.raises(ApprovalRefused):
        decide(approval, "ingrid")
    with pytest.raises(LateRefused, match="is asked for already in"):
        ask(waiting())
    decide(approval, "marco", "reject")
    drain()

    event.refresh_from_db()
    assert (event.state, LatePlacement.objects.count()) == ("PARKED", 0)
    assert len(waiting()) == 1


def test_a_large_amount_waits_and_its_small_neighbours_of_the_batch_do_not() -> None:
    """D12: one batch of twelve; ten go to the first open day, two wait for people."""
    period = closed_month()
    at = late_moment(period)
    bodies = [captured(at, amount=1_000 + i, ref=f"spm_{i}_{time.time_ns()}") for i in range(10)]
    large = [captured(at, amount=6_000_000 + i) for i in range(2)]

    events = told(*bodies[:5], *large, *bodies[5:])

    states = {event.provider_event_id: event.state for event in events}
    assert [states[body["id"]] for body in bodies] == ["PROCESSED"] * 10
    assert [states[body["id"]] for body in large] == ["PARKED"] * 2
    assert JournalEntry.objects.count() == 10
    first = period.ends_on + timedelta(days=1)
    assert set(JournalEntry.objects.values_list("posting_on", flat=True)) == {first}
    assert all(event.attempts <= 1 for event in events)


def test_a_blocked_event_waits_and_is_posted_on_its_own_day_once_the_month_is_open() -> None:
    """D12 block: nobody can grant a day; reopening the month is the way."""
    period = closed_month(late_event_policy="block")
    event = told(captured(late_moment(period)))[0]
    assert (event.state, waiting()) == ("PARKED", [])
    assert "reopen the period, or change the policy" in event.outcome

    reopening = ask_reopen(period)
    assert reopening.consequences[2].startswith(
        "Events of these days without an outcome: 1; late postings that wait: 0"
    )
    for who in ("marco", "sofia"):
        decide(reopening, who)
    drain()

    event.refresh_from_db()
    entry = JournalEntry.objects.get()
    assert (event.state, entry.posting_on) == ("PROCESSED", period.ends_on)


def test_another_policy_is_in_force_for_what_waits_already() -> None:
    """F14: the change is decided by others; the event goes to the first open day by itself."""
    period = closed_month(late_event_policy="approve")
    event = told(captured(late_moment(period)))[0]

    approval = period_requests.request_settings(
        book=Book.objects.get(is_system=False),
        values={"late_event_policy": "first_open_day"},
        reason="agreed with the auditors",
        actor=actor("priya"),
        now=clock.utc_now(),
    )
    for who in ("marco", "sofia"):
        decide(approval, who)
    drain()

    event.refresh_from_db()
    assert event.state == "PROCESSED"
    assert JournalEntry.objects.get().posting_on == period.ends_on + timedelta(days=1)
    assert (waiting(), LatePlacement.objects.count()) == ([], 0)


def test_a_payout_stays_as_it_is_until_the_day_of_its_payment_is_granted() -> None:
    """CL-8: told late that it was paid last month; state and journal move together."""
    payout = sent_payout("1200.00")
    period = closed_month(late_event_policy="approve")
    body = standard_event("payout.paid", payout_object(payout, "paid"))
    body["created"] = int(late_moment(period).timestamp())

    event = told(body)[0]

    assert (event.state, event.subject_id) == ("PARKED", payout.public_id)
    assert reload(payout).state == "IN_TRANSIT"
    decide(ask(waiting()), "marco")
    drain()
    event.refresh_from_db()
    assert (event.state, reload(payout).state) == ("PROCESSED", "PAID")
    paid = JournalEntry.objects.get(event_class="payout.paid")
    assert (paid.posting_on, paid.occurred_at) == (today(), late_moment(period))


def test_a_runbook_whose_entry_is_late_stops_and_its_next_run_posts_on_the_granted_day() -> None:
    """PX-11: nothing is half done; the posting of the stopped step waits like every other."""
    payout = sent_payout("1200.00")
    Teller(payout).tell("paid")
    drain()
    period = closed_month(late_event_policy="approve")
    body = Teller(payout)._standard("failed")
    body["created"] = int(late_moment(period).timestamp())
    told(body)
    case = Case.objects.get(subject_id=payout.public_id)

    approve_all(propose(case))
    drain()

    rows = waiting()
    assert [(row.event_class, row.event_id) for row in rows] == [("payout.returned", "")]
    assert not JournalEntry.objects.filter(event_class="payout.returned").exists()
    decide(ask(rows), "marco")
    drain()
    case.refresh_from_db()
    approve_all(propose(case))
    drain()
    entry = JournalEntry.objects.get(event_class="payout.returned")
    assert (entry.posting_on, entry.occurred_at) == (today(), late_moment(period))
    assert waiting() == []


def test_a_day_is_proposed_only_where_it_can_be() -> None:
    period = closed_month(late_event_policy="approve")
    told(captured(late_moment(period)))
    rows = waiting()

    with pytest.raises(
        LateRefused, match=f"{period.ends_on} is closed .*choose a day that is open"
    ):
        ask(rows, period.ends_on)
    with pytest.raises(LateRefused, match="has not come yet"):
        ask(rows, today() + timedelta(days=1))
    with pytest.raises(LateRefused, match="0 postings are chosen"):
        ask([])
    unsaved = WaitingPosting(**{f: getattr(rows[0], f) for f in ("key", "fingerprint", "book_id")})
    with pytest.raises(LateRefused, match="1 of 1 postings wait no longer"):
        ask([unsaved])
    assert ApprovalRequest.objects.filter(kind="late_posting").count() == 0


def test_a_waiting_event_is_looked_at_again_without_being_kept_twice() -> None:
    """The recheck of parked rows asks the ledger again; the answer is the same."""
    period = closed_month(late_event_policy="approve")
    event = told(captured(late_moment(period)))[0]
    first = waiting()

    ProviderEvent.objects.filter(pk=event.pk).update(
        state="RECEIVED", waits_for="", due_at=clock.utc_now()
    )
    drain()

    event.refresh_from_db()
    assert event.state == "PARKED"
    assert [row.pk for row in waiting()] == [row.pk for row in first]
    assert not Message.objects.filter(state="DEAD").exists()


def test_the_sweep_lists_what_would_land_where_and_posting_agrees() -> None:
    """CL-8: the same function previews the lock and places the events after it."""
    period = month_before()
    books.with_settings(fiscal_year_start_month=period.starts_on.month)
    begin(period)
    at = late_moment(period)
    bodies = [captured(at, amount=1_000), captured(at, amount=6_000_000)]
    for body in bodies:
        assert post_standard(body) == 200

    lands = list(period_sweep.would_land(period, now=clock.utc_now(), limit=50))

    first = period.ends_on + timedelta(days=1)
    assert [(row.state, row.occurred_on, row.posting_on, row.why) for row in lands] == [
        ("RECEIVED", period.ends_on, first, ""),
        (
            "RECEIVED",
            period.ends_on,
            first,
            "60,000.00 EUR is above the limit of 50,000.00 EUR",
        ),
    ]
    assert {row.period for row in lands} == {f"{first:%Y-%m}"}

    with_lock = locked_without_drain(period)
    drain()
    after = {e.provider_event_id: e for e in ProviderEvent.objects.all()}
    assert with_lock.state == "LOCKED"
    assert after[bodies[0]["id"]].state == "PROCESSED"
    assert JournalEntry.objects.get().posting_on == first
    assert after[bodies[1]["id"]].state == "PARKED"
    swept = list(period_sweep.would_land(with_lock, now=clock.utc_now(), limit=50))
    assert [(row.state, row.what, row.posting_on) for row in swept] == [
        ("WAITING", "payment.captured", first)
    ]


def locked_without_drain(period: AccountingPeriod) -> AccountingPeriod:
    """Locked before the workers get to the events that wait."""
    lock(period.book, period.code)
    return AccountingPeriod.objects.select_related("book").get(pk=period.pk)
