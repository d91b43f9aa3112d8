"""What is handed to the ledger and what it answers: plain, frozen values."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import date, datetime
from json.encoder import encode_basestring_ascii as _quoted
from operator import attrgetter
from uuid import UUID

from ledger.matrix import MATRIX_VERSION
from ledger.matrix_row import Leg
from ledger.models import JournalEntry
from payops.core.models import Book


@dataclass(frozen=True, slots=True)
class Refs:
    """The trace keys of an entry, all of which it keeps for ever (LJ-16)."""

    payment_id: str = ""
    payout_id: str = ""
    refund_id: str = ""
    dispute_id: str = ""
    bank_line_id: str = ""
    provider_transaction_id: str = ""
    psp_reference: str = ""
    merchant_reference: str = ""
    settlement_batch_id: str = ""
    event_id: str = ""
    provider_event_id: str = ""
    case_id: str = ""
    approval_id: str = ""
    api_request_id: str = ""
    request_idempotency_key: str = ""
    trace_id: str = ""


REF_NAMES = tuple(f.name for f in fields(Refs))
texts_of: Callable[[Refs], tuple[str, ...]] = attrgetter(*REF_NAMES)


def refs_of(entry: JournalEntry) -> Refs:
    return Refs(**{name: getattr(entry, name) for name in REF_NAMES})


@dataclass(frozen=True, slots=True)
class Posting:
    """One accounting outcome to record.

    `subject_id` is a public id, `movement_ref` the provider's id of the movement (never of the
    webhook event: two events can tell of one movement). `posting_on` is given only by a caller who
    answers for the day; otherwise the book's policy places the event.
    """

    book: Book
    event_class: str
    subject_id: str
    movement_ref: str
    legs: tuple[Leg, ...]
    occurred_at: datetime
    description: str
    template: str = ""
    refs: Refs = Refs()
    posting_on: date | None = None
    reverses: JournalEntry | None = None
    matrix_version: int = MATRIX_VERSION
    reason: str = ""

    @property
    def key(self) -> str:
        return f"{self.book.code}:{self.event_class}:{self.subject_id}:{self.movement_ref}"

    @property
    def fingerprint(self) -> str:
        """SHA-256 over JSON without spaces, written by hand: a batch has thousands."""
        lines = sorted(
            [
                (leg.account, leg.party, leg.currency, leg.amount_minor, leg.reporting_minor or 0)
                for leg in self.legs
            ]
        )
        told = ",".join(
            [
                f"[{_quoted(account)},{_quoted(party)},{_quoted(currency)},{amount},{reporting}]"
                for account, party, currency, amount, reporting in lines
            ]
        )
        reversed_id = self.reverses.public_id if self.reverses else ""
        facts = f'[[{told}],"{reversed_id}"]'
        return hashlib.sha256(facts.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Outcome:
    """The entry under the posting's key; `replayed` when it was there before."""

    entry_id: UUID
    entry_public_id: str
    replayed: bool
