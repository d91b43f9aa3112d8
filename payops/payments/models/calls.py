"""Money movements we decided on, every attempt at them, and the valve towards each provider."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django_fsm import FSMField, transition

from payops.core.models import Book, ProviderAccount, history
from payops.core.records import Record
from payops.core.state import StatefulModel

PROTECT = models.PROTECT


class Intent(StatefulModel):
    """One money movement we decided on, with the key that every attempt of it carries (D14)."""

    PREFIX = "it"

    class State(models.TextChoices):
        APPROVED = "APPROVED"
        DISPATCHING = "DISPATCHING"
        UNKNOWN = "UNKNOWN"
        SUCCEEDED = "SUCCEEDED"
        REFUSED = "REFUSED"
        PARKED = "PARKED"

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    account = models.ForeignKey(ProviderAccount, PROTECT, related_name="+")
    kind = models.CharField(max_length=32)
    subject_id = models.CharField(max_length=40)
    approval_id = models.CharField(max_length=40)
    idempotency_key = models.CharField(max_length=160)
    request_hash = models.CharField(max_length=64)
    state = FSMField(default=State.APPROVED, choices=State, protected=True, max_length=24)
    first_sent_at = models.DateTimeField(null=True, blank=True)
    fence = models.PositiveIntegerField(default=0)
    provider_ref = models.CharField(max_length=255, blank=True, default="")
    outcome = models.CharField(max_length=240, blank=True, default="")

    history = history()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["book", "kind", "subject_id"], name="intent_once"),
            models.UniqueConstraint(fields=["book", "idempotency_key"], name="intent_key_once"),
        ]

    @transition(
        field="state",
        source=[State.APPROVED, State.UNKNOWN, State.DISPATCHING],
        target=State.DISPATCHING,
    )
    def send(self, *, at: datetime) -> None:
        self.first_sent_at = self.first_sent_at or at
        self.fence += 1

    @transition(field="state", source=State.DISPATCHING, target=State.UNKNOWN)
    def lose_track(self, *, outcome: str) -> None:
        self.outcome = outcome

    @transition(
        field="state",
        source=[State.DISPATCHING, State.UNKNOWN, State.PARKED],
        target=State.SUCCEEDED,
    )
    def succeed(self, *, provider_ref: str) -> None:
        self.provider_ref = provider_ref
        self.outcome = "confirmed by the provider"

    @transition(
        field="state",
        source=[State.DISPATCHING, State.UNKNOWN, State.PARKED],
        target=State.REFUSED,
    )
    def refuse(self, *, outcome: str) -> None:
        self.outcome = outcome

    @transition(field="state", source=[State.DISPATCHING, State.UNKNOWN], target=State.PARKED)
    def park(self, *, outcome: str) -> None:
        self.outcome = outcome


class ProviderCall(Record):
    """One attempt, committed before the call leaves; its outcome is written once, afterwards."""

    PREFIX = "pc"

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    intent = models.ForeignKey(Intent, PROTECT, related_name="calls")
    operation = models.CharField(max_length=32)
    attempt = models.PositiveIntegerField()
    fence = models.PositiveIntegerField()
    deadline_at = models.DateTimeField()
    outcome = models.CharField(max_length=16, blank=True, default="")
    status_code = models.PositiveSmallIntegerField(null=True, blank=True)
    error_code = models.CharField(max_length=120, blank=True, default="")
    provider_ref = models.CharField(max_length=255, blank=True, default="")
    request_masked = models.JSONField(default=dict)
    response_masked = models.JSONField(default=dict)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["intent", "attempt"], name="provider_call_attempt")
        ]


class CallGate(Record):
    """The valve towards one provider account: a token bucket and a circuit breaker (WH-22).

    One row per account, so that every worker process shares it. `tokens_milli` counts thousandths
    of a call.
    """

    class State(models.TextChoices):
        CLOSED = "CLOSED"
        OPEN = "OPEN"
        HALF_OPEN = "HALF_OPEN"

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    account = models.OneToOneField(ProviderAccount, PROTECT, related_name="+")
    tokens_milli = models.BigIntegerField(default=0)
    filled_at = models.DateTimeField()
    state = models.CharField(max_length=16, choices=State, default=State.CLOSED)
    failures = models.PositiveIntegerField(default=0)
    opened_at = models.DateTimeField(null=True, blank=True)
    probe_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=240, blank=True, default="")
    last_subject = models.CharField(max_length=255, blank=True, default="")
