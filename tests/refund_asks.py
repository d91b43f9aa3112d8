"""What a test does with refunds that were asked for: decide, carry, count; and many charges."""

from __future__ import annotations

import itertools
import time
from typing import Any

from payops.core import clock
from payops.core.models import Message
from payops.flows import approval_decided
from payops.payments.models import Payment, Refund, RefundDecision
from tests import builders
from tests.builders import approval_of, approve_all, drain
from tests.refunds import ask

_numbers = itertools.count(1)


def charge(amount_minor: int = 10_000, **captured: Any) -> Payment:
    """A captured payment; `captured` as `builders.capture` takes it."""
    return the_payment(builders.capture(amount_minor, **captured)["data"]["id"])


def charges(count: int, amount_minor: int = 10_000) -> list[Payment]:
    """Many captured payments, delivered first and processed together."""
    references = []
    for _ in range(count):
        number = next(_numbers)
        said = {
            "id": f"spm_many_{number}_{time.time_ns()}",
            "object": "payment",
            "reference": f"MANY-{number}",
            "amount": amount_minor,
            "currency": "EUR",
            "status": "captured",
            "fee": 0,
            "platform_fee": 0,
            "seller": "S-1001",
            "method": "card",
            "created": int(time.time()),
        }
        assert builders.post_standard(builders.standard_event("payment.captured", said)) == 200
        references.append(said["id"])
    drain()
    return [the_payment(reference) for reference in references]


def the_payment(provider_ref: str) -> Payment:
    whole = Payment.objects.select_related("book", "account", "beneficiary")
    return whole.get(provider_ref=provider_ref)


def granted(payment: Payment, amount: str = "60.00", **more: Any) -> Refund:
    """Asked for and approved by everybody whose seat it needs; the decision is carried."""
    refund = ask(payment, amount, **more)
    assert refund.state == "AWAITING_APPROVAL", refund.refusal
    approve_all(approval_of(refund.approval_id))
    carry_decisions()
    return reload(refund)


def carry_decisions() -> None:
    """Only what was decided is carried; nothing is sent to a provider, as `drain` would."""
    waiting = Message.objects.filter(topic="approval.decided", state=Message.State.PENDING)
    for message in waiting.order_by("created_at"):
        approval_decided.carry([message], clock.utc_now())


def reload(refund: Refund) -> Refund:
    return Refund.objects.select_related("payment", "account", "book").get(pk=refund.pk)


def decision_of(refund: Refund, stage: str = "request") -> RefundDecision:
    return RefundDecision.objects.get(refund=refund, stage=stage)


def counters(payment: Payment) -> tuple[int, int, int]:
    """(captured, reserved, refunded) as they stand now."""
    return Payment.objects.values_list("captured_minor", "reserved_minor", "refunded_minor").get(
        pk=payment.pk
    )


def dispatches(refund: Refund) -> int:
    """How often it was handed over to be sent."""
    return Message.objects.filter(
        topic="refund.dispatch", payload__refund_id=refund.public_id
    ).count()


def failed_checks(refund: Refund, stage: str = "request") -> dict[str, str]:
    """Of its decision: what did not pass, and its words."""
    checks = decision_of(refund, stage).checks
    return {check["check"]: check["words"] for check in checks if not check["passed"]}
