"""I9, I16: who decided, and that advice never caused anything."""

from __future__ import annotations

from approvals.hashing import content_hash_of
from approvals.models import ApprovalRequest
from payops.commands.invariants.base import Finding, Moment, count, select
from payops.core.money import Money

GRANTED = "r.state = 'APPROVED' OR r.executed_at IS NOT NULL"
ADVICE_KEY = '"(advice|recommendation)[a-z_]*"\\s*:'
ADVICE_ACTORS = "^(advice|triage|recommendation)"
# Where a cause of execution could be written down: (table, column, prefix of its public id).
CAUSES = (
    ("approvals_approvalrequest", "facts", "ap"),
    ("approvals_approvalrequest", "consequences", "ap"),
    ("cases_runbookrun", "plan", "run"),
    ("cases_runbookstep", "request", "step"),
    ("core_message", "payload", "message"),
    ("compliance_gatedecision", "results", "gd"),
)


def four_eyes(moment: Moment) -> Finding:
    """I9: approvers are other, distinct persons holding the role; quorum met on this very hash."""
    finding = Finding(checked=count("approvals_approvalrequest"))
    finding.break_each(
        "{} was executed as {}, not as approved",
        "SELECT payops_public_id('ap', r.id), r.state FROM approvals_approvalrequest r"
        " WHERE r.executed_at IS NOT NULL AND r.state <> 'APPROVED' ORDER BY r.id",
    )
    finding.break_each(
        "{} is approved although seat {} did not approve",
        "SELECT payops_public_id('ap', r.id), s.seat FROM approvals_approvalrequest r,"
        f" jsonb_array_elements_text(r.seats) AS s(seat) WHERE ({GRANTED}) AND NOT EXISTS"
        " (SELECT 1 FROM approvals_approvaldecision d WHERE d.request_id = r.id"
        "   AND d.verdict = 'approve' AND d.seat = s.seat) ORDER BY r.id",
    )
    finding.break_each(
        "{} is approved and asked nobody",
        "SELECT payops_public_id('ap', r.id) FROM approvals_approvalrequest r"
        f" WHERE ({GRANTED}) AND jsonb_array_length(r.seats) = 0 ORDER BY r.id",
    )
    finding.break_each(
        "{} was decided by its requester ({})",
        "SELECT payops_public_id('ap', r.id), d.login FROM approvals_approvaldecision d"
        " JOIN approvals_approvalrequest r ON r.id = d.request_id"
        " WHERE d.person_id = r.requested_by_id ORDER BY d.id",
    )
    finding.break_each(
        "{} was decided by {}, who is barred from it",
        "SELECT payops_public_id('ap', r.id), d.login FROM approvals_approvaldecision d"
        " JOIN approvals_approvalrequest r ON r.id = d.request_id"
        " WHERE r.barred ? d.person_id::text ORDER BY d.id",
    )
    finding.break_each(
        "{} was decided {} times by one person",
        "SELECT payops_public_id('ap', request_id), count(*) FROM approvals_approvaldecision"
        " GROUP BY request_id, person_id HAVING count(*) > 1 ORDER BY 1",
    )
    finding.break_each(
        "decision {} is on another content than {}",
        "SELECT payops_public_id('ad', d.id), payops_public_id('ap', r.id)"
        " FROM approvals_approvaldecision d JOIN approvals_approvalrequest r"
        " ON r.id = d.request_id WHERE d.content_hash <> r.content_hash ORDER BY d.id",
    )
    finding.break_each(
        "decision {} was given as {} by {}, who did not hold that role independently",
        "SELECT payops_public_id('ad', d.id), d.seat, d.login FROM approvals_approvaldecision d"
        " JOIN approvals_approvalrequest r ON r.id = d.request_id WHERE NOT EXISTS"
        " (SELECT 1 FROM core_rolegrant g WHERE g.person_id = d.person_id AND g.role = d.seat"
        "   AND g.granted_at <= d.created_at"
        "   AND (g.revoked_at IS NULL OR g.revoked_at > d.created_at)"
        "   AND g.granted_by_id IS DISTINCT FROM r.requested_by_id) ORDER BY d.id",
    )
    _rehash(finding)
    return finding


def advice_apart(moment: Moment) -> Finding:
    """I16: no table points at a recommendation, and no cause of execution names one."""
    finding = Finding(checked=count("cases_recommendation"))
    finding.break_each(
        "table {} refers to recommendations",
        "SELECT conrelid::regclass::text FROM pg_constraint WHERE contype = 'f'"
        " AND confrelid = 'cases_recommendation'::regclass ORDER BY 1",
    )
    for table, column, prefix in CAUSES:
        finding.break_each(
            f"{{}}: {table}.{column} names advice as a cause",
            f"SELECT payops_public_id(%s, id) FROM {table} WHERE {column}::text ~ %s ORDER BY id",
            [prefix, ADVICE_KEY],
        )
    finding.break_each(
        "audit row {}: {} changed the state of {}",
        "SELECT payops_public_id('ae', id), service, subject_id FROM core_auditevent"
        " WHERE service ~ %s AND to_state <> from_state AND to_state <> '' ORDER BY id",
        [ADVICE_ACTORS],
    )
    return finding


def _rehash(finding: Finding) -> None:
    """What was approved is what the request still says: its hash, computed again."""
    approved = ApprovalRequest.objects.filter(state=ApprovalRequest.State.APPROVED)
    columns = ("id", "kind", "subject_id", "facts", "amount_minor", "currency", "content_hash")
    for row in approved.order_by("id").values(*columns).iterator(chunk_size=1000):
        minor = row["amount_minor"]
        amount = None if minor is None else Money(minor, row["currency"])
        content = content_hash_of(row["kind"], row["subject_id"], row["facts"], amount)
        if content != row["content_hash"]:
            public_id = select("SELECT payops_public_id('ap', %s)", [row["id"]])[0][0]
            finding.add(f"the content of {public_id} is not what its hash was approved for")
