"""What the beneficiary screens show. Bank details leave the database only as their mask (AU-8)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from ledger.selectors import TrialRow, balances_of
from payops.console import wording
from payops.console.changes import BENEFICIARY_LABELS, Change, changes_of
from payops.console.exports import Columns
from payops.console.filters import Control, Filters, choices
from payops.console.formats import Fact, facts_of, id_fact
from payops.console.reads import related
from payops.console.reads.payouts import key_of
from payops.console.reads.related import ApprovalRow, HoldRow
from payops.core.models import Book
from payops.payments.models import Beneficiary, Hold, Payout

PAYOUTS_SHOWN = 20
CSV: Columns = (
    ("id", "public_id"),
    ("reference", "reference"),
    ("name", "name"),
    ("country", "country"),
    ("currency", "currency"),
    ("risk", "risk"),
    ("bank_masked", "bank_masked"),
    ("open_holds", "open_holds"),
    ("verified_at", "verified_at"),
    ("payable_from", "payable_from"),
    ("bank_changed_at", "bank_changed_at"),
)


def controls() -> list[Control]:
    return [
        Control("q", "Beneficiary", placeholder="Name or reference"),
        Control("risk", "Risk", "select", choices([("normal", "Normal"), ("raised", "Raised")])),
        Control("held", "On hold", "check"),
        Control("unverified", "Not verified", "check"),
    ]


def listed(book: Book, wanted: Filters) -> QuerySet[Beneficiary]:
    """Rows carry `open_holds`, those on the beneficiary itself."""
    rows = Beneficiary.objects.filter(book=book)
    if wanted["q"]:
        key = key_of("be", wanted["q"])
        named = Q(reference__istartswith=wanted["q"]) | Q(name__icontains=wanted["q"])
        rows = rows.filter(Q(pk=key) if key is not None else named)
    if wanted["risk"]:
        rows = rows.filter(risk=wanted["risk"])
    if wanted["unverified"]:
        rows = rows.filter(verified_at=None)
    if wanted["held"]:
        rows = rows.filter(
            Exists(Hold.objects.filter(beneficiary=OuterRef("pk"), released_at=None))
        )
    return rows.annotate(open_holds=Count("holds", filter=Q(holds__released_at=None)))


@dataclass(frozen=True, slots=True)
class BeneficiaryPage:
    """Everything the page of one beneficiary shows."""

    beneficiary: Beneficiary
    wrong: wording.Words
    holds: list[HoldRow]
    payouts: list[Payout]
    balances: list[TrialRow]
    approvals: list[ApprovalRow]
    changes: list[Change]
    facts: list[Fact]
    payable: bool
    open_holds: int


def query() -> QuerySet[Beneficiary]:
    return Beneficiary.objects.select_related("book", "bank_changed_by", "verified_by")


def page(row: Beneficiary, *, now: datetime) -> BeneficiaryPage:
    holds = related.holds(Q(beneficiary=row) | Q(payout__beneficiary=row))
    open_holds = sum(each.open for each in holds)
    own_open = sum(each.open and each.hold.beneficiary_id == row.pk for each in holds)
    paid = Payout.objects.filter(beneficiary=row).select_related("account")
    return BeneficiaryPage(
        beneficiary=row,
        wrong=wording.beneficiary_wrong(row, open_holds=own_open, now=now),
        holds=holds,
        payouts=list(paid.order_by("-created_at")[:PAYOUTS_SHOWN]),
        balances=[
            each for each in balances_of(book=row.book, party=row.reference) if each.balance_minor
        ],
        approvals=related.approvals(book=row.book, subject_ids=[row.public_id]),
        changes=changes_of(row, BENEFICIARY_LABELS),
        facts=_facts(row),
        payable=not own_open and row.payable_from <= now and row.verified_at is not None,
        open_holds=open_holds,
    )


def _facts(row: Beneficiary) -> list[Fact]:
    changed_by = row.bank_changed_by.name if row.bank_changed_by else ""
    verified_by = row.verified_by.name if row.verified_by else ""
    return facts_of(
        id_fact("Beneficiary", row.public_id),
        Fact("Reference", row.reference, "id"),
        Fact("Country", row.country),
        Fact("Currency", row.currency),
        Fact("Risk", row.risk),
        Fact("Bank details", row.bank_masked, "mono"),
        Fact("Changed", row.bank_changed_at, "when"),
        Fact("Changed by", changed_by),
        id_fact("Change approved", row.bank_change_approval_id),
        Fact("Payable from", row.payable_from, "when"),
        Fact("Verified", row.verified_at, "when"),
        Fact("Verified by", verified_by),
        Fact("Evidence", row.verified_evidence),
    )
