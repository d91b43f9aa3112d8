"""The mirror of an entry: what a reversal posts, to the cent at its original amounts (LJ-8)."""

from __future__ import annotations

from datetime import date, datetime

from ledger import checks
from ledger.cash_flow import CASH_ACCOUNTS
from ledger.facts import Posting, Refs, refs_of
from ledger.matrix import MATRIX
from ledger.matrix_row import Leg
from ledger.models import JournalEntry, JournalLine
from ledger.rows.corrections import REVERSAL


def mirror_of(entry: JournalEntry) -> tuple[Leg, ...]:
    """Every line with its sign changed, at its original reporting amount."""
    lines = JournalLine.objects.filter(entry=entry).select_related("account").order_by("position")
    return tuple(
        Leg(
            account=line.account.code,
            amount_minor=-line.amount_minor,
            currency=line.currency,
            party=line.party,
            reporting_minor=-line.reporting_minor,
            cash_flow_tag=_tag_of(entry, line),
        )
        for line in lines
    )


def reversal_of(
    entry: JournalEntry,
    *,
    reason: str,
    occurred_at: datetime,
    event_class: str = REVERSAL,
    movement_ref: str = "",
    posting_on: date | None = None,
    refs: Refs | None = None,
) -> Posting:
    """The posting that takes an entry back; it names the entry as its movement."""
    if not reason.strip():
        raise ValueError("a reversal states its reason")
    limit = checks.TEXT_MAX["description"]
    return Posting(
        book=entry.book,
        event_class=event_class,
        subject_id=entry.subject_id,
        movement_ref=movement_ref or entry.public_id,
        legs=mirror_of(entry),
        occurred_at=occurred_at,
        description=f"Reversal of {entry.public_id}: {reason}"[:limit],
        refs=refs or refs_of(entry),
        posting_on=posting_on,
        reverses=entry,
        reason=reason,
    )


def _tag_of(entry: JournalEntry, line: JournalLine) -> str:
    """An entry older than the tags has that of its matrix row."""
    if line.account.code not in CASH_ACCOUNTS:
        return ""
    return line.cash_flow_tag or MATRIX[entry.event_class].cash_flow_tag
