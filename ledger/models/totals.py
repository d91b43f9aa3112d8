"""Folded totals of the lines, and up to where they reach (I17).

Written by the background fold alone (`ledger/balances.py`); a balance is these plus the exact tail
of lines above the cut. Rebuilt at any time from the lines.
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
    """Folded lines: debits and credits in minor units, never negative, wider than one line."""

    id = models.BigAutoField(primary_key=True)
    book = leaf(Book)
    account = models.ForeignKey(Account, PROTECT, related_name="+", db_index=False)
    currency = models.CharField(max_length=3)
    debit_minor = models.DecimalField(max_digits=30, decimal_places=0)
    credit_minor = models.DecimalField(max_digits=30, decimal_places=0)
    reporting_debit_minor = models.DecimalField(max_digits=30, decimal_places=0)
    reporting_credit_minor = models.DecimalField(max_digits=30, decimal_places=0)
    lines = models.BigIntegerField()

    class Meta:
        abstract = True


class AccountTotal(Total):
    """One account, currency and cash-flow tag on one day, and once more for the whole month."""

    class Grain(models.TextChoices):
        DAY = "day"
        MONTH = "month"

    grain = models.CharField(max_length=5, choices=Grain)
    starts_on = models.DateField()
    cash_flow_tag = models.CharField(max_length=32, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["book", "grain", "starts_on", "account", "currency", "cash_flow_tag"],
                name="account_total_once",
            )
        ]


class PartyTotal(Total):
    """One account, party and currency on one day; only accounts that are kept per party."""

    party = models.CharField(max_length=120)
    posting_on = models.DateField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["book", "party", "account", "currency", "posting_on"],
                name="party_total_once",
            )
        ]
