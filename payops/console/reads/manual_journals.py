"""What the screens of hand-made journals show: the list, one journal, an entry to take back.

Reads only. Serves D5, LJ-2, LJ-8.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db.models import Q, QuerySet

from approvals.models import ApprovalRequest
from ledger import manual
from ledger.accounts import BY_CODE
from ledger.cash_flow import BY_KEY
from ledger.models import JournalEntry, JournalLine, ManualJournal
from ledger.rows.corrections import REVERSAL
from payops.console.changes import Change, changes_of
from payops.console.filters import Control, Filters, choices
from payops.console.formats import Fact, facts_of, id_fact
from payops.console.reads import related
from payops.console.reads.case_file import Document, documents_of
from payops.console.reads.payouts import key_of
from payops.console.reads.related import ApprovalRow
from payops.console.tones import word_of
from payops.core.models import Book, ProviderAccount
from payops.core.money import MINOR_MAX, Money
from payops.payments.models import Beneficiary
from payops.psp import registry

CHOICES_MAX = 1000
LABELS = {row.event_class: row.label for row in manual.CLASSES} | {REVERSAL: "Reversal"}
CHANGES = {
    "last_error": "Not posted because",
    "entry_id": "Entry",
    "reversal_entry_id": "Taken back by",
}
State = ManualJournal.State
TURNS = {
    State.AWAITING_APPROVAL: "Finance manager, not the one who asked",
    State.APPROVED: "PayOps, as soon as its period is open",
    State.POSTED: "Nobody, it is posted",
}


@dataclass(frozen=True, slots=True)
class ShownLine:
    number: int
    account: str
    account_name: str
    party: str
    debit: str
    credit: str


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One row of the list."""

    journal: ManualJournal
    label: str
    totals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JournalPage:
    """One journal with everything around it; `stuck` is granted and not posted."""

    journal: ManualJournal
    label: str
    turn: str
    totals: tuple[str, ...]
    lines: tuple[ShownLine, ...]
    facts: list[Fact]
    documents: list[Document]
    approvals: list[ApprovalRow]
    reason: str
    entries: list[related.EntryRow]
    changes: list[Change]
    stuck: bool


def controls() -> list[Control]:
    states = [(value, word_of(value)) for value in State.values]
    return [
        Control("state", "State", "select", choices(states)),
        Control("event_class", "What", "select", choices(list(LABELS.items()))),
        Control("from", "Posting day from", "date"),
        Control("to", "To", "date"),
        Control("q", "Words or id", placeholder="Description, mj_, je_ or ap_ id"),
    ]


def listed(book: Book, wanted: Filters) -> QuerySet[ManualJournal]:
    rows = ManualJournal.objects.filter(book=book).select_related("requested_by")
    for name in ("state", "event_class"):
        if wanted[name]:
            rows = rows.filter(**{name: wanted[name]})
    if wanted.day("from"):
        rows = rows.filter(posting_on__gte=wanted.day("from"))
    if wanted.day("to"):
        rows = rows.filter(posting_on__lte=wanted.day("to"))
    return rows.filter(_named(wanted["q"])) if wanted["q"] else rows


def row_of(journal: ManualJournal) -> JournalRow:
    return JournalRow(journal, LABELS[journal.event_class], totals_of(journal.lines))


def page(journal: ManualJournal) -> JournalPage:
    asked = related.approvals(book=journal.book, subject_ids=[journal.public_id])
    named = [name for name in (journal.entry_id, journal.reversal_entry_id) if name]
    keys = [JournalEntry.key_of(name) for name in named]
    entries = JournalEntry.objects.filter(book=journal.book, pk__in=keys)
    return JournalPage(
        journal=journal,
        label=LABELS[journal.event_class],
        turn=TURNS.get(State(journal.state), "Nobody, it has ended"),
        totals=totals_of(journal.lines),
        lines=tuple(_shown(number, line) for number, line in enumerate(journal.lines, start=1)),
        facts=_facts(journal),
        documents=documents_of(journal.public_id),
        approvals=asked,
        reason=asked[0].request.reason if asked else "",
        entries=[related.entry_row(entry) for entry in entries.order_by("pk")],
        changes=changes_of(journal, CHANGES),
        stuck=journal.state == State.APPROVED,
    )


def mirror_lines(entry: JournalEntry) -> list[ShownLine]:
    """What taking the entry back would post."""
    lines = JournalLine.objects.filter(entry=entry).select_related("account").order_by("position")
    return [
        _shown(
            number,
            {
                "account": line.account.code,
                "party": line.party,
                "amount_minor": -line.amount_minor,
                "currency": line.currency,
            },
        )
        for number, line in enumerate(lines, start=1)
    ]


def party_names(book: Book) -> list[tuple[str, str]]:
    """Names that may be typed as a party, each with whom it means."""
    sellers = Beneficiary.objects.filter(book=book).order_by("reference")[:CHOICES_MAX]
    accounts = ProviderAccount.objects.filter(
        book=book, provider__in=registry.with_calls()
    ).order_by("provider", "slug")
    return [
        *((account.address, "provider account") for account in accounts),
        *((seller.reference, seller.name) for seller in sellers),
        ("main", "bank account"),
    ]


def facts_of_asked(request: ApprovalRequest) -> list[Fact]:
    """What is decided about, in people's words; the lines are shown as the entry they become."""
    facts = request.facts
    tag = BY_KEY.get(facts["cash_flow_tag"])
    lines = facts["lines"]
    touched = sorted({line["account"] for line in lines} & manual.CONTROL_ACCOUNTS.keys())
    others = sorted({line["party"] for line in lines if line["party"]})
    return facts_of(
        Fact("What", LABELS[facts["event_class"]]),
        Fact("Debits", ", ".join(totals_of(lines))),
        Fact("Description", facts["description"]),
        Fact("Posted on", facts["posting_on"]),
        id_fact("Takes back", facts["reverses"]),
        Fact("Taken back by itself on", facts["auto_reverse_on"]),
        Fact("Parties", ", ".join(others)),
        Fact("Control accounts used", ", ".join(touched)),
        Fact("Batch, statement or case", facts["batch"]),
        Fact("Cash moved for", tag.words if tag else ""),
        id_fact("Journal", facts["journal"]),
        Fact("Documents", ", ".join(each["filename"] for each in facts["evidence"])),
        Fact("Fingerprint of the lines", facts["fingerprint"], "id"),
    )


def totals_of(lines: list[dict[str, Any]]) -> tuple[str, ...]:
    """Debits per currency; lines that state reporting amounts alone have none."""
    sums: dict[str, int] = {}
    for line in lines:
        sums.setdefault(line["currency"], 0)
        sums[line["currency"]] += max(line["amount_minor"], 0)
    return tuple(_text(minor, currency) for currency, minor in sorted(sums.items()))


def _shown(number: int, line: dict[str, Any]) -> ShownLine:
    account = BY_CODE.get(line["account"])
    text = _text(abs(line["amount_minor"]), line["currency"])
    debit = line["amount_minor"] > 0
    return ShownLine(
        number=number,
        account=line["account"],
        account_name=account.name if account else "",
        party=line.get("party", ""),
        debit=text if debit else "",
        credit="" if debit else text,
    )


def _facts(journal: ManualJournal) -> list[Fact]:
    tag = BY_KEY.get(journal.cash_flow_tag)
    day: date | None = journal.auto_reverse_on
    return facts_of(
        id_fact("Journal", journal.public_id),
        id_fact("Approval", journal.approval_id),
        id_fact("Entry", journal.entry_id),
        id_fact("Takes back", journal.reverses_id),
        Fact("Taken back by itself on", day.isoformat() if day else ""),
        id_fact("Taken back by", journal.reversal_entry_id),
        Fact("Cash moved for", tag.words if tag else ""),
        Fact("Fingerprint", journal.fingerprint, "id"),
        Fact("Asked", journal.created_at, "when"),
    )


def _named(text: str) -> Q:
    key = key_of("mj", text)
    if key is not None:
        return Q(pk=key)
    ids = Q(entry_id=text) | Q(reversal_entry_id=text) | Q(reverses_id=text) | Q(approval_id=text)
    return ids | Q(description__icontains=text)


def _text(minor: int, currency: str) -> str:
    return str(Money(minor, currency)) if minor <= MINOR_MAX else f"{minor} {currency}"
