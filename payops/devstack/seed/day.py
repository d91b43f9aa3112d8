"""The scripted day: payments, payouts, and the one that comes back, at a pace people can follow.

Everything happens at the provider and arrives by webhook; the case it opens is left for the person
who watches.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings

from payops.cases.models import Case, CaseEntry
from payops.core.money import Money
from payops.devstack.seed import acts, day_refunds
from payops.devstack.seed.books import method_of, state_of
from payops.devstack.seed.provider import Provider, ProviderSilent, wait_until
from payops.payments.models import Payment, Payout
from payops.webhooks.models import Delivery, ProviderEvent

Say = Callable[[str], None]
HERO = "P-10492"
STORM = "P-10471"
PAYMENTS = (
    ("S-1001", 8_990, "standard"),
    ("S-1003", 129_900, "stripe"),
    ("S-1005", 24_500, "standard"),
    ("S-1002", 61_250, "stripe"),
    ("S-1008", 3_499, "standard"),
    ("S-1001", 17_800, "adyen"),
    ("S-1010", 42_075, "paypal"),
)


@dataclass(frozen=True, slots=True)
class Scene:
    """One thing that happens, with the sentence that announces it."""

    words: str
    play: Callable[[Provider, Say], None]


def play_day(*, say: Say, pause_s: float) -> None:
    """Play every scene; a scene that was played on another day says so and goes on."""
    provider = Provider()
    for number, scene in enumerate(SCENES, start=1):
        say("")
        say(f"{number}. {scene.words}")
        try:
            scene.play(provider, say)
        except ProviderSilent as error:
            say(f"   did not work out: {error}")
        time.sleep(pause_s)
    _closing(say)


def _payments(provider: Provider, say: Say) -> None:
    before = Payment.objects.count()
    stamp = int(time.time())
    for number, (seller, amount, name) in enumerate(PAYMENTS):
        provider.tell(
            "/payments",
            provider=name,
            reference=f"ORDER-{stamp}-{number}",
            seller=seller,
            amount=amount,
            currency="EUR",
            fee=amount * 29 // 1000,
            platform_fee=amount // 10,
            method=method_of(name, number),
        )
    wait_until(lambda: Payment.objects.count() >= before + len(PAYMENTS), "payments captured")
    say(f"   {len(PAYMENTS)} payments captured, each posted once")


def _payout(provider: Provider, say: Say) -> None:
    reference = f"P-{int(time.time())}"
    payout = acts.ask_payout(
        merchant_ref=reference,
        amount=Money(48_000, "EUR"),
        seller="S-1002",
        provider="stripe",
    )
    say(f"   {reference} asked for by Amara; it waits for the seats its amount needs")
    acts.approve(payout.approval_id)
    wait_until(lambda: state_of(payout) == Payout.State.PAID, f"{reference} paid")
    say(f"   approved by others, gated, sent once, told PAID: {_link('payouts', payout.public_id)}")


def _late_failure(provider: Provider, say: Say) -> None:
    payout = Payout.objects.get(merchant_ref=HERO)
    if payout.state == Payout.State.PAID:
        provider.on_payout(
            payout.public_id, "fail", failure_code="declined", event="settlementFailed"
        )
    wait_until(lambda: _case_of(payout) is not None, f"a case for {HERO}")
    case = _case_of(payout)
    assert case is not None
    say(f"   {HERO} of {payout.amount} was PAID; settlementFailed says the bank declined it")
    say(f"   one case is open, the beneficiary is on hold: {_link('cases', case.public_id)}")


def _storm(provider: Provider, say: Say) -> None:
    payout = Payout.objects.get(merchant_ref=STORM)
    if payout.state == Payout.State.PAID:
        provider.on_payout(
            payout.public_id, "fail", failure_code="could_not_process", copies=12, parallel=12
        )
    wait_until(lambda: _receipts(payout) >= 12, "twelve receipts")
    wait_until(lambda: _repeats(payout) >= 11, "eleven safe no-ops on the timeline")
    cases = Case.objects.filter(subject_id=payout.public_id).count()
    say(
        f"   {_receipts(payout)} receipts, {cases} case, {_repeats(payout)} duplicates ignored, "
        "each on the timeline and in the audit"
    )


def _closing(say: Say) -> None:
    say("")
    say("Now it is your turn. In the browser, as different people (passwords are above):")
    say(f"  amara  opens the case of {HERO} and proposes what to do")
    say("  marco  (finance manager) and chen (compliance) both approve it; lena may not")
    say("  then hold, journal entry, ticket and notice follow without further clicks")
    say(f"  anyone traces it: {settings.PUBLIC_URL}/trace/?q={HERO}")


def _case_of(payout: Payout) -> Case | None:
    return Case.objects.filter(subject_id=payout.public_id).order_by("-created_at").first()


def _receipts(payout: Payout) -> int:
    events = ProviderEvent.objects.filter(subject_id=payout.public_id, type="payout.failed")
    keys = events.values_list("dedupe_key", flat=True)
    return Delivery.objects.filter(dedupe_key__in=list(keys)).count()


def _repeats(payout: Payout) -> int:
    return CaseEntry.objects.filter(case__subject_id=payout.public_id, kind="duplicate").count()


def _link(screen: str, public_id: str) -> str:
    return f"{settings.PUBLIC_URL}/{screen}/{public_id}/"


SCENES = (
    Scene("Customers pay at four providers", _payments),
    Scene("A seller is paid out", _payout),
    Scene("A payout marked PAID comes back failed", _late_failure),
    Scene("The provider tells another failure twelve times at once", _storm),
    Scene("A refund whose answer is lost is asked for again", day_refunds.lost_answer),
    Scene("A refunded charge is disputed all the same", day_refunds.meets_a_chargeback),
)
