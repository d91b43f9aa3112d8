"""The valve towards each provider account: a cap on the call rate and a circuit breaker.

One row per account, shared by every worker process: tokens are refilled by the clock, one call
takes one. After FAILURES_TO_OPEN calls in a row without an answer nothing is sent but one probe at
a time, until a probe is answered. Who is told to wait is told a time of its own, so that a waiting
crowd never comes back together. Never makes a call. Serves WH-22 and design "Provider calls".
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from payops.core import audit
from payops.core.actors import service
from payops.core.models import ProviderAccount
from payops.payments.models import CallGate

ACTOR = service("call-gate")
FAILURES_TO_OPEN = 5
PROBE_AFTER = timedelta(seconds=5)
PROBE_AFTER_MAX = timedelta(seconds=60)
# A probe that never reports was lost with its process; another may be sent after this long.
PROBE_LOST_AFTER = timedelta(seconds=20)
CALL_MILLI = 1000
# Many callers ask for a part of the burst at a time: one by one they would mostly ask.
ASKED_AGAIN_FOR = 3
ERROR_CHARS_MAX = 240
State = CallGate.State


@dataclass(frozen=True, slots=True)
class Admission:
    """So many calls may leave; the others ask again at `not_before`, all of them if it is `open`.

    `open`: the provider does not answer, and what was granted is a probe.
    """

    granted: int
    not_before: datetime | None = None
    open: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """What came of one admitted call; see `report`."""

    answered: bool
    error: str = ""
    retry_after_s: int = 0
    subject: str = ""


def admit(
    *,
    account: ProviderAccount,
    now: datetime,
    waiting: int = 0,
) -> datetime | None:
    """None: one call may leave now. Otherwise the time before which this caller must not ask.

    `waiting` is how many others wait. When the provider does not answer, they are spread so that
    they come back no faster than the cap lets them through.
    """
    with transaction.atomic(durable=True):
        gate = _locked(account, now)
        if gate.state != State.CLOSED:
            return _admit_probe(gate, now, _spread(account, waiting))
        _refill(gate, account, now)
        if gate.tokens_milli >= CALL_MILLI:
            gate.tokens_milli -= CALL_MILLI
            gate.save(update_fields=["tokens_milli", "filled_at"])
            return None
        gate.save(update_fields=["tokens_milli", "filled_at"])
        missing_s = (CALL_MILLI - gate.tokens_milli) / (max(account.calls_per_s, 1) * CALL_MILLI)
        return now + timedelta(seconds=missing_s)


def outlook(*, account: ProviderAccount, wanted: int, now: datetime) -> Admission:
    """What `admit_many` would answer now; takes nothing and locks nothing."""
    gate = CallGate.objects.filter(account=account).first()
    if gate is None:
        return Admission(min(wanted, max(_burst(account) // CALL_MILLI, 1)), now)
    if gate.state != State.CLOSED:
        due = gate.probe_at is None or now >= gate.probe_at
        return Admission(int(due), gate.probe_at or now + PROBE_AFTER, open=True)
    _refill(gate, account, now)
    granted = min(wanted, gate.tokens_milli // CALL_MILLI)
    return Admission(granted, _when(gate, account, wanted, granted, now))


def admit_many(*, account: ProviderAccount, wanted: int, now: datetime) -> Admission:
    """So many calls leave now, of those wanted: asked last, when each is ready to leave."""
    with transaction.atomic(durable=True):
        gate = _locked(account, now)
        if gate.state != State.CLOSED:
            not_before = _admit_probe(gate, now, timedelta(0))
            return Admission(int(not_before is None), not_before or gate.probe_at, open=True)
        _refill(gate, account, now)
        granted = min(wanted, gate.tokens_milli // CALL_MILLI)
        again_at = _when(gate, account, wanted, granted, now)
        gate.tokens_milli -= granted * CALL_MILLI
        gate.save(update_fields=["tokens_milli", "filled_at"])
        return Admission(granted, again_at)


def report_many(*, account: ProviderAccount, reports: Sequence[Report], now: datetime) -> None:
    """What came of calls that were admitted, in the order in which they ended."""
    if all(each.answered and not each.retry_after_s for each in reports):
        # The usual case changes nothing, and is not worth a lock that all workers share.
        calm = CallGate.objects.filter(account=account, state=State.CLOSED, failures=0)
        if calm.exists():
            return
    with transaction.atomic(durable=True):
        gate = _locked(account, now)
        for each in reports:
            _take_in(gate, account, each, now)
        gate.save()


def report(
    *,
    account: ProviderAccount,
    answered: bool,
    now: datetime,
    error: str = "",
    retry_after_s: int = 0,
    subject: str = "",
) -> None:
    """What came of a call that was admitted; an answer that refuses is an answer.

    `retry_after_s`: the provider asked for a pause, and gets it. `subject` is what the call was
    about: one object that the provider cannot answer for, asked again and again, counts once and
    never holds up the others.
    """
    told = Report(answered, error, retry_after_s, subject)
    with transaction.atomic(durable=True):
        gate = _locked(account, now)
        _take_in(gate, account, told, now)
        gate.save()


def is_open(*, account: ProviderAccount) -> bool:
    """Whether calls are held back now because the provider does not answer."""
    return CallGate.objects.filter(account=account).exclude(state=State.CLOSED).exists()


def _take_in(gate: CallGate, account: ProviderAccount, told: Report, now: datetime) -> None:
    was = gate.state
    if told.retry_after_s > 0:
        pause = timedelta(seconds=told.retry_after_s)
        _open(gate, now, pause, told.error or "asked to slow down")
    elif told.answered:
        gate.failures, gate.opened_at, gate.probe_at = 0, None, None
        gate.last_subject = ""
        if was != State.CLOSED:
            gate.state, gate.tokens_milli, gate.filled_at = State.CLOSED, 0, now
    else:
        same = bool(told.subject) and told.subject == gate.last_subject and was == State.CLOSED
        gate.failures += int(not same)
        gate.last_error, gate.last_subject = told.error[:ERROR_CHARS_MAX], told.subject[:255]
        if was != State.CLOSED or gate.failures >= FAILURES_TO_OPEN:
            _open(gate, now, _probe_pause(gate), told.error)
    if gate.state != was and State.CLOSED in (gate.state, was):
        _record(gate, account, was, now)


def _when(
    gate: CallGate, account: ProviderAccount, wanted: int, granted: int, now: datetime
) -> datetime | None:
    """When enough of a burst is there again to be worth asking for; None: all were granted."""
    if granted >= wanted:
        return None
    enough = min(wanted - granted, max(_burst(account) // CALL_MILLI // ASKED_AGAIN_FOR, 1))
    missing = (granted + enough) * CALL_MILLI - gate.tokens_milli
    return now + timedelta(seconds=missing / (max(account.calls_per_s, 1) * CALL_MILLI))


def _locked(account: ProviderAccount, now: datetime) -> CallGate:
    held = CallGate.objects.select_for_update(no_key=True, of=("self",)).filter(account=account)
    gate = held.first()
    if gate is None:
        fresh = CallGate(
            book_id=account.book_id,
            account=account,
            tokens_milli=_burst(account),
            filled_at=now,
            created_at=now,
        )
        CallGate.objects.bulk_create([fresh], ignore_conflicts=True)
        gate = held.get()
    return gate


def _admit_probe(gate: CallGate, now: datetime, spread: timedelta) -> datetime | None:
    if gate.probe_at is not None and now < gate.probe_at:
        return gate.probe_at + spread
    gate.state, gate.probe_at = State.HALF_OPEN, now + PROBE_LOST_AFTER
    gate.save(update_fields=["state", "probe_at"])
    return None


def _refill(gate: CallGate, account: ProviderAccount, now: datetime) -> None:
    passed = now - gate.filled_at
    if passed <= timedelta(0):
        return
    gained = passed // timedelta(microseconds=1) * account.calls_per_s * CALL_MILLI // 1_000_000
    if gained > 0:
        gate.tokens_milli = min(gate.tokens_milli + gained, _burst(account))
        gate.filled_at = now


def _burst(account: ProviderAccount) -> int:
    """Never more than a quarter of a second's calls at once."""
    return max(account.calls_per_s * CALL_MILLI // 4, CALL_MILLI)


def _spread(account: ProviderAccount, waiting: int) -> timedelta:
    """Anywhere in the time that the cap needs for all of them."""
    over_s = max(1.0, waiting / max(account.calls_per_s, 1))
    return timedelta(seconds=random.uniform(0.0, over_s))


def _open(gate: CallGate, now: datetime, pause: timedelta, error: str) -> None:
    gate.state, gate.probe_at = State.OPEN, now + pause
    gate.opened_at = gate.opened_at or now
    gate.last_error = error[:ERROR_CHARS_MAX]


def _probe_pause(gate: CallGate) -> timedelta:
    """Longer with every failed probe, within bounds, never the same twice."""
    failed_probes = max(gate.failures - FAILURES_TO_OPEN, 0)
    pause = min(PROBE_AFTER * 2 ** min(failed_probes, 8), PROBE_AFTER_MAX)
    return pause * random.uniform(0.5, 1.0)


def _record(gate: CallGate, account: ProviderAccount, was: str, now: datetime) -> None:
    opened = gate.state != State.CLOSED
    words = f"{account.address}: calls are {'held back' if opened else 'let through again'}"
    audit.record(
        [
            audit.event(
                book=account.book,
                actor=ACTOR,
                action="call_gate.opened" if opened else "call_gate.closed",
                subject_id=account.address,
                now=now,
                from_state=str(was),
                to_state=str(gate.state),
                reason=words,
                evidence={"failures": gate.failures, "error": gate.last_error},
            )
        ]
    )
