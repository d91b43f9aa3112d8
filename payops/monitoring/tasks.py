"""Monitoring by the clock: fold, look at the rules, forget what is old. Each slot is done once."""

from __future__ import annotations

import logging

from celery import shared_task
from django.db import InterfaceError, OperationalError, close_old_connections

from payops.core import clock, schedule
from payops.monitoring import evaluate, folds

log = logging.getLogger(__name__)
FOLD_EVERY_S, EVALUATE_EVERY_S, FORGET_EVERY_S = 10, 30, 3600


@shared_task(name="payops.monitoring")
def watch() -> None:
    """Three slots, each a transaction of its own, so that a late one costs the others nothing."""
    close_old_connections()
    now = clock.utc_now()
    try:
        with schedule.slot("monitoring-fold", now, every_s=FOLD_EVERY_S) as mine:
            if mine:
                folds.fold(now=now)
        with schedule.slot("monitoring-rules", now, every_s=EVALUATE_EVERY_S) as mine:
            if mine:
                opened, closed = evaluate.evaluate(now=now)
                if opened or closed:
                    log.warning("alerts: %d opened, %d closed", opened, closed)
        with schedule.slot("monitoring-forget", now, every_s=FORGET_EVERY_S) as mine:
            if mine:
                folds.forget_old(now=now)
    except (OperationalError, InterfaceError) as error:
        log.warning("monitoring: the database is away, the next round goes on: %s", error)
