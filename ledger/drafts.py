"""From a checked posting to its rows: entry, lines, audit. Nothing is decided here.

Rows are texts, made once: a batch has thousands, and the server takes in the first while the rest
are made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from ledger import periods, writing
from ledger.cash_flow import CASH_ACCOUNTS
from ledger.checks import Chart
from ledger.errors import LedgerBusy
from ledger.facts import REF_NAMES, Posting
from ledger.matrix import MATRIX
from ledger.models import AccountingPeriod, JournalEntry
from payops.core import audit, bulk, ids
from payops.core.actors import Actor

# Up to this many entries go in one message, more of them by COPY.
FEW = 8
ENTRY_COLUMNS = (
    "id",
    "created_at",
    "book_id",
    "period_id",
    "event_class",
    "matrix_version",
    "template",
    "idempotency_key",
    "fingerprint",
    "subject_id",
    "movement_ref",
    "description",
    "posting_on",
    "occurred_at",
    "posted_by",
    "first_line_id",
    *REF_NAMES,
)
LINE_COLUMNS = (
    "created_at",
    "book_id",
    "entry_id",
    "posting_on",
    "id",
    "position",
    "account_id",
    "party",
    "amount_minor",
    "currency",
    "reporting_minor",
    "cash_flow_tag",
)


@dataclass(slots=True)
class Draft:
    """One distinct posting of a batch on its way to being an entry."""

    posting: Posting
    key: str
    fingerprint: str
    book_id: UUID
    refs: tuple[str, ...]
    entry_id: UUID
    # The same two ids as texts, which is what they are mostly needed as.
    book_hex: str
    entry_hex: str
    place: periods.Placement | None = None
    late: LedgerBusy | None = None
    amounts: list[int] = field(default_factory=list)
    rates: dict[str, str] = field(default_factory=dict)

    @property
    def registry_key(self) -> writing.BookKey:
        return (self.book_id, self.key)

    @property
    def public_id(self) -> str:
        return f"{JournalEntry.PREFIX}_{self.entry_hex}"

    @property
    def claim(self) -> writing.Claim:
        return (self.key, self.book_hex, self.fingerprint, self.entry_hex)


def write_drafts(
    fresh: list[Draft],
    *,
    charts: Mapping[UUID, Chart],
    with_keys: bool,
    savepoint: writing.Savepoint,
    actor: Actor,
    now: datetime,
) -> None:
    """Write the batch, and its keys where they are not claimed yet; release its savepoint.

    Entries come first: their trigger holds the periods, and keys are claimed after periods.
    """
    line_ids = ids.uuid7_numbers(sum(len(draft.posting.legs) for draft in fresh))
    # The column of reversals is null for all others, and a row of texts has no null.
    reversals = [draft for draft in fresh if draft.posting.reverses is not None]
    others = [draft for draft in fresh if draft.posting.reverses is None]
    ordered = [*others, *reversals]
    first_ids = iter(_first_of_each(ordered, line_ids))
    texts = _Texts(actor=actor, now=now)
    tables = [
        bulk.Texts(
            "ledger_journalentry", columns, (texts.entry_row(d, next(first_ids)) for d in some)
        )
        for columns, some in (
            (ENTRY_COLUMNS, others),
            ((*ENTRY_COLUMNS, "reverses_id"), reversals),
        )
        if some
    ]
    if with_keys:
        tables.append(writing.claimed([draft.claim for draft in fresh], now=now))
    tables.append(
        bulk.Texts("ledger_journalline", LINE_COLUMNS, texts.line_rows(ordered, line_ids, charts))
    )
    tables.append(
        audit.texts(actor, map(texts.audit_row, ordered, ids.uuid7_numbers(len(ordered))))
    )
    if len(fresh) <= FEW:
        bulk.insert_texts(*tables, before=savepoint.set_now(), then=writing.RELEASE)
    else:
        bulk.copy_texts(*tables)
        writing.release()


def _first_of_each(ordered: list[Draft], line_ids: list[int]) -> Iterator[int]:
    position = 0
    for draft in ordered:
        yield line_ids[position]
        position += len(draft.posting.legs)


class _Texts:
    """Rows as texts; what all rows of a batch share is written once."""

    def __init__(self, *, actor: Actor, now: datetime) -> None:
        self._actor = actor
        self._now = now
        self._at = bulk.time_text(now)
        self._posted_by = actor.service or actor.login
        self._acts: dict[UUID, audit.Acts] = {}

    def entry_row(self, draft: Draft, first_line_id: int) -> tuple[str, ...]:
        posting, (period, day) = draft.posting, _placed(draft)
        row = (
            draft.entry_hex,
            self._at,
            draft.book_hex,
            period.pk.hex,
            posting.event_class,
            str(posting.matrix_version),
            posting.template,
            draft.key,
            draft.fingerprint,
            posting.subject_id,
            posting.movement_ref,
            posting.description,
            day.isoformat(),
            bulk.time_text(posting.occurred_at),
            self._posted_by,
            f"{first_line_id:032x}",
            *draft.refs,
        )
        return row if posting.reverses is None else (*row, posting.reverses.pk.hex)

    def line_rows(
        self, ordered: list[Draft], line_ids: list[int], charts: Mapping[UUID, Chart]
    ) -> Iterator[tuple[str, ...]]:
        number = iter(line_ids)
        for draft in ordered:
            posting, (_, day) = draft.posting, _placed(draft)
            chart = charts[draft.book_id]
            shared = (self._at, draft.book_hex, draft.entry_hex, day.isoformat())
            for position, (leg, reporting) in enumerate(
                zip(posting.legs, draft.amounts, strict=True)
            ):
                code = leg.account
                tag = ""
                if code in CASH_ACCOUNTS:
                    tag = leg.cash_flow_tag or MATRIX[posting.event_class].cash_flow_tag
                yield (
                    *shared,
                    f"{next(number):032x}",
                    str(position),
                    chart[code].key,
                    leg.party,
                    str(leg.amount_minor),
                    leg.currency,
                    str(reporting),
                    tag,
                )

    def audit_row(self, draft: Draft, number: int) -> tuple[str, ...]:
        posting, (_, day) = draft.posting, _placed(draft)
        evidence: dict[str, Any] = {
            name: ref for name, ref in zip(REF_NAMES, draft.refs, strict=True) if ref
        }
        evidence["key"] = draft.key
        evidence["fingerprint"] = draft.fingerprint
        evidence["posting_on"] = day.isoformat()
        evidence["occurred_at"] = bulk.time_text(posting.occurred_at)
        if draft.place is not None and draft.place.late:
            evidence["late"] = True
        if draft.rates:
            evidence["rates"] = draft.rates
        if posting.reverses is not None:
            evidence["reverses"] = posting.reverses.public_id
        return self._acts_of(draft).texts(
            number,
            draft.public_id,
            audit.evidence_text(evidence, action="ledger.posted"),
            posting.reason,
            posting.refs.trace_id,
        )

    def _acts_of(self, draft: Draft) -> audit.Acts:
        acts = self._acts.get(draft.book_id)
        if acts is None:
            book = draft.posting.book
            acts = self._acts[draft.book_id] = audit.Acts(
                book=book, actor=self._actor, action="ledger.posted", now=self._now
            )
        return acts


def _placed(draft: Draft) -> tuple[AccountingPeriod, date]:
    place = draft.place
    assert place is not None and place.period is not None, "a checked draft has its day"
    return place.period, place.posting_on
