"""When the drill is over: what is still unfinished after the traffic, counted kind by kind."""

from __future__ import annotations

import time
from datetime import datetime

from payops.cases.models import Case, RunbookRun
from payops.core import clock
from payops.core.models import Message
from payops.devstack.drill.retrying import persist
from payops.devstack.drill.traffic import UNDECIDED, Traffic
from payops.devstack.seed.provider import Provider
from payops.payments.models import Payout
from payops.webhooks.models import ProviderEvent

LOOK_EVERY_S = 0.5
ENDED = (Payout.State.PAID, Payout.State.FAILED, Payout.State.RETURNED, Payout.State.CANCELED)
UNFINISHED_CASES = (*UNDECIDED, Case.State.APPROVED, Case.State.EXECUTING)


def wait_until_quiet(
    *, traffic: Traffic, since: datetime, bound_s: float
) -> tuple[float, dict[str, int]]:
    """Seconds until nothing was left, and what was left when the bound came first."""
    started_s = time.monotonic()
    while True:
        left = persist(
            lambda: unfinished(traffic=traffic, since=since), what="counting what is left"
        )
        waited_s = time.monotonic() - started_s
        if not left or waited_s > bound_s:
            return round(waited_s, 1), left
        time.sleep(LOOK_EVERY_S)


def unfinished(*, traffic: Traffic, since: datetime) -> dict[str, int]:
    """Only what is not nought; messages due in the future are not late."""
    provider = Provider().ask("/state")
    events = ProviderEvent.objects.filter(created_at__gte=since)
    messages = Message.objects.filter(created_at__gte=since, state=Message.State.PENDING)
    payouts = traffic.payouts()
    sent_back = [payout.public_id for payout in payouts.filter(failed_at__isnull=False)]
    cases = Case.objects.filter(subject_id__in=sent_back)
    now = clock.utc_now()
    counted = {
        "deliveries queued at the provider": provider["deliveries"]["queued"],
        "moves on the provider's clock": provider["jobs"],
        "events RECEIVED": events.filter(state=ProviderEvent.State.RECEIVED).count(),
        "events PARKED": events.filter(state=ProviderEvent.State.PARKED).count(),
        "messages due": messages.filter(due_at__lte=now).count(),
        "payouts under way": payouts.exclude(state__in=ENDED).count(),
        "cases undecided or executing": cases.filter(state__in=UNFINISHED_CASES).count(),
        "runbooks unfinished": RunbookRun.objects.filter(
            case__in=cases.values("pk"), finished_at=None
        ).count(),
    }
    return {name: count for name, count in counted.items() if count}
