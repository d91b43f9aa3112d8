"""Events the provider made and we never received: listed there, compared, sent through the gates.

Owns when an account is listed, from when on, and what counts as missing. A listing starts an hour
before the end of the last one that succeeded, so that a failed or partial one loses nothing.
Pages are read outside any transaction; each is stored by itself, and a long listing goes on from
its cursor in the next message. Serves WH-12, WH-13, WH-27.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from payops.core import audit, clock, messages, schedule
from payops.core.actors import service
from payops.core.messages import News
from payops.core.models import Message, ProviderAccount
from payops.core.queues import Postpone
from payops.flows import questions
from payops.payments.models import Payout
from payops.psp import registry
from payops.psp.base import AccountFacts, WebhookItem
from payops.psp.calling import EventPage
from payops.webhooks import listed
from payops.webhooks.listed import ListedBody
from payops.webhooks.models import Listing, Secret

log = logging.getLogger(__name__)
ACTOR = service("missed-events")
TOPIC = "account.list_events"
OVERLAP = timedelta(hours=1)
# What providers keep for listing; older events cannot be asked for any more.
WINDOW_MAX = timedelta(days=30)
# A younger event may still be on its way by webhook; the overlap brings it up again.
GRACE = timedelta(minutes=2)
# Of one message; the next one goes on from there.
PAGES_MAX = 500
BUDGET_S = 40.0
ERROR_CHARS_MAX = 240


def ask_all(now: datetime) -> int:
    """Send the news that it is time to list, once per account and slot; answers how many."""
    asked = 0
    wanted = _addressed(now).filter(listing_every_s__gt=0).select_related("book")
    for account in wanted.order_by("pk"):
        every_s = account.listing_every_s
        with schedule.slot(f"list:{account.address}", now, every_s=every_s) as mine:
            if mine:
                key = f"{account.address}:{int(now.timestamp()) // every_s}"
                payload = {"account_id": str(account.pk)}
                news = News(account.book, TOPIC, key, payload, turn=str(account.pk))
                messages.send([news], now=now)
                asked += 1
    return asked


def list_missed(batch: list[Message], now: datetime) -> None:
    """One listing of one account, or the rest of it; safe to repeat: keys tell what is known."""
    message = batch[0]
    known = ProviderAccount.objects.select_related("book")
    account = known.get(pk=message.payload["account_id"])
    listing = _listing(message, account, now)
    cursor = message.payload.get("cursor")
    until = time.monotonic() + BUDGET_S
    for read in range(PAGES_MAX):
        try:
            page = questions.list_events(
                account=account, created_after=listing.since, cursor=cursor
            )
        except Postpone as later:
            if not read:
                raise
            _go_on(message, listing, cursor, later.due_at)
            return
        _take_in(account, listing, page)
        if page.error or page.cursor is None:
            _finish(listing, page.error or "")
            return
        cursor = page.cursor
        if time.monotonic() > until:
            break
    _go_on(message, listing, cursor, None)


def since(account: ProviderAccount, now: datetime) -> datetime:
    """Where the next listing starts: before the end of the last good one, within the window."""
    good = Listing.objects.filter(account=account, error="", finished_at__isnull=False)
    latest = good.order_by("-until").values_list("until", flat=True).first()
    return max((latest or account.created_at) - OVERLAP, now - WINDOW_MAX)


def _listing(message: Message, account: ProviderAccount, now: datetime) -> Listing:
    begun = message.payload.get("listing_id")
    if begun:
        return Listing.objects.select_related("account", "book").get(pk=begun)
    # Written with its first page: a provider that holds calls back makes no row per attempt.
    return Listing(
        book=account.book, account=account, since=since(account, now), until=now, created_at=now
    )


def _go_on(message: Message, listing: Listing, cursor: str | None, due_at: datetime | None) -> None:
    """The rest of the listing, as a message of its own."""
    rest = {
        "account_id": message.payload["account_id"],
        "listing_id": str(listing.pk),
        "cursor": cursor,
    }
    step = message.payload.get("step", 1)
    key = f"{listing.pk}:{step}"
    with transaction.atomic(durable=True):
        news = News(
            listing.book,
            TOPIC,
            key,
            rest | {"step": step + 1},
            due_at=due_at,
            turn=str(listing.account_id),
        )
        messages.send([news], now=clock.utc_now())


def _finish(listing: Listing, error: str) -> None:
    """Closed with its figures; what it brought or why it ended is in the audit."""
    listing.error, listing.finished_at = error[:ERROR_CHARS_MAX], clock.utc_now()
    with transaction.atomic(durable=True):
        listing.save()
        if not (listing.missing or error):
            return
        row = audit.event(
            book=listing.book,
            actor=ACTOR,
            action="events.listing_failed" if error else "events.recovered",
            subject_id=listing.account.address,
            now=listing.finished_at,
            reason=error
            or f"{listing.missing} event{'' if listing.missing == 1 else 's'} had not reached us",
            evidence={
                "since": listing.since.isoformat(),
                "until": listing.until.isoformat(),
                "listed": listing.listed,
                "known": listing.known,
                "missing": listing.missing,
            },
        )
        audit.record([row])


def _take_in(account: ProviderAccount, listing: Listing, page: EventPage) -> None:
    """Compare one page with the register and store what is missing."""
    adapter, facts = registry.adapter(account.provider), facts_of(account)
    bodies = []
    for raw in page.bodies:
        told = adapter.itemize(raw=raw, account=facts)
        if not told.ok:
            log.warning("%s: a listed event was refused: %s", account.address, told.reason)
            continue
        items = told.items if told.parse_error is None else (listed.unreadable(raw),)
        bodies.append(ListedBody(raw, items, told.parse_error or ""))
    items_of_page = [item for body in bodies for item in body.items]
    keys = {item.dedupe_key for item in items_of_page}
    known = listed.known_keys(account=account, keys=keys) if keys else set()
    missing = [_missing_of(body, known, listing.until) for body in bodies]
    missing = _only_certain(account, missing, listing.until)
    with transaction.atomic(durable=True):
        fresh = listed.store(
            account=account, bodies=[body for body in missing if body.items], now=clock.utc_now()
        )
        listing.listed += len(items_of_page)
        listing.known += len([item for item in items_of_page if item.dedupe_key in known])
        listing.missing += fresh
        listing.save()


def _addressed(now: datetime) -> QuerySet[ProviderAccount]:
    """Accounts that webhooks can reach and that list events: without a secret nothing is accepted,
    so nothing is missed; a ticket system lists nothing."""
    live = Q(retired_at=None) | Q(retired_at__gt=now)
    secrets = Secret.objects.filter(live, account=OuterRef("pk"), active_from__isnull=False)
    return ProviderAccount.objects.filter(Exists(secrets), provider__in=registry.with_calls())


def _only_certain(
    account: ProviderAccount, bodies: list[ListedBody], now: datetime
) -> list[ListedBody]:
    """Accounts with the same credentials are shown the same list: only what is this one's for
    certain is taken, or one event would be booked in two accounts."""
    rivals = _addressed(now).filter(provider=account.provider, settings=account.settings)
    if not rivals.exclude(pk=account.pk).exists():
        return bodies
    objects = {item.object_id for body in bodies for item in body.items}
    own = set(
        Payout.objects.filter(account=account, provider_ref__in=objects).values_list(
            "provider_ref", flat=True
        )
    )
    if objects - own:
        words = "%s: %d listed objects may belong to another account and are left to webhooks"
        log.warning(words, account.address, len(objects - own))
    return [
        replace(body, items=tuple(item for item in body.items if item.object_id in own))
        for body in bodies
    ]


def facts_of(account: ProviderAccount) -> AccountFacts:
    return AccountFacts(
        provider=account.provider,
        slug=account.slug,
        live=account.live,
        settings=dict(account.settings),
    )


def _missing_of(body: ListedBody, known: set[str], now: datetime) -> ListedBody:
    items = tuple(
        item for item in body.items if item.dedupe_key not in known and not _is_young(item, now)
    )
    return ListedBody(body.raw, items, body.parse_error)


def _is_young(item: WebhookItem, now: datetime) -> bool:
    return item.occurred_at is not None and item.occurred_at > now - GRACE
