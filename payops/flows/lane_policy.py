"""The table of lanes as a policy of the book: seeded, versioned, read with its hash (WH-23, D2).

Owns which version applies now and at which rates. A version that is not the one that was approved
is never applied: the seeded table is, and the log says so.
"""

from __future__ import annotations

import logging
from datetime import datetime
from decimal import Decimal

from approvals.hashing import hash_of
from approvals.models import PolicyVersion
from payops.core.models import Book, Rate
from payops.webhooks import lanes
from payops.webhooks.lanes import LaneRules, LanesError

log = logging.getLogger(__name__)


def seed(book: Book, now: datetime) -> None:
    """Version 1 of a book's table; run by the schema's owner, again without effect."""
    if PolicyVersion.objects.filter(book=book, name=lanes.NAME).exists():
        return
    rules = lanes.seeded(currency=book.reporting_currency)
    lanes.parse(rules, currency=book.reporting_currency)
    PolicyVersion.objects.create(
        book=book,
        name=lanes.NAME,
        version=1,
        rules=rules,
        content_hash=hash_of(rules),
        active_from=now,
        created_at=now,
    )


def rules_of(book: Book, now: datetime) -> LaneRules:
    """The active table with the rates known now; two statements, for a copy that is kept."""
    currency, rates = book.reporting_currency, _rates(book, now)
    versions = PolicyVersion.objects.filter(book=book, name=lanes.NAME, active_from__lte=now)
    version = versions.order_by("-version").first()
    if version is not None:
        try:
            if hash_of(version.rules) != version.content_hash:
                raise LanesError("it is not the table that was approved")
            return lanes.parse(version.rules, currency=currency, rates=rates)
        except LanesError as error:
            log.error("%s v%d of %s: %s", version.name, version.version, book.code, error)
    return lanes.parse(lanes.seeded(currency=currency), currency=currency, rates=rates)


def _rates(book: Book, now: datetime) -> dict[str, Decimal]:
    latest = (
        Rate.objects.filter(quote=book.reporting_currency, as_of__lte=now)
        .order_by("base", "-as_of", "-pk")
        .distinct("base")
    )
    return {rate.base: rate.rate for rate in latest}
