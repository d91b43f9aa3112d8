"""Refunds and charges as a key may read them: rows of its own book, else NotFound. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Prefetch, Q, QuerySet
from rest_framework.exceptions import NotFound

from payops.core import ids
from payops.core.models import Book
from payops.core.money import Money
from payops.payments.models import Payment, Refund, RefundDecision

REFUNDS_MAX = 100
REQUEST = "request"


@dataclass(frozen=True, slots=True)
class Charge:
    """A payment's money as decimal text of its currency."""

    public_id: str
    captured: str
    reserved: str
    refunded: str
    remaining: str
    currency: str


def charge_of(payment: Payment) -> Charge:
    def text(minor: int) -> str:
        return Money(minor, payment.currency).decimal_text()

    return Charge(
        public_id=payment.public_id,
        captured=text(payment.captured_minor),
        reserved=text(payment.reserved_minor),
        refunded=text(payment.refunded_minor + payment.over_refunded_minor),
        remaining=payment.refundable.decimal_text(),
        currency=payment.currency,
    )


def refund_of(book: Book, public_id: str) -> Any:
    """The refund with `charge` and `decision` on it."""
    found = _refunds(book).filter(pk=_key(public_id, Refund.PREFIX)).first()
    if found is None:
        raise NotFound(f"No record is known by {public_id[:64]!r}.")
    return _shown(found)


def refunds_of(
    book: Book, *, payment: Payment | None, state: str, request_id: str, after: str
) -> tuple[list[Any], str | None]:
    """The newest first, from behind `after`; and where to go on, None at the end."""
    rows = _refunds(book)
    if payment is not None:
        rows = rows.filter(payment=payment)
    if state:
        rows = rows.filter(state=state)
    if request_id:
        rows = rows.filter(source=Refund.Source.API, ticket_ref=request_id)
    if after:
        edge = Refund.objects.filter(book=book, pk=_key(after, Refund.PREFIX)).first()
        if edge is None:
            raise NotFound(f"No record is known by {after[:64]!r}.")
        rows = rows.filter(
            Q(created_at__lt=edge.created_at) | Q(created_at=edge.created_at, pk__lt=edge.pk)
        )
    found = [_shown(row) for row in rows.order_by("-created_at", "-pk")[: REFUNDS_MAX + 1]]
    page = found[:REFUNDS_MAX]
    return page, page[-1].public_id if len(found) > REFUNDS_MAX else None


def payment_by_id(book: Book, public_id: str) -> Payment:
    rows = Payment.objects.filter(book=book).select_related("book", "account", "beneficiary")
    found = rows.filter(pk=_key(public_id, Payment.PREFIX)).first()
    if found is None:
        raise NotFound(f"No record is known by {public_id[:64]!r}.")
    return found


def _refunds(book: Book) -> QuerySet[Refund]:
    asked = RefundDecision.objects.filter(stage=REQUEST).order_by("-created_at", "-pk")
    related = Refund.objects.select_related("book", "account", "payment", "retry_of")
    return related.filter(book=book).prefetch_related(Prefetch("decisions", asked, "asked"))


def _shown(refund: Any) -> Any:
    refund.charge = charge_of(refund.payment)
    refund.decision = refund.asked[0] if refund.asked else None
    return refund


def _key(public_id: str, prefix: str) -> Any:
    try:
        return ids.parse(public_id, prefix)[1]
    except ids.UnknownId as error:
        raise NotFound(str(error)) from error
