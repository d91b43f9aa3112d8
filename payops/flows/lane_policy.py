"""The table of lanes as a policy of the book: seeded, versioned, read with its hash (WH-23, D2).

Owns which version applies now and at which rates, the check of a proposed one, and what it would
have decided about the last days. A version that is not the one that was approved is never
applied: the seeded table is, and the log says so. An event that is stored keeps its lane.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from approvals import policies, policy_changes
from approvals.hashing import hash_of
from approvals.models import PolicyVersion
from approvals.policies import PolicyError
from payops.core.models import Book, ProviderAccount, Rate
from payops.core.money import MoneyError, check_currency
from payops.psp.base import Lane, WebhookItem
from payops.webhooks import lanes
from payops.webhooks.lanes import LaneRules, LanesError
from payops.webhooks.models import ProviderEvent

log = logging.getLogger(__name__)

LOOKED_BACK = timedelta(days=7)
EVENTS_MAX = 20_000
COLUMNS = (
    "account__provider",
    "account__slug",
    "type",
    "amount_minor",
    "currency",
    "lane",
    "created_at",
)


@dataclass(frozen=True, slots=True)
class Outlook:
    """How many of the last days' events each lane has by the active table and by another.

    `unsorted` events match no row of the other table and always matched one of the active: their
    adapter would sort them by type, and how is not kept. `is_cut`: older ones were not looked at.
    """

    since: datetime
    events: int
    is_cut: bool
    counts: tuple[tuple[str, int, int], ...]
    moved: int
    unsorted: int


class _Seen(NamedTuple):
    """What is kept of an event that the tables look at."""

    address: str
    kind: str
    amount_minor: int | None
    currency: str
    lane: Lane
    created_at: datetime

    @property
    def sort(self) -> tuple[str, str]:
        """What its adapter sorts it by."""
        return self.address.partition("/")[0], self.kind


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
    version = policies.active_version(book=book, name=lanes.NAME, now=now)
    if version is not None:
        try:
            if hash_of(version.rules) != version.content_hash:
                raise LanesError("it is not the table that was approved")
            return lanes.parse(
                version.rules, currency=currency, rates=rates, version=version.version
            )
        except LanesError as error:
            log.error("%s v%d of %s: %s", version.name, version.version, book.code, error)
    return lanes.parse(lanes.seeded(currency=currency), currency=currency, rates=rates)


def active_table(book: Book, now: datetime) -> tuple[PolicyVersion | None, dict[str, Any]]:
    """The stored table as people change it; without a version, the one in the code."""
    version = policies.active_version(book=book, name=lanes.NAME, now=now)
    return version, version.rules if version else lanes.seeded(currency=book.reporting_currency)


def check(rules: Mapping[str, Any], book: Book) -> None:
    """Raises PolicyError before anybody is asked about a table that cannot be applied."""
    try:
        parsed = lanes.parse(rules, currency=book.reporting_currency)
        for row in parsed.rows:
            for currency in row.currencies:
                check_currency(currency)
    except (LanesError, MoneyError) as error:
        raise PolicyError(str(error)) from error
    known = {account.address for account in ProviderAccount.objects.filter(book=book)}
    for row in parsed.rows:
        if unknown := sorted(row.accounts - known):
            raise PolicyError(
                f"row {row.name!r} names the accounts {unknown}; there are {sorted(known)}"
            )


def outlook(*, book: Book, rules: Mapping[str, Any], now: datetime) -> Outlook:
    """What that table would have decided; one statement over at most EVENTS_MAX events."""
    active = rules_of(book, now)
    other = lanes.parse(rules, currency=active.currency, rates=active.rates)
    floor = now - LOOKED_BACK
    newest = ProviderEvent.objects.filter(book=book, pk__gte=_first_key(floor)).order_by("-pk")
    found = newest.values_list(*COLUMNS)[: EVENTS_MAX + 1]
    events = [_Seen(f"{provider}/{slug}", *rest) for provider, slug, *rest in found]
    is_cut, events = len(events) > EVENTS_MAX, events[:EVENTS_MAX]
    return Outlook(
        since=events[-1].created_at if is_cut else floor,
        events=len(events),
        is_cut=is_cut,
        **_counted(events, active, other),
    )


def _counted(events: Iterable[_Seen], active: LaneRules, other: LaneRules) -> dict[str, Any]:
    """By kind of event: where no row of the active table fires, its lane is the adapter's."""
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    moved = 0
    guesses: dict[tuple[str, str], str] = {}
    left: list[tuple[tuple[str, str], str]] = []
    for event in events:
        item, address, sort = _item(event), event.address, event.sort
        lane, row = lanes.decide(item, active, account=address)
        before[lane] += 1
        if not row:
            guesses[sort] = lane
        other_lane, fired = lanes.decide(item, other, account=address)
        if fired or not row:
            after[other_lane] += 1
            moved += other_lane != lane
        else:
            left.append((sort, lane))
    for sort, was in left:
        guess = guesses.get(sort, "")
        after[guess] += 1
        moved += guess not in ("", was)
    return {
        "counts": tuple((lane, before[lane], after[lane]) for lane in lanes.LANES),
        "moved": moved,
        "unsorted": after[""],
    }


def _item(event: _Seen) -> WebhookItem:
    """As much of the item as the table looks at."""
    return WebhookItem(
        index=0,
        provider_event_id="",
        dedupe_key="",
        fingerprint="",
        event_type=event.kind,
        object_id="",
        amount_minor=event.amount_minor,
        currency=event.currency or None,
        occurred_at=None,
        live=None,
        lane=event.lane,
    )


def _first_key(at: datetime) -> UUID:
    """Keys begin with their millisecond, so the primary key bounds the days."""
    return UUID(int=int(at.timestamp() * 1000) << 80)


def _rates(book: Book, now: datetime) -> dict[str, Decimal]:
    """The latest of each currency, told either way round."""
    reporting = book.reporting_currency
    known = Rate.objects.filter(as_of__lte=now)
    latest: dict[str, tuple[datetime, Decimal]] = {}
    for row in known.filter(base=reporting).order_by("quote", "-as_of", "-pk").distinct("quote"):
        latest[row.quote] = (row.as_of, 1 / row.rate)
    for row in known.filter(quote=reporting).order_by("base", "-as_of", "-pk").distinct("base"):
        if row.base not in latest or latest[row.base][0] <= row.as_of:
            latest[row.base] = (row.as_of, row.rate)
    return {currency: rate for currency, (_, rate) in latest.items()}


TABLE = policy_changes.Table(
    name=lanes.NAME,
    title="New table of lanes",
    check=check,
    applies_to="events received from then on, within seconds",
    leaves_alone="events that are stored keep the lane they have",
)
