"""The part of a chain that tells what of a payment went back: refunds, why, and disputes (RF-18).

Pure functions over rows already read.
"""

from __future__ import annotations

from collections.abc import Iterable

from payops.flows.trace.parts import WHY, Edge, Line, Node, money_node, render
from payops.flows.trace.records import Records

VERDICTS = {"refused": "REFUSED", "auto": "GRANTED", "approval": "APPROVAL_NEEDED"}


def given_back(records: Records) -> Iterable[Node | Edge]:
    for refund in records.refunds:
        yield money_node("Refund", refund, "refund")
        words = "refunded at the provider" if refund.is_external else "refunded by"
        yield Edge(render("pa", refund.payment_id), refund.public_id, words)
        if refund.retry_of_id:
            yield Edge(render("rf", refund.retry_of_id), refund.public_id, "tried again as")
    for decision in records.refund_decisions:
        yield Node(
            "Refund decision",
            decision.public_id,
            decision.ruleset,
            VERDICTS[decision.verdict],
            decision.created_at,
            decision.words,
            "",
            {"stage": decision.stage, "checks": decision.checks},
        )
        yield Edge(render("rf", decision.refund_id), decision.public_id, "decided by the rules")
    for dispute in records.disputes:
        yield money_node("Dispute", dispute, "dispute")
        yield Edge(render("pa", dispute.payment_id), dispute.public_id, "disputed")


def decided(records: Records) -> Iterable[Line]:
    """One line per decision of the rules, with the words the requester was told."""
    for row in records.refund_decisions:
        words = f"{row.verdict} by {row.ruleset} on {render('rf', row.refund_id)}: {row.words}"
        yield Line(row.created_at, "decision", row.public_id, row.ruleset, words, (WHY,))
