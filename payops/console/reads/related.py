"""What stands around a record: its events, journal entries, cases, approvals, holds.

Every function is a fixed number of queries, whatever it finds. Reads only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Case as When
from django.db.models import Exists, OuterRef, Q, Value
from django.db.models import When as If

from approvals.models import ApprovalDecision, ApprovalRequest
from ledger.models import JournalEntry
from ledger.selectors import entries_of
from payops.cases.models import Case, CaseEntry
from payops.cases.rules import CASE_RULES
from payops.console.formats import address_of, who
from payops.core.models import Book
from payops.core.money import Money
from payops.core.roles import LABELS
from payops.payments.models import Hold
from payops.webhooks.models import ProviderEvent

EVENTS_MAX = 100
CASES_MAX = 50
HOLDS_MAX = 200


@dataclass(frozen=True, slots=True)
class HoldRow:
    """A hold with everything a person must know to lift it or leave it (F2)."""

    hold: Hold
    covers: str
    covers_href: str
    placed_by: str
    released_by: str

    @property
    def open(self) -> bool:
        return self.hold.released_at is None

    @property
    def state(self) -> str:
        return "HELD" if self.open else "RELEASED"


@dataclass(frozen=True, slots=True)
class EntryRow:
    """A journal entry with the sum of its debits per currency."""

    entry: JournalEntry
    lines: Sequence[Any]
    totals: tuple[Money, ...]


@dataclass(frozen=True, slots=True)
class ApprovalRow:
    """A request with who was asked and who decided."""

    request: ApprovalRequest
    seats: tuple[str, ...]
    decisions: tuple[ApprovalDecision, ...]


def holds(where: Q) -> list[HoldRow]:
    """Open ones first, then the latest."""
    open_first = When(If(released_at=None, then=Value(0)), default=Value(1))
    rows = Hold.objects.filter(where).select_related(
        "payout", "beneficiary", "placed_by", "released_by"
    )
    ordered = rows.order_by(open_first, "-created_at")[:HOLDS_MAX]
    return [_hold_row(hold) for hold in ordered]


def events(*, book: Book, where: Q) -> list[ProviderEvent]:
    """Oldest first."""
    found = ProviderEvent.objects.filter(where, book=book).select_related("account")
    return list(found.order_by("-pk")[:EVENTS_MAX])[::-1]


def entries(*, book: Book, subject_ids: Sequence[str]) -> list[EntryRow]:
    return [entry_row(entry) for entry in entries_of(book=book, subject_ids=subject_ids)]


def entry_row(entry: JournalEntry) -> EntryRow:
    """`entry` comes from the ledger's selectors, which bring its lines."""
    lines = list(entry.lines.all())
    sums: dict[str, int] = {}
    for line in lines:
        sums[line.currency] = sums.get(line.currency, 0) + max(line.amount_minor, 0)
    totals = tuple(Money(amount, currency) for currency, amount in sorted(sums.items()))
    return EntryRow(entry, lines, totals)


def cases(*, book: Book, subject_ids: Sequence[str]) -> list[Case]:
    found = Case.objects.filter(book=book, subject_id__in=list(subject_ids))
    return list(found.select_related("owner").order_by("-created_at")[:CASES_MAX])


def cases_told_by(event: ProviderEvent) -> list[Case]:
    """Cases with a line about the event; sought where such a case can stand, never in all lines."""
    account, rules = event.account.address, list(CASE_RULES)
    marks = [event.public_id, account, f"{account}:{event.object_id}"]
    about = Q(subject_id__in=[name for name in (event.subject_id, event.public_id) if name])
    about |= Q(rule__in=rules, fingerprint__in=marks)
    about |= Q(rule="systemic", fingerprint__in=rules)
    told = CaseEntry.objects.filter(case=OuterRef("pk"), refers_to=event.public_id)
    found = Case.objects.filter(about, Exists(told), book_id=event.book_id)
    return list(found.order_by("-created_at")[:CASES_MAX])


def approvals(*, book: Book, subject_ids: Sequence[str]) -> list[ApprovalRow]:
    """Every question ever asked about the subjects, latest first."""
    found = (
        ApprovalRequest.objects.filter(book=book, subject_id__in=list(subject_ids))
        .select_related("requested_by")
        .prefetch_related("decisions__person")
        .order_by("-created_at")[:CASES_MAX]
    )
    return [
        ApprovalRow(
            request,
            tuple(LABELS.get(seat, str(seat)) for seat in request.seats),
            tuple(sorted(request.decisions.all(), key=lambda decision: decision.created_at)),
        )
        for request in found
    ]


def _hold_row(hold: Hold) -> HoldRow:
    covered = hold.payout or hold.beneficiary
    assert covered is not None, "a hold covers exactly one record"
    name = hold.payout.merchant_ref if hold.payout else covered.name  # type: ignore[union-attr]
    released_by = ""
    if hold.released_at is not None:
        released_by = who(hold.released_by, hold.released_by_service)
    return HoldRow(
        hold=hold,
        covers=name,
        covers_href=address_of(covered.public_id),
        placed_by=who(hold.placed_by, hold.placed_by_service),
        released_by=released_by,
    )
