"""The one contract of bank files: what every reader yields, whatever the bank sends (F18, D16).

A reader takes bytes and yields events in the order of the file: a statement opens, its entries
follow one by one, it closes with what the bank said at its end. Nothing is held beyond one entry,
so memory stays flat. An entry is never left out because it looks like another; what cannot be
read is a `Reject` with its place, what does not add up is a `Finding`, and only a file that cannot
be read at all, or that attacks its reader, raises `FileRefused`. Amounts are signed minor units
of the account holder's view: money in is positive, money out negative (D17).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass, field
from datetime import date, datetime
from enum import StrEnum
from hashlib import blake2b
from operator import add
from typing import NamedTuple, Protocol

from payops.formats.unpacking import FileRefused as FileRefused

BYTES_MAX = 64 * 1024 * 1024
ENTRIES_MAX = 2_000_000
CHILDREN_MAX = 100_000
STATEMENTS_MAX = 20_000
SEPARATOR = "\x1f"
MASKED_TAIL = 4


class Source(Protocol):
    """Bytes to be read once: an open file, or the stream of an unpacked upload."""

    def read(self, size: int = ..., /) -> bytes: ...


class Severity(StrEnum):
    """BREAK does not add up; WARNING was read with an assumption; NOTICE is good to know."""

    NOTICE = "NOTICE"
    WARNING = "WARNING"
    BREAK = "BREAK"


class StatementKind(StrEnum):
    STATEMENT = "STATEMENT"
    INTRADAY = "INTRADAY"
    NOTIFICATION = "NOTIFICATION"


class EntryStatus(StrEnum):
    BOOKED = "BOOKED"
    PENDING = "PENDING"
    INFO = "INFO"


class BalanceKind(StrEnum):
    OPENING = "OPENING"
    CLOSING = "CLOSING"
    PREVIOUS_CLOSING = "PREVIOUS_CLOSING"
    INTERIM_OPENING = "INTERIM_OPENING"
    INTERIM_CLOSING = "INTERIM_CLOSING"
    OPENING_AVAILABLE = "OPENING_AVAILABLE"
    CLOSING_AVAILABLE = "CLOSING_AVAILABLE"
    FORWARD_AVAILABLE = "FORWARD_AVAILABLE"
    OTHER = "OTHER"


class Scheme(StrEnum):
    IBAN = "IBAN"
    CARD = "CARD"
    OTHER = "OTHER"


@dataclass(frozen=True, slots=True)
class Account:
    """`identifier` is canonical (upper case, no blanks), to be hashed with a key or encrypted; it
    is left out of every representation. `masked` is what people and logs may see."""

    scheme: Scheme
    identifier: str = field(repr=False)
    bank: str = ""

    @property
    def masked(self) -> str:
        tail = self.identifier[-MASKED_TAIL:] if len(self.identifier) > 2 * MASKED_TAIL else ""
        head = self.identifier[:2] if self.scheme == Scheme.IBAN else ""
        return f"{head}…{tail}" if self.identifier else ""

    def __str__(self) -> str:
        return self.masked


@dataclass(frozen=True, slots=True)
class Balance:
    """`sign_told` is false where the bank left out credit or debit and credit was assumed."""

    kind: BalanceKind
    amount_minor: int
    currency: str
    on: date | None = None
    raw_code: str = ""
    sign_told: bool = True


@dataclass(frozen=True, slots=True)
class Control:
    """A total the bank states about itself, to be compared with what was read.

    `scope` says what it covers: entries, credits, debits, account, group or file.
    """

    scope: str
    count: int | None = None
    amount_minor: int | None = None
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Statement:
    """One account over one stretch of time; `position` counts from one within the file.

    `time_zone` is what the file itself tells, "+02:00" or a zone name, or that of the options.
    """

    position: int
    kind: StatementKind
    account: Account
    currency: str = ""
    reference: str = ""
    number: str = ""
    sequence: int | None = None
    page: int | None = None
    last_page: bool | None = None
    created_at: datetime | None = None
    from_on: date | None = None
    to_on: date | None = None
    time_zone: str = ""
    balances: tuple[Balance, ...] = ()
    controls: tuple[Control, ...] = ()
    line: int = 0

    def balance(self, *kinds: BalanceKind) -> Balance | None:
        """The first balance of the first of the kinds that has one."""
        for kind in kinds:
            for each in self.balances:
                if each.kind == kind:
                    return each
        return None

    @property
    def opening(self) -> Balance | None:
        kinds = (BalanceKind.OPENING, BalanceKind.PREVIOUS_CLOSING, BalanceKind.INTERIM_OPENING)
        return self.balance(*kinds)

    @property
    def closing(self) -> Balance | None:
        """The last one told: a file of pages in one statement ends with its last."""
        for kind in (BalanceKind.CLOSING, BalanceKind.INTERIM_CLOSING):
            told = [each for each in self.balances if each.kind == kind]
            if told:
                return told[-1]
        return None


class References(NamedTuple):
    """Every name a payment goes by; empty where the bank told none. A tuple, like Entry: one is
    made for every line, and a frozen dataclass takes five times as long."""

    end_to_end: str = ""
    bank: str = ""
    transaction: str = ""
    instruction: str = ""
    mandate: str = ""
    entry: str = ""
    message: str = ""
    payment_batch: str = ""
    customer: str = ""
    cheque: str = ""
    creditor: str = ""


@dataclass(frozen=True, slots=True)
class Counterparty:
    name: str = ""
    account: Account | None = None
    bank: str = ""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What was instructed in another currency and at which rate; `rate` as the bank wrote it."""

    instructed_minor: int | None = None
    instructed_currency: str = ""
    source_currency: str = ""
    target_currency: str = ""
    rate: str = ""


@dataclass(frozen=True, slots=True)
class Charge:
    """`amount_minor` is negative where the account holder pays; `included` in the entry or not."""

    amount_minor: int
    currency: str
    included: bool | None = None


NO_REFERENCES = References()
NO_COUNTERPARTY = Counterparty()


class Entry(NamedTuple):
    """One line of a statement, or one payment of a batch (then among `children` of the line).

    `position` counts the entries of the file from one; a child has the position among its
    siblings. `assumed` names the fields the bank left out and the reader filled. `kind` is of the
    common vocabulary in `kinds`, `raw_code` the bank's own.
    """

    position: int
    statement: int
    amount_minor: int
    currency: str
    booked_on: date | None
    value_on: date | None
    status: EntryStatus
    kind: str
    raw_code: str
    references: References = NO_REFERENCES
    counterparty: Counterparty = NO_COUNTERPARTY
    remittance: str = ""
    additional: str = ""
    is_reversal: bool = False
    booked_at: datetime | None = None
    balance_minor: int | None = None
    batch_count: int | None = None
    exchange: Exchange | None = None
    charges: tuple[Charge, ...] = ()
    children: tuple[Entry, ...] = ()
    assumed: tuple[str, ...] = ()
    line: int = 0

    @property
    def business(self) -> tuple[object, ...]:
        """Everything but the names the bank alone gives; what a double payment has in common."""
        said, other = self.references, self.counterparty
        return (
            self.amount_minor,
            self.currency,
            self.booked_on.toordinal() if self.booked_on else 0,
            self.value_on.toordinal() if self.value_on else 0,
            self.booked_at,
            self.status.value,
            self.raw_code,
            self.is_reversal,
            other.name,
            other.account.identifier if other.account else "",
            other.bank,
            said.end_to_end,
            said.mandate,
            said.customer,
            said.cheque,
            said.creditor,
            self.remittance,
            self.additional,
            self.batch_count,
        )

    @property
    def fingerprint(self) -> str:
        """Two lines of one account with the same one are identical to whoever pays (D16): both
        are kept, and both are shown as a possible double payment."""
        return self.keys[0]

    @property
    def overlap_key(self) -> str:
        """The same again for the same line in another file; with the bank's names.

        Lines with equal keys within one file are numbered by the importer (1, 2, …): key and
        number together find the line again in an overlapping file, and no twin is lost.
        """
        return self.keys[1]

    @property
    def keys(self) -> tuple[str, str]:
        """Fingerprint and overlap key, made in one go."""
        said = self.references
        digest = blake2b(SEPARATOR.join(map(str, self.business)).encode(), digest_size=16)
        fingerprint = digest.hexdigest()
        named = ("", said.bank, said.transaction, said.entry)
        digest.update(SEPARATOR.join(named).encode())
        return fingerprint, digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Totals:
    """What was read of a statement; booked entries of its own currency only, others counted."""

    entries: int = 0
    credits: int = 0
    credits_minor: int = 0
    debits: int = 0
    debits_minor: int = 0
    unbooked: int = 0
    foreign: int = 0
    rejects: int = 0

    @property
    def net_minor(self) -> int:
        return self.credits_minor - self.debits_minor

    def plus(self, other: Totals) -> Totals:
        return Totals(*map(add, astuple(self), astuple(other)))


@dataclass(frozen=True, slots=True)
class Finding:
    """`code` is one of `findings.CODES`, `place` tells where, `words` is a sentence."""

    severity: Severity
    code: str
    place: str
    words: str
    statement: int = 0


@dataclass(frozen=True, slots=True)
class Reject:
    """A line that could not be taken: where, which column, why, and a bounded excerpt of it."""

    line: int
    column: str
    why: str
    excerpt: str = ""
    statement: int = 0


@dataclass(frozen=True, slots=True)
class StatementOpened:
    statement: Statement


@dataclass(frozen=True, slots=True)
class StatementClosed:
    """`statement` now with what the bank told after the entries."""

    statement: Statement
    totals: Totals = Totals()


Event = StatementOpened | Entry | Reject | Finding | StatementClosed
Events = Iterator[Event]


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What the account's settings say and a file may not: where it was written, its limits.

    `mapping` is that of a CSV file (`mappings.Mapping`), as plain values; `currency` stands in
    for a file that names none.
    """

    time_zone: str = ""
    currency: str = ""
    account: str = ""
    encoding: str = ""
    mapping: Mapping[str, object] | None = None
    bytes_max: int = BYTES_MAX
    entries_max: int = ENTRIES_MAX


NO_OPTIONS = ReadOptions()
