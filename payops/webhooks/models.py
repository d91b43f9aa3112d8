"""What providers sent: every receipt, its raw bytes, and the deduplicated event (the inbox).

A Delivery is the audit record of one received item; a ProviderEvent exists once per (book,
account, dedupe key). Deliveries name their event by the dedupe key, so that a receipt never waits
for another transaction. Serves WH-1 to WH-20.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from payops.core.models import Book, DataKey, ProviderAccount, dead_indexes, history, leaf
from payops.core.records import QueueRow, Record

PROTECT = models.PROTECT
# How an event reached us: posted by the provider, or listed there because no post came (WH-27).
WEBHOOK, LISTING = "webhook", "listing"


class Payload(Record):
    """The raw body exactly as received, encrypted under the book's key of the day (I1)."""

    APPEND_ONLY = True

    book = leaf(Book)
    sha256 = models.CharField(max_length=64)
    size_bytes = models.PositiveIntegerField()
    data_key = models.ForeignKey(DataKey, PROTECT, related_name="+")
    ciphertext = models.BinaryField()


class ProviderEvent(QueueRow, Record):
    """One event of one provider account, processed exactly once."""

    PREFIX = "ev"

    class State(models.TextChoices):
        RECEIVED = "RECEIVED"
        PROCESSED = "PROCESSED"
        IGNORED = "IGNORED"
        PARKED = "PARKED"
        DEAD = "DEAD"
        DISCARDED = "DISCARDED"

    TRANSITIONS = frozenset(
        {
            ("RECEIVED", "PROCESSED"),
            ("RECEIVED", "IGNORED"),
            ("RECEIVED", "PARKED"),
            ("RECEIVED", "DEAD"),
            ("PARKED", "RECEIVED"),
            ("PARKED", "DEAD"),
            ("DEAD", "RECEIVED"),
            ("DEAD", "DISCARDED"),
            ("IGNORED", "RECEIVED"),
        }
    )

    # The receipt written in the same statement holds the account's constraint.
    book = leaf(Book)
    account = leaf(ProviderAccount)
    provider_event_id = models.CharField(max_length=255)
    dedupe_key = models.CharField(max_length=600)
    fingerprint = models.CharField(max_length=64)
    type = models.CharField(max_length=120)
    object_id = models.CharField(max_length=255, blank=True, default="")
    amount_minor = models.BigIntegerField(null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True, default="")
    occurred_at = models.DateTimeField(null=True, blank=True)
    sequence = models.BigIntegerField(null=True, blank=True)
    request_id = models.CharField(max_length=255, blank=True, default="")
    request_idempotency_key = models.CharField(max_length=255, blank=True, default="")
    payload = models.ForeignKey(Payload, PROTECT, related_name="+", db_index=False)
    item_index = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=16, choices=State, default=State.RECEIVED)
    outcome = models.CharField(max_length=240, blank=True, default="")
    reprocessable = models.BooleanField(default=False)
    subject_id = models.CharField(max_length=64, blank=True, default="")
    waits_for = models.CharField(max_length=255, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["book", "account", "dedupe_key"], name="event_once")
        ]
        indexes = [
            models.Index(
                fields=["lane", "due_at"], condition=Q(state="RECEIVED"), name="event_ready"
            ),
            models.Index(
                fields=["book", "waits_for"], condition=Q(state="PARKED"), name="event_parked"
            ),
            *dead_indexes("event", "type", "account"),
            models.Index(fields=["book", "state", "id"], name="event_state"),
            models.Index(fields=["book", "lane", "id"], name="event_lane"),
            models.Index(fields=["book", "type", "id"], name="event_type"),
            models.Index(fields=["account", "id"], name="event_account"),
            models.Index(fields=["subject_id"], name="event_subject"),
            models.Index(fields=["object_id"], name="event_object"),
            models.Index(fields=["provider_event_id"], name="event_provider_id"),
            models.Index(fields=["trace_id"], name="event_trace"),
        ]


class Delivery(Record):
    """One received item: what was checked, what was found, what was answered (WH-8, WH-9)."""

    PREFIX = "wd"
    APPEND_ONLY = True

    book = leaf(Book)
    account = models.ForeignKey(ProviderAccount, PROTECT, related_name="+", db_index=False)
    dedupe_key = models.CharField(max_length=600, blank=True, default="")
    provider_event_id = models.CharField(max_length=255, blank=True, default="")
    fingerprint = models.CharField(max_length=64, blank=True, default="")
    payload = models.ForeignKey(Payload, PROTECT, null=True, related_name="+", db_index=False)
    item_index = models.PositiveIntegerField(default=0)
    sha256 = models.CharField(max_length=64)
    size_bytes = models.PositiveIntegerField()
    headers = models.JSONField(default=dict)
    remote_ip = models.GenericIPAddressField(null=True)
    allowlist_ok = models.BooleanField(null=True)
    signature_ok = models.BooleanField()
    signature_reason = models.CharField(max_length=64, blank=True, default="")
    secret_id = models.UUIDField(null=True)
    duplicate = models.BooleanField(default=False)
    status_sent = models.PositiveSmallIntegerField()
    trace_id = models.CharField(max_length=32, blank=True, default="")
    channel = models.CharField(max_length=8, default=WEBHOOK, db_default=WEBHOOK)

    class Meta:
        indexes = [
            models.Index(fields=["account", "dedupe_key"], name="delivery_event"),
            models.Index(fields=["account", "created_at"], name="delivery_recent"),
            models.Index(
                fields=["account", "created_at", "id"],
                condition=Q(signature_ok=False, channel=WEBHOOK),
                name="delivery_refused",
            ),
        ]


class Secret(Record):
    """A webhook secret of an account; several may be live at once (WH-30).

    One without `active_from` verifies nothing: it waits for the request `approval_id`, or was
    given up with it.
    """

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    account = models.ForeignKey(ProviderAccount, PROTECT, related_name="+")
    data_key = models.ForeignKey(DataKey, PROTECT, related_name="+")
    ciphertext = models.BinaryField()
    hint = models.CharField(max_length=16)
    active_from = models.DateTimeField(null=True, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)
    approval_id = models.CharField(max_length=40, blank=True, default="")

    history = history()


class SecretUse(Record):
    """How many receipts a secret verified on a day, and when last; folded from the receipts."""

    secret = models.ForeignKey(Secret, PROTECT, related_name="uses")
    day = models.DateField()
    receipts = models.PositiveBigIntegerField(default=0)
    last_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["secret", "day"], name="secret_use_day")]


class AllowlistEntry(Record):
    """A network a provider account's webhooks may come from (WH-3).

    `origin` is the DNS name it was resolved from, or the label of the text list. `approval_id`
    brought it, `removal_approval_id` took it away; a resolved address that is answered no more
    goes without one.
    """

    class Source(models.TextChoices):
        TEXT = "text"
        DNS = "dns"

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    account = models.ForeignKey(ProviderAccount, PROTECT, related_name="+")
    network = models.CharField(max_length=43)
    source = models.CharField(max_length=8, choices=Source)
    origin = models.CharField(max_length=253)
    approval_id = models.CharField(max_length=40, blank=True, default="")
    seen_at = models.DateTimeField(null=True, blank=True)
    removed_at = models.DateTimeField(null=True, blank=True)
    removal_approval_id = models.CharField(max_length=40, blank=True, default="")

    history = history()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "network", "origin"],
                condition=Q(removed_at=None),
                name="allowlist_network_once",
            )
        ]


class AllowlistName(Record):
    """A DNS name whose addresses are kept on a provider account's allowlist (WH-3)."""

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    account = models.ForeignKey(ProviderAccount, PROTECT, related_name="+")
    name = models.CharField(max_length=253)
    approval_id = models.CharField(max_length=40)
    tried_at = models.DateTimeField(null=True, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=240, blank=True, default="")
    removed_at = models.DateTimeField(null=True, blank=True)
    removal_approval_id = models.CharField(max_length=40, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "name"],
                condition=Q(removed_at=None),
                name="allowlist_name_once",
            )
        ]


class RefusalCount(Record):
    """Refused requests of one minute, apart from business events (WH-31).

    `kept` left a receipt, `dropped` left none. `account` is null where the address named none.
    """

    account = models.ForeignKey(ProviderAccount, PROTECT, null=True, related_name="+")
    reason = models.CharField(max_length=64)
    minute = models.DateTimeField()
    kept = models.PositiveBigIntegerField(default=0)
    dropped = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "reason", "minute"],
                nulls_distinct=False,
                name="refusal_count_once",
            )
        ]
        indexes = [models.Index(fields=["minute"], name="refusal_count_minute")]


class FoldMark(Record):
    """Up to when the receipts of an account are folded into a summary (SecretUse)."""

    account = models.OneToOneField(ProviderAccount, PROTECT, related_name="+")
    until = models.DateTimeField()


class Verification(Record):
    """What the provider said when an event was checked against it before acting (WH-15)."""

    APPEND_ONLY = True

    class Verdict(models.TextChoices):
        AGREES = "agrees"
        DIFFERS = "differs"
        ABSENT = "absent"
        UNANSWERED = "unanswered"

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    event = models.ForeignKey(ProviderEvent, PROTECT, related_name="verifications")
    cause = models.CharField(max_length=16)
    verdict = models.CharField(max_length=16, choices=Verdict)
    provider_status = models.CharField(max_length=64, blank=True, default="")
    amount_minor = models.BigIntegerField(null=True)
    currency = models.CharField(max_length=3, blank=True, default="")
    # The canonical kinds that the provider's state proves to have happened.
    reached = models.JSONField(default=list)
    words = models.CharField(max_length=400)
    asked_at = models.DateTimeField()


class Listing(Record):
    """One comparison of the provider's own list of events with the register (WH-27)."""

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    account = models.ForeignKey(ProviderAccount, PROTECT, related_name="+")
    since = models.DateTimeField()
    until = models.DateTimeField()
    listed = models.PositiveIntegerField(default=0)
    known = models.PositiveIntegerField(default=0)
    missing = models.PositiveIntegerField(default=0)
    error = models.CharField(max_length=240, blank=True, default="")
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["account", "-created_at"], name="listing_recent")]
