"""The one contract of settlement files: what every reader yields, whichever provider wrote it.

A reader takes an opened table and yields events: lines in the order of the file, rejects and
findings where they arise, and at the end a `Batch` for every batch and currency and one `Summary`.
Nothing is held beyond one line and the sums of the batches. Amounts are signed minor units of
ISO 4217 as the merchant sees them: money that comes onto the balance at the provider is positive,
a payout to the bank is negative, a fee the merchant pays is negative, so gross + fees = net within
one currency (D17). `FileRefused` may come after lines were given: nothing of a file counts before
its `Summary`. A line is never left out because it looks like another (D16). Times keep the
zone of the file (D13). `REFUSING` says which findings mean that the file must not be imported;
anything else is reported and the lines are taken. Serves RC-3, RC-4, RC-10, RC-13, F18, F19.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from hashlib import blake2b
from typing import NamedTuple

from payops.formats.files import LIMITS, Limits

REJECTS_MAX = 1_000
BATCHES_MAX = 10_000
FINDINGS_PER_CODE_MAX = 100
SEPARATOR = "\x1f"


class LineKind(StrEnum):
    """The closed vocabulary: what a line does to the balance at the provider."""

    CAPTURE = "capture"
    CAPTURE_REVERSAL = "capture_reversal"
    REFUND = "refund"
    REFUND_REVERSAL = "refund_reversal"
    CHARGEBACK = "chargeback"
    CHARGEBACK_REVERSAL = "chargeback_reversal"
    FEE = "fee"
    RESERVE_HELD = "reserve_held"
    RESERVE_RELEASED = "reserve_released"
    PAYOUT = "payout"
    PAYOUT_RETURNED = "payout_returned"
    TRANSFER = "transfer"
    CORRECTION = "correction"
    CARRY_OVER = "carry_over"
    FX = "fx"
    OTHER = "other"


class FeeKind(StrEnum):
    TOTAL = "total"
    COMMISSION = "commission"
    MARKUP = "markup"
    SCHEME = "scheme"
    INTERCHANGE = "interchange"


class Severity(StrEnum):
    """BREAK does not add up; WARNING was read with an assumption; NOTICE is good to know."""

    NOTICE = "NOTICE"
    WARNING = "WARNING"
    BREAK = "BREAK"


CODES: dict[str, Severity] = {
    "file.truncated": Severity.BREAK,
    "file.rejects": Severity.BREAK,
    "control.count": Severity.BREAK,
    "control.total": Severity.BREAK,
    "control.after_rejects": Severity.BREAK,
    "control.several_files": Severity.NOTICE,
    "balance.difference": Severity.BREAK,
    "batch.difference": Severity.BREAK,
    "batch.unpaid": Severity.WARNING,
    "batch.unattributed": Severity.NOTICE,
    "fee.difference": Severity.WARNING,
    "fee.derived": Severity.NOTICE,
    "net.difference": Severity.BREAK,
    "type.unknown": Severity.WARNING,
    "line.identical": Severity.WARNING,
    "account.other": Severity.BREAK,
    "account.several": Severity.NOTICE,
    "sequence.gap": Severity.WARNING,
    "sequence.repeated": Severity.WARNING,
    "zone.unknown": Severity.WARNING,
    "zone.assumed": Severity.NOTICE,
    "days.decided": Severity.NOTICE,
    "decimals.decided": Severity.NOTICE,
    "columns.dropped": Severity.NOTICE,
    "text.formula": Severity.NOTICE,
    "text.encoding": Severity.NOTICE,
    "text.controls": Severity.NOTICE,
    "cell.formula": Severity.WARNING,
    "cell.digits": Severity.WARNING,
    "sheet.others": Severity.NOTICE,
    "rows.pending": Severity.NOTICE,
    "findings.more": Severity.NOTICE,
}
# A file of which rows are missing, which was changed on its way, or which is somebody else's.
REFUSING = frozenset(
    {"file.truncated", "file.rejects", "control.count", "control.total", "account.other"}
)


@dataclass(frozen=True, slots=True)
class Fee:
    """`amount_minor` in the currency of the net; negative where the merchant pays."""

    kind: FeeKind
    amount_minor: int


class Line(NamedTuple):
    """One movement on the balance at the provider. A tuple, since a report has a million of them
    and a frozen dataclass of so many fields takes three times as long to make.

    `position` counts lines from one, `line` is where it stands in the file. `gross_minor` is in
    `gross_currency`, everything else in `currency`; `rate` is units of `currency` for one of
    `gross_currency` as the file says it. `occurred_at` is when the customer's side happened,
    `booked_at` when it became part of the balance, `settled_at` when its batch is paid out; each
    keeps the zone of the file, and None means that the file did not say or nobody can tell.
    `account` is the provider's name of our account, `seller_ref` of a seller on our platform.
    """

    position: int
    line: int
    batch: str
    kind: LineKind
    raw_type: str
    currency: str
    net_minor: int
    gross_currency: str = ""
    gross_minor: int | None = None
    fee_minor: int = 0
    fees: tuple[Fee, ...] = ()
    rate: Decimal | None = None
    occurred_at: datetime | None = None
    booked_at: datetime | None = None
    settled_at: datetime | None = None
    transaction_ref: str = ""
    payment_ref: str = ""
    refund_ref: str = ""
    dispute_ref: str = ""
    payout_ref: str = ""
    merchant_ref: str = ""
    account: str = ""
    seller_ref: str = ""
    method: str = ""
    description: str = ""

    @property
    def identity(self) -> tuple[object, ...]:
        """What the provider says about the movement, without where it stands in which file."""
        return (
            self.batch,
            self.raw_type,
            self.currency,
            self.net_minor,
            self.gross_currency,
            self.gross_minor,
            self.occurred_at,
            self.transaction_ref,
            self.payment_ref,
            self.refund_ref,
            self.dispute_ref,
            self.payout_ref,
            self.merchant_ref,
            self.account,
            self.description,
        )

    @property
    def fingerprint(self) -> str:
        """The same again for the same line in another file. Lines with the same one in one file
        are numbered by the importer (1, 2, …): both are kept."""
        said = self.occurred_at.isoformat() if self.occurred_at else ""
        text = SEPARATOR.join(
            [said if each is self.occurred_at else str(each) for each in self.identity]
        )
        return blake2b(text.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Batch:
    """What one batch of one account adds up to in one currency.

    `reference` is the provider's number of the batch or the payout, "" for lines no payout is
    told for. `net_minor` sums all lines but payouts and carry-overs; `stated_minor` is what the
    file says was paid out (positive to the bank), None where it says nothing. `carried_minor` is
    what came from (positive) or went to (negative) other batches. `difference_minor` is zero in
    a batch that ties. `kinds` are (kind, lines, net_minor).
    """

    reference: str
    currency: str
    account: str
    lines: int
    net_minor: int
    fee_minor: int
    stated_minor: int | None
    carried_minor: int
    payout_at: datetime | None
    time_zone: str
    kinds: tuple[tuple[LineKind, int, int], ...]

    @property
    def difference_minor(self) -> int | None:
        """Nothing can differ where the file does not say what was paid."""
        if self.stated_minor is None:
            return None
        return self.net_minor + self.carried_minor - self.stated_minor


@dataclass(frozen=True, slots=True)
class Finding:
    """`code` is one of `CODES`; `place` tells where, `words` is a sentence with figures."""

    code: str
    place: str
    words: str
    batch: str = ""

    @property
    def severity(self) -> Severity:
        return CODES[self.code]

    @property
    def refuses(self) -> bool:
        """Whether the file must not be imported: what is seen of it is not the whole."""
        return self.code in REFUSING


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that could not be taken: where, which column, why, and a bounded excerpt of it."""

    line: int
    column: str
    why: str
    excerpt: str = ""


@dataclass(frozen=True, slots=True)
class Balance:
    """What a report says the balance at the provider was; `name` is its own word for it."""

    name: str
    amount_minor: int
    currency: str
    line: int


@dataclass(frozen=True, slots=True)
class Summary:
    """The last event of a file. `is_refused` is true when any finding was in `REFUSING`."""

    format: str
    lines: int
    rejects: int
    batches: int
    sha256: str
    bytes_read: int
    time_zones: tuple[str, ...]
    is_refused: bool


Event = Line | Reject | Finding | Balance | Batch | Summary
Events = Iterator[Event]


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What the settings of the provider account say and a file may not.

    `time_zone` and `currency` stand in where the file names none. `day_order` ("DMY", "MDY",
    "YMD") and `decimal_mark` (".", ",") decide what a file leaves open. `previous_batch` is the
    number of the last batch imported, for the gaps in between. `account` is the provider's name
    of ours: a file of other accounts alone is refused. `zero_decimals_by_hundred` is how PayPal
    writes yen in its settlement report: 10000 for 100, as its specification says.
    """

    time_zone: str = ""
    currency: str = ""
    account: str = ""
    day_order: str = ""
    decimal_mark: str = ""
    delimiter: str = ""
    encoding: str = ""
    previous_batch: int | None = None
    zero_decimals_by_hundred: bool = True
    rejects_max: int = REJECTS_MAX
    limits: Limits = LIMITS


NO_OPTIONS = ReadOptions()
