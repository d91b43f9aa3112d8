"""The record of one decision about a refund: every check with its figures, the rules, the facts.

Written once, in the transaction of what was decided. Serves AP-9, RF-18.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from payops.core import bulk, ids
from payops.flows.refunds.policy import Active
from payops.payments.models import Refund, RefundDecision
from payops.payments.refund_rules import Check, Facts

AT_REQUEST, AT_SENDING = "request", "send"
COLUMNS = (
    "id",
    "created_at",
    "book_id",
    "refund_id",
    "stage",
    "verdict",
    "ruleset",
    "words",
    "checks",
    "facts",
)
WORDS_MAX = 400


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided about a refund, by which rules, on what facts."""

    refund: Refund
    verdict: str
    words: str
    checks: Sequence[Check]
    facts: Facts
    active: Active


def record(
    refund: Refund,
    *,
    stage: str,
    verdict: str,
    words: str,
    checks: Sequence[Check],
    facts: Facts,
    active: Active,
    now: datetime,
    then: str = "",
) -> None:
    """One row; `then` goes to the server in the same message, behind it."""
    decision = Decision(refund, verdict, words, checks, facts, active)
    record_many([decision], stage=stage, now=now, then=then)


def record_many(
    decisions: Sequence[Decision], *, stage: str, now: datetime, then: str = ""
) -> None:
    """A row each, in one message."""
    assert connection.in_atomic_block, "a decision is kept in the transaction of its act"
    table = RefundDecision._meta.db_table
    by_table = [_row(each, stage, now) for each in decisions if each.active.version is None]
    by_policy = [
        (*_row(each, stage, now), each.active.version.pk.hex)
        for each in decisions
        if each.active.version is not None
    ]
    many = [(COLUMNS, by_table), ((*COLUMNS, "policy_id"), by_policy)]
    texts = [bulk.Texts(table, columns, rows) for columns, rows in many if rows]
    if texts:
        bulk.insert_texts(*texts, then=then)


def _row(decision: Decision, stage: str, now: datetime) -> tuple[str, ...]:
    refund = decision.refund
    return (
        ids.uuid7().hex,
        bulk.time_text(now),
        refund.book_id.hex,
        refund.pk.hex,
        stage,
        decision.verdict,
        decision.active.rules.ruleset,
        decision.words[:WORDS_MAX],
        json.dumps([check.plain() for check in decision.checks]),
        json.dumps(decision.facts.plain()),
    )
