"""What an approval of a refund is bound to, and what its deciders are shown beside it (D6, F7).

The facts are rebuilt from the stored refund before it leaves, so they hold nothing that changes.
Never asks for anything and never writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from datetime import datetime
from typing import Any

from approvals.models import ApprovalRequest
from approvals.policies import active, policy_of
from approvals.tiers import Needed, exposures_of, needed_by
from ledger import posting
from payops.core import clock, ids, rates
from payops.core.money import Money
from payops.flows.payouts.request import consequence_of
from payops.flows.refunds import entries as refund_entries
from payops.payments.models import Beneficiary, Payment, Refund
from payops.payments.refund_rules import Check

KIND = "refund"
OFFLINE_KIND = "refund_offline"
KINDS = (KIND, OFFLINE_KIND)


class RefundRefused(ValueError):
    """The request or act does not fit; the text names the rule with its figures."""


def kind_of(*, offline: bool) -> str:
    return OFFLINE_KIND if offline else KIND


def approval_facts(refund: Refund, *, is_high_risk: bool) -> dict[str, Any]:
    """Exactly what is approved (D6)."""
    payment = refund.payment
    return {
        "amount_minor": refund.amount_minor,
        "currency": refund.currency,
        "payment": payment.public_id,
        "provider_ref": payment.provider_ref,
        "account": refund.account.address,
        "merchant_ref": payment.merchant_ref,
        "beneficiary_id": ids.render(Beneficiary.PREFIX, payment.beneficiary_id),
        "reason_code": refund.reason_code,
        "evidence": dict(refund.evidence),
        "source": refund.source,
        "offline": refund.offline,
        "goodwill": refund.goodwill,
        "retry_of": ids.render(Refund.PREFIX, refund.retry_of_id) if refund.retry_of_id else "",
        "promise": refund.promise_id,
        "high_risk": is_high_risk,
        "ruleset": refund.ruleset,
        "send_by_person": refund.send_by_person,
    }


def title_of(refund: Refund) -> str:
    payment = refund.payment
    act = "Refund by hand" if refund.offline else "Refund"
    return f"{act} {refund.amount} of {payment.merchant_ref or payment.provider_ref}"


def consequences(refund: Refund, checks: Sequence[Check], now: datetime) -> list[dict[str, Any]]:
    """The way of the money, then why people decide, then what to be careful about."""
    how = (
        {"kind": "change", "words": "paid by hand, then recorded here with its bank reference"}
        if refund.offline
        else {"kind": "call", "words": f"refunded through {refund.account}"}
    )
    failed = [check for check in checks if not check.passed]
    caused = [*map(consequence_of, _entries(refund, now)), how]
    if refund.send_by_person and not refund.offline:
        words = "somebody else than the requester sends it once it is granted"
        caused.append({"kind": "change", "words": words})
    caused += [
        {"kind": check.otherwise, "words": check.words}
        for check in sorted(failed, key=lambda check: check.otherwise == "warning")
    ]
    return caused


def seats_for(
    payment: Payment,
    amount: Money,
    *,
    offline: bool,
    is_high_risk: bool,
    requester: str,
    channel: str,
    now: datetime,
) -> Needed:
    """Whose decision it would need if it were asked for now. Raises PolicyMissing."""
    kind = kind_of(offline=offline)
    request = ApprovalRequest(
        book=payment.book,
        kind=kind,
        amount_minor=amount.minor,
        currency=amount.currency,
        reporting_minor=rates.reporting_minor(amount, payment.book, now),
        cumulative_key=payment.public_id,
        business_day=clock.business_day(now, time_zone=payment.book.time_zone),
        requested_channel=channel,
        facts={
            "high_risk": is_high_risk,
            "beneficiary_id": ids.render(Beneficiary.PREFIX, payment.beneficiary_id),
        },
    )
    policy = policy_of(active(book=payment.book, kind=kind, now=now))
    return needed_by(request, policy, exposures_of([request])[request.pk])


def _entries(refund: Refund, now: datetime) -> list[posting.Posting]:
    """What is posted once the customer has the money; of a copy, for nothing has happened yet."""
    paid = copy(refund)
    paid.accepted_at = paid.succeeded_at = now
    paid.shares = refund_entries.share(paid)
    return list(refund_entries.due(paid, (), refs=posting.Refs()))
