"""Counts what the edge refused, apart from business events: per account, reason and minute (WH-31).

Owns the counters of this process and the rows they are flushed into a few seconds later, also when
no further request comes. Never touches the way of an accepted body. A killed process loses what it
counted since the last flush, at most FLUSH_AFTER_S; receipts that were kept are not concerned.
"""

from __future__ import annotations

import atexit
import logging
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import Error as DatabaseError
from django.db import connection

from payops.core import clock, ids
from payops.webhooks.models import RefusalCount

log = logging.getLogger(__name__)

FLUSH_AFTER_S = 3.0
KEYS_MAX = 5000
KEPT_DAYS = 90
PROBE, FORGED, STALE, STRANGER, OURS = "probe", "forged", "stale", "stranger", "not ready"
# What a refusal tells of its sender; reasons not named here are forged.
KINDS = {
    "unknown_address": PROBE,
    "wrong_method": PROBE,
    "header_missing": PROBE,
    "length_missing": PROBE,
    "length_malformed": PROBE,
    "body_unreadable": PROBE,
    "too_large": PROBE,
    "no_items": PROBE,
    "timestamp_stale": STALE,
    "timestamp_future": STALE,
    "ip_not_allowed": STRANGER,
    "secret_missing": OURS,
    "evidence_missing": OURS,
    "evidence_away": OURS,
    "trust_anchors_missing": OURS,
    "mode_mismatch": OURS,
}
KIND_WORDS = {
    PROBE: "Probes: no signature, no such address, not a webhook",
    FORGED: "Forged: signed with no secret of ours, or changed on the way",
    STALE: "Stale: signed too long ago or ahead of time, perhaps replayed",
    STRANGER: "Strangers: sent from an address that is not on the list",
    OURS: "Not ready: no secret here, wrong mode, or proof that could not be fetched",
}
UPSERT = """
INSERT INTO webhooks_refusalcount (id, created_at, account_id, reason, minute, kept, dropped)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (account_id, reason, minute) DO UPDATE
SET kept = webhooks_refusalcount.kept + EXCLUDED.kept,
    dropped = webhooks_refusalcount.dropped + EXCLUDED.dropped
"""


@dataclass(frozen=True, slots=True)
class Key:
    account_id: UUID | None
    reason: str
    minute: datetime


class Counters:
    """Those of this process; `count` costs a dictionary entry, a timer writes them down."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[Key, list[int]] = {}
        self._timer: threading.Timer | None = None

    def count(self, *, account_id: UUID | None, reason: str, kept: bool, now: datetime) -> None:
        key = Key(account_id, reason[:64], now.replace(second=0, microsecond=0))
        with self._lock:
            if key not in self._counts and len(self._counts) >= KEYS_MAX:
                key = Key(None, "unknown_address", key.minute)
            self._counts.setdefault(key, [0, 0])[0 if kept else 1] += 1
            if self._timer is None:
                self._timer = threading.Timer(FLUSH_AFTER_S, self._flush_alone)
                self._timer.daemon = True
                self._timer.start()

    def flush(self, *, now: datetime) -> int:
        """Write down what was counted; what cannot be written is kept for the next time."""
        with self._lock:
            taken, self._counts = self._counts, {}
        rows = sorted(taken.items(), key=lambda each: (str(each[0].account_id), each[0].reason))
        done = 0
        try:
            with connection.cursor() as cursor:
                for key, (kept, dropped) in rows:
                    values: list[Any] = [ids.uuid7(), now, key.account_id, key.reason, key.minute]
                    cursor.execute(UPSERT, [*values, kept, dropped])
                    done += 1
        except DatabaseError as error:
            log.warning("%d counts of refusals wait for the database: %s", len(rows) - done, error)
            with self._lock:
                for key, (kept, dropped) in rows[done:]:
                    held = self._counts.setdefault(key, [0, 0])
                    held[0] += kept
                    held[1] += dropped
        return done

    def forget(self) -> None:
        """Between tests."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._timer, self._counts = None, {}

    def at_exit(self) -> None:
        if self._counts:
            self._flush_alone()

    def _flush_alone(self) -> None:
        """In the timer's own thread, on a connection of its own."""
        with self._lock:
            self._timer = None
        try:
            self.flush(now=clock.utc_now())
        finally:
            connection.close()


def prune(*, now: datetime) -> int:
    """Counts are kept KEPT_DAYS; the receipts they count stay."""
    return RefusalCount.objects.filter(minute__lt=now - timedelta(days=KEPT_DAYS)).delete()[0]


noise = Counters()
atexit.register(noise.at_exit)
