"""I6: refunds never exceed what was captured, per payment and currency, at every instant."""

from __future__ import annotations

from payops.commands.invariants.base import Finding, Moment, count

PER_PAYMENT = """
SELECT payops_public_id('pa', p.id), {columns} FROM payments_payment p
JOIN (SELECT payment_id,
    coalesce(sum(amount_minor) FILTER (WHERE obligation = 'owed' OR state IN
      ('REQUESTED', 'AWAITING_APPROVAL', 'APPROVED', 'DISPATCHING', 'UNKNOWN')), 0) AS reserved,
    coalesce(sum(amount_minor) FILTER (WHERE state IN
      ('ACCEPTED', 'SUCCEEDED', 'LEDGER_PENDING')), 0) AS executed,
    coalesce(sum(amount_minor) FILTER (WHERE source = 'provider' AND state IN
      ('ACCEPTED', 'SUCCEEDED', 'LEDGER_PENDING')), 0) AS elsewhere
  FROM payments_refund GROUP BY payment_id) r ON r.payment_id = p.id
"""


def refunds_capped(moment: Moment) -> Finding:
    """I6: what the provider's own console refunded beyond the capture is shown, never promised."""
    finding = Finding(checked=count("payments_refund"))
    finding.break_each(
        "payment {} captured {}, its refunds here reserve and executed {}",
        PER_PAYMENT.format(columns="p.captured_minor, r.reserved + r.executed - r.elsewhere")
        + " WHERE r.reserved + r.executed - r.elsewhere > p.captured_minor ORDER BY p.id",
    )
    finding.break_each(
        "payment {} counts {} reserved and {} refunded, its refunds say {} and {}",
        PER_PAYMENT.format(
            columns="p.reserved_minor, p.refunded_minor + p.over_refunded_minor, r.reserved,"
            " r.executed"
        )
        + " WHERE p.reserved_minor <> r.reserved"
        " OR p.refunded_minor + p.over_refunded_minor <> r.executed ORDER BY p.id",
    )
    finding.break_each(
        "payment {} counts refunds and has none",
        "SELECT payops_public_id('pa', p.id) FROM payments_payment p"
        " WHERE p.reserved_minor + p.refunded_minor + p.over_refunded_minor > 0 AND NOT EXISTS"
        " (SELECT 1 FROM payments_refund r WHERE r.payment_id = p.id) ORDER BY p.id",
    )
    finding.break_each(
        "refund {} of {} {} has another currency, account or book than its payment",
        "SELECT payops_public_id('rf', r.id), r.amount_minor, r.currency FROM payments_refund r"
        " JOIN payments_payment p ON p.id = r.payment_id"
        " WHERE (r.currency, r.account_id, r.book_id) <> (p.currency, p.account_id, p.book_id)"
        " ORDER BY r.id",
    )
    finding.break_each(
        "refund {} ({}) left, and no decision says why",
        "SELECT payops_public_id('rf', r.id), r.state FROM payments_refund r"
        " WHERE r.source <> 'provider' AND r.state NOT IN ('REQUESTED') AND NOT EXISTS"
        " (SELECT 1 FROM payments_refunddecision d WHERE d.refund_id = r.id) ORDER BY r.id",
    )
    finding.break_each(
        "refund {} promised by {} is open together with its retry {}",
        "SELECT payops_public_id('rf', o.id), o.promise_id, payops_public_id('rf', n.id)"
        " FROM payments_refund n JOIN payments_refund o ON o.id = n.retry_of_id"
        " WHERE o.obligation <> 'retried' AND n.state NOT IN ('REFUSED', 'CANCELED')"
        " ORDER BY o.id",
    )
    return finding
