"""One provider call at a time through its account's valve: wait a little, or come back later.

Owns how long a worker waits for its turn. Never holds a transaction while it waits. Serves WH-22.
"""

from __future__ import annotations

import time
from datetime import timedelta

from payops.core import clock
from payops.core.models import Message, ProviderAccount
from payops.core.queues import Postpone
from payops.payments import call_gate
from payops.psp.base import CallOutcome

TURN_WAIT_MAX = timedelta(seconds=1)
TURNS_MAX = 5
LANE = "calls"
WAITING_COUNTED_MAX = 5000


def take_turn(account: ProviderAccount) -> None:
    """Answers when a call to the account may leave now. Raises Postpone."""
    for _ in range(TURNS_MAX):
        now = clock.utc_now()
        not_before = call_gate.admit(account=account, now=now, waiting=_waiting(account))
        if not_before is None:
            return
        if not_before - now > TURN_WAIT_MAX:
            raise Postpone(f"{account.address} does not answer; asked again later", not_before)
        time.sleep(max((not_before - now).total_seconds(), 0.0))
    raise Postpone(f"{account.address} is at its call rate", clock.utc_now() + TURN_WAIT_MAX)


def tell(account: ProviderAccount, outcome: CallOutcome, *, subject: str) -> None:
    """Tell the valve what came of a call: silence and server errors count against the account."""
    status = outcome.status_code or 0
    if outcome.kind == "refused" and not status:
        return  # Refused before anything left: the provider was not asked.
    throttled = status == 429
    call_gate.report(
        account=account,
        answered=throttled or 0 < status < 500,
        error=outcome.error_code or f"{outcome.kind} {status or ''}".strip(),
        retry_after_s=(outcome.retry_after_s or 1) if throttled else 0,
        now=clock.utc_now(),
        subject=subject,
    )


def _waiting(account: ProviderAccount) -> int:
    rows = Message.objects.filter(lane=LANE, state=Message.State.PENDING, turn=str(account.pk))
    return rows.order_by()[:WAITING_COUNTED_MAX].count()
