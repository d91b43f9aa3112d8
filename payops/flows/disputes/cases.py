"""What people are told of a dispute: its case with the provider's deadline, and where it meets
refunds of the same charge (D9, F1, OB-8).

Words and findings; whoever found it opens the case. A dispute and a refund of one charge must not
both pay the customer: a refund that has left is the answer to the dispute, one on its way is
watched, one that waits cannot leave while the dispute blocks. Reads refunds, never changes them.
The case's clock is the provider's deadline less a margin.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from payops.cases import services as cases
from payops.cases.models import Case
from payops.cases.services import Finding, Line
from payops.core import clock, locks, rates, state
from payops.core.actors import Actor
from payops.core.messages import News
from payops.core.money import Money
from payops.flows.batch import CaseWork
from payops.payments.models import Dispute, Payment, Refund

RULE, MEETS = "dispute", "refund_and_dispute"
# People work towards a moment before the provider's own.
MARGIN = timedelta(hours=24)
TITLE_CHARS_MAX, FINGERPRINT_CHARS_MAX = 200, 120
DISPATCH = "refund.dispatch"
IN_FLIGHT = (Refund.State.DISPATCHING, Refund.State.UNKNOWN)
State = Dispute.State
ANSWERABLE = (State.INQUIRY, State.OPEN, State.UNDER_REVIEW)


def blocking(payment_id: UUID) -> list[Dispute]:
    """The disputes of a charge that bar its refunds now."""
    known = Dispute.objects.filter(payment_id=payment_id).order_by("opened_at", "pk")
    return [dispute for dispute in known if dispute.blocks_refunds]


def held_words(payment: Payment) -> str:
    """Why no refund of the charge can leave now; "" when none is barred."""
    found = blocking(payment.pk)
    if not found:
        return ""
    first = found[0]
    what = "was lost" if first.state == State.LOST else "is not decided"
    return (
        f"Dispute {first.provider_ref} of {first.amount} {what}: a refund now would pay the"
        " customer twice. It is held until the dispute is won or closed."
    )


def case_due(dispute: Dispute, opened: datetime) -> datetime | None:
    """A margin before the provider's deadline, never behind it; None where there is none.

    Where little time was left when the case was opened, a quarter of it is the margin.
    """
    due = dispute.evidence_due_at
    if due is None:
        return None
    return due - max(min(MARGIN, (due - opened) / 4), timedelta())


def finding_of(dispute: Dispute, now: datetime, trace_id: str = "") -> Finding:
    what = "Inquiry" if dispute.state == State.INQUIRY else "Dispute"
    why = f": {dispute.reason_code}" if dispute.reason_code else ""
    title = f"{what} {dispute.provider_ref} of {dispute.amount} about {_charge(dispute)}{why}"
    return _finding(dispute, RULE, title, now, trace_id)


def works(
    dispute: Dispute,
    *,
    lines: Sequence[Line],
    refunds: Sequence[Refund],
    now: datetime,
    trace_id: str = "",
) -> list[CaseWork]:
    """The case of a live dispute, and one more where a refund of its charge meets it.

    A lost one that was refunded as well keeps that case: the customer was paid twice.
    """
    if dispute.state in (State.WON, State.CLOSED):
        return []
    meetings = _meetings(dispute, refunds, now, trace_id)
    if dispute.state == State.LOST:
        return meetings
    told = [*lines, *_early_warning(dispute), *_waiting(dispute, refunds)]
    return [CaseWork(finding_of(dispute, now, trace_id), told), *meetings]


def follow_up(
    dispute: Dispute, *, lines: Sequence[Line], is_out: bool, actor: Actor, now: datetime
) -> None:
    """Move the clocks of its open cases to the provider's; close what its end has settled."""
    words = _settled(dispute, is_out)
    own = Case.objects.filter(
        book=dispute.book, rule__in=(RULE, MEETS), fingerprint=dispute.public_id
    )
    for case in locks.rows(Case, own.values_list("pk", flat=True)).values():
        if case.rule == RULE or dispute.state in Dispute.ENDED:
            cases.append(case, list(lines), actor=actor, now=now)
        if case.state in Case.CLOSED:
            continue
        if words and not (case.rule == MEETS and dispute.state == State.LOST):
            _close(case, words, actor, now)
        else:
            _keep_up(dispute, case, actor, now)


def after_refunds(payments: Iterable[UUID], now: datetime) -> list[CaseWork]:
    """Refunds of these charges have left or are on their way: what disputes of them make of it."""
    live = [*ANSWERABLE, State.LOST]
    met = Dispute.objects.select_related("payment", "book").filter(
        payment_id__in=set(payments), state__in=live
    )
    found = []
    for dispute in met.order_by("pk"):
        refunds = list(Refund.objects.filter(payment_id=dispute.payment_id).order_by("created_at"))
        found += _meetings(dispute, refunds, now, "")
    return found


def mismatch(
    dispute: Dispute | None, payment: Payment, ref: str, words: str, now: datetime
) -> Finding:
    """Figures that differ from what was told before, or from the charge: nothing is applied."""
    book = payment.book
    subject = dispute.public_id if dispute else payment.public_id
    day = clock.business_day(now, time_zone=book.time_zone)
    return Finding(
        book=book,
        rule="provider_mismatch",
        fingerprint=f"dispute:{subject}:{ref}"[:FINGERPRINT_CHARS_MAX],
        period=clock.period_of(day),
        subject_id=subject,
        title=words[:TITLE_CHARS_MAX],
        amount_minor=dispute.amount_minor if dispute else payment.captured_minor,
        currency=payment.currency,
    )


def freed(dispute: Dispute, refunds: Iterable[Refund], now: datetime) -> list[News]:
    """Granted refunds that the dispute had held go on their way again."""
    return [
        News(
            refund.book,
            DISPATCH,
            f"{refund.public_id}:freed:{dispute.public_id}:{int(now.timestamp() * 1e6)}",
            {"refund_id": refund.public_id},
            turn=str(refund.account_id),
        )
        for refund in refunds
        if refund.state == Refund.State.APPROVED
        and not refund.offline
        and (not refund.send_by_person or refund.sent_by_id is not None)
    ]


def left_before(dispute: Dispute, refunds: Iterable[Refund]) -> int:
    """Minor units that refunds had given back before the provider took the money."""
    taken = dispute.withdrawn_at
    if taken is None:
        return 0
    return sum(
        refund.amount_minor
        for refund in refunds
        if refund.state in Refund.EXECUTED
        and (refund.accepted_at or refund.succeeded_at or taken) <= taken
    )


def _meetings(
    dispute: Dispute, refunds: Iterable[Refund], now: datetime, trace_id: str
) -> list[CaseWork]:
    gone, flying = [], []
    for refund in refunds:
        if refund.state in Refund.EXECUTED:
            gone.append(refund)
        elif refund.state in IN_FLIGHT:
            flying.append(refund)
    if not gone and not flying:
        return []
    total = Money(sum(r.amount_minor for r in (*gone, *flying)), dispute.currency)
    where = "was refunded already" if gone else "is on its way as a refund"
    title = f"{total} of {_charge(dispute)} {where}; {_noun(dispute)} {dispute.provider_ref} meets"
    lines = [_proof_line(dispute, refund) for refund in gone]
    lines += [
        Line(
            "refund",
            f"flying:{dispute.public_id}:{refund.public_id}",
            f"a refund of {refund.amount} is on its way while the {_noun(dispute)} stands: answer"
            " it with the refund's proof as soon as it is confirmed",
            refund.public_id,
        )
        for refund in flying
    ]
    return [CaseWork(_finding(dispute, MEETS, f"{title} it", now, trace_id), lines)]


def _settled(dispute: Dispute, is_out: bool) -> str:
    """Words of the end; "" while people still have something to do or to wait for."""
    if dispute.state not in Dispute.ENDED or (is_out and dispute.state != State.LOST):
        return ""
    return {
        State.WON: "the dispute is won and its money is back",
        State.LOST: "the dispute is lost; the books bear it",
        State.CLOSED: "the provider closed it without taking money",
    }[Dispute.State(dispute.state)]


def _keep_up(dispute: Dispute, case: Case, actor: Actor, now: datetime) -> None:
    """The provider's deadline is its clock; a dispute known by its money alone learns its name."""
    due = case_due(dispute, case.created_at)
    if due is not None and due != case.due_at:
        case.due_at = due
        reason = f"the provider's deadline is {dispute.evidence_due_at:%Y-%m-%d %H:%M} UTC"
        state.save(case, actor=actor, now=now, action="case.due_changed", reason=reason)
    title = finding_of(dispute, now).title
    if case.rule == RULE and case.title != title:
        case.title = title
        state.save(case, actor=actor, now=now, action="case.renamed", reason=title)


def _close(case: Case, words: str, actor: Actor, now: datetime) -> None:
    if case.state not in (Case.State.OPEN, Case.State.TRIAGED):
        return
    case.resolution = "dispute_ended"
    case.resolve(at=now)
    state.save(case, actor=actor, now=now, action="case.resolved", reason=words)
    line = Line("closed", f"ended:{now.isoformat()}", words, case.subject_id)
    cases.append(case, [line], actor=actor, now=now)


def _proof_line(dispute: Dispute, refund: Refund) -> Line:
    known = f" ({refund.provider_ref})" if refund.provider_ref else ""
    if dispute.state == State.INQUIRY:
        then = "show the bank this refund: it ends the inquiry before money is taken"
    elif dispute.state == State.LOST:
        then = "the dispute is lost: the customer was paid twice, recover it"
    else:
        then = "answer the dispute with this proof, or the customer is paid twice"
    text = f"refund of {refund.amount}{known} had been made; {then}"
    key = f"gone:{dispute.public_id}:{refund.public_id}:{dispute.state}"
    return Line("refund", key, text, refund.public_id)


def _early_warning(dispute: Dispute) -> list[Line]:
    """A refund still ends an inquiry, as long as the provider lets it."""
    if dispute.state != State.INQUIRY or dispute.refundable is False:
        return []
    until = dispute.evidence_due_at
    by = f" before {until:%Y-%m-%d %H:%M} UTC" if until else ""
    words = f"a refund{by} ends the inquiry without a chargeback and its fee"
    return [Line("warning", f"inquiry:{dispute.public_id}:{by}", words, dispute.payment.public_id)]


def _waiting(dispute: Dispute, refunds: Iterable[Refund]) -> list[Line]:
    if not dispute.blocks_refunds:
        return []
    return [
        Line(
            "refund",
            f"held:{dispute.public_id}:{refund.public_id}",
            f"the refund of {refund.amount} that waits cannot leave while the dispute stands",
            refund.public_id,
        )
        for refund in refunds
        if refund.state in Refund.UNSENT
    ]


def _finding(dispute: Dispute, rule: str, title: str, now: datetime, trace_id: str = "") -> Finding:
    """One case per dispute and rule for the dispute's whole life."""
    book = dispute.book
    day = clock.business_day(dispute.created_at, time_zone=book.time_zone)
    return Finding(
        book=book,
        rule=rule,
        fingerprint=dispute.public_id,
        period=clock.period_of(day),
        subject_id=dispute.public_id,
        title=title[:TITLE_CHARS_MAX],
        amount_minor=dispute.amount_minor,
        currency=dispute.currency,
        reporting_minor=rates.reporting_minor(dispute.amount, book, now),
        trace_id=trace_id,
    )


def _noun(dispute: Dispute) -> str:
    return "inquiry" if dispute.state == State.INQUIRY else "dispute"


def _charge(dispute: Dispute) -> str:
    payment = dispute.payment
    return f"charge {payment.merchant_ref or payment.provider_ref}"
