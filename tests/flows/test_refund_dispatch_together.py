"""Refunds begun and recorded together end as each would by itself (D14, RF-5, RF-7, I10)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from payops.core import clock, state
from payops.core.actors import service
from payops.core.callers import Landed
from payops.core.models import AuditEvent, Message
from payops.core.state import Change
from payops.flows.refunds import dispatch as refund_dispatch
from payops.flows.refunds import facts as refund_facts
from payops.flows.refunds.acts import locked
from payops.flows.refunds.dispatch import Answer, RefundCall
from payops.flows.refunds.facts import Said
from payops.payments import refundable
from payops.payments.models import Intent, Payment, Refund, RefundDecision
from payops.psp.calling import CallOutcome
from tests.flows.refund_life import balances
from tests.refund_asks import charges, counters, decision_of, granted, reload
from tests.refunds import ask

pytestmark = pytest.mark.django_db(transaction=True)
ACTOR = service("test")
DONE = ("refund.accepted", "refund.succeeded")


def rows_of(refunds: Sequence[Refund]) -> list[Message]:
    rows = {
        row.payload["refund_id"]: row for row in Message.objects.filter(topic="refund.dispatch")
    }
    return [rows[refund.public_id] for refund in refunds]


def begun(refunds: Sequence[Refund]) -> list[RefundCall]:
    calls = refund_dispatch.DISPATCH.begin(rows_of(refunds), clock.utc_now())
    assert all(isinstance(call, RefundCall) for call in calls), calls
    return [call for call in calls if isinstance(call, RefundCall)]


def landed(call: RefundCall, *reached: str, kind: str = "succeeded") -> Landed:
    now, succeeded = clock.utc_now(), kind == "succeeded"
    outcome = CallOutcome(
        kind=kind,  # type: ignore[arg-type]
        started_at=now,
        finished_at=now,
        provider_ref=f"re_{call.refund.pk.hex}" if succeeded else None,
        echo_amount=call.refund.amount,
        echo_reference=call.refund.public_id,
        status_code=200 if succeeded else 402,
        error_code=None if succeeded else "declined",
        reached=frozenset(reached),
    )
    return Landed(rows_of([call.refund])[0], call, Answer(outcome))


def trail(refund: Refund) -> list[tuple[str, str]]:
    """The changes of state that the audit trail has, in order."""
    rows = AuditEvent.objects.filter(subject_id=refund.public_id).order_by("pk")
    told = rows.values_list("from_state", "to_state")
    return [(before, after) for before, after in told if before and before != after]


def test_each_of_a_batch_has_its_own_outcome_and_one_audit_row_per_change_of_state() -> None:
    """I10: accepted and succeeded in one answer are two changes, and two rows."""
    refunds = [ask(payment, "30.00") for payment in charges(4)]
    calls = begun(refunds)

    refund_dispatch.DISPATCH.record(
        [
            landed(calls[0], *DONE),
            landed(calls[1], "refund.accepted"),
            landed(calls[2], kind="refused"),
            landed(calls[3], *DONE),
        ],
        clock.utc_now(),
    )

    left, accepted = ("APPROVED", "DISPATCHING"), ("DISPATCHING", "ACCEPTED")
    assert [trail(refund) for refund in refunds] == [
        [left, accepted, ("ACCEPTED", "SUCCEEDED")],
        [left, accepted],
        [left, ("DISPATCHING", "FAILED")],
        [left, accepted, ("ACCEPTED", "SUCCEEDED")],
    ]
    for refund in refunds:
        kept = [row.state for row in reload(refund).history.order_by("history_date", "pk")]
        assert kept == ["APPROVED", *(after for _, after in trail(refund))]
    assert [counters(refund.payment)[1:] for refund in refunds] == [
        (0, 3_000),
        (0, 3_000),
        (0, 0),
        (0, 3_000),
    ]
    by_subject = dict(Intent.objects.values_list("subject_id", "state"))
    assert [by_subject[refund.public_id] for refund in refunds] == [
        "SUCCEEDED",
        "SUCCEEDED",
        "REFUSED",
        "SUCCEEDED",
    ]
    assert sum(balances(*(refund.public_id for refund in refunds)).values()) == 0


def test_the_second_refund_of_a_payment_bears_what_the_first_has_left() -> None:
    """LJ-18: two of one payment in one batch share it as one after the other would."""
    payment = charges(1)[0]
    first = ask(payment, "30.00")
    second = granted(payment, "69.99")
    calls = begun([first, second])

    refund_dispatch.DISPATCH.record([landed(call, *DONE) for call in calls], clock.utc_now())

    shares = [reload(refund).shares for refund in (first, second)]
    assert [share["amount"] for share in shares] == [3_000, 6_999]
    assert all("surplus" not in share for share in shares)
    assert counters(payment) == (10_000, 0, 9_999)


def test_each_of_a_batch_is_looked_at_again_by_itself() -> None:
    """RF-16: one that may not leave any more is refused, and its neighbours leave."""
    refunds = [ask(payment, "30.00") for payment in charges(3)]
    seen = refund_facts.see_many

    def gone(asks: Sequence[tuple[Payment, Said]], **given: object) -> list[refund_facts.Seen]:
        found = seen(asks, **given)  # type: ignore[arg-type]
        for payment, _ in asks:
            if payment.pk == refunds[1].payment_id:
                payment.refunded_minor = 9_000
        return found

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(refund_facts, "see_many", gone)
        calls = refund_dispatch.DISPATCH.begin(rows_of(refunds), clock.utc_now())

    assert [isinstance(call, RefundCall) for call in calls] == [True, False, True]
    assert [reload(refund).state for refund in refunds] == ["DISPATCHING", "REFUSED", "DISPATCHING"]
    verdicts = [decision_of(refund, "send").verdict for refund in refunds]
    assert verdicts == ["auto", "refused", "auto"]
    assert RefundDecision.objects.filter(stage="send").count() == 3


def test_what_a_batch_asks_the_database_does_not_grow_with_it() -> None:
    """D14: begun and recorded by statements for all, not by some for each."""
    refunds_of_all = [ask(payment, "30.00") for payment in charges(14)]
    few, many = refunds_of_all[:2], refunds_of_all[2:]
    asked = []
    for refunds in (few, many):
        rows = rows_of(refunds)
        with CaptureQueriesContext(connection) as captured:
            calls = refund_dispatch.DISPATCH.begin(rows, clock.utc_now())
        told = [landed(call, *DONE) for call in calls if isinstance(call, RefundCall)]
        with CaptureQueriesContext(connection) as recorded:
            refund_dispatch.DISPATCH.record(told, clock.utc_now())
        asked.append((len(captured), len(recorded)))

    assert asked[1] <= asked[0], asked


def test_payments_counted_together_say_what_each_says_by_itself() -> None:
    refunds = [ask(payment, "30.00") for payment in charges(3)]
    payments = [refund.payment_id for refund in refunds]

    with transaction.atomic():
        for refund in refunds:
            locked(refund.pk)
        refundable.recount_many(payments)
        together = [counters(refund.payment) for refund in refunds]
        one_by_one = [refundable.recount(key) for key in payments]

    alone = [(each.captured_minor, each.reserved_minor, each.refunded_minor) for each in one_by_one]
    assert together == alone == [(10_000, 3_000, 0)] * 3


def test_items_of_one_payment_never_share_a_batch_and_keep_their_order() -> None:
    payments = [reload(ask(payment, "30.00")).payment_id for payment in charges(2)]
    a, b = payments
    items = [("1", a), ("2", b), ("3", a), ("4", a)]

    batches = list(refundable.one_by_payment(items, lambda item: item[1]))

    assert [[name for name, _ in batch] for batch in batches] == [["1", "2"], ["3"], ["4"]]


def test_rows_written_together_keep_words_and_evidence_of_their_own() -> None:
    """I10, AU-1: what one row is told never shows up on its neighbour."""
    first, second = (ask(payment, "30.00") for payment in charges(2))
    with transaction.atomic():
        rows = [locked(refund.pk) for refund in (first, second)]
        for row in rows:
            row.cancel(words="withdrawn")
        state.save_changes(
            [
                Change(rows[0], "refund.canceled", "by the first", {"of": "1"}, "trace-1"),
                Change(rows[1], "refund.withdrawn", "", {"of": "2"}),
            ],
            actor=ACTOR,
            now=clock.utc_now(),
        )
        refundable.recount_many(row.payment_id for row in rows)

    told = [AuditEvent.objects.get(subject_id=row.public_id, to_state="CANCELED") for row in rows]
    assert [(row.action, row.reason, row.evidence, row.trace_id) for row in told] == [
        ("refund.canceled", "by the first", {"of": "1"}, "trace-1"),
        ("refund.withdrawn", "", {"of": "2"}, ""),
    ]
    latest = [row.history.latest().history_change_reason for row in rows]
    assert latest == ["by the first", "refund.withdrawn"]


def test_a_row_is_written_once_in_one_go() -> None:
    refund = ask(charges(1)[0], "30.00")
    with transaction.atomic():
        row = locked(refund.pk)
        row.cancel(words="withdrawn")
        twice = [Change(row, "refund.canceled"), Change(row, "refund.canceled")]
        with pytest.raises(AssertionError, match="writes a row once"):
            state.save_changes(twice, actor=ACTOR, now=clock.utc_now())
    assert reload(refund).state == "APPROVED"
