"""A cap on what is kept of refused bodies: a bucket of tokens per account and process (WH-31).

Only refusals are capped, never anything a provider signed. What is not kept is counted by reason
and minute in `payops/webhooks/noise.py`.
"""

from __future__ import annotations

import threading
import time
from uuid import UUID

from payops.webhooks.noise import noise

REFUSALS_KEPT_PER_S = 5.0
REFUSALS_BURST = 50.0


class Bucket:
    """`take()` answers whether one more refusal may be kept."""

    def __init__(self, *, per_s: float = REFUSALS_KEPT_PER_S, burst: float = REFUSALS_BURST):
        self._per_s, self._burst = per_s, burst
        self._tokens, self._filled_at = burst, time.monotonic()
        self._lock = threading.Lock()

    def take(self) -> bool:
        with self._lock:
            now = time.monotonic()
            self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._per_s)
            self._filled_at = now
            if self._tokens >= 1:
                self._tokens -= 1
                return True
            return False


class Throttle:
    """One bucket per account of this process; accounts are few, so the table stays small."""

    def __init__(self) -> None:
        self._buckets: dict[UUID, Bucket] = {}

    def may_keep(self, *, account_id: UUID) -> bool:
        bucket = self._buckets.get(account_id)
        if bucket is None:
            bucket = self._buckets.setdefault(account_id, Bucket())
        return bucket.take()

    def forget(self) -> None:
        """Between tests."""
        self._buckets = {}
        noise.forget()


throttle = Throttle()
