"""What the webhook edge knows by heart: accounts, secrets, allowlists, lanes, the day's data key.

Owns a copy per process that is at most TTL_S old. A miss (unknown account, no secret matches) may
refresh it early, at most once per MISS_REFRESH_S, so that a new account, a rotated secret or a new
address on an allowlist works at once while a flood of bad requests costs no queries. Serves WH-2,
WH-3, WH-23 and SE-1.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from uuid import UUID

from django.db import connection

from payops.core import clock, crypto
from payops.core.models import Book, DataKey, ProviderAccount
from payops.psp import registry
from payops.psp.base import AccountFacts, Lane, SecretValue, WebhookAdapter, WebhookItem
from payops.webhooks import allowlist, trust
from payops.webhooks.allowlist import Allowlist
from payops.webhooks.lane_table import lane_reader
from payops.webhooks.lanes import LaneRules, lane_of
from payops.webhooks.secrets import LiveSecret, usable_secrets

TTL_S = 5.0
MISS_REFRESH_S = 1.0
DATA_KEYS_MAX = 256


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One webhook address and everything needed to accept a body there."""

    account_id: UUID
    book: Book
    address: str
    facts: AccountFacts
    adapter: WebhookAdapter
    secrets: tuple[LiveSecret, ...]
    lanes: LaneRules
    allowlist_mode: str = allowlist.OFF
    allowlist: Allowlist = allowlist.NOBODY

    def secrets_at(self, now: datetime) -> tuple[SecretValue, ...]:
        return tuple(each.secret for each in self.secrets if each.good_at(now))

    def allows(self, address: str | None) -> bool | None:
        """The verdict that a receipt keeps; None: there is no list to hold the address against."""
        return self.allowlist.verdict(mode=self.allowlist_mode, address=address)

    def lane_of(self, item: WebhookItem) -> Lane:
        """Where a new event waits; one that is stored keeps the lane it has."""
        return lane_of(item, self.lanes, account=self.address)

    def decides_as(self, other: Endpoint) -> bool:
        """Whether a body would be judged by the same secrets and the same list."""
        mine = (self.secrets, self.allowlist_mode, self.allowlist.networks)
        return mine == (other.secrets, other.allowlist_mode, other.allowlist.networks)


class Directory:
    """The copy of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._endpoints: dict[tuple[str, str], Endpoint] = {}
        self._data_keys: dict[tuple[UUID, date], tuple[DataKey, float]] = {}
        self._loaded_at = float("-inf")

    def find(self, *, provider: str, slug: str, now: datetime) -> Endpoint | None:
        """None: there is no such address here."""
        self._refresh_if_older(TTL_S, now)
        found = self._endpoints.get((provider, slug))
        if found is None and self._refresh_if_older(MISS_REFRESH_S, now):
            found = self._endpoints.get((provider, slug))
        return found

    def find_anew(self, endpoint: Endpoint, *, now: datetime) -> Endpoint | None:
        """The endpoint as it is now, when it has changed since `endpoint` was read; else None."""
        self._refresh_if_older(MISS_REFRESH_S, now)
        fresh = self._endpoints.get((endpoint.facts.provider, endpoint.facts.slug))
        return fresh if fresh is not None and not fresh.decides_as(endpoint) else None

    def data_key(self, endpoint: Endpoint, *, now: datetime) -> DataKey:
        """The key of the book's business day; created by whoever comes first."""
        day = clock.business_day(now, time_zone=endpoint.book.time_zone)
        known, read_at = self._data_keys.get((endpoint.book.pk, day), (None, 0.0))
        if known is not None and time.monotonic() - read_at < TTL_S:
            return known
        _mend_connection()
        key = crypto.data_key(book=endpoint.book, scope=f"webhooks:{day:%Y-%m-%d}")
        if len(self._data_keys) >= DATA_KEYS_MAX:
            self._data_keys.clear()
        self._data_keys[endpoint.book.pk, day] = key, time.monotonic()
        return key

    def forget(self) -> None:
        """Read everything again at the next request (after a restore, between tests)."""
        with self._lock:
            self._endpoints = {}
            self._data_keys = {}
            self._loaded_at = float("-inf")

    def _refresh_if_older(self, age_s: float, now: datetime) -> bool:
        if time.monotonic() - self._loaded_at < age_s:
            return False
        # While one thread reads, the others go on with the copy they have, if there is one.
        if not self._lock.acquire(blocking=not self._endpoints):
            return False
        try:
            if time.monotonic() - self._loaded_at >= age_s:
                _mend_connection()
                self._endpoints = _load(now)
                self._loaded_at = time.monotonic()
            return True
        finally:
            self._lock.release()


def _mend_connection() -> None:
    """The door in front of the site has no start of a request at which Django would look."""
    connection.close_if_unusable_or_obsolete()


def _load(now: datetime) -> dict[tuple[str, str], Endpoint]:
    secrets = usable_secrets(now=now)
    allowlists = allowlist.compiled()
    lanes: dict[UUID, LaneRules] = {}
    endpoints = {}
    for account in ProviderAccount.objects.select_related("book"):
        if account.provider not in registry.PROVIDERS:
            continue
        if account.book_id not in lanes:
            lanes[account.book_id] = lane_reader()(account.book, now)
        endpoints[account.provider, account.slug] = Endpoint(
            account_id=account.pk,
            book=account.book,
            address=account.address,
            facts=AccountFacts(
                provider=account.provider,
                slug=account.slug,
                live=account.live,
                settings=MappingProxyType(
                    dict(trust.facts_settings(account, secrets.get(account.pk, ())))
                ),
            ),
            adapter=registry.adapter(account.provider),
            secrets=secrets.get(account.pk, ()),
            lanes=lanes[account.book_id],
            allowlist_mode=account.allowlist_mode,
            allowlist=allowlists.get(account.pk, allowlist.NOBODY),
        )
    return endpoints


directory = Directory()
