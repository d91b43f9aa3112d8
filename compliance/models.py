"""Gate decisions: why a payout was released or blocked, one record each (CT-16, I13).

The database lets no payout leave without a passed decision written for exactly its content.
"""

from __future__ import annotations

from django.db import models

from payops.core.models import Book
from payops.core.records import Record


class GateDecision(Record):
    """The outcome of every gate for one payout at one moment; unknown is blocked."""

    PREFIX = "gd"
    APPEND_ONLY = True

    book = models.ForeignKey(Book, models.PROTECT, related_name="+")
    payout_id = models.UUIDField()
    passed = models.BooleanField()
    ruleset = models.CharField(max_length=32)
    results = models.JSONField()
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    bank_hash = models.CharField(max_length=64)
    approval_id = models.CharField(max_length=40, blank=True, default="")

    class Meta:
        indexes = [models.Index(fields=["payout_id", "-created_at"], name="gate_by_payout")]
