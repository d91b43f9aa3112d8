"""Provider calls through their account's valve: one that waits its turn, or many in flight.

Owns how long a worker waits for its turn, and what the valve is told of calls. Never holds a
transaction while it waits. Serves WH-22.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from payops.core import clock
from payops.core.callers import Room
from payops.core.models import Message, ProviderAccount
from payops.core.queues import Postpone
from payops.payments import call_gate
from payops.payments.call_gate import Report
from payops.psp.calling import CallOutcome

TURN_WAIT_MAX = timedelta(seconds=1)
TURNS_MAX = 5
LANE = "calls"
WAITING_COUNTED_MAX = 5000


class AccountTurns:
    """The valve of a caller whose rows carry their account's key as their turn."""

    def room(self, *, turn: str, wanted: int, take: bool, now: datetime) -> Room:
        account = ProviderAccount.objects.filter(pk=turn).first() if turn else None
        if account is None:
            return Room(wanted)
        ask = call_gate.admit_many if take else call_gate.outlook
        told = ask(account=account, wanted=wanted, now=now)
        if not told.open or told.granted == wanted:
            return Room(told.granted, told.not_before)
        over_s = max(1.0, _waiting(account) / max(account.calls_per_s, 1))
        words = f"{account.address} does not answer; asked again later"
        return Room(told.granted, told.not_before, words, timedelta(seconds=over_s))


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


def tell(
    account: ProviderAccount, outcomes: Sequence[tuple[str, CallOutcome]], *, now: datetime
) -> None:
    """Tell the valve what came of calls about subjects: silence and server errors count."""
    reports = [_report(outcome, subject) for subject, outcome in outcomes]
    told = [each for each in reports if each is not None]
    if told:
        call_gate.report_many(account=account, reports=told, now=now)


def _report(outcome: CallOutcome, subject: str) -> Report | None:
    status = outcome.status_code or 0
    if outcome.kind == "refused" and not status:
        return None  # Refused before anything left: the provider was not asked.
    throttled = status == 429
    return Report(
        answered=throttled or 0 < status < 500,
        error=outcome.error_code or f"{outcome.kind} {status or ''}".strip(),
        retry_after_s=(outcome.retry_after_s or 1) if throttled else 0,
        subject=subject,
    )


def _waiting(account: ProviderAccount) -> int:
    rows = Message.objects.filter(lane=LANE, state=Message.State.PENDING, turn=str(account.pk))
    return rows.order_by()[:WAITING_COUNTED_MAX].count()
