"""Amounts in the book's reporting currency, for tiers and priorities; unknown is never guessed."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from payops.core.models import Book, Rate
from payops.core.money import Money, convert


def rate_for(base: str, quote: str, now: datetime) -> Decimal | None:
    latest = Rate.objects.filter(base=base, quote=quote, as_of__lte=now).order_by("-as_of").first()
    return latest.rate if latest else None


def reporting_minor(amount: Money, book: Book, now: datetime) -> int | None:
    """None when no rate is known: callers take the highest tier or priority."""
    if amount.currency == book.reporting_currency:
        return amount.minor
    rate = rate_for(amount.currency, book.reporting_currency, now)
    return convert(amount, to=book.reporting_currency, rate=rate).minor if rate else None
