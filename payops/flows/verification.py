"""A webhook is a signal to verify: which events wait for the provider's view, and what it means.

Owns the table of what moves money, the judgement of an answer and what follows from a verdict: the
event goes on, or a case shows both sides and nothing is applied. Reads verdicts, never asks (see
`verify_event`). Without a verdict nothing is believed; where the provider shows no such object at
all, the verdict says so and the signature stands alone. Serves WH-10, WH-15, F4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q

from payops.cases.models import CaseEntry
from payops.cases.services import Finding, Line
from payops.core import clock, rates
from payops.core.messages import News
from payops.core.models import Book, ProviderAccount
from payops.flows.batch import OUTCOME_MAX, Batch, CaseWork, EventWork
from payops.psp import registry
from payops.psp.base import NormalizedEvent
from payops.psp.calling import NoAnswer, NotFound, StateLookup
from payops.webhooks.models import ProviderEvent, Verification
from payops.webhooks.services import verify_key

TOPIC = "event.verify"
POLICY, DEADLINE = "policy", "deadline"
Verdict = Verification.Verdict
# Kinds that have an effect here; others mean nothing and need no proof.
ACTED_ON = ("payout.", "payment.", "refund.", "dispute.")
# Kinds whose event posts to the journal or decides what will be posted.
MOVES_MONEY = frozenset(
    {
        "payment.captured",
        "payout.paid",
        "payout.failed",
        "payout.returned",
        "payout.canceled",
        "refund.accepted",
        "refund.succeeded",
        "refund.failed",
        "refund.failed_late",
        "refund.canceled",
        "refund.returned",
        "dispute.funds_withdrawn",
        "dispute.funds_returned",
        "dispute.lost",
    }
)
CONFIRMED = "confirmed by the provider"
NOT_OFFERED = "the provider offers no way to ask; its signature stands alone"
# Answers that settle nothing although the provider gave them.
HIDING = {
    "failed_hides_paid": "it is failed there, which does not show whether it was paid before",
    "failed_hides_succeeded": "it is failed there, which does not show whether it had succeeded",
    "failed_hides_in_transit": "it is failed there, which does not show whether it was sent before",
}
TITLE_CHARS_MAX = 200
FINGERPRINT_CHARS_MAX = 120
WORDS_CHARS_MAX = 400


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an answer says of an event. `pending`: a provider may lag behind its own events, so
    that it counts only once it stays so."""

    verdict: Verification.Verdict
    words: str
    pending: bool = False
    status: str = ""
    amount_minor: int | None = None
    currency: str = ""
    reached: tuple[str, ...] = ()


def judge(*, said: NormalizedEvent, found: StateLookup) -> Judgement:
    """Both figures and both states side by side; only the same on every count agrees."""
    if isinstance(found, NoAnswer):
        words = HIDING.get(found.reason, found.reason)
        return Judgement(Verdict.UNANSWERED, f"no answer: {words}"[:WORDS_CHARS_MAX], True)
    if isinstance(found, NotFound):
        words = f"the event is about {said.provider_ref}; the provider has no {found.searched}"
        return Judgement(Verdict.ABSENT, words[:WORDS_CHARS_MAX], True)
    amount = found.amount
    shown = f"{found.raw_status}{f', {amount}' if amount else ''}"
    told = f"{said.kind}{f', {said.amount}' if said.amount else ''}"
    words, pending = f"{CONFIRMED}: {found.provider_ref} is {shown} there", False
    verdict = Verdict.AGREES
    if said.amount is not None and amount is not None and said.amount != amount:
        verdict = Verdict.DIFFERS
    elif said.our_ref and found.our_ref and said.our_ref != found.our_ref:
        verdict = Verdict.DIFFERS
        shown, told = f"{shown} for {found.our_ref}", f"{told} for {said.our_ref}"
    elif said.kind not in found.reached:
        verdict, pending = Verdict.DIFFERS, True
    if verdict == Verdict.DIFFERS:
        words = f"the event says {told}; the provider shows {found.provider_ref} as {shown}"
    return Judgement(
        verdict,
        words[:WORDS_CHARS_MAX],
        pending,
        found.raw_status[:64],
        amount.minor if amount else None,
        amount.currency if amount else "",
        tuple(sorted(found.reached)),
    )


def can_ask(account: ProviderAccount, said: NormalizedEvent) -> bool:
    """Whether the provider shows the object of such an event at all."""
    if not registry.has_calls(account.provider):
        return False
    return said.kind in registry.calls(account.provider).askable


class Verdicts:
    """What the provider said of the events of a batch; a redrive makes older answers void."""

    def __init__(self, events: Sequence[ProviderEvent]) -> None:
        self._rows: dict[tuple[UUID, str], Verification] = {}
        self._new: list[Verification] = []
        seen = {event.pk: event for event in events if event.outcome}
        if not seen:
            return
        rows = Verification.objects.filter(event_id__in=seen).order_by("asked_at", "pk")
        for row in rows:
            redriven_at = last_redrive(seen[row.event_id])
            if redriven_at is None or row.asked_at >= redriven_at:
                self._rows[row.event_id, row.cause] = row

    def policy(self, event: ProviderEvent) -> Verification | None:
        """An answer asked for after the deadline is as good a proof as one asked for at once."""
        late = self.deadline(event)
        if late is not None and late.verdict == Verdict.AGREES:
            return late
        return self._rows.get((event.pk, POLICY))

    def deadline(self, event: ProviderEvent) -> Verification | None:
        return self._rows.get((event.pk, DEADLINE))

    def stands_alone(self, work: EventWork, now: datetime) -> Verification:
        """The verdict on an event nobody can be asked about; it is written with the batch."""
        event = work.event
        known = self._rows.get((event.pk, POLICY))
        if known is not None:
            return known
        row = Verification(
            book=work.account.book,
            event=event,
            cause=POLICY,
            verdict=Verdict.UNANSWERED,
            words=NOT_OFFERED,
            asked_at=now,
            created_at=now,
        )
        self._rows[event.pk, POLICY] = row
        self._new.append(row)
        return row

    def write(self) -> None:
        if self._new:
            Verification.objects.bulk_create(self._new)

    def proved(self, event: ProviderEvent) -> frozenset[str]:
        """Kinds the provider proved when it was asked about an event that waited too long."""
        late = self.deadline(event)
        if late is None or late.verdict != Verdict.AGREES:
            return frozenset()
        return frozenset(late.reached)


def last_redrive(event: ProviderEvent) -> datetime | None:
    redriven = [entry["at"] for entry in event.failures if "redriven_by" in entry]
    return datetime.fromisoformat(redriven[-1]) if redriven else None


def question(event: ProviderEvent, cause: str, book: Book) -> News:
    """One question per event and cause, asked anew after a redrive."""
    redrives = sum("redriven_by" in entry for entry in event.failures)
    parts = [event.public_id, cause if cause != POLICY else "", str(redrives) if redrives else ""]
    key = ":".join(filter(None, parts))
    payload = {"event_id": event.public_id, "cause": cause}
    return News(book, TOPIC, key, payload, event.trace_id, turn=str(event.account_id))


def is_wanted(work: EventWork) -> bool:
    """Whether the account's policy wants this event confirmed before anything is done."""
    policy, kind = work.account.verify_policy, work.said.kind
    if policy == "never" or not kind.startswith(ACTED_ON) or work.said.wish is not None:
        return False
    return policy == "always" or kind in MOVES_MONEY


def lets_pass(batch: Batch, work: EventWork, verdicts: Verdicts) -> bool:
    """True: go on and apply. Otherwise the event has its outcome: it waits, or it is a case."""
    if not is_wanted(work):
        return True
    told = verdicts.policy(work.event)
    if told is not None and told.verdict == Verdict.AGREES:
        return True
    if not can_ask(work.account, work.said):
        verdicts.stands_alone(work, batch.now)
        return True
    if told is None or told.verdict == Verdict.UNANSWERED:
        _wait(batch, work, told)
        return False
    words = f"not applied: {told.words}"
    batch.case_works.append(_mismatch(batch, work, told))
    work.ignore(words, _subject_of(batch, work), reprocessable=True)
    return False


def confirm(batch: Batch, work: EventWork, told: Verification, first: int) -> None:
    """Say on what the event was believed: in its outcome and on the timelines it came to."""
    event = work.event
    if told.verdict != Verdict.AGREES and can_ask(work.account, work.said):
        return
    believed = CONFIRMED if told.verdict == Verdict.AGREES else NOT_OFFERED
    if event.state != ProviderEvent.State.PROCESSED or believed in event.outcome:
        return
    event.outcome = f"{event.outcome}; {believed}"[:OUTCOME_MAX]
    line = Line("verified", f"verified:{event.public_id}", told.words, event.public_id)
    for case_work in batch.case_works[first:]:
        case_work.lines.append(line)


def tell_overdue(batch: Batch, work: EventWork, told: Verification) -> None:
    """Still parked after the provider was asked: a person looks; the event goes on waiting.

    It stays parked because what it waits for may come yet (a lost call that is settled makes its
    payout ours), and then it has to be applied. Its case is told of it once.
    """
    if told.verdict == Verdict.UNANSWERED:
        found = _unanswered(batch, work, told)
    elif told.verdict == Verdict.AGREES and not _subject_of(batch, work):
        found = _unknown(batch, work, told)
    else:
        found = _mismatch(batch, work, told)
    if not _was_told(found):
        batch.case_works.append(found)


def _wait(batch: Batch, work: EventWork, told: Verification | None) -> None:
    event = work.event
    why = f"the policy of {work.account} is to ask the provider first; waits for its answer"
    if told is not None:
        why = f"{why} since {event.created_at:%Y-%m-%d %H:%M} UTC: {told.words}"
        found = _unanswered(batch, work, told)
        if not _was_told(found):
            batch.case_works.append(found)
    work.park(verify_key(event), why, _subject_of(batch, work))
    batch.news.append(question(event, POLICY, work.account.book))


def _mismatch(batch: Batch, work: EventWork, told: Verification) -> CaseWork:
    found = _finding(batch, work, "provider_mismatch", work.event.public_id, told.words)
    return CaseWork(found, [_line(work, "mismatch", told.words, told)])


def _unknown(batch: Batch, work: EventWork, told: Verification) -> CaseWork:
    """Made in the provider's dashboard, or by somebody who has our keys (F4)."""
    ref, noun = work.said.provider_ref, work.said.kind.partition(".")[0]
    words = f"{work.account} has {noun} {ref}, which is none of ours: {told.words}"
    found = _finding(batch, work, "unknown_object", f"{work.account}:{ref}", words)
    return CaseWork(found, [_line(work, "unknown", words, told)])


def _unanswered(batch: Batch, work: EventWork, told: Verification) -> CaseWork:
    """One case for the account, with a line for each event that waits.

    Where nobody can be asked, what is lost before it cannot be bridged: a person looks.
    """
    words = f"{work.account} does not answer whether its events are true"
    found = _finding(batch, work, "verification_unanswered", work.account.address, words)
    text = f"{work.event.type} {work.event.provider_event_id} waits unverified; nothing is applied"
    return CaseWork(found, [_line(work, "unanswered", f"{text} ({told.words})", None)])


def _finding(batch: Batch, work: EventWork, rule: str, fingerprint: str, words: str) -> Finding:
    book, amount = work.account.book, work.said.amount
    day = clock.business_day(work.event.created_at, time_zone=book.time_zone)
    return Finding(
        book=book,
        rule=rule,
        fingerprint=fingerprint[:FINGERPRINT_CHARS_MAX],
        period=clock.period_of(day),
        subject_id=_subject_of(batch, work) or work.event.public_id,
        title=words[:TITLE_CHARS_MAX],
        amount_minor=amount.minor if amount else None,
        currency=amount.currency if amount else "",
        reporting_minor=rates.reporting_minor(amount, book, batch.now) if amount else None,
        trace_id=work.event.trace_id,
    )


def _line(work: EventWork, kind: str, text: str, told: Verification | None) -> Line:
    facts = {"type": work.event.type, "provider_event_id": work.event.provider_event_id}
    if told is not None:
        facts |= {"verdict": told.verdict, "provider_status": told.provider_status}
    key = f"{kind}:{work.event.public_id}"
    return Line(kind, key, text, work.event.public_id, facts)


def _was_told(found: CaseWork) -> bool:
    """A case that was closed is not opened again by the same event being looked at again."""
    finding = found.finding
    told_on = Q(case__rule=finding.rule, case__fingerprint=finding.fingerprint) | Q(
        case__rule="systemic", case__fingerprint=finding.rule
    )
    lines = CaseEntry.objects.filter(told_on, case__book=finding.book, key=found.lines[0].key)
    return lines.exists()


def _subject_of(batch: Batch, work: EventWork) -> str:
    key = batch.payout_keys.get(work.event.pk)
    return batch.payouts[key].public_id if key else work.event.subject_id
