"""Refunds and disputes of the demo company in every lasting state, reached through the stack.

Every row came the way a real one comes: asked for by a person, decided by rule or by others, sent
to the simulator, told by its signed webhooks. DISPATCHING is passed through and never stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from payops.core import clock
from payops.core.money import Money
from payops.devstack.seed import acts
from payops.devstack.seed.provider import Provider, wait_until
from payops.flows.refunds import acts as refund_acts
from payops.payments.models import Dispute, Payment, Refund

PREFIX = "SHOP-"
SELLERS = ("S-1001", "S-1003", "S-1005", "S-1008")
State = Refund.State


@dataclass(frozen=True, slots=True)
class Story:
    """One charge and what becomes of it; `then` goes on after its refund was asked for."""

    charge: str
    captured: str
    provider: str
    refund: str
    reason: str
    evidence: Mapping[str, str] = field(default_factory=dict)
    then: Callable[[Provider, Refund], None] | None = None

    @property
    def reference(self) -> str:
        return PREFIX + self.charge


def seed_refunds(say: Callable[[str], None]) -> None:
    """Running it again changes nothing: charges and requests are found by their references."""
    if Dispute.objects.filter(payment__merchant_ref=PREFIX + DISPUTED[-1]).exists():
        say("the refunds are there already")
        return
    provider = Provider()
    _charges(provider)
    for story in STORIES:
        payment = payment_of(story.reference)
        if payment.refunds.exists():
            continue
        refund = acts.ask_refund(
            payment=payment,
            amount=Money.from_decimal(story.refund, "EUR"),
            reason_code=story.reason,
            evidence=story.evidence,
        )
        if story.then is not None:
            story.then(provider, refund)
    _in_the_console(provider)
    for reference in DISPUTED:
        _dispute(provider, PREFIX + reference)
    states = sorted(set(Refund.objects.values_list("state", flat=True)))
    say(f"{Refund.objects.count()} refunds: {', '.join(states)}")
    say(f"{Dispute.objects.count()} disputes")


def payment_of(reference: str) -> Payment:
    whole = Payment.objects.select_related("account", "book", "beneficiary")
    return whole.get(merchant_ref=reference)


def _charges(provider: Provider) -> None:
    wanted = {story.reference: (story.captured, story.provider) for story in STORIES}
    wanted |= {PREFIX + name: ("89.00", "stripe") for name in (*DISPUTED, IN_CONSOLE)}
    known = set(
        Payment.objects.filter(merchant_ref__in=wanted).values_list("merchant_ref", flat=True)
    )
    for number, (reference, (amount, name)) in enumerate(wanted.items()):
        if reference in known:
            continue
        minor = Money.from_decimal(amount, "EUR").minor
        provider.tell(
            "/payments",
            provider=name,
            reference=reference,
            seller=SELLERS[number % len(SELLERS)],
            amount=minor,
            currency="EUR",
            fee=minor * 29 // 1000,
            platform_fee=minor // 10,
            method="card",
        )
    wait_until(
        lambda: (
            Payment.objects.filter(merchant_ref__in=wanted, state="CAPTURED").count() == len(wanted)
        ),
        "every charge captured",
    )


def _reach(refund: Refund, *states: str) -> None:
    wait_until(
        lambda: Refund.objects.values_list("state", flat=True).get(pk=refund.pk) in states,
        f"the refund of {refund.payment.merchant_ref} {states[0]}",
    )


def _succeeded(provider: Provider, refund: Refund) -> None:
    _reach(refund, State.SUCCEEDED, State.ACCEPTED)


def _granted(provider: Provider, refund: Refund) -> None:
    acts.approve(refund.approval_id)
    _succeeded(provider, refund)


def _half_granted(provider: Provider, refund: Refund) -> None:
    acts.approve(refund.approval_id, only="finance_manager")


def _to_be_sent(provider: Provider, refund: Refund) -> None:
    acts.approve(refund.approval_id)
    _reach(refund, State.APPROVED)


def _failed_late(provider: Provider, refund: Refund) -> None:
    _succeeded(provider, refund)
    provider.tell(f"/refunds/{refund.public_id}/fail", reason="expired_or_canceled_card")
    _reach(refund, State.FAILED_LATE, State.RETURNED, State.FAILED)


def _canceled(provider: Provider, refund: Refund) -> None:
    refund_acts.cancel(
        refund_id=refund.pk,
        reason="the customer keeps the goods",
        actor=acts.actor_of("amara"),
        now=clock.utc_now(),
    )


def _in_the_console(provider: Provider) -> None:
    payment = payment_of(PREFIX + IN_CONSOLE)
    if not payment.refunds.exists():
        provider.tell(f"/payments/{payment.merchant_ref}/refund", amount=2_500)
        wait_until(payment.refunds.exists, "the refund made in the provider's console")


def _dispute(provider: Provider, reference: str) -> None:
    payment = payment_of(reference)
    if payment.disputes.exists():
        return
    said = {"inquiry": True} if reference.endswith("INQUIRY") else {"reason": "fraudulent"}
    provider.tell(f"/payments/{reference}/dispute", **said)
    wait_until(payment.disputes.exists, f"the dispute of {reference}")


RETURNED = {"return_tracking": "DHL 00340434161094042557"}
ORDER = {"order_reference": "see the shop's order page"}
AGREED = {"agreement": "mail of the seller"}
NOT_RECEIVED = {**ORDER, "carrier_status": "lost in the depot"}
STORIES = (
    Story("7001", "42.50", "standard", "42.50", "order_canceled", ORDER, _succeeded),
    Story("7002", "129.00", "stripe", "30.00", "item_returned", RETURNED, _succeeded),
    Story("7003", "310.00", "stripe", "310.00", "item_returned", RETURNED, _granted),
    Story("7004", "75.00", "paypal", "20.00", "item_returned", RETURNED, _succeeded),
    Story("7005", "64.00", "adyen", "32.00", "item_returned", RETURNED, _succeeded),
    Story("7006", "480.00", "stripe", "240.00", "item_not_received", NOT_RECEIVED),
    Story("7007", "9200.00", "standard", "7400.00", "duplicate_charge", {"other_payment": "x"}),
    Story("7008", "55.00", "standard", "60.00", "order_canceled", ORDER),
    Story("7009", "99.00", "stripe", "45.00", "item_returned", RETURNED, _failed_late),
    Story(
        "7010", "88.00", "standard", "66.00", "price_adjustment", {"agreement": "mail"}, _canceled
    ),
    Story("7011", "6900.00", "stripe", "5600.00", "item_returned", RETURNED, _to_be_sent),
    Story("7012", "7300.00", "stripe", "6100.00", "item_returned", RETURNED, _half_granted),
)
IN_CONSOLE = "7020"
DISPUTED = ("7021-INQUIRY", "7022")
