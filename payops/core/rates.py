"""Amounts in a book's reporting currency, for tiers and priorities; unknown is never guessed."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q

from payops.core.models import Book, Rate
from payops.core.money import Money, convert


def reporting_minor(amount: Money, book: Book, at: datetime) -> int | None:
    """At the latest rate known then, told either way round; None when there is none: callers take
    the highest tier."""
    currency, reporting = amount.currency, book.reporting_currency
    if currency == reporting:
        return amount.minor
    either = Q(base=currency, quote=reporting) | Q(base=reporting, quote=currency)
    latest = Rate.objects.filter(either, as_of__lte=at).order_by("-as_of", "-pk").first()
    if latest is None:
        return None
    rate = latest.rate if latest.base == currency else 1 / latest.rate
    return convert(amount, to=reporting, rate=rate).minor
