"""What was done and on which evidence, sealed, and the keys that encrypt what is kept."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from payops.core.models.books import Book
from payops.core.models.columns import leaf
from payops.core.models.people import Person
from payops.core.records import CurrentXid, Record, Xid8Field

PROTECT = models.PROTECT


class AuditEvent(Record):
    """Who did what to which record, why and on which evidence (AU-1 to AU-11).

    Inserted unchained in the transaction of the act; AuditSeal chains it afterwards.
    """

    PREFIX = "ae"
    APPEND_ONLY = True

    book = leaf(Book)
    person = models.ForeignKey(Person, PROTECT, null=True, related_name="+", db_index=False)
    service = models.CharField(max_length=64, blank=True, default="")
    login = models.CharField(max_length=150, blank=True, default="")
    channel = models.CharField(max_length=16)
    action = models.CharField(max_length=64)
    subject_id = models.CharField(max_length=64)
    from_state = models.CharField(max_length=24, blank=True, default="")
    to_state = models.CharField(max_length=24, blank=True, default="")
    reason = models.TextField(blank=True, default="")
    evidence = models.JSONField(default=dict, blank=True)
    trace_id = models.CharField(max_length=32, blank=True, default="")
    content_hash = models.CharField(max_length=64)
    xid = Xid8Field(db_default=CurrentXid(), editable=False)

    class Meta:
        indexes = [
            models.Index(fields=["subject_id", "created_at"], name="audit_subject"),
            models.Index(fields=["trace_id"], name="audit_trace"),
            models.Index(fields=["xid"], name="audit_xid"),
            models.Index(fields=["person"], condition=Q(person__isnull=False), name="audit_person"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(person__isnull=False, service="")
                | (Q(person__isnull=True) & ~Q(service="")),
                name="audit_one_actor",
            )
        ]


class AuditSeal(models.Model):
    """One link of the audit chain, written by the leased sealer below the snapshot's xmin."""

    APPEND_ONLY = True

    seq = models.BigIntegerField(primary_key=True)
    audit = models.OneToOneField(AuditEvent, PROTECT, related_name="seal")
    content_hash = models.CharField(max_length=64)
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)
    sealed_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["previous_hash"], name="audit_no_fork")]


class DataKey(Record):
    """An encryption key per book and scope (a day, a payee), wrapped by a versioned master key."""

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    scope = models.CharField(max_length=64)
    master_version = models.PositiveIntegerField()
    wrapped = models.BinaryField()
    erased_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["book", "scope"], name="data_key_once")]


class Evidence(Record):
    """An attached document: hashed, encrypted, never changed (AP-3, PX-17)."""

    APPEND_ONLY = True

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    subject_id = models.CharField(max_length=64)
    filename = models.CharField(max_length=200)
    content_type = models.CharField(max_length=100)
    size_bytes = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64)
    data_key = models.ForeignKey(DataKey, PROTECT, related_name="+")
    ciphertext = models.BinaryField()
    added_by = models.ForeignKey(Person, PROTECT, related_name="+")

    class Meta:
        indexes = [models.Index(fields=["subject_id"], name="evidence_subject")]
