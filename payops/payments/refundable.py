"""How much of a payment refunds have taken or reserved: counted from the refunds themselves.

The caller holds the payment's lock from before it looks until its refund is written, so that two
requests never see the same rest. The database holds the counters equal to the refunds and their
sum below the capture (I6, RF-10).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from django.db import connection

from payops.payments.models import Refund

# Refunds beyond the capture are facts of the provider; the counters keep what fits, the rest is
# shown beside them.
RECOUNT = """
UPDATE payments_payment p SET
  reserved_minor = c.reserved,
  refunded_minor = least(c.executed, p.captured_minor - c.reserved),
  over_refunded_minor = greatest(c.executed + c.reserved - p.captured_minor, 0)
FROM (SELECT
    coalesce(sum(amount_minor) FILTER (WHERE state = ANY(%s) OR obligation = 'owed'), 0)
      AS reserved,
    coalesce(sum(amount_minor) FILTER (WHERE state = ANY(%s)), 0) AS executed
  FROM payments_refund WHERE payment_id = %s) c
WHERE p.id = %s
RETURNING p.captured_minor, p.reserved_minor, p.refunded_minor, p.over_refunded_minor
"""
RECOUNT_MANY = """
UPDATE payments_payment p SET
  reserved_minor = c.reserved,
  refunded_minor = least(c.executed, p.captured_minor - c.reserved),
  over_refunded_minor = greatest(c.executed + c.reserved - p.captured_minor, 0)
FROM (SELECT k.id,
    coalesce(sum(r.amount_minor) FILTER (WHERE r.state = ANY(%s) OR r.obligation = 'owed'), 0)
      AS reserved,
    coalesce(sum(r.amount_minor) FILTER (WHERE r.state = ANY(%s)), 0) AS executed
  FROM unnest(%s::uuid[]) k(id) LEFT JOIN payments_refund r ON r.payment_id = k.id
  GROUP BY k.id) c
WHERE p.id = c.id
"""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Counted:
    """Of one payment, in minor units of its currency."""

    captured_minor: int
    reserved_minor: int
    refunded_minor: int
    over_refunded_minor: int

    @property
    def left_minor(self) -> int:
        return self.captured_minor - self.reserved_minor - self.refunded_minor


def recounting(payment_id: UUID) -> str:
    """`recount` as a statement for a message that brings more; what is counted is not answered."""
    states = [f"'{{{','.join(map(str, each))}}}'" for each in (Refund.RESERVED, Refund.EXECUTED)]
    key = f"'{payment_id.hex}'"
    return RECOUNT % (*states, key, key)


def recount(payment_id: UUID) -> Counted:
    """Bring the counters of a locked payment to what its refunds say.

    The database refuses with IntegrityError when promises alone exceed the capture.
    """
    assert connection.in_atomic_block, "counters change with the refund that moves them"
    with connection.cursor() as cursor:
        cursor.execute(RECOUNT, [*_states(), payment_id, payment_id])
        return Counted(*cursor.fetchone())


def recount_many(payment_ids: Iterable[UUID]) -> None:
    """`recount` for payments that are locked, in one statement."""
    assert connection.in_atomic_block, "counters change with the refund that moves them"
    keys = sorted(set(payment_ids))
    if keys:
        with connection.cursor() as cursor:
            cursor.execute(RECOUNT_MANY, [*_states(), keys])


def one_by_payment(items: Sequence[T], payment_of: Callable[[T], UUID]) -> Iterator[list[T]]:
    """The items in order, in batches without two of one payment: the second sees what the first
    has changed."""
    rest = list(items)
    while rest:
        batch: dict[UUID, T] = {}
        later = [each for each in rest if batch.setdefault(payment_of(each), each) is not each]
        yield list(batch.values())
        rest = later


def _states() -> list[list[str]]:
    return [list(map(str, Refund.RESERVED)), list(map(str, Refund.EXECUTED))]
