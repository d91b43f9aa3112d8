"""One provider goes down while a thousand approved payouts wait for it, and comes back.

The simulator's log of calls is the witness of the rate; people ask and approve before, and nobody
touches anything afterwards. Meanwhile the usual traffic of all providers goes on and is measured.
Serves WH-22, PX-4, SC-3, SC-4 and I7.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from django.db import connections
from django.db.models import Max, QuerySet

from approvals.models import ApprovalRequest
from payops.cases.models import Case
from payops.core import clock
from payops.core.models import AuditEvent, Message, ProviderAccount
from payops.core.money import Money
from payops.devstack.drill import verdict
from payops.devstack.drill.findings import Findings, ended_within
from payops.devstack.drill.providerlog import pages
from payops.devstack.drill.quiet import wait_until_quiet
from payops.devstack.drill.retrying import Troubles, persist
from payops.devstack.drill.traffic import Traffic, payable_sellers
from payops.devstack.drill.verdict import Check
from payops.devstack.seed import acts
from payops.devstack.seed.provider import Provider
from payops.payments.models import Intent, Payout, ProviderCall
from payops.webhooks.models import ProviderEvent

BEFORE_S = 20.0  # of usual traffic, to compare with
ASKERS = 4
AMOUNT_MINOR = 5_00
OUTAGE_MAX_S = 86_400.0
LOOK_EVERY_S = 0.5
PATIENCE_S = 60.0
RECOVERY_S = 300.0
ROLLING_S = 1.0
WEBHOOK_P99_S = 2.0
OTHER_CALL_P99_S = 5.0
WAITING = (Payout.State.APPROVED, Payout.State.DISPATCHING, Payout.State.UNKNOWN)


@dataclass(frozen=True, slots=True)
class OutageOrders:
    directory: Path
    seed: int
    provider: str
    kind: str
    minutes: float
    calls: int


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the drill, and its name in the figures."""

    name: str
    begins_at: datetime
    ends_at: datetime


def run(orders: OutageOrders, *, say: Callable[[str], None]) -> Findings:
    """Rehearse on the running stack over `orders.directory`."""
    since, troubles, findings = clock.utc_now(), Troubles(), Findings(orders.seed)
    account = ProviderAccount.objects.get(provider=orders.provider, slug="demo")
    traffic = Traffic(seed=orders.seed, started_at=since, troubles=troubles)
    waiting = Waiting(prefix=f"W{traffic.prefix}", account=account, calls=orders.calls)
    traffic.start()
    traffic.resume()
    try:
        say(f"usual traffic for {BEFORE_S:.0f} s, to compare with")
        time.sleep(BEFORE_S)
        went_down_at = clock.utc_now()
        _outage(orders, seconds=OUTAGE_MAX_S)
        say(f"{orders.provider} is down ({orders.kind}); {orders.calls} payouts are approved")
        waiting.ask(troubles)
        _sleep_until(went_down_at + timedelta(minutes=orders.minutes))
        held = waiting.until_all_wait()
        came_up_at = clock.utc_now()
        _outage(orders, seconds=0)
        say(f"{orders.provider} is up; {held} calls wait, nobody touches anything")
        left = waiting.until_all_are_sent(RECOVERY_S + orders.calls / account.calls_per_s)
        sent_at = clock.utc_now()
        traffic.no_more()
        say("all were sent; waiting until everything has ended")
        waited_s, unfinished = wait_until_quiet(traffic=traffic, since=since, bound_s=RECOVERY_S)
    finally:
        traffic.stop()
        _outage(orders, seconds=0)
    spans = [
        Span("before", since, went_down_at),
        Span("down", went_down_at, came_up_at),
        Span("catching up", came_up_at, sent_at),
    ]
    findings.quiet_s["the last call was sent"] = waited_s
    calls = pages(Provider(), "calls", provider=orders.provider)
    findings.figures = _figures(orders, account, calls, spans, held)
    findings.checks += [
        *waiting.checks(held, left, came_up_at),
        _rate(account, calls),
        *_others(orders, spans, findings.figures),
        ended_within(
            what="the last call", bound_s=RECOVERY_S, checked=orders.calls, left=unfinished
        ),
    ]
    findings.checks += persist(
        lambda: verdict.look(traffic=traffic, since=since), what="the verdict"
    )
    findings.checks.append(Check("the drill itself went through", 1, list(troubles.lines)))
    findings.traffic = dict(sorted(traffic.counts.items()))
    findings.close()
    return findings


class Waiting:
    """The payouts that are approved while their provider is down; none of the usual traffic's."""

    def __init__(self, *, prefix: str, account: ProviderAccount, calls: int) -> None:
        self._prefix = prefix
        self._account = account
        self._calls = calls

    def payouts(self) -> QuerySet[Payout]:
        return Payout.objects.filter(merchant_ref__startswith=self._prefix)

    def ask(self, troubles: Troubles) -> None:
        """Amara asks for each, everybody whose seat is asked for approves; several at a time."""
        sellers = payable_sellers()
        threads = [
            threading.Thread(
                target=self._ask_some, args=(range(first, self._calls, ASKERS), sellers, troubles)
            )
            for first in range(ASKERS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def until_all_wait(self) -> int:
        """How many are approved and unsent: the news of the last approvals may be under way."""
        return self._until(lambda: self._held() >= self._calls, PATIENCE_S)

    def until_all_are_sent(self, bound_s: float) -> int:
        """How many are still waiting when the bound comes first."""
        return self._until(lambda: not self._held(), bound_s)

    def _until(self, reached: Callable[[], bool], bound_s: float) -> int:
        until_s = time.monotonic() + bound_s
        while not persist(reached, what="counting") and time.monotonic() < until_s:
            time.sleep(LOOK_EVERY_S)
        return persist(self._held, what="counting")

    def _held(self) -> int:
        return self.payouts().filter(state__in=WAITING).count()

    def checks(self, held: int, left: int, came_up_at: datetime) -> list[Check]:
        known = {payout.public_id: payout for payout in self.payouts()}
        states = [
            f"{payout.merchant_ref} is {payout.state}"
            for payout in known.values()
            if payout.state != Payout.State.PAID
        ]
        executed = Intent.objects.filter(subject_id__in=known, state=Intent.State.SUCCEEDED)
        subjects = {*known, *(payout.approval_id for payout in known.values())}
        acted = AuditEvent.objects.filter(
            person__isnull=False, created_at__gte=came_up_at, subject_id__in=subjects
        )
        noted = Message.objects.filter(lane="calls").exclude(operator_note="")
        opened = Case.objects.filter(subject_id__in=known)
        touched = [f"{act.login}: {act.action} {act.subject_id}" for act in acted]
        touched += [f"{m.topic} {m.key}: {m.operator_note}" for m in noted]
        touched += [f"case {case.public_id} wants a person: {case.title}" for case in opened]
        few = [] if held >= self._calls else [f"{held} of {self._calls} waited"]
        unsent = [f"{left} were not sent"] if left else []
        count = executed.count()
        unpaid = [] if count == self._calls else [f"{count} of {self._calls} were executed"]
        return [
            Check("that many calls waited when it came back", held, few),
            Check("every waiting payout was sent and paid", count, unsent + unpaid + states),
            Check("nobody touched anything afterwards, nor had to", len(subjects), touched),
        ]

    def _ask_some(self, numbers: Iterable[int], sellers: list[str], troubles: Troubles) -> None:
        try:
            for number in numbers:
                seller = sellers[number % len(sellers)]
                persist(partial(self._ask_one, number, seller), what=f"payout {number}")
        except Exception as error:  # noqa: BLE001 - the verdict tells it, nobody else could
            troubles.add(f"asking stopped: {type(error).__name__}: {error}")
        finally:
            connections.close_all()

    def _ask_one(self, number: int, seller: str) -> None:
        payout = acts.ask_payout(
            merchant_ref=f"{self._prefix}{number}",
            amount=Money(AMOUNT_MINOR + number, self._account.currency),
            seller=seller,
            provider=self._account.provider,
        )
        acts.approve(payout.approval_id)


def busiest_second(times_s: Iterable[float]) -> int:
    """The most calls within any rolling second."""
    window: deque[float] = deque()
    most = 0
    for at_s in sorted(times_s):
        window.append(at_s)
        while window[0] <= at_s - ROLLING_S:
            window.popleft()
        most = max(most, len(window))
    return most


def calls_allowed(calls_per_s: int) -> int:
    """In any rolling second: the cap, and the burst of a quarter of it (call_gate)."""
    return calls_per_s + max(calls_per_s // 4, 1)


def _rate(account: ProviderAccount, calls: list[dict[str, Any]]) -> Check:
    most, allowed = busiest_second(call["at"] for call in calls), calls_allowed(account.calls_per_s)
    breaks = [] if most <= allowed else [f"{most} calls came within one second"]
    words = f"at most {allowed} calls in any second (cap {account.calls_per_s}/s and its burst)"
    return Check(words, len(calls), breaks)


def _others(orders: OutageOrders, spans: list[Span], figures: dict[str, Any]) -> list[Check]:
    """What everybody else noticed: their calls and all webhooks, while down and catching up."""
    breaks: dict[str, list[str]] = {"webhooks": [], "calls": []}
    counted = {"webhooks": 0, "calls": 0}
    for span in spans:
        for what, waits, bound_s in (
            ("webhooks", _webhook_waits(span), WEBHOOK_P99_S),
            ("calls", _call_waits(span, orders.provider), OTHER_CALL_P99_S),
        ):
            p99_s = waits[int(len(waits) * 0.99)] if waits else 0.0
            figures[
                f"p99 of {what} of {'all' if what == 'webhooks' else 'others'}, {span.name}"
            ] = f"{p99_s:.2f} s ({len(waits)})"
            if span is spans[0]:
                continue
            counted[what] += len(waits)
            if p99_s > bound_s:
                breaks[what].append(f"{span.name}: p99 was {p99_s:.2f} s")
    return [
        Check(
            f"webhooks went on: p99 from receipt to done under {WEBHOOK_P99_S:g} s",
            counted["webhooks"],
            breaks["webhooks"] or _none(counted["webhooks"]),
        ),
        Check(
            f"other providers went on: p99 from approval to sent under {OTHER_CALL_P99_S:g} s",
            counted["calls"],
            breaks["calls"] or _none(counted["calls"]),
        ),
    ]


def _none(count: int) -> list[str]:
    return [] if count else ["there were none to measure"]


def _webhook_waits(span: Span) -> list[float]:
    events = ProviderEvent.objects.filter(
        created_at__range=(span.begins_at, span.ends_at), finished_at__isnull=False
    )
    times = events.values_list("created_at", "finished_at")
    return sorted((done - came).total_seconds() for came, done in times if done is not None)


def _call_waits(span: Span, provider: str) -> list[float]:
    """From the last approval to the answered call, of payouts at the other providers."""
    decided = ApprovalRequest.objects.filter(
        kind="payout_release", decided_at__range=(span.begins_at, span.ends_at)
    )
    decided_at = dict(decided.values_list("subject_id", "decided_at"))
    calls = ProviderCall.objects.filter(intent__subject_id__in=decided_at, outcome="succeeded")
    sent = calls.exclude(intent__account__provider=provider).values_list("intent__subject_id")
    waits = []
    for subject, sent_at in sent.annotate(at=Max("finished_at")):
        begun_at = decided_at[subject]
        if begun_at is not None and sent_at is not None:
            waits.append((sent_at - begun_at).total_seconds())
    return sorted(waits)


def _figures(
    orders: OutageOrders,
    account: ProviderAccount,
    calls: list[dict[str, Any]],
    spans: list[Span],
    held: int,
) -> dict[str, Any]:
    down, after = spans[1], spans[2]
    during = [call for call in calls if _within(call, down)]
    later = [call for call in calls if _within(call, after)]
    took_s = (after.ends_at - after.begins_at).total_seconds()
    return {
        "provider": f"{account.address}, {orders.kind}",
        "down": f"{(down.ends_at - down.begins_at).total_seconds():.0f} s",
        "calls that waited when it came back": held,
        "calls made while it was down": len(during),
        "calls made while catching up": len(later),
        "caught up after": f"{took_s:.0f} s, {len(later) / max(took_s, 1):.1f} calls/s",
        "busiest second, down": busiest_second(call["at"] for call in during),
        "busiest second, catching up": busiest_second(call["at"] for call in later),
    }


def _within(call: dict[str, Any], span: Span) -> bool:
    return span.begins_at.timestamp() <= call["at"] < span.ends_at.timestamp()


def _outage(orders: OutageOrders, *, seconds: float) -> None:
    def tell() -> None:
        Provider().tell("/outages", provider=orders.provider, kind=orders.kind, seconds=seconds)

    persist(tell, what="telling the provider's outage")


def _sleep_until(at: datetime) -> None:
    time.sleep(max((at - clock.utc_now()).total_seconds(), 0.0))
