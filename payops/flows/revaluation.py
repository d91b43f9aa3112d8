"""Revaluing the balances in other currencies of a closing period, and taking a run back (LJ-10).

A run posts what differs now, one entry or more per currency, and keeps the rates it used. Run
again it posts nothing new, because the balances stand at their rates; what was posted in between
is revalued by the next run alone. The period is held meanwhile, so nothing is posted into it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from uuid import UUID

from django.db import transaction

from ledger import posting, revaluation
from ledger.errors import LedgerError
from ledger.facts import Posting
from ledger.models import AccountingPeriod, RevaluationRun
from ledger.revaluation import Plan, RevaluationRefused
from payops.core import audit, ids, locks
from payops.core.actors import Actor
from payops.core.models import Book, Person
from payops.core.roles import Act, acts_of

__all__ = ["Ran", "RevaluationRefused", "reverse", "run", "runs_of"]

CLOSING = AccountingPeriod.State.CLOSING


@dataclass(frozen=True, slots=True)
class Ran:
    """The run; `is_new` is False where everything stood at its rate already."""

    run: RevaluationRun
    is_new: bool


def run(*, book: Book, period_id: UUID, actor: Actor, now: datetime) -> Ran:
    """Post what differs. Raises RevaluationRefused; nothing is posted then."""
    _may(actor, now)
    try:
        with transaction.atomic(durable=True):
            period = _closing(book, period_id)
            planned = revaluation.plan(book=book, period=period)
            standing = runs_of(period)
            if not planned.differing and (latest := _latest_standing(standing)) is not None:
                return Ran(latest, is_new=False)
            return Ran(_post(planned, book, len(standing) + 1, actor, now), is_new=True)
    except LedgerError as error:
        raise RevaluationRefused(f"the ledger does not take it: {error.words}") from error


def reverse(
    *, book: Book, run_id: UUID, reason: str, actor: Actor, now: datetime
) -> RevaluationRun:
    """Take a run back as a whole: each of its entries is reversed, on the same day.

    Raises RevaluationRefused where it was taken back before, or posted nothing.
    """
    _may(actor, now)
    try:
        with transaction.atomic(durable=True):
            taken = RevaluationRun.objects.filter(book=book, pk=run_id).first()
            if taken is None:
                raise RevaluationRefused(f"there is no such run in {book.code}")
            period = _closing(book, taken.period_id)
            runs = runs_of(period)
            _refuse_reversal(taken, runs)
            entries = revaluation.entries_of(taken.public_id, book=book)
            for entry in entries:
                posting.reverse(
                    entry,
                    reason=reason,
                    actor=actor,
                    now=now,
                    occurred_at=revaluation.end_of(period, book),
                    posting_on=period.ends_on,
                )
            return _keep(
                RevaluationRun(
                    book=book,
                    period=period,
                    run_no=len(runs) + 1,
                    as_of_on=period.ends_on,
                    reverses=taken,
                    rates=taken.rates,
                    gain_minor=-taken.gain_minor,
                    loss_minor=-taken.loss_minor,
                    entries=len(entries),
                    person_id=actor.human(),
                    created_at=now,
                ),
                action="revaluation.reversed",
                reason=reason,
                actor=actor,
                now=now,
            )
    except LedgerError as error:
        raise RevaluationRefused(f"the ledger does not take it: {error.words}") from error


def runs_of(period: AccountingPeriod) -> list[RevaluationRun]:
    """Every run of the period, in order."""
    found = RevaluationRun.objects.filter(period=period).select_related("person", "reverses")
    return list(found.order_by("run_no"))


def _post(planned: Plan, book: Book, run_no: int, actor: Actor, now: datetime) -> RevaluationRun:
    key = ids.uuid7()
    subject_id = ids.render(RevaluationRun.PREFIX, key)
    entries = 0
    drafts = revaluation.postings(planned, book=book, subject_id=subject_id)
    for batch in _batches(drafts):
        entries += len(posting.post_many(batch, actor=actor, now=now))
    made = RevaluationRun(
        id=key,
        book=book,
        period=planned.period,
        run_no=run_no,
        as_of_on=planned.period.ends_on,
        rates={currency: rate.words() for currency, rate in planned.rates.items()},
        gain_minor=planned.gain_minor,
        loss_minor=planned.loss_minor,
        entries=entries,
        person_id=actor.human(),
        created_at=now,
    )
    return _keep(made, action="revaluation.posted", reason="", actor=actor, now=now)


def _batches(drafts: Iterator[Posting]) -> Iterator[list[Posting]]:
    while batch := list(islice(drafts, posting.BATCH_MAX)):
        yield batch


def _keep(
    made: RevaluationRun, *, action: str, reason: str, actor: Actor, now: datetime
) -> RevaluationRun:
    made.save(force_insert=True)
    evidence = {
        "period": made.period.code,
        "run_no": made.run_no,
        "rates": made.rates,
        "gain_minor": made.gain_minor,
        "loss_minor": made.loss_minor,
        "entries": made.entries,
    }
    if made.reverses is not None:
        evidence["reverses"] = made.reverses.public_id
    audit.record(
        [
            audit.event(
                book=made.book,
                actor=actor,
                action=action,
                subject_id=made.public_id,
                now=now,
                reason=reason,
                evidence=evidence,
            )
        ]
    )
    return made


def _closing(book: Book, period_id: UUID) -> AccountingPeriod:
    """The period, held against postings; its state decides after the lock."""
    try:
        period = locks.row(AccountingPeriod, period_id)
    except AccountingPeriod.DoesNotExist as error:
        raise RevaluationRefused(f"there is no such period in {book.code}") from error
    if period.book_id != book.pk:
        raise RevaluationRefused(f"there is no such period in {book.code}")
    if period.state != CLOSING:
        raise RevaluationRefused(
            f"{period.code} is {period.state.lower()}; balances are revalued while a period is"
            " closing: begin its close first"
        )
    return period


def _latest_standing(runs: list[RevaluationRun]) -> RevaluationRun | None:
    taken_back = {made.reverses_id for made in runs}
    standing = [made for made in runs if made.reverses_id is None and made.pk not in taken_back]
    return standing[-1] if standing else None


def _refuse_reversal(taken: RevaluationRun, runs: list[RevaluationRun]) -> None:
    if taken.reverses_id is not None:
        raise RevaluationRefused(
            f"run {taken.run_no} took another back; run the revaluation anew instead"
        )
    by = next((made for made in runs if made.reverses_id == taken.pk), None)
    if by is not None:
        raise RevaluationRefused(f"run {taken.run_no} was taken back by run {by.run_no}")
    if not taken.entries:
        raise RevaluationRefused(f"run {taken.run_no} posted nothing; nothing is to be taken back")


def _may(actor: Actor, now: datetime) -> None:
    """Whichever face it comes through (SE-4)."""
    person = Person.objects.filter(pk=actor.human()).first()
    if person is None or Act.MANAGE_PERIOD not in acts_of(person.roles_at(now)):
        raise RevaluationRefused(f"{actor.login} may not {Act.MANAGE_PERIOD.value}")
