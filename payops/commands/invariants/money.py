"""I7, I8, I13: money moved as intended, was re-issued once at most, and left only gated."""

from __future__ import annotations

from collections import defaultdict

from payops.commands.invariants.base import Finding, Moment, Movement, count, select

MONEY_OUT = ("payout", "refund")
MAY_HAVE_MOVED = frozenset({"DISPATCHING", "UNKNOWN", "PARKED", "SUCCEEDED"})


def movements_match(moment: Moment) -> Finding:
    """I7: movements at the provider = executed intents, one to one; none without approval."""
    finding = Finding(checked=count("payments_intent"), note=moment.movements_note)
    finding.break_each(
        "intent {} for {} has no granted approval of its subject",
        "SELECT payops_public_id('it', i.id), i.subject_id FROM payments_intent i"
        " LEFT JOIN approvals_approvalrequest r"
        "   ON payops_public_id('ap', r.id) = i.approval_id AND r.subject_id = i.subject_id"
        "   AND r.state = 'APPROVED' WHERE r.id IS NULL AND NOT (i.kind = 'refund'"
        "   AND i.approval_id = '' AND EXISTS (SELECT 1 FROM payments_refunddecision d"
        "     WHERE payops_public_id('rf', d.refund_id) = i.subject_id AND d.verdict = 'auto'))"
        " ORDER BY i.id",
    )
    finding.break_each(
        "intent {} named {} different movements at the provider",
        "SELECT payops_public_id('it', intent_id), count(DISTINCT provider_ref)"
        " FROM payments_providercall WHERE provider_ref <> '' GROUP BY intent_id"
        " HAVING count(DISTINCT provider_ref) > 1 ORDER BY 1",
    )
    finding.break_each(
        "provider reference {} belongs to {} intents",
        "SELECT provider_ref, count(*) FROM payments_intent WHERE provider_ref <> ''"
        " GROUP BY book_id, account_id, provider_ref HAVING count(*) > 1 ORDER BY 1",
    )
    finding.break_each(
        "intent {} succeeded without a call or a provider reference",
        "SELECT payops_public_id('it', i.id) FROM payments_intent i WHERE i.state = 'SUCCEEDED'"
        " AND (i.provider_ref = '' OR NOT EXISTS"
        "   (SELECT 1 FROM payments_providercall c WHERE c.intent_id = i.id)) ORDER BY i.id",
    )
    if moment.movements is not None:
        _compare_with_provider(finding, moment)
    return finding


def reissued_once(moment: Moment) -> Finding:
    """I8: re-issued at most once, only after the original was verified terminal at the PSP."""
    finding = Finding(
        checked=select("SELECT count(*) FROM payments_payout WHERE reissue_of_id IS NOT NULL")[0][0]
    )
    finding.break_each(
        "payout {} was re-issued {} times",
        "SELECT payops_public_id('po', reissue_of_id), count(*) FROM payments_payout"
        " WHERE reissue_of_id IS NOT NULL GROUP BY reissue_of_id HAVING count(*) > 1 ORDER BY 1",
    )
    finding.break_each(
        "payout {} left before its original {} ({}) was verified terminal",
        "SELECT payops_public_id('po', n.id), payops_public_id('po', o.id), o.state"
        " FROM payments_payout n JOIN payments_payout o ON o.id = n.reissue_of_id"
        " WHERE n.initiated_at IS NOT NULL AND (o.state NOT IN ('FAILED', 'RETURNED')"
        "   OR o.verified_terminal_at IS NULL OR o.verified_terminal_at > n.initiated_at)"
        " ORDER BY n.id",
    )
    finding.break_each(
        "payout {} re-issues {} with another amount or beneficiary",
        "SELECT payops_public_id('po', n.id), payops_public_id('po', o.id)"
        " FROM payments_payout n JOIN payments_payout o ON o.id = n.reissue_of_id"
        " WHERE (n.amount_minor, n.currency, n.beneficiary_id)"
        "   <> (o.amount_minor, o.currency, o.beneficiary_id) ORDER BY n.id",
    )
    return finding


def gated(moment: Moment) -> Finding:
    """I13: a passed gate decision on its content precedes every release; unknown is blocked."""
    finding = Finding(
        checked=select("SELECT count(*) FROM payments_payout WHERE initiated_at IS NOT NULL")[0][0]
    )
    finding.break_each(
        "payout {} left at {} without a passed gate decision on its content",
        "SELECT payops_public_id('po', p.id), p.initiated_at FROM payments_payout p"
        " LEFT JOIN LATERAL (SELECT g.* FROM compliance_gatedecision g WHERE g.payout_id = p.id"
        "   AND g.created_at <= p.initiated_at ORDER BY g.created_at DESC, g.id DESC LIMIT 1) g"
        "   ON true WHERE p.initiated_at IS NOT NULL AND (g.id IS NULL OR NOT g.passed"
        "   OR (g.amount_minor, g.currency, g.bank_hash, g.approval_id)"
        "     IS DISTINCT FROM (p.amount_minor, p.currency, p.bank_hash, p.approval_id))"
        " ORDER BY p.id",
    )
    finding.break_each(
        "gate decision {} passed although a gate was unknown",
        "SELECT payops_public_id('gd', id) FROM compliance_gatedecision"
        " WHERE passed AND jsonb_path_exists(results, '$.** ? (@ == \"unknown\")') ORDER BY id",
    )
    return finding


def _compare_with_provider(finding: Finding, moment: Moment) -> None:
    assert moment.movements is not None and moment.movements_at is not None
    paid_out: dict[str, list[Movement]] = defaultdict(list)
    for movement in moment.movements:
        if movement.kind in MONEY_OUT:
            paid_out[movement.reference].append(movement)
    for subject, row in _intents().items():
        intent_id, state, amount, currency, key, sent_at = row
        moved = paid_out.pop(subject, [])
        for movement in moved:
            if (movement.amount_minor, movement.currency) != (amount, currency):
                finding.add(
                    f"{intent_id} intended {amount} {currency}, the provider moved"
                    f" {movement.amount_minor} {movement.currency} ({movement.object_id})"
                )
            if movement.idempotency_key != key:
                finding.add(f"{movement.object_id} moved under another key than {intent_id}'s")
        if len(moved) > 1:
            finding.add(f"the provider moved money {len(moved)} times for {intent_id} ({subject})")
        if moved and state not in MAY_HAVE_MOVED:
            finding.add(f"{intent_id} is {state}, yet the provider moved money for {subject}")
        written_down = sent_at is not None and sent_at < moment.movements_at
        if not moved and state == "SUCCEEDED" and written_down:
            finding.add(f"{intent_id} succeeded, yet the provider moved nothing for {subject}")
    recorded = _made_elsewhere()
    for subject, moved in paid_out.items():
        for movement in moved:
            # A refund made in the provider's console is a fact that is found and recorded (F4).
            late = movement.at < moment.now - moment.bound
            if (
                movement.kind == "payout"
                or subject.startswith("rf_")
                or (movement.object_id not in recorded and late)
            ):
                named = subject or "nobody"
                finding.add(f"{movement.object_id} moved money for {named} without an intent")


def _intents() -> dict[str, tuple]:
    rows = select(
        "SELECT i.subject_id, payops_public_id('it', i.id), i.state, s.amount_minor, s.currency,"
        " i.idempotency_key, i.first_sent_at FROM payments_intent i JOIN ("
        "   SELECT payops_public_id('po', id) AS subject_id, amount_minor, currency"
        "     FROM payments_payout"
        "   UNION ALL SELECT payops_public_id('rf', id), amount_minor, currency"
        "     FROM payments_refund) s ON s.subject_id = i.subject_id ORDER BY i.id"
    )
    return {row[0]: row[1:] for row in rows}


def _made_elsewhere() -> set[str]:
    rows = select("SELECT provider_ref FROM payments_refund WHERE source = 'provider'")
    return {row[0] for row in rows}
