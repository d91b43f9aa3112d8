"""The gate table: what must hold before a payout leaves (CT-1, CT-11, PX-6). Unknown is blocked.

Each gate is a row with words for people; the flow gives the facts, the table decides. No gate can
be overridden, and a new gate is a new row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from compliance.models import GateDecision
from payops.core.models import Book

RULESET = "gates-1"


@dataclass(frozen=True, slots=True)
class GateFacts:
    """What the gates look at. None means unknown, and unknown blocks."""

    approval_granted: bool | None
    open_holds: tuple[str, ...] | None
    details_verified_at: datetime | None
    details_must_be_newer_than: datetime | None
    bank_hash_approved: str
    bank_hash_now: str | None
    payable_from: datetime | None
    original_terminal: bool | None
    now: datetime


@dataclass(frozen=True, slots=True)
class Gate:
    """`passes` answers True, False or None for unknown."""

    key: str
    words: str
    owner: str
    passes: Callable[[GateFacts], bool | None]
    refusal: str


def _verified(facts: GateFacts) -> bool:
    at, bound = facts.details_verified_at, facts.details_must_be_newer_than
    return at is not None and (bound is None or at > bound)


GATES = (
    Gate(
        "approval",
        "the release is approved",
        "the approval policy",
        lambda f: f.approval_granted,
        "the approval is missing, void or for another content",
    ),
    Gate(
        "holds",
        "no open hold covers the payout or its beneficiary",
        "payments operations",
        lambda f: None if f.open_holds is None else not f.open_holds,
        "an open hold covers it; release every hold by its own source first",
    ),
    Gate(
        "details_verified",
        "the beneficiary's details are verified",
        "payments operations",
        _verified,
        "the beneficiary's details are not verified since the last failure or change",
    ),
    Gate(
        "details_unchanged",
        "the bank details are those that were approved",
        "payments operations",
        lambda f: None if f.bank_hash_now is None else f.bank_hash_now == f.bank_hash_approved,
        "the bank details changed after the approval; cancel and request a new payout",
    ),
    Gate(
        "cooled_down",
        "the last change of bank details has cooled down",
        "compliance",
        lambda f: None if f.payable_from is None else f.payable_from <= f.now,
        "the new bank details are still cooling down",
    ),
    Gate(
        "original_terminal",
        "a re-issue's original is verified terminal at the provider",
        "payments operations",
        lambda f: f.original_terminal,
        "the original payout is not verified terminal at the provider",
    ),
)


def evaluate(facts: GateFacts) -> list[dict[str, Any]]:
    """One result per gate: key, words, outcome (passed, blocked, unknown) and why."""
    results = []
    for gate in GATES:
        verdict = gate.passes(facts)
        outcome = "unknown" if verdict is None else ("passed" if verdict else "blocked")
        results.append(
            {
                "gate": gate.key,
                "words": gate.words,
                "owner": gate.owner,
                "outcome": outcome,
                "why": "" if verdict else gate.refusal,
            }
        )
    return results


def refusals(results: list[dict[str, Any]]) -> str:
    """Every reason not to release, in the order of the table; "" when all gates passed."""
    return "; ".join(row["why"] for row in results if row["outcome"] != "passed")


def record(
    *,
    book: Book,
    payout_id: UUID,
    results: list[dict[str, Any]],
    amount_minor: int,
    currency: str,
    bank_hash: str,
    approval_id: str,
    now: datetime,
) -> GateDecision:
    """Keep the one record that explains why the payout was released or blocked (CT-16)."""
    decision = GateDecision(
        book=book,
        payout_id=payout_id,
        passed=all(row["outcome"] == "passed" for row in results),
        ruleset=RULESET,
        results=results,
        amount_minor=amount_minor,
        currency=currency,
        bank_hash=bank_hash,
        approval_id=approval_id,
        created_at=now,
    )
    decision.save(force_insert=True)
    return decision
