"""Best-effort wake-ups of the workers through the broker; never required, never blocking.

One daemon thread per process sends at most one outstanding wake-up per lane. When the broker is
away, nothing is lost: the scheduler's sweep finds every waiting row in PostgreSQL (D4).
"""

from __future__ import annotations

import logging
import threading
import time

from celery import current_app
from django.conf import settings
from kombu.exceptions import KombuError
from redis import Redis
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

DRAIN_TASK = "payops.drain_lane"
OUTSTANDING_S = 2
BROKER_TIMEOUT_S = 1.0
PAUSE_AFTER_FAILURE_S = 1.0


class Waker:
    """Collects lanes to wake and sends them from its own thread."""

    def __init__(self) -> None:
        self._lanes: set[str] = set()
        self._signal = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def wake(self, lane: str) -> None:
        with self._lock:
            self._lanes.add(lane)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._loop, daemon=True, name="waker")
                self._thread.start()
        self._signal.set()

    def _loop(self) -> None:
        redis = Redis.from_url(
            settings.REDIS_URL,
            socket_timeout=BROKER_TIMEOUT_S,
            socket_connect_timeout=BROKER_TIMEOUT_S,
        )
        while True:
            self._signal.wait()
            self._signal.clear()
            with self._lock:
                lanes, self._lanes = self._lanes, set()
            try:
                for lane in lanes:
                    send_wake_up(redis, lane)
            except (RedisError, OSError, KombuError) as error:
                log.warning("the broker is away, the sweep will find the work: %s", error)
                time.sleep(PAUSE_AFTER_FAILURE_S)


def send_wake_up(redis: Redis, lane: str) -> None:
    if redis.set(outstanding_key(lane), 1, nx=True, ex=OUTSTANDING_S):
        current_app.send_task(DRAIN_TASK, args=[lane], queue=lane, retry=False)


def outstanding_key(lane: str) -> str:
    return f"payops:wake:{lane}"


_waker = Waker()


def wake(lane: str) -> None:
    """Ask for a drain of a lane soon. Never raises, never waits."""
    if settings.PAYOPS_WAKE_UPS:
        _waker.wake(lane)
