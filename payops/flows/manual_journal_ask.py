"""Asking for a hand-made entry: the evidence is kept, then others are asked (D5, LJ-17).

Owns the asking alone. What is known to fail is refused here, with its numbers, so that nobody
decides about it in vain.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from approvals.models import ApprovalRequest
from ledger import manual, periods, reporting
from ledger.errors import PeriodLocked
from ledger.manual import HandMade
from ledger.models import ManualJournal
from payops.core import clock, evidence, ids, rates, state
from payops.core.actors import Actor
from payops.core.models import Book, Evidence, Person
from payops.core.money import MINOR_MAX, Money
from payops.core.roles import Act
from payops.flows import governance, manual_journal, manual_posting
from payops.flows.governed import ChangeRefused

DOCUMENTS_MAX = 5


@dataclass(frozen=True, slots=True)
class Document:
    """A file as it was uploaded."""

    filename: str
    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class JournalAsk:
    """What is asked for. `key` is made with the form, so that sending it twice asks once.

    `reverses` is the public id of the entry to take back; the lines are then its mirror.
    """

    book: Book
    journal: HandMade
    description: str
    documents: tuple[Document, ...]
    key: UUID
    reverses: str = ""


def ask(wanted: JournalAsk, *, reason: str, actor: Actor, now: datetime) -> ManualJournal:
    """Keep the evidence, then ask for the journal. Raises ChangeRefused, EvidenceRefused."""
    known = ManualJournal.objects.filter(pk=wanted.key, book=wanted.book).first()
    if known is not None and known.requested_by_id == actor.person_id:
        return known
    governance.may(Act.PROPOSE_JOURNAL, actor, now)
    facts = _facts(wanted)
    facts |= _checked(wanted, facts, now)
    with transaction.atomic(durable=True):
        kept = [_attach(wanted, document, actor, now) for document in wanted.documents]
    facts["evidence"] = [
        {"id": str(each.pk), "filename": each.filename, "sha256": each.sha256} for each in kept
    ]
    made: list[ManualJournal] = []
    governance.propose(
        kind=manual_journal.KIND,
        facts=facts,
        title=_title(facts),
        reason=reason,
        actor=actor,
        now=now,
        subject_id=facts["journal"],
        book=wanted.book,
        also=lambda request: made.append(_created(request, wanted, actor, now)),
        consequences=_consequences(facts),
    )
    return made[0]


def _facts(wanted: JournalAsk) -> dict[str, Any]:
    journal = wanted.journal
    return {
        "book": wanted.book.code,
        "journal": ids.render(ManualJournal.PREFIX, wanted.key),
        "event_class": journal.event_class,
        "description": wanted.description.strip(),
        "posting_on": journal.posting_on.isoformat(),
        "lines": [asdict(line) for line in journal.lines],
        "cash_flow_tag": journal.cash_flow_tag,
        "batch": journal.batch.strip(),
        "auto_reverse_on": journal.auto_reverse_on.isoformat() if journal.auto_reverse_on else "",
        "reverses": wanted.reverses,
    }


def _checked(wanted: JournalAsk, facts: dict[str, Any], now: datetime) -> dict[str, Any]:
    """What is known to fail is not asked for: nobody decides about it in vain."""
    book, day = wanted.book, wanted.journal.posting_on
    checked = manual_journal.checked(book, facts)
    today = clock.business_day(now, time_zone=book.time_zone)
    if day > today:
        raise ChangeRefused(
            f"{day} has not come yet in {book.name} (today is {today}); an entry is dated"
            " when its day is there"
        )
    try:
        own = periods.periods_of([book])[book.pk]
        periods.place_on(book=book, periods=own, posting_on=day, now=now)
    except PeriodLocked as error:
        raise ChangeRefused(
            f"{error.words}; choose a day of an open period, or have the period reopened first"
        ) from error
    if not wanted.reverses:
        _refuse_above_the_cap(book, wanted.journal, now)
        _refuse_unknown_rate(book, checked["lines"], manual_posting.moment_of(book, day, now))
    if not 1 <= len(wanted.documents) <= DOCUMENTS_MAX:
        raise ChangeRefused(
            f"{len(wanted.documents)} documents; a manual journal has 1 to {DOCUMENTS_MAX}"
        )
    return checked


def _refuse_above_the_cap(book: Book, journal: HandMade, now: datetime) -> None:
    """5950 takes penny differences alone; anything larger has a cause to be found."""
    for line in journal.lines:
        if line.account != manual.PENNY_DIFFERENCES:
            continue
        amount = Money(abs(line.amount_minor), line.currency)
        reported = rates.reporting_minor(amount, book, now)
        if reported is None or reported > book.penny_cap_minor:
            cap = Money(book.penny_cap_minor, book.reporting_currency)
            raise ChangeRefused(
                f"{amount} on {line.account} is above the book's cap of {cap} for penny"
                " differences; find its cause, or use another account"
            )


def _refuse_unknown_rate(book: Book, lines: list[dict[str, Any]], at: datetime) -> None:
    reports = book.reporting_currency
    wanted = {(line["currency"], reports, at) for line in lines if line["currency"] != reports}
    missing = wanted - reporting.rates_for(wanted).keys()
    if missing:
        currency = min(missing)[0]
        raise ChangeRefused(
            f"no rate from {currency} to {reports} is known at {at:%Y-%m-%d %H:%M} UTC; bring the"
            " rate first"
        )


def _attach(wanted: JournalAsk, document: Document, actor: Actor, now: datetime) -> Evidence:
    return evidence.attach(
        book=wanted.book,
        subject_id=ids.render(ManualJournal.PREFIX, wanted.key),
        filename=document.filename,
        content_type=document.content_type,
        content=document.content,
        actor=actor,
        now=now,
    )


def _created(
    request: ApprovalRequest, wanted: JournalAsk, actor: Actor, now: datetime
) -> ManualJournal:
    facts = request.facts
    journal = ManualJournal(
        id=wanted.key,
        book=wanted.book,
        event_class=facts["event_class"],
        description=facts["description"],
        lines=facts["lines"],
        posting_on=date.fromisoformat(facts["posting_on"]),
        cash_flow_tag=facts["cash_flow_tag"],
        reverses_id=facts["reverses"],
        auto_reverse_on=wanted.journal.auto_reverse_on,
        fingerprint=facts["fingerprint"],
        requested_by=Person.objects.get(pk=actor.human()),
        approval_id=request.public_id,
        created_at=now,
    )
    state.save(
        journal,
        actor=actor,
        now=now,
        action="manual_journal.requested",
        reason=request.reason,
        evidence={"approval_id": request.public_id, "fingerprint": journal.fingerprint},
    )
    return journal


def _title(facts: dict[str, Any]) -> str:
    debits = manual.differences(
        line for line in manual_posting.lines_of(facts) if line.amount_minor > 0
    )
    amounts = ", ".join(
        str(Money(minor, currency)) if minor <= MINOR_MAX else f"{minor} {currency}"
        for currency, minor in debits.items()
    )
    row = manual.CLASS_BY_KEY.get(facts["event_class"])
    label = row.label if row else "Reversal"
    return f"{label} of {amounts} on {facts['posting_on']}: {facts['description']}"


def _consequences(facts: dict[str, Any]) -> list[dict[str, Any]]:
    told = [{"kind": "entry", "words": facts["event_class"], "lines": facts["lines"]}]
    notes = [f"posted on {facts['posting_on']}, once; a posted entry is never changed"]
    if facts["reverses"]:
        notes.append(f"takes back {facts['reverses']} at its original reporting amounts")
    if facts["auto_reverse_on"]:
        notes.append(f"taken back by itself on {facts['auto_reverse_on']}, without being asked")
    notes.append("if its period is locked by then, it waits and is posted when that is open")
    return [*told, *({"kind": "note", "words": words} for words in notes)]
