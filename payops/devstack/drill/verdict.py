"""What the drill found: nothing lost, nothing doubled, everything ended, every invariant intact.

The simulator's own log of deliveries and of money is the witness; the product's tables are held
against it. The comparisons are plain functions over plain values, so that a test can show each of
them a loss. Serves WH-24, SC-4, I1, I2, I4 and I7.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, F, Value
from django.db.models.functions import Coalesce, NullIf

from ledger.models import JournalEntry
from payops.cases.models import LocalMessage, LocalTicket, RunbookRun, RunbookStep
from payops.commands.invariants import witness
from payops.commands.invariants.base import Moment
from payops.commands.invariants.table import INVARIANTS, check_all
from payops.core import audit, clock, verification
from payops.core.models import Message
from payops.devstack.drill.providerlog import read_provider_log
from payops.devstack.drill.traffic import Traffic
from payops.devstack.seed.provider import Provider
from payops.payments.models import Hold, Intent, Payment
from payops.webhooks.models import Delivery, ProviderEvent

AFTER_FAULT = timedelta(minutes=5)
# What an event is known by: the provider's id, or what stands for it where a body has none.
NAME = Coalesce(NullIf(F("provider_event_id"), Value("")), F("dedupe_key"))


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the verdict: how many were looked at, and in words what is wrong."""

    words: str
    checked: int
    breaks: list[str] = field(default_factory=list)
    kind: str = ""  # "lost" and "doubled" are added up

    @property
    def ok(self) -> bool:
        return not self.breaks


def look(
    *, traffic: Traffic, since: datetime, poison: Collection[str] = frozenset()
) -> list[Check]:
    """Every check of the verdict; the stack is quiet and stays so.

    `poison`: ids of events that must be dead letters; nothing else may be one.
    """
    log = read_provider_log(Provider())
    received, bodies = receipts()
    events = Counter(ProviderEvent.objects.values_list(NAME, flat=True))
    executed = Intent.objects.filter(state=Intent.State.SUCCEEDED)
    return [
        Check(
            "every delivery answered 2xx has its receipt",
            log.answered.total(),
            missing_receipts(log.answered, received),
            "lost",
        ),
        Check(
            "every event sent is there once, with its bytes",
            len(log.sha256),
            missing_events(log.sha256, events, bodies) + log.given_up,
            "lost",
        ),
        Check(
            "every payment is captured and posted once",
            len(log.paid_in),
            wrong_postings(log.paid_in, *captures_and_entries()),
            "lost",
        ),
        Check(
            "money moved = executed intents",
            log.moved.total(),
            wrong_movements(log.moved, set(executed.values_list("subject_id", flat=True))),
            "doubled",
        ),
        _runbooks(traffic),
        _dead_letters(since, poison),
        *_invariants(),
        _audit(),
    ]


def missing_receipts(answered: Mapping[str, int], received: Mapping[str, int]) -> list[str]:
    return [
        f"{event_id}: {count} deliveries were answered 2xx, {received.get(event_id, 0)} receipts"
        for event_id, count in sorted(answered.items())
        if received.get(event_id, 0) < count
    ]


def missing_events(
    sent: Mapping[str, str], events: Mapping[str, int], bodies: Mapping[str, set[str]]
) -> list[str]:
    """`sent`: event id -> hash of the bytes the provider sent."""
    wrong = []
    for event_id, sha256 in sorted(sent.items()):
        if events.get(event_id, 0) != 1:
            wrong.append(f"{event_id} is there {events.get(event_id, 0)} times")
        elif bodies.get(event_id) != {sha256}:
            wrong.append(f"the bytes kept of {event_id} are not those that were sent")
    return wrong


def wrong_postings(
    paid_in: Iterable[str], captured: Mapping[str, int], posted: Mapping[str, int]
) -> list[str]:
    return [
        f"{reference}: {captured.get(reference, 0)} payments, {posted.get(reference, 0)} entries"
        for reference in sorted(paid_in)
        if (captured.get(reference, 0), posted.get(reference, 0)) != (1, 1)
    ]


def wrong_movements(moved: Mapping[str, int], executed: set[str]) -> list[str]:
    doubled = [f"{ref} moved {count} times" for ref, count in sorted(moved.items()) if count != 1]
    return [
        *doubled,
        *(f"{ref} moved without an executed intent" for ref in sorted(moved.keys() - executed)),
        *(f"{ref} was executed and moved nothing" for ref in sorted(executed - moved.keys())),
    ]


def receipts() -> tuple[Counter[str], dict[str, set[str]]]:
    """Receipts of accepted bodies, counted by the provider's event id, and the hashes they kept."""
    accepted = Delivery.objects.filter(signature_ok=True, status_sent__range=(200, 299))
    kept = accepted.values_list(NAME, "sha256").annotate(count=Count("pk"))
    received: Counter[str] = Counter()
    bodies: dict[str, set[str]] = {}
    for event_id, sha256, count in kept:
        received[event_id] += count
        bodies.setdefault(event_id, set()).add(sha256)
    return received, bodies


def captures_and_entries() -> tuple[Counter[str], Counter[str]]:
    """Payments and their capture entries, counted by the merchant's reference."""
    captured = Payment.objects.filter(state=Payment.State.CAPTURED)
    references = dict(captured.values_list("pk", "merchant_ref"))
    entries = JournalEntry.objects.filter(event_class="payment.captured")
    posted = Counter(
        references[key]
        for key in map(Payment.key_of, entries.values_list("subject_id", flat=True))
        if key in references
    )
    return Counter(references.values()), posted


def _runbooks(traffic: Traffic) -> Check:
    """Exactly one hold, entry, ticket and message of every decision that was executed."""
    runs = RunbookRun.objects.filter(plan__merchant_ref__startswith=traffic.prefix)
    effects: dict[str, Any] = {"hold_payout": Hold, "ticket": LocalTicket, "notify": LocalMessage}
    breaks, checked = [], 0
    for run in runs.prefetch_related("steps"):
        if run.outcome != "done":
            breaks.append(f"the run of {run.approval_id} ended {run.outcome or 'never'}")
        for step in run.steps.all():
            checked += 1
            if step.status != RunbookStep.Status.DONE:
                breaks.append(f"step {step.key} is {step.status}: {step.error}")
            model = effects.get(step.name)
            if model is not None:
                name = "key" if model is Hold else "correlation_id"
                found = model.objects.filter(**{name: step.key}).count()
            elif step.name == "compensate":
                found = JournalEntry.objects.filter(
                    event_class=run.plan["template"], subject_id=run.plan["payout"]
                ).count()
            else:
                continue
            if found != 1:
                breaks.append(f"step {step.key} left {found} effects instead of one")
    return Check("every runbook step took effect once", checked, breaks, "doubled")


def _dead_letters(since: datetime, poison: Collection[str]) -> Check:
    events = ProviderEvent.objects.filter(created_at__gte=since)
    dead = events.filter(state=ProviderEvent.State.DEAD).annotate(name=NAME)
    breaks = [
        f"event {event.public_id} is dead: {event.last_error}"
        for event in dead
        if event.name not in poison
    ]
    messages = Message.objects.filter(created_at__gte=since)
    breaks += [
        f"message {m.topic} {m.key} is dead: {m.last_error}"
        for m in messages.filter(state=Message.State.DEAD)
    ]
    words = "no event and no message is a dead letter" + (" but the poison" if poison else "")
    return Check(words, events.count() + messages.count(), breaks)


def _invariants() -> list[Check]:
    asked_at = clock.utc_now()
    moved, note = witness.movements()
    moment = Moment(
        now=clock.utc_now(),
        bound=AFTER_FAULT,
        movements=moved,
        movements_at=asked_at,
        movements_note=note,
    )
    words = {invariant.key: invariant.words for invariant in INVARIANTS}
    return [
        Check(f"{key} {words[key]}", finding.checked, list(finding.breaks))
        for key, finding in check_all(moment).items()
        if not finding.absent
    ]


def _audit() -> Check:
    now = clock.utc_now()
    audit.seal(now=now)
    report = verification.verify(now=now)
    return Check("the audit verifies", report.rows, list(report.breaks))
