"""The journal's part of an executed refund: at once where it can, else until it has it (RF-9).

The provider's word is a fact whether or not the journal takes it. What it refuses or fails to take
is kept as LEDGER_PENDING with the state it is heading for and one case, and is tried again until
the entries are posted, once; then the case is closed by itself. Never calls a provider. Serves
RF-7, RF-9, RC-16, PX-11.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import DatabaseError, connection, transaction

from ledger import posting
from ledger.errors import LedgerError
from ledger.models import JournalEntry
from payops.cases import services as cases
from payops.cases.models import Case
from payops.cases.services import Line
from payops.core import ids, locks, messages, state
from payops.core.actors import Actor, service
from payops.core.messages import News
from payops.core.models import Message
from payops.core.queues import Postpone
from payops.flows.refunds import cases as refund_cases
from payops.flows.refunds import outcome as refund_outcome
from payops.flows.refunds.acts import locked
from payops.flows.refunds.outcome import Applied, Told
from payops.flows.refunds.told import tell_ticket
from payops.payments.models import Refund
from payops.webhooks.services import release_waiting

ACTOR = service("refund-ledger")
TOPIC = "refund.post_ledger"
RULE = "refund_ledger_pending"
# Tried again soon at first, then ever more slowly, and never given up.
PAUSE_MIN = timedelta(seconds=1)
PAUSE_MAX = timedelta(minutes=5)
WORDS_MAX = 240
POSTED = "the journal has its entries now"
REFUSALS = (LedgerError, DatabaseError)


def settle(
    news: Sequence[tuple[Refund, Told]], *, actor: Actor, now: datetime
) -> list[tuple[Refund, Applied]]:
    """Apply what the provider told and post it, under the locks of payments and refunds.

    One posting for all; where the journal refuses it, each by itself, and a refused one waits. The
    refunds answered are the rows as they stand then.
    """
    assert connection.in_atomic_block, "an outcome and its entries are one transaction"
    try:
        with transaction.atomic():
            return _together(news, actor, now)
    except REFUSALS as refusal:
        again = [(_anew(refund), told) for refund, told in news]
        if len(news) > 1:
            return [each for one in again for each in settle([one], actor=actor, now=now)]
        return [_pending(*again[0], refusal, actor, now)]


def post(batch: Sequence[Message], now: datetime) -> None:
    """Try the entries of one refund again; safe to repeat. Raises Postpone until it has them."""
    message = batch[0]
    key = ids.parse(message.payload["refund_id"], Refund.PREFIX)[1]
    try:
        with transaction.atomic(durable=True):
            refund = locked(key)
            if refund.state == Refund.State.LEDGER_PENDING:
                _catch_up(refund, now)
    except REFUSALS as refusal:
        raise Postpone(_words(refusal), now + _pause(now - message.created_at)) from refusal


def _together(
    news: Sequence[tuple[Refund, Told]], actor: Actor, now: datetime
) -> list[tuple[Refund, Applied]]:
    refunds = [refund for refund, _ in news]
    told = refund_outcome.apply_many(
        news, refs=posting.Refs(), actor=actor, now=now, standing=_standing(refunds)
    )
    posting.post_many([entry for each in told for entry in each.postings], actor=actor, now=now)
    return list(zip(refunds, told, strict=True))


def _standing(refunds: Sequence[Refund]) -> dict[str, set[str]]:
    """What the journal has of each that is nobody's retry, read at once; others look themselves."""
    own = [refund for refund in refunds if refund.retry_of_id is None]
    rows = JournalEntry.objects.filter(
        book_id__in={refund.book_id for refund in own},
        subject_id__in=[refund.public_id for refund in own],
        reversed_by=None,
    )
    standing: dict[str, set[str]] = {refund.public_id: set() for refund in own}
    for subject_id, event_class in rows.values_list("subject_id", "event_class"):
        standing[subject_id].add(event_class)
    return standing


def _pending(
    refund: Refund, told: Told, refusal: Exception, actor: Actor, now: datetime
) -> tuple[Refund, Applied]:
    """Executed and not in the books: one case, and a message that does not give up."""
    words = _words(refusal)
    held = refund_outcome.hold_for_ledger(refund, told, words=words, actor=actor, now=now)
    title = (
        f"Refund of {refund.amount} for {refund_cases.named(refund.payment)} is not in the books"
    )
    case = cases.open_case(
        refund_cases.finding(refund, RULE, f"{title}: {words}", now=now), actor=ACTOR, now=now
    )
    line = Line("ledger", f"pending:{refund.public_id}", words, refund.public_id)
    cases.append(case, [line], actor=ACTOR, now=now)
    news = News(
        refund.book,
        TOPIC,
        refund.public_id,
        {"refund_id": refund.public_id},
        due_at=now + PAUSE_MIN,
    )
    messages.send([news], now=now)
    return refund, held


def _catch_up(refund: Refund, now: datetime) -> None:
    applied = refund_outcome.catch_up(refund, refs=posting.Refs(), actor=ACTOR, now=now)
    posting.post_many(applied.postings, actor=ACTOR, now=now)
    release_waiting(book=refund.book, keys=applied.released, actor=ACTOR, now=now)
    tell_ticket(refund, now)
    found = Case.objects.filter(book=refund.book, rule=RULE, subject_id=refund.public_id)
    still_open = found.exclude(state__in=Case.CLOSED).values_list("pk", flat=True)
    for case in locks.rows(Case, still_open).values():
        cases.append(
            case, [Line("closed", f"posted:{now.isoformat()}", POSTED)], actor=ACTOR, now=now
        )
        if case.state in (Case.State.OPEN, Case.State.TRIAGED):
            case.resolve(at=now)
            state.save(case, actor=ACTOR, now=now, action="case.resolved", reason=POSTED)


def _anew(refund: Refund) -> Refund:
    """The row as it is in the database, after what was done to it was taken back."""
    row = locks.row(Refund, refund.pk)
    row.payment, row.account, row.book = refund.payment, refund.account, refund.book
    return row


def _pause(age: timedelta) -> timedelta:
    """As long again as a quarter of what it waited, within bounds and never in step."""
    pause = min(max(age / 4, PAUSE_MIN), PAUSE_MAX)
    return pause * random.uniform(0.7, 1.3)


def _words(refusal: Exception) -> str:
    told = refusal.words if isinstance(refusal, LedgerError) else str(refusal).partition("\n")[0]
    return f"{type(refusal).__name__}: {told}"[:WORDS_MAX]
