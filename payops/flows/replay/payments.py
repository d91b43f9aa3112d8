"""Replays payments: every stored body of a payment goes through the real flow again, in memory.

The receipts are decrypted and parsed anew, the payment is built from nothing, and what the flow
would post is what the journal must hold. Only the payment's own id is taken from the register.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from uuid import UUID

from django.db import connection

from payops.core.actors import service
from payops.core.models import ProviderAccount
from payops.flows import payment_events
from payops.flows.batch import Batch, EventWork
from payops.flows.replay.scope import BookThen, Expected, Scope, Source
from payops.psp import registry
from payops.webhooks.bodies import bodies_of
from payops.webhooks.models import ProviderEvent

ACTOR = service("replay")
CHUNK = 1000
DECIDED = [ProviderEvent.State.PROCESSED.value, ProviderEvent.State.IGNORED.value]


def expected(scope: Scope) -> Iterator[Expected]:
    subjects = scope.posted_subjects("pa_") | scope.told_subjects("pa_")
    for chunk in chunks(events_of(scope, subjects)):
        works = works_of(scope, chunk)
        sellers = payment_events.sellers([work for work, _ in works])
        for subject_id, told in groupby(works, key=lambda pair: pair[1]):
            batch = Batch(actor=ACTOR, now=scope.ends_at, sellers=sellers, rehearsal=True)
            for work, _ in told:
                before = len(batch.postings)
                payment_events.apply(batch, work)
                for posting in batch.postings[before:]:
                    refs = replace(posting.refs, payment_id=subject_id)
                    named = replace(posting, subject_id=subject_id, refs=refs)
                    yield Expected(named, work.event.public_id, known_at(work))


def events_of(scope: Scope, subjects: set[str]) -> list[tuple[str, UUID]]:
    """(subject, event key) of all decided events of the subjects, each in the order decided."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT e.subject_id, e.id FROM webhooks_providerevent e"
            " JOIN unnest(%s::text[]) AS w(subject_id) ON w.subject_id = e.subject_id"
            " WHERE e.book_id = %s AND e.state = ANY(%s)"
            " ORDER BY e.subject_id, e.finished_at, e.id",
            [sorted(subjects), scope.book.pk, DECIDED],
        )
        return list(cursor.fetchall())


def chunks(found: Sequence[tuple[str, UUID]]) -> Iterator[list[tuple[str, UUID]]]:
    """Chunks that never cut the events of one subject apart."""
    chunk: list[tuple[str, UUID]] = []
    for _, own in groupby(found, key=lambda pair: pair[0]):
        if len(chunk) >= CHUNK:
            yield chunk
            chunk = []
        chunk.extend(own)
    if chunk:
        yield chunk


def works_of(scope: Scope, chunk: Sequence[tuple[str, UUID]]) -> list[tuple[EventWork, str]]:
    """What each stored body says, parsed anew, with the subject its event was decided for."""
    events = ProviderEvent.objects.in_bulk([key for _, key in chunk])
    bodies = bodies_of(events.values())
    accounts = {
        account.pk: account
        for account in ProviderAccount.objects.select_related("book").filter(book=scope.book)
    }
    works, then = [], BookThen(scope.book)
    for subject_id, key in chunk:
        event = events[key]
        account = copy(accounts[event.account_id])
        account.book = then.at(event.finished_at or event.created_at)
        raw = bodies[event.payload_id]
        said = registry.adapter(account.provider).parse(raw, event.item_index, account.settings)
        works.append((EventWork(event=event, said=said, account=account), subject_id))
    return works


def known_at(work: EventWork) -> datetime:
    """When the event was decided, which its own row remembers."""
    return work.event.finished_at or work.event.created_at


SOURCE = Source("payment events", expected)
