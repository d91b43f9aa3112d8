"""The process behind `webhooks_journal`: feeds captured payments and drains them; prints JSON."""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
import threading
import time
from datetime import datetime
from typing import Any
from uuid import uuid4

import django

django.setup()

from django.db import connections  # noqa: E402

from ledger.models import JournalEntry  # noqa: E402
from payops.core import clock  # noqa: E402
from payops.core.queues import BATCH_MAX, drain_once  # noqa: E402
from payops.flows import provider_event  # noqa: E402
from payops.psp.base import Authentication  # noqa: E402
from payops.webhooks import ingest  # noqa: E402
from payops.webhooks.directory import Endpoint, directory  # noqa: E402
from payops.webhooks.inbox import inbox_queue  # noqa: E402
from payops.webhooks.ingest import Received  # noqa: E402
from payops.webhooks.models import ProviderEvent  # noqa: E402

LANE = "standard"
STEADY_PER_S = 500
ONE_BY_ONE = 300
IDLE_S = 0.002
SELLERS = ("S-1001", "S-1002", "S-1003", "S-1005")


def main(events: int, seconds: float) -> dict[str, Any]:
    _feed(range(100))
    _drain(BATCH_MAX)
    feed_from = 100
    alone_s, _ = _timed(range(feed_from, feed_from + ONE_BY_ONE), batch=1)
    feed_from += ONE_BY_ONE
    batch_s, right = _timed(range(feed_from, feed_from + events), batch=BATCH_MAX)
    feed_from += events
    latencies, steady_right = _steady(feed_from, seconds)
    return {
        "per_s": events / batch_s,
        "one_by_one_per_s": ONE_BY_ONE / alone_s,
        "entries_correct": right,
        "p50_ms": latencies[len(latencies) // 2] * 1000,
        "p99_ms": latencies[int(len(latencies) * 0.99)] * 1000,
        "steady_correct": steady_right,
    }


def _timed(numbers: range, *, batch: int) -> tuple[float, bool]:
    _feed(numbers)
    before = JournalEntry.objects.count()
    start = time.perf_counter()
    _drain(batch)
    spent = time.perf_counter() - start
    unfinished = ProviderEvent.objects.filter(lane=LANE).exclude(state="PROCESSED").count()
    return spent, JournalEntry.objects.count() - before == len(numbers) and unfinished == 0


def _drain(batch: int) -> None:
    queue = inbox_queue(provider_event.process)
    while drain_once(queue, lane=LANE, batch_max=batch).claimed:
        pass


def _steady(feed_from: int, seconds: float) -> tuple[list[float], bool]:
    """A feeder at a steady rate beside a worker; latency = received until committed."""
    count = int(seconds * STEADY_PER_S)
    before = JournalEntry.objects.count()
    feeder = threading.Thread(target=_feed_steadily, args=(range(feed_from, feed_from + count),))
    latencies: list[float] = []
    received: list[datetime] = []

    def run(events: list[ProviderEvent], now: datetime) -> None:
        provider_event.process(events, now)
        received[:] = [event.created_at for event in events]

    queue = inbox_queue(run)
    feeder.start()
    while True:
        claimed = drain_once(queue, lane=LANE).claimed
        done_at = clock.utc_now()
        if claimed:
            latencies += [(done_at - at).total_seconds() for at in received]
        elif not feeder.is_alive():
            break
        else:
            time.sleep(IDLE_S)
    feeder.join()
    return sorted(latencies), len(latencies) == count == JournalEntry.objects.count() - before


def _feed_steadily(numbers: range) -> None:
    start = time.perf_counter()
    for position, number in enumerate(numbers):
        ahead = start + position / STEADY_PER_S - time.perf_counter()
        if ahead > 0:
            time.sleep(ahead)
        _feed(range(number, number + 1))
    connections.close_all()


def _feed(numbers: range) -> None:
    """Stored by the edge's own statement, with the items the adapter finds in the body."""
    now = clock.utc_now()
    endpoint = directory.find(provider="stripe", slug="demo", now=now)
    assert endpoint is not None, "the seeded account stripe/demo is missing"
    for number in numbers:
        raw, now = captured(number), clock.utc_now()
        verdict = signed(endpoint, raw, now)
        received = Received(
            endpoint=endpoint,
            raw=raw,
            sha256=hashlib.sha256(raw).hexdigest(),
            headers={},
            remote_ip="127.0.0.1",
            trace_id=uuid4().hex,
            now=now,
        )
        ingest.store(
            received,
            items=verdict.items,
            secret_id=verdict.secret_id,
            data_key=directory.data_key(endpoint, now=now),
        )


def signed(endpoint: Endpoint, raw: bytes, now: datetime) -> Authentication:
    """The adapter's verdict on a body signed as the provider signs."""
    stamp = str(int(now.timestamp()))
    secret = endpoint.secrets_at(now)[0]
    mac = hmac.new(secret.value.encode(), f"{stamp}.".encode() + raw, hashlib.sha256).hexdigest()
    return endpoint.adapter.authenticate(
        raw=raw,
        headers={"stripe-signature": f"t={stamp},v1={mac}"},
        secrets=[secret],
        now=now,
        account=endpoint.facts,
    )


def captured(number: int) -> bytes:
    payment = {
        "id": f"ch_bench{number:09d}",
        "object": "charge",
        "amount": 10_000 + number % 5000,
        "currency": "eur",
        "status": "succeeded",
        "captured": True,
        "paid": True,
        "balance_transaction": f"txn_bench{number:09d}",
        "metadata": {
            "payops_reference": f"order-{number}",
            "seller": SELLERS[number % len(SELLERS)],
            "platform_fee": "150",
        },
    }
    event = {
        "id": f"evt_captured{number:09d}",
        "object": "event",
        "type": "charge.succeeded",
        "created": int(time.time()),
        "livemode": False,
        "data": {"object": payment},
    }
    return json.dumps(event, separators=(",", ":")).encode()


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), float(sys.argv[2]))))
