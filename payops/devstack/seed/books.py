"""Payments and payouts in every lasting state, reached through the running stack.

Every row came the way a real one comes: asked for, approved, gated, submitted to the simulator,
told by its signed webhooks. DRAFT and DISPATCHING are passed through and never stay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from payops.cases.models import Case
from payops.core import clock
from payops.core.money import Money
from payops.devstack.seed import acts
from payops.devstack.seed.provider import Provider, wait_until
from payops.flows import holds
from payops.flows.payouts import request as payout_flow
from payops.payments.models import Payment, Payout

DONE_MARK = "P-10497"
METHODS = ("card", "sepa_debit", "card", "ideal", "paypal")
PAYPAL_METHODS = ("paypal", "card")
QUICK_S, USUAL_S = 0.05, 1.0
State = Payout.State


@dataclass(frozen=True, slots=True)
class Wanted:
    """One payout to bring into a state; `reach` does what is left after it was asked for."""

    merchant_ref: str
    amount: str
    seller: str
    provider: str
    reach: Callable[[Provider, Payout], None]
    currency: str = "EUR"
    slug: str = "demo"

    @property
    def money(self) -> Money:
        return Money.from_decimal(self.amount, self.currency)


def seed_books(say: Callable[[str], None]) -> None:
    """Bring the demo company's books to life; running it again changes nothing."""
    if Payout.objects.filter(merchant_ref=DONE_MARK).exists():
        say("the books are there already")
        return
    provider = Provider()
    provider.tell("/timing", settle_s=QUICK_S)
    _payments(provider)
    say(f"{Payment.objects.count()} payments captured")
    for wanted in WANTED:
        if Payout.objects.filter(merchant_ref=wanted.merchant_ref).exists():
            continue
        payout = acts.ask_payout(
            merchant_ref=wanted.merchant_ref,
            amount=wanted.money,
            seller=wanted.seller,
            provider=wanted.provider,
            slug=wanted.slug,
        )
        wanted.reach(provider, payout)
    provider.tell("/timing", settle_s=USUAL_S)
    states = sorted(set(Payout.objects.values_list("state", flat=True)))
    say(f"{Payout.objects.count()} payouts: {', '.join(states)}")


def state_of(payout: Payout) -> str:
    return Payout.objects.values_list("state", flat=True).get(pk=payout.pk)


def _payments(provider: Provider) -> None:
    """Each seller sells enough for the payouts below."""
    number = 0
    if Payment.objects.exists():
        return
    for wanted in WANTED:
        number += 1
        amount, paid_at = wanted.money.minor * 5 // 4, _paid_at(wanted, number)
        provider.tell(
            "/payments",
            provider=paid_at,
            reference=f"ORDER-{2000 + number}",
            seller=wanted.seller,
            amount=amount,
            currency=wanted.currency,
            fee=amount * 29 // 1000,
            platform_fee=amount // 10,
            method=method_of(paid_at, number),
        )
    wait_until(lambda: Payment.objects.count() >= number, "all payments captured")


def method_of(provider: str, number: int) -> str:
    """Every way to pay that the provider has, in turn."""
    methods = PAYPAL_METHODS if provider == "paypal" else METHODS
    return methods[number // 2 % len(methods)]


def _paid_at(wanted: Wanted, number: int) -> str:
    """Buyers pay at the provider their seller is paid out by, or at the two elder ones in turn."""
    if wanted.provider in ("adyen", "paypal"):
        return wanted.provider
    return "standard" if number % 2 else "stripe"


def _awaiting(provider: Provider, payout: Payout) -> None:
    """Nobody has decided yet."""


def _half_approved(provider: Provider, payout: Payout) -> None:
    acts.approve(payout.approval_id, only="finance_manager")


def _approved(provider: Provider, payout: Payout) -> None:
    acts.approve(payout.approval_id)
    wait_until(lambda: state_of(payout) == State.APPROVED, f"{payout.merchant_ref} approved")


def _paid(provider: Provider, payout: Payout) -> None:
    acts.approve(payout.approval_id)
    wait_until(lambda: state_of(payout) == State.PAID, f"{payout.merchant_ref} paid")


def _in_transit(provider: Provider, payout: Payout) -> None:
    provider.tell("/timing", by_hand=True)
    acts.approve(payout.approval_id)
    wait_until(lambda: state_of(payout) == State.IN_TRANSIT, f"{payout.merchant_ref} in transit")
    provider.tell("/timing", settle_s=QUICK_S)


def _unknown(provider: Provider, payout: Payout) -> None:
    match = {"provider": payout.account.provider, "reference": payout.public_id}
    for operation in ("payout.create", "payout.list", "payout.get"):
        provider.tell("/faults", match={**match, "operation": operation}, fault="503", times=10_000)
    acts.approve(payout.approval_id)
    wait_until(lambda: state_of(payout) == State.UNKNOWN, f"{payout.merchant_ref} unknown")


def _blocked(provider: Provider, payout: Payout) -> None:
    holds.place(
        target_id=payout.beneficiary.public_id,
        reason="invoice dispute with the seller, see ticket",
        actor=acts.actor_of("chen"),
        now=clock.utc_now(),
    )
    acts.approve(payout.approval_id)
    wait_until(lambda: state_of(payout) == State.BLOCKED, f"{payout.merchant_ref} blocked")


def _canceled(provider: Provider, payout: Payout) -> None:
    payout_flow.cancel(
        payout_id=payout.pk,
        reason="asked for twice",
        actor=acts.actor_of("amara"),
        now=clock.utc_now(),
    )


def _late_failure(provider: Provider, payout: Payout) -> None:
    _paid(provider, payout)
    _fail(provider, payout, "account_closed")


def _returned(provider: Provider, payout: Payout) -> None:
    _paid(provider, payout)
    case = _fail(provider, payout, "could_not_process")
    acts.resolve(case, "release", "the seller prefers the next ordinary payout")
    wait_until(lambda: state_of(payout) == State.RETURNED, f"{payout.merchant_ref} returned")
    provider.on_payout(payout.public_id, "reverse")


def _failed(provider: Provider, payout: Payout) -> None:
    provider.tell("/timing", by_hand=True)
    acts.approve(payout.approval_id)
    wait_until(lambda: state_of(payout) == State.IN_TRANSIT, f"{payout.merchant_ref} in transit")
    case = _fail(provider, payout, "insufficient_funds")
    provider.tell("/timing", settle_s=QUICK_S)
    acts.resolve(case, "hold", "waiting for the top-up")
    wait_until(lambda: state_of(payout) == State.FAILED, f"{payout.merchant_ref} failed")


def _fail(provider: Provider, payout: Payout, code: str) -> Case:
    provider.on_payout(payout.public_id, "fail", failure_code=code)
    wait_until(
        lambda: Case.objects.filter(subject_id=payout.public_id).exists(),
        f"a case for {payout.merchant_ref}",
    )
    return Case.objects.get(subject_id=payout.public_id)


WANTED = (
    Wanted("P-10470", "1250.00", "S-1001", "stripe", _paid),
    Wanted("P-10471", "3980.00", "S-1002", "stripe", _paid),
    Wanted("P-10473", "640.00", "S-1003", "stripe", _paid),
    Wanted("P-10475", "7400.00", "S-1005", "stripe", _paid),
    Wanted("P-10478", "52300.00", "S-1002", "stripe", _paid),
    Wanted("P-10481", "2210.00", "S-1001", "standard", _paid),
    Wanted("P-10492", "12400.00", "S-1003", "standard", _paid),
    Wanted("P-10482", "1480.00", "S-1004", "standard", _paid, currency="USD"),
    Wanted("P-10486", "2860.00", "S-1005", "stripe", _late_failure),
    Wanted("P-10487", "915.00", "S-1007", "standard", _failed),
    Wanted("P-10488", "1730.00", "S-1001", "standard", _returned),
    Wanted("P-10489", "1190.00", "S-1002", "standard", _in_transit),
    Wanted("P-10490", "860.00", "S-1007", "standard", _unknown),
    Wanted("P-10491", "2040.00", "S-1006", "standard", _approved, slug="weekdays"),
    Wanted("P-10493", "4999.99", "S-1008", "standard", _awaiting),
    Wanted("P-10494", "18000.00", "S-1004", "stripe", _half_approved, currency="USD"),
    Wanted("P-10495", "61000.00", "S-1001", "stripe", _awaiting),
    Wanted("P-10496", "1310.00", "S-1006", "standard", _blocked),
    Wanted("P-10472", "2630.00", "S-1009", "adyen", _paid),
    Wanted("P-10474", "1875.00", "S-1010", "paypal", _paid),
    Wanted("P-10476", "990.00", "S-1010", "paypal", _in_transit),
    Wanted("P-10479", "3310.00", "S-1010", "adyen", _awaiting),
    Wanted("P-10477", "1420.00", "S-1009", "adyen", _late_failure),
    Wanted("P-10497", "505.00", "S-1002", "standard", _canceled),
)
