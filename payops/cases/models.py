"""Exception cases: the one place for human work on a disagreement between reality and the books.

Owns the case with its timeline, its runbook runs and the local tickets and messages. Exactly one
open case per (rule, fingerprint, period) (D10, PX-1). Serves PX-1 to PX-12, RB-1 to RB-4, OB-8.
"""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Q
from django_fsm import FSMField, transition

from payops.core.models import Book, Person, history
from payops.core.records import Record
from payops.core.state import StatefulModel

PROTECT = models.PROTECT


class Case(StatefulModel):
    """One disagreement. `subject_id` is the public id of what it is about."""

    PREFIX = "cs"

    class State(models.TextChoices):
        OPEN = "OPEN"
        TRIAGED = "TRIAGED"
        AWAITING_APPROVAL = "AWAITING_APPROVAL"
        APPROVED = "APPROVED"
        EXECUTING = "EXECUTING"
        WAITING = "WAITING"
        RESOLVED = "RESOLVED"
        REJECTED = "REJECTED"

    CLOSED = (State.RESOLVED, State.REJECTED)

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    state = FSMField(default=State.OPEN, choices=State, protected=True, max_length=24)
    rule = models.CharField(max_length=48)
    fingerprint = models.CharField(max_length=120)
    period = models.CharField(max_length=7)
    subject_id = models.CharField(max_length=64)
    title = models.CharField(max_length=200)
    amount_minor = models.BigIntegerField(null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True, default="")
    root_cause = models.CharField(max_length=48, blank=True, default="")
    disposition = models.CharField(max_length=16, blank=True, default="")
    priority = models.CharField(max_length=8, default="normal")
    owner = models.ForeignKey(Person, PROTECT, null=True, related_name="+")
    due_at = models.DateTimeField()
    snoozed_until = models.DateTimeField(null=True, blank=True)
    approval_id = models.CharField(max_length=40, blank=True, default="")
    resolution = models.CharField(max_length=32, blank=True, default="")
    resolved_at = models.DateTimeField(null=True, blank=True)
    last_event_at = models.DateTimeField(null=True, blank=True)

    history = history()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["book", "rule", "fingerprint", "period"],
                condition=~Q(state__in=["RESOLVED", "REJECTED"]),
                name="case_open_once",
            )
        ]
        indexes = [
            models.Index(fields=["book", "state", "due_at"], name="case_queue"),
            models.Index(fields=["subject_id"], name="case_subject"),
        ]

    @transition(field="state", source=State.OPEN, target=State.TRIAGED)
    def triage(self, *, owner: Person | None) -> None:
        self.owner = owner

    @transition(
        field="state",
        source=[State.OPEN, State.TRIAGED, State.WAITING],
        target=State.AWAITING_APPROVAL,
    )
    def ask_approval(self, *, approval_id: str, resolution: str) -> None:
        self.approval_id = approval_id
        self.resolution = resolution

    @transition(field="state", source=State.AWAITING_APPROVAL, target=State.TRIAGED)
    def return_to_triage(self) -> None:
        self.approval_id = ""
        self.resolution = ""

    @transition(field="state", source=State.AWAITING_APPROVAL, target=State.APPROVED)
    def approve(self) -> None:
        pass

    @transition(field="state", source=State.APPROVED, target=State.TRIAGED)
    def undo_approval(self) -> None:
        self.approval_id = ""
        self.resolution = ""

    @transition(field="state", source=State.APPROVED, target=State.EXECUTING)
    def execute(self) -> None:
        pass

    @transition(field="state", source=State.EXECUTING, target=State.TRIAGED)
    def stop_execution(self) -> None:
        self.approval_id = ""
        self.resolution = ""

    @transition(field="state", source=State.EXECUTING, target=State.WAITING)
    def wait(self) -> None:
        pass

    @transition(
        field="state",
        source=[State.EXECUTING, State.WAITING, State.OPEN, State.TRIAGED],
        target=State.RESOLVED,
    )
    def resolve(self, *, at: datetime) -> None:
        self.resolved_at = at

    @transition(field="state", source=[State.OPEN, State.TRIAGED], target=State.REJECTED)
    def reject(self, *, at: datetime) -> None:
        self.resolved_at = at

    @transition(field="state", source=[State.RESOLVED, State.REJECTED], target=State.TRIAGED)
    def reopen(self, *, due_at: datetime) -> None:
        self.resolved_at = None
        self.due_at = due_at
        self.approval_id = ""
        self.resolution = ""


class CaseEntry(Record):
    """One line of the timeline; `key` makes it appear once."""

    APPEND_ONLY = True

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    case = models.ForeignKey(Case, PROTECT, related_name="entries")
    kind = models.CharField(max_length=32)
    key = models.CharField(max_length=160)
    text = models.TextField()
    refers_to = models.CharField(max_length=64, blank=True, default="")
    facts = models.JSONField(default=dict)
    person = models.ForeignKey(Person, PROTECT, null=True, related_name="+")
    service = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["case", "key"], name="case_entry_once")]
        indexes = [models.Index(fields=["case", "created_at"], name="case_entry_time")]


class RunbookRun(Record):
    """One run of a versioned runbook for one approved decision (RB-1, RB-2)."""

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    case = models.ForeignKey(Case, PROTECT, related_name="runs")
    approval_id = models.CharField(max_length=40)
    runbook = models.CharField(max_length=48)
    version = models.CharField(max_length=16)
    plan = models.JSONField()
    plan_hash = models.CharField(max_length=64)
    finished_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=16, blank=True, default="")

    history = history()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["book", "approval_id"], name="runbook_run_once")
        ]


class RunbookStep(Record):
    """One step with its key, request, response and status; a re-run goes on behind done ones."""

    class Status(models.TextChoices):
        PENDING = "PENDING"
        DONE = "DONE"
        SKIPPED = "SKIPPED"
        FAILED = "FAILED"
        UNKNOWN = "UNKNOWN"

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    run = models.ForeignKey(RunbookRun, PROTECT, related_name="steps")
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=48)
    key = models.CharField(max_length=160)
    status = models.CharField(max_length=16, choices=Status, default=Status.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    request = models.JSONField(default=dict)
    response = models.JSONField(default=dict)
    error = models.TextField(blank=True, default="")
    done_at = models.DateTimeField(null=True, blank=True)

    history = history()

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["run", "position"], name="runbook_step_position"),
            models.UniqueConstraint(fields=["book", "key"], name="runbook_step_once"),
        ]


class LocalTicket(Record):
    """A ticket of the built-in connector. External systems get a TicketLink only."""

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    correlation_id = models.CharField(max_length=160)
    number = models.CharField(max_length=24)
    title = models.CharField(max_length=200)
    body = models.TextField()
    priority = models.CharField(max_length=8, default="normal")
    status = models.CharField(max_length=16, default="open")

    history = history()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["book", "correlation_id"], name="local_ticket_once")
        ]


class TicketLink(Record):
    """A case's ticket in a ticket system (PX-10)."""

    PREFIX = "tl"

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    case = models.ForeignKey(Case, PROTECT, related_name="tickets")
    system = models.CharField(max_length=24)
    number = models.CharField(max_length=64)
    correlation_id = models.CharField(max_length=160)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["book", "system", "correlation_id"], name="ticket_link_once"
            )
        ]


class LocalMessage(Record):
    """A notification of the built-in connector: a deep link and the exact next steps (D3)."""

    APPEND_ONLY = True

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    correlation_id = models.CharField(max_length=160)
    case = models.ForeignKey(Case, PROTECT, null=True, related_name="messages")
    audience = models.CharField(max_length=64)
    subject = models.CharField(max_length=200)
    body = models.TextField()
    link = models.CharField(max_length=240, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["book", "correlation_id"], name="local_message_once")
        ]
        indexes = [models.Index(fields=["book", "-created_at"], name="local_message_recent")]


class Dispatch(Record):
    """A ticket or message on its way to a system outside, once per connector and correlation id.

    `unknown`: it may have arrived; a ticket is searched for first, a message waits for policy.
    `begun_at` is committed before each attempt and cleared with its outcome: found set, the
    attempt was interrupted and nobody knows how it ended.
    """

    class State(models.TextChoices):
        PENDING = "PENDING"
        SENT = "SENT"
        UNKNOWN = "UNKNOWN"
        REFUSED = "REFUSED"

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    connector = models.CharField(max_length=24)
    correlation_id = models.CharField(max_length=160)
    case = models.ForeignKey(Case, PROTECT, null=True, related_name="+")
    ticket = models.ForeignKey(LocalTicket, PROTECT, null=True, related_name="+")
    message = models.ForeignKey(LocalMessage, PROTECT, null=True, related_name="+")
    recipient = models.CharField(max_length=200, blank=True, default="")
    state = models.CharField(max_length=16, choices=State, default=State.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    external_ref = models.CharField(max_length=160, blank=True, default="")
    external_url = models.CharField(max_length=400, blank=True, default="")
    reason = models.CharField(max_length=400, blank=True, default="")
    sent_at = models.DateTimeField(null=True, blank=True)
    begun_at = models.DateTimeField(null=True, blank=True)
    is_repeat = models.BooleanField(default=False)

    history = history()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["book", "connector", "correlation_id", "recipient"], name="dispatch_once"
            )
        ]
        indexes = [models.Index(fields=["book", "-created_at"], name="dispatch_recent")]
