"""Folded totals of the lines, and up to where they reach (I17).

Written by the background fold alone (`ledger/folding.py`) and read with the exact tail of lines
above the cut (`ledger/balances.py`). Rebuilt at any time from the lines.
"""

from __future__ import annotations

from django.db import models

from ledger.models.journal import Account
from payops.core.models import Book, leaf
from payops.core.records import Xid8Field

PROTECT = models.PROTECT


class BalanceCut(models.Model):
    """Up to which transaction the lines of a book are folded into its totals."""

    book = models.OneToOneField(Book, PROTECT, primary_key=True, related_name="+")
    cut = Xid8Field(default=0)
    folded_at = models.DateTimeField(null=True)


class Total(models.Model):
    """Folded lines: debits and credits in minor units, never negative, wider than one line.

    Each line is in one row per day and once more in one per month, whose `starts_on` is its first.
    """

    class Grain(models.TextChoices):
        DAY = "day"
        MONTH = "month"

    id = models.BigAutoField(primary_key=True)
    book = leaf(Book)
    account = models.ForeignKey(Account, PROTECT, related_name="+", db_index=False)
    currency = models.CharField(max_length=3)
    grain = models.CharField(max_length=5, choices=Grain)
    starts_on = models.DateField()
    debit_minor = models.DecimalField(max_digits=30, decimal_places=0)
    credit_minor = models.DecimalField(max_digits=30, decimal_places=0)
    reporting_debit_minor = models.DecimalField(max_digits=30, decimal_places=0)
    reporting_credit_minor = models.DecimalField(max_digits=30, decimal_places=0)
    lines = models.BigIntegerField()

    class Meta:
        abstract = True


class AccountTotal(Total):
    """One account, currency and cash-flow tag, all parties together."""

    cash_flow_tag = models.CharField(max_length=32, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["book", "grain", "starts_on", "account", "currency", "cash_flow_tag"],
                name="account_total_once",
            )
        ]
        indexes = [
            models.Index(
                fields=["book", "account", "currency", "grain", "starts_on"],
                name="account_total_of",
            )
        ]


class PartyTotal(Total):
    """One account, party and currency; lines that are kept per nobody are under the party ""."""

    party = models.CharField(max_length=120, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["book", "account", "currency", "party", "grain", "starts_on"],
                name="party_total_once",
            )
        ]
        indexes = [models.Index(fields=["book", "party"], name="party_total_of")]
