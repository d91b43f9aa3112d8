"""Row locks in one order (SC-4, WH-24): the only place that says FOR UPDATE on governed rows.

Order: Beneficiary, Payment/Payout/Refund/Dispute, Case, ApprovalRequest, Period, key registry; by
key within a kind. A flow that needs two kinds takes them in this order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar
from uuid import UUID

from django.db import connection, models

ORDER = (
    "payments.Beneficiary",
    "payments.Payment",
    "payments.Payout",
    "payments.Refund",
    "payments.Dispute",
    "payments.Intent",
    "cases.Case",
    "approvals.ApprovalRequest",
    "ledger.ReferencePack",
    "ledger.AccountingPeriod",
)
M = TypeVar("M", bound=models.Model)


def rows(model: type[M], keys: Iterable[UUID]) -> dict[UUID, M]:
    """Lock rows by key, in key order; a missing key is simply not in the answer."""
    assert connection.in_atomic_block, "a row lock lives in a transaction"
    assert model._meta.label in ORDER, f"{model._meta.label} has no place in the lock order"
    wanted = sorted(set(keys))
    if not wanted:
        return {}
    locked = model._default_manager.select_for_update(no_key=True).filter(pk__in=wanted)
    return {row.pk: row for row in locked.order_by("pk")}


def row(model: type[M], key: UUID) -> M:
    """Lock one row; the model's DoesNotExist when there is none."""
    found = rows(model, [key])
    if key not in found:
        raise model.DoesNotExist(f"no {model._meta.label} with key {key}")  # type: ignore[attr-defined]
    return found[key]


def name(text: str) -> None:
    """Hold a name (a cumulative total, a rule's fingerprint) until the transaction ends."""
    assert connection.in_atomic_block, "a named lock lives in a transaction"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [text])
