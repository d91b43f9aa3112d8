"""Live traffic of the drill: buyers pay, sellers are paid, banks send money back, people decide.

Payments and failures happen at the simulator, which signs and delivers them, many of them several
times at once. Payouts and decisions go through the product's own services. Each act looks at what
is there and does what is missing, so it may be repeated after any crash.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from django.db import connections
from django.db.models import QuerySet

from payops.cases.models import Case
from payops.core import clock
from payops.core.money import Money
from payops.devstack.drill.retrying import Troubles, persist
from payops.devstack.seed import acts
from payops.devstack.seed.provider import Provider
from payops.flows.payouts import exception as payout_exception
from payops.payments.models import Beneficiary, Hold, Payout

PAYMENT_EVERY_S = 0.3
PAYOUT_EVERY_S = 1.0
FAILURE_EVERY_S = 3.5  # stays below the storm cap, so that every failure gets a case of its own
LOOK_EVERY_S = 0.4
SELLERS = ("S-1001", "S-1002", "S-1003", "S-1005", "S-1008")
PROVIDERS = ("stripe", "adyen", "paypal", "standard")
ENOUGH = {"payments": 10, "payouts": 6}
ENOUGH_WITHIN_S = 90.0
COPIES = (1, 1, 1, 2, 4, 12)
FAILURES = ("could_not_process", "insufficient_funds")
RESOLUTIONS = ("release", "release", "hold")
UNDECIDED = (Case.State.OPEN, Case.State.TRIAGED, Case.State.AWAITING_APPROVAL)


def payable_sellers() -> list[str]:
    """Without an open hold: a payout to a held seller is rightly blocked and never ends."""
    held = Hold.objects.filter(released_at=None, beneficiary__isnull=False)
    free = Beneficiary.objects.filter(reference__in=SELLERS).exclude(
        pk__in=held.values("beneficiary_id")
    )
    return sorted(free.values_list("reference", flat=True))


class Traffic:
    """One drill's traffic; `prefix` starts every merchant reference it makes."""

    def __init__(self, *, seed: int, started_at: datetime, troubles: Troubles) -> None:
        self.prefix = f"DR{started_at:%H%M%S}-"
        self.counts: Counter[str] = Counter()
        self._troubles = troubles
        self._seed = seed
        self._provider = Provider()
        self._flowing = threading.Event()
        self._over = threading.Event()
        self._failed: set[UUID] = set()
        self._orders = 0
        self._sellers = payable_sellers()
        self._threads = [
            self._thread("buyers", self._pay, PAYMENT_EVERY_S, makes_new=True),
            self._thread("sellers", self._ask_payout, PAYOUT_EVERY_S, makes_new=True),
            self._thread("banks", self._send_back, FAILURE_EVERY_S, makes_new=True),
            self._thread("approvers", self._approve_payouts, LOOK_EVERY_S),
            self._thread("case owners", self._decide_cases, LOOK_EVERY_S),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def resume(self) -> None:
        self._flowing.set()

    def until_enough(self) -> None:
        """A slow machine gets more time: a drill with next to no traffic would show nothing."""
        until_s = time.monotonic() + ENOUGH_WITHIN_S
        while self.too_little() and time.monotonic() < until_s:
            time.sleep(LOOK_EVERY_S)

    def too_little(self) -> list[str]:
        return [
            f"{self.counts[what]} {what}, at least {least} are wanted"
            for what, least in ENOUGH.items()
            if self.counts[what] < least
        ]

    def no_more(self) -> None:
        """Nothing new happens until `resume`; people go on deciding what is open."""
        self._flowing.clear()

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def payouts(self) -> QuerySet[Payout]:
        return Payout.objects.filter(merchant_ref__startswith=self.prefix)

    def _thread(
        self,
        name: str,
        act: Callable[[random.Random], None],
        every_s: float,
        *,
        makes_new: bool = False,
    ) -> threading.Thread:
        dice = random.Random(f"{self._seed} {name}")

        def loop() -> None:
            try:
                while not self._over.wait(every_s):
                    if self._flowing.is_set() or not makes_new:
                        persist(lambda: act(dice), what=name)
            except Exception as error:  # noqa: BLE001 - the verdict tells it, nobody else could
                self._troubles.add(f"{name} stopped: {type(error).__name__}: {error}")
            finally:
                connections.close_all()

        return threading.Thread(target=loop, name=name, daemon=True)

    def _pay(self, dice: random.Random) -> None:
        amount = dice.randint(20_00, 900_00)
        copies = dice.choice(COPIES)
        self._orders += 1  # a new one each time: an order whose answer was lost may exist
        self._provider.tell(
            "/payments",
            provider=dice.choice(PROVIDERS),
            reference=f"{self.prefix}O{self._orders}",
            seller=dice.choice(self._sellers),
            amount=amount,
            currency="EUR",
            fee=amount * 29 // 1000,
            platform_fee=amount // 10,
            copies=copies,
            parallel=copies,
        )
        self.counts["payments"] += 1

    def _ask_payout(self, dice: random.Random) -> None:
        self.counts["payouts"] += 1
        number, amount = self.counts["payouts"], Money(dice.randint(50_00, 4_000_00), "EUR")
        seller, provider = dice.choice(self._sellers), dice.choice(PROVIDERS)

        def ask() -> None:
            acts.ask_payout(
                merchant_ref=f"{self.prefix}{number}",
                amount=amount,
                seller=seller,
                provider=provider,
            )

        persist(ask, what=f"asking for payout {number}")

    def _send_back(self, dice: random.Random) -> None:
        paid = self.payouts().filter(state=Payout.State.PAID).exclude(pk__in=self._failed)
        payout = paid.order_by("created_at").first()
        if payout is None:
            return
        [told] = self._provider.ask(f"/payouts?reference={payout.public_id}")["payouts"]
        if told["status"] == "paid":
            copies = dice.choice(COPIES)
            self._provider.on_payout(
                payout.public_id,
                "fail",
                failure_code=dice.choice(FAILURES),
                copies=copies,
                parallel=copies,
            )
        self._failed.add(payout.pk)
        self.counts["late failures"] += 1

    def _approve_payouts(self, dice: random.Random) -> None:
        waiting = self.payouts().filter(state=Payout.State.AWAITING_APPROVAL)
        for approval_id in waiting.values_list("approval_id", flat=True):
            acts.approve(approval_id)

    def _decide_cases(self, dice: random.Random) -> None:
        ours = [payout.public_id for payout in self.payouts().filter(failed_at__isnull=False)]
        for case in Case.objects.filter(subject_id__in=ours, state__in=UNDECIDED):
            if case.state == Case.State.AWAITING_APPROVAL:
                acts.approve(case.approval_id)
            else:
                self._propose(case, dice)

    def _propose(self, case: Case, dice: random.Random) -> None:
        request = payout_exception.propose(
            case_id=case.pk,
            resolution=dice.choice(RESOLUTIONS),
            hold_beneficiary=False,
            reason="the bank sent it back",
            actor=acts.actor_of("amara"),
            now=clock.utc_now(),
        )
        self.counts["decisions proposed"] += 1
        acts.approve(request.public_id)
