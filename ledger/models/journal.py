"""The journal: accounts, periods, entries and lines. The accounting source (LJ-1, LJ-2).

Entries and lines are append-only; a correction is a new entry that names the one it reverses. The
database holds balance per currency and in reporting currency, at least two lines, and that lines
live in their entry's own transaction (`payops/commands/guards/`).
"""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Q
from django_fsm import FSMField, transition

from payops.core.models import Book, history, leaf
from payops.core.records import CurrentXid, Record, Xid8Field
from payops.core.state import StatefulModel

PROTECT = models.PROTECT


class Account(Record):
    """One account of a book's chart; the rows come from `ledger/accounts.py`."""

    NEVER_DELETED = True

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    code = models.CharField(max_length=8)
    name = models.CharField(max_length=80)
    kind = models.CharField(
        max_length=12,
        choices=[(k, k) for k in ("asset", "liability", "equity", "revenue", "expense", "memo")],
    )
    party_kind = models.CharField(max_length=24, blank=True, default="")

    history = history()

    class Meta:
        ordering = ["code"]
        constraints = [models.UniqueConstraint(fields=["book", "code"], name="account_code")]

    def __str__(self) -> str:
        return f"{self.code} {self.name}"


class AccountingPeriod(StatefulModel):
    """A month of a book. Nothing is dated into a locked one (I12)."""

    PREFIX = "pe"

    class State(models.TextChoices):
        OPEN = "OPEN"
        CLOSING = "CLOSING"
        LOCKED = "LOCKED"

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    code = models.CharField(max_length=7)
    starts_on = models.DateField()
    ends_on = models.DateField()
    state = FSMField(default=State.OPEN, choices=State, protected=True, max_length=24)
    locked_at = models.DateTimeField(null=True, blank=True)
    # The granted request of the latest lock or reopening.
    approval_id = models.CharField(max_length=40, blank=True, default="")

    history = history()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["book", "code"], name="period_once"),
            models.CheckConstraint(
                condition=Q(starts_on__lte=models.F("ends_on")), name="period_days"
            ),
        ]

    @transition(field="state", source=State.OPEN, target=State.CLOSING)
    def begin_closing(self) -> None:
        pass

    @transition(field="state", source=State.CLOSING, target=State.LOCKED)
    def lock(self, *, at: datetime, approval_id: str) -> None:
        self.locked_at = at
        self.approval_id = approval_id

    @transition(field="state", source=State.CLOSING, target=State.OPEN)
    def stop_closing(self) -> None:
        pass

    @transition(field="state", source=State.LOCKED, target=State.OPEN)
    def reopen(self, *, approval_id: str) -> None:
        self.locked_at = None
        self.approval_id = approval_id


class JournalEntry(Record):
    """One accounting outcome, with every trace key of what caused it (LJ-16)."""

    PREFIX = "je"
    APPEND_ONLY = True

    # The trigger payops_period_open reads the period and compares its book and days.
    book = leaf(Book)
    period = models.ForeignKey(AccountingPeriod, PROTECT, related_name="+", db_constraint=False)
    event_class = models.CharField(max_length=48)
    matrix_version = models.PositiveIntegerField()
    template = models.CharField(max_length=48, blank=True, default="")
    idempotency_key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    subject_id = models.CharField(max_length=64)
    movement_ref = models.CharField(max_length=255, blank=True, default="")
    description = models.CharField(max_length=240)
    posting_on = models.DateField()
    occurred_at = models.DateTimeField()
    reverses = models.OneToOneField("self", PROTECT, null=True, related_name="reversed_by")
    payment_id = models.CharField(max_length=40, blank=True, default="")
    payout_id = models.CharField(max_length=40, blank=True, default="")
    refund_id = models.CharField(max_length=40, blank=True, default="", db_default="")
    dispute_id = models.CharField(max_length=40, blank=True, default="", db_default="")
    bank_line_id = models.CharField(max_length=40, blank=True, default="", db_default="")
    provider_transaction_id = models.CharField(max_length=255, blank=True, default="")
    psp_reference = models.CharField(max_length=255, blank=True, default="")
    merchant_reference = models.CharField(max_length=255, blank=True, default="")
    settlement_batch_id = models.CharField(max_length=255, blank=True, default="")
    event_id = models.CharField(max_length=40, blank=True, default="")
    provider_event_id = models.CharField(max_length=255, blank=True, default="")
    case_id = models.CharField(max_length=40, blank=True, default="")
    approval_id = models.CharField(max_length=40, blank=True, default="")
    api_request_id = models.CharField(max_length=255, blank=True, default="")
    request_idempotency_key = models.CharField(max_length=255, blank=True, default="")
    trace_id = models.CharField(max_length=32, blank=True, default="")
    posted_by = models.CharField(max_length=64)
    first_line_id = models.UUIDField()
    xid = Xid8Field(db_default=CurrentXid(), editable=False)

    class Meta:
        indexes = [
            models.Index(fields=["book", "-posting_on", "-id"], name="entry_recent"),
            models.Index(fields=["subject_id"], name="entry_subject"),
            models.Index(fields=["event_id"], condition=~Q(event_id=""), name="entry_event"),
            models.Index(fields=["case_id"], condition=~Q(case_id=""), name="entry_case"),
        ]


class JournalLine(Record):
    """Debit positive, credit negative, in minor units; `party` is the sub-ledger."""

    PREFIX = "jl"
    APPEND_ONLY = True

    # The trigger payops_lines_balance reads entry and account and compares book, day and xid.
    book = leaf(Book)
    entry = models.ForeignKey(
        JournalEntry, PROTECT, related_name="lines", db_index=False, db_constraint=False
    )
    xid = Xid8Field(db_default=CurrentXid(), editable=False)
    position = models.PositiveSmallIntegerField()
    account = leaf(Account)
    party = models.CharField(max_length=120, blank=True, default="")
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    reporting_minor = models.BigIntegerField()
    posting_on = models.DateField()
    # Where a movement of cash stands in the cash flow statement; "" on every other account.
    cash_flow_tag = models.CharField(max_length=32, blank=True, default="", db_default="")

    class Meta:
        ordering = ["position"]
        constraints = [
            models.CheckConstraint(
                condition=~Q(amount_minor=0, reporting_minor=0), name="line_not_nil"
            ),
            # Finds the lines of an entry, and is what entry_has_lines (guards) refers to.
            models.UniqueConstraint(fields=["entry", "id"], name="line_of_entry"),
        ]
        indexes = [
            models.Index(fields=["xid"], name="line_by_xid"),
            models.Index(
                fields=["book", "account", "currency", "posting_on"], name="line_by_account"
            ),
        ]


class PostingKey(models.Model):
    """The key registry: what was answered under a key, and to which facts (LJ-14, D17a).

    Success and refusals that time cannot change are stored; what time can change leaves no row.
    """

    APPEND_ONLY = True

    id = models.BigAutoField(primary_key=True)
    book = leaf(Book)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    entry_id = models.UUIDField(null=True)
    refusal = models.JSONField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["book", "key"], name="posting_key_once"),
            models.CheckConstraint(
                condition=Q(entry_id__isnull=False) | Q(refusal__isnull=False),
                name="posting_key_answered",
            ),
        ]


class WaitingPosting(Record):
    """A late posting whose day people have to grant first (D12); `amount_minor` is reporting.

    It waits until its key is answered or its day is granted; no column says so.
    """

    APPEND_ONLY = True

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    event_class = models.CharField(max_length=48)
    subject_id = models.CharField(max_length=64)
    event_id = models.CharField(max_length=40, blank=True, default="")
    occurred_on = models.DateField()
    amount_minor = models.BigIntegerField()
    why = models.CharField(max_length=240)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["book", "key", "fingerprint"], name="waiting_posting_once"
            )
        ]


class LatePlacement(Record):
    """The open day that was granted to a late posting; the ledger places its key there (D12).

    Bound to the fingerprint that was shown: other facts under the key are asked about anew.
    """

    APPEND_ONLY = True

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    event_class = models.CharField(max_length=48)
    subject_id = models.CharField(max_length=64)
    occurred_on = models.DateField()
    posting_on = models.DateField()
    approval_id = models.CharField(max_length=40)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["book", "key", "approval_id"], name="late_placement_once"
            )
        ]
