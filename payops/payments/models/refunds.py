"""Refunds of payments, and the record of why each was decided as it was.

What happened is kept as facts (`accepted_at`, `succeeded_at`, `failed_at`, `money_back_at`), so
that every order of the same events ends in the same state and balances. SUCCEEDED is not terminal:
failure and return come late (D8). A refund is never taken back here: exception states say what
became of it (RF-16). Serves RF-1 to RF-18, F3, F4, F26.
"""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Q
from django_fsm import FSMField, transition

from payops.core.models import Book, Person, ProviderAccount, history
from payops.core.money import Money
from payops.core.records import Record
from payops.core.state import StatefulModel
from payops.payments.models.payments import Payment

PROTECT = models.PROTECT


class Refund(StatefulModel):
    """One attempt to give a customer money back; a retry is a refund of its own that names it."""

    PREFIX = "rf"
    INITIAL_STATES = ("REQUESTED", "REFUSED", "AWAITING_APPROVAL", "APPROVED", "ACCEPTED")

    class State(models.TextChoices):
        REQUESTED = "REQUESTED"
        REFUSED = "REFUSED"
        AWAITING_APPROVAL = "AWAITING_APPROVAL"
        APPROVED = "APPROVED"
        DISPATCHING = "DISPATCHING"
        UNKNOWN = "UNKNOWN"
        ACCEPTED = "ACCEPTED"
        SUCCEEDED = "SUCCEEDED"
        LEDGER_PENDING = "LEDGER_PENDING"
        FAILED = "FAILED"
        FAILED_LATE = "FAILED_LATE"
        RETURNED = "RETURNED"
        CANCELED = "CANCELED"

    class Source(models.TextChoices):
        CONSOLE = "console"
        API = "api"
        TICKET = "ticket"
        BULK = "bulk"
        PROVIDER = "provider"

    class Obligation(models.TextChoices):
        """What became of the promise once an accepted refund did not reach the customer."""

        NONE = ""
        OWED = "owed"
        RETRIED = "retried"
        LAPSED = "lapsed"
        UNCLAIMED = "unclaimed"

    # Promised and not sent, or sent without an answer: reserved under the capture.
    RESERVED = (
        State.REQUESTED,
        State.AWAITING_APPROVAL,
        State.APPROVED,
        State.DISPATCHING,
        State.UNKNOWN,
    )
    # The provider has it.
    EXECUTED = (State.ACCEPTED, State.SUCCEEDED, State.LEDGER_PENDING)
    UNSENT = (State.REQUESTED, State.AWAITING_APPROVAL, State.APPROVED)

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    payment = models.ForeignKey(Payment, PROTECT, related_name="refunds")
    account = models.ForeignKey(ProviderAccount, PROTECT, related_name="+")
    state = FSMField(default=State.REQUESTED, choices=State, protected=True, max_length=24)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    source = models.CharField(max_length=16, choices=Source)
    reason_code = models.CharField(max_length=48)
    note = models.CharField(max_length=400, blank=True, default="")
    # Named evidence fields as the requester gave them (return tracking number, chat link …).
    evidence = models.JSONField(default=dict, blank=True)
    request_key = models.CharField(max_length=200)
    # None: the provider, or somebody in its console, made it.
    requested_by = models.ForeignKey(Person, PROTECT, null=True, related_name="+")
    ticket_system = models.CharField(max_length=32, blank=True, default="")
    ticket_ref = models.CharField(max_length=120, blank=True, default="")
    # Paid by hand, outside the provider, and recorded here (F26).
    offline = models.BooleanField(default=False)
    offline_ref = models.CharField(max_length=120, blank=True, default="")
    # The platform's own gift: seller and fee bear nothing.
    goodwill = models.BooleanField(default=False)
    ruleset = models.CharField(max_length=64, blank=True, default="")
    approval_id = models.CharField(max_length=40, blank=True, default="")
    # Policy asks for a person who sends what others granted.
    send_by_person = models.BooleanField(default=False)
    sent_by = models.ForeignKey(Person, PROTECT, null=True, related_name="+")
    retry_of = models.OneToOneField("self", PROTECT, null=True, related_name="retried_as")
    # The refund that the customer was promised: the first of its attempts.
    promise_id = models.CharField(max_length=40)
    obligation = models.CharField(max_length=16, choices=Obligation, blank=True, default="")
    provider_ref = models.CharField(max_length=255, blank=True, default="")
    movement_ref = models.CharField(max_length=255, blank=True, default="")
    failure_movement_ref = models.CharField(max_length=255, blank=True, default="")
    failure_code = models.CharField(max_length=64, blank=True, default="")
    failure_message = models.CharField(max_length=240, blank=True, default="")
    refusal = models.CharField(max_length=400, blank=True, default="")
    # Who bears what of it, as posted: the measures of refund.accepted in minor units.
    shares = models.JSONField(default=dict, blank=True)
    # The state it had without the journal's refusal.
    heading_for = models.CharField(max_length=24, blank=True, default="")
    dispatched_at = models.DateTimeField(null=True, blank=True)
    accepted_at = models.DateTimeField(null=True, blank=True)
    succeeded_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)
    money_back_at = models.DateTimeField(null=True, blank=True)

    history = history()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="refund_amount_positive"),
            models.UniqueConstraint(fields=["book", "request_key"], name="refund_request_once"),
            models.UniqueConstraint(
                fields=["book", "account", "provider_ref"],
                condition=~Q(provider_ref=""),
                name="refund_provider_ref",
            ),
        ]
        indexes = [
            models.Index(fields=["book", "state", "-created_at"], name="refund_by_state"),
            models.Index(fields=["provider_ref"], name="refund_by_provider_ref"),
            models.Index(fields=["ticket_ref"], name="refund_by_ticket"),
        ]

    @property
    def amount(self) -> Money:
        return Money(self.amount_minor, self.currency)

    @property
    def is_external(self) -> bool:
        return self.source == self.Source.PROVIDER

    @transition(
        field="state",
        source=[State.REQUESTED, State.AWAITING_APPROVAL, State.APPROVED],
        target=State.REFUSED,
    )
    def refuse(self, *, words: str) -> None:
        self.refusal = words[:400]

    @transition(field="state", source=State.REQUESTED, target=State.AWAITING_APPROVAL)
    def ask_approval(self, *, approval_id: str) -> None:
        self.approval_id = approval_id

    @transition(
        field="state", source=[State.REQUESTED, State.AWAITING_APPROVAL], target=State.APPROVED
    )
    def approve(self) -> None:
        pass

    @transition(
        field="state", source=[State.AWAITING_APPROVAL, State.APPROVED], target=State.CANCELED
    )
    def cancel(self, *, words: str) -> None:
        self.refusal = words[:400]

    @transition(field="state", source=State.APPROVED, target=State.DISPATCHING)
    def dispatch(self, *, at: datetime) -> None:
        self.dispatched_at = at

    @transition(field="state", source=State.DISPATCHING, target=State.UNKNOWN)
    def lose_track(self) -> None:
        pass

    @transition(field="state", source=[State.DISPATCHING, State.UNKNOWN], target=State.ACCEPTED)
    def accept(self, *, provider_ref: str, at: datetime) -> None:
        self.provider_ref = provider_ref
        self.accepted_at = at

    @transition(
        field="state",
        source=[State.DISPATCHING, State.UNKNOWN, State.ACCEPTED],
        target=State.LEDGER_PENDING,
    )
    def wait_for_ledger(self, *, heading_for: str) -> None:
        self.heading_for = heading_for

    @transition(field="state", source=State.LEDGER_PENDING, target=State.ACCEPTED)
    def ledger_has_acceptance(self) -> None:
        self.heading_for = ""

    @transition(field="state", source=State.LEDGER_PENDING, target=State.SUCCEEDED)
    def ledger_has_success(self) -> None:
        self.heading_for = ""

    @transition(field="state", source=State.ACCEPTED, target=State.SUCCEEDED)
    def succeed(self, *, at: datetime) -> None:
        self.succeeded_at = at

    @transition(field="state", source=State.APPROVED, target=State.SUCCEEDED)
    def record_offline(self, *, offline_ref: str, at: datetime) -> None:
        self.offline_ref = offline_ref
        self.accepted_at = self.succeeded_at = at

    @transition(
        field="state",
        source=[State.DISPATCHING, State.UNKNOWN, State.ACCEPTED],
        target=State.FAILED,
    )
    def fail(self, *, code: str, message: str, at: datetime) -> None:
        self.failure_code = code[:64]
        self.failure_message = message[:240]
        self.failed_at = at

    @transition(field="state", source=[State.SUCCEEDED, State.FAILED], target=State.FAILED_LATE)
    def fail_late(self, *, code: str, message: str, at: datetime) -> None:
        self.failure_code = code[:64]
        self.failure_message = message[:240]
        self.failed_at = self.failed_at or at

    @transition(
        field="state",
        source=[State.ACCEPTED, State.SUCCEEDED, State.FAILED, State.FAILED_LATE],
        target=State.RETURNED,
    )
    def come_back(self, *, at: datetime) -> None:
        self.money_back_at = at


class RefundDecision(Record):
    """Why a refund was refused, granted by rule or put to people: every check with its figures."""

    PREFIX = "rd"
    APPEND_ONLY = True

    class Verdict(models.TextChoices):
        REFUSED = "refused"
        AUTO = "auto"
        APPROVAL = "approval"

    book = models.ForeignKey(Book, PROTECT, related_name="+", db_index=False)
    refund = models.ForeignKey(Refund, PROTECT, related_name="decisions")
    # "request": when it was asked for; "send": looked at again before it left.
    stage = models.CharField(max_length=16)
    verdict = models.CharField(max_length=16, choices=Verdict)
    policy = models.ForeignKey("approvals.PolicyVersion", PROTECT, null=True, related_name="+")
    ruleset = models.CharField(max_length=64)
    words = models.CharField(max_length=400)
    # [{"check", "passed", "words", "figures": {…}}, …]
    checks = models.JSONField()
    # What the rules looked at, so that another table can be tried on it.
    facts = models.JSONField()

    class Meta:
        indexes = [models.Index(fields=["book", "-created_at"], name="refund_decision_recent")]
