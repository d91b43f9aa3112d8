"""The limits of hand-made lines: what a person may post, under four eyes and with evidence (D5).

Tables first: the classes of a manual journal, the control accounts with what each must agree with,
accounts nobody posts to by hand, and the entries nobody reverses by hand. Pure: never reads the
database, the clock or an approval. Serves LJ-2, LJ-8, LJ-17, LJ-18, LJ-19.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from ledger.accounts import BY_CODE, PARTY_WORDS, ChartRow
from ledger.cash_flow import BY_KEY, CASH_ACCOUNTS
from ledger.matrix import MATRIX
from ledger.matrix_row import CR, DR, Leg
from payops.core.money import MINOR_MAX, Money, MoneyError, check_currency

LINES_MAX = 40
AUTO_REVERSE_DAYS_MAX = 366
ADJUSTMENT = "adjustment.manual"
WRITE_OFF = "write_off"
UNCLAIMED = "funds.unclaimed"
PENNY_DIFFERENCES = "5950"


@dataclass(frozen=True, slots=True)
class ManualClass:
    """A class a person may choose, in words; `may_return`: it may name the day it is taken back."""

    event_class: str
    label: str
    words: str
    may_return: bool = False


CLASSES: tuple[ManualClass, ...] = (
    ManualClass(
        ADJUSTMENT,
        "Adjustment",
        "free lines that balance per currency; a control account only with its counterparty and"
        " the batch, statement or case it belongs to",
        may_return=True,
    ),
    ManualClass(
        WRITE_OFF,
        "Write-off",
        "an asset: debit 5200, credit the item; a liability: debit the item, credit 4960; never"
        " cash, 2000 to 2310 or 25xx; the journal matrix has the items",
    ),
    ManualClass(
        UNCLAIMED,
        "Unclaimed funds",
        "debit 2200 or 2150, credit 2250, and what may become of it later; the journal matrix has"
        " the pairs",
    ),
)
CLASS_BY_KEY: dict[str, ManualClass] = {row.event_class: row for row in CLASSES}

BANK, PSP, SELLERS = "the bank's statement", "the PSP's statement", "the sum of the sellers"
CASES, DISPUTES, REFUNDS = "the open cases", "the open disputes", "the open refunds"
# A line on one of these is believed only with a counterparty and the batch it can be found in.
CONTROL_ACCOUNTS: dict[str, str] = {
    "1000": BANK,
    "1010": BANK,
    "1050": BANK,
    "1100": PSP,
    "1105": PSP,
    "1120": PSP,
    "1150": "the settlements on their way to the bank",
    "1200": CASES,
    "1210": REFUNDS,
    "1250": SELLERS,
    "1259": SELLERS,
    "1300": DISPUTES,
    "1390": DISPUTES,
    "1900": "the conversions whose other leg is open",
    "1910": "the unexplained lines of the bank's statement",
    "2000": SELLERS,
    "2100": "the payouts on their way",
    "2110": REFUNDS,
    "2150": REFUNDS,
    "2200": CASES,
    "2300": SELLERS,
    "2310": DISPUTES,
    "2900": "the unexplained lines of the bank's statement",
    "2910": CASES,
}
NEVER_BY_HAND: dict[str, str] = {
    "2600": "it is presentation; post to the PSP clearing account 1100",
    "3000": "it is computed from the years before; correct the entry, or use 3900",
    "4910": "the revaluation run alone posts it",
    "5910": "the revaluation run alone posts it",
    "9100": "authorisations alone move the memo pair",
    "9200": "authorisations alone move the memo pair",
}
# By class, or by its beginning: who takes such an entry back instead of a person.
NOT_REVERSED_BY_HAND: tuple[tuple[str, str], ...] = (
    ("entry.reversed", "a reversal is not reversed; post the right entry anew"),
    ("payment.", "the provider's own event takes it back, as payment.capture_failed does"),
    ("refund.", "the refund's own state takes it back, as refund.failed_late does"),
    ("dispute.", "the dispute's next event takes it back, as dispute.funds_returned does"),
    ("payout.", "the payout's case takes it back by its approved runbook"),
    ("settlement.", "settlement.failed or settlement.recalled takes it back"),
    ("fx.revalued", "its run is taken back as a whole on the page of the rates"),
)


@dataclass(frozen=True, slots=True)
class Line:
    """One hand-made line: debit positive, credit negative, minor units.

    `party` is the sub-ledger where the account has one, else the counterparty in words.
    """

    account: str
    amount_minor: int
    currency: str
    party: str = ""


@dataclass(frozen=True, slots=True)
class HandMade:
    """A manual journal as it is asked for; `batch` names a batch, statement or case."""

    event_class: str
    lines: tuple[Line, ...]
    posting_on: date
    cash_flow_tag: str = ""
    batch: str = ""
    auto_reverse_on: date | None = None


def refusals(journal: HandMade) -> list[str]:
    """Every rule that is broken, each with its line and its numbers; empty: it may be asked for."""
    if journal.event_class not in CLASS_BY_KEY:
        known = ", ".join(CLASS_BY_KEY)
        return [f"{journal.event_class!r} is not posted by hand; one of {known} is"]
    if not 2 <= len(journal.lines) <= LINES_MAX:
        return [f"{len(journal.lines)} lines; a manual journal has 2 to {LINES_MAX}"]
    found = [
        f"line {number}: {words}"
        for number, line in enumerate(journal.lines, start=1)
        for words in _line(line, journal)
    ]
    return found or [*_of_one_row(journal), *_sums(journal), *_whole(journal)]


def differences(lines: Iterable[Line]) -> dict[str, int]:
    """Debits less credits per currency, nil ones included."""
    sums: dict[str, int] = defaultdict(int)
    for line in lines:
        sums[line.currency] += line.amount_minor
    return dict(sorted(sums.items()))


def legs_of(lines: Sequence[Line], *, cash_flow_tag: str) -> tuple[Leg, ...]:
    """What is posted: a counterparty goes onto accounts with a sub-ledger, the tag onto cash."""
    return tuple(
        Leg(
            account=line.account,
            amount_minor=line.amount_minor,
            currency=line.currency,
            party=line.party if BY_CODE[line.account].party_kind else "",
            cash_flow_tag=cash_flow_tag if line.account in CASH_ACCOUNTS else "",
        )
        for line in lines
    )


def uses_cash(lines: Iterable[Line]) -> bool:
    return any(line.account in CASH_ACCOUNTS for line in lines)


def why_not_reversed(event_class: str) -> str:
    """Who else takes an entry of the class back; "" where a person may ask for it."""
    for named, words in NOT_REVERSED_BY_HAND:
        if event_class == named or (named.endswith(".") and event_class.startswith(named)):
            return words
    return ""


def _line(line: Line, journal: HandMade) -> list[str]:
    account = BY_CODE.get(line.account)
    if account is None:
        return [f"the chart has no account {line.account!r}"]
    if line.account in NEVER_BY_HAND:
        return [f"{_named(account)} is not posted by hand: {NEVER_BY_HAND[line.account]}"]
    found = _amount(line)
    mirror = CONTROL_ACCOUNTS.get(line.account)
    if account.party_kind and not line.party:
        found.append(f"{_named(account)} is kept per {PARTY_WORDS[account.party_kind]}; name it")
    elif mirror and not line.party:
        found.append(f"{_named(account)} agrees with {mirror}; name the counterparty")
    elif line.party and not mirror and not account.party_kind:
        found.append(f"{_named(account)} has no sub-ledger; leave out {line.party!r}")
    if mirror and not journal.batch:
        found.append(
            f"{_named(account)} agrees with {mirror}; name the batch, statement or case the"
            " amount is found in"
        )
    if journal.event_class == WRITE_OFF:
        found += _write_off(account)
    return found


def _amount(line: Line) -> list[str]:
    try:
        check_currency(line.currency)
    except MoneyError as error:
        return [str(error)]
    if type(line.amount_minor) is not int or not 0 < abs(line.amount_minor) <= MINOR_MAX:
        return [f"{line.amount_minor!r} is not an amount between 1 and {MINOR_MAX} minor units"]
    return []


def _write_off(account: ChartRow) -> list[str]:
    if account.code in CASH_ACCOUNTS:
        return [f"cash ({account.code}) is counted, never written off"]
    if "2000" <= account.code <= "2310" or account.code.startswith("25"):
        return [f"{_named(account)} is owed to others; 2000 to 2310 and 25xx are not written off"]
    return []


def _of_one_row(journal: HandMade) -> list[str]:
    """The lines of a write-off or of unclaimed funds are one of the matrix row's ways to post."""
    row = MATRIX[journal.event_class]
    if row.open_accounts:
        return []
    used = {(DR if line.amount_minor > 0 else CR, line.account) for line in journal.lines}
    ways = [{(pair.side, pair.account) for pair in pairs} for pairs in row.variants.values()]
    if used in ways:
        return []
    written = ", ".join(f"{side} {account}" for side, account in sorted(used, reverse=True))
    label = CLASS_BY_KEY[journal.event_class].label.lower()
    allowed = "; ".join(
        " / ".join(f"{pair.side} {pair.account}" for pair in pairs)
        for pairs in row.variants.values()
    )
    return [f"a journal of {label} does not {written}; it is one of: {allowed}"]


def _sums(journal: HandMade) -> list[str]:
    found = []
    for currency, off in differences(journal.lines).items():
        if off:
            side = "debits exceed credits" if off > 0 else "credits exceed debits"
            found.append(f"out of balance: {side} by {_text(abs(off), currency)}")
    if sum(line.amount_minor for line in journal.lines if line.amount_minor > 0) > MINOR_MAX:
        found.append(f"the debits together exceed {MINOR_MAX} minor units; split the journal")
    return found


def _whole(journal: HandMade) -> list[str]:
    found = []
    cash = uses_cash(journal.lines)
    if cash and journal.cash_flow_tag not in BY_KEY:
        found.append("a cash account is used: choose why the cash moved (its cash-flow tag)")
    if not cash and journal.cash_flow_tag:
        found.append(f"no cash account is used: leave out the tag {journal.cash_flow_tag!r}")
    back = journal.auto_reverse_on
    if back is not None:
        label = CLASS_BY_KEY[journal.event_class].label.lower()
        if not CLASS_BY_KEY[journal.event_class].may_return:
            found.append(f"a journal of {label} has no day on which it is taken back by itself")
        elif back <= journal.posting_on:
            found.append(f"it is taken back on {back}, which is not after {journal.posting_on}")
        elif back > journal.posting_on + timedelta(days=AUTO_REVERSE_DAYS_MAX):
            found.append(
                f"it is taken back on {back}, more than {AUTO_REVERSE_DAYS_MAX} days after"
                f" {journal.posting_on}"
            )
    return found


def _named(account: ChartRow) -> str:
    return f"{account.code} {account.name}"


def _text(minor: int, currency: str) -> str:
    """Sums of forty lines may exceed what one amount may be."""
    return str(Money(minor, currency)) if minor <= MINOR_MAX else f"{minor} minor units {currency}"
