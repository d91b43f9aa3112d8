"""Which secret verified how many receipts on which day, and when last (WH-30).

Owns SecretUse, folded from the receipts by windows of time behind a safe lag, each receipt once:
the mark of an account moves in the transaction that counts. Reading adds what is not folded yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, Max

from payops.core import clock
from payops.core.models import ProviderAccount
from payops.webhooks.models import Delivery, FoldMark, SecretUse

# A receipt is committed at most this long after the time it bears.
LAG = timedelta(minutes=2)
WINDOW = timedelta(hours=6)
WINDOWS_MAX = 40
DAYS_SHOWN = 30
FOLD = """
INSERT INTO webhooks_secretuse (id, created_at, secret_id, day, receipts, last_at)
SELECT gen_random_uuid(), %(now)s, d.secret_id, (d.created_at AT TIME ZONE %(zone)s)::date,
  count(*), max(d.created_at)
FROM webhooks_delivery d JOIN webhooks_secret s ON s.id = d.secret_id
WHERE d.account_id = %(account)s AND d.created_at > %(since)s AND d.created_at <= %(until)s
  AND d.signature_ok
GROUP BY 3, 4
ON CONFLICT (secret_id, day) DO UPDATE
SET receipts = webhooks_secretuse.receipts + EXCLUDED.receipts,
    last_at = greatest(webhooks_secretuse.last_at, EXCLUDED.last_at)
"""


@dataclass(frozen=True, slots=True)
class Use:
    """What one secret verified: receipts by day, oldest first, and the latest of all."""

    by_day: tuple[tuple[date, int], ...] = ()
    last_at: datetime | None = None

    def receipts_since(self, day: date) -> int:
        return sum(count for each, count in self.by_day if each >= day)


NEVER = Use()


def fold(*, account: ProviderAccount, now: datetime) -> int:
    """Count the receipts that came since the last fold; answers how many windows were folded.

    Runs inside a transaction, which a second folder of the account waits for.
    """
    assert connection.in_atomic_block, "the mark moves with what was counted"
    until = now - LAG
    mark = _mark(account)
    done = 0
    for since, end in _windows(account, mark, until):
        values: dict[str, Any] = {"now": now, "zone": account.book.time_zone, "account": account.pk}
        with connection.cursor() as cursor:
            cursor.execute(FOLD, {**values, "since": since, "until": end})
        mark.until = end
        done += 1
    if done:
        mark.save(update_fields=["until"])
    return done


def uses(*, account: ProviderAccount, now: datetime, days: int = DAYS_SHOWN) -> dict[UUID, Use]:
    """By secret, for the latest `days` days; `last_at` is of all times."""
    zone = account.book.time_zone
    first = clock.business_day(now - timedelta(days=days - 1), time_zone=zone)
    counts: dict[UUID, dict[date, int]] = {}
    last: dict[UUID, datetime] = {}
    rows = SecretUse.objects.filter(secret__account=account)
    for secret_id, last_at in rows.values_list("secret_id").annotate(at=Max("last_at")):
        last[secret_id] = last_at
    for row in rows.filter(day__gte=first):
        counts.setdefault(row.secret_id, {})[row.day] = row.receipts
    for secret_id, count, last_at in _not_folded(account):
        by_day = counts.setdefault(secret_id, {})
        day = clock.business_day(last_at, time_zone=zone)
        by_day[day] = by_day.get(day, 0) + count
        last[secret_id] = max(last_at, last.get(secret_id, last_at))
    return {
        secret_id: Use(tuple(sorted(counts.get(secret_id, {}).items())), last_at)
        for secret_id, last_at in last.items()
    }


def _mark(account: ProviderAccount) -> FoldMark:
    """Held until the transaction ends; a fresh one starts before the first receipt."""
    mark = FoldMark.objects.select_for_update().filter(account=account).first()
    if mark is not None:
        return mark
    FoldMark.objects.bulk_create(
        [FoldMark(account=account, until=account.created_at - LAG)], ignore_conflicts=True
    )
    return FoldMark.objects.select_for_update().get(account=account)


def _windows(
    account: ProviderAccount, mark: FoldMark, until: datetime
) -> Iterator[tuple[datetime, datetime]]:
    """From the mark on, leaping over times without receipts."""
    since = mark.until
    receipts = Delivery.objects.filter(account=account).order_by("created_at")
    for _ in range(WINDOWS_MAX):
        following = receipts.filter(created_at__gt=since, created_at__lte=until)
        first = following.values_list("created_at", flat=True).first()
        if first is None:
            return
        end = min(first + WINDOW, until)
        yield since, end
        since = end


def _not_folded(account: ProviderAccount) -> list[tuple[UUID, int, datetime]]:
    mark = FoldMark.objects.filter(account=account).first()
    rows = Delivery.objects.filter(account=account, signature_ok=True, secret_id__isnull=False)
    if mark is not None:
        rows = rows.filter(created_at__gt=mark.until)
    grouped = rows.order_by().values_list("secret_id").annotate(n=Count("pk"), at=Max("created_at"))
    return [(secret_id, count, at) for secret_id, count, at in grouped if secret_id is not None]
