"""Tables that everybody may use: people, books, accounts, rates, audit, outbox, keys, evidence.

A Person is a human being; a User is a login. Approvals count persons. Books are legal entities;
sign-ins, grants and system events belong to the system book.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q
from simple_history.models import HistoricalRecords

from payops.core.records import CurrentXid, QueueRow, Record, Xid8Field
from payops.core.roles import Act, Role

PROTECT = models.PROTECT


def history() -> HistoricalRecords:
    """simple-history as the house uses it: big keys, free-text reason, no silent user lookup."""
    return HistoricalRecords(
        history_id_field=models.BigAutoField(),
        history_change_reason_field=models.TextField(null=True),
    )


def leaf(to: Any) -> Any:
    """A reference from a table that grows by every event to one whose rows are never deleted.

    Neither index nor constraint: see docs/adr/0007-leaner-leaf-tables.md for what holds instead.
    """
    return models.ForeignKey(to, PROTECT, related_name="+", db_index=False, db_constraint=False)


def dead_indexes(name: str, kind_column: str, *more: str) -> list[models.Index]:
    """What the dead-letter screen filters by, each in the order it pages; dead rows are few."""
    columns = ("book", kind_column, "cause", "lane", "failure_kind", "owner", *more)
    return [
        models.Index(
            fields=[*dict.fromkeys(("book", column)), "last_failed_at", "id"],
            condition=Q(state="DEAD"),
            name=f"{name}_dead_{column}"[:30],
        )
        for column in columns
    ]


class Book(Record):
    """A legal entity with its reporting currency, accounting day and limits."""

    NEVER_DELETED = True

    code = models.SlugField(max_length=32, unique=True)
    name = models.CharField(max_length=120)
    reporting_currency = models.CharField(max_length=3, default="EUR")
    time_zone = models.CharField(max_length=64, default="Europe/Berlin")
    late_event_policy = models.CharField(
        max_length=16,
        default="first_open_day",
        choices=[(p, p) for p in ("first_open_day", "block", "approve")],
    )
    case_storm_cap = models.PositiveIntegerField(default=25)
    case_storm_window_s = models.PositiveIntegerField(default=60)
    protective_hold = models.BooleanField(default=True)
    hold_rollback_allowed = models.BooleanField(default=True)
    typed_confirmation_above_minor = models.BigIntegerField(default=1_000_000)
    bank_detail_cooldown_hours = models.PositiveIntegerField(default=24)
    # How the journal is kept (docs/journal-matrix.md); changed through approval alone.
    authorization_policy = models.CharField(
        max_length=16, default="none", choices=[(p, p) for p in ("none", "memo", "pending")]
    )
    presentation = models.CharField(
        max_length=8, default="net", choices=[(p, p) for p in ("net", "gross")]
    )
    refund_fee_policy = models.CharField(
        max_length=16, default="returned", choices=[(p, p) for p in ("returned", "kept")]
    )
    fiscal_year_start_month = models.PositiveSmallIntegerField(default=1)
    penny_cap_minor = models.BigIntegerField(default=100)
    late_approval_above_minor = models.BigIntegerField(default=5_000_000)
    # The ERP takes nothing dated up to this day any more (ERP-9).
    erp_locked_until = models.DateField(null=True, blank=True)
    # Who granted the latest change of the columns above.
    approval_id = models.CharField(max_length=40, blank=True, default="")
    is_system = models.BooleanField(default=False)

    history = history()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(fiscal_year_start_month__range=(1, 12)), name="book_fiscal_year"
            ),
            models.CheckConstraint(
                condition=Q(penny_cap_minor__gte=0, late_approval_above_minor__gte=0),
                name="book_limits",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Person(Record):
    """A human being. The chain of audit rows names the id; the name is kept here, apart from it."""

    name = models.CharField(max_length=120)
    email = models.EmailField(blank=True, default="")
    approval_id = models.CharField(max_length=40, blank=True, default="")
    left_at = models.DateTimeField(null=True, blank=True)

    history = history()

    def __str__(self) -> str:
        return self.name

    def roles_at(self, at: datetime) -> frozenset[Role]:
        grants = self.role_grants.filter(granted_at__lte=at).filter(
            Q(revoked_at=None) | Q(revoked_at__gt=at)
        )
        return frozenset(Role(role) for role in grants.values_list("role", flat=True))


class User(AbstractUser):
    """A login. Two logins of one person are one person."""

    person = models.ForeignKey(Person, PROTECT, null=True, related_name="logins")
    link_approval_id = models.CharField(max_length=40, blank=True, default="")
    first_name = None  # type: ignore[assignment]
    last_name = None  # type: ignore[assignment]

    def get_full_name(self) -> str:
        return self.person.name if self.person else self.username


class RoleGrant(Record):
    """One person's role from one moment to another; governed by approval (D5)."""

    person = models.ForeignKey(Person, PROTECT, related_name="role_grants")
    role = models.CharField(max_length=32, choices=[(r.value, r.value) for r in Role])
    granted_at = models.DateTimeField()
    granted_by = models.ForeignKey(Person, PROTECT, null=True, related_name="+")
    approval_id = models.CharField(max_length=40, blank=True, default="")
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.ForeignKey(Person, PROTECT, null=True, related_name="+")

    history = history()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["person", "role"], condition=Q(revoked_at=None), name="role_held_once"
            )
        ]


class ProviderAccount(Record):
    """One account at one provider. `slug` is its place in the webhook address."""

    NEVER_DELETED = True

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    provider = models.CharField(max_length=32)
    slug = models.SlugField(max_length=64)
    live = models.BooleanField(default=False)
    currency = models.CharField(max_length=3, default="EUR")
    settlement_lag_days = models.PositiveIntegerField(default=2)
    payout_lag_days = models.PositiveIntegerField(default=5)
    verify_policy = models.CharField(
        max_length=16,
        default="never",
        choices=[(p, p) for p in ("never", "when_money_moves", "always")],
    )
    # Provider values that are ours by configuration: PayPal's webhook id, Adyen's merchant account.
    settings = models.JSONField(default=dict, blank=True)
    allowlist_mode = models.CharField(
        max_length=8, default="observe", choices=[(m, m) for m in ("off", "observe", "enforce")]
    )
    calls_per_s = models.PositiveSmallIntegerField(default=20)
    listing_every_s = models.PositiveIntegerField(default=900)
    park_deadline_s = models.PositiveIntegerField(default=3600)
    # Who granted the latest change of the columns above.
    approval_id = models.CharField(max_length=40, blank=True, default="")
    cutoff_time = models.TimeField(null=True, blank=True)
    cutoff_time_zone = models.CharField(max_length=64, default="Europe/Berlin")

    history = history()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["provider", "slug"], name="provider_account_address")
        ]

    @property
    def address(self) -> str:
        return f"{self.provider}/{self.slug}"

    def __str__(self) -> str:
        return self.address


class Rate(Record):
    """Units of `quote` per one unit of `base`, with source and time. Unknown is never guessed."""

    APPEND_ONLY = True

    base = models.CharField(max_length=3)
    quote = models.CharField(max_length=3)
    rate = models.DecimalField(max_digits=20, decimal_places=10)
    source = models.CharField(max_length=64)
    as_of = models.DateTimeField()
    approval_id = models.CharField(max_length=40, blank=True, default="")

    class Meta:
        indexes = [models.Index(fields=["base", "quote", "-as_of"], name="rate_latest")]
        constraints = [models.CheckConstraint(condition=Q(rate__gt=0), name="rate_positive")]


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


class Message(QueueRow, Record):
    """News that travels from one flow to another; the outbox (D4: never only in the broker)."""

    class State(models.TextChoices):
        PENDING = "PENDING"
        DONE = "DONE"
        DEAD = "DEAD"
        DISCARDED = "DISCARDED"

    TRANSITIONS = frozenset(
        {
            ("PENDING", "DONE"),
            ("PENDING", "DEAD"),
            ("DEAD", "PENDING"),
            ("DEAD", "DISCARDED"),
        }
    )

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    topic = models.CharField(max_length=64)
    key = models.CharField(max_length=160)
    payload = models.JSONField(default=dict)
    # Who is asked: in a lane that takes turns, many waiting for one hold up nobody else.
    turn = models.CharField(max_length=40, blank=True, default="", db_default="")
    state = models.CharField(max_length=16, choices=State, default=State.PENDING)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["book", "topic", "key"], name="message_once")
        ]
        indexes = [
            models.Index(
                fields=["lane", "due_at"], condition=Q(state="PENDING"), name="message_ready"
            ),
            *dead_indexes("message", "topic"),
        ]


class IdempotencyKey(Record):
    """An API call's key with the fingerprint of its facts and the answer it was given (LJ-14)."""

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    scope = models.CharField(max_length=80)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    answer = models.JSONField()

    APPEND_ONLY = True

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["book", "scope", "key"], name="idempotency_once")
        ]


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


class ApiKey(Record):
    """An internal system's key; only its hash is kept. Its permissions are governed (D5)."""

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    system = models.SlugField(max_length=64)
    key_hash = models.CharField(max_length=64, unique=True)
    acts = models.JSONField(default=list)
    approval_id = models.CharField(max_length=40, blank=True, default="")
    requested_by = models.ForeignKey(Person, PROTECT, null=True, related_name="+")
    revoked_at = models.DateTimeField(null=True, blank=True)

    history = history()

    def allows(self, act: Act) -> bool:
        return self.revoked_at is None and act.value in self.acts


class Job(Record):
    """Many rows acted on in the background: one plan, one outcome per row (F8)."""

    PREFIX = "jb"

    class State(models.TextChoices):
        QUEUED = "QUEUED"
        RUNNING = "RUNNING"
        DONE = "DONE"
        CANCELED = "CANCELED"

    TRANSITIONS = frozenset(
        {
            ("QUEUED", "RUNNING"),
            ("QUEUED", "CANCELED"),
            ("RUNNING", "DONE"),
            ("RUNNING", "CANCELED"),
        }
    )

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    kind = models.CharField(max_length=40)
    title = models.CharField(max_length=160)
    arguments = models.JSONField(default=dict)
    person = models.ForeignKey(Person, PROTECT, related_name="+")
    login = models.CharField(max_length=150)
    state = models.CharField(max_length=16, choices=State, default=State.QUEUED)
    total = models.PositiveIntegerField(default=0)
    succeeded = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    cancel_asked_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    trace_id = models.CharField(max_length=32, blank=True, default="")

    class Meta:
        indexes = [models.Index(fields=["book", "-created_at"], name="job_recent")]


class JobRow(Record):
    """One row of a job and what came of it."""

    class Outcome(models.TextChoices):
        WAITING = "WAITING"
        SUCCEEDED = "SUCCEEDED"
        REFUSED = "REFUSED"
        FAILED = "FAILED"
        SKIPPED = "SKIPPED"

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    job = models.ForeignKey(Job, PROTECT, related_name="rows")
    position = models.PositiveIntegerField()
    subject_id = models.CharField(max_length=64)
    label = models.CharField(max_length=160, blank=True, default="")
    outcome = models.CharField(max_length=16, choices=Outcome, default=Outcome.WAITING)
    words = models.CharField(max_length=400, blank=True, default="")
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "position"], name="job_row_position"),
            models.UniqueConstraint(fields=["job", "subject_id"], name="job_row_once"),
        ]


class SavedView(Record):
    """A named set of filters of one screen, kept by a person, shared with roles."""

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    owner = models.ForeignKey(Person, PROTECT, related_name="+")
    screen = models.CharField(max_length=32)
    name = models.CharField(max_length=80)
    query = models.CharField(max_length=2000, blank=True, default="")
    shared_with = models.JSONField(default=list, blank=True)
    pinned = models.BooleanField(default=False)
    removed_at = models.DateTimeField(null=True, blank=True)

    history = history()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "screen", "name"],
                condition=Q(removed_at=None),
                name="saved_view_name",
            )
        ]


class ScheduleSlot(models.Model):
    """A schedule's run as a unique row: two schedulers do the work once."""

    name = models.CharField(max_length=64)
    slot = models.CharField(max_length=32)
    ran_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name", "slot"], name="schedule_slot_once")]
