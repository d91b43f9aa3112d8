"""Disputes of payments: inquiries, chargebacks, their rounds and their end.

What the provider told is kept as facts, from which state, rounds and money follow whatever the
order they came in (`payops/flows/disputes/course.py`). The human work is a case. Serves D9, F1,
RF-15, LJ-12.
"""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Q
from django_fsm import FSMField, transition

from payops.core.models import Book, ProviderAccount, history
from payops.core.money import Money
from payops.core.state import StatefulModel
from payops.payments.models.payments import Payment

PROTECT = models.PROTECT


class Dispute(StatefulModel):
    """One dispute as the provider keeps it; a second round after a won one is the same dispute."""

    PREFIX = "dp"
    INITIAL_STATES = ("INQUIRY", "OPEN", "UNDER_REVIEW", "WON", "LOST", "CLOSED")

    class State(models.TextChoices):
        INQUIRY = "INQUIRY"
        OPEN = "OPEN"
        UNDER_REVIEW = "UNDER_REVIEW"
        WON = "WON"
        LOST = "LOST"
        CLOSED = "CLOSED"

    # While one of these stands, a refund of the charge would be a double loss (D9).
    BLOCKING = (State.INQUIRY, State.OPEN, State.UNDER_REVIEW, State.LOST)
    ENDED = (State.WON, State.LOST, State.CLOSED)

    class Bearer(models.TextChoices):
        SELLER = "seller"
        PLATFORM = "platform"

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    payment = models.ForeignKey(Payment, PROTECT, related_name="disputes")
    account = models.ForeignKey(ProviderAccount, PROTECT, related_name="+")
    state = FSMField(default=State.OPEN, choices=State, protected=True, max_length=24)
    provider_ref = models.CharField(max_length=255)
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    reason_code = models.CharField(max_length=64, blank=True, default="")
    provider_status = models.CharField(max_length=64, blank=True, default="")
    # What the provider itself says; None where it does not.
    refundable = models.BooleanField(null=True, blank=True)
    borne_by = models.CharField(max_length=16, choices=Bearer, default=Bearer.SELLER)
    round = models.PositiveSmallIntegerField(default=1)
    hold_minor = models.BigIntegerField(default=0)
    # A refund of the charge had left before the money was withdrawn: paid twice.
    refunded_before_minor = models.BigIntegerField(default=0)
    evidence_due_at = models.DateTimeField(null=True, blank=True)
    evidence_sent_at = models.DateTimeField(null=True, blank=True)
    opened_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    returned_at = models.DateTimeField(null=True, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    movement_ref = models.CharField(max_length=255, blank=True, default="")
    # Everything told of it, as `dispute_course.Fact` reads it; only ever added to.
    facts = models.JSONField(default=list, blank=True)
    # Who bears what of each round, in minor units, fixed when its money was first booked.
    rounds = models.JSONField(default=list, blank=True)

    history = history()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["book", "account", "provider_ref"], name="dispute_provider_ref"
            ),
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="dispute_amount_positive"),
        ]
        indexes = [
            models.Index(fields=["book", "state", "evidence_due_at"], name="dispute_queue"),
            models.Index(fields=["provider_ref"], name="dispute_by_provider_ref"),
        ]

    @property
    def amount(self) -> Money:
        return Money(self.amount_minor, self.currency)

    @property
    def blocks_refunds(self) -> bool:
        """A closed inquiry or a won dispute frees the charge; the provider's own word counts."""
        if self.refundable is False:
            return self.state not in (self.State.WON, self.State.CLOSED)
        return self.state in self.BLOCKING and not (
            self.refundable and self.state == self.State.INQUIRY
        )

    # An older fact that arrives late may put any state in the place of any other.
    @transition(
        field="state",
        source=[State.OPEN, State.UNDER_REVIEW, State.WON, State.LOST, State.CLOSED],
        target=State.INQUIRY,
    )
    def inquire(self) -> None:
        self.decided_at = None

    @transition(
        field="state",
        source=[State.INQUIRY, State.UNDER_REVIEW, State.WON, State.LOST, State.CLOSED],
        target=State.OPEN,
    )
    def open(self) -> None:
        self.decided_at = None

    @transition(
        field="state",
        source=[State.INQUIRY, State.OPEN, State.WON, State.LOST, State.CLOSED],
        target=State.UNDER_REVIEW,
    )
    def review(self) -> None:
        self.decided_at = None

    @transition(
        field="state",
        source=[State.INQUIRY, State.OPEN, State.UNDER_REVIEW, State.LOST, State.CLOSED],
        target=State.WON,
    )
    def win(self, *, at: datetime) -> None:
        self.decided_at = at

    @transition(
        field="state",
        source=[State.INQUIRY, State.OPEN, State.UNDER_REVIEW, State.WON, State.CLOSED],
        target=State.LOST,
    )
    def lose(self, *, at: datetime) -> None:
        self.decided_at = at

    @transition(
        field="state",
        source=[State.INQUIRY, State.OPEN, State.UNDER_REVIEW, State.WON, State.LOST],
        target=State.CLOSED,
    )
    def close(self, *, at: datetime) -> None:
        self.decided_at = at
