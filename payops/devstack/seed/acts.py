"""What the seeded people do: ask for payouts, decide, propose; through the product's own flows."""

from __future__ import annotations

from collections.abc import Mapping

from approvals import services as approvals
from approvals.models import ApprovalRequest
from payops.cases.models import Case
from payops.core import clock, ids
from payops.core.actors import Actor
from payops.core.models import ProviderAccount, User
from payops.core.money import Money
from payops.flows.payouts import exception as payout_exception
from payops.flows.payouts import request as payout_flow
from payops.flows.payouts.request import PayoutAsk
from payops.flows.refunds import request as refund_flow
from payops.flows.refunds.request import RefundAsk
from payops.payments.models import Beneficiary, Payment, Payout, Refund

SEATS = {
    "ops_lead": "lena",
    "finance_manager": "marco",
    "compliance": "chen",
    "treasury": "sofia",
}
DECISIONS_MAX = 8


def actor_of(username: str) -> Actor:
    user = User.objects.get(username=username)
    return Actor(channel="command", person_id=user.person_id, login=username, user_id=user.pk)


def ask_payout(
    *, merchant_ref: str, amount: Money, seller: str, provider: str, slug: str = "demo"
) -> Payout:
    """Amara asks for a payout; asking again for the same reference is the same payout."""
    requester = User.objects.get(username="amara").person
    assert requester is not None
    return payout_flow.request_payout(
        ask=PayoutAsk(
            account=ProviderAccount.objects.get(provider=provider, slug=slug),
            beneficiary=Beneficiary.objects.get(reference=seller),
            amount=amount,
            merchant_ref=merchant_ref,
            request_key=f"seed:{merchant_ref}",
            reason="weekly seller payout",
            requested_by=requester,
        ),
        actor=actor_of("amara"),
        now=clock.utc_now(),
    )


def ask_refund(
    *, payment: Payment, amount: Money, reason_code: str, evidence: Mapping[str, str]
) -> Refund:
    """Amara asks for a refund; asking again for the same charge is the same refund."""
    requester = User.objects.get(username="amara").person
    assert requester is not None
    return refund_flow.request_refund(
        ask=RefundAsk(
            payment=payment,
            amount=amount,
            reason_code=reason_code,
            note="asked for by the customer",
            evidence=evidence,
            request_key=f"seed:{payment.merchant_ref}",
            requested_by=requester,
        ),
        actor=actor_of("amara"),
        now=clock.utc_now(),
    )


def approve(approval_id: str, *, only: str = "") -> None:
    """Each open seat approves (or only the named one); a raised tier brings further seats."""
    key = ids.parse(approval_id, "ap")[1]
    for _ in range(DECISIONS_MAX):
        request = ApprovalRequest.objects.get(pk=key)
        decided = set(request.decisions.values_list("seat", flat=True))
        waiting = [seat for seat in request.seats if seat not in decided]
        if only:
            waiting = [seat for seat in waiting if seat == only]
        if request.state != ApprovalRequest.State.PENDING or not waiting:
            return
        _decide(request, waiting[0])


def resolve(case: Case, resolution: str, reason: str) -> None:
    """Amara proposes, everybody whose seat is asked for approves."""
    request = payout_exception.propose(
        case_id=case.pk,
        resolution=resolution,
        hold_beneficiary=False,
        reason=reason,
        actor=actor_of("amara"),
        now=clock.utc_now(),
    )
    approve(request.public_id)


def _decide(request: ApprovalRequest, seat: str) -> None:
    now = clock.utc_now()
    typed = ""
    if request.amount_minor is not None:
        typed = Money(request.amount_minor, request.currency).decimal_text()
    approvals.decide(
        request_id=request.pk,
        user=User.objects.get(username=SEATS[seat]),
        verdict="approve",
        reason="amount, seller and evidence agree",
        evidence=[],
        content_hash=request.content_hash,
        stepped_up_at=now,
        now=now,
        typed_confirmation=typed,
    )
