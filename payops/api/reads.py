"""What a key may read: rows of its own book, by public id or reference; else NotFound.

A record of another book and one that does not exist get the same answer. Reads only.
"""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any, TypeVar

from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet
from rest_framework.exceptions import NotFound

from approvals.models import ApprovalDecision, ApprovalRequest
from ledger.models import JournalEntry, JournalLine
from payops.cases.models import Case
from payops.core import ids
from payops.core.models import Book
from payops.core.records import Record
from payops.flows.trace import chain as trace
from payops.flows.trace import find as trace_find
from payops.flows.trace.records import Records
from payops.payments.models import Hold, Payout

PAYOUTS_MAX = 100
R = TypeVar("R", bound=Record)


def payout_of(book: Book, public_id: str) -> Payout:
    return _one(_payouts(book), public_id, "po")


def payouts_of(book: Book, merchant_ref: str) -> tuple[list[Payout], bool]:
    """The newest with this merchant reference, and whether there are more."""
    rows = _payouts(book).filter(merchant_ref=merchant_ref).order_by("-created_at", "-pk")
    found = list(rows[: PAYOUTS_MAX + 1])
    return found[:PAYOUTS_MAX], len(found) > PAYOUTS_MAX


def case_of(book: Book, public_id: str) -> Case:
    return _one(Case.objects.filter(book=book), public_id, "cs")


def approval_of(book: Book, public_id: str) -> ApprovalRequest:
    in_order = Prefetch("decisions", ApprovalDecision.objects.order_by("created_at", "pk"))
    rows = ApprovalRequest.objects.filter(book=book).prefetch_related(in_order)
    return _one(rows, public_id, "ap")


def entry_of(book: Book, public_id: str) -> JournalEntry:
    lines = Prefetch("lines", JournalLine.objects.select_related("account").order_by("position"))
    related = JournalEntry.objects.select_related("period", "reverses", "reversed_by", "book")
    return _one(related.filter(book=book).prefetch_related(lines), public_id, "je")


def trace_of(book: Book, text: str) -> dict[str, Any]:
    """The chain of any id in plain values, or the objects the text may mean."""
    chain = trace.trace(text)
    choices = [asdict(choice) for choice in chain.choices if _is_of(book, choice.id)]
    if chain.found and not _is_within(book, chain.records):
        raise NotFound(_no_record(text))
    if not chain.found and not choices:
        raise NotFound(_no_record(text))
    return chain.as_json() | {"choices": choices}


def _payouts(book: Book) -> QuerySet[Payout]:
    covering = Q(payout=OuterRef("pk")) | Q(beneficiary=OuterRef("beneficiary"))
    held = Exists(Hold.objects.filter(covering, released_at=None))
    related = Payout.objects.select_related("account", "beneficiary", "reissue_of")
    return related.filter(book=book).annotate(on_hold=held)


def _one(rows: QuerySet[R], public_id: str, prefix: str) -> R:
    try:
        key = ids.parse(public_id, prefix)[1]
    except ids.UnknownId as error:
        raise NotFound(str(error)) from error
    found = rows.filter(pk=key).first()
    if found is None:
        raise NotFound(_no_record(public_id))
    return found


def _no_record(text: str) -> str:
    return f"No record is known by {text[:64]!r}."


def _is_of(book: Book, public_id: str) -> bool:
    prefix, key = ids.parse(public_id)
    return trace_find.MODELS[prefix].objects.filter(pk=key, book=book).exists()


def _is_within(book: Book, records: Records | None) -> bool:
    """Every row of the chain belongs to the book."""
    assert records is not None
    kinds = (getattr(records, each.name) for each in fields(records) if each.name != "left_out")
    return all(row.book_id == book.pk for rows in kinds for row in rows)
