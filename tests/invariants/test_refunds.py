"""I6 and I7 of refunds: they hold for real requests, and name a break made on purpose (RF-10)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from payops.commands.invariants.base import Finding, Moment, Movement
from payops.commands.invariants.table import check_all
from payops.core import clock, ids, state
from payops.core.actors import service
from payops.core.models import ProviderAccount
from payops.payments.models import Beneficiary, Payment, Refund
from tests.audit.story import break_rule, seal_all
from tests.refunds import ask

pytestmark = pytest.mark.usefixtures("owners_world")


def check(key: str, *movements: Movement) -> Finding:
    seal_all()
    now = clock.utc_now()
    moment = Moment(now=now, movements=movements or None, movements_at=now)
    return check_all(moment, only=[key])[key]


@pytest.fixture
def payment(owners_world: None) -> Payment:
    """Written as a row: the edge has connections of its own, outside this transaction."""
    now = clock.utc_now()
    account = ProviderAccount.objects.select_related("book").get(provider="standard", slug="demo")
    row = Payment(
        book=account.book,
        account=account,
        beneficiary=Beneficiary.objects.get(reference="S-1001"),
        state=Payment.State.CAPTURED,
        provider_ref="spm_invariants",
        merchant_ref="ORDER-1",
        amount_minor=10_000,
        captured_minor=10_000,
        currency="EUR",
        captured_at=now,
        created_at=now,
    )
    state.save(row, actor=service("tests"), now=now, action="payment.recorded")
    return Payment.objects.select_related("book", "account", "beneficiary").get(pk=row.pk)


def in_console(reference: str = "re_elsewhere", *, minutes_ago: int = 5) -> Movement:
    """A refund that somebody made in the provider's console."""
    return Movement(
        provider="standard",
        kind="refund",
        object_id=reference,
        reference="",
        amount_minor=3_000,
        currency="EUR",
        idempotency_key="",
        at=clock.utc_now() - timedelta(minutes=minutes_ago),
    )


def test_refunds_that_were_asked_for_hold_i6_and_i7(payment: Payment) -> None:
    ask(payment, "30.00")
    ask(payment, "70.01")

    capped = check("I6")

    assert (capped.checked, capped.breaks) == (2, [])
    assert check("I7").breaks == []
    assert sorted(Refund.objects.values_list("state", flat=True)) == ["APPROVED", "REFUSED"]


def test_i6_names_counters_that_are_not_what_the_refunds_say(payment: Payment) -> None:
    ask(payment, "30.00")
    break_rule(
        "payments_payment",
        "UPDATE payments_payment SET reserved_minor = 0 WHERE id = %s",
        [payment.pk],
    )

    assert check("I6").breaks == [
        f"payment {payment.public_id} counts 0 reserved and 0 refunded, its refunds say 3000 and 0"
    ]


def test_i6_names_refunds_beyond_the_capture(payment: Payment) -> None:
    refund = ask(payment, "30.00")
    break_rule(
        "payments_refund",
        "UPDATE payments_refund SET amount_minor = 10001, state = 'SUCCEEDED' WHERE id = %s",
        [refund.pk],
    )

    breaks = check("I6").breaks

    assert breaks[0] == (
        f"payment {payment.public_id} captured 10000, its refunds here reserve and executed 10001"
    )
    assert len(breaks) == 2


def test_i6_names_a_counter_without_any_refund(payment: Payment) -> None:
    break_rule(
        "payments_payment",
        "UPDATE payments_payment SET refunded_minor = 1 WHERE id = %s",
        [payment.pk],
    )

    assert check("I6").breaks == [f"payment {payment.public_id} counts refunds and has none"]


def test_i6_names_a_refund_in_another_currency_and_one_nobody_decided(payment: Payment) -> None:
    refund = ask(payment, "30.00")
    break_rule(
        "payments_refund", "UPDATE payments_refund SET currency = 'USD' WHERE id = %s", [refund.pk]
    )
    break_rule(
        "payments_refunddecision",
        "DELETE FROM payments_refunddecision WHERE refund_id = %s",
        [refund.pk],
    )

    assert check("I6").breaks == [
        f"refund {refund.public_id} of 3000 USD has another currency, account or book than its"
        " payment",
        f"refund {refund.public_id} (APPROVED) left, and no decision says why",
    ]


def test_i7_names_an_intent_of_a_refund_that_nobody_granted(payment: Payment) -> None:
    refund = ask(payment, "30.00")
    break_rule(
        "payments_intent",
        "INSERT INTO payments_intent (id, created_at, book_id, account_id, kind, subject_id,"
        " approval_id, idempotency_key, request_hash, state, fence, provider_ref, outcome)"
        " VALUES (%s, now(), %s, %s, 'refund', %s, '', 'payops-x', '', 'APPROVED', 0, '', '')",
        [ids.uuid7(), payment.book_id, payment.account_id, refund.public_id],
    )
    assert check("I7").breaks == []  # the rule of the policy granted it
    break_rule(
        "payments_refunddecision",
        "UPDATE payments_refunddecision SET verdict = 'refused' WHERE refund_id = %s",
        [refund.pk],
    )

    breaks = check("I7").breaks

    assert len(breaks) == 1
    assert breaks[0].endswith(f"for {refund.public_id} has no granted approval of its subject")


def test_i7_names_a_refund_sent_without_an_intent_and_one_in_the_console_nobody_recorded(
    payment: Payment,
) -> None:
    """F4: what the provider's console refunded has to be found; for a moment it may be underway."""
    ours = Movement(
        provider="standard",
        kind="refund",
        object_id="re_ours",
        reference=ask(payment, "30.00").public_id,
        amount_minor=3_000,
        currency="EUR",
        idempotency_key="payops-forged",
        at=clock.utc_now(),
    )

    assert check("I7", ours, in_console(), in_console("re_new", minutes_ago=0)).breaks == [
        f"re_ours moved money for {ours.reference} without an intent",
        "re_elsewhere moved money for nobody without an intent",
    ]
