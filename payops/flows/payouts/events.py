"""Payout events from providers: paid, failed, returned, in any order, any number of times.

What is known is kept as facts (`paid_at`, `failed_at`, `money_back_at`), so that every order of
the same events ends in the same state and the same balances. A failure opens one case; the
accounting of money that already moved does not wait for its decision. A fact whose event never
came may be taken from the provider's own state. Serves PX-1 to PX-4, PX-15, WH-10, WH-11, WH-15,
D8, F29, F31.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from uuid import UUID

from django.db.models import Q

from payops.cases import services as cases
from payops.cases.models import Case
from payops.cases.services import Finding, Line
from payops.core import clock, ids, rates, state
from payops.core.messages import News
from payops.core.queues import StructuralMismatch
from payops.flows import intents
from payops.flows.batch import Batch, CaseWork, EventWork
from payops.flows.payouts import postings as payout_postings
from payops.flows.payouts.exception_plan import finding_of
from payops.payments.models import Payout

State = Payout.State
RULE = "payout_failure"
NO_CODE = "returned"
NOTHING: frozenset[str] = frozenset()
AFTER_PAID = ("payout.failed", "payout.returned")


def find(works: Sequence[EventWork]) -> dict[UUID, Payout]:
    """The payout of each event (by event key): our reference, then the provider's, then ours."""
    wanted = [work for work in works if work.said.kind.startswith("payout.")]
    if not wanted:
        return {}
    keys = [_our_key(work) for work in wanted]
    provider_refs = [work.said.provider_ref for work in wanted if work.said.provider_ref]
    merchant_refs = [work.said.merchant_ref for work in wanted if work.said.merchant_ref]
    known = Payout.objects.filter(
        Q(pk__in=[key for key in keys if key])
        | Q(provider_ref__in=provider_refs)
        | Q(merchant_ref__in=merchant_refs),
        account_id__in={work.account.pk for work in wanted},
    )
    found = {}
    for work in wanted:
        payout = _match(work, known)
        if payout is not None:
            found[work.event.pk] = payout
    return found


def apply(batch: Batch, work: EventWork, proved: frozenset[str] = NOTHING) -> None:
    """`proved`: kinds the provider's own state proves, asked after the event waited too long."""
    key = batch.payout_keys.get(work.event.pk)
    if key is None:
        own = work.said.our_ref or work.said.merchant_ref
        words = f"waits for payout {work.said.provider_ref} to be known here"
        work.park(
            payout_known(work.account.address, work.said.provider_ref),
            f"{words} (reference {own})" if own else words,
        )
        return
    payout = batch.payouts[key]
    if _differs(batch, work, payout):
        return
    _learn_provider_ref(batch, work, payout)
    lost = work.said.kind in AFTER_PAID and "payout.paid" in proved and payout.paid_at is None
    if lost and payout.state in (State.IN_TRANSIT, State.EXCEPTION, State.FAILED):
        _record_paid(batch, work, payout)
    HANDLERS[work.said.kind](batch, work, payout)
    if lost and payout.paid_at is not None:
        _tell_lost_paid(batch, work, payout)


def payout_known(address: str, provider_ref: str) -> str:
    return f"payout:{address}:{provider_ref}"


def paid_seen(payout: Payout) -> str:
    return f"{payout.public_id}:paid"


def _accepted(batch: Batch, work: EventWork, payout: Payout) -> None:
    if payout.state == State.IN_TRANSIT and payout.provider_ref == work.said.provider_ref:
        work.done("the provider has the payout", payout.public_id)
    else:
        work.ignore(f"older news: the payout is {payout.state}", payout.public_id)


def _paid(batch: Batch, work: EventWork, payout: Payout) -> None:
    if payout.paid_at is not None:
        work.ignore("the payout is known to be paid", payout.public_id)
        return
    _record_paid(batch, work, payout)
    work.done("payout paid", payout.public_id)


def _record_paid(batch: Batch, work: EventWork, payout: Payout) -> None:
    if payout.state == State.IN_TRANSIT:
        payout.pay(at=work.occurred_at)
        payout.trace_reference = work.said.trace_ref or payout.trace_reference
        _save(batch, work, payout, "payout.paid")
        batch.postings.append(payout_postings.paid(payout, work.refs(), work.occurred_at))
    elif payout.state == State.EXCEPTION:
        _paid_after_failure(batch, work, payout)
    elif payout.state == State.FAILED:
        _paid_after_decision(batch, work, payout)
    else:
        raise _impossible(work, payout)
    batch.released.append((payout.book, paid_seen(payout)))
    if payout.reissue_of_id is not None:
        batch.news.append(
            News(
                payout.book,
                "payout.reissue_paid",
                payout.public_id,
                {"payout_id": payout.public_id},
                work.event.trace_id,
            )
        )


def _tell_lost_paid(batch: Batch, work: EventWork, payout: Payout) -> None:
    text = "its paid event never came; the provider's own state proves that it was paid"
    key = f"lost-paid:{work.event.public_id}"
    _case_line(batch, work, payout, Line("proved", key, text, work.event.public_id))


def _paid_after_failure(batch: Batch, work: EventWork, payout: Payout) -> None:
    """The older `paid` arrives while the case is open: the failure turns out to be a late one."""
    payout.paid_at = work.occurred_at
    payout.exception_from = State.PAID
    if payout.failure_movement_ref:
        payout.money_back_at = payout.failed_at
    _save(batch, work, payout, "payout.late_paid_recorded")
    batch.postings.append(payout_postings.paid(payout, work.refs(), work.occurred_at))
    if payout.money_back_at is not None:
        batch.postings.append(
            payout_postings.money_back(payout, work.refs(), work.occurred_at, decided=False)
        )
    batch.voids.append((payout, "an older paid event changed what would be posted"))
    _to_case(batch, work, payout, "the provider had paid it before it failed: a late failure")


def _paid_after_decision(batch: Batch, work: EventWork, payout: Payout) -> None:
    payout.reclassify_returned(at=work.occurred_at)
    money_back = bool(payout.failure_movement_ref) and payout.money_back_at is None
    if money_back:
        payout.money_back_at = payout.failed_at
    _save(batch, work, payout, "payout.reclassified_returned")
    at = work.occurred_at
    batch.postings.append(payout_postings.paid(payout, work.refs(), at))
    batch.postings.append(payout_postings.reclassified(payout, work.refs(), at))
    if money_back:
        batch.postings.append(payout_postings.money_back(payout, work.refs(), at, decided=True))
    _to_case(batch, work, payout, "an older paid event arrived after the decision: reclassified")


def _failed(batch: Batch, work: EventWork, payout: Payout) -> None:
    if payout.failed_at is not None and payout.state != State.PAID:
        if payout.failure_code == NO_CODE and work.said.failure_code:
            _learn_cause(batch, work, payout)
        _to_case(batch, work, payout, f"the failure was told again: {work.said.raw_type}")
        work.done("the payout's failure is known; added to its case", payout.public_id)
        return
    if payout.state not in (State.IN_TRANSIT, State.PAID):
        raise _impossible(work, payout)
    was_paid = payout.state == State.PAID
    payout.fall_into_exception(
        at=work.occurred_at,
        code=work.said.failure_code or "",
        message=(work.said.failure_message or "")[:240],
        movement_ref=work.said.failure_movement_ref or "",
    )
    if was_paid and payout.failure_movement_ref:
        payout.money_back_at = work.occurred_at
        batch.postings.append(
            payout_postings.money_back(payout, work.refs(), work.occurred_at, decided=False)
        )
    _save(batch, work, payout, "payout.failed")
    words = "failed after it was paid" if was_paid else "failed before it was paid"
    _to_case(batch, work, payout, f"{work.said.raw_type}: the payout {words}")
    work.done(f"payout {words}", payout.public_id)


def _returned(batch: Batch, work: EventWork, payout: Payout) -> None:
    if payout.paid_at is None:
        work.park(
            paid_seen(payout),
            f"waits for the paid event of payout {payout.merchant_ref}: its money came back",
            payout.public_id,
        )
        return
    if payout.money_back_at is not None:
        _to_case(batch, work, payout, "the return was told again; the money is booked already")
        work.done("the return is booked already", payout.public_id)
        return
    if payout.state not in (State.PAID, State.EXCEPTION, State.RETURNED):
        raise _impossible(work, payout)
    decided = payout.state == State.RETURNED
    if payout.state == State.PAID:
        payout.fall_into_exception(
            at=work.occurred_at,
            code=work.said.failure_code or NO_CODE,
            message=(work.said.failure_message or "the money came back")[:240],
            movement_ref="",
        )
    payout.money_back_at = work.occurred_at
    batch.postings.append(
        payout_postings.money_back(payout, work.refs(), work.occurred_at, decided=decided)
    )
    _save(batch, work, payout, "payout.money_back")
    if not decided:
        batch.voids.append((payout, "the money came back and changed what would be posted"))
    _to_case(batch, work, payout, f"{work.said.raw_type}: the money is back")
    work.done("money back recorded", payout.public_id)


def _canceled(batch: Batch, work: EventWork, payout: Payout) -> None:
    if payout.state == State.CANCELED:
        work.ignore("the payout is CANCELED already", payout.public_id)
        return
    if payout.state != State.IN_TRANSIT:
        raise _impossible(work, payout)
    payout.cancel(reason="canceled at the provider")
    _save(batch, work, payout, "payout.canceled")
    batch.postings.append(payout_postings.canceled(payout, work.refs(), work.occurred_at))
    work.done("payout canceled", payout.public_id)


HANDLERS: dict[str, Callable[[Batch, EventWork, Payout], None]] = {
    "payout.initiated": _accepted,
    "payout.in_transit": _accepted,
    "payout.paid": _paid,
    "payout.failed": _failed,
    "payout.returned": _returned,
    "payout.canceled": _canceled,
}


def _learn_provider_ref(batch: Batch, work: EventWork, payout: Payout) -> None:
    """An event is also proof that a call of unknown outcome went through (F5)."""
    if payout.state not in (State.DISPATCHING, State.UNKNOWN):
        return
    payout.accept(provider_ref=work.said.provider_ref)
    _save(batch, work, payout, "payout.accepted")
    known = payout_known(work.account.address, payout.provider_ref)
    batch.released.append((payout.book, known))
    intents.confirm(
        payout,
        kind=intents.KIND_PAYOUT,
        provider_ref=payout.provider_ref,
        actor=batch.actor,
        now=batch.now,
        trace_id=work.event.trace_id,
    )


def _learn_cause(batch: Batch, work: EventWork, payout: Payout) -> None:
    """The return came before the failure that caused it: the code counts as if told first."""
    payout.failure_code = work.said.failure_code or ""
    payout.failure_message = (work.said.failure_message or "")[:240]
    _save(batch, work, payout, "payout.cause_learned")
    batch.voids.append((payout, "the provider named the cause of the failure"))


def _differs(batch: Batch, work: EventWork, payout: Payout) -> bool:
    """Another amount or movement than ours is a case, never a success; nothing is applied."""
    said, ref = work.said.amount, work.said.provider_ref
    if payout.provider_ref and ref != payout.provider_ref:
        words = (
            f"the event is about {ref}, payout {payout.merchant_ref} is {payout.provider_ref} there"
        )
    elif said is not None and said != payout.amount:
        words = f"the event says {said}, payout {payout.merchant_ref} is {payout.amount}"
    else:
        return False
    finding = Finding(
        book=payout.book,
        rule="provider_mismatch",
        fingerprint=payout.public_id,
        period=_period(payout, work),
        subject_id=payout.public_id,
        title=words,
        amount_minor=payout.amount_minor,
        currency=payout.currency,
        reporting_minor=rates.reporting_minor(payout.amount, payout.book, batch.now),
        trace_id=work.event.trace_id,
    )
    batch.case_works.append(CaseWork(finding, [work.line("mismatch", words)]))
    work.done(f"not applied: {words}", payout.public_id)
    return True


def _to_case(batch: Batch, work: EventWork, payout: Payout, text: str) -> None:
    _case_line(batch, work, payout, work.line("event", text))


def _case_line(batch: Batch, work: EventWork, payout: Payout, line: Line) -> None:
    if payout.state in (State.EXCEPTION, State.PAID):
        batch.case_works.append(
            CaseWork(finding_of(payout, batch.now, work.event.trace_id), [line], payout)
        )
        return
    case = Case.objects.filter(subject_id=payout.public_id, rule=RULE).order_by("-created_at")
    found = case.first()
    if found is not None:
        _append_line(batch, found, line)


def _append_line(batch: Batch, case: Case, line: Line) -> None:
    cases.append(case, [line], actor=batch.actor, now=batch.now)


def _period(payout: Payout, work: EventWork) -> str:
    first = payout.failed_at or work.occurred_at
    return clock.period_of(clock.business_day(first, time_zone=payout.book.time_zone))


def _save(batch: Batch, work: EventWork, payout: Payout, action: str) -> None:
    state.save(
        payout,
        actor=batch.actor,
        now=batch.now,
        action=action,
        reason=f"{work.said.raw_type} {work.event.provider_event_id}",
        evidence={"event_id": work.event.public_id},
        trace_id=work.event.trace_id,
    )


def _impossible(work: EventWork, payout: Payout) -> StructuralMismatch:
    return StructuralMismatch(
        f"{work.said.raw_type} is not possible for payout {payout.public_id} in {payout.state}"
    )


def _our_key(work: EventWork) -> UUID | None:
    try:
        return ids.parse(work.said.our_ref or "", "po")[1]
    except ids.UnknownId:
        return None


def _match(work: EventWork, known: Iterable[Payout]) -> Payout | None:
    own, key = [p for p in known if p.account_id == work.account.pk], _our_key(work)
    for fits in (
        lambda p: p.pk == key,
        lambda p: p.provider_ref and p.provider_ref == work.said.provider_ref,
        lambda p: p.merchant_ref == work.said.merchant_ref and p.state not in ("DRAFT",),
    ):
        found = [payout for payout in own if fits(payout)]
        if len(found) == 1:
            return found[0]
    return None
