"""Amounts in a book's reporting currency, for tiers and priorities; unknown is never guessed."""

from __future__ import annotations

from datetime import datetime

from payops.core.models import Book, Rate
from payops.core.money import Money, convert


def reporting_minor(amount: Money, book: Book, at: datetime) -> int | None:
    """At the latest rate known then; None when there is none: callers take the highest tier."""
    if amount.currency == book.reporting_currency:
        return amount.minor
    known = Rate.objects.filter(base=amount.currency, quote=book.reporting_currency, as_of__lte=at)
    latest = known.order_by("-as_of").first()
    if latest is None:
        return None
    return convert(amount, to=book.reporting_currency, rate=latest.rate).minor
