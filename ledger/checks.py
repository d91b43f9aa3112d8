"""What an entry must be before it is written; the database holds the same a second time.

Pure functions over one posting, and the order of event classes over a batch. Serves LJ-2, LJ-18,
LJ-19 and LJ-21.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter, gt
from typing import NamedTuple
from uuid import UUID

from django.db.models import Model

from ledger.accounts import PARTY_WORDS
from ledger.cash_flow import BY_KEY, CASH_ACCOUNTS
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
from ledger.matrix_row import Leg, MatrixRow, Needs
from ledger.models import JournalEntry, JournalLine, PostingKey
from ledger.rows.corrections import REVERSAL
from payops.core.money import MINOR_MAX, Money, MoneyError, check_currency

LEGS_MAX = 500


def _limit(model: type[Model], name: str) -> int:
    return int(getattr(model._meta.get_field(name), "max_length"))  # noqa: B009


KEY_MAX = _limit(PostingKey, "key")
PARTY_MAX = _limit(JournalLine, "party")
OWN_TEXTS = ("event_class", "template", "subject_id", "movement_ref", "description")
TEXT_MAX: dict[str, int] = {name: _limit(JournalEntry, name) for name in (*OWN_TEXTS, *REF_NAMES)}
TEXT_NAMES, LIMITS = tuple(TEXT_MAX), tuple(TEXT_MAX.values())
_own_texts: Callable[[Posting], tuple[str, ...]] = attrgetter(*OWN_TEXTS)
_ALLOWED = {event_class: row.accounts for event_class, row in MATRIX.items()}


class ChartAccount(NamedTuple):
    """What a line needs to know of its account; `key` is its primary key as text."""

    key: str
    party_kind: str


Chart = Mapping[str, ChartAccount]
Standing = set[tuple[UUID, str, str]]


def texts(posting: Posting, *, key: str, refs: tuple[str, ...]) -> None:
    """Every text fits its column and is storable; checked before the key is claimed."""
    if len(key) > KEY_MAX:
        raise Malformed(f"the key has {len(key)} characters, more than {KEY_MAX}", key=key)
    told = (*_own_texts(posting), *refs)
    if any(map(gt, map(len, told), LIMITS)) or "\x00" in "".join(told):
        for name, text, limit in zip(TEXT_NAMES, told, LIMITS, strict=True):
            _text(name, text, limit, key)
    for leg in posting.legs:
        _text("party", leg.party, PARTY_MAX, key)


def lines(posting: Posting, *, chart: Chart, key: str) -> None:
    """Balanced per currency, on known accounts of the class's matrix row, with their parties."""
    row = MATRIX.get(posting.event_class)
    if row is None:
        raise OutsideMatrix(f"{posting.event_class!r} has no row in the matrix", key=key)
    _balanced(posting, key)
    allowed = _ALLOWED[posting.event_class]
    is_free = row.free_lines or posting.reverses is not None
    for leg in posting.legs:
        account = chart.get(leg.account)
        if account is None:
            raise UnknownAccount(f"{posting.book.code} has no account {leg.account!r}", key=key)
        if not is_free and leg.account not in allowed:
            raise OutsideMatrix(
                f"{posting.event_class} does not touch account {leg.account}", key=key
            )
        if account.party_kind and not leg.party:
            words = PARTY_WORDS[account.party_kind]
            raise PartyMissing(f"{leg.account} is kept per {words}, none is named", key=key)
        if leg.party and not account.party_kind:
            raise Malformed(f"{leg.account} has no sub-ledger, {leg.party!r} is named", key=key)
        if leg.cash_flow_tag or leg.account in CASH_ACCOUNTS:
            _cash_flow(leg, row, posting, key)
    _correction(posting, row, key)
    if row.template and not (posting.template and posting.refs.approval_id):
        raise ApprovalMissing(
            f"{posting.event_class} is posted from a named template under an approval", key=key
        )


def order(posting: Posting, *, standing: Standing, key: str) -> None:
    """What must have been posted has been, and nothing stands that rules this out."""
    row, subject = MATRIX[posting.event_class], (posting.book.pk, posting.subject_id)
    for before in row.follows:
        owner = _owner(posting, before)
        if not any((posting.book.pk, owner, wanted) in standing for wanted in before.any_of):
            raise PredecessorMissing(
                f"{posting.event_class} of {posting.subject_id} needs"
                f" {' or '.join(before.any_of)} of {owner or before.of} first",
                key=key,
            )
    if posting.reverses is not None:
        standing.discard((*subject, posting.reverses.event_class))
    for other in row.excludes:
        if (*subject, other) in standing:
            raise ImpossibleState(
                f"{posting.event_class} of {posting.subject_id}: {other} is posted already",
                key=key,
            )
    standing.add((*subject, posting.event_class))


def needs_order(postings: Iterable[Posting]) -> set[tuple[UUID, str]]:
    """(book, subject) whose entries decide whether the postings may follow."""
    wanted: set[tuple[UUID, str]] = set()
    for posting in postings:
        row = MATRIX.get(posting.event_class)
        if row is None:
            continue
        if row.excludes:
            wanted.add((posting.book.pk, posting.subject_id))
        wanted.update((posting.book.pk, _owner(posting, before)) for before in row.follows)
    return wanted


def _owner(posting: Posting, before: Needs) -> str:
    return str(getattr(posting.refs, before.of)) if before.of else posting.subject_id


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
        if leg.amount_minor == 0 and not leg.reporting_minor:
            raise Malformed(f"the line on {leg.account} is nil", key=key)
        sums[leg.currency] += leg.amount_minor
    for currency, off in sums.items():
        if off:
            raise Unbalanced(f"out of balance by {Money(off, currency)}", key=key)
    debits = sum(leg.amount_minor for leg in posting.legs if leg.amount_minor > 0)
    if debits > MINOR_MAX:
        raise Malformed(f"debits of {debits} exceed the limit of {MINOR_MAX}", key=key)


def _cash_flow(leg: Leg, row: MatrixRow, posting: Posting, key: str) -> None:
    """Every movement of cash has its place in the cash flow statement (LJ-6)."""
    if leg.account not in CASH_ACCOUNTS:
        if leg.cash_flow_tag:
            raise Malformed(f"{leg.account} is not cash and takes no cash-flow tag", key=key)
        return
    tag = leg.cash_flow_tag or row.cash_flow_tag
    if tag not in BY_KEY:
        raise Malformed(
            f"the line on {leg.account} of {posting.event_class} has cash-flow tag {tag!r};"
            f" one of {', '.join(BY_KEY)} is needed",
            key=key,
        )


def _correction(posting: Posting, row: MatrixRow, key: str) -> None:
    """A reversal repeats the reporting amounts of its entry; few other rows state their own."""
    if posting.event_class == REVERSAL and posting.reverses is None:
        raise OutsideMatrix(f"{REVERSAL} names the entry it reverses", key=key)
    known = [leg.reporting_minor for leg in posting.legs if leg.reporting_minor is not None]
    if posting.reverses is None and not row.reporting_given:
        if known:
            raise Malformed("reporting amounts are computed here, not given", key=key)
        return
    if posting.reverses is not None and posting.reverses.book_id != posting.book.pk:
        raise OutsideMatrix("the entry to reverse belongs to another book", key=key)
    if len(known) != len(posting.legs):
        raise Malformed(f"{posting.event_class} states the reporting amount of each line", key=key)
    for minor in known:
        if type(minor) is not int or abs(minor) > MINOR_MAX:
            raise Malformed(f"a reporting amount of {minor!r} exceeds {MINOR_MAX}", key=key)
    if sum(known):
        raise Unbalanced(f"out of balance by {sum(known)} in reporting currency", key=key)
