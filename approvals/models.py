"""Approvals: who may decide, who asked, who decided, on exactly which content (AP, D2, D5, D6).

Knows its subjects only by kind, public id, amount, currency and facts. A decision is bound to the
hash of what was shown; one decision per person; the requester is barred by a database constraint.
"""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import F, Q
from django_fsm import FSMField, transition

from payops.core.models import Book, Person, User, history
from payops.core.records import Record
from payops.core.state import StatefulModel

PROTECT = models.PROTECT


class PolicyVersion(Record):
    """One version of a policy table of a book; append-only, activated by approval."""

    APPEND_ONLY = True

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    name = models.CharField(max_length=48)
    version = models.PositiveIntegerField()
    rules = models.JSONField()
    content_hash = models.CharField(max_length=64)
    approval_id = models.CharField(max_length=40, blank=True, default="")
    active_from = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["book", "name", "version"], name="policy_version_once")
        ]


class ApprovalRequest(StatefulModel):
    """A question put to named seats about exactly one content."""

    PREFIX = "ap"

    class State(models.TextChoices):
        PENDING = "PENDING"
        APPROVED = "APPROVED"
        REJECTED = "REJECTED"
        EXPIRED = "EXPIRED"
        VOID = "VOID"
        WITHDRAWN = "WITHDRAWN"

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    state = FSMField(default=State.PENDING, choices=State, protected=True, max_length=24)
    kind = models.CharField(max_length=48)
    subject_id = models.CharField(max_length=64)
    title = models.CharField(max_length=200)
    amount_minor = models.BigIntegerField(null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True, default="")
    reporting_minor = models.BigIntegerField(null=True, blank=True)
    cumulative_key = models.CharField(max_length=120, blank=True, default="")
    business_day = models.DateField()
    risk = models.CharField(max_length=8, default="normal")
    facts = models.JSONField()
    consequences = models.JSONField(default=list)
    content_hash = models.CharField(max_length=64)
    requested_by = models.ForeignKey(Person, PROTECT, related_name="+")
    requested_login = models.CharField(max_length=150, blank=True, default="")
    requested_channel = models.CharField(max_length=16)
    barred = models.JSONField(default=list)
    reason = models.TextField()
    policy_version = models.ForeignKey(PolicyVersion, PROTECT, related_name="+")
    tier = models.CharField(max_length=48)
    rule_fired = models.CharField(max_length=240)
    seats = models.JSONField()
    expires_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True, blank=True)
    executed_at = models.DateTimeField(null=True, blank=True)
    void_reason = models.CharField(max_length=240, blank=True, default="")

    history = history()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["book", "kind", "subject_id"],
                condition=Q(state="PENDING"),
                name="approval_pending_once",
            ),
            models.UniqueConstraint(fields=["id", "requested_by"], name="approval_requester"),
        ]
        indexes = [
            models.Index(fields=["book", "state", "-created_at"], name="approval_queue"),
            models.Index(fields=["cumulative_key", "business_day"], name="approval_cumulative"),
            models.Index(fields=["subject_id"], name="approval_subject"),
        ]

    @transition(field="state", source=State.PENDING, target=State.APPROVED)
    def approve(self, *, at: datetime) -> None:
        self.decided_at = at

    @transition(field="state", source=State.PENDING, target=State.REJECTED)
    def reject(self, *, at: datetime) -> None:
        self.decided_at = at

    @transition(field="state", source=State.PENDING, target=State.EXPIRED)
    def expire(self, *, at: datetime) -> None:
        self.decided_at = at

    @transition(field="state", source=State.PENDING, target=State.WITHDRAWN)
    def withdraw(self, *, at: datetime) -> None:
        self.decided_at = at

    @transition(field="state", source=[State.PENDING, State.APPROVED], target=State.VOID)
    def void(self, *, reason: str) -> None:
        self.void_reason = reason


class ApprovalDecision(Record):
    """One person's decision in one seat, with what they saw and why (AP-3, AP-5)."""

    PREFIX = "ad"
    APPEND_ONLY = True

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    request = models.ForeignKey(ApprovalRequest, PROTECT, related_name="decisions")
    requester = models.ForeignKey(Person, PROTECT, related_name="+")
    person = models.ForeignKey(Person, PROTECT, related_name="+")
    user = models.ForeignKey(User, PROTECT, related_name="+")
    login = models.CharField(max_length=150)
    seat = models.CharField(max_length=32)
    verdict = models.CharField(max_length=8, choices=[("approve", "approve"), ("reject", "reject")])
    reason = models.TextField()
    evidence = models.JSONField(default=list)
    content_hash = models.CharField(max_length=64)
    policy_version = models.PositiveIntegerField()
    stepped_up_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["request", "person"], name="decision_one_per_person"),
            models.UniqueConstraint(
                fields=["request", "seat"],
                condition=Q(verdict="approve"),
                name="decision_one_per_seat",
            ),
            models.CheckConstraint(
                condition=~Q(person=F("requester")), name="decision_not_by_requester"
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="decision_has_reason"),
        ]
