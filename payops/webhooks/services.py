"""What may happen to an event of the inbox after it was received.

Owns its verdicts (processed, ignored, parked), their bulk writer, the release of parked events,
redrive and the end of a discarded one. A verdict is set on the row in memory by the flow; only
`mark_many` writes it. Updates that are numbered wait for the one before (`sequence_key`), and a
verdict releases the next. Original ids, failures and counted attempts are never lost. Serves WH-10,
WH-18, WH-19, WH-32 and I2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import DateTimeField, DurationField, ExpressionWrapper, F, Value

from payops.core import audit, bulk, outbox, queues
from payops.core.actors import Actor
from payops.core.models import Book, Person, ProviderAccount
from payops.core.roles import Act, acts_of
from payops.core.state import StaleState
from payops.webhooks.ingest import UNPARSEABLE
from payops.webhooks.models import ProviderEvent

State = ProviderEvent.State
OUTCOME_CHARS_MAX = 240
REDRIVE_MAX = 1000
RECHECK_MAX = 500
RECHECK_EVERY_MIN = timedelta(seconds=30)
RECHECK_EVERY_MAX = timedelta(hours=1)
# An update in one of these states needs nothing more; the next one may follow.
DECIDED = (State.PROCESSED, State.IGNORED, State.DISCARDED)
OBJECT_CHARS_MAX = 180
VERIFY_MARK = "verify:"
# Its month is closed: people grant another day, or reopen the month.
LATE_MARK = "late:"

WRITE = """
UPDATE webhooks_providerevent AS e SET state = v.state, outcome = v.outcome,
  subject_id = v.subject_id, waits_for = v.waits_for, reprocessable = v.reprocessable,
  finished_at = v.finished_at, due_at = v.due_at, attempts = e.attempts - v.refund,
  leased_until = NULL, interruptions = 0
FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bool[],
  %s::timestamptz[], %s::timestamptz[], %s::int[])
  AS v(id, state, outcome, subject_id, waits_for, reprocessable, finished_at, due_at, refund)
WHERE e.id = v.id AND e.state = 'RECEIVED'
"""


class RedriveRefused(ValueError):
    """Nothing was redriven; says which rows may not be, and in which state they are."""


class DiscardRefused(ValueError):
    """Only a dead event can be discarded, and only with its approval."""


class Undecided(RuntimeError):
    """A flow ended without a verdict on an event it was given."""


def processed(event: ProviderEvent, *, subject_id: str, outcome: str = "") -> None:
    """The event had its effect (or was found to have had it already)."""
    event.state, event.subject_id = State.PROCESSED, subject_id
    event.outcome, event.waits_for, event.reprocessable = outcome, "", False


def ignored(event: ProviderEvent, *, reason: str, reprocessable: bool = False) -> None:
    """The event means nothing here; `reprocessable` when it may once it has a meaning."""
    event.state, event.outcome = State.IGNORED, reason
    event.waits_for, event.reprocessable = "", reprocessable


def park(event: ProviderEvent, *, waits_for: str, reason: str) -> None:
    """Its predecessor is missing: it waits for `release_waiting` with the same key (WH-10)."""
    assert waits_for, "a parked event says what it waits for"
    event.state, event.outcome, event.waits_for = State.PARKED, reason, waits_for


def mark_many(events: Sequence[ProviderEvent], *, actor: Actor, now: datetime) -> None:
    """Write the verdicts set on events that were RECEIVED, with one audit row each."""
    if not events:
        return
    assert connection.in_atomic_block, "a verdict is written with what it caused"
    undecided = [event.public_id for event in events if event.state == State.RECEIVED]
    if undecided:
        raise Undecided(f"no verdict on {', '.join(undecided[:5])}")
    rows = []
    for event in events:
        parked = event.state == State.PARKED
        event.finished_at = None if parked else now
        event.due_at = now + _recheck_after(event, now) if parked else event.due_at
        row = (
            event.pk,
            event.state,
            event.outcome[:OUTCOME_CHARS_MAX],
            event.subject_id,
            event.waits_for,
            event.reprocessable,
            event.finished_at,
            event.due_at,
            1 if parked else 0,
        )
        rows.append(row)
    with connection.cursor() as cursor:
        cursor.execute(WRITE, [bulk.array(column) for column in zip(*rows, strict=True)])
        if cursor.rowcount != len(events):
            raise StaleState(f"{len(events) - cursor.rowcount} events were decided by another")
    _record(events, actor=actor, now=now, was=State.RECEIVED)
    _release_followers(events, actor, now)


def sequence_key(*, address: str, object_id: str, sequence: int) -> str:
    """What the next update of a numbered object waits for (WH-10)."""
    if len(object_id) > OBJECT_CHARS_MAX:
        object_id = hashlib.sha256(object_id.encode()).hexdigest()
    return f"seq:{address}:{object_id}:{sequence}"


def verify_key(event: ProviderEvent) -> str:
    """What an event waits for that is not believed before the provider confirms it (WH-15)."""
    return f"{VERIFY_MARK}{event.public_id}"


def release(
    *, event_ids: Iterable[UUID], reason: str, actor: Actor, now: datetime
) -> list[ProviderEvent]:
    """Make exactly these events ready again, as far as they are parked; answers which."""
    assert connection.in_atomic_block, "a release travels with what was waited for"
    held = ProviderEvent.objects.select_for_update(no_key=True).filter(
        pk__in=set(event_ids), state=State.PARKED
    )
    events = list(held.order_by("pk"))
    _make_ready(events, actor, now, reason)
    return events


def parked_past_deadline(*, now: datetime, limit: int) -> list[ProviderEvent]:
    """Parked for longer than their account allows and never answered for by the provider.

    Events that wait for a verification are left out: they are being asked about already; so are
    those of a closed month: the provider cannot open it.
    """
    allowed = ExpressionWrapper(
        F("account__park_deadline_s") * Value(timedelta(seconds=1)), output_field=DurationField()
    )
    deadline = ExpressionWrapper(F("created_at") + allowed, output_field=DateTimeField())
    overdue = ProviderEvent.objects.filter(state=State.PARKED, account__park_deadline_s__gt=0)
    overdue = overdue.annotate(deadline_at=deadline).filter(deadline_at__lte=now)
    overdue = overdue.exclude(waits_for__startswith=VERIFY_MARK)
    overdue = overdue.exclude(waits_for__startswith=LATE_MARK)
    overdue = overdue.exclude(verifications__cause="deadline")
    return list(overdue.select_related("book").order_by("created_at", "pk")[:limit])


def release_waiting(*, book: Book, keys: Iterable[str], actor: Actor, now: datetime) -> int:
    """Make events parked for any of `keys` ready again; answers how many."""
    assert connection.in_atomic_block, "a release travels with what was waited for"
    parked = ProviderEvent.objects.select_for_update(no_key=True).filter(
        book=book, waits_for__in=sorted({key for key in keys if key}), state=State.PARKED
    )
    return _make_ready(list(parked.order_by("pk")), actor, now, "its predecessor arrived")


def recheck_parked(*, actor: Actor, now: datetime) -> int:
    """Look again at events parked for long: a release cannot see one that parks in that moment."""
    assert connection.in_atomic_block, "a release is written with its audit rows"
    parked = ProviderEvent.objects.select_for_update(no_key=True, skip_locked=True).filter(
        state=State.PARKED, due_at__lte=now
    )
    return _make_ready(list(parked.order_by("due_at")[:RECHECK_MAX]), actor, now, "looked at again")


def redrive(
    *,
    event_ids: Sequence[str] = (),
    message_ids: Sequence[UUID] = (),
    note: str,
    actor: Actor,
    now: datetime,
) -> int:
    """Send dead events (or ignored ones that may be reprocessed) and dead messages through the
    same gates again, all or none (WH-19). Raises RedriveRefused.
    """
    assert connection.in_atomic_block, "a redrive is written with its audit rows"
    words = note.strip()
    if not words:
        raise RedriveRefused("a redrive needs an operator note that says what was put right")
    if len(event_ids) + len(message_ids) > REDRIVE_MAX:
        raise RedriveRefused(f"at most {REDRIVE_MAX} rows are redriven at once")
    _require(actor, Act.REDRIVE_EVENT, now)
    wanted = {ProviderEvent.key_of(public_id) for public_id in event_ids}
    held = ProviderEvent.objects.select_for_update(no_key=True).filter(pk__in=wanted)
    events = list(held.order_by("pk"))
    unfit = [
        f"{event.public_id} is {event.state}"
        for event in events
        if event.state != State.DEAD and not (event.state == State.IGNORED and event.reprocessable)
    ]
    if unfit or len(events) != len(wanted):
        missing = len(wanted) - len(events)
        raise RedriveRefused(
            "; ".join([*unfit[:5], *([f"{missing} not found"] if missing else [])])
        )
    was = [event.state for event in events]
    for event in events:
        queues.readmit(event, note=words, by=actor.login or actor.service, now=now)
        event.state = State.RECEIVED
        if event.type != UNPARSEABLE:
            event.outcome = ""
    ProviderEvent.objects.bulk_update(
        events, [*queues.READMIT_COLUMNS, "state", "outcome"], batch_size=500
    )
    _record(events, actor=actor, now=now, was=was, action="event.redriven", reason=words)
    return len(events) + outbox.redrive(message_ids=message_ids, note=words, actor=actor, now=now)


def discard(*, event_id: str, approval_id: str, note: str, actor: Actor, now: datetime) -> None:
    """End a dead event for good; the governance flow calls it once its approval is granted."""
    assert connection.in_atomic_block, "a discard is written with its audit row"
    held = ProviderEvent.objects.select_for_update(no_key=True)
    event = held.get(pk=ProviderEvent.key_of(event_id))
    if event.state != State.DEAD or not approval_id:
        raise DiscardRefused(f"{event_id} is {event.state}; approval {approval_id or 'missing'}")
    event.state, event.finished_at = State.DISCARDED, now
    event.operator_note = queues.noted(event.operator_note, note, actor.login or actor.service, now)
    event.save(update_fields=["state", "finished_at", "operator_note"])
    evidence = {"approval_id": approval_id}
    _record([event], actor=actor, now=now, was=State.DEAD, reason=note, evidence=evidence)
    _release_followers([event], actor, now)


def assign(
    *, event_ids: Sequence[str], owner: Person | None, actor: Actor, now: datetime
) -> list[ProviderEvent]:
    """Say whose work dead events are, all or none (WH-20). Raises RedriveRefused."""
    assert connection.in_atomic_block, "an owner is written with its audit row"
    _require(actor, Act.REDRIVE_EVENT, now)
    if owner is not None and Act.REDRIVE_EVENT not in acts_of(owner.roles_at(now)):
        raise RedriveRefused(f"{owner.name} may not redrive, so dead letters are not their work")
    wanted = {ProviderEvent.key_of(public_id) for public_id in event_ids}
    held = ProviderEvent.objects.select_for_update(no_key=True).filter(pk__in=wanted)
    events = list(held.order_by("pk"))
    unfit = [f"{event.public_id} is {event.state}" for event in events if event.state != State.DEAD]
    if unfit or len(events) != len(wanted):
        raise RedriveRefused("; ".join(unfit[:5]) or "an event was not found")
    for event in events:
        event.owner = owner
    ProviderEvent.objects.bulk_update(events, ["owner"], batch_size=500)
    words = f"assigned to {owner.name}" if owner else "owner removed"
    _record(events, actor=actor, now=now, was=State.DEAD, action="event.assigned", reason=words)
    return events


def bury(event: ProviderEvent, *, actor: Actor, now: datetime) -> None:
    """RECEIVED → DEAD after the last attempt or a structural mismatch (WH-17)."""
    assert connection.in_atomic_block, "an event is given up with its failure"
    event.state, event.finished_at = State.DEAD, None
    # Dead letters are paged by their last failure: none may be without.
    event.last_failed_at = event.last_failed_at or now
    event.save(update_fields=["state", "finished_at", "last_failed_at"])
    outbox.alert(event, source="event", subject_id=event.public_id, now=now)
    evidence = {"attempts": event.attempts, "kind": event.failure_kind}
    _record(
        [event],
        actor=actor,
        now=now,
        was=State.RECEIVED,
        reason=event.last_error[:OUTCOME_CHARS_MAX],
        evidence=evidence,
    )


def _release_followers(events: Sequence[ProviderEvent], actor: Actor, now: datetime) -> None:
    """Numbered updates that are decided now let the next of their object go on."""
    decided = [e for e in events if e.sequence is not None and e.state in DECIDED]
    if not decided:
        return
    accounts = ProviderAccount.objects.select_related("book").in_bulk(
        {event.account_id for event in decided}
    )
    keys: dict[Book, set[str]] = {}
    for event in decided:
        account = accounts[event.account_id]
        key = sequence_key(
            address=account.address, object_id=event.object_id, sequence=event.sequence or 0
        )
        keys.setdefault(account.book, set()).add(key)
    for book, waited_for in keys.items():
        release_waiting(book=book, keys=waited_for, actor=actor, now=now)


def _recheck_after(event: ProviderEvent, now: datetime) -> timedelta:
    """As long again as it has waited so far, within bounds."""
    return min(max(now - event.created_at, RECHECK_EVERY_MIN), RECHECK_EVERY_MAX)


def _make_ready(events: list[ProviderEvent], actor: Actor, now: datetime, reason: str) -> int:
    for event in events:
        event.state, event.due_at, event.waits_for = State.RECEIVED, now, ""
    ProviderEvent.objects.bulk_update(events, ["state", "due_at", "waits_for"], batch_size=500)
    _record(events, actor=actor, now=now, was=State.PARKED, action="event.released", reason=reason)
    return len(events)


def _require(actor: Actor, act: Act, now: datetime) -> None:
    """A person needs the permission; services run on behalf of nobody and are trusted code."""
    if actor.person_id is None:
        return
    if act not in acts_of(Person.objects.get(pk=actor.person_id).roles_at(now)):
        raise RedriveRefused(f"{actor.login} may not {act.value}")


def _record(
    events: Sequence[ProviderEvent],
    *,
    actor: Actor,
    now: datetime,
    was: str | Sequence[str],
    action: str = "",
    reason: str = "",
    evidence: dict[str, Any] | None = None,
) -> None:
    books = Book.objects.in_bulk({event.book_id for event in events})
    before = [was] * len(events) if isinstance(was, str) else was
    rows = [
        audit.event(
            book=books[event.book_id],
            actor=actor,
            action=action or f"event.{event.state.lower()}",
            subject_id=event.public_id,
            now=now,
            from_state=str(from_state),
            to_state=str(event.state),
            reason=reason or event.outcome[:OUTCOME_CHARS_MAX],
            evidence=evidence,
            trace_id=event.trace_id,
        )
        for event, from_state in zip(events, before, strict=True)
    ]
    audit.record(rows)
