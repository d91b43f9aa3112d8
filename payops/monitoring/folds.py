"""Folds what happened into rollups and series, in the background, each happening exactly once.

Events and payments are read from their audit rows: each change of a state has one, written in its
own transaction, with that transaction's id. A pass takes the ids from its mark up to the snapshot's
xmin, so that no transaction still under way can be passed over, and moves the mark with the counts
in one transaction. Receipts and counted refusals carry no transaction id; they are taken per whole
minute, long enough afterwards that no statement of the edge can still be running. Nothing here is
written by the accept path or the journal. Serves OB-1, OB-5, WH-31.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from payops.monitoring import buckets, signals
from payops.monitoring.models import FoldMark
from payops.monitoring.signals import Reading

log = logging.getLogger(__name__)

AUDIT_ROWS_PER_PASS = 20_000
PASSES_MAX = 20
RECEIPTS_LAG = timedelta(seconds=40)
RECEIPT_MINUTES_PER_PASS = 60
RECEIPTS_BUDGET_S = 5.0
RECEIPTS_CAUGHT_UP_FROM = timedelta(days=1)
SMALL_MINOR = 1_000
MINUTES_KEPT = timedelta(days=15)
# By what the provider calls it; the first that fits.
FAMILIES = """CASE WHEN e.subject_id LIKE 'po\\_%%' THEN 'payout'
 WHEN lower(e.type) ~ 'refund' THEN 'refund'
 WHEN lower(e.type) ~ 'dispute|chargeback' THEN 'dispute'
 WHEN e.subject_id LIKE 'pa\\_%%' THEN 'payment'
 WHEN lower(e.type) ~ 'payout|transfer' THEN 'payout'
 WHEN lower(e.type) ~ 'payment|charge|authori[sz]ation|capture' THEN 'payment'
 ELSE 'other' END"""
# The pass ends behind a whole transaction; one that is larger than a pass is taken whole.
CUT = """
SELECT least(pg_snapshot_xmin(pg_current_snapshot())::text::bigint, coalesce((
  SELECT greatest(a.xid::text::bigint, %(mark)s + 1) FROM core_auditevent a
  WHERE a.xid >= %(mark)s::text::xid8 AND a.xid < pg_snapshot_xmin(pg_current_snapshot())
  ORDER BY a.xid OFFSET %(rows)s LIMIT 1), 9223372036854775807))"""
KEY = "(substr(a.subject_id, 4))::uuid"
RANGE = "a.xid >= %(mark)s::text::xid8 AND a.xid < %(cut)s::text::xid8"


def _bucketed(milliseconds: str) -> str:
    """One count per bucket of what `milliseconds` (an SQL expression) is."""
    lows = (None, *buckets.LATENCY_MS)
    highs = (*buckets.LATENCY_MS, None)
    parts = []
    for low, high in zip(lows, highs, strict=True):
        bounds = [f"{milliseconds} > {low}"] if low is not None else []
        bounds += [f"{milliseconds} <= {high}"] if high is not None else []
        parts.append(f"count(*) FILTER (WHERE {' AND '.join(bounds)})")
    return f"ARRAY[{', '.join(parts)}]::bigint[]"


def _sum_of(column: str) -> str:
    return (
        f"ARRAY(SELECT was + more FROM unnest(m.{column}, excluded.{column})"
        " WITH ORDINALITY AS b(was, more, place) ORDER BY place)"
    )


# An event that was decided before and sent again by a person: how long it took says nothing of us.
SENT_AGAIN = """EXISTS (SELECT 1 FROM core_auditevent b WHERE b.subject_id = a.subject_id
  AND b.action = 'event.redriven' AND b.created_at < a.created_at)"""
DIED_BEFORE = """EXISTS (SELECT 1 FROM core_auditevent b WHERE b.subject_id = a.subject_id
  AND b.action = 'event.dead' AND b.created_at < a.created_at
  AND b.created_at > a.created_at - interval '24 hours')"""
EVENTS = f"""
WITH decided AS MATERIALIZED (
  SELECT e.book_id, e.account_id, {FAMILIES} AS family, e.lane, a.to_state,
    a.to_state <> 'DEAD' AND NOT {SENT_AGAIN} AS timed,
    date_trunc('minute', a.created_at, 'UTC') AS minute,
    greatest(extract(epoch FROM a.created_at - e.created_at) * 1000, 0)::bigint AS ours,
    greatest(extract(epoch FROM a.created_at - e.occurred_at) * 1000, 0)::bigint AS theirs
  FROM core_auditevent a JOIN webhooks_providerevent e ON e.id = {KEY}
  WHERE {RANGE} AND a.action IN ('event.processed', 'event.ignored', 'event.dead'))
INSERT INTO monitoring_eventminute AS m (book_id, account_id, family, lane, minute,
  processed, ignored, dead, from_receipt, from_provider)
SELECT book_id, account_id, family, lane, minute,
  count(*) FILTER (WHERE to_state = 'PROCESSED'), count(*) FILTER (WHERE to_state = 'IGNORED'),
  count(*) FILTER (WHERE to_state = 'DEAD'),
  {_bucketed("CASE WHEN timed THEN ours END")},
  {_bucketed("CASE WHEN timed THEN theirs END")}
FROM decided GROUP BY book_id, account_id, family, lane, minute
ON CONFLICT (book_id, account_id, family, lane, minute) DO UPDATE SET
  processed = m.processed + excluded.processed, ignored = m.ignored + excluded.ignored,
  dead = m.dead + excluded.dead, from_receipt = {_sum_of("from_receipt")},
  from_provider = {_sum_of("from_provider")}"""
DEAD = f"""
SELECT e.book_id, 'dead', c.provider || '/' || c.slug,
  date_bin('5 minutes', a.created_at, 'epoch'::timestamptz), count(*)
FROM core_auditevent a JOIN webhooks_providerevent e ON e.id = {KEY}
JOIN core_provideraccount c ON c.id = e.account_id
WHERE {RANGE} AND a.action = 'event.dead' AND NOT {DIED_BEFORE} GROUP BY 1, 3, 4"""
REFUNDS = f"""
SELECT e.book_id, 'refunds', coalesce(nullif(b.country, ''), 'unknown'),
  date_bin('5 minutes', a.created_at, 'epoch'::timestamptz), count(*)
FROM core_auditevent a JOIN webhooks_providerevent e ON e.id = {KEY}
LEFT JOIN payments_payment p ON p.book_id = e.book_id AND p.account_id = e.account_id
  AND p.provider_ref = e.object_id
LEFT JOIN payments_beneficiary b ON b.id = p.beneficiary_id
WHERE {RANGE} AND a.action IN ('event.processed', 'event.ignored') AND lower(e.type) ~ 'refund'
GROUP BY 1, 3, 4"""
PAYMENTS = f"""
WITH changed AS MATERIALIZED (
  SELECT p.book_id, c.provider || '/' || c.slug AS account,
    coalesce(nullif(p.method, ''), 'unknown') AS method, b.reference AS seller,
    a.to_state = 'FAILED' AS failed, p.amount_minor <= {SMALL_MINOR} AS small,
    date_bin('5 minutes', a.created_at, 'epoch'::timestamptz) AS slot_at
  FROM core_auditevent a JOIN payments_payment p ON p.id = {KEY}
  JOIN core_provideraccount c ON c.id = p.account_id
  JOIN payments_beneficiary b ON b.id = p.beneficiary_id
  WHERE {RANGE} AND a.action = 'payment.recorded'
    AND (a.to_state = 'FAILED' OR (a.to_state IN ('AUTHORIZED', 'CAPTURED') AND a.from_state = '')))
SELECT book_id, CASE WHEN failed THEN 'payments_failed' ELSE 'payments_ok' END,
  account || '|' || method, slot_at, count(*) FROM changed GROUP BY 1, 2, 3, 4
UNION ALL
SELECT book_id, CASE WHEN failed THEN 'small_failed' ELSE 'small_ok' END,
  account || '|' || seller, slot_at, count(*) FROM changed WHERE small GROUP BY 1, 2, 3, 4"""
RECEIPTS = """
SELECT d.book_id, 'receipts', c.provider || '/' || c.slug,
  date_bin('5 minutes', d.created_at, 'epoch'::timestamptz), count(*)
FROM core_provideraccount c JOIN webhooks_delivery d ON d.account_id = c.id
WHERE d.created_at >= %(since)s AND d.created_at < %(until)s AND d.signature_ok GROUP BY 1, 3, 4"""
# The edge counts its refusals by the minute already; those without an account are the system's.
REFUSALS = """
SELECT coalesce(c.book_id, (SELECT id FROM core_book WHERE is_system ORDER BY id LIMIT 1)),
  'refusals', coalesce(c.provider || '/' || c.slug, 'unknown address'),
  date_bin('5 minutes', r.minute, 'epoch'::timestamptz), sum(r.kept + r.dropped)::bigint
FROM webhooks_refusalcount r LEFT JOIN core_provideraccount c ON c.id = r.account_id
WHERE r.minute >= %(since)s AND r.minute < %(until)s GROUP BY 1, 3, 4"""


def fold(*, now: datetime) -> int:
    """Fold what is complete; answers how many passes of audit rows were taken."""
    assert connection.in_atomic_block, "counts and marks are written together"
    until = time.monotonic() + RECEIPTS_BUDGET_S
    while _fold_receipts(now) and time.monotonic() < until:
        pass
    passes = 0
    while passes < PASSES_MAX and _fold_audit():
        passes += 1
    return passes


def forget_old(*, now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM monitoring_eventminute WHERE minute < %s", [now - MINUTES_KEPT])
    signals.forget_old(now=now)


def folded_until(*, now: datetime) -> datetime:
    """Before this moment every receipt is counted."""
    mark = FoldMark.objects.filter(name="receipts").first()
    return mark.at if mark is not None and mark.at is not None else now


def _fold_audit() -> bool:
    """One pass; False when nothing was left to take."""
    mark = _mark("audit")
    with connection.cursor() as cursor:
        cursor.execute(CUT, {"mark": mark.xid, "rows": AUDIT_ROWS_PER_PASS})
        (cut,) = cursor.fetchone()
        if cut < mark.xid:
            log.warning("the fold's mark %d lies ahead of this server; it starts anew", mark.xid)
        bounds = {"mark": mark.xid, "cut": cut}
        if cut > mark.xid:
            cursor.execute(EVENTS, bounds)
            for statement in (DEAD, REFUNDS, PAYMENTS):
                cursor.execute(statement, bounds)
                signals.add([Reading(*row) for row in cursor.fetchall()])
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM core_auditevent a WHERE a.xid >= %s::text::xid8"
            " AND a.xid < pg_snapshot_xmin(pg_current_snapshot()))",
            [cut],
        )
        (more,) = cursor.fetchone()
    mark.xid = cut
    mark.save(update_fields=["xid"])
    return bool(more)


def _fold_receipts(now: datetime) -> bool:
    """One pass; False when no whole minute was left to take."""
    mark = _mark("receipts")
    whole = (now - RECEIPTS_LAG).replace(second=0, microsecond=0)
    since = mark.at or _first_receipt_minute(now)
    until = min(whole, since + timedelta(minutes=RECEIPT_MINUTES_PER_PASS))
    if until <= since:
        return False
    with connection.cursor() as cursor:
        for statement in (RECEIPTS, REFUSALS):
            cursor.execute(statement, {"since": since, "until": until})
            signals.add([Reading(*row) for row in cursor.fetchall()])
    mark.at = until
    mark.save(update_fields=["at"])
    return until < whole


def _first_receipt_minute(now: datetime) -> datetime:
    """Where a fold begins that never ran: a day back, not at the register's beginning."""
    return (now - RECEIPTS_CAUGHT_UP_FROM).replace(second=0, microsecond=0, tzinfo=UTC)


def _mark(name: str) -> Any:
    FoldMark.objects.bulk_create([FoldMark(name=name)], ignore_conflicts=True)
    return FoldMark.objects.select_for_update().get(name=name)
