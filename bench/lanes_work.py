"""The processes behind `bench/lanes.py`: a backlog, workers, a feeder, a sealer, the check.

Each mode runs in a process of its own, because it needs the product configured; workers run the
product's own turns. They end when their standard input is closed, and print one JSON line.
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import django

django.setup()

from django.db import connection  # noqa: E402

from bench.webhooks_drain import captured, signed  # noqa: E402
from payops.core import audit, bulk, clock, crypto, ids, queues  # noqa: E402
from payops.flows import turns  # noqa: E402
from payops.webhooks import ingest  # noqa: E402
from payops.webhooks.directory import directory  # noqa: E402
from payops.webhooks.ingest import Received  # noqa: E402
from payops.webhooks.models import ProviderEvent  # noqa: E402

IDLE_S = 0.002
SEAL_EVERY_S = 10.0
CHUNK = 5000
BULK_FROM, HIGH_FROM = 0, 500_000_000
PAYLOAD = ("id", "created_at", "book_id", "sha256", "size_bytes", "data_key_id", "ciphertext")
EVENT = tuple(
    str(field.column)
    for field in ProviderEvent._meta.concrete_fields
    if field.column not in ("leased_until", "lease_token", "owner_id", "finished_at")
)


def backlog(count: int) -> dict[str, Any]:
    """Bulk events as the edge stores them, many at once; receipts are left out."""
    for first in range(BULK_FROM, BULK_FROM + count, CHUNK):
        _store_many(range(first, min(first + CHUNK, BULK_FROM + count)))
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM webhooks_providerevent WHERE lane = 'bulk'")
        stored = cursor.fetchone()[0]
    return {"stored": stored}


def work(lane: str) -> dict[str, Any]:
    """Turns of one lane's worker; how long high events took from receipt until committed."""
    waits: list[float] = []
    received: list[Any] = []

    def run(events: list[ProviderEvent], now: Any) -> None:
        inbox.run(events, now)
        received[:] = [event.created_at for event in events if event.lane == "high"]

    inbox = turns.INBOX
    turns.INBOX = replace(inbox, run=run)
    turns.QUEUES = (turns.INBOX, turns.OUTBOX)
    order, over, done = turns.order_of(lane), _closed(), 0
    while True:
        received.clear()
        claimed = turns.take_turn(order).claimed
        now = clock.utc_now()
        waits += [(now - at).total_seconds() for at in received]
        done += claimed
        if not claimed:
            if over.is_set():
                return {"waits": waits, "done": done, "sizes": [turn.pace.size for turn in order]}
            time.sleep(IDLE_S)


def one_by_one(count: int) -> dict[str, Any]:
    start = time.perf_counter()
    for _ in range(count):
        queues.drain_once(turns.INBOX, lane="bulk", batch_max=1)
    return {"per_s": count / (time.perf_counter() - start)}


def inject(rate: float) -> dict[str, Any]:
    """High events through the edge's own statement, at a steady rate until told to stop."""
    over, start, sent = _closed(), time.perf_counter(), 0
    while not over.is_set():
        ahead = start + sent / rate - time.perf_counter()
        if ahead > 0:
            over.wait(ahead)
            continue
        _store_one(HIGH_FROM + sent)
        sent += 1
    return {"sent": sent}


def seal() -> dict[str, Any]:
    """The housekeeping worker's part that grows with the events."""
    over, sealed = _closed(), 0
    while not over.wait(SEAL_EVERY_S):
        sealed += audit.seal(now=clock.utc_now())
    return {"sealed": sealed}


def check() -> dict[str, Any]:
    """Everything that must be true once the lanes are empty, from the rows themselves."""
    audit.seal(now=clock.utc_now())
    with connection.cursor() as cursor:
        cursor.execute(CHECK)
        names = [column.name for column in cursor.description]
        told = dict(zip(names, cursor.fetchone(), strict=True))
    return {**told, "chain": audit.first_break(audit.links_in_database())}


CHECK = """
SELECT (SELECT count(*) FROM webhooks_providerevent) AS events,
  (SELECT count(*) FROM webhooks_providerevent WHERE state = 'PROCESSED') AS processed,
  (SELECT max(attempts) FROM webhooks_providerevent) AS attempts_max,
  (SELECT sum(amount_minor)::bigint FROM webhooks_providerevent) AS told_minor,
  (SELECT count(*) FROM payments_payment WHERE state = 'CAPTURED') AS payments,
  (SELECT count(*) FROM payments_historicalpayment) AS histories,
  (SELECT count(*) FROM ledger_journalentry) AS entries,
  (SELECT count(*) FROM ledger_journalline) AS lines,
  (SELECT count(*) FROM ledger_postingkey) AS keys,
  (SELECT sum(amount_minor)::bigint FROM ledger_journalline) AS balance_minor,
  (SELECT sum(amount_minor)::bigint FROM ledger_journalline WHERE amount_minor > 0) AS debits_minor,
  (SELECT count(*) FROM core_auditevent WHERE action = 'event.processed') AS audit_events,
  (SELECT count(*) FROM core_auditevent WHERE action = 'payment.recorded') AS audit_payments,
  (SELECT count(*) FROM core_auditevent WHERE action = 'ledger.posted') AS audit_entries,
  (SELECT count(*) FROM core_auditevent a WHERE NOT EXISTS
    (SELECT 1 FROM core_auditseal s WHERE s.audit_id = a.id)) AS unsealed
"""


def _store_many(numbers: range) -> None:
    now = clock.utc_now()
    endpoint = directory.find(provider="stripe", slug="demo", now=now)
    assert endpoint is not None, "the seeded account stripe/demo is missing"
    data_key = directory.data_key(endpoint, now=now)
    payloads: list[tuple[Any, ...]] = []
    events: list[tuple[Any, ...]] = []
    for number in numbers:
        raw = captured(number)
        item = endpoint.adapter.itemize(raw=raw, account=endpoint.facts).items[0]
        payload_id, digest = ids.uuid7(), hashlib.sha256(raw).hexdigest()
        sealed = "\\x" + crypto.seal(data_key, raw).hex()
        size = len(raw)
        payloads.append((payload_id, now, endpoint.book.pk, digest, size, data_key.pk, sealed))
        row: dict[str, Any] = {
            "id": ids.uuid7(),
            "created_at": now,
            "lane": "bulk",
            "due_at": now - timedelta(seconds=1),
            "attempts": 0,
            "interruptions": 0,
            "failures": "[]",
            "trace_id": uuid4().hex,
            "provider_event_id": item.provider_event_id,
            "dedupe_key": item.dedupe_key,
            "fingerprint": item.fingerprint,
            "type": item.event_type,
            "object_id": item.object_id,
            "amount_minor": item.amount_minor,
            "currency": item.currency,
            "occurred_at": item.occurred_at,
            "first_failed_at": None,
            "last_failed_at": None,
            "sequence": None,
            "item_index": 0,
            "state": "RECEIVED",
            "reprocessable": False,
            "account_id": endpoint.account_id,
            "book_id": endpoint.book.pk,
            "payload_id": payload_id,
        }
        events.append(tuple(row.get(column, "") for column in EVENT))
    bulk.copy("webhooks_payload", PAYLOAD, payloads)
    bulk.copy("webhooks_providerevent", EVENT, events)


def _store_one(number: int) -> None:
    raw, now = captured(number), clock.utc_now()
    endpoint = directory.find(provider="stripe", slug="demo", now=now)
    assert endpoint is not None, "the seeded account stripe/demo is missing"
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
        items=[replace(item, lane="high") for item in verdict.items],
        secret_id=verdict.secret_id,
        data_key=directory.data_key(endpoint, now=now),
    )


def _closed() -> threading.Event:
    """Set once the parent closes our standard input."""
    over = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=wait, daemon=True).start()
    return over


MODES: dict[str, Callable[[str], dict[str, Any]]] = {
    "backlog": lambda given: backlog(int(given)),
    "work": work,
    "one_by_one": lambda given: one_by_one(int(given)),
    "inject": lambda given: inject(float(given)),
    "seal": lambda given: seal(),
    "check": lambda given: check(),
}

if __name__ == "__main__":
    print(json.dumps(MODES[sys.argv[1]](sys.argv[2])))
