"""Celery tasks: thin doors to the engine. Their arguments are hints, never trusted as truth.

A task drains one lane until it is empty or its time is up; the schedule's sweep calls the same
door, so a lost wake-up costs seconds, not work.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from celery import shared_task
from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections
from redis import Redis
from redis.exceptions import RedisError

from approvals.services import expire_due
from payops.core import audit, clock, flights, logs, queues, schedule, wake
from payops.core.lanes import LANES
from payops.core.queues import Tally
from payops.flows import (
    accounts,
    anchor_mail,
    balance_fold,
    dispatches,
    manual_posting,
    missed_events,
    provider_event,
    turns,
    verify_event,
)
from payops.flows.disputes import deadlines as dispute_deadlines
from payops.flows.payouts import silent as silent_payouts
from payops.flows.refunds import silent as silent_refunds
from payops.webhooks import services as inbox_services

log = logging.getLogger(__name__)
DRAIN_BUDGET_S = 20.0
INBOX, QUEUES = turns.INBOX, turns.QUEUES


@shared_task(name=wake.DRAIN_TASK)
def drain_lane(lane: str) -> None:
    """Work for one lane's worker; a wake-up sent while it runs brings another task."""
    if lane not in LANES:
        log.error("no lane %r", lane)
        return
    _take_wake_up(lane)
    close_old_connections()
    with logs.about(lane=lane), _until_the_next_round(f"lane {lane}"):
        turns.work(lane, budget_s=DRAIN_BUDGET_S)


@shared_task(name="payops.housekeeping")
def housekeeping() -> None:
    """What runs by the clock: the audit's seal, what expired, what waits too long or is missing."""
    close_old_connections()
    now = clock.utc_now()
    with _until_the_next_round("housekeeping"):
        audit.seal(now=now)
        anchor_mail.anchor_and_mail(now)
        expire_due(now)
        accounts.keep_up(now)
        with schedule.slot("recheck-parked", now, every_s=30) as mine:
            if mine:
                inbox_services.recheck_parked(actor=provider_event.ACTOR, now=now)
        with schedule.slot("verify-overdue", now, every_s=60) as mine:
            if mine:
                verify_event.ask_overdue(now)
        with schedule.slot("missing-settled", now, every_s=300) as mine:
            if mine:
                silent_payouts.close_settled(now)
        with schedule.slot("dispute-deadlines", now, every_s=dispute_deadlines.EVERY_S) as mine:
            if mine:
                dispute_deadlines.escalate(now)
        missed_events.ask_all(now)
        silent_payouts.ask_all(now)
        silent_refunds.ask_all(now)
        dispatches.resend_unknown(now)
        manual_posting.keep_up(now)


@shared_task(name="payops.fold_balances")
def fold_balances() -> None:
    """Balances stay fast while their totals are close behind the journal."""
    close_old_connections()
    with _until_the_next_round("balances"):
        balance_fold.fold_all(now=clock.utc_now())


def drain(lane: str, *, budget_s: float) -> Tally:
    """Run both queues of a lane until nothing is ready or the budget is used."""
    total = Tally()
    until = time.monotonic() + budget_s
    while time.monotonic() < until:
        before = total.claimed
        for queue in QUEUES:
            total.add(queues.drain_once(queue, lane=lane))
            total.add(flights.fly(queue, lane=lane, budget_s=until - time.monotonic()))
        if total.claimed == before:
            return total
    return total


def ready_rows() -> int:
    now = clock.utc_now()
    return sum(queues.ready_count(queue, now=now) for queue in QUEUES)


@contextmanager
def _until_the_next_round(work: str) -> Iterator[None]:
    """A database that is away is news in one line, not a trace: the schedule tries again."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        log.warning("%s: the database is away, the next round goes on: %s", work, error)


def _take_wake_up(lane: str) -> None:
    try:
        redis = Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1)
        redis.delete(wake.outstanding_key(lane))
    except (RedisError, OSError) as error:
        log.warning("the broker is away: %s", error)
