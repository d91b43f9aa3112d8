"""Documents around the journal: hand-made journals, revaluations, ERP exports, reference packs.

Each names the entries it made or took along; none of them holds a balance.
"""

from __future__ import annotations

from django.db import models
from django_fsm import FSMField, transition

from ledger.models.journal import AccountingPeriod, JournalEntry
from payops.core.models import Book, Evidence, Person, history, leaf
from payops.core.records import Record
from payops.core.state import StatefulModel

PROTECT = models.PROTECT


class ManualJournal(StatefulModel):
    """A hand-made entry from its request to its posting; posted only through its approval (D5).

    `lines` are [{account, party, amount_minor, currency}]; `event_class` is the matrix row it is
    posted under: adjustment.manual, write_off, funds.unclaimed or entry.reversed.
    """

    PREFIX = "mj"

    class State(models.TextChoices):
        AWAITING_APPROVAL = "AWAITING_APPROVAL"
        APPROVED = "APPROVED"
        POSTED = "POSTED"
        REJECTED = "REJECTED"
        EXPIRED = "EXPIRED"
        WITHDRAWN = "WITHDRAWN"

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    state = FSMField(default=State.AWAITING_APPROVAL, choices=State, protected=True, max_length=24)
    event_class = models.CharField(max_length=48)
    description = models.CharField(max_length=240)
    lines = models.JSONField(default=list)
    posting_on = models.DateField()
    cash_flow_tag = models.CharField(max_length=32, blank=True, default="")
    reverses_id = models.CharField(max_length=40, blank=True, default="")
    auto_reverse_on = models.DateField(null=True, blank=True)
    fingerprint = models.CharField(max_length=64)
    requested_by = models.ForeignKey(Person, PROTECT, related_name="+")
    approval_id = models.CharField(max_length=40, blank=True, default="")
    entry_id = models.CharField(max_length=40, blank=True, default="")
    reversal_entry_id = models.CharField(max_length=40, blank=True, default="")
    last_error = models.CharField(max_length=400, blank=True, default="")

    history = history()

    class Meta:
        indexes = [models.Index(fields=["book", "-created_at"], name="manual_journal_recent")]

    @transition(field="state", source=State.AWAITING_APPROVAL, target=State.APPROVED)
    def grant(self) -> None:
        pass

    @transition(field="state", source=State.APPROVED, target=State.POSTED)
    def post(self, *, entry_id: str) -> None:
        self.entry_id = entry_id
        self.last_error = ""

    @transition(field="state", source=State.AWAITING_APPROVAL, target=State.REJECTED)
    def reject(self) -> None:
        pass

    @transition(field="state", source=State.AWAITING_APPROVAL, target=State.EXPIRED)
    def expire(self) -> None:
        pass

    @transition(
        field="state", source=[State.AWAITING_APPROVAL, State.APPROVED], target=State.WITHDRAWN
    )
    def withdraw(self) -> None:
        pass


class RevaluationRun(Record):
    """One revaluation of a closing period, or the run that takes it back; never changed."""

    PREFIX = "rv"
    APPEND_ONLY = True

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    period = models.ForeignKey(AccountingPeriod, PROTECT, related_name="+")
    run_no = models.PositiveIntegerField()
    as_of_on = models.DateField()
    reverses = models.OneToOneField("self", PROTECT, null=True, related_name="reversed_by")
    rates = models.JSONField(default=dict)
    gain_minor = models.BigIntegerField()
    loss_minor = models.BigIntegerField()
    entries = models.PositiveIntegerField()
    person = models.ForeignKey(Person, PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["period", "run_no"], name="revaluation_run_once")
        ]


class Export(StatefulModel):
    """A batch of entries handed to one ERP under one reference; its entries never change."""

    PREFIX = "xp"

    class State(models.TextChoices):
        READY = "READY"
        IMPORTED = "IMPORTED"
        REJECTED = "REJECTED"

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    state = FSMField(default=State.READY, choices=State, protected=True, max_length=24)
    target = models.CharField(max_length=24)
    reference = models.CharField(max_length=40)
    mode = models.CharField(max_length=12, choices=[(m, m) for m in ("detailed", "summarised")])
    from_on = models.DateField()
    to_on = models.DateField()
    entries = models.PositiveIntegerField()
    totals = models.JSONField(default=dict)
    erp_words = models.CharField(max_length=400, blank=True, default="")
    requested_by = models.ForeignKey(Person, PROTECT, related_name="+")

    history = history()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["book", "reference"], name="export_reference_once")
        ]

    @transition(field="state", source=[State.READY, State.REJECTED], target=State.IMPORTED)
    def confirm(self, *, words: str) -> None:
        self.erp_words = words

    @transition(field="state", source=State.READY, target=State.REJECTED)
    def reject(self, *, words: str) -> None:
        self.erp_words = words

    @transition(field="state", source=State.REJECTED, target=State.READY)
    def rebuild(self) -> None:
        self.erp_words = ""


class ExportFile(Record):
    """One rendering of an export; a rejected one is followed by the next attempt (ERP-7)."""

    APPEND_ONLY = True

    book = leaf(Book)
    export = models.ForeignKey(Export, PROTECT, related_name="files")
    attempt = models.PositiveIntegerField()
    mapping_version = models.PositiveIntegerField()
    filename = models.CharField(max_length=120)
    sha256 = models.CharField(max_length=64)
    size_bytes = models.PositiveBigIntegerField()
    evidence = models.ForeignKey(Evidence, PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["export", "attempt"], name="export_attempt_once")
        ]


class ExportItem(models.Model):
    """One entry in one export; an entry goes to a target once (ERP-6, I15)."""

    APPEND_ONLY = True

    id = models.BigAutoField(primary_key=True)
    book = leaf(Book)
    export = models.ForeignKey(Export, PROTECT, related_name="items")
    target = models.CharField(max_length=24)
    entry = models.ForeignKey(JournalEntry, PROTECT, related_name="exports")
    document_no = models.CharField(max_length=40)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["book", "target", "entry"], name="exported_once")
        ]


class ReferencePack(StatefulModel):
    """Figures of a fixed period that finance signed, to compare the statements with (RP-2).

    `rows` are the parsed lines of the uploaded file; `differences` those found when it was last
    compared, each with the line, what was expected and what the books say.
    """

    PREFIX = "rk"

    class State(models.TextChoices):
        COMPARED = "COMPARED"
        AWAITING_APPROVAL = "AWAITING_APPROVAL"
        ACCEPTED = "ACCEPTED"
        REJECTED = "REJECTED"

    book = models.ForeignKey(Book, PROTECT, related_name="+")
    state = FSMField(default=State.COMPARED, choices=State, protected=True, max_length=24)
    period = models.ForeignKey(AccountingPeriod, PROTECT, related_name="+")
    title = models.CharField(max_length=120)
    filename = models.CharField(max_length=200)
    evidence = models.ForeignKey(Evidence, PROTECT, related_name="+")
    rows = models.JSONField(default=list)
    differences = models.JSONField(default=list)
    compared_at = models.DateTimeField()
    uploaded_by = models.ForeignKey(Person, PROTECT, related_name="+")
    approval_id = models.CharField(max_length=40, blank=True, default="")

    history = history()

    @transition(field="state", source=State.COMPARED, target=State.AWAITING_APPROVAL)
    def ask(self, *, approval_id: str) -> None:
        self.approval_id = approval_id

    @transition(field="state", source=State.AWAITING_APPROVAL, target=State.ACCEPTED)
    def accept(self) -> None:
        pass

    @transition(field="state", source=State.AWAITING_APPROVAL, target=State.REJECTED)
    def reject(self) -> None:
        pass

    @transition(field="state", source=State.AWAITING_APPROVAL, target=State.COMPARED)
    def give_up(self) -> None:
        """The request expired, was withdrawn or became void."""
