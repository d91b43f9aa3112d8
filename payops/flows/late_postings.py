"""Late postings that wait for people: kept, shown, and booked on the day that was granted (D12).

A posting whose month is closed, and which the book's policy does not place by itself, waits; its
event is parked, not dead. Owns what is known of such postings, the check of a request to place
them, and what the granted request does. Asking is in `payops/flows/period_requests.py`. Never
chooses a day: `ledger/late.py` proposes one, people grant it. Serves CL-4, CL-8, F14.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Concat

from approvals.models import ApprovalRequest
from ledger.errors import LateApprovalNeeded
from ledger.models import AccountingPeriod, LatePlacement, PostingKey, WaitingPosting
from payops.core import audit
from payops.core.actors import Actor
from payops.core.models import Book
from payops.core.money import Money
from payops.flows.governed import ChangeRefused
from payops.webhooks import services as inbox
from payops.webhooks.models import ProviderEvent

KIND = "late_posting"
POSTINGS_MAX = 200
WHY_CHARS_MAX = 240


class LateRefused(ChangeRefused):
    """The postings cannot be placed so; the text says which, and on which days they could be."""


def waits_for(event_id: str) -> str:
    """What an event waits for whose postings have no day."""
    return f"{inbox.LATE_MARK}{event_id}"


def note(refusals: Iterable[LateApprovalNeeded], *, now: datetime, parked: bool = False) -> None:
    """Keep what waits, once per key and facts, in the caller's transaction.

    `parked`: its event is parked for it and goes on by itself; others send the posting again.
    """
    assert connection.in_atomic_block, "what waits is kept with whatever made it wait"
    rows = [
        WaitingPosting(
            book_id=each.book_id,
            key=each.key,
            fingerprint=each.fingerprint,
            event_class=each.event_class,
            subject_id=each.subject_id,
            event_id=each.event_id if parked else "",
            occurred_on=each.occurred_on,
            amount_minor=each.amount_minor,
            why=each.why[:WHY_CHARS_MAX],
            created_at=now,
        )
        for each in refusals
    ]
    WaitingPosting.objects.bulk_create(rows, ignore_conflicts=True)


def subjects(events: Sequence[ProviderEvent]) -> dict[str, str]:
    """The subject that an event's postings were shown with, by the event's public id.

    An object first told of by that event keeps the id under which its posting was granted.
    """
    wanted = [event.public_id for event in events]
    if not wanted:
        return {}
    found = WaitingPosting.objects.filter(event_id__in=wanted).order_by("-id")
    return dict(found.values_list("event_id", "subject_id"))


def waiting(book: Book) -> QuerySet[WaitingPosting]:
    """Neither answered under their key nor granted a day that is still open; oldest first.

    A posting of an event is shown while the event is parked for it.
    """
    closed = AccountingPeriod.objects.filter(
        book_id=OuterRef("book_id"),
        state=AccountingPeriod.State.LOCKED,
        starts_on__lte=OuterRef("posting_on"),
        ends_on__gte=OuterRef("posting_on"),
    )
    same = {"book_id": OuterRef("book_id"), "key": OuterRef("key")}
    granted = LatePlacement.objects.filter(**same, fingerprint=OuterRef("fingerprint"))
    mark = Concat(Value(inbox.LATE_MARK), OuterRef("event_id"))
    parked = ProviderEvent.objects.filter(
        book_id=OuterRef("book_id"), state=ProviderEvent.State.PARKED, waits_for=mark
    )
    rows = WaitingPosting.objects.filter(Q(event_id="") | Exists(parked), book=book)
    rows = rows.exclude(Exists(PostingKey.objects.filter(**same)))
    return rows.exclude(Exists(granted.exclude(Exists(closed)))).order_by("occurred_on", "id")


def asked(book: Book) -> dict[str, ApprovalRequest]:
    """The pending request of each posting's key."""
    pending = ApprovalRequest.objects.filter(
        book=book, kind=KIND, state=ApprovalRequest.State.PENDING
    )
    return {each["key"]: row for row in pending for each in row.facts["postings"]}


def amount(row: WaitingPosting) -> Money:
    return Money(row.amount_minor, row.book.reporting_currency)


def check(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts as they are approved: every posting with its day. Raises LateRefused."""
    keys = [UUID(str(each)) for each in facts.get("waiting", [])]
    posting_on = _day(facts.get("posting_on"))
    book = Book.objects.filter(code=str(facts.get("book", ""))).first()
    if book is None:
        raise LateRefused("late postings are placed in a book")
    if not 1 <= len(set(keys)) <= POSTINGS_MAX:
        raise LateRefused(f"{len(set(keys))} postings are chosen; 1 to {POSTINGS_MAX} fit")
    rows = list(waiting(book).filter(pk__in=keys))
    if len(rows) != len(set(keys)):
        raise LateRefused(
            f"{len(set(keys)) - len(rows)} of {len(set(keys))} postings wait no longer: "
            "open the list again"
        )
    pending = asked(book)
    for row in rows:
        if row.key in pending:
            raise LateRefused(f"{row.key} is asked for already in {pending[row.key].public_id}")
        if posting_on <= row.occurred_on:
            raise LateRefused(
                f"{row.key} is of {row.occurred_on}: it is placed on a later day, not {posting_on}"
            )
    closed = AccountingPeriod.objects.filter(
        book=book, state=AccountingPeriod.State.LOCKED, ends_on__gte=posting_on
    )
    if found := closed.order_by("starts_on").first():
        raise LateRefused(f"{posting_on} is closed too: {found.code} is locked")
    return {
        "book": book.code,
        "posting_on": posting_on.isoformat(),
        "postings": [_facts(row, posting_on) for row in rows],
    }


def apply(approval: ApprovalRequest, actor: Actor, now: datetime) -> None:
    """Write the granted days and let the parked events go on."""
    postings, public_id = approval.facts["postings"], approval.public_id
    LatePlacement.objects.bulk_create(
        LatePlacement(
            book=approval.book,
            key=each["key"],
            fingerprint=each["fingerprint"],
            event_class=each["event_class"],
            subject_id=each["subject_id"],
            occurred_on=date.fromisoformat(each["occurred_on"]),
            posting_on=date.fromisoformat(each["posting_on"]),
            approval_id=public_id,
            created_at=now,
        )
        for each in postings
    )
    audit.record(
        audit.event(
            book=approval.book,
            actor=actor,
            action="late_posting.placed",
            subject_id=each["subject_id"],
            now=now,
            reason=approval.reason,
            evidence={**each, "approval_id": public_id},
        )
        for each in postings
    )
    released = {waits_for(each["event_id"]) for each in postings if each["event_id"]}
    inbox.release_waiting(book=approval.book, keys=released, actor=actor, now=now)


def release_all(*, book: Book, actor: Actor, now: datetime) -> int:
    """Look again at everything late: a month was reopened, or the policy is another one."""
    parked = ProviderEvent.objects.filter(
        book=book, state=ProviderEvent.State.PARKED, waits_for__startswith=inbox.LATE_MARK
    )
    keys = set(parked.values_list("waits_for", flat=True))
    return inbox.release_waiting(book=book, keys=keys, actor=actor, now=now)


def _facts(row: WaitingPosting, posting_on: date) -> dict[str, Any]:
    return {
        "key": row.key,
        "fingerprint": row.fingerprint,
        "event_class": row.event_class,
        "subject_id": row.subject_id,
        "event_id": row.event_id,
        "occurred_on": row.occurred_on.isoformat(),
        "posting_on": posting_on.isoformat(),
        "amount_minor": row.amount_minor,
    }


def _day(value: Any) -> date:
    try:
        return date.fromisoformat(str(value))
    except ValueError as error:
        raise LateRefused(f"{value!r} is not a day; write it as 2026-03-01") from error
