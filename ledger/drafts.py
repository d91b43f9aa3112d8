"""From a checked posting to its rows: entry, lines, audit. Nothing is decided here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from ledger import periods, writing
from ledger.cash_flow import CASH_ACCOUNTS
from ledger.errors import PeriodLocked
from ledger.facts import REF_NAMES, Posting
from ledger.matrix import MATRIX
from ledger.matrix_row import Leg
from ledger.models import Account, JournalEntry
from payops.core import audit, bulk, ids
from payops.core.actors import Actor


@dataclass(slots=True)
class Draft:
    """One distinct posting of a batch on its way to being an entry."""

    posting: Posting
    key: str
    fingerprint: str
    entry_id: UUID
    place: periods.Placement | None = None
    late: PeriodLocked | None = None
    amounts: list[int] = field(default_factory=list)
    rates: dict[str, str] = field(default_factory=dict)

    @property
    def registry_key(self) -> writing.BookKey:
        return (self.posting.book.pk, self.key)


def write_drafts(
    fresh: list[Draft],
    *,
    accounts: Mapping[tuple[UUID, str], Account],
    actor: Actor,
    now: datetime,
) -> None:
    entries: list[tuple[Any, ...]] = []
    lines: list[tuple[Any, ...]] = []
    for draft in fresh:
        line_ids = [ids.uuid7() for _ in draft.posting.legs]
        entries.append(_entry_row(draft, first_line_id=line_ids[0], actor=actor, now=now))
        lines.extend(_line_rows(draft, line_ids, accounts=accounts, now=now))
    bulk.copy("ledger_journalentry", writing.ENTRY_COLUMNS, entries)
    bulk.copy("ledger_journalline", writing.LINE_COLUMNS, lines)
    audit.record(_audit(draft, actor=actor, now=now) for draft in fresh)


def _entry_row(
    draft: Draft, *, first_line_id: UUID, actor: Actor, now: datetime
) -> tuple[Any, ...]:
    posting, place = draft.posting, draft.place
    assert place is not None and place.period is not None, "a checked draft has its day"
    values: dict[str, Any] = {
        "id": draft.entry_id,
        "created_at": now,
        "book_id": posting.book.pk,
        "period_id": place.period.pk,
        "event_class": posting.event_class,
        "matrix_version": posting.matrix_version,
        "template": posting.template,
        "idempotency_key": draft.key,
        "fingerprint": draft.fingerprint,
        "subject_id": posting.subject_id,
        "movement_ref": posting.movement_ref,
        "description": posting.description,
        "posting_on": place.posting_on,
        "occurred_at": posting.occurred_at,
        "reverses_id": posting.reverses.pk if posting.reverses else None,
        "posted_by": actor.service or actor.login,
        "first_line_id": first_line_id,
    }
    values.update((name, getattr(posting.refs, name)) for name in REF_NAMES)
    return tuple(values[column] for column in writing.ENTRY_COLUMNS)


def _line_rows(
    draft: Draft,
    line_ids: Sequence[UUID],
    *,
    accounts: Mapping[tuple[UUID, str], Account],
    now: datetime,
) -> list[tuple[Any, ...]]:
    posting, place = draft.posting, draft.place
    assert place is not None, "a checked draft has its day"
    book_id = posting.book.pk
    rows = []
    for position, (line_id, leg, reporting) in enumerate(
        zip(line_ids, posting.legs, draft.amounts, strict=True)
    ):
        values = {
            "id": line_id,
            "created_at": now,
            "book_id": book_id,
            "entry_id": draft.entry_id,
            "position": position,
            "account_id": accounts[(book_id, leg.account)].pk,
            "party": leg.party,
            "amount_minor": leg.amount_minor,
            "currency": leg.currency,
            "reporting_minor": reporting,
            "posting_on": place.posting_on,
            "cash_flow_tag": _cash_flow_tag(posting, leg),
        }
        rows.append(tuple(values[column] for column in writing.LINE_COLUMNS))
    return rows


def _cash_flow_tag(posting: Posting, leg: Leg) -> str:
    if leg.account not in CASH_ACCOUNTS:
        return ""
    return leg.cash_flow_tag or MATRIX[posting.event_class].cash_flow_tag


def _audit(draft: Draft, *, actor: Actor, now: datetime) -> Any:
    posting, place = draft.posting, draft.place
    assert place is not None, "a checked draft has its day"
    evidence: dict[str, Any] = {
        "key": draft.key,
        "fingerprint": draft.fingerprint,
        "posting_on": place.posting_on.isoformat(),
        "occurred_at": posting.occurred_at.isoformat(),
    }
    evidence.update(
        (name, getattr(posting.refs, name)) for name in REF_NAMES if getattr(posting.refs, name)
    )
    if place.late:
        evidence["late"] = True
    if draft.rates:
        evidence["rates"] = draft.rates
    if posting.reverses is not None:
        evidence["reverses"] = posting.reverses.public_id
    return audit.event(
        book=posting.book,
        actor=actor,
        action="ledger.posted",
        subject_id=ids.render(JournalEntry.PREFIX, draft.entry_id),
        now=now,
        reason=posting.reason,
        evidence=evidence,
        trace_id=posting.refs.trace_id,
    )
