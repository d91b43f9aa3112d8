"""Whom payments are collected for and payouts go to."""

from __future__ import annotations

from django.db import models

from payops.core.models import Book, DataKey, Person, history
from payops.core.records import Record

PROTECT = models.PROTECT


class Beneficiary(Record):
    """A seller we pay. Bank details are encrypted; only their mask and keyed hash are readable."""

    PREFIX = "be"

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    reference = models.CharField(max_length=64)
    name = models.CharField(max_length=160)
    country = models.CharField(max_length=2)
    currency = models.CharField(max_length=3)
    risk = models.CharField(
        max_length=8, default="normal", choices=[("normal", "normal"), ("raised", "raised")]
    )
    data_key = models.ForeignKey(DataKey, PROTECT, related_name="+")
    bank_ciphertext = models.BinaryField()
    bank_hash = models.CharField(max_length=64)
    bank_masked = models.CharField(max_length=48)
    bank_changed_at = models.DateTimeField()
    bank_changed_by = models.ForeignKey(Person, PROTECT, null=True, related_name="+")
    bank_change_approval_id = models.CharField(max_length=40, blank=True, default="")
    payable_from = models.DateTimeField()
    destination_token = models.CharField(max_length=120)
    verified_at = models.DateTimeField(null=True, blank=True)
    verified_by = models.ForeignKey(Person, PROTECT, null=True, related_name="+")
    verified_evidence = models.CharField(max_length=240, blank=True, default="")

    history = history()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["book", "reference"], name="beneficiary_reference")
        ]

    def __str__(self) -> str:
        return self.name
