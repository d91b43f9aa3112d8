"""The one path into the journal (LJ-1, LJ-2, LJ-13 to LJ-18): post, replay, refuse, reverse.

Owns the rules of the key registry and the making of entries. Never edits an entry, reads the
clock or keeps a balance. A posting is a batch of one; a batch runs in the caller's transaction
behind a savepoint, so a refused one leaves nothing, not even its keys. The fingerprint is what
moved (the lines, and what is reversed), not by which event or when it was told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from django.db import IntegrityError, OperationalError, connection, transaction

from ledger import checks, periods, writing
from ledger.cash_flow import CASH_ACCOUNTS
from ledger.drafts import Draft, write_drafts
from ledger.errors import (
    REFUSALS,
    AlreadyReversed,
    KeyConflict,
    LedgerBusy,
    LedgerRefused,
    Malformed,
    PeriodLocked,
    PredecessorMissing,
    RateUnknown,
    Unbalanced,
    UnknownAccount,
)
from ledger.facts import Outcome, Posting, Refs, refs_of
from ledger.matrix import MATRIX
from ledger.matrix_row import Leg
from ledger.models import Account, AccountingPeriod, JournalEntry, JournalLine
from ledger.reporting import RateKey, RateUsed, rates_for, reporting_amounts
from ledger.rows.corrections import REVERSAL
from payops.core import clock, ids
from payops.core.actors import Actor
from payops.core.models import Book
from payops.core.money import MoneyError

__all__ = [
    "KeyConflict",
    "LedgerBusy",
    "LedgerRefused",
    "Leg",
    "Outcome",
    "PeriodLocked",
    "Posting",
    "PredecessorMissing",
    "Refs",
    "Unbalanced",
    "UnknownAccount",
    "post",
    "post_many",
    "predecessor",
    "reverse",
    "store_refusal",
]

BATCH_MAX = 2000
ONE_REVERSAL = "ledger_journalentry_reverses_id_key"


def post_many(postings: Sequence[Posting], *, actor: Actor, now: datetime) -> list[Outcome]:
    """Post a batch, or nothing of it; one outcome per posting, in order.

    A key answered before gives that answer again: its entry, or its stored refusal. Raises
    LedgerRefused (final) or LedgerBusy (the key stays free) for the first posting that cannot be
    posted; `error.key` names it.
    """
    assert connection.in_atomic_block, "an entry is posted in the transaction of its act"
    if len(postings) > BATCH_MAX:
        raise ValueError(f"a batch of {len(postings)} postings exceeds {BATCH_MAX}")
    if not postings:
        return []
    drafts = _distinct(postings)
    try:
        with transaction.atomic():
            replayed = _post(list(drafts.values()), actor=actor, now=now)
    except OperationalError as error:
        raise LedgerBusy(f"the database could not take it now: {error}") from error
    except IntegrityError as error:
        if _constraint(error) != ONE_REVERSAL:
            raise
        raise AlreadyReversed("the entry was reversed by somebody else meanwhile") from error
    return _outcomes(postings, drafts, replayed)


def post(posting: Posting, *, actor: Actor, now: datetime) -> Outcome:
    """`post_many` for one posting."""
    return post_many([posting], actor=actor, now=now)[0]


def reverse(
    entry: JournalEntry,
    *,
    reason: str,
    actor: Actor,
    now: datetime,
    event_class: str = REVERSAL,
    movement_ref: str = "",
    occurred_at: datetime | None = None,
    posting_on: date | None = None,
    refs: Refs | None = None,
) -> Outcome:
    """Post the mirror of an entry at its original reporting amounts (LJ-8).

    The current day's period unless `posting_on` or `occurred_at` says otherwise. Reversing twice
    replays the first reversal. `event_class` is payment.capture_failed where the provider did it.
    """
    if not reason.strip():
        raise ValueError("a reversal states its reason")
    lines = JournalLine.objects.filter(entry=entry).select_related("account").order_by("position")
    mirrored = tuple(
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
    limit = checks.TEXT_MAX["description"]
    posting = Posting(
        book=entry.book,
        event_class=event_class,
        subject_id=entry.subject_id,
        movement_ref=movement_ref or entry.public_id,
        legs=mirrored,
        occurred_at=occurred_at or now,
        description=f"Reversal of {entry.public_id}: {reason}"[:limit],
        refs=refs or refs_of(entry),
        posting_on=posting_on,
        reverses=entry,
        reason=reason,
    )
    return post(posting, actor=actor, now=now)


def store_refusal(posting: Posting, error: LedgerRefused, *, now: datetime) -> bool:
    """Keep a final refusal under its key, in a transaction of its own; False: already answered.

    Called after the refused transaction was rolled back, so that the same key answers the same.
    """
    assert connection.in_atomic_block, "a refusal is stored in a transaction"
    unstorable = len(posting.key) > checks.KEY_MAX or "\x00" in posting.key
    if type(error).__name__ not in REFUSALS or unstorable:
        return False
    return writing.store_refusal(
        book_id=posting.book.pk,
        key=posting.key,
        fingerprint=posting.fingerprint,
        refusal={"error": type(error).__name__, "words": error.words},
        now=now,
    )


def predecessor(*, book: Book, event_class: str, subject_id: str) -> JournalEntry | None:
    """The latest entry of the class for the subject that is not reversed."""
    found = JournalEntry.objects.filter(
        book=book, event_class=event_class, subject_id=subject_id, reversed_by=None
    )
    return found.order_by("-id").first()


def _distinct(postings: Sequence[Posting]) -> dict[writing.BookKey, Draft]:
    drafts: dict[writing.BookKey, Draft] = {}
    for posting in postings:
        draft = Draft(posting, posting.key, posting.fingerprint, ids.uuid7())
        checks.texts(posting, key=draft.key)
        first = drafts.setdefault(draft.registry_key, draft)
        if first.fingerprint != draft.fingerprint:
            raise KeyConflict(key=draft.key, stored=first.fingerprint, given=draft.fingerprint)
    return drafts


def _post(drafts: list[Draft], *, actor: Actor, now: datetime) -> dict[writing.BookKey, UUID]:
    """Write the new ones and answer the entries of the others. Periods before keys: lock order."""
    _place(drafts, actor=actor, now=now)
    claims = [(d.posting.book.pk, d.key, d.fingerprint, d.entry_id) for d in drafts]
    ours, answered = writing.claim(claims, now=now)
    replayed = {d.registry_key: _replay(d, answered) for d in drafts if d.registry_key not in ours}
    fresh = [d for d in drafts if d.registry_key in ours]
    if fresh:
        accounts = _check(fresh)
        _convert(fresh)
        write_drafts(fresh, accounts=accounts, actor=actor, now=now)
    return replayed


def _replay(draft: Draft, answered: Mapping[writing.BookKey, writing.Answer]) -> UUID:
    answer = answered[draft.registry_key]
    if answer.fingerprint != draft.fingerprint:
        raise KeyConflict(key=draft.key, stored=answer.fingerprint, given=draft.fingerprint)
    if answer.refusal is not None:
        raise REFUSALS[answer.refusal["error"]](answer.refusal["words"], key=draft.key)
    assert answer.entry_id is not None, "a key holds an entry or a refusal"
    return answer.entry_id


def _place(drafts: list[Draft], *, actor: Actor, now: datetime) -> None:
    """Give each draft its day, open months on the way, and hold the periods against a close."""
    books = list({d.posting.book.pk: d.posting.book for d in drafts}.values())
    for _ in range(2):
        calendar = periods.periods_of(books)
        for draft in drafts:
            _place_one(draft, calendar, actor=actor, now=now)
        held = {d.place.period.pk for d in drafts if d.place and d.place.period}
        if periods.LOCKED not in periods.share(list(held)).values():
            return
    raise PeriodLocked("a period is being locked at this moment")


def _place_one(
    draft: Draft,
    calendar: dict[object, list[AccountingPeriod]],
    *,
    actor: Actor,
    now: datetime,
) -> None:
    book, own = draft.posting.book, calendar[draft.posting.book.pk]
    draft.place = draft.late = None
    try:
        if draft.posting.posting_on is not None:
            wanted = draft.posting.posting_on
            place = periods.place_on(book=book, periods=own, posting_on=wanted, now=now)
        else:
            day = clock.business_day(draft.posting.occurred_at, time_zone=book.time_zone)
            place = periods.place(book=book, periods=own, occurred_on=day, now=now)
        if place.period is None:
            opened = periods.ensure_open(book=book, day=place.posting_on, actor=actor, now=now)
            own.append(opened)
            own.sort(key=lambda period: period.starts_on)
            place = periods.Placement(opened, place.posting_on, place.late)
        draft.place = place
    except PeriodLocked as error:
        draft.late = PeriodLocked(error.words, key=draft.key)


def _check(fresh: list[Draft]) -> dict[tuple[UUID, str], Account]:
    accounts = _accounts(fresh)
    postings = [draft.posting for draft in fresh]
    standing = writing.standing(checks.needs_order(postings))
    reversals = [p.reverses.pk for p in postings if p.reverses is not None]
    reversed_already = writing.reversed_or_reversal(reversals)
    for draft in fresh:
        checks.lines(draft.posting, accounts=accounts, key=draft.key)
        if draft.late is not None:
            raise draft.late
        checks.order(draft.posting, standing=standing, key=draft.key)
        if draft.posting.reverses is not None and draft.posting.reverses.pk in reversed_already:
            raise AlreadyReversed(
                f"{draft.posting.reverses.public_id} is reversed or a reversal", key=draft.key
            )
    return accounts


def _accounts(fresh: list[Draft]) -> dict[tuple[UUID, str], Account]:
    books = {draft.posting.book.pk for draft in fresh}
    codes = {leg.account for draft in fresh for leg in draft.posting.legs}
    found = Account.objects.filter(book__in=books, code__in=codes)
    return {(account.book_id, account.code): account for account in found}


def _convert(fresh: list[Draft]) -> None:
    rates = rates_for({wanted for draft in fresh for wanted in _rates_wanted(draft.posting)})
    for draft in fresh:
        draft.amounts = _reporting(draft, rates)


def _rates_wanted(posting: Posting) -> list[RateKey]:
    if _reporting_given(posting):
        return []
    reporting = posting.book.reporting_currency
    currencies = {leg.currency for leg in posting.legs} - {reporting}
    return [(currency, reporting, posting.occurred_at) for currency in currencies]


def _reporting(draft: Draft, rates: Mapping[RateKey, RateUsed]) -> list[int]:
    posting = draft.posting
    if _reporting_given(posting):
        return [leg.reporting_minor or 0 for leg in posting.legs]
    used: dict[str, Decimal] = {}
    for wanted in _rates_wanted(posting):
        if wanted not in rates:
            raise RateUnknown(
                f"no rate from {wanted[0]} to {wanted[1]} is known at {wanted[2].isoformat()}",
                key=draft.key,
            )
        used[wanted[0]] = rates[wanted].rate
        draft.rates[wanted[0]] = rates[wanted].words()
    reporting = posting.book.reporting_currency
    try:
        return reporting_amounts(posting.legs, reporting=reporting, rates=used)
    except MoneyError as error:
        raise Malformed(str(error), key=draft.key) from error


def _tag_of(entry: JournalEntry, line: JournalLine) -> str:
    """An entry older than the tags has that of its matrix row."""
    if line.account.code not in CASH_ACCOUNTS:
        return ""
    return line.cash_flow_tag or MATRIX[entry.event_class].cash_flow_tag


def _reporting_given(posting: Posting) -> bool:
    return posting.reverses is not None or MATRIX[posting.event_class].reporting_given


def _outcomes(
    postings: Sequence[Posting],
    drafts: Mapping[writing.BookKey, Draft],
    replayed: Mapping[writing.BookKey, UUID],
) -> list[Outcome]:
    answered = set(replayed)
    outcomes = []
    for posting in postings:
        draft = drafts[(posting.book.pk, posting.key)]
        entry_id = replayed.get(draft.registry_key, draft.entry_id)
        public_id = ids.render(JournalEntry.PREFIX, entry_id)
        outcomes.append(Outcome(entry_id, public_id, draft.registry_key in answered))
        answered.add(draft.registry_key)
    return outcomes


def _constraint(error: IntegrityError) -> str:
    diagnosis = getattr(error.__cause__, "diag", None)
    return getattr(diagnosis, "constraint_name", None) or ""
