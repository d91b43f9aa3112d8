"""What became of the rows a redrive sent again: sending succeeds, and a row may still die anew.

Reads the rows' own states at this moment, by key; nothing is kept. Serves F8 and WH-18.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from uuid import UUID

from django.db.models import Count

from payops.core.ids import UnknownId
from payops.core.models import Job, JobRow, Message
from payops.webhooks.models import ProviderEvent

# state of the row now: (words, tone)
NOW = {
    "PROCESSED": ("Processed", "good"),
    "DONE": ("Processed", "good"),
    "IGNORED": ("Ignored", "quiet"),
    "PARKED": ("Parked", "warn"),
    "RECEIVED": ("Waiting", "info"),
    "PENDING": ("Waiting", "info"),
    "DEAD": ("Dead again", "bad"),
    "DISCARDED": ("Discarded", "quiet"),
}
ORDER = tuple(dict.fromkeys(words for words, _ in NOW.values()))


@dataclass(frozen=True, slots=True)
class Now:
    """How a row stands at this moment."""

    words: str
    tone: str


@dataclass(frozen=True, slots=True)
class SentAgain:
    """Rows that were sent again, by their state now; None instead of it for any other act."""

    counts: list[tuple[Now, int]] = field(default_factory=list)

    def count(self, words: str) -> int:
        return sum(n for now, n in self.counts if now.words == words)

    @property
    def dead(self) -> int:
        return self.count("Dead again")

    @property
    def waiting(self) -> int:
        return self.count("Waiting")


def sent_again(job: Job) -> SentAgain | None:
    if job.kind not in KINDS:
        return None
    done = JobRow.objects.filter(job=job, outcome=JobRow.Outcome.SUCCEEDED)
    model, key = KINDS[job.kind]
    keys = _keys(done.values_list("subject_id", flat=True), key)
    rows = model._default_manager.filter(book_id=job.book_id, pk__in=keys)
    counted: dict[Now, int] = {}
    for state, count in rows.order_by().values_list("state").annotate(n=Count("pk")):
        now = Now(*NOW[state])
        counted[now] = counted.get(now, 0) + count
    return SentAgain(sorted(counted.items(), key=_place))


def states_now(job: Job, rows: Iterable[JobRow]) -> dict[str, Now]:
    """Subject → its state now, for the rows of a page that were sent again."""
    if job.kind not in KINDS:
        return {}
    model, key = KINDS[job.kind]
    done = [row.subject_id for row in rows if row.outcome == JobRow.Outcome.SUCCEEDED]
    keys = {subject: key(subject) for subject in done}
    held = model._default_manager.filter(book_id=job.book_id, pk__in=list(keys.values()))
    states = dict(held.values_list("pk", "state"))
    return {subject: Now(*NOW[states[pk]]) for subject, pk in keys.items() if pk in states}


def _keys(subjects: Iterable[str], key: Callable[[str], UUID | None]) -> list[UUID]:
    return [found for found in map(key, subjects) if found is not None]


def _event_key(subject_id: str) -> UUID | None:
    try:
        return ProviderEvent.key_of(subject_id)
    except UnknownId:
        return None


def _message_key(subject_id: str) -> UUID | None:
    try:
        return UUID(subject_id)
    except ValueError:
        return None


def _place(row: tuple[Now, int]) -> int:
    return ORDER.index(row[0].words)


KINDS: dict[str, tuple[type[ProviderEvent] | type[Message], Callable[[str], UUID | None]]] = {
    "redrive_events": (ProviderEvent, _event_key),
    "redrive_messages": (Message, _message_key),
}
