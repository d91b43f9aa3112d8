"""One flow for every refund, whoever asks: looked at, decided by rule or put to people, reserved.

A request takes the payment's lock once; what it may take is looked at, decided and reserved behind
it, so that no two requests see the same rest. Refused requests are rows too, with every check and
its figures. Sending is `refunds.dispatch`'s. Serves RF-1 to RF-5, RF-10, RF-11, RF-14, RF-18, AP-7,
AP-8, AP-9, D5, D6, D9.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from django.db import IntegrityError, connection, transaction

from approvals import services as approvals
from payops.core import ids, locks, state
from payops.core.actors import Actor
from payops.core.money import Money
from payops.flows.refunds import closing as refund_closing
from payops.flows.refunds import decisions as refund_decisions
from payops.flows.refunds import facts as refund_facts
from payops.flows.refunds import policy as refund_policy
from payops.flows.refunds import terms as refund_terms
from payops.flows.refunds.acts import (
    cancel,
    locked,
    on_decided,
    recheck,
    refuse,
    send,
    send_dispatch,
)
from payops.flows.refunds.asks import RefundAsk, check_form, record_refusal, said_by, same_request
from payops.flows.refunds.decisions import AT_REQUEST
from payops.flows.refunds.facts import Said, Seen
from payops.flows.refunds.offline import record_offline
from payops.flows.refunds.policy import Active
from payops.flows.refunds.terms import KIND, KINDS, OFFLINE_KIND, RefundRefused
from payops.flows.refunds.told import tell_ticket
from payops.payments import refundable
from payops.payments.models import Payment, Refund
from payops.payments.refund_rules import (
    Check,
    Facts,
    Verdict,
    checks_of,
    is_high_risk,
    left_words,
    verdict_of,
    words_of,
)

__all__ = [
    "KIND",
    "KINDS",
    "OFFLINE_KIND",
    "Outlook",
    "RefundAsk",
    "RefundRefused",
    "ask_refund",
    "cancel",
    "locked",
    "look",
    "on_decided",
    "recheck",
    "record_offline",
    "refuse",
    "request_refund",
    "send",
    "send_dispatch",
]

State = Refund.State
KEY_ONCE = "refund_request_once"
RELATED = ("book", "account", "beneficiary")


@dataclass(frozen=True, slots=True)
class Outlook:
    """What asking now would come to: nothing is reserved, so it may come out otherwise.

    `seats` whose decision it would need. `known` is the refund that has the request key already.
    """

    verdict: Verdict
    checks: tuple[Check, ...]
    amount: Money
    left: Money
    words: str
    ruleset: str
    seats: tuple[str, ...] = ()
    rule_fired: str = ""
    known: Refund | None = None


@dataclass(frozen=True, slots=True)
class _Decided:
    """One request, looked at and decided."""

    facts: Facts
    checks: tuple[Check, ...]
    verdict: Verdict
    words: str
    active: Active
    high_risk: bool = field(default=False)


def request_refund(*, ask: RefundAsk, actor: Actor, now: datetime) -> Refund:
    """Decide about the request and reserve what it takes. Raises RefundRefused, audited."""
    try:
        try:
            return _request(ask, actor, now)
        except IntegrityError as error:
            if KEY_ONCE not in str(error):
                raise
            # Another payment's request took the key meanwhile; now it is there to be read.
            return _request(ask, actor, now)
    except RefundRefused as refusal:
        record_refusal(ask, refusal, actor, now)
        raise


def ask_refund(ask: RefundAsk, *, actor: Actor, now: datetime) -> Refund:
    """`request_refund` inside the caller's transaction: REFUSED, AWAITING_APPROVAL or APPROVED.

    Raises RefundRefused only where no row can exist: other facts under the key, no such reason,
    another currency, nothing asked for.
    """
    assert connection.in_atomic_block, "a request and its reservation are one transaction"
    check_form(ask)
    payment = _locked(ask.payment)
    said = said_by(ask)
    seen = refund_facts.see(payment=payment, said=said, now=now)
    active = refund_policy.active_as(seen.policy_id, payment.book, now)
    if seen.known_id is not None:
        return same_request(Refund.objects.get(pk=seen.known_id), ask, actor, now)
    decided = _decide(payment, said, seen, active, now)
    _check_expressible(ask, decided)
    original = _owed(ask.retry_of, decided)
    refund = _written(ask, payment, decided, actor, now)
    if original is not None:
        original.obligation = Refund.Obligation.RETRIED
        evidence = {"retried_as": refund.public_id}
        state.save(original, actor=actor, now=now, action="refund.retry_asked", evidence=evidence)
        refund_closing.note(
            original,
            f"asked for again as {refund.public_id}",
            refers_to=refund.public_id,
            actor=actor,
            now=now,
        )
    counts = "" if refund.state == State.REFUSED else refundable.recounting(payment.pk)
    refund_decisions.record(
        refund,
        stage=AT_REQUEST,
        verdict=decided.verdict,
        words=decided.words,
        checks=decided.checks,
        facts=decided.facts,
        active=active,
        now=now,
        then=counts,
    )
    if refund.state == State.APPROVED and not refund.send_by_person:
        send_dispatch(refund, now, attempt="1")
    tell_ticket(refund, now)
    return refund


def look(*, ask: RefundAsk, now: datetime, channel: str = "browser") -> Outlook:
    """What `request_refund` would answer now; reads only. Raises RefundRefused when malformed."""
    check_form(ask)
    payment = ask.payment
    said = said_by(ask)
    seen = refund_facts.see(payment=payment, said=said, now=now)
    active = refund_policy.active_as(seen.policy_id, payment.book, now)
    decided = _decide(payment, said, seen, active, now)
    amount = Money(decided.facts.amount_minor, decided.facts.asked_currency)
    outlook = Outlook(
        verdict=decided.verdict,
        checks=decided.checks,
        amount=amount,
        left=Money(decided.facts.left_minor, payment.currency),
        words=decided.words,
        ruleset=active.rules.ruleset,
        known=Refund.objects.filter(pk=seen.known_id).first() if seen.known_id else None,
    )
    if decided.verdict != "approval":
        return outlook
    needed = refund_terms.seats_for(
        payment,
        amount,
        offline=ask.offline,
        is_high_risk=decided.high_risk,
        requester=str(ask.requested_by.pk),
        channel="bulk" if ask.source == "bulk" else channel,
        now=now,
    )
    return replace(outlook, seats=needed.seats, rule_fired=needed.rule_fired)


def _request(ask: RefundAsk, actor: Actor, now: datetime) -> Refund:
    with transaction.atomic(durable=True):
        return ask_refund(ask, actor=actor, now=now)


def _decide(payment: Payment, said: Said, seen: Seen, active: Active, now: datetime) -> _Decided:
    facts = refund_facts.facts_of(
        payment=payment, said=said, seen=seen, rules=active.rules, now=now
    )
    checks = checks_of(facts, active.rules)
    return _Decided(
        facts=facts,
        checks=checks,
        verdict=verdict_of(checks),
        words=words_of(checks, active.rules),
        active=active,
        high_risk=is_high_risk(facts, active.rules),
    )


def _written(
    ask: RefundAsk, payment: Payment, decided: _Decided, actor: Actor, now: datetime
) -> Refund:
    """The refund in the state it begins with, its approval asked for, and why."""
    refund = _drafted(ask, payment, decided, now)
    if decided.verdict == "approval":
        approval = approvals.request_approval(
            book=payment.book,
            kind=refund_terms.kind_of(offline=refund.offline),
            subject_id=refund.public_id,
            title=refund_terms.title_of(refund),
            facts=refund_terms.approval_facts(refund, is_high_risk=decided.high_risk),
            reason=_reason_words(ask, decided),
            actor=replace(actor, channel="bulk") if ask.source == "bulk" else actor,
            now=now,
            requested_by=ask.requested_by,
            amount=refund.amount,
            cumulative_key=payment.public_id,
            consequences=refund_terms.consequences(refund, decided.checks, now),
        )
        refund.approval_id = approval.public_id
    evidence = {
        "ruleset": refund.ruleset,
        "amount_minor": refund.amount_minor,
        "payment": payment.public_id,
        "requested_by": str(ask.requested_by.pk),
    }
    action = {
        "refused": "refund.refused",
        "auto": "refund.granted_by_rule",
        "approval": "refund.requested",
    }[decided.verdict]
    words = decided.words
    state.save(refund, actor=actor, now=now, action=action, reason=words, evidence=evidence)
    return refund


def _drafted(ask: RefundAsk, payment: Payment, decided: _Decided, now: datetime) -> Refund:
    rules, facts = decided.active.rules, decided.facts
    threshold = rules.send_by_person_above_minor
    by_person = threshold is not None and (
        facts.reporting_minor is None or facts.reporting_minor > threshold
    )
    key = ids.uuid7()
    return Refund(
        id=key,
        book=payment.book,
        payment=payment,
        account=payment.account,
        state={
            "refused": State.REFUSED,
            "auto": State.APPROVED,
            "approval": State.AWAITING_APPROVAL,
        }[decided.verdict],
        amount_minor=facts.amount_minor,
        currency=payment.currency,
        source=ask.source,
        reason_code=ask.reason_code,
        note=ask.note.strip(),
        evidence={name: str(value).strip() for name, value in sorted(ask.evidence.items())},
        request_key=ask.request_key,
        requested_by=ask.requested_by,
        ticket_system=ask.ticket_system,
        ticket_ref=ask.ticket_ref,
        offline=ask.offline,
        goodwill=ask.goodwill,
        ruleset=rules.ruleset,
        send_by_person=by_person and not ask.offline,
        retry_of=ask.retry_of,
        promise_id=ask.retry_of.promise_id if ask.retry_of else ids.render(Refund.PREFIX, key),
        refusal=decided.words if decided.verdict == "refused" else "",
        created_at=now,
    )


def _locked(payment: Payment) -> Payment:
    """The row as it is now; what it refers to never changes and is not asked for again."""
    row = locks.row(Payment, payment.pk)
    for name in RELATED:
        if Payment._meta.get_field(name).is_cached(payment):  # type: ignore[union-attr]
            setattr(row, name, getattr(payment, name))
    return row


def _owed(original: Refund | None, decided: _Decided) -> Refund | None:
    """The failed refund that this one retries, locked; a retry that cannot go is no row (RF-16)."""
    if original is None:
        return None
    row = locks.row(Refund, original.pk)
    if row.obligation != Refund.Obligation.OWED:
        raise RefundRefused(
            f"{row.public_id} is {row.state} and {row.obligation or 'not owed'}; only what the "
            "customer is still owed can be tried again"
        )
    if decided.facts.amount_minor != row.amount_minor:
        raise RefundRefused(f"{row.amount} is owed; a retry pays exactly that")
    if decided.verdict == "refused":
        raise RefundRefused(decided.words)
    return row


def _check_expressible(ask: RefundAsk, decided: _Decided) -> None:
    """A row has the payment's currency, a known reason and an amount above nothing."""
    failed = {check.check: check for check in decided.checks if not check.passed}
    other_currency = decided.facts.asked_currency != decided.facts.currency
    if other_currency or "reason" in failed:
        raise RefundRefused(failed["currency_and_account" if other_currency else "reason"].words)
    if decided.facts.amount_minor <= 0:
        raise RefundRefused(left_words(decided.facts))


def _reason_words(ask: RefundAsk, decided: _Decided) -> str:
    label = decided.active.rules.reasons[ask.reason_code].label
    return f"{label}: {ask.note.strip()}" if ask.note.strip() else label
