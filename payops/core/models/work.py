"""What waits, runs or was answered: messages, idempotency keys, jobs, saved views, schedules."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from payops.core.models.books import Book
from payops.core.models.columns import dead_indexes, history, leaf
from payops.core.models.people import Person
from payops.core.records import QueueRow, Record

PROTECT = models.PROTECT


class Message(QueueRow, Record):
    """News that travels from one flow to another; the outbox (D4: never only in the broker)."""

    class State(models.TextChoices):
        PENDING = "PENDING"
        DONE = "DONE"
        DEAD = "DEAD"
        DISCARDED = "DISCARDED"

    TRANSITIONS = frozenset(
        {
            ("PENDING", "DONE"),
            ("PENDING", "DEAD"),
            ("DEAD", "PENDING"),
            ("DEAD", "DISCARDED"),
        }
    )

    book = leaf(Book)
    topic = models.CharField(max_length=64)
    key = models.CharField(max_length=160)
    payload = models.JSONField(default=dict)
    # Who is asked: in a lane that takes turns, many waiting for one hold up nobody else.
    turn = models.CharField(max_length=40, blank=True, default="", db_default="")
    state = models.CharField(max_length=16, choices=State, default=State.PENDING)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["book", "topic", "key"], name="message_once")
        ]
        indexes = [
            models.Index(
                fields=["lane", "due_at"], condition=Q(state="PENDING"), name="message_ready"
            ),
            *dead_indexes("message", "topic"),
        ]


class IdempotencyKey(Record):
    """An API call's key with the fingerprint of its facts and the answer it was given (LJ-14)."""

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    scope = models.CharField(max_length=80)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    answer = models.JSONField()

    APPEND_ONLY = True

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["book", "scope", "key"], name="idempotency_once")
        ]


class Job(Record):
    """Many rows acted on in the background: one plan, one outcome per row (F8)."""

    PREFIX = "jb"

    class State(models.TextChoices):
        QUEUED = "QUEUED"
        RUNNING = "RUNNING"
        DONE = "DONE"
        CANCELED = "CANCELED"

    TRANSITIONS = frozenset(
        {
            ("QUEUED", "RUNNING"),
            ("QUEUED", "CANCELED"),
            ("RUNNING", "DONE"),
            ("RUNNING", "CANCELED"),
        }
    )

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    kind = models.CharField(max_length=40)
    title = models.CharField(max_length=160)
    arguments = models.JSONField(default=dict)
    person = models.ForeignKey(Person, PROTECT, related_name="+")
    login = models.CharField(max_length=150)
    state = models.CharField(max_length=16, choices=State, default=State.QUEUED)
    total = models.PositiveIntegerField(default=0)
    succeeded = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    cancel_asked_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    trace_id = models.CharField(max_length=32, blank=True, default="")

    class Meta:
        indexes = [models.Index(fields=["book", "-created_at"], name="job_recent")]


class JobRow(Record):
    """One row of a job and what came of it."""

    class Outcome(models.TextChoices):
        WAITING = "WAITING"
        SUCCEEDED = "SUCCEEDED"
        REFUSED = "REFUSED"
        FAILED = "FAILED"
        SKIPPED = "SKIPPED"

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    job = models.ForeignKey(Job, PROTECT, related_name="rows")
    position = models.PositiveIntegerField()
    subject_id = models.CharField(max_length=64)
    label = models.CharField(max_length=160, blank=True, default="")
    outcome = models.CharField(max_length=16, choices=Outcome, default=Outcome.WAITING)
    words = models.CharField(max_length=400, blank=True, default="")
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "position"], name="job_row_position"),
            models.UniqueConstraint(fields=["job", "subject_id"], name="job_row_once"),
        ]


class SavedView(Record):
    """A named set of filters of one screen, kept by a person, shared with roles."""

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    owner = models.ForeignKey(Person, PROTECT, related_name="+")
    screen = models.CharField(max_length=32)
    name = models.CharField(max_length=80)
    query = models.CharField(max_length=2000, blank=True, default="")
    shared_with = models.JSONField(default=list, blank=True)
    pinned = models.BooleanField(default=False)
    removed_at = models.DateTimeField(null=True, blank=True)

    history = history()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "screen", "name"],
                condition=Q(removed_at=None),
                name="saved_view_name",
            )
        ]


class ScheduleSlot(models.Model):
    """A schedule's run as a unique row: two schedulers do the work once."""

    name = models.CharField(max_length=64)
    slot = models.CharField(max_length=32)
    ran_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name", "slot"], name="schedule_slot_once")]
