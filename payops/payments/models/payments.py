"""A customer's payment, and how much of it may still be refunded.

`reserved_minor` and `refunded_minor` are counted from the refunds under the payment's lock; the
database holds their sum below what was captured (I6). Serves WH-29, RF-10.
"""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import F, Q
from django_fsm import FSMField, transition

from payops.core.models import Book, ProviderAccount, history
from payops.core.money import Money
from payops.core.state import StatefulModel
from payops.payments.models.parties import Beneficiary

PROTECT = models.PROTECT


class Payment(StatefulModel):
    """A customer's payment collected through a PSP on behalf of a seller."""

    PREFIX = "pa"
    INITIAL_STATES = ("AUTHORIZED", "CAPTURED", "FAILED", "CANCELED")

    class State(models.TextChoices):
        AUTHORIZED = "AUTHORIZED"
        CAPTURED = "CAPTURED"
        FAILED = "FAILED"
        CANCELED = "CANCELED"

    # Without indexes of their own: those below begin with the same columns.
    book = models.ForeignKey(Book, PROTECT, related_name="+", db_index=False)
    account = models.ForeignKey(ProviderAccount, PROTECT, related_name="+", db_index=False)
    beneficiary = models.ForeignKey(Beneficiary, PROTECT, related_name="+")
    state = FSMField(default=State.AUTHORIZED, choices=State, protected=True, max_length=24)
    provider_ref = models.CharField(max_length=255)
    merchant_ref = models.CharField(max_length=120, blank=True, default="")
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    captured_minor = models.BigIntegerField(default=0)
    # Counted from the refunds by `refundable.recount`, never set by hand.
    reserved_minor = models.BigIntegerField(default=0)
    refunded_minor = models.BigIntegerField(default=0)
    # What providers refunded beyond the capture: a fact that people must see, not a promise.
    over_refunded_minor = models.BigIntegerField(default=0)
    fee_minor = models.BigIntegerField(default=0)
    platform_fee_minor = models.BigIntegerField(default=0)
    method = models.CharField(max_length=32, blank=True, default="")
    failure_code = models.CharField(max_length=64, blank=True, default="")
    captured_at = models.DateTimeField(null=True, blank=True)

    history = history()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["book", "account", "provider_ref"], name="payment_provider_ref"
            ),
            models.CheckConstraint(
                condition=Q(captured_minor__gte=0, captured_minor__lte=F("amount_minor")),
                name="payment_captured_within_amount",
            ),
            models.CheckConstraint(
                condition=Q(
                    reserved_minor__gte=0,
                    refunded_minor__gte=0,
                    over_refunded_minor__gte=0,
                    captured_minor__gte=F("reserved_minor") + F("refunded_minor"),
                ),
                name="payment_refunds_within_capture",
            ),
        ]
        indexes = [
            models.Index(fields=["book", "-created_at"], name="payment_recent"),
            models.Index(fields=["merchant_ref"], name="payment_merchant_ref"),
            models.Index(fields=["provider_ref"], name="payment_by_provider_ref"),
        ]

    @property
    def amount(self) -> Money:
        return Money(self.amount_minor, self.currency)

    @property
    def refundable(self) -> Money:
        """What no refund has taken or reserved; true only under the payment's lock."""
        left = self.captured_minor - self.reserved_minor - self.refunded_minor
        return Money(left, self.currency)

    @transition(field="state", source=State.AUTHORIZED, target=State.CAPTURED)
    def capture(self, *, captured_minor: int, at: datetime) -> None:
        self.captured_minor = captured_minor
        self.captured_at = at

    @transition(field="state", source=State.AUTHORIZED, target=State.FAILED)
    def fail(self, *, failure_code: str) -> None:
        self.failure_code = failure_code

    @transition(field="state", source=State.AUTHORIZED, target=State.CANCELED)
    def cancel(self) -> None:
        pass
