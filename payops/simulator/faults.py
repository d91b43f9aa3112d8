"""Faults a person or a test orders: which API calls go wrong, how, and how often.

Owns the fault rows. A fault is used up in its own transaction before the call runs, so a crash
never makes it strike twice. What it does to the call is spoiling.py's. Never touches webhooks (see
delivery.py).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from payops.simulator.config import PROVIDERS
from payops.simulator.store import Database
from payops.simulator.wire import (
    Params,
    Refused,
    flag,
    only,
    seconds,
    text,
    whole,
)

FAULTS_MAX = 200
TIMES_MAX = 10_000
DELAY_MAX_S = 300.0
# Fault -> seconds it waits when the order names none, and what a person reads on the page.
KINDS: dict[str, tuple[float, str]] = {
    "timeout_before": (30.0, "No answer; the call is never executed"),
    "timeout_after_success": (30.0, "Executed, then no answer"),
    "reset_after_success": (0.0, "Executed, then the connection is reset"),
    "500": (0.0, "500 before execution; the key stays free"),
    "500_stored": (0.0, "500 once execution began; replayed for the key"),
    "503": (0.0, "503, not executed"),
    "429": (0.0, "429, not executed"),
    "401": (0.0, "401, as if the key or token had expired"),
    "declined": (0.0, "402, a final refusal kept under the key"),
    "wrong_amount": (0.0, "Answers with another amount"),
    "wrong_currency": (0.0, "Answers with another currency"),
    "wrong_reference": (0.0, "Answers with another reference"),
    "redirect": (0.0, "Executed, then a redirect to another address"),
    "trickle": (1.0, "Executed, then answers one byte per second"),
    "huge": (0.0, "Executed, then 50 MB follow the answer"),
    "empty": (0.0, "Executed, then 200 with nothing in it"),
    "html": (0.0, "Executed, then 200 with a page in HTML"),
    "slow": (2.0, "Answers late"),
}
OPERATIONS = (
    "payout.create",
    "payout.get",
    "payout.list",
    "payout.cancel",
    "refund.create",
    "refund.get",
    "refund.list",
    "charge.get",
    "payment.get",
    "batch.get",
    "order.get",
    "dispute.get",
    "dispute.list",
    "token.create",
    "signature.verify",
    "balance_transaction.get",
    "event.get",
    "event.list",
)
BODY_BYTES, BODY_BYTES_MAX = 50 * 1024**2, 200 * 1024**2
RETRY_AFTER_MAX_S = 86_400
FIELDS = frozenset(
    [
        *("match", "fault", "times", "delay_s", "delta", "booked", "moves_money"),
        *("executed", "first_only", "retry_after_s", "bytes"),
    ]
)


@dataclass(frozen=True)
class Fault:
    """One strike of an ordered fault."""

    kind: str
    delay_s: float
    delta: int
    booked: bool
    moves_money: bool
    # False: the answer is spoilt though nothing was done.
    executed: bool = True
    # Strikes only the first call under each key (or, without one, reference).
    first_only: bool = False
    retry_after_s: int = 1
    bytes: int = BODY_BYTES


def fault_add(db: Database, *, params: Params) -> dict[str, Any]:
    """Order a fault; raises Refused on anything unknown."""
    only(params, FIELDS)
    match = params.get("match", {})
    if not isinstance(match, dict):
        raise Refused(400, "match must be an object.", code="parameter_invalid", param="match")
    only(match, frozenset({"provider", "reference", "operation"}))
    kind = _choice(params, "fault", tuple(KINDS))
    options = {
        "delta": whole(params, "delta", default=100, low=-1_000_000, high=1_000_000),
        "booked": bool(flag(params, "booked")),
        "moves_money": bool(flag(params, "moves_money")),
        "executed": flag(params, "executed") is not False,
        "first_only": bool(flag(params, "first_only")),
        "retry_after_s": whole(params, "retry_after_s", default=1, high=RETRY_AFTER_MAX_S),
        "bytes": whole(params, "bytes", default=BODY_BYTES, low=1, high=BODY_BYTES_MAX),
    }
    db.execute(
        "DELETE FROM faults WHERE remaining = 0 AND seq <= (SELECT MAX(seq) FROM faults) - ?",
        (FAULTS_MAX // 2,),
    )
    if db.execute("SELECT COUNT(*) FROM faults").fetchone()[0] >= FAULTS_MAX:
        raise Refused(409, f"There are {FAULTS_MAX} faults already.", code="faults_full")
    row = db.execute(
        "INSERT INTO faults (provider, operation, reference, fault, remaining, delay_s, options)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING *",
        (
            _choice(match, "provider", (*PROVIDERS, "*"), default="*"),
            _choice(match, "operation", (*OPERATIONS, "*"), default="*"),
            text(match, "reference", default="*"),
            kind,
            whole(params, "times", default=1, low=1, high=TIMES_MAX),
            seconds(params, "delay_s", default=KINDS[kind][0], high=DELAY_MAX_S),
            json.dumps(options),
        ),
    ).fetchone()
    return _shown(row)


def faults_list(db: Database) -> list[dict[str, Any]]:
    """Every ordered fault, used up or not, oldest first."""
    return [_shown(row) for row in db.execute("SELECT * FROM faults ORDER BY seq")]


def faults_clear(db: Database) -> int:
    """Withdraw all; the number of rows withdrawn."""
    return db.execute("DELETE FROM faults").rowcount


def fault_take(
    db: Database,
    *,
    provider: str,
    operation: str,
    references: Sequence[str],
    key: str | None = None,
) -> Fault | None:
    """Use up one strike of the oldest matching fault."""
    marks = ", ".join("?" for _ in references) or "NULL"
    rows = db.execute(
        "SELECT * FROM faults WHERE remaining > 0 AND provider IN (?, '*')"
        f" AND operation IN (?, '*') AND (reference = '*' OR reference IN ({marks}))"
        " ORDER BY seq",
        (provider, operation, *references),
    ).fetchall()
    for row in rows:
        fault = Fault(kind=row["fault"], delay_s=row["delay_s"], **json.loads(row["options"]))
        if fault.first_only and _called_before(db, provider, operation, references, key):
            continue
        db.execute(
            "UPDATE faults SET remaining = remaining - 1, used = used + 1 WHERE seq = ?",
            (row["seq"],),
        )
        return fault
    return None


def booked_amount(fault: Fault | None, amount: int) -> int:
    """The amount the provider really moves; another one only for a booked wrong_amount."""
    if fault is not None and fault.kind == "wrong_amount" and fault.booked:
        return max(1, amount + fault.delta)
    return amount


def _called_before(
    db: Database, provider: str, operation: str, references: Sequence[str], key: str | None
) -> bool:
    """The log has a call of this operation under this key, or else with this reference."""
    column, value = ("key", key) if key else ("reference", next(iter(references), ""))
    found = db.execute(
        f"SELECT 1 FROM calls WHERE {column} = ? AND provider = ? AND operation = ? LIMIT 1",
        (value, provider, operation),
    ).fetchone()
    return found is not None


def _choice(
    params: Params, name: str, allowed: Sequence[str], *, default: str | None = None
) -> str:
    value = text(params, name, default=default)
    if value not in allowed:
        raise Refused(
            400,
            f"{name} must be one of: {', '.join(allowed)}.",
            code="parameter_invalid",
            param=name,
        )
    return value


def _shown(row: Any) -> dict[str, Any]:
    return {
        "id": row["seq"],
        "match": {
            "provider": row["provider"],
            "operation": row["operation"],
            "reference": row["reference"],
        },
        "fault": row["fault"],
        "remaining": row["remaining"],
        "used": row["used"],
        "delay_s": row["delay_s"],
        **json.loads(row["options"]),
    }
