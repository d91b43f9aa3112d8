"""Identifiers: time-ordered UUIDs made before the first write, and their public rendering.

A public id is prefix + "_" + 32 hex digits; it is a rendering of the primary key, never a second
column. The prefix table is closed: a new kind of record gets its row here first.
"""

from __future__ import annotations

import os
import threading
import time
from uuid import UUID

PREFIXES = {
    "pa": "payments.Payment",
    "po": "payments.Payout",
    "rf": "payments.Refund",
    "rd": "payments.RefundDecision",
    "dp": "payments.Dispute",
    "iv": "payments.Invoice",
    "be": "payments.Beneficiary",
    "ho": "payments.Hold",
    "it": "payments.Intent",
    "pc": "payments.ProviderCall",
    "wd": "webhooks.Delivery",
    "ev": "webhooks.ProviderEvent",
    "cs": "cases.Case",
    "tl": "cases.TicketLink",
    "ap": "approvals.ApprovalRequest",
    "ad": "approvals.ApprovalDecision",
    "je": "ledger.JournalEntry",
    "jl": "ledger.JournalLine",
    "pe": "ledger.AccountingPeriod",
    "sb": "reconciliation.SettlementBatch",
    "sl": "reconciliation.SettlementLine",
    "bs": "reconciliation.BankStatement",
    "bl": "reconciliation.BankLine",
    "ma": "reconciliation.Match",
    "rx": "reconciliation.ReconException",
    "py": "compliance.PayeeProfile",
    "tf": "compliance.TaxForm",
    "gd": "compliance.GateDecision",
    "xp": "ledger.Export",
    "mj": "ledger.ManualJournal",
    "rv": "ledger.RevaluationRun",
    "rk": "ledger.ReferencePack",
    "ae": "core.AuditEvent",
    "jb": "core.Job",
    "al": "monitoring.Alert",
}
_lock = threading.Lock()
_last_tick = 0
VARIANT = 0b10 << 62


class UnknownId(ValueError):
    """The text is not a public id of the table above."""


def uuid7() -> UUID:
    """UUIDv7: 48 bits of milliseconds, 12 bits of sub-millisecond order, 62 random bits.

    Ids made by one process never go backwards, so rows of one batch keep their order.
    """
    return UUID(int=uuid7_numbers(1)[0])


def uuid7_numbers(count: int) -> list[int]:
    """The numbers of `count` UUIDv7 in order: a batch needs thousands, mostly as text."""
    global _last_tick
    with _lock:
        first = max(time.time_ns() // 250, _last_tick + 1)
        _last_tick = first + count - 1
    noise = memoryview(os.urandom(8 * count)).cast("Q")
    numbers = []
    for tick, random in zip(range(first, first + count), noise, strict=True):
        millis, fraction = divmod(tick, 4000)
        numbers.append((millis << 80) | (0x7 << 76) | (fraction << 64) | VARIANT | (random >> 2))
    return numbers


def render(prefix: str, key: UUID) -> str:
    return f"{prefix}_{key.hex}"


def parse(public_id: str, prefix: str | None = None) -> tuple[str, UUID]:
    """Split "po_0190…" into ("po", UUID); UnknownId names what is wrong with the text."""
    head, mark, digits = public_id.strip().partition("_")
    if not mark or head not in PREFIXES or len(digits) != 32:
        raise UnknownId(f"{public_id[:60]!r} is not a public id such as po_ and 32 hex digits")
    if prefix is not None and head != prefix:
        raise UnknownId(f"{public_id[:60]!r} is a {head} id where a {prefix} id is needed")
    try:
        return head, UUID(hex=digits)
    except ValueError as error:
        raise UnknownId(f"{public_id[:60]!r} has a non-hexadecimal digit") from error
