"""What the book page shows: each setting in words, what is asked for, what was changed (F14)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from approvals.models import ApprovalRequest
from payops.console.formats import Fact
from payops.console.templatetags.payops_tags import money_text
from payops.core.models import AuditEvent, Book
from payops.flows import book_settings
from payops.flows.book_settings import SETTINGS, Setting

CHANGES_MAX = 20


@dataclass(frozen=True, slots=True)
class BookPage:
    """`fixed` never changes here; `changes` are the granted ones, newest first."""

    book: Book
    fixed: list[Fact]
    settings: list[tuple[Setting, str]]
    pending: list[ApprovalRequest]
    changes: list[tuple[AuditEvent, list[Fact]]]


def book_page(book: Book) -> BookPage:
    currency = book.reporting_currency
    pending = ApprovalRequest.objects.filter(
        book=book, kind=book_settings.KIND, state=ApprovalRequest.State.PENDING
    )
    changed = AuditEvent.objects.filter(
        book=book, subject_id=f"book:{book.code}", action="book.settings_changed"
    ).order_by("-created_at")
    return BookPage(
        book=book,
        fixed=[
            Fact("Legal entity", book.name),
            Fact("Book", book.code, "mono"),
            Fact("Reporting currency", currency),
            Fact("Business time zone", book.time_zone),
        ],
        settings=[
            (each, words_of(each, getattr(book, each.column), currency)) for each in SETTINGS
        ],
        pending=list(pending.select_related("requested_by").order_by("-created_at")),
        changes=[(row, facts_of(row.evidence, currency)) for row in changed[:CHANGES_MAX]],
    )


def facts_of(facts: dict[str, Any], currency: str) -> list[Fact]:
    """Each changed setting as it was and as it becomes."""
    shown = []
    for setting in book_settings.changed(facts):
        before = words_of(setting, facts[f"{setting.column}_before"], currency)
        becomes = words_of(setting, facts[setting.column], currency)
        shown.append(Fact(setting.label, f"{before} → {becomes}"))
    return shown


def words_of(setting: Setting, value: Any, currency: str) -> str:
    if setting.kind == "choice":
        return dict(setting.choices).get(value, str(value))
    if setting.kind == "flag":
        return "Yes" if value else "No"
    if setting.kind == "money":
        return money_text(value, currency)
    return "None" if value is None else str(value)
