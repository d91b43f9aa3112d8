"""The one path into the journal (LJ-1, LJ-2, LJ-13 to LJ-18): post, replay, refuse, reverse.

Owns the rules of the key registry and the making of entries. Never edits an entry, reads the
clock or keeps a balance. A posting is a batch of one; a batch runs in the caller's transaction
behind a savepoint, so a refused one leaves nothing, not even its keys. The fingerprint is what
moved (the lines, and what is reversed), not by which event or when it was told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from django.db import IntegrityError, OperationalError, connection

from ledger import checks, placing, writing
from ledger.checks import Chart
from ledger.drafts import FEW, Draft, write_drafts
from ledger.errors import (
    REFUSALS,
    AlreadyReversed,
    KeyConflict,
    LateApprovalNeeded,
    LedgerBusy,
    LedgerError,
    LedgerRefused,
    Malformed,
    PeriodLocked,
    PredecessorMissing,
    RateUnknown,
    Unbalanced,
    UnknownAccount,
)
from ledger.facts import Outcome, Posting, Refs, texts_of
from ledger.matrix import MATRIX
from ledger.matrix_row import Leg
from ledger.models import JournalEntry
from ledger.reporting import RateKey, RateUsed, rates_for, reporting_amounts
from ledger.reversing import reversal_of
from ledger.rows.corrections import REVERSAL
from payops.core import bulk, ids
from payops.core.actors import Actor
from payops.core.models import Book
from payops.core.money import MoneyError

__all__ = [
    "KeyConflict",
    "LateApprovalNeeded",
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
    try:
        with bulk.uncollected():
            drafts = _distinct(postings)
            replayed = _once(drafts, actor=actor, now=now)
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
    posting = reversal_of(
        entry,
        reason=reason,
        occurred_at=occurred_at or now,
        event_class=event_class,
        movement_ref=movement_ref,
        posting_on=posting_on,
        refs=refs,
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
    for posting, number in zip(postings, ids.uuid7_numbers(len(postings)), strict=True):
        key, refs, book_id = posting.key, texts_of(posting.refs), posting.book.pk
        draft = Draft(
            posting=posting,
            key=key,
            fingerprint=posting.fingerprint,
            book_id=book_id,
            refs=refs,
            entry_id=UUID(int=number),
            book_hex=book_id.hex,
            entry_hex=f"{number:032x}",
        )
        checks.texts(posting, key=key, refs=refs)
        first = drafts.setdefault(draft.registry_key, draft)
        if first.fingerprint != draft.fingerprint:
            raise KeyConflict(key=key, stored=first.fingerprint, given=draft.fingerprint)
    return drafts


def _once(
    drafts: dict[writing.BookKey, Draft], *, actor: Actor, now: datetime
) -> dict[writing.BookKey, UUID]:
    """A few postings are written by what is known; whatever stands against it is looked at.

    Keys are written beside their entries, and claimed first where somebody was faster.
    """
    if len(drafts) <= FEW:
        with suppress(LedgerError, IntegrityError), writing.undone_when_refused() as savepoint:
            charts = placing.place_by_memory(drafts, actor=actor, now=now)
            if charts is not None:
                _write(list(drafts.values()), charts, savepoint, actor=actor, now=now)
                return {}
    try:
        with writing.undone_when_refused() as savepoint:
            return _post(drafts, savepoint, claim_first=False, actor=actor, now=now)
    except IntegrityError as error:
        if _constraint(error) != writing.KEY_ONCE:
            raise
    with writing.undone_when_refused() as savepoint:
        return _post(drafts, savepoint, claim_first=True, actor=actor, now=now)


def _post(
    drafts: dict[writing.BookKey, Draft],
    savepoint: writing.Savepoint,
    *,
    claim_first: bool,
    actor: Actor,
    now: datetime,
) -> dict[writing.BookKey, UUID]:
    """Write the new ones and answer the entries of the others. Periods before keys: lock order."""
    seen = placing.place(drafts, savepoint=savepoint, actor=actor, now=now)
    answered = seen.answered
    if claim_first:
        answered = writing.claim([draft.claim for draft in drafts.values()], now=now)
    replayed = {own: _replay(drafts[own], answer) for own, answer in answered.items()}
    if fresh := [d for d in drafts.values() if not replayed or d.registry_key not in replayed]:
        keys = not claim_first
        _write(fresh, seen.charts, savepoint, with_keys=keys, actor=actor, now=now)
    else:
        writing.release()
    return replayed


def _write(
    fresh: list[Draft],
    charts: Mapping[UUID, Chart],
    savepoint: writing.Savepoint,
    *,
    with_keys: bool = True,
    actor: Actor,
    now: datetime,
) -> None:
    _check(fresh, charts)
    _convert(fresh)
    write_drafts(
        fresh, charts=charts, with_keys=with_keys, savepoint=savepoint, actor=actor, now=now
    )


def _replay(draft: Draft, answer: writing.Answer) -> UUID:
    if answer.fingerprint != draft.fingerprint:
        raise KeyConflict(key=draft.key, stored=answer.fingerprint, given=draft.fingerprint)
    if answer.refusal is not None:
        raise REFUSALS[answer.refusal["error"]](answer.refusal["words"], key=draft.key)
    assert answer.entry_id is not None, "a key holds an entry or a refusal"
    return answer.entry_id


def _check(fresh: list[Draft], charts: Mapping[UUID, Chart]) -> None:
    postings = [draft.posting for draft in fresh]
    standing = writing.standing(checks.needs_order(postings))
    reversals = [p.reverses.pk for p in postings if p.reverses is not None]
    reversed_already = writing.reversed_or_reversal(reversals)
    for draft in fresh:
        checks.lines(draft.posting, chart=charts.get(draft.book_id, {}), key=draft.key)
        if draft.late is not None:
            raise draft.late
        checks.order(draft.posting, standing=standing, key=draft.key)
        if draft.posting.reverses is not None and draft.posting.reverses.pk in reversed_already:
            raise AlreadyReversed(
                f"{draft.posting.reverses.public_id} is reversed or a reversal", key=draft.key
            )


def _convert(fresh: list[Draft]) -> None:
    """Reporting amounts; only lines in other currencies ask for a rate."""
    foreign: list[tuple[Draft, list[RateKey]]] = []
    for draft in fresh:
        if _reporting_given(draft.posting):
            draft.amounts = [leg.reporting_minor or 0 for leg in draft.posting.legs]
        elif wanted := _rates_wanted(draft.posting):
            foreign.append((draft, wanted))
        else:
            draft.amounts = [leg.amount_minor for leg in draft.posting.legs]
    rates = rates_for({key for _, wanted in foreign for key in wanted})
    for draft, wanted in foreign:
        draft.amounts = _reporting(draft, wanted, rates)


def _rates_wanted(posting: Posting) -> list[RateKey]:
    reporting = posting.book.reporting_currency
    currencies = {leg.currency for leg in posting.legs}
    currencies.discard(reporting)
    return [(currency, reporting, posting.occurred_at) for currency in currencies]


def _reporting(draft: Draft, wanted: list[RateKey], rates: Mapping[RateKey, RateUsed]) -> list[int]:
    used: dict[str, Decimal] = {}
    for rate in wanted:
        if rate not in rates:
            raise RateUnknown(
                f"no rate from {rate[0]} to {rate[1]} is known at {rate[2].isoformat()}",
                key=draft.key,
            )
        used[rate[0]] = rates[rate].rate
        draft.rates[rate[0]] = rates[rate].words()
    try:
        return reporting_amounts(draft.posting.legs, reporting=wanted[0][1], rates=used)
    except MoneyError as error:
        raise Malformed(str(error), key=draft.key) from error


def _reporting_given(posting: Posting) -> bool:
    return posting.reverses is not None or MATRIX[posting.event_class].reporting_given


def _outcomes(
    postings: Sequence[Posting],
    drafts: Mapping[writing.BookKey, Draft],
    replayed: Mapping[writing.BookKey, UUID],
) -> list[Outcome]:
    if not replayed and len(drafts) == len(postings):
        return [Outcome(draft.entry_id, draft.public_id, False) for draft in drafts.values()]
    answered = set(replayed)
    outcomes = []
    for posting in postings:
        own = (posting.book.pk, posting.key)
        entry_id = replayed.get(own) or drafts[own].entry_id
        public_id = ids.render(JournalEntry.PREFIX, entry_id)
        outcomes.append(Outcome(entry_id, public_id, own in answered))
        answered.add(own)
    return outcomes


def _constraint(error: IntegrityError) -> str:
    diagnosis = getattr(error.__cause__, "diag", None)
    return getattr(diagnosis, "constraint_name", None) or ""
