"""Faults a person or a test orders: which API calls go wrong, how, and how often.

Owns the fault rows and their effect on one call. A fault is used up in its own transaction before
the call runs, so a crash never makes it strike twice. Never touches webhooks (see delivery.py).
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from payops.simulator.config import PROVIDERS
from payops.simulator.store import Database
from payops.simulator.wire import (
    CLOSE,
    RESET,
    Params,
    Refused,
    Response,
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
    "token.create",
    "signature.verify",
    "balance_transaction.get",
    "event.get",
    "event.list",
)
Refuse = Callable[[Refused], Response]
_FIELDS = frozenset({"match", "fault", "times", "delay_s", "delta", "booked", "moves_money"})


@dataclass(frozen=True)
class Fault:
    """One strike of an ordered fault."""

    kind: str
    delay_s: float
    delta: int
    booked: bool
    moves_money: bool


def fault_add(db: Database, *, params: Params) -> dict[str, Any]:
    """Order a fault; raises Refused on anything unknown."""
    only(params, _FIELDS)
    match = params.get("match", {})
    if not isinstance(match, dict):
        raise Refused(400, "match must be an object.", code="parameter_invalid", param="match")
    only(match, frozenset({"provider", "reference", "operation"}))
    kind = _choice(params, "fault", tuple(KINDS))
    options = {
        "delta": whole(params, "delta", default=100, low=-1_000_000, high=1_000_000),
        "booked": bool(flag(params, "booked")),
        "moves_money": bool(flag(params, "moves_money")),
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
    db: Database, *, provider: str, operation: str, references: Sequence[str]
) -> Fault | None:
    """Use up one strike of the oldest matching fault."""
    marks = ", ".join("?" for _ in references) or "NULL"
    row = db.execute(
        "SELECT * FROM faults WHERE remaining > 0 AND provider IN (?, '*')"
        f" AND operation IN (?, '*') AND (reference = '*' OR reference IN ({marks}))"
        " ORDER BY seq LIMIT 1",
        (provider, operation, *references),
    ).fetchone()
    if row is None:
        return None
    db.execute(
        "UPDATE faults SET remaining = remaining - 1, used = used + 1 WHERE seq = ?",
        (row["seq"],),
    )
    return Fault(kind=row["fault"], delay_s=row["delay_s"], **json.loads(row["options"]))


def before_execution(fault: Fault | None, refuse: Refuse) -> Response | None:
    """The answer of a fault that strikes before anything is executed or stored."""
    if fault is None:
        return None
    if fault.kind == "timeout_before":
        return Response(status=504, body=b"", ending=CLOSE, pause_s=fault.delay_s)
    refusals = {
        "500": Refused(500, "An unexpected error occurred.", kind="api_error"),
        "503": Refused(503, "The service is unavailable, try again.", kind="api_error"),
        "429": Refused(429, "Too many requests.", code="rate_limit"),
        "401": Refused(401, "The credentials have expired.", code="api_key_invalid"),
    }
    refusal = refusals.get(fault.kind)
    if refusal is None:
        return None
    headers = {"Retry-After": "1"} if fault.kind in ("429", "503") else {}
    return replace(refuse(refusal), headers=headers, pause_s=fault.delay_s)


def during_execution(fault: Fault | None, work: Callable[[], Response], refuse: Refuse) -> Response:
    """Run the work, or what the fault makes of it."""
    if fault is None:
        return work()
    if fault.kind == "500_stored":
        if fault.moves_money:
            work()
        return refuse(Refused(500, "An unexpected error occurred.", kind="api_error"))
    if fault.kind == "declined":
        return refuse(Refused(402, "The request was declined.", code="declined"))
    response = work()
    if fault.kind == "wrong_amount" and not fault.booked:
        return _other_amount(response, delta=fault.delta)
    return response


def after_execution(fault: Fault | None, response: Response) -> Response:
    """Lose the answer of work that was done."""
    if fault is None:
        return response
    if fault.kind == "timeout_after_success":
        return replace(response, ending=CLOSE, pause_s=fault.delay_s)
    if fault.kind == "reset_after_success":
        return replace(response, ending=RESET, pause_s=fault.delay_s)
    return response


def booked_amount(fault: Fault | None, amount: int) -> int:
    """The amount the provider really moves; another one only for a booked wrong_amount."""
    if fault is not None and fault.kind == "wrong_amount" and fault.booked:
        return max(1, amount + fault.delta)
    return amount


def _other_amount(response: Response, *, delta: int) -> Response:
    """The answer with another amount, wherever this provider's objects carry theirs."""
    answer = json.loads(response.body)
    rows = [answer, *(answer.get("data") or ()), *(answer.get("items") or ())]
    for row in rows:
        for place in (row, row.get("payout_item"), row.get("batch_header")):
            if isinstance(place, dict) and "amount" in place:
                place["amount"] = _plus(place["amount"], delta)
    return replace(response, body=json.dumps(answer, indent=2).encode())


def _plus(amount: Any, delta: int) -> Any:
    """Minor units, an object of minor units, or one of decimal text."""
    if isinstance(amount, dict):
        return {**amount, "value": _plus(amount.get("value"), delta)}
    if isinstance(amount, str):
        whole, point, part = amount.partition(".")
        digits = str(int(whole + part) + delta).rjust(len(part) + 1, "0")
        return digits[: len(digits) - len(part)] + point + digits[len(digits) - len(part) :]
    return amount + delta if isinstance(amount, int) else amount


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
