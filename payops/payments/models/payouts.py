"""Money paid to sellers, and what holds it back.

A payout is on hold when an open Hold covers it or its beneficiary; there is no such state. Serves
PX, F2.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import Q
from django_fsm import FSMField, transition

from payops.core.models import Book, Person, ProviderAccount, history
from payops.core.money import Money
from payops.core.records import Record
from payops.core.state import StatefulModel
from payops.payments.models.parties import Beneficiary

PROTECT = models.PROTECT


class Payout(StatefulModel):
    """Money paid to a beneficiary. PAID is not terminal: failure and return come late (D8)."""

    PREFIX = "po"

    class State(models.TextChoices):
        DRAFT = "DRAFT"
        BLOCKED = "BLOCKED"
        AWAITING_APPROVAL = "AWAITING_APPROVAL"
        APPROVED = "APPROVED"
        DISPATCHING = "DISPATCHING"
        UNKNOWN = "UNKNOWN"
        IN_TRANSIT = "IN_TRANSIT"
        PAID = "PAID"
        EXCEPTION = "EXCEPTION"
        FAILED = "FAILED"
        RETURNED = "RETURNED"
        CANCELED = "CANCELED"

    SENT = (State.DISPATCHING, State.UNKNOWN, State.IN_TRANSIT)

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    account = models.ForeignKey(ProviderAccount, PROTECT, related_name="+")
    beneficiary = models.ForeignKey(Beneficiary, PROTECT, related_name="+")
    state = FSMField(default=State.DRAFT, choices=State, protected=True, max_length=24)
    exception_from = models.CharField(max_length=24, blank=True, default="")
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    funding = models.CharField(max_length=16, default="psp_balance")
    merchant_ref = models.CharField(max_length=120)
    provider_ref = models.CharField(max_length=255, blank=True, default="")
    reissue_of = models.OneToOneField("self", PROTECT, null=True, related_name="reissued_as")
    requested_by = models.ForeignKey(Person, PROTECT, related_name="+")
    source = models.CharField(max_length=16, default="console")
    request_key = models.CharField(max_length=160)
    approval_id = models.CharField(max_length=40, blank=True, default="")
    bank_hash = models.CharField(max_length=64)
    blocked_reason = models.CharField(max_length=240, blank=True, default="")
    initiated_at = models.DateTimeField(null=True, blank=True)
    expected_on = models.DateField(null=True, blank=True)
    paid_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)
    money_back_at = models.DateTimeField(null=True, blank=True)
    failure_code = models.CharField(max_length=64, blank=True, default="")
    failure_message = models.CharField(max_length=240, blank=True, default="")
    failure_movement_ref = models.CharField(max_length=255, blank=True, default="")
    trace_reference = models.CharField(max_length=120, blank=True, default="")
    verified_terminal_at = models.DateTimeField(null=True, blank=True)

    history = history()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="payout_amount_positive"),
            models.UniqueConstraint(fields=["book", "request_key"], name="payout_request_once"),
            models.UniqueConstraint(
                fields=["book", "account", "provider_ref"],
                condition=~Q(provider_ref=""),
                name="payout_provider_ref",
            ),
        ]
        indexes = [
            models.Index(fields=["book", "state", "-created_at"], name="payout_by_state"),
            models.Index(fields=["merchant_ref"], name="payout_merchant_ref"),
            models.Index(fields=["provider_ref"], name="payout_by_provider_ref"),
            models.Index(fields=["beneficiary", "-created_at"], name="payout_by_beneficiary"),
        ]

    @property
    def amount(self) -> Money:
        return Money(self.amount_minor, self.currency)

    @transition(field="state", source=[State.DRAFT, State.BLOCKED], target=State.AWAITING_APPROVAL)
    def ask_approval(self, *, approval_id: str) -> None:
        self.approval_id = approval_id
        self.blocked_reason = ""

    @transition(
        field="state",
        source=[State.DRAFT, State.AWAITING_APPROVAL, State.APPROVED],
        target=State.BLOCKED,
    )
    def block(self, *, reason: str) -> None:
        self.blocked_reason = reason

    @transition(
        field="state", source=[State.AWAITING_APPROVAL, State.BLOCKED], target=State.APPROVED
    )
    def approve(self) -> None:
        self.blocked_reason = ""

    @transition(field="state", source=State.APPROVED, target=State.DISPATCHING)
    def dispatch(self, *, at: datetime, expected_on: Any) -> None:
        self.initiated_at = at
        self.expected_on = expected_on

    @transition(field="state", source=State.DISPATCHING, target=State.UNKNOWN)
    def lose_track(self) -> None:
        pass

    @transition(field="state", source=[State.DISPATCHING, State.UNKNOWN], target=State.IN_TRANSIT)
    def accept(self, *, provider_ref: str) -> None:
        self.provider_ref = provider_ref

    @transition(field="state", source=[State.DISPATCHING, State.UNKNOWN], target=State.CANCELED)
    def refuse(self, *, failure_code: str, failure_message: str) -> None:
        self.failure_code = failure_code
        self.failure_message = failure_message

    @transition(
        field="state",
        source=[
            State.DRAFT,
            State.BLOCKED,
            State.AWAITING_APPROVAL,
            State.APPROVED,
            State.IN_TRANSIT,
        ],
        target=State.CANCELED,
    )
    def cancel(self, *, reason: str) -> None:
        self.blocked_reason = reason

    @transition(field="state", source=State.IN_TRANSIT, target=State.PAID)
    def pay(self, *, at: datetime) -> None:
        self.paid_at = at

    @transition(field="state", source=[State.IN_TRANSIT, State.PAID], target=State.EXCEPTION)
    def fall_into_exception(
        self, *, at: datetime, code: str, message: str, movement_ref: str
    ) -> None:
        self.exception_from = self.state
        self.failed_at = at
        self.failure_code = code
        self.failure_message = message
        self.failure_movement_ref = movement_ref

    @transition(field="state", source=State.EXCEPTION, target=State.FAILED)
    def confirm_failed(self) -> None:
        pass

    @transition(field="state", source=State.EXCEPTION, target=State.RETURNED)
    def confirm_returned(self) -> None:
        pass

    @transition(field="state", source=State.FAILED, target=State.RETURNED)
    def reclassify_returned(self, *, at: datetime) -> None:
        self.paid_at = at

    @transition(field="state", source=State.EXCEPTION, target=State.PAID)
    def restore_paid(self) -> None:
        self.exception_from = ""


class Hold(Record):
    """One reason not to pay. Payable only when no open hold covers payout or beneficiary (D7)."""

    PREFIX = "ho"

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    payout = models.ForeignKey(Payout, PROTECT, null=True, related_name="holds")
    beneficiary = models.ForeignKey(Beneficiary, PROTECT, null=True, related_name="holds")
    source = models.CharField(max_length=24)
    reason = models.CharField(max_length=240)
    case_id = models.CharField(max_length=40, blank=True, default="")
    key = models.CharField(max_length=160)
    placed_by = models.ForeignKey(Person, PROTECT, null=True, related_name="+")
    placed_by_service = models.CharField(max_length=64, blank=True, default="")
    released_at = models.DateTimeField(null=True, blank=True)
    released_by = models.ForeignKey(Person, PROTECT, null=True, related_name="+")
    released_by_service = models.CharField(max_length=64, blank=True, default="")
    release_reason = models.CharField(max_length=240, blank=True, default="")

    history = history()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["book", "key"], name="hold_once"),
            models.CheckConstraint(
                condition=Q(payout__isnull=False, beneficiary__isnull=True)
                | Q(payout__isnull=True, beneficiary__isnull=False),
                name="hold_covers_one",
            ),
        ]
        indexes = [
            models.Index(fields=["payout"], condition=Q(released_at=None), name="hold_open_po"),
            models.Index(
                fields=["beneficiary"], condition=Q(released_at=None), name="hold_open_be"
            ),
        ]
