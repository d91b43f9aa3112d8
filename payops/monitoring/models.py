"""What the product counts about itself: rollups, series and alerts; never a source of a decision.

Rollups are folded in the background from rows that exist anyway (audit rows and receipts), so that
nothing is counted in the transactions of the accept path or the journal, and no screen scans the
register. An alert is a rule's finding with its numbers, open until the rule says otherwise. Serves
OB-1 to OB-5, OB-9, WH-31, AI-5 and F34.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from payops.core.models import Book, Person, ProviderAccount
from payops.core.records import Record

PROTECT = models.PROTECT


class FoldMark(models.Model):
    """How far a fold has come: an exclusive bound, as a transaction id or as a moment."""

    name = models.CharField(max_length=32, primary_key=True)
    xid = models.BigIntegerField(default=0)
    at = models.DateTimeField(null=True)


class EventMinute(models.Model):
    """Events decided in one minute: how many, how they ended, how long they took.

    `from_receipt` and `from_provider` count events per bucket of `buckets.LATENCY_MS`, from our
    receipt and from the time the provider says it happened.
    """

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    account = models.ForeignKey(ProviderAccount, PROTECT, related_name="+")
    family = models.CharField(max_length=16)
    lane = models.CharField(max_length=16)
    minute = models.DateTimeField()
    processed = models.PositiveIntegerField(default=0)
    ignored = models.PositiveIntegerField(default=0)
    dead = models.PositiveIntegerField(default=0)
    from_receipt = ArrayField(models.BigIntegerField())
    from_provider = ArrayField(models.BigIntegerField())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["book", "account", "family", "lane", "minute"], name="event_minute_once"
            )
        ]
        indexes = [models.Index(fields=["minute"], name="event_minute_time")]


class Signal(models.Model):
    """One counted series, in slots of five minutes: what the rules and their baselines read.

    `name` is a key of `signals.SIGNALS`; `scope` says of whom: an account's address, an account
    and a method, a country, a lane. A slot without a row is a slot in which nothing came.
    """

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    name = models.CharField(max_length=24)
    scope = models.CharField(max_length=160)
    slot_at = models.DateTimeField()
    value = models.PositiveBigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["book", "name", "scope", "slot_at"], name="signal_once")
        ]
        indexes = [models.Index(fields=["name", "slot_at"], name="signal_time")]


class Alert(Record):
    """A rule's finding: what was measured, what was expected from which history, since when.

    Opened and closed by the rule alone; a person may acknowledge it, which changes no rule.
    """

    PREFIX = "al"

    class State(models.TextChoices):
        OPEN = "OPEN"
        ACKNOWLEDGED = "ACKNOWLEDGED"
        CLOSED = "CLOSED"

    TRANSITIONS = frozenset(
        {
            ("OPEN", "ACKNOWLEDGED"),
            ("OPEN", "CLOSED"),
            ("ACKNOWLEDGED", "CLOSED"),
        }
    )

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    rule = models.CharField(max_length=32)
    rule_version = models.PositiveSmallIntegerField()
    scope = models.CharField(max_length=160)
    state = models.CharField(max_length=16, choices=State, default=State.OPEN)
    title = models.CharField(max_length=200)
    explanation = models.TextField()
    facts = models.JSONField(default=dict)
    since = models.DateTimeField()
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.ForeignKey(Person, PROTECT, null=True, related_name="+")
    closed_at = models.DateTimeField(null=True, blank=True)
    closing_words = models.TextField(blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["book", "rule", "scope"],
                condition=~Q(state="CLOSED"),
                name="alert_open_once",
            )
        ]
        indexes = [models.Index(fields=["book", "-created_at"], name="alert_recent")]

    @property
    def is_open(self) -> bool:
        return self.state != self.State.CLOSED
