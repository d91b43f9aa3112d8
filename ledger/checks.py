"""What an entry must be before it is written; the database holds the same a second time.

Pure functions over one posting, and the order of event classes over a batch. Serves LJ-2, LJ-18,
LJ-19 and LJ-21.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from uuid import UUID

from django.db.models import Model

from ledger.accounts import PARTY_WORDS
from ledger.errors import (
    ApprovalMissing,
    ImpossibleState,
    Malformed,
    OutsideMatrix,
    PartyMissing,
    PredecessorMissing,
    Unbalanced,
    UnknownAccount,
)
from ledger.facts import REF_NAMES, Posting
from ledger.matrix import MATRIX
from ledger.matrix_row import MatrixRow
from ledger.models import Account, JournalEntry, JournalLine, PostingKey
from ledger.rows.corrections import REVERSAL
from payops.core.money import MINOR_MAX, Money, MoneyError, check_currency

LEGS_MAX = 500


def _limit(model: type[Model], name: str) -> int:
    return int(getattr(model._meta.get_field(name), "max_length"))  # noqa: B009


KEY_MAX = _limit(PostingKey, "key")
PARTY_MAX = _limit(JournalLine, "party")
OWN_TEXTS = ("event_class", "template", "subject_id", "movement_ref", "description")
TEXT_MAX: dict[str, int] = {name: _limit(JournalEntry, name) for name in (*OWN_TEXTS, *REF_NAMES)}
Accounts = Mapping[tuple[UUID, str], Account]
Standing = set[tuple[UUID, str, str]]


def texts(posting: Posting, *, key: str) -> None:
    """Every text fits its column and is storable; checked before the key is claimed."""
    if len(key) > KEY_MAX:
        raise Malformed(f"the key has {len(key)} characters, more than {KEY_MAX}", key=key)
    for name in OWN_TEXTS:
        _text(name, getattr(posting, name), TEXT_MAX[name], key)
    for name in REF_NAMES:
        _text(name, getattr(posting.refs, name), TEXT_MAX[name], key)
    for leg in posting.legs:
        _text("party", leg.party, PARTY_MAX, key)


def lines(posting: Posting, *, accounts: Accounts, key: str) -> None:
    """Balanced per currency, on known accounts of the class's matrix row, with their parties."""
    row = MATRIX.get(posting.event_class)
    if row is None:
        raise OutsideMatrix(f"{posting.event_class!r} has no row in the matrix", key=key)
    _balanced(posting, key)
    for leg in posting.legs:
        account = accounts.get((posting.book.pk, leg.account))
        if account is None:
            raise UnknownAccount(f"{posting.book.code} has no account {leg.account!r}", key=key)
        if posting.reverses is None and leg.account not in row.accounts:
            raise OutsideMatrix(
                f"{posting.event_class} does not touch account {leg.account}", key=key
            )
        if account.party_kind and not leg.party:
            words = PARTY_WORDS[account.party_kind]
            raise PartyMissing(f"{leg.account} is kept per {words}, none is named", key=key)
        if leg.party and not account.party_kind:
            raise Malformed(f"{leg.account} has no sub-ledger, {leg.party!r} is named", key=key)
    _correction(posting, key)
    if row.template and not (posting.template and posting.refs.approval_id):
        raise ApprovalMissing(
            f"{posting.event_class} is posted from a named template under an approval", key=key
        )


def order(posting: Posting, *, standing: Standing, key: str) -> None:
    """What must have been posted has been, and nothing stands that rules this out."""
    row, subject = MATRIX[posting.event_class], (posting.book.pk, posting.subject_id)
    for group in row.follows:
        if not any((*subject, wanted) in standing for wanted in group):
            raise PredecessorMissing(
                f"{posting.event_class} of {posting.subject_id} needs {' or '.join(group)} first",
                key=key,
            )
    for other in row.excludes:
        if (*subject, other) in standing:
            raise ImpossibleState(
                f"{posting.event_class} of {posting.subject_id}: {other} is posted already",
                key=key,
            )
    standing.add((*subject, posting.event_class))


def needs_order(postings: Iterable[Posting]) -> set[tuple[UUID, str]]:
    """(book, subject) of the postings whose class depends on what was posted before."""
    return {
        (posting.book.pk, posting.subject_id)
        for posting in postings
        if (row := MATRIX.get(posting.event_class)) and _ordered(row)
    }


def _ordered(row: MatrixRow) -> bool:
    return bool(row.follows or row.excludes)


def _text(name: str, text: str, limit: int, key: str) -> None:
    if len(text) > limit:
        raise Malformed(f"{name} has {len(text)} characters, more than {limit}", key=key)
    if "\x00" in text:
        raise Malformed(f"{name} contains a NUL character", key=key)


def _balanced(posting: Posting, key: str) -> None:
    if not 2 <= len(posting.legs) <= LEGS_MAX:
        raise Unbalanced(f"{len(posting.legs)} lines; an entry has 2 to {LEGS_MAX}", key=key)
    sums: dict[str, int] = defaultdict(int)
    for leg in posting.legs:
        try:
            check_currency(leg.currency)
        except MoneyError as error:
            raise Malformed(str(error), key=key) from error
        if type(leg.amount_minor) is not int or abs(leg.amount_minor) > MINOR_MAX:
            raise Malformed(f"{leg.amount_minor!r} is not an amount in minor units", key=key)
        if leg.amount_minor == 0:
            raise Malformed(f"the line on {leg.account} is nil", key=key)
        sums[leg.currency] += leg.amount_minor
    for currency, off in sums.items():
        if off:
            raise Unbalanced(f"out of balance by {Money(off, currency)}", key=key)
    debits = sum(leg.amount_minor for leg in posting.legs if leg.amount_minor > 0)
    if debits > MINOR_MAX:
        raise Malformed(f"debits of {debits} exceed the limit of {MINOR_MAX}", key=key)


def _correction(posting: Posting, key: str) -> None:
    """Only a reversal states reporting amounts; they are those of the entry it names."""
    if posting.event_class == REVERSAL and posting.reverses is None:
        raise OutsideMatrix(f"{REVERSAL} names the entry it reverses", key=key)
    known = [leg.reporting_minor for leg in posting.legs if leg.reporting_minor is not None]
    if posting.reverses is None:
        if known:
            raise Malformed("reporting amounts are computed here, not given", key=key)
        return
    if posting.reverses.book_id != posting.book.pk:
        raise OutsideMatrix("the entry to reverse belongs to another book", key=key)
    if len(known) != len(posting.legs):
        raise Malformed("a reversal repeats the reporting amounts of its entry", key=key)
    if sum(known):
        raise Unbalanced(f"out of balance by {sum(known)} in reporting currency", key=key)
