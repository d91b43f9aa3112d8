"""Comparisons with a provider that go round by the clock: who is asked now, once an hour each."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from payops.core import messages, schedule
from payops.core.messages import News
from payops.core.models import ProviderAccount
from payops.psp import registry

EVERY_S = 3600


def ask_hourly(
    *, topic: str, slot: str, wanted: Callable[[ProviderAccount, datetime], bool], now: datetime
) -> int:
    """Send the topic's news for every account with something to compare; answers how many.

    Ticket systems take no calls and are never asked.
    """
    asked = 0
    accounts = ProviderAccount.objects.filter(provider__in=registry.with_calls())
    for account in accounts.select_related("book").order_by("pk"):
        with schedule.slot(f"{slot}:{account.address}", now, every_s=EVERY_S) as mine:
            if mine and wanted(account, now):
                key = f"{account.address}:{int(now.timestamp()) // EVERY_S}"
                payload = {"account_id": str(account.pk)}
                news = News(account.book, topic, key, payload, turn=str(account.pk))
                messages.send([news], now=now)
                asked += 1
    return asked
