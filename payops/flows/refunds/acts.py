"""What people do with a refund that was asked for: grant or refuse, send, cancel, pay by hand.

Grant and send are two permissions, and whoever asked does neither (F26, D5). A refund that is not
granted, or canceled, frees what it had reserved at once. Everything is looked at again before it
leaves. Serves RF-16, RF-18, AP-10, D6, D9.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction

from approvals import services as approvals
from approvals.models import ApprovalDecision, ApprovalRequest
from approvals.refusals import ApprovalRefused
from payops.core import ids, locks, messages, state
from payops.core.actors import Actor, service
from payops.core.messages import News
from payops.core.models import Book, Person, ProviderAccount
from payops.core.roles import Act, acts_of
from payops.flows.refunds import decisions as refund_decisions
from payops.flows.refunds import facts as refund_facts
from payops.flows.refunds import policy as refund_policy
from payops.flows.refunds import terms as refund_terms
from payops.flows.refunds.decisions import AT_REQUEST, AT_SENDING, Decision
from payops.flows.refunds.facts import Said, Seen
from payops.flows.refunds.terms import RefundRefused
from payops.flows.refunds.told import tell_ticket
from payops.payments import refundable
from payops.payments.models import Beneficiary, Payment, Refund, RefundDecision
from payops.payments.refund_rules import CHECKS_BEFORE_SENDING, checks_of

ACTOR = service("refund-decision")
State = Refund.State
TOPIC = "refund.dispatch"
WORDS_MAX = 400


def send_dispatch(refund: Refund, now: datetime, *, attempt: str) -> None:
    news = News(
        refund.book,
        TOPIC,
        f"{refund.public_id}:{attempt}",
        {"refund_id": refund.public_id},
        turn=str(refund.account_id),
    )
    messages.send([news], now=now)


def on_decided(approval: ApprovalRequest, now: datetime) -> None:
    """Carry the decision to the refund; a granted one is sent, by a person where policy asks."""
    with transaction.atomic(durable=True):
        refund = locked(ids.parse(approval.subject_id, Refund.PREFIX)[1])
        if refund.state not in (State.AWAITING_APPROVAL, State.APPROVED):
            return
        if approval.state != ApprovalRequest.State.APPROVED:
            refuse(refund, _why_not(approval), actor=ACTOR, now=now)
            return
        if refund.state == State.AWAITING_APPROVAL:
            refund.approve()
            evidence = {"approval_id": approval.public_id}
            state.save(refund, actor=ACTOR, now=now, action="refund.approved", evidence=evidence)
        if not refund.offline and not refund.send_by_person:
            send_dispatch(refund, now, attempt="1")


def send(*, refund_id: UUID, actor: Actor, now: datetime) -> Refund:
    """A person sends what others granted. Raises RefundRefused."""
    with transaction.atomic(durable=True):
        refund = locked(refund_id)
        sender = sender_of(refund, actor, now)
        if refund.state != State.APPROVED or refund.offline:
            raise RefundRefused(
                f"{refund.public_id} is {refund.state}"
                f"{' and paid by hand' if refund.offline else ''}; only a granted refund that the "
                "provider pays is sent"
            )
        if refund.sent_by_id is not None:
            return refund
        if not refund.send_by_person:
            raise RefundRefused(f"{refund.public_id} is sent by itself; nobody has to send it")
        refund.sent_by = sender
        state.save(refund, actor=actor, now=now, action="refund.sent_on")
        send_dispatch(refund, now, attempt="1")
        return refund


def cancel(*, refund_id: UUID, reason: str, actor: Actor, now: datetime) -> Refund:
    """Take back a refund that has not left; its approval becomes void. Raises RefundRefused."""
    with transaction.atomic(durable=True):
        refund = locked(refund_id)
        _may_cancel(actor, now)
        if refund.state == State.CANCELED:
            return refund
        if refund.state not in (State.AWAITING_APPROVAL, State.APPROVED):
            raise RefundRefused(
                f"{refund.public_id} is {refund.state}; only a refund that has not left can be "
                "canceled here"
            )
        if not reason.strip():
            raise RefundRefused("canceling a refund needs a reason")
        refund.cancel(words=reason.strip())
        _still_owed(refund)
        state.save(refund, actor=actor, now=now, action="refund.canceled", reason=reason)
        refundable.recount(refund.payment_id)
        _void(refund, "the refund was canceled", actor, now)
        tell_ticket(refund, now)
        return refund


def refuse(refund: Refund, words: str, *, actor: Actor, now: datetime) -> None:
    """End a refund that has not left; the payment's lock is held, its reservation is freed."""
    refund.refuse(words=words)
    _still_owed(refund)
    state.save(refund, actor=actor, now=now, action="refund.refused", reason=words)
    refundable.recount(refund.payment_id)
    _void(refund, words, actor, now)
    tell_ticket(refund, now)


def recheck(refund: Refund, now: datetime) -> str:
    """Look again before it leaves: what refuses it now, or "" once its grant is taken.

    The facts are looked at, never the policy: what was granted stays granted. `refund.payment` is
    the payment as the caller locked it; with words the caller ends the refund by `refuse`.
    """
    return recheck_many([refund], now)[0]


def recheck_many(refunds: Sequence[Refund], now: datetime) -> list[str]:
    """`recheck` for refunds of different payments, looked at together."""
    assert connection.in_atomic_block, "looked at in the transaction that sends"
    asked = _asked(refunds)
    saids = [_said(refund, asked.get(refund.pk)) for refund in refunds]
    payments = [refund.payment for refund in refunds]
    seen_each = refund_facts.see_many(list(zip(payments, saids, strict=True)), now=now)
    decided = [
        _looked_at(refund, asked.get(refund.pk), said, seen, now)
        for refund, said, seen in zip(refunds, saids, seen_each, strict=True)
    ]
    refund_decisions.record_many([each for each, _ in decided], stage=AT_SENDING, now=now)
    return [words[:WORDS_MAX] for _, words in decided]


def locked(refund_id: UUID) -> Refund:
    """The refund behind its payment's lock, in the order of locks."""
    payment_id = Refund.objects.values_list("payment_id", flat=True).get(pk=refund_id)
    payment = locks.row(Payment, payment_id)
    refund = locks.row(Refund, refund_id)
    refund.payment = payment
    return refund


def locked_many(keys: Sequence[UUID]) -> dict[UUID, Refund]:
    """Refunds behind their payments' locks, with what a call and its entries need of others."""
    payment_of = dict(Refund.objects.filter(pk__in=keys).values_list("pk", "payment_id"))
    payments = locks.rows(Payment, payment_of.values())
    held = locks.rows(Refund, keys)
    accounts = ProviderAccount.objects.in_bulk({each.account_id for each in held.values()})
    books = Book.objects.in_bulk({each.book_id for each in held.values()})
    sellers = Beneficiary.objects.in_bulk({each.beneficiary_id for each in payments.values()})
    people = Person.objects.in_bulk({each.requested_by_id for each in held.values()})
    for refund in held.values():
        refund.payment = payments[refund.payment_id]
        refund.account = accounts[refund.account_id]
        refund.book = refund.payment.book = refund.account.book = books[refund.book_id]
        refund.payment.account = refund.account
        refund.payment.beneficiary = sellers[refund.payment.beneficiary_id]
        refund.requested_by = people.get(refund.requested_by_id)
    return held


def sender_of(refund: Refund, actor: Actor, now: datetime) -> Person:
    """Who sends a refund or records it as paid: with the permission, and never who asked (F26)."""
    sender = Person.objects.get(pk=actor.human())
    if Act.SEND_REFUND not in acts_of(sender.roles_at(now)):
        raise RefundRefused(f"{sender.name} may not send refunds")
    if sender.pk == refund.requested_by_id:
        raise RefundRefused(f"{sender.name} asked for it; somebody else sends it")
    return sender


def given(evidence: dict[str, str]) -> tuple[str, ...]:
    """The names of the fields that were filled in."""
    return tuple(sorted(name for name, value in evidence.items() if str(value).strip()))


def is_high_risk(asked: RefundDecision) -> bool:
    """As it was decided, so that the approved content can be rebuilt."""
    return any(check["check"] == "risk" and not check["passed"] for check in asked.checks)


def _asked(refunds: Sequence[Refund]) -> dict[UUID, RefundDecision]:
    """The decision of each, as it was when it was asked for."""
    rows = RefundDecision.objects.filter(
        refund__in=[refund.pk for refund in refunds], stage=AT_REQUEST
    )
    asked: dict[UUID, RefundDecision] = {}
    for row in rows.order_by("pk"):
        asked.setdefault(row.refund_id, row)
    return asked


def _said(refund: Refund, asked: RefundDecision | None) -> Said:
    asker_id = refund.requested_by_id
    assert asker_id is not None, "a refund made at the provider is not sent from here"
    return Said(
        amount=refund.amount,
        reason_code=refund.reason_code,
        evidence=given(refund.evidence),
        requester_id=asker_id,
        requester=asked.facts.get("requester", "") if asked else "",
        source=refund.source,
        offline=refund.offline,
        goodwill=refund.goodwill,
        promise_id=refund.promise_id if refund.retry_of_id else "",
    )


def _looked_at(
    refund: Refund, asked: RefundDecision | None, said: Said, seen: Seen, now: datetime
) -> tuple[Decision, str]:
    active = refund_policy.active_as(seen.policy_id, refund.book, now)
    facts = refund_facts.facts_of(
        payment=refund.payment, said=said, seen=seen, rules=active.rules, now=now, own=refund
    )
    checks = [c for c in checks_of(facts, active.rules) if c.check in CHECKS_BEFORE_SENDING]
    words = "; ".join(check.words for check in checks if not check.passed)
    words = words or _take_grant(refund, asked, now)
    verdict = "refused" if words or asked is None else asked.verdict
    told = words or "nothing has changed since it was granted"
    return Decision(refund, verdict, told, checks, facts, active), words


def _take_grant(refund: Refund, asked: RefundDecision | None, now: datetime) -> str:
    """The approval of exactly this content, taken once; or the rule's own grant."""
    if asked is None:
        return "no decision about it is stored"
    if not refund.approval_id:
        return "" if asked.verdict == "auto" else f"it was decided {asked.verdict}, not granted"
    kind = refund_terms.kind_of(offline=refund.offline)
    facts = refund_terms.approval_facts(refund, is_high_risk=is_high_risk(asked))
    try:
        approvals.begin_execution(
            request_id=ids.parse(refund.approval_id, "ap")[1],
            content_hash=approvals.content_hash_of(kind, refund.public_id, facts, refund.amount),
            now=now,
            actor=ACTOR,
        )
    except ApprovalRefused as refusal:
        return refusal.words
    return ""


def _why_not(approval: ApprovalRequest) -> str:
    """Who did not grant it, and why."""
    if approval.state == ApprovalRequest.State.REJECTED:
        said = ApprovalDecision.objects.select_related("person")
        no = said.filter(request=approval, verdict="reject").order_by("-created_at").first()
        if no is not None:
            return f"refused by {no.person.name}: {no.reason}"
    if approval.state == ApprovalRequest.State.EXPIRED:
        return f"nobody decided until {approval.expires_at:%Y-%m-%d %H:%M} UTC; ask again"
    why = f": {approval.void_reason}" if approval.void_reason else ""
    return f"its approval is {approval.state.lower()}{why}"


def _still_owed(refund: Refund) -> None:
    """A retry that does not happen leaves the customer owed, as before it was asked for."""
    if refund.retry_of_id is not None:
        refund.obligation = Refund.Obligation.OWED


def _void(refund: Refund, words: str, actor: Actor, now: datetime) -> None:
    if refund.approval_id:
        approvals.void_open(
            book=refund.book, subject_id=refund.public_id, reason=words, actor=actor, now=now
        )


def _may_cancel(actor: Actor, now: datetime) -> None:
    person = Person.objects.get(pk=actor.human())
    if not acts_of(person.roles_at(now)) & {Act.REQUEST_REFUND, Act.SEND_REFUND}:
        raise RefundRefused(f"{person.name} may not cancel refunds")
